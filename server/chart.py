"""The timeline of a film as a drawing of any width: places are per cents, and a curve in a box.

The template puts them into SVG, so it shows without scripts and follows the width of the window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["HEIGHT", "Band", "Chart", "Tick", "chart"]

HEIGHT = 100.0  # of the box of the curve, which is 1000 wide
_WIDTH = 1000.0
_DETECTED = 9.0  # −log10 p
_LEAST = 12.0  # of the scale, so that noise is not drawn as mountains
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)  # seconds between ticks
_TICKS = 6
_COLOURS = 8
_POINTS = 3  # that make a curve worth drawing
_THINNEST = 0.4  # per cent: a part of one frame is seen too
_REST = 1.0  # per cent that were not read and are told


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: its place in per cent, and the value there."""

    place: float
    value: float


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the film: `left` and `width` in per cent, and the number of its colour from 1."""

    left: float
    width: float
    colour: int | None
    part: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """All that is drawn; `line` and `area` are paths in a box of 1000 by `HEIGHT`.

    `span` is what the width stands for, in seconds, and `read` how much of it was read, in per
    cent, unless that is all.
    """

    span: float
    line: str
    area: str
    threshold: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    bands: tuple[Band, ...]
    read: float | None

    @property
    def drawn(self) -> bool:
        """Whether there is a curve: perhaps too little was read for one."""
        return self.line.count(",") >= _POINTS

    def colour_of(self, work: dict[str, Any]) -> int | None:
        """Return the number of the colour of a work of the row."""
        whose = _whose(work)
        return next((each.colour for each in self.bands if _whose(each.part) == whose), None)


def chart(row: dict[str, Any]) -> Chart | None:
    """Return the drawing of a film's row, or None where it has no timeline."""
    parts: Sequence[dict[str, Any]] = row.get("timeline") or ()
    points: Sequence[Sequence[float]] = row.get("points") or ()
    ends = [each["end"] for each in parts] + [time for time, _ in points]
    span = max([row.get("duration") or 0.0, *ends], default=0.0)
    if not parts or span <= 0:
        return None
    top = max([_LEAST, *(-value for _, value in points)]) * 1.05
    places = [
        (_WIDTH * min(time / span, 1), HEIGHT * (1 - max(-value, 0) / top))
        for time, value in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    area = f"M{places[0][0]:.1f},{HEIGHT} L{line} V{HEIGHT} Z" if places else ""
    colours: dict[Any, int] = {}
    bands = []
    for each in parts:
        colour = None
        if each["marked"]:
            colour = colours.setdefault(_whose(each), len(colours) % _COLOURS + 1)
        left, width = 100 * each["start"] / span, 100 * (each["end"] - each["start"]) / span
        bands.append(Band(round(left, 3), round(max(width, _THINNEST), 3), colour, each))
    read = round(100 * max(ends) / span, 3)
    step = next((step for step in _STEPS if span / step <= _TICKS), _STEPS[-1])
    across = [Tick(round(100 * at * step / span, 3), at * step) for at in range(_count(span, step))]
    rise = _round_up(top / 6)
    up = [Tick(round(100 - 100 * at * rise / top, 3), at * rise) for at in range(_count(top, rise))]
    threshold = 100 - 100 * _DETECTED / top
    return Chart(
        span,
        f"M{line}" if places else "",
        area,
        round(threshold, 3),
        tuple(across),
        tuple(up),
        tuple(bands),
        read if read < 100 - _REST else None,
    )


def _whose(each: dict[str, Any]) -> Any:
    return each.get("work") or each.get("mark")


def _count(span: float, step: float) -> int:
    return math.floor(span / step) + 1


def _round_up(value: float) -> int:
    """Return the next number of 1, 2 or 5 and zeros."""
    power = 10.0 ** math.floor(math.log10(value))
    return math.ceil(next(power * each for each in (1, 2, 5, 10) if power * each >= value))
