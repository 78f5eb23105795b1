"""What every process of a scan is told, keys and all."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Self

from watermark.clip_identification import DEFAULT_FPS, UNTIL
from watermark.detect import Search
from watermark.key import Key
from watermark.stills import MAX_PIXELS

__all__ = ["Setup"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What every process of a scan is told.

    Parameters
    ----------
    keys : tuple of Key
        At least one.
    registry : str or None
        File or URL; without one numbers are decoded and no work is named.
    search : str
        ``fast`` or ``full``.
    keep_evidence : bool
        Whether what was observed is kept, to be decided on again.
    max_pixels : int
        Larger pictures are refused.
    fps, until : float
        Of clips: frames a second, and the p-value at which to stop.
    asked : int or None
        Where what another scan kept is decided on anew: how many runs did so before.
    """

    keys: tuple[Key, ...]
    registry: str | None = field(repr=False)  # a URL may hold a password
    search: Search = "full"
    keep_evidence: bool = False
    max_pixels: int = MAX_PIXELS
    fps: float = DEFAULT_FPS
    until: float = UNTIL
    asked: int | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a scan needs a key")

    def to_bytes(self) -> bytes:
        """Return it as bytes, which are as secret as the keys in them."""
        names = [each.name for each in fields(self)]
        told = {name: getattr(self, name) for name in names if name != "keys"}
        told["keys"] = [key.secret.hex() for key in self.keys]
        return json.dumps(told).encode()

    @classmethod
    def from_bytes(cls, secret: bytes) -> Self:
        """Read what `to_bytes` gave."""
        told = json.loads(secret)
        told["keys"] = tuple(Key(bytes.fromhex(key)) for key in told["keys"])
        return cls(**told)
