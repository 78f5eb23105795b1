"""Where a picture was bent: the pilot in small patches, each with an affine map of its own.

Under a strong perspective no window that is large enough to show the pilot has one scale.
So patches are taken that are too small to show it surely, each is scored for scales, turns and
mild stretches, and neighbours are added up where they nearly agree.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.polar import Lines, Range, polar_map, polar_sums
from watermark.spectrum import spectrum

__all__ = ["bent"]

_SIDE = 128  # pixels
_SCALES = Range(0.62, 1.6)
_STRETCHES, _APART = 0.3, 0.12  # anisotropy, at most, and between two that are tried
_COARSE = 4.0  # of scale and angle, over the side
_NEAR = np.ones((3, 3), np.uint8)  # steps of scale and angle by which neighbours may differ
_ADDED = 4  # bits that the sum of nine patches takes


@lru_cache(maxsize=1)
def _stretches() -> tuple[tuple[float, float], ...]:
    count = int(_STRETCHES / _APART)
    steps = _APART * np.arange(-count, count + 1)
    return tuple(
        (float(a), float(b)) for a in steps for b in steps if np.hypot(a, b) <= _STRETCHES + 1e-9
    )


def bent(
    canvas: NDArray[np.float32], lines: Lines, *, top: int
) -> list[tuple[float, NDArray[np.float64], tuple[float, float]]]:
    """Return the best (score, B, centre) of neighbouring patches, half a turn left open.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
        A residual in which the mark has about its own scale.
    lines : Lines
    top : int
        How many at most, of different places.
    """
    height, width = canvas.shape
    rows, columns = max(1, round(height / _SIDE)), max(1, round(width / _SIDE))
    tall, wide = min(_SIDE, height), min(_SIDE, width)
    tops = np.linspace(0, height - tall, rows).astype(int)
    lefts = np.linspace(0, width - wide, columns).astype(int)
    step = _COARSE / _SIDE
    tables = []
    for y in tops:
        for x in lefts:
            seen = spectrum(canvas[y : y + tall, x : x + wide], (x + wide / 2, y + tall / 2))
            sums, unit = polar_sums(seen, lines, _SCALES, step=step, stretches=_stretches())
            planes = sums.reshape(-1, *sums.shape[2:])
            near = np.stack([cv2.dilate(each, _NEAR) for each in planes]).astype(np.uint16)
            # Less what noise has, so that a patch at the edge lacks nothing by its neighbours.
            above = (near >> np.uint16(_ADDED)).astype(np.int16) - np.int16(1 / unit / 2**_ADDED)
            tables.append(above.ravel())
    shape = sums.shape
    pooled = np.stack(tables).reshape(rows, columns, -1)
    for axis in (0, 1):
        lone = np.moveaxis(pooled.copy(), axis, 0)
        added = np.moveaxis(pooled, axis, 0)
        added[1:] += lone[:-1]
        added[:-1] += lone[1:]
    best = pooled.reshape(rows * columns, -1)
    found = []
    for patch in np.argsort(best.max(axis=1))[::-1][:top]:
        where = int(best[patch].argmax())
        mirror, place, size, turn = (int(each) for each in np.unravel_index(where, shape))
        stretch = _stretches()[place]
        turned = polar_map((mirror, size, turn), shape[3], _SCALES, step=step, stretch=stretch)
        row, column = divmod(int(patch), columns)
        centre = float(lefts[column] + wide / 2), float(tops[row] + tall / 2)
        found.append((float(best[patch, where]) * 2**_ADDED * unit, turned, centre))
    return found
