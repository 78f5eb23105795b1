"""Decoded films as values: what a film says of itself, its frames, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from watermark.frame import Luma
from watermark.planes import Plane, PlaneFormat, Shown

__all__ = ["ClipFrame", "ClipInfo", "Limits", "as_shown"]


def as_shown(plane: Plane, coded: PlaneFormat, geometry: Shown) -> Luma:
    """Return the luma of a stored plane as it is shown: upright, in square pixels.

    Parameters
    ----------
    plane : ndarray of uint8 or uint16, shape (H, W)
    coded : PlaneFormat
    geometry : Shown

    Returns
    -------
    ndarray of float32, of the shape ``geometry.size(H, W)``
    """
    luma = coded.to_luma(geometry.upright(plane))
    height, width = geometry.size(*plane.shape)
    if luma.shape != (height, width):
        luma = np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_CUBIC))
    return luma


@dataclass(frozen=True, slots=True)
class Limits:
    """What a film may cost.

    Parameters
    ----------
    memory : int
        Bytes of memory of the decoding process.
    cpu : int
        Seconds of its processor time.
    silence : float
        Seconds without a frame or a word after which it is given up.
    pixels : int
        In a frame.
    duration : float
        Seconds.
    streams : int
        Of any kind.
    threads : int
        That decode.
    """

    memory: int = 3 << 30  # 8K HEVC with two threads takes about 2 GB
    cpu: int = 4 * 3600
    silence: float = 120.0
    pixels: int = 36_000_000  # 8K, and a little more
    duration: float = 24 * 3600.0
    streams: int = 128
    threads: int = 2


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What a film says of itself.

    Parameters
    ----------
    duration : float or None
        Seconds.
    rate : float
        Frames a second, on average.
    width, height : int
        Of the stored frame.
    format : PlaneFormat
    geometry : Shown
    frames : int or None
        As the container tells, where it does.
    kind : str
        ``film`` or ``animation``: a GIF, WebP or APNG.
    """

    duration: float | None
    rate: float
    width: int
    height: int
    format: PlaneFormat
    geometry: Shown
    frames: int | None
    kind: str

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame as it is shown, in square pixels."""
        return self.geometry.size(self.height, self.width)

    def shown(self, plane: Plane) -> Luma:
        """Return the luma of a stored plane as it is shown: upright, in square pixels."""
        return as_shown(plane, self.format, self.geometry)


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """One decoded frame.

    Parameters
    ----------
    time : float
        Seconds from the start of the film.
    plane : ndarray of uint8 or uint16, shape (H, W)
        Luma as it is stored.
    key : bool
        Whether it was coded by itself.
    share : float
        How much of it was coded anew, 0–1: 1 where it was coded by itself, next to nothing where a
        codec moved what it had shown before.
    """

    time: float
    plane: Plane
    key: bool
    share: float = 1.0
