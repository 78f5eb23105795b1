"""Spectra of parts of a residual: where a repeated pattern shows as lines.

No key is used here.  Frequencies are (x, y) in cycles per canvas pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.signal.windows import tukey

__all__ = ["CLIP", "Spectrum", "spectrum", "windows"]

# Share of each side that a window fades over: of a whole picture little is given away.
_TAPER, _TAPER_WHOLE = 0.25, 0.12
# Transform over window: peaks are then sampled at three quarters of their width; large windows
# have peaks to spare, and cost the most.
_PADDED, _PADDED_LARGE, _LARGE = 1.4, 1.1, 500
_LOCAL = 1 / 40  # of the transform: side of the average that power is divided by
_BLUR = 0.6  # bins of the unpadded transform
_OFFSETS, _KAISER = (-1, 0, 1, 2), 2.0  # bins that a frequency between them is interpolated from
CLIP = 8.0  # times the local mean: no single line of the host decides


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """One window's transform.

    Parameters
    ----------
    centre : tuple of float
        (x, y) of the window's middle on its canvas.
    size : tuple of int
        Height and width of the window.
    shape : tuple of int
        Height ny and width nx of the transform.
    waves : ndarray of complex64, shape (ny, nx/2 + 1)
        Transform with the origin at the pixel below and right of the window's middle, or in it;
        rows from the lowest frequency up.
    power : ndarray of float32, shape (ny, nx/2 + 1)
        Its squared magnitude over the local mean.
    noise : ndarray of float32, shape (ny, nx/2 + 1)
        That local mean.
    smooth : ndarray of float32, shape (ny, nx/2 + 1)
        The power clipped and blurred to the width of a line: what a coarse search looks at.
    """

    centre: tuple[float, float]
    size: tuple[int, int]
    shape: tuple[int, int]
    waves: NDArray[np.complex64]
    power: NDArray[np.float32]
    noise: NDArray[np.float32]
    smooth: NDArray[np.float32]

    def bins(self, frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (x, y) frequencies in bins of the transform."""
        return frequencies * np.array(self.shape[::-1], np.float64)

    def places(
        self, x: NDArray[np.integer], y: NDArray[np.integer]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return flat indices of bins, clipped to the transform, and which are conjugates."""
        rows, columns = self.power.shape
        turned = x < 0
        column = np.minimum(np.abs(x), columns - 1)
        row = np.clip(np.where(turned, -y, y) + rows // 2, 0, rows - 1)
        return np.asarray(row * columns + column, np.intp), turned

    def amplitudes(self, frequencies: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return the transform at any frequencies (..., 2), interpolated, of unit noise power."""
        at = self.bins(frequencies)
        whole = np.floor(at).astype(np.intp)
        share = _taps(at - whole)
        result = np.zeros(at.shape[:-1], np.complex128)
        flat, noise = self.waves.ravel(), self.noise.ravel()
        for right, across in zip(_OFFSETS, share[..., 0, :].T, strict=True):
            for down, along in zip(_OFFSETS, share[..., 1, :].T, strict=True):
                places, turned = self.places(whole[..., 0] + right, whole[..., 1] + down)
                values = flat[places] / np.sqrt(noise[places])
                result += (across * along).T * np.where(turned, values.conj(), values)
        # From the origin's pixel to the window's middle, half a pixel where its side is even.
        off = np.array([size % 2 - 1 for size in self.size[::-1]]) / 2
        return np.asarray(result * np.exp(2j * np.pi * (frequencies @ off)))


def _taps(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights (..., 4) of the bins around a place this far after one, 0 to 1.

    A sinc under a Kaiser window: of a wave right between bins, in a large window, it leaves 0.83
    where straight lines leave 0.50.
    """
    off = part[..., None] - np.array(_OFFSETS)
    window = np.i0(_KAISER * np.sqrt(np.maximum(0, 1 - np.square(off / 2))))
    return np.asarray(np.sinc(off) * window / np.i0(_KAISER))


@lru_cache(maxsize=32)
def _taper(count: int, share: float) -> NDArray[np.float32]:
    return np.asarray(tukey(count + 2, share)[1:-1], np.float32)


def spectrum(
    part: NDArray[np.float32], centre: tuple[float, float], *, whole: bool = False
) -> Spectrum:
    """Transform a window of a residual, or all of it."""
    height, width = part.shape
    padded = _PADDED_LARGE if _LARGE <= min(height, width) == max(height, width) else _PADDED
    rows = 2 * scipy.fft.next_fast_len(int(height * padded) // 2 + 1, real=True)
    columns = 2 * scipy.fft.next_fast_len(int(width * padded) // 2 + 1, real=True)
    waves = scipy.fft.rfft2(
        _around_origin(part, rows, columns, _TAPER_WHOLE if whole else _TAPER), overwrite_x=True
    )
    power = np.square(waves.real)
    power += np.square(waves.imag)
    side = max(9, int(min(rows, columns) * _LOCAL)) | 1
    noise = cv2.blur(power, (side, side), borderType=cv2.BORDER_REFLECT) + np.float32(1e-6)
    power /= noise
    sigma = (_BLUR * columns / width, _BLUR * rows / height)
    smooth = cv2.GaussianBlur(np.minimum(power, np.float32(CLIP)), (5, 5), *sigma)
    return Spectrum(
        centre,
        (height, width),
        (rows, columns),
        waves,
        power,
        np.asarray(noise, np.float32),
        np.asarray(smooth, np.float32),
    )


def _around_origin(
    part: NDArray[np.float32], rows: int, columns: int, share: float
) -> NDArray[np.float32]:
    """Return a faded window that is laid out with its middle at the first pixel.

    Every second row is negated, by which the lowest frequency comes first in its transform.
    """
    height, width = part.shape
    top, left = height // 2, width // 2
    down, across = _taper(height, share).copy(), _taper(width, share)
    down[1 - top % 2 :: 2] *= -1
    laid = np.zeros((rows, columns), np.float32)
    for here, there in (
        (slice(top, None), slice(height - top)),
        (slice(top), slice(rows - top, None)),
    ):
        faded = part[here] * down[here, None]
        np.multiply(faded[:, left:], across[left:], out=laid[there, : width - left])
        np.multiply(faded[:, :left], across[:left], out=laid[there, columns - left :])
    return laid


def windows(shape: tuple[int, int], side: int | None) -> list[tuple[int, int, int, int]]:
    """Return (top, left, height, width) of windows that overlap by a third, or of one for all."""
    height, width = shape
    if side is None:
        return [(0, 0, height, width)]
    tall, wide = min(side, height), min(side, width)
    tops, lefts = (
        np.linspace(0, total - part, 1 + -(-3 * (total - part) // (2 * part))).astype(int).tolist()
        for total, part in ((height, tall), (width, wide))
    )
    return [(top, left, tall, wide) for top in tops for left in lefts]
