"""A decoded picture with what has to be known to write it back; no codec in sight."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from watermark.errors import UnsupportedMedia
from watermark.files import AnyPath, shown
from watermark.frame import Pixels, as_shown, as_stored
from watermark.quantisation import JpegCoding

__all__ = ["MAX_RATIO", "MIN_SIDE", "SMALLEST_READ", "Still", "check_size"]

MIN_SIDE = 128  # pixels; under a quarter of the canonical short side little of a mark is left
SMALLEST_READ = 16  # pixels; a canvas is still made of it, though hardly anything is ever found
MAX_RATIO = 16  # long side to short side


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A decoded picture and what has to be known to write it back.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        Grey or RGB as stored.
    alpha : ndarray of shape (H, W), or None
        Of the type of `pixels`; carried, never touched.
    format : str
        What it was read from: ``png``, ``jpeg``, ``webp``, ``tiff``, ``avif`` or ``heic``.
    bits : int
        Bits of a sample in the file: 8, 10, 12 or 16.
    orientation : int
        1 to 8, as in EXIF.
    lossless : bool
        Whether the file was coded without loss, as far as it can be told.
    jpeg : JpegCoding or None
        How a JPEG file was quantised.
    resolution : tuple of float
        Pixels per millimetre, across and down.
    header : tuple of (name, libvips type, value)
        The carried metadata.
    """

    pixels: Pixels = field(repr=False)
    alpha: Pixels | None = field(repr=False, default=None)
    format: str = "png"
    bits: int = 8
    orientation: int = 1
    lossless: bool = True
    jpeg: JpegCoding | None = None
    resolution: tuple[float, float] = (1.0, 1.0)
    header: tuple[tuple[str, int, Any], ...] = field(repr=False, default=())

    def shown(self) -> Pixels:
        """Return the pixels as a viewer shows them, by the orientation tag."""
        return as_shown(self.pixels, self.orientation)

    def with_shown(self, pixels: Pixels) -> Still:
        """Return this picture with other pixels, given as a viewer shows them."""
        return self.with_pixels(as_stored(pixels, self.orientation))

    def with_pixels(self, pixels: Pixels) -> Still:
        """Return this picture with other pixels, given as stored, of the same shape and type."""
        if pixels.shape != self.pixels.shape or pixels.dtype != self.pixels.dtype:
            raise ValueError(
                f"new pixels are {self.pixels.dtype} of shape {self.pixels.shape}, "
                f"not {pixels.dtype} of {pixels.shape}"
            )
        return replace(self, pixels=pixels)

    def metadata(self, name: str) -> Any:
        """Return a metadata field by its libvips name (``icc-profile-data``, ...), or None."""
        return next((value for key, _, value in self.header if key == name), None)


def check_size(
    shape: tuple[int, ...], *, name: AnyPath = "picture", smallest: int = MIN_SIDE
) -> None:
    """Refuse a shape that cannot hold a mark.

    Raises
    ------
    UnsupportedMedia
        If the short side is under `smallest` pixels, or the long side over 16 times the short one.
    """
    height, width = shape[:2]
    short, long = sorted((height, width))
    if short < smallest:
        raise UnsupportedMedia(
            f"{shown(name)}: {width} × {height} pixels are too few to hold a mark; "
            f"use a picture of at least {smallest} pixels a side"
        )
    if long > MAX_RATIO * short:
        raise UnsupportedMedia(
            f"{shown(name)}: {width} × {height} is too long a strip to hold a mark; "
            f"cut it into pieces of at most 1 : {MAX_RATIO}"
        )
