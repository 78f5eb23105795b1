"""How a verdict on a film is told to people: a picture's lines, and what is when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.files import echo_row
from cli.interrupt import stop_if_interrupted
from cli.marks import clock
from cli.progress import Progress
from cli.verdict import LABEL, power, tell

if TYPE_CHECKING:
    from watermark.clip_identification import ClipIdentification, Seen
    from watermark.identification import FoundMark

__all__ = ["live", "tell_film", "write_timeline"]

_UNMARKED = "no mark"


def live(progress: Progress) -> Callable[[Seen], None]:
    """Return what shows, on a terminal, how far the reading of a film has come."""

    def show(seen: Seen) -> None:
        stop_if_interrupted()
        whole = "" if seen.duration is None else f" of {clock(seen.duration)}"
        progress.tell(f"{clock(seen.seconds)}{whole}, z {seen.z:.1f}")

    return show


def tell_film(name: str, told: ClipIdentification) -> None:
    """Print a picture's lines, then the timeline."""
    tell(name, told.whole, what="film")
    whole = "" if told.duration is None else f" of {clock(told.duration)}"
    kind = "key frame" if told.key_frames else "frame"
    plural = "" if told.frames == 1 else "s"
    lines = [("read", f"{told.frames:,} {kind}{plural}, to {clock(told.seconds)}{whole}")]
    if told.damaged:
        lines.append(("damaged", f"{told.damaged:,} packets could not be decoded"))
    for place, part in enumerate(told.parts):
        text = f"{_moment(part.start)} to {_moment(part.end)}  {_named(part.mark)}"
        lines.append(("" if place else "timeline", text))
    for label, text in lines:
        echo_row(label, text, width=LABEL)


def _moment(seconds: float) -> str:
    """Write a time as on a player, with tenths of a second."""
    tenths = round(10 * seconds)
    return f"{clock(tenths // 10)}.{tenths % 10}"


def _named(mark: FoundMark | None) -> str:
    if mark is None:
        return _UNMARKED
    if mark.work is not None:
        name = mark.work.title
    elif mark.registered:
        name = "a registered work"
    else:
        name = f"mark {mark.number:012x}"
    return f"{name}  p = {power(mark.log10_p)}"


def write_timeline(output: str, told: ClipIdentification) -> None:
    """Draw the timeline of a film.

    Raises
    ------
    OutputError
        If the picture cannot be written.
    """
    from watermark.plot import Band, legend_name, write_plot  # noqa: PLC0415 - slow

    def name(mark: FoundMark | None) -> str | None:
        if mark is None:
            return None
        if mark.work is None:
            return "a registered work" if mark.registered else f"{mark.number:012x}"
        return legend_name(mark.work.title, mark.work.id)

    bands = [Band(part.start, part.end, name(part.mark)) for part in told.parts]
    write_plot(output, told.points, bands, duration=told.duration or told.seconds)
