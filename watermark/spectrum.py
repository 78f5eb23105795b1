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

_TAPER = 0.25  # share of each side that the window fades over
# Transform over window: peaks are then sampled at three quarters of their width; large windows
# have peaks to spare, and cost the most.
_PADDED, _PADDED_LARGE, _LARGE = 1.4, 1.1, 500
_LOCAL = 1 / 40  # of the transform: side of the average that power is divided by
_BLUR = 0.6  # bins of the unpadded transform
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
        Transform of a window whose middle is the origin, in the order of `numpy.fft.rfft2`.
    power : ndarray of float32, shape (ny, nx/2 + 1)
        Its squared magnitude over the local mean, rows from the lowest frequency up.
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
        part = at - whole
        result = np.zeros(at.shape[:-1], np.complex128)
        flat, noise = self.waves.ravel(), self.noise.ravel()
        half, count = self.shape[0] // 2 * self.power.shape[1], self.power.size
        for right in (0, 1):
            for down in (0, 1):
                places, turned = self.places(whole[..., 0] + right, whole[..., 1] + down)
                values = flat[(places - half) % count] / np.sqrt(noise[places])
                share = (part[..., 0] if right else 1 - part[..., 0]) * (
                    part[..., 1] if down else 1 - part[..., 1]
                )
                result += share * np.where(turned, values.conj(), values)
        return result


@lru_cache(maxsize=32)
def _taper(count: int) -> NDArray[np.float32]:
    return np.asarray(tukey(count + 2, _TAPER)[1:-1], np.float32)


@lru_cache(maxsize=32)
def _to_middle(size: int, count: int) -> NDArray[np.complex64]:
    """Return what moves the origin from the first sample's index to the window's middle."""
    turns = np.fft.fftfreq(count) * (size / 2 - 0.5)
    return np.asarray(np.exp(2j * np.pi * turns), np.complex64)


def spectrum(part: NDArray[np.float32], centre: tuple[float, float]) -> Spectrum:
    """Transform a window of a residual."""
    height, width = part.shape
    padded = _PADDED_LARGE if _LARGE <= min(height, width) == max(height, width) else _PADDED
    rows = 2 * scipy.fft.next_fast_len(int(height * padded) // 2 + 1, real=True)
    columns = 2 * scipy.fft.next_fast_len(int(width * padded) // 2 + 1, real=True)
    faded = part * (_taper(height)[:, None] * _taper(width))
    waves = np.asarray(scipy.fft.rfft2(faded, s=(rows, columns)), np.complex64)
    waves *= _to_middle(height, rows)[:, None]
    waves *= _to_middle(width, columns)[: waves.shape[1]]
    power = waves.real**2 + waves.imag**2
    power = np.concatenate([power[rows // 2 :], power[: rows // 2]])
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
