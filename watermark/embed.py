"""Marking a frame: the tile over the whole canonical grid, as strong as the mask allows."""

from __future__ import annotations

import numpy as np

from watermark.frame import Luma, Pixels, add_luma, luma
from watermark.key import Key
from watermark.mask import mask
from watermark.pattern import mark_tile, repeat
from watermark.profile import DEFAULT, Profile
from watermark.residual import canonical_scale, from_canonical, to_canonical

__all__ = ["delta", "embed"]

_MARGIN = 3  # canonical pixels beyond the frame, so that resampling reads pattern up to its edge


def delta(
    plane: Luma, key: Key, number: int, *, profile: Profile = DEFAULT, strength: float = 1.0
) -> Luma:
    """Return what a mark adds to the luma of a frame.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values 0–255.
    key : Key
    number : int
        Mark number of 48 bits.
    profile : Profile
    strength : float
        Factor on the amplitude; 0 gives zeros exactly.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Code values, before any rounding.
    """
    height, width = plane.shape
    if strength == 0:
        return np.zeros_like(plane)
    canvas = to_canonical(plane, profile)
    strengths = mask(canvas, min(height, width), profile)
    if strength != 1:
        strengths = strengths * np.float32(strength)
    scale = canonical_scale(plane.shape, profile)
    size = (int(np.ceil(height * scale)) + _MARGIN, int(np.ceil(width * scale)) + _MARGIN)
    carrier = repeat(mark_tile(key, number, profile), size)
    rows, columns = size[0] - strengths.shape[0], size[1] - strengths.shape[1]
    carrier *= np.pad(strengths, ((0, rows), (0, columns)), mode="edge")
    return from_canonical(carrier, (height, width), profile)


def embed(
    pixels: Pixels, key: Key, number: int, *, profile: Profile = DEFAULT, strength: float = 1.0
) -> Pixels:
    """Return a marked copy of a picture.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        Grey or RGB as stored, in the orientation in which it is shown.
    key : Key
    number : int
        Mark number of 48 bits, as the registry gives it.
    profile : Profile
    strength : float
        1 is the profile's own; 0 gives the picture back exactly.

    Returns
    -------
    ndarray like `pixels`
        Differences between R, G and B are those of the original, exactly.

    Raises
    ------
    PayloadError
        If `number` is not an integer of 48 bits.
    """
    return add_luma(pixels, delta(luma(pixels), key, number, profile=profile, strength=strength))
