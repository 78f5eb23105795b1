"""A minute of other films, marked and unmarked, with a few seconds of one work inside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.geometry_attacks import resized
from bench.video_media import Coding, Footage, Frame, write

__all__ = ["Place", "compile_minute", "plan_minute"]

_SECONDS = 60.0
_RATE = Fraction(24)
_SHAPE = (720, 1280)
_SHORTEST, _LONGEST = 4.0, 10.0  # seconds of another film
_BLACK, _NEUTRAL = 16, 128


@dataclass(frozen=True, slots=True)
class Place:
    """What stands where in a compilation.

    Parameters
    ----------
    film : int or None
        Which of the others; None for the work that is looked for.
    marked : bool
    seconds : float
        From its beginning, for other films.
    """

    film: int | None
    marked: bool
    seconds: float


def plan_minute(
    lengths: Sequence[float], seconds: float, rng: np.random.Generator
) -> tuple[Place, ...]:
    """Draw the parts of a compilation: others until the minute is full, and the work among them.

    Parameters
    ----------
    lengths : sequence of float
        Seconds of each other film; all come before one comes again.
    seconds : float
        Of the work, which stands neither first nor last.
    rng : Generator
    """
    if not lengths:
        raise ValueError("a compilation needs other films")
    places: list[Place] = []
    order: list[int] = []
    left = _SECONDS - seconds
    while left > 0 or len(places) < 2:
        order = order or [int(each) for each in rng.permutation(len(lengths))]
        film = order.pop()
        wanted = max(_SHORTEST, min(float(rng.uniform(_SHORTEST, _LONGEST)), left))
        length = min(wanted, lengths[film])
        places.append(Place(film, bool(rng.random() < 0.5), length))
        left -= length
    places.insert(int(rng.integers(1, len(places))), Place(None, marked=True, seconds=seconds))
    return tuple(places)


def compile_minute(
    path: Path, parts: Iterator[Footage], coding: Coding, *, work: int
) -> tuple[float, float]:
    """Write parts one after the other, at 720p and 24 frames a second, whatever they were.

    Parameters
    ----------
    path : Path
    parts : iterator of Footage
        Of 8 bits; one is held at a time.
    coding : Coding
    work : int
        Which of them is looked for.

    Returns
    -------
    start, end : float
        Seconds at which that part begins and ends.
    """
    times: list[float] = []

    def frames() -> Iterator[Frame]:
        count = 0
        for part in parts:
            times.append(float(count / _RATE))
            length = round(len(part.frames) / part.rate * _RATE)
            for at in range(length):
                source = min(len(part.frames) - 1, int(at / _RATE * part.rate))
                yield _fitted(part.frames[source])
            count += length
        times.append(float(count / _RATE))

    write(path, frames(), rate=_RATE, coding=coding)
    return times[work], times[work + 1]


def _fitted(frame: Frame) -> Frame:
    """Return a frame as large as it fits into the canvas, in its middle."""
    height, width = frame[0].shape
    scale = min(_SHAPE[0] / height, _SHAPE[1] / width)
    inner = (round(height * scale / 4) * 4, round(width * scale / 4) * 4)
    if (height, width) == _SHAPE:
        return frame
    planes = []
    for plane, step, level in zip(frame, (1, 2, 2), (_BLACK, _NEUTRAL, _NEUTRAL), strict=True):
        canvas = np.full((_SHAPE[0] // step, _SHAPE[1] // step), level, np.uint8)
        small = resized(plane, (inner[1] // step, inner[0] // step))
        top, left = ((a - b) // 2 for a, b in zip(canvas.shape, small.shape, strict=True))
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        planes.append(canvas)
    y, u, v = planes
    return y, u, v
