"""DPX frames: the samples are changed where they lie, and every other byte is kept.

SMPTE ST 268:2003: one image element of RGB, RGBA or Y, 8, 10 (RGB, filled), 12 (filled) or 16 bit,
in either byte order, not run-length coded.  The samples are code values, black 0 and white the
highest, as most tools read them whatever the header calls them, unless they are film density
("printing density" or "logarithmic"), which `watermark.scene` makes light of.  Headers of transfer
"linear" are no exception: many tools write that for code values as they are shown.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watermark.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from watermark.frame import Luma, luma
from watermark.scene import (
    DENSITY_LIFT,
    DENSITY_STEPS,
    gains,
    light_of_density,
    seen_luma,
    shown_luma,
)

__all__ = ["DpxFrame", "is_dpx", "parse"]

_MAGIC = {b"SDPX": ">", b"XPDS": "<"}  # how struct and NumPy call the order of the bytes
_NOTHING = 0xFFFFFFFF  # a field that nobody filled in
_HEADER = 1664  # bytes with everything that is looked at
_CHANNELS = {6: 1, 50: 3, 51: 4}  # by descriptor: Y, RGB, RGBA
_DENSITY = {1, 3}  # transfer: printing density, logarithmic
_METHOD_A, _METHOD_B = 1, 2  # the samples in the upper or the lower bits of their words
_CURE = "convert it to 10-bit RGB, filled method A, or to 16 bits"


def is_dpx(data: bytes) -> bool:
    """Tell whether a file is DPX, from its first bytes."""
    return data[:4] in _MAGIC


@dataclass(frozen=True, slots=True, eq=False)
class DpxFrame:
    """One DPX file.

    Parameters
    ----------
    data : bytes
        The whole file.
    order : str
        ``<`` or ``>``.
    offset, stride : int
        Bytes before the first line, and from line to line.
    shape : (int, int)
        Height and width.
    channels : int
        1 (Y), 3 (RGB) or 4 (RGBA; alpha is not touched).
    bits : int
        8, 10, 12 or 16.
    low : int
        Bits under the last sample of a word.
    density : bool
        Whether samples are film density.
    aspect : float
        Width over height of a pixel.
    """

    data: bytes = field(repr=False)
    order: str
    offset: int
    stride: int
    shape: tuple[int, int]
    channels: int
    bits: int
    low: int
    density: bool
    aspect: float = 1.0

    def samples(self) -> NDArray[np.uint16]:
        """Return code values of this depth, shape (H, W) or (H, W, 3 or 4)."""
        words = self._words(self.data)
        if self.bits == 10:
            shifts = np.array([20, 10, 0], np.uint32) + np.uint32(self.low)
            found = (words[..., None] >> shifts) & np.uint32(1023)
        else:
            found = words >> np.uint16(self.low) if self.low else words
            found = found & np.uint16((1 << self.bits) - 1)
        result: NDArray[np.uint16] = np.asarray(found, np.uint16)
        return result[..., 0] if self.channels == 1 else result

    def plane(self) -> Luma:
        """Return the luma that the mask is to look at, shape (H, W), code values 0–255."""
        codes = self._codes()
        return shown_luma(light_of_density(codes)) if self.density else _luma(codes)

    def seen(self) -> Luma:
        """Return the luma of what an ordinary viewer shows, shape (H, W), code values 0–255."""
        codes = self._codes()
        return seen_luma(light_of_density(codes)) if self.density else _luma(codes)

    def marked(self, delta: Luma) -> bytes:
        """Return the file with its luma higher by `delta` to a viewer.

        Parameters
        ----------
        delta : ndarray of float32, shape (H, W)
            Code values 0–255.

        Returns
        -------
        bytes
            R, G and B are raised by the same number, which is limited so that none clips.
        """
        if self.density:
            light = light_of_density(self._codes())
            delta = gains(light, delta, lift=DENSITY_LIFT) * np.float32(DENSITY_STEPS)
        most = (1 << self.bits) - 1
        samples = self.samples()
        colour = samples[..., :3] if samples.ndim == 3 else samples[..., None]
        steps = np.rint(delta * np.float32(most / 255)).astype(np.int32)
        lowest = colour.min(axis=2).astype(np.int32)
        highest = colour.max(axis=2).astype(np.int32)
        steps = np.clip(steps, -lowest, most - highest)
        raised = (colour + steps[..., None]).astype(np.uint16)
        result = bytearray(self.data)
        words = self._words(result)
        if self.bits == 10:
            deep = raised.astype(np.uint32)
            packed = (deep[..., 0] << 20) | (deep[..., 1] << 10) | deep[..., 2]
            kept = np.uint32(_NOTHING ^ ((1 << 30) - 1 << self.low))
            words[...] = (words & kept) | (packed << np.uint32(self.low))
        else:
            inside = np.uint16(most << self.low)
            place = words[..., : colour.shape[2]]
            place[...] = (place & ~inside) | (raised << np.uint16(self.low))
        return bytes(result)

    def _codes(self) -> NDArray[np.float32]:
        samples = self.samples()
        colour = samples[..., :3] if samples.ndim == 3 else samples
        return np.asarray(colour * np.float32(255 / ((1 << self.bits) - 1)), np.float32)

    def _words(self, data: bytes | bytearray) -> NDArray[Any]:
        """Return a view: (H, W) words of three samples, or (H, W, channels) of one each."""
        height, width = self.shape
        if self.bits == 10:
            kind, strides = np.dtype(self.order + "u4"), (self.stride, 4)
            return np.ndarray((height, width), kind, data, self.offset, strides)
        kind = np.dtype(np.uint8) if self.bits == 8 else np.dtype(self.order + "u2")
        size = kind.itemsize
        shape = (height, width, self.channels)
        return np.ndarray(shape, kind, data, self.offset, (self.stride, size * shape[2], size))


def parse(data: bytes, name: str, *, max_pixels: int) -> DpxFrame:
    """Read the header of a DPX file.

    Raises
    ------
    UnreadableMedia
        If it is cut short, or its header contradicts itself.
    UnsupportedMedia
        If its samples are laid out in another way than those above.
    MediaTooLarge
        If it has more than `max_pixels` pixels.
    """
    if len(data) < _HEADER:
        raise UnreadableMedia(f"{name}: this DPX file is cut short; copy it again from its source")
    order = _MAGIC[data[:4]]
    orientation, elements, width, height = struct.unpack_from(f"{order}HHII", data, 768)
    (signed,) = struct.unpack_from(f"{order}I", data, 780)
    descriptor, transfer, _, bits = data[800:804]
    packing, encoding, offset, padding = struct.unpack_from(f"{order}HHII", data, 804)
    if width * height > max_pixels:
        raise MediaTooLarge(
            f"{name}: {width} × {height} pixels are more than the limit of "
            f"{max_pixels:,}; raise it with --max-pixels"
        )
    problem = _problem(
        orientation=orientation,
        elements=elements,
        signed=signed == 1,
        descriptor=descriptor,
        bits=bits,
        packing=packing,
        encoding=encoding,
    )
    if problem:
        raise UnsupportedMedia(f"{name}: DPX {problem} is not handled; {_CURE}")
    if offset in {0, _NOTHING}:
        (offset,) = struct.unpack_from(f"{order}I", data, 4)
    channels = _CHANNELS[descriptor]
    line = width * (4 if bits == 10 else channels * (1 if bits == 8 else 2))
    stride = _stride(line, height, len(data) - offset, padding)
    if (
        not width
        or not height
        or offset < _HEADER
        or offset + stride * (height - 1) + line > len(data)
    ):
        raise UnreadableMedia(
            f"{name}: this DPX file is cut short or its header is damaged; "
            "copy it again from its source"
        )
    low = {10: 2, 12: 4}.get(bits, 0) if packing == _METHOD_A else 0
    across, down = struct.unpack_from(f"{order}II", data, 1628)
    given = (
        across
        and down
        and max(across, down) < _NOTHING
        and max(across, down) <= 10 * min(across, down)
    )
    return DpxFrame(
        data=data,
        order=order,
        offset=offset,
        stride=stride,
        shape=(height, width),
        channels=channels,
        bits=bits,
        low=low,
        density=transfer in _DENSITY,
        aspect=across / down if given else 1.0,
    )


def _problem(
    *,
    orientation: int,
    elements: int,
    signed: bool,
    descriptor: int,
    bits: int,
    packing: int,
    encoding: int,
) -> str:
    """Say in a few words what is not handled, or nothing."""
    if orientation not in {0, 0xFFFF}:
        return f"of orientation {orientation}"
    if elements != 1:
        return f"with {elements} image elements"
    if descriptor not in _CHANNELS:
        return f"with samples of descriptor {descriptor}"
    if signed:
        return "with signed samples"
    if bits not in {8, 10, 12, 16}:
        return f"with {bits}-bit samples"
    if bits == 10 and descriptor != 50:
        return "with 10-bit samples that are not RGB"
    if bits in {10, 12} and packing not in {_METHOD_A, _METHOD_B}:
        return f"with {bits}-bit samples of packing {packing}"
    return "with run-length coding" if encoding == 1 else ""


def _stride(line: int, height: int, there: int, padding: int) -> int:
    """Return the bytes from line to line: lines are filled up to words of 32 bits, or not."""
    if padding not in {0, _NOTHING}:
        return line + padding
    whole = -(-line // 4) * 4
    return line if there == line * height or there < whole * height else whole


def _luma(codes: NDArray[np.float32]) -> Luma:
    if codes.ndim == 2:
        return codes
    return luma(np.rint(codes * np.float32(257)).astype(np.uint16))
