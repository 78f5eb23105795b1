"""Drawing where a mark is: the outline of each, and a heat map of the evidence.

The mark's reference tile is laid over the picture along an alignment, multiplied with the residual
and averaged over about half a tile.  What the same tile gives when it is laid elsewhere is noise,
so each place gets a *local z*: its average in standard deviations of that noise.  It is for people
to look at; the p-value of a mark is decided on the whole of it, in `watermark.decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment
from watermark.detect import observe_luma
from watermark.frame import Luma, Pixels, code_scale
from watermark.homography import apply, jacobian, scaling
from watermark.key import Key
from watermark.pattern import mark_tile
from watermark.profile import DEFAULT, Profile
from watermark.residual import blur

__all__ = ["drawn", "evidence_map"]

_NEAR = 0.25  # of a tile: standard deviation of what is averaged over
_BLOCK = 8  # pixels of the grid that are added up before that
_ELSEWHERE = 3  # places a side that the tile is laid at, its own among them
_QUIET = 0.05  # of the mean energy of the noise: below, there is nothing to tell
_NOTHING = 0.02  # energy of a residual pixel under which it is padding
_MOST = 12_000_000  # pixels of the canvas; insets under a fifth of a side get a coarser one
_BAND = 1 << 18  # pixels worked on at a time

_FULL = 4.0  # local z that is drawn in full, if none is higher
_VEIL = 0.6  # how much of the picture the strongest evidence hides
_COLOURS = (
    *((0, 230, 118), (41, 182, 246), (255, 64, 129), (255, 234, 0)),
    *((124, 77, 255), (255, 145, 0), (0, 229, 255), (198, 255, 0)),
)


def evidence_map(
    plane: Luma, alignment: Alignment, key: Key, number: int, profile: Profile = DEFAULT
) -> Luma:
    """Return how much each place of a picture says that a mark is there.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values 0–255.
    alignment : Alignment
        Of the picture's own pixels, as `watermark.detect.detect` gives it.
    key : Key
    number : int
        Mark number.
    profile : Profile

    Returns
    -------
    ndarray of float32, shape (H, W)
        Local z: about standard normal where the mark is not.
    """
    matrix = np.array(alignment.matrix)
    middle = np.mean(np.array(alignment.outline), axis=0)
    # The residual is taken where a pixel of it is one of the mark's grid.
    zoom = np.sqrt(abs(np.linalg.det(jacobian(matrix, middle))))
    zoom = min(zoom, np.sqrt(_MOST / plane.size))
    short = float(np.clip(zoom * min(plane.shape), 64, 4096))
    seen = observe_luma(plane, profile=profile, factor=short / profile.short)
    canvas = seen.canvas
    scale = seen.extent[0] / plane.shape[0]
    places = _places(matrix @ scaling(1 / scale), canvas.shape, profile.tile)
    tile = mark_tile(key, number, profile).astype(np.float32)
    size = max(1, round(canvas.shape[1] / _BLOCK)), max(1, round(canvas.shape[0] / _BLOCK))
    near = _NEAR * profile.tile / _BLOCK

    def agreement(down: int, right: int) -> Luma:
        moved = np.pad(np.roll(tile, (down, right), (0, 1)), 1, mode="wrap")
        laid = np.asarray(cv2.remap(moved, *places, cv2.INTER_LINEAR), np.float32)
        laid *= canvas
        return blur(np.asarray(cv2.resize(laid, size, interpolation=cv2.INTER_AREA)), near)

    steps = [round(profile.tile * step / _ELSEWHERE) for step in range(_ELSEWHERE)]
    noise = np.zeros(size[::-1], np.float32)
    for down, right in product(steps, steps):
        if down or right:
            noise += np.square(agreement(down, right)) / np.float32(_ELSEWHERE**2 - 1)
    noise = blur(noise, near)
    noise += np.float32(_QUIET) * noise.mean() + np.float32(1e-12)
    local = agreement(0, 0) / np.sqrt(noise)
    # An average reaches beyond the edge of an inset, onto padding that says nothing.
    energy = cv2.resize(canvas * canvas, size, interpolation=cv2.INTER_AREA)
    local *= np.minimum(1, blur(np.asarray(energy), 1) / np.float32(_NOTHING))
    grown = cv2.resize(local, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown, np.float32)


def _places(
    matrix: NDArray[np.float64], shape: tuple[int, ...], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return x and y of each pixel of a canvas on a tile with one more pixel at each border."""
    height, width = shape
    result = np.empty((2, height, width), np.float32)
    x = np.arange(width) + 0.5
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        y = np.arange(top, min(top + rows, height)) + 0.5
        on_grid = apply(matrix, np.stack(np.meshgrid(x, y), axis=-1))
        # Behind the horizon there is no mark, and beyond the tile nothing is read.
        on_tile = np.nan_to_num(np.mod(on_grid - 0.5, side) + 1, nan=-9.0)
        result[:, top : top + rows] = np.moveaxis(on_tile, -1, 0)
    return result[0], result[1]


def drawn(
    pixels: Pixels,
    outlines: Sequence[Sequence[tuple[float, float]]],
    maps: Sequence[Luma] = (),
) -> NDArray[np.uint8]:
    """Return a picture with numbered outlines and the strongest evidence over it.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
    outlines : sequence of sequences of (x, y)
        In the picture's pixels; they are numbered from 1 on.
    maps : sequence of ndarray of float32, shape (H, W)
        Evidence of any of them, see `evidence_map`.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, a new array.
    """
    picture = _as_rgb(pixels)
    height, width = picture.shape[:2]
    if maps:
        heat = maps[0] if len(maps) == 1 else np.maximum.reduce(list(maps))
        most = max(_FULL, float(heat.max()))
        rows = max(1, _BAND // width)
        for top in range(0, height, rows):
            band = picture[top : top + rows]
            band[:] = _veiled(band, np.clip(heat[top : top + rows] / np.float32(most), 0, 1))
    stroke = max(2, round(min(height, width) / 250))
    for index, outline in enumerate(outlines):
        colour = _COLOURS[index % len(_COLOURS)]
        corners = np.clip(np.array(outline), stroke, [width - 1 - stroke, height - 1 - stroke])
        corners = np.rint(corners).astype(np.int32)
        for tone, thick in (((0, 0, 0), stroke + 2), (colour, stroke)):
            cv2.polylines(picture, [corners], True, tone, thick, cv2.LINE_AA)
        _number(picture, str(index + 1), corners, colour, stroke)
    return picture


def _as_rgb(pixels: Pixels) -> NDArray[np.uint8]:
    if code_scale(pixels) == 257:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(pixels, np.uint8, order="C")


def _veiled(band: NDArray[np.uint8], level: Luma) -> NDArray[np.uint8]:
    """Return a part of the picture, now grey, behind colours for levels of 0, clear, to 1."""
    grey = cv2.cvtColor(cv2.cvtColor(band, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tones = cv2.applyColorMap(cv2.convertScaleAbs(level, alpha=255), cv2.COLORMAP_TURBO)
    tones = cv2.cvtColor(tones, cv2.COLOR_BGR2RGB).astype(np.float32)
    veil = (np.float32(_VEIL) * np.sqrt(level))[..., None]  # so that half of the most is seen well
    return np.asarray(np.rint(grey + veil * (tones - grey)), np.uint8)


def _number(
    picture: NDArray[np.uint8],
    text: str,
    corners: NDArray[np.int32],
    colour: tuple[int, int, int],
    stroke: int,
) -> None:
    """Write a number inside the corner of an outline that is nearest to the top left."""
    size, font = 0.4 * stroke, cv2.FONT_HERSHEY_SIMPLEX
    (wide, high), _ = cv2.getTextSize(text, font, size, stroke)
    left, top = corners[np.argmin(corners.sum(axis=1))].tolist()
    height, width = picture.shape[:2]
    left = max(0, min(left + 3 * stroke, width - wide - stroke))
    base = max(high, min(top + 3 * stroke + high, height - stroke))
    place: Any = (left, base)
    for tone, thick in (((0, 0, 0), stroke + 4), (colour, stroke)):
        cv2.putText(picture, text, place, font, size, tone, thick, cv2.LINE_AA)
