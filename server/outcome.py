"""What becomes of a request to the engine: progress, an outcome, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Broken", "Busy", "Cancelled", "Outcome", "progress_of"]


class Busy(Exception):
    """As much was taken as can be worked on.

    Parameters
    ----------
    retry_after : int
        Seconds after which there is probably room.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the service is busy; try again in {retry_after} s")
        self.retry_after = retry_after


class Broken(Exception):
    """The decoder or the worker broke down on this file, or took too long."""


class Cancelled(Exception):
    """Nobody wants the outcome any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found in an upload.

    Parameters
    ----------
    record : dict
        As `watermark.record` gives it.
    size : (int, int)
        Width and height as it is shown, pixels.
    frames : int
        How many were looked at.
    evidence : bytes or None
        To decide on anew, see `watermark.compact`.
    overlay : bytes or None
        A PNG, where it was asked for and something was found.
    profile : str
    seconds : dict
        By stage.
    """

    record: dict[str, Any]
    size: tuple[int, int]
    frames: int
    evidence: bytes | None
    overlay: bytes | None
    profile: str
    seconds: dict[str, float] = field(default_factory=dict)


def progress_of(said: dict[str, Any]) -> tuple[float | None, str]:
    """Return how far a film has come, 0 to 1 where that is known, and in words."""
    seconds, duration = float(said["seconds"]), said["duration"]
    at = f"{said['frames']} frames, to {int(seconds) // 60}:{int(seconds) % 60:02}"
    if not duration:
        return None, at
    whole = f"{int(duration) // 60}:{int(duration) % 60:02}"
    return min(1.0, seconds / float(duration)), f"{at} of {whole}"
