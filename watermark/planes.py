"""Luma planes of video: how their samples are coded, and how a stored frame is shown.

A plane is uint8 (8 bit) or uint16 (9 to 16 bit, in the low bits), shape (H, W), as it is stored.
Luma is float32 in code values of full range 0–255 whatever the depth: limited range is expanded
(ITU-R BT.709-6 and BT.2100-2: black at 16·2^(b−8), white at 235·2^(b−8)), and what lies below
black or above white keeps lying there.  Samples are never rounded to a lower depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.frame import Luma, Pixels, as_shown, as_stored

__all__ = ["Plane", "PlaneFormat", "Shown", "sdr_luma"]

Plane = NDArray[Any]  # uint8 or uint16

_TRANSFERS = ("sdr", "pq", "hlg")
_STEP = np.iinfo(np.int16)
_SIGNED_BITS = 14  # up to here a sample and what is added to it fit into int16

# EXIF orientation by (degrees clockwise, mirrored left to right after the turn).
_ORIENTATIONS = {
    (0, False): 1,
    (90, False): 6,
    (180, False): 3,
    (270, False): 8,
    (0, True): 2,
    (90, True): 5,
    (180, True): 4,
    (270, True): 7,
}

# SMPTE ST 2084 (PQ), ITU-R BT.2100-2, table 4.
_PQ_M1, _PQ_M2 = 2610 / 16384, 2523 / 32
_PQ_C1, _PQ_C2, _PQ_C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_PQ_PEAK = 10000.0  # cd/m²
# HLG, ITU-R BT.2100-2, table 5, on a display of 1000 cd/m² with its gamma of 1.2.
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
# The white of SDR beside HDR (ITU-R BT.2408), and the gamma of its display (BT.1886).
_SDR_WHITE, _SDR_GAMMA = 203.0, 2.4


@dataclass(frozen=True, slots=True)
class PlaneFormat:
    """How luma is coded in the planes of a video.

    Parameters
    ----------
    bits : int
        8 to 16; 8 is held in uint8, more in the low bits of uint16.
    full : bool
        Full range, or limited.
    transfer : str
        ``sdr``, ``pq`` or ``hlg``.
    """

    bits: int
    full: bool
    transfer: str = "sdr"

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16:
            raise ValueError(f"a plane has 8 to 16 bits, not {self.bits}")
        if self.transfer not in _TRANSFERS:
            raise ValueError(f"transfer is one of {', '.join(_TRANSFERS)}, not {self.transfer!r}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """What samples are held in."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def black(self) -> int:
        """Sample of luma 0."""
        return 0 if self.full else 16 << (self.bits - 8)

    @property
    def white(self) -> int:
        """Sample of luma 255."""
        return (1 << self.bits) - 1 if self.full else 235 << (self.bits - 8)

    @property
    def gain(self) -> float:
        """How many samples' steps make one code value of luma."""
        return (self.white - self.black) / 255

    def check(self, plane: Plane) -> None:
        """Raise ValueError unless `plane` is a plane of this format."""
        if plane.ndim != 2 or plane.dtype != self.dtype:
            raise ValueError(
                f"a plane of {self.bits} bits is {self.dtype} of shape (H, W), "
                f"not {plane.dtype} of shape {plane.shape}"
            )

    def to_luma(self, plane: Plane) -> Luma:
        """Return the luma of a plane: float32 (H, W), code values of full range."""
        self.check(plane)
        luma = plane.astype(np.float32)
        if self.black:
            luma -= np.float32(self.black)
        return luma if self.gain == 1 else np.multiply(luma, np.float32(1 / self.gain), out=luma)

    def add(self, plane: Plane, delta: Luma) -> Plane:
        """Return a new plane whose luma is higher by `delta`.

        Parameters
        ----------
        plane : ndarray of uint8 or uint16, shape (H, W)
        delta : ndarray of float32, shape (H, W)
            Code values of luma, finite; rounded once, to this depth.

        Returns
        -------
        ndarray like `plane`
            Where it would leave [black, white], it stops there; a sample that lay outside before
            is not pushed further out.
        """
        wide = np.rint(delta * np.float32(self.gain))
        return self.add_steps(plane, np.clip(wide, _STEP.min, _STEP.max).astype(np.int16))

    def add_steps(self, plane: Plane, steps: NDArray[np.int16]) -> Plane:
        """Do what `add` does with a delta in whole steps of the samples."""
        self.check(plane)
        if steps.shape != plane.shape:
            raise ValueError(f"what is added has shape {plane.shape}, not {steps.shape}")
        if 8 < self.bits <= _SIGNED_BITS:
            # As signed numbers nothing wraps or needs widening, which is several times as fast.
            signed = plane.view(np.int16)
            added: Plane = cv2.add(signed, steps)
            return self._bounded(added, signed).view(np.uint16)
        # cv2 saturates at the ends of the type, which are those of full range.
        kind = cv2.CV_8U if self.bits == 8 else cv2.CV_16U
        added = np.asarray(cv2.add(plane, steps, dtype=kind))
        return added if self.full and self.bits in {8, 16} else self._bounded(added, plane)

    def _bounded(self, added: Plane, before: Plane) -> Plane:
        """Limit samples to [black, white], or to where they were if that is farther out."""
        black: Any = self.black  # OpenCV takes numbers too, which its types do not say
        white: Any = self.white
        if added.size == 1:  # which OpenCV takes for a number
            return np.clip(added, np.minimum(before, black), np.maximum(before, white))
        cv2.max(added, cv2.min(before, black), dst=added)
        cv2.min(added, cv2.max(before, white), dst=added)
        return added


@dataclass(frozen=True, slots=True)
class Shown:
    """How a stored frame becomes the shown one.

    Parameters
    ----------
    rotation : int
        Degrees clockwise to turn the stored frame by: 0, 90, 180 or 270.
    mirrored : bool
        Whether it is mirrored left to right, after the turn.
    aspect : float
        Sample aspect ratio: width over height of a stored pixel.
    """

    rotation: int = 0
    mirrored: bool = False
    aspect: float = 1.0

    def __post_init__(self) -> None:
        if self.rotation not in {0, 90, 180, 270}:
            raise ValueError(f"a rotation is 0, 90, 180 or 270 degrees, not {self.rotation}")
        if not (np.isfinite(self.aspect) and self.aspect > 0):
            raise ValueError(f"an aspect ratio is a positive number, not {self.aspect}")

    def upright(self, plane: Plane) -> Plane:
        """Return a stored plane turned the way it is shown; its pixels are not made square."""
        return as_shown(plane, self._orientation)

    def stored(self, plane: Pixels) -> Plane:
        """Undo `upright`, exactly."""
        return as_stored(plane, self._orientation)

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) in square pixels of what a stored frame of that size shows.

        Nothing is made smaller: wide pixels widen the frame, tall ones make it taller.
        """
        if self.aspect >= 1:
            width = max(1, round(width * self.aspect))
        else:
            height = max(1, round(height / self.aspect))
        return (width, height) if self.rotation % 180 else (height, width)

    @property
    def _orientation(self) -> int:
        return _ORIENTATIONS[self.rotation, self.mirrored]


def sdr_luma(luma: NDArray[np.floating], transfer: str) -> NDArray[np.float64]:
    """Return the SDR luma that shows the same light as `luma` under another transfer function.

    Parameters
    ----------
    luma : ndarray
        Code values 0–255.
    transfer : str
        ``sdr`` gives the values back.

    Returns
    -------
    ndarray of float64, of the same shape
        Code values; above 255 for what is brighter than SDR's white.
    """
    signal = np.clip(np.asarray(luma, np.float64) / 255, 0, 1)
    if transfer == "pq":
        power = signal ** (1 / _PQ_M2)
        light = np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)
        nits = _PQ_PEAK * light ** (1 / _PQ_M1)
    elif transfer == "hlg":
        upper = (np.exp((signal - _HLG_C) / _HLG_A) + _HLG_B) / 12
        nits = _HLG_PEAK * np.where(signal <= 0.5, signal**2 / 3, upper) ** _HLG_GAMMA
    else:
        return np.asarray(luma, np.float64)
    return np.asarray(255 * (nits / _SDR_WHITE) ** (1 / _SDR_GAMMA), np.float64)
