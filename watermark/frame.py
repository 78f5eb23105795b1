"""Pixels and their luma: the one plane that is marked, with no codec in sight.

A picture is an array of shape (H, W), grey, or (H, W, 3), RGB, in uint8 or uint16, as stored:
no colour management and no linear light.
Luma is float32 of shape (H, W) in 8-bit code values 0–255 whatever the depth;
16-bit code values are divided by 257, never rounded.

A mark is one *luma delta* added to R, G and B alike.
The weights of luma sum to 1, so luma moves by exactly the delta, and the differences between
channels (chroma) do not move at all.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Luma", "Pixels", "add_luma", "as_shown", "as_stored", "code_scale", "luma"]

Pixels = NDArray[Any]  # uint8 or uint16
Luma = NDArray[np.float32]

# ITU-R BT.709-6, item 3.2: the weights of R', G', B' in E'Y.
_BT709 = (0.2126, 0.7152, 0.0722)

_BAND = 1 << 17  # pixels worked on at a time, so that the planes in between stay in the cache


def code_scale(pixels: Pixels) -> int:
    """Return how many stored code values make one 8-bit code value: 1 (uint8) or 257 (uint16).

    Raises
    ------
    ValueError
        If `pixels` is not a uint8 or uint16 array of shape (H, W) or (H, W, 3).
    """
    if pixels.ndim not in {2, 3} or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"pixels have shape (H, W) or (H, W, 3), not {pixels.shape}")
    if 0 in pixels.shape:
        raise ValueError(f"a picture has at least one pixel; this one has shape {pixels.shape}")
    if pixels.dtype == np.uint8:
        return 1
    if pixels.dtype == np.uint16:
        return 257
    raise ValueError(f"pixels are uint8 or uint16, not {pixels.dtype}")


def luma(pixels: Pixels) -> Luma:
    """Return the luma of a picture.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        Grey or RGB, as stored (non-linear).

    Returns
    -------
    luma : ndarray of shape (H, W), float32
        Code values 0–255, by the weights of BT.709.
    """
    scale = code_scale(pixels)
    height, width = pixels.shape[:2]
    if pixels.ndim == 2:
        grey = pixels.astype(np.float32)
        return grey if scale == 1 else np.divide(grey, np.float32(scale), out=grey)
    weights = np.array([_BT709], np.float32) / np.float32(scale)
    result = np.empty((height, width), np.float32)
    rows = max(1, _BAND // 4 // width)  # float32 takes four times the room of uint8
    for top in range(0, height, rows):
        band = np.asarray(pixels[top : top + rows], np.float32)
        result[top : top + rows] = cv2.transform(band, weights).reshape(-1, width)
    return result


def add_luma(pixels: Pixels, delta: Luma) -> Pixels:
    """Return a picture whose luma is higher by `delta`, with the same chroma.

    The delta is rounded once to the picture's depth, then limited at each pixel to
    [−min(R, G, B), maximum − max(R, G, B)], so that no channel clips.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        Grey or RGB.
    delta : ndarray of shape (H, W), float32
        Luma to add, in 8-bit code values (1.0 is 257 steps of a 16-bit picture).

    Returns
    -------
    pixels : ndarray like `pixels`
        A new array.  Differences between channels are those of the input, exactly.
    """
    scale = code_scale(pixels)
    height, width = pixels.shape[:2]
    if delta.shape != (height, width) or delta.dtype != np.float32:
        raise ValueError(
            f"delta is float32 of shape {(height, width)}, not {delta.dtype} of {delta.shape}"
        )
    if not np.isfinite(np.dot(delta.ravel(), delta.ravel())):  # cheaper than looking at each
        raise ValueError("delta holds a value that is not finite")
    result = np.empty_like(pixels, order="C")
    rows = max(1, _BAND // pixels.itemsize // width)
    for top in range(0, height, rows):
        band = pixels[top : top + rows]
        step = _limited_step(band, delta[top : top + rows], scale)
        if band.ndim == 3:
            step = cv2.cvtColor(step, cv2.COLOR_GRAY2RGB)
        np.add(band, step, out=result[top : top + rows])
    return result


def as_shown(pixels: Pixels, orientation: int) -> Pixels:
    """Turn stored pixels the way a viewer shows them.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, C)
    orientation : int
        1 to 8, as in the EXIF tag 0x0112 (CIPA DC-008, section 4.6.4).

    Returns
    -------
    pixels : ndarray of shape (H, W, ...) for 1 to 4, (W, H, ...) for 5 to 8
        Contiguous; the input itself when `orientation` is 1.
    """
    return _turned(pixels, orientation)


def as_stored(pixels: Pixels, orientation: int) -> Pixels:
    """Undo `as_shown`, exactly: the inverse for the same `orientation`."""
    return _turned(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    turns: dict[int, Pixels] = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels[::-1].swapaxes(0, 1),  # a quarter turn clockwise
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels[:, ::-1].swapaxes(0, 1),  # a quarter turn counter-clockwise
    }
    if orientation not in turns:
        raise ValueError(f"an orientation is 1 to 8, not {orientation}")
    return np.ascontiguousarray(turns[orientation])


def _limited_step(pixels: Pixels, delta: Luma, scale: int) -> Pixels:
    """Return the rounded and limited delta, negative values in two's complement.

    Unsigned arithmetic wraps, so adding the result gives pixel + delta in one pass; working with
    a magnitude and a sign keeps everything at the width of a pixel.
    """
    if pixels.ndim == 3:
        red, green, blue = cv2.split(pixels)
        lowest = cv2.min(cv2.min(red, green), blue)
        highest = cv2.max(cv2.max(red, green), blue)
    else:
        lowest = highest = pixels
    negative = np.less(delta, 0).view(np.uint8)
    room = cv2.copyTo(lowest, negative, np.invert(highest))  # maximum − highest where positive
    if scale == 1:
        magnitude = cv2.convertScaleAbs(delta)  # rounds to nearest and saturates at 255
    else:
        wide = np.multiply(np.abs(delta), np.float32(scale))
        magnitude = np.minimum(np.rint(wide, out=wide), np.float32(65535)).astype(np.uint16)
    sign = np.negative(negative.astype(pixels.dtype, copy=False))  # all bits set where negative
    np.minimum(magnitude, room, out=magnitude)
    np.bitwise_xor(magnitude, sign, out=magnitude)
    result: Pixels = np.subtract(magnitude, sign, out=magnitude)
    return result
