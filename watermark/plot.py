"""A picture of a film's timeline: how sure each moment is, coloured by work.

The curve is −log10 of the p-value of what is within a second, so up is surer; a line marks 1e-9,
from which a mark is called detected.  Below it lies a strip of the parts, unmarked ones in grey.
The letters are those that OpenCV can draw; where a title has others, the work's id stands instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.errors import OutputError
from watermark.files import AnyPath, atomic_write, shown

__all__ = ["Band", "legend_name", "plot", "write_plot"]

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

_HEIGHT, _WIDTH = 480, 1280
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 24, 56, 96  # pixels around the curve
_STRIP = 24  # pixels, height of the strip
_DETECTED = 9.0
_LEAST_TOP = 12.0  # of the scale
_LONGEST_NAME = 28  # letters
_INK, _PALE, _UNMARKED = (40, 40, 40), (225, 225, 225), (200, 200, 200)
# Told apart by colour-blind people as well (Okabe & Ito 2008, https://jfly.uni-koeln.de/color),
# as (red, green, blue).
_COLOURS: tuple[Colour, ...] = (
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)),
    *((230, 159, 0), (86, 180, 233), (160, 140, 0), (90, 60, 20)),
)


@dataclass(frozen=True, slots=True)
class Band:
    """A part of the film.

    Parameters
    ----------
    start, end : float
        Seconds.
    name : str or None
        Of what was found there, as the legend has it; None where nothing was.
    """

    start: float
    end: float
    name: str | None


def legend_name(title: str | None, identifier: str) -> str:
    """Return the title where its letters can be drawn, and the identifier elsewhere."""
    name = title if title and title.isascii() and title.isprintable() else identifier
    name = "".join(each if each.isascii() and each.isprintable() else "?" for each in name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 3] + "..."


def plot(points: Sequence[tuple[float, float]], bands: Sequence[Band], *, duration: float) -> Image:
    """Draw a timeline.

    Parameters
    ----------
    points : sequence of (float, float)
        Seconds and log10 of a p-value, in order.
    bands : sequence of Band
        In order.
    duration : float
        Seconds that the picture is wide.

    Returns
    -------
    ndarray of uint8, shape (480, 1280, 3)
        RGB.
    """
    image = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    names = list(dict.fromkeys(band.name for band in bands if band.name is not None))
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(names)}
    ends = [duration, *(band.end for band in bands), *(time for time, _ in points)]
    span = max(*ends, 1e-3)
    top = max(_LEAST_TOP, *(-value for _, value in points)) if points else _LEAST_TOP
    top *= 1.05
    floor = _HEIGHT - _BOTTOM

    def across(time: float) -> int:
        return _LEFT + round(time / span * (_WIDTH - _LEFT - _RIGHT))

    def up(sure: float) -> int:
        return floor - round(min(sure, top) / top * (floor - _TOP))

    for value in _ticks(top, 5):
        cv2.line(image, (_LEFT, up(value)), (_WIDTH - _RIGHT, up(value)), _PALE, 1)
        _text(image, f"{value:g}", (_LEFT - 8, up(value) + 4), right=True)
    for time in _ticks(span, 8):
        cv2.line(image, (across(time), floor), (across(time), floor + 5), _INK, 1)
        _text(image, _clock(time, span), (across(time) - 14, _HEIGHT - 20))
    cv2.line(image, (_LEFT, up(_DETECTED)), (_WIDTH - _RIGHT, up(_DETECTED)), (150, 150, 150), 1)
    _text(image, "1e-9", (_WIDTH - _RIGHT - 36, up(_DETECTED) - 4))
    for band in bands:
        colour = _UNMARKED if band.name is None else colours[band.name]
        left, right = across(band.start), max(across(band.end), across(band.start) + 1)
        cv2.rectangle(image, (left, floor + 12), (right, floor + 12 + _STRIP), colour, -1)
        for (time, value), (later, next_value) in pairwise(points):
            if band.start <= (time + later) / 2 < band.end:
                ends_of = (across(time), up(-value)), (across(later), up(-next_value))
                cv2.line(image, *ends_of, colour if band.name else _INK, 2, cv2.LINE_AA)
    cv2.line(image, (_LEFT, _TOP), (_LEFT, floor), _INK, 1)
    cv2.line(image, (_LEFT, floor), (_WIDTH - _RIGHT, floor), _INK, 1)
    _text(image, "-log10 p", (8, _TOP - 8))
    place = _LEFT + 40
    for name in names:
        cv2.rectangle(image, (place, 16), (place + 14, 30), colours[name], -1)
        _text(image, name, (place + 20, 28))
        place += 40 + 8 * len(name)
    return image


def write_plot(
    path: AnyPath,
    points: Sequence[tuple[float, float]],
    bands: Sequence[Band],
    *,
    duration: float,
) -> None:
    """Draw a timeline into a PNG file, replaced only when it is complete.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    image = plot(points, bands, duration=duration)
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError(f"{shown(path)}: the timeline cannot be written as PNG")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _ticks(top: float, about: int) -> list[float]:
    """Return round numbers from 0 on, `about` that many."""
    step = 10 ** math.floor(math.log10(top / about))
    step = next(step * each for each in (1, 2, 5, 10) if step * each * about >= top)
    return [step * each for each in range(int(top / step) + 1)]


def _clock(time: float, span: float) -> str:
    if span < 10:
        return f"{time:g}"
    minutes, seconds = divmod(round(time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _text(image: Image, text: str, place: tuple[int, int], *, right: bool = False) -> None:
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.42
    if right:
        (width, _), _ = cv2.getTextSize(text, font, size, 1)
        place = (place[0] - width, place[1])
    cv2.putText(image, text, place, font, size, _INK, 1, cv2.LINE_AA)
