"""How far a marked picture is from its original: PSNR and SSIM.

Both compare two arrays of one shape, (H, W) or (H, W, C): luma or pixels.
`data_range` is the distance from black to white: 255 for uint8 and for luma (float32 in code
values 0–255), 65535 for uint16; it is taken from the type when not given.

Equal arrays have a PSNR of infinity.  JSON holds no infinity, so whoever writes JSON writes null:
``None if math.isinf(value) else value``.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["psnr", "ssim"]

_SIGMA = 1.5  # pixels; Wang et al. 2004, section III-C
_RADIUS = 5  # pixels; the 11 × 11 window of the same section
_K1, _K2 = 0.01, 0.03  # the constants of the same section
_BAND = 1 << 17  # samples worked on at a time, so that the planes in between stay in the cache


def psnr(reference: NDArray[Any], image: NDArray[Any], *, data_range: float | None = None) -> float:
    """Return the peak signal-to-noise ratio in decibels, infinity for equal arrays.

    Parameters
    ----------
    reference, image : ndarray of shape (H, W) or (H, W, C)
    data_range : float, optional
        Distance from black to white; by default that of the type.
    """
    peak = _data_range(reference, image, data_range)
    total = float(cv2.norm(reference, image, cv2.NORM_L2SQR))
    return math.inf if total == 0 else 10 * math.log10(peak**2 * reference.size / total)


def ssim(reference: NDArray[Any], image: NDArray[Any], *, data_range: float | None = None) -> float:
    """Return the mean structural similarity, 1 for equal arrays.

    Gaussian window of 1.5 pixels; the mean is over the places where the whole window lies inside,
    and over channels.  Wang, Bovik, Sheikh, Simoncelli 2004, DOI 10.1109/TIP.2003.819861.

    Parameters
    ----------
    reference, image : ndarray of shape (H, W) or (H, W, C), H and W at least 11
    data_range : float, optional
        Distance from black to white; by default that of the type.
    """
    span = _data_range(reference, image, data_range)
    if min(reference.shape[:2]) < 2 * _RADIUS + 1:
        raise ValueError(
            f"SSIM needs at least {2 * _RADIUS + 1} pixels a side, not {reference.shape[:2]}"
        )
    rows = max(1, _BAND // reference[0].size)
    inner = reference.shape[0] - 2 * _RADIUS
    total = math.fsum(
        _ssim_sum(
            reference[top : top + rows + 2 * _RADIUS], image[top : top + rows + 2 * _RADIUS], span
        )
        for top in range(0, inner, rows)
    )
    channels = reference.size // (reference.shape[0] * reference.shape[1])
    return total / float(inner * (reference.shape[1] - 2 * _RADIUS) * channels)


def _ssim_sum(reference: NDArray[Any], image: NDArray[Any], span: float) -> float:
    """Return the sum of the similarity over the places whose window lies inside."""
    # Variances do not change with a shift, and small numbers keep float32 sums exact.
    half = np.float32(span / 2)
    x = reference.astype(np.float32) - half
    y = image.astype(np.float32) - half
    mean_x, mean_y = _window(x), _window(y)
    squares = _window(x * x + y * y) - (mean_x * mean_x + mean_y * mean_y)
    cross = _window(x * y) - mean_x * mean_y
    mean_x += half
    mean_y += half
    c1, c2 = np.float32((_K1 * span) ** 2), np.float32((_K2 * span) ** 2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    structure = (2 * cross + c2) / (squares + c2)
    return float(np.sum(luminance * structure, dtype=np.float64))


def _window(image: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (2 * _RADIUS + 1, 2 * _RADIUS + 1)
    blurred = np.asarray(cv2.GaussianBlur(image, size, _SIGMA), np.float32)
    return blurred[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS].copy()


def _data_range(reference: NDArray[Any], image: NDArray[Any], data_range: float | None) -> float:
    if reference.shape != image.shape or reference.dtype != image.dtype:
        raise ValueError(
            "two pictures are compared at one shape and type, not "
            f"{reference.shape} {reference.dtype} with {image.shape} {image.dtype}"
        )
    if reference.ndim not in {2, 3} or reference.size == 0:
        raise ValueError(f"a picture has shape (H, W) or (H, W, C), not {reference.shape}")
    if data_range is None:
        return 65535.0 if reference.dtype == np.uint16 else 255.0
    if not (math.isfinite(data_range) and data_range > 0):
        raise ValueError(f"data_range is a positive number, not {data_range}")
    return data_range
