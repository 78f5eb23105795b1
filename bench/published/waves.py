"""The eight distortions of WAVES (arXiv:2401.08573), each at a fifth to the whole of its range.

Ranges and functions are those of ``distortions/distortions.py`` of
https://github.com/umd-huang-lab/WAVES, commit 458274bdc39c, where a strength of 0–1 is a share of
the range.  Its pictures are squares, and crops and erased parts of it are; here a crop has the
proportions of the picture, so that scaling it back does not stretch it.

Brightness, contrast and blur are Pillow's (``ImageEnhance`` and ``GaussianBlur``), which cuts
fractions off in the first two and passes three box filters over the picture in the last.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import Change, Picture, jpeg
from bench.published.row import Published, rows
from bench.published.torchvision import randomly_cropped, resized, rotated, rounded

__all__ = ["RANGES", "ROWS", "box_blurred", "strengths"]

FAMILY = "waves"
_SOURCE = "umd-huang-lab/WAVES, distortions/distortions.py"

RANGES = {
    "rotation": (0.0, 45.0),
    "resized crop": (1.0, 0.5),
    "erasing": (0.0, 0.25),
    "brightness": (1.0, 2.0),
    "contrast": (1.0, 2.0),
    "blur": (0.0, 20.0),
    "noise": (0.0, 0.1),
    "jpeg": (90.0, 10.0),
}
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
_PASSES = 3  # of box filters in Pillow's GaussianBlur


def strengths(kind: str) -> tuple[float, ...]:
    """Return a kind's strengths, weak to strong, in its own unit."""
    start, end = RANGES[kind]
    return tuple(round(start + share * (end - start), 6) for share in _SHARES)


def _cut(values: NDArray[Any]) -> Picture:
    """Return code values as Pillow's blend does: fractions are cut off."""
    return np.asarray(np.clip(np.floor(values), 0, 255), np.uint8)


def _enhanced(pixels: Picture, other: float, factor: float) -> Picture:
    codes = np.arange(256, dtype=np.float32)  # as Pillow reckons, so that the same is cut off
    return _cut(np.float32(other) + np.float32(factor) * (codes - np.float32(other)))[pixels]


def _contrasted(pixels: Picture, factor: float) -> Picture:
    # Pillow's L: BT.601 in units of 2⁻¹⁶, rounded; its mean is rounded too.
    wide = pixels.astype(np.int32)
    luma = (wide @ np.array((19595, 38470, 7471), np.int32) + 0x8000) >> 16
    return _enhanced(pixels, int(luma.mean() + 0.5), factor)


def box_blurred(pixels: Picture, deviation: float) -> Picture:
    """Return what Pillow's ``GaussianBlur`` does: three box filters of fractional width.

    Parameters
    ----------
    pixels : ndarray of shape (H, W, 3), uint8
    deviation : float
        Of the Gaussian that they approach, pixels.  Beyond the outline it is repeated.
    """
    if deviation == 0:
        return pixels.copy()
    # Gwosdek et al. 2011, DOI 10.1007/978-3-642-24785-9_38: the radius is l + a.
    variance = deviation**2 / _PASSES
    whole = math.floor((math.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    part /= 6 * (variance - (whole + 1) ** 2)
    box = np.array([part, *[1.0] * (2 * whole + 1), part]) / (2 * (whole + part) + 1)
    result = pixels
    for kernel in (box[None], box[:, None]):
        for _ in range(_PASSES):
            wide = result.astype(np.float32)
            result = rounded(cv2.filter2D(wide, -1, kernel, borderType=cv2.BORDER_REPLICATE))
    return result


def _resized_crop(area: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        height, width = (round(side * math.sqrt(area)) for side in pixels.shape[:2])
        part = randomly_cropped(pixels, rng, height=height, width=width)
        return resized(part, *pixels.shape[:2])

    return change


def _erased(area: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        height, width = pixels.shape[:2]
        side = round(math.sqrt(height * width * area))
        result = pixels.copy()
        if side < min(height, width):
            top = int(rng.integers(height - side + 1))
            left = int(rng.integers(width - side + 1))
            result[top : top + side, left : left + side] = 0
        return result

    return change


def _noisy(deviation: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        return _cut(pixels + 255 * deviation * rng.standard_normal(pixels.shape))

    return change


_CHANGES = {
    "rotation": (
        lambda degrees: lambda pixels, _: rotated(pixels, degrees),
        "rotation",
        "degrees anticlockwise, same size, nearest pixel, black corners",
    ),
    "resized crop": (_resized_crop, "crop", "share of the area, anywhere, scaled back"),
    "erasing": (_erased, "erasing", "share of the area that is black, a square anywhere"),
    "brightness": (
        lambda factor: lambda pixels, _: _enhanced(pixels, 0, factor),
        "colour",
        "factor on code values",
    ),
    "contrast": (
        lambda factor: lambda pixels, _: _contrasted(pixels, factor),
        "colour",
        "factor about the mean luma",
    ),
    "blur": (
        lambda deviation: lambda pixels, _: box_blurred(pixels, int(deviation)),
        "blur",
        "Gaussian, standard deviation in pixels",
    ),
    "noise": (_noisy, "noise", "Gaussian, each channel, standard deviation over 255"),
    "jpeg": (lambda quality: jpeg(int(quality)), "jpeg", "libjpeg quality 1–100, 4:2:0"),
}

ROWS: tuple[Published, ...] = tuple(
    row
    for kind, (change, group, about) in _CHANGES.items()
    for row in rows(FAMILY, kind, change, strengths(kind), group=group, about=about, source=_SOURCE)
)
