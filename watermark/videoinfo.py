"""What is known of a film's video stream: plain values, with no codec in sight."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from watermark.planes import PlaneFormat, Shown

__all__ = ["UNSPECIFIED", "Colour", "VideoInfo"]

UNSPECIFIED = 2  # of primaries, transfer and matrix in ITU-T H.273; of ranges it is 0


@dataclass(frozen=True, slots=True)
class Colour:
    """What a stream says of its colours, in the numbers of ITU-T H.273 and of libav.

    Parameters
    ----------
    primaries, transfer, matrix : int
        2 is unspecified.
    range : int
        0 unspecified, 1 limited, 2 full.
    location : str
        Of chroma samples: ``left``, ``topleft``, ...; empty if unspecified.
    mastering : bytes
        AVMasteringDisplayMetadata as it lies in memory; empty if there is none.
    light : tuple of (int, int), optional
        Maximum content light level and maximum frame average, cd/m².
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0
    location: str = ""
    mastering: bytes = b""
    light: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """The first video stream of a file.

    Parameters
    ----------
    name : str
        The file, as messages call it.
    container : str
        libav's name of the demuxer, such as ``mov,mp4,m4a,3gp,3g2,mj2``.
    codec, profile, tag : str
        Such as ``h264``, ``High`` and ``avc1``; the last two are empty if unknown.
    width, height : int
        Of the stored frame, pixels.
    pixel_format : str
        Such as ``yuv420p10le``.
    format : PlaneFormat
        How luma is coded in it.
    shown : Shown
        How a stored frame becomes the shown one.
    rate : Fraction, optional
        Frames a second on average.
    time_base : Fraction
        Seconds a tick.
    duration : float, optional
        Seconds, by what the container says.
    frames : int, optional
        By what the container says.
    bit_rate : int, optional
        Bits a second.
    interlaced : bool
    aspect : Fraction, optional
        Width over height of a stored pixel.
    matrix : tuple of int, optional
        The display matrix as stored: nine numbers, the first four of them times 65536.
    colour : Colour
    side_data : frozenset of str
        Kinds of libav's side data that the first frame has.
    """

    name: str
    container: str
    codec: str
    profile: str
    tag: str
    width: int
    height: int
    pixel_format: str
    format: PlaneFormat
    shown: Shown
    rate: Fraction | None
    time_base: Fraction
    duration: float | None
    frames: int | None
    bit_rate: int | None
    interlaced: bool
    aspect: Fraction | None
    matrix: tuple[int, ...] | None
    colour: Colour
    side_data: frozenset[str]

    @property
    def bits(self) -> int:
        """Depth of luma."""
        return self.format.bits
