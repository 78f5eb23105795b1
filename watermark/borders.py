"""What is left of a picture when bars of one tone at its sides are taken off."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from watermark.frame import Luma

__all__ = ["Box", "alike", "inside_borders", "usual_boxes"]

Box = tuple[int, int, int, int]  # top, left, height, width

_NEAR = 8.0  # code values from the bar's tone: what codecs leave on it
_SHARE = 0.98  # of a line's pixels that are as near as that
_LEAST = 0.25  # of each side that must be left
_THIN = 2  # pixels: less than this in all is not a bar
_ALIKE = 4  # pixels by which the boxes of pictures with the same bars may differ


def inside_borders(plane: Luma) -> Box | None:
    """Return the box inside bars of one tone, or None where there are none.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values.
    """
    height, width = plane.shape
    top, bottom = _bars(plane)
    tall = height - top - bottom
    if tall < _LEAST * height:  # less than nothing where a shading passes for two bars
        return None
    left, right = _bars(plane[top : top + tall].T)
    wide = width - left - right
    if wide < _LEAST * width or max(top, bottom, left, right) < _THIN:
        return None
    return top, left, tall, wide


def usual_boxes(planes: Iterable[Luma], most: int) -> list[Box]:
    """Return the boxes of several pictures, the most frequent first, `most` of them at most."""
    counts: dict[Box, int] = {}
    for plane in planes:
        box = inside_borders(plane)
        if box is not None:
            known = next((each for each in counts if alike(each, box)), box)
            counts[known] = counts.get(known, 0) + 1
    return sorted(counts, key=lambda box: -counts[box])[:most]


def alike(one: Box, other: Box) -> bool:
    """Say whether two boxes are the same but for what codecs leave at their sides."""
    return all(abs(a - b) <= _ALIKE for a, b in zip(one, other, strict=True))


def _bars(plane: Luma) -> tuple[int, int]:
    """Return how many rows at the top and at the bottom are of one tone each."""
    return _bar(plane), _bar(plane[::-1])


def _bar(plane: Luma) -> int:
    tone = float(np.median(plane[0]))
    count = 0
    # In steps that grow, so that a picture without bars costs one row.
    while count < len(plane):
        rows = plane[count : 2 * count + 1]
        near = np.mean(np.abs(rows - np.float32(tone)) <= _NEAR, axis=1) >= _SHARE
        if not near.all():
            return count + int(near.argmin())
        count += len(rows)
    return 0  # all of one tone: no bar, an empty picture
