"""What torchvision and Pillow do to pictures, since the published lists of attacks are theirs.

Pixels are RGB, uint8 of shape (H, W, 3).  torchvision works on floats between 0 and 1; here the
result is rounded to whole code values, as whoever stores the picture rounds it.  Formulas are those
of torchvision 0.29, files ``torchvision/transforms/_functional_tensor.py`` and ``functional.py``
(https://github.com/pytorch/vision), and the tests hold values that it computed itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bench.attacks import Picture

__all__ = [
    "blended",
    "blurred",
    "centre_cropped",
    "contrasted",
    "hue_turned",
    "perspective_drawn",
    "randomly_cropped",
    "resized",
    "rotated",
    "rounded",
    "saturated",
    "sharpened",
    "warped",
]

_GREY = (0.2989, 0.587, 0.114)  # rgb_to_grayscale

Corners = Sequence[tuple[float, float]]


def rounded(values: NDArray[Any]) -> Picture:
    """Return code values clipped to 0–255 and rounded."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _grey(pixels: Picture) -> NDArray[np.float32]:
    return pixels.astype(np.float32) @ np.array(_GREY, np.float32)


def blended(pixels: Picture, other: float, factor: float) -> Picture:
    """Return ``factor · pixels + (1 − factor) · other``: ``adjust_brightness`` with black (0)."""
    table = rounded(factor * np.arange(256) + (1 - factor) * other)
    return table[pixels]


def contrasted(pixels: Picture, factor: float) -> Picture:
    """Return what ``adjust_contrast`` does: blend with the mean of the grey picture."""
    return blended(pixels, float(_grey(pixels).mean(dtype=np.float64)), factor)


def saturated(pixels: Picture, factor: float) -> Picture:
    """Return what ``adjust_saturation`` does: blend with the grey picture."""
    grey = _grey(pixels)[..., None]
    return rounded(np.float32(factor) * pixels + np.float32(1 - factor) * grey)


def hue_turned(pixels: Picture, turns: float) -> Picture:
    """Return what ``adjust_hue`` does: hue in HSV, moved by a share of the full circle."""
    hsv = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turns)) % np.float32(360)
    return rounded(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255)


def sharpened(pixels: Picture, factor: float) -> Picture:
    """Return what ``adjust_sharpness`` does: blend with a 3 × 3 smoothing, but for the outline."""
    kernel = np.ones((3, 3), np.float32)
    kernel[1, 1] = 5
    wide = pixels.astype(np.float32)
    smooth = wide.copy()
    smooth[1:-1, 1:-1] = cv2.filter2D(wide, -1, kernel / kernel.sum())[1:-1, 1:-1]
    return rounded(np.float32(factor) * wide + np.float32(1 - factor) * smooth)


def blurred(pixels: Picture, side: int) -> Picture:
    """Return what ``gaussian_blur`` does with a kernel of `side` pixels, reflected at the outline.

    The standard deviation is torchvision's default, ``0.15 · side + 0.35`` pixels.
    """
    places = np.arange(side) - (side - 1) / 2
    weights = np.exp(-0.5 * (places / (0.15 * side + 0.35)) ** 2)
    weights /= weights.sum()
    wide = pixels.astype(np.float32)
    return rounded(cv2.sepFilter2D(wide, -1, weights, weights, borderType=cv2.BORDER_REFLECT_101))


def rotated(pixels: Picture, degrees: float) -> Picture:
    """Return what ``rotate`` does: anticlockwise at the same size, nearest pixel, black outside."""
    height, width = pixels.shape[:2]
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    x = np.arange(width) - (width - 1) / 2
    y = (np.arange(height) - (height - 1) / 2)[:, None]
    columns = np.rint(cos * x - sin * y + (width - 1) / 2).astype(np.int32)
    rows = np.rint(sin * x + cos * y + (height - 1) / 2).astype(np.int32)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    result = np.zeros_like(pixels)
    result[inside] = pixels[rows[inside], columns[inside]]
    return result


def _interpolation(before: int, after: int) -> csr_array:
    """Return the triangle filter of an antialiased bilinear resize, shape (after, before)."""
    scale = before / after
    reach = max(scale, 1.0)
    centres = scale * (np.arange(after) + 0.5)
    places = (
        np.floor(centres - reach + 0.5)[:, None] + np.arange(math.ceil(2 * reach) + 1)
    ).astype(np.int64)
    weights = np.maximum(0, 1 - np.abs(places + 0.5 - centres[:, None]) / reach)
    weights[(places < 0) | (places >= before)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(after)[:, None], places.shape)
    used = weights > 0
    entries = (weights[used].astype(np.float32), (rows[used], places[used]))
    return csr_array(entries, shape=(after, before))


def resized(pixels: Picture, height: int, width: int) -> Picture:
    """Return what ``resize(…, antialias=True)`` does: bilinear, widened where it shrinks."""
    rows, columns = pixels.shape[:2]
    upright = pixels.transpose(1, 0, 2).reshape(columns, -1).astype(np.float32)
    across = (_interpolation(columns, width) @ upright).reshape(width, rows, 3)
    level = across.transpose(1, 0, 2).reshape(rows, -1)
    return rounded((_interpolation(rows, height) @ level).reshape(height, width, 3))


def randomly_cropped(
    pixels: Picture, rng: np.random.Generator, *, height: int, width: int
) -> Picture:
    """Return a part of a size, from anywhere, as ``RandomCrop`` draws it."""
    top = int(rng.integers(pixels.shape[0] - height + 1))
    left = int(rng.integers(pixels.shape[1] - width + 1))
    return pixels[top : top + height, left : left + width].copy()


def centre_cropped(pixels: Picture, height: int, width: int) -> Picture:
    """Return what ``center_crop`` does; where the picture is too small there is black around it."""
    wanted = height, width
    missing = [max(wanted[axis] - pixels.shape[axis], 0) for axis in (0, 1)]
    padded = np.pad(pixels, [*((each // 2, (each + 1) // 2) for each in missing), (0, 0)])
    top, left = (round((padded.shape[axis] - wanted[axis]) / 2) for axis in (0, 1))
    return padded[top : top + height, left : left + width].copy()


def perspective_drawn(
    height: int, width: int, rng: np.random.Generator, *, distortion: float
) -> tuple[tuple[float, float], ...]:
    """Return where ``RandomPerspective.get_params`` moves the corners: only ever inwards.

    Parameters
    ----------
    height, width : int
        Pixels.
    rng : Generator
    distortion : float
        0–1: the largest move, as a share of half a side.

    Returns
    -------
    tuple of four (x, y)
        Top left, top right, bottom right, bottom left; whole pixels.
    """
    across, down = int(distortion * (width // 2)), int(distortion * (height // 2))
    near = (0, across + 1), (0, down + 1)
    far = (width - across - 1, width), (height - down - 1, height)
    order = ((near[0], near[1]), (far[0], near[1]), (far[0], far[1]), (near[0], far[1]))
    return tuple((int(rng.integers(*x)), int(rng.integers(*y))) for x, y in order)


def warped(pixels: Picture, corners: Corners) -> Picture:
    """Return what ``perspective`` does: bilinear at the same size, black outside.

    Coordinates of the outermost pixels are mapped to `corners`; torchvision then samples at pixel
    centres that lie half a pixel farther on, on both sides, which shifts nothing but the map.
    """
    height, width = pixels.shape[:2]
    start = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], np.float32)
    back = cv2.getPerspectiveTransform(np.array(corners, np.float32), start)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ back @ half
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(pixels, matrix, (width, height), flags=flags), np.uint8)
