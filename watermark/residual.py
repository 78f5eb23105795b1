"""The canonical grid, and what is left of a picture when its content is suppressed.

No key is used here, so what is observed may be stored and asked later, and anything done here
leaves the p-value true.

Pixel centres are at half-integers.  The canonical size of an H × W frame is H·s by W·s with
s = short / min(H, W), kept as real numbers: the tile grid starts at the frame's top left corner
and is never rescaled to fit whole pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from watermark.frame import Luma
from watermark.profile import Profile

__all__ = ["blur", "canonical_scale", "from_canonical", "to_canonical", "whiten"]

# On a canvas finer than the profile's grid marks are small and their neighbours near.
_FINER_REACH, _NEARER = 5, 0.8
_CODED = 2.0  # noise of a film's frames, code values squared
# From so many canvas pixels to one of the picture the bilateral filter reaches farther: by so many
# pixels in all, with a standard deviation so many times as large.
_GROWN, _FARTHER, _WIDER = 1.5, 4, 1.5


def canonical_scale(shape: tuple[int, ...], profile: Profile) -> float:
    """Return s, canonical pixels per pixel of a frame of `shape`."""
    return profile.short / min(shape[:2])


def to_canonical(luma: Luma, profile: Profile) -> Luma:
    """Resample luma to the canonical grid: area average down, cubic up."""
    scale = canonical_scale(luma.shape, profile)
    if scale == 1:
        return luma
    # With the factor rather than a size, OpenCV keeps the exact scale and the corner.
    if scale > 1:
        grown = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        return np.asarray(grown, np.float32)
    whole = int(1 / scale)
    size = round(luma.shape[0] * scale), round(luma.shape[1] * scale)
    if whole > 1:
        # An average over whole pixels first is several times as fast as one over fractions.
        luma = _reduced(luma, whole)
    rest = scale * whole
    if rest != 1:
        canvas = cv2.resize(luma, None, fx=rest, fy=rest, interpolation=cv2.INTER_AREA)
        luma = np.asarray(canvas, np.float32)
    return luma[: size[0], : size[1]]


def _reduced(luma: Luma, whole: int) -> Luma:
    """Average over squares of whole pixels, the last ones filled up with the border's values."""
    height, width = luma.shape
    rows, columns = height // whole, width // whole
    result = np.empty((-(-height // whole), -(-width // whole)), np.float32)
    # The last ones apart, so that no copy of a large picture is made for their sake.
    for top, left, inner in (
        (0, 0, luma[: rows * whole, : columns * whole]),
        (0, columns, luma[: rows * whole, columns * whole :]),
        (rows, 0, luma[rows * whole :]),
    ):
        if inner.size == 0:
            continue
        beyond = [(0, -side % whole) for side in inner.shape]
        full = np.pad(inner, beyond, mode="edge") if np.any(beyond) else inner
        size = full.shape[1] // whole, full.shape[0] // whole
        small = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        result[top : top + size[1], left : left + size[0]] = small.reshape(size[::-1])
    return result


def from_canonical(canvas: Luma, shape: tuple[int, int], profile: Profile) -> Luma:
    """Resample a canonical canvas that covers a frame of `shape` to that frame."""
    scale = canonical_scale(shape, profile)
    if scale != 1:
        method = cv2.INTER_CUBIC if scale < 1 else cv2.INTER_AREA
        grown = cv2.resize(canvas, None, fx=1 / scale, fy=1 / scale, interpolation=method)
        canvas = np.asarray(grown, np.float32)
    return canvas[: shape[0], : shape[1]]


def blur(image: Luma, sigma: float) -> Luma:
    """Return `image` blurred by a Gaussian of standard deviation `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def whiten(
    canvas: Luma,
    profile: Profile,
    *,
    grown: float = 1.0,
    finer: bool = False,
    coded: bool = False,
) -> Luma:
    """Return the whitened residual of a canonical luma canvas, of the same shape.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
    profile : Profile
    grown : float
        Canvas pixels per pixel of the picture.  Where those are few, neighbours that say something
        new are farther away, and the filter reaches farther.
    finer : bool
        Whether the canvas is finer than the profile's own grid.
    coded : bool
        Whether it is a frame of a film.  Where a codec left nothing but its own traces, of a code
        value or less, they are not blown up as much.

    Notes
    -----
    What a bilateral filter predicts from the neighbours is taken away: unlike a blur it leaves
    edges out of the residual, where they would drown the mark (Tomasi & Manduchi 1998,
    DOI 10.1109/ICCV.1998.710815).  The rest is divided by its own local standard deviation, so that
    each place speaks with the weight its noise leaves it.
    """
    reach, near = profile.reach, profile.near
    if grown >= _GROWN:
        reach, near = reach + _FARTHER, near * _WIDER
    elif finer:
        reach, near = _FINER_REACH, near * _NEARER
    content = cv2.bilateralFilter(canvas, reach, profile.alike, near)
    residual = np.asarray(content, np.float32)
    np.subtract(canvas, residual, out=residual)
    deviation = blur(residual * residual, profile.pool)
    deviation += np.float32(max(profile.noise, _CODED) if coded else profile.noise)
    np.sqrt(deviation, out=deviation)
    residual /= deviation
    return residual
