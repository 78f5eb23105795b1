"""OpenEXR frames, through the OpenEXR library; the only module that imports it.

What is written is the source with other R, G and B (or Y): the header is the source's, byte for
byte, and so are all other channels and parts where the compression loses nothing.  B44, PXR24
and DWA code a channel anew, with the loss they have.

The picture is what lies in the display window; what the data window has beyond it is left alone.
Of several parts, the first with R, G and B (or Y) is the picture; layers ("diffuse.R", "Z", object
identities, further parts) are data for compositing and are not marked, so a file with all its
layers can be put together again without its mark: mark what leaves the house.

Light is gained, not added to: hue, negative values, zero, NaN and infinity stay.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watermark.errors import MediaTooLarge, OutputError, UnreadableMedia, UnsupportedMedia
from watermark.frame import Luma
from watermark.scene import gains, seen_luma, shown_luma

__all__ = ["ExrFrame", "is_exr", "parse"]

_MAGIC = b"\x76\x2f\x31\x01"
_MULTI_PART = 0x1000  # flag in the version
_KINDS = {0: "uint", 1: "half", 2: "float"}
_LAYOUT = ("channels", "compression", "dataWindow", "lineOrder", "tiles", "type", "chunkCount")
_SQUARE = struct.pack("<f", 1.0)  # some writers leave it out
_DAMAGED = "is damaged or cut short; copy it again from its source"

_Header = dict[str, bytes]
_Window = tuple[int, int, int, int]  # left, top, right, bottom, the last two included


def is_exr(data: bytes) -> bool:
    """Tell whether a file is OpenEXR, from its first bytes."""
    return data.startswith(_MAGIC)


@dataclass(frozen=True, slots=True, eq=False)
class ExrFrame:
    """One OpenEXR file.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What error messages call it.
    file : OpenEXR.File
        Decoded.
    part : int
        Of the picture.
    channels : tuple of str
        ``("R", "G", "B")`` or ``("Y",)``.
    shape : (int, int)
        Height and width of the display window.
    inside : (slice, slice)
        Rows and columns of the display window that have data.
    origin : (slice, slice)
        The same rows and columns of the data window.
    aspect : float
        Width over height of a pixel.
    """

    data: bytes = field(repr=False)
    name: str
    file: Any = field(repr=False)
    part: int
    channels: tuple[str, ...]
    shape: tuple[int, int]
    inside: tuple[slice, slice]
    origin: tuple[slice, slice]
    aspect: float = 1.0

    def plane(self) -> Luma:
        """Return the luma that the mask is to look at, shape (H, W), code values 0–255."""
        return self._in_display(shown_luma(self._light()))

    def seen(self) -> Luma:
        """Return the luma of what an ordinary viewer shows, shape (H, W), code values 0–255."""
        return self._in_display(seen_luma(self._light()))

    def samples(self, name: str) -> NDArray[Any]:
        """Return a channel of the picture's part as it is stored, the data window."""
        return np.asarray(self.file.parts[self.part].channels[name].pixels)

    def marked(self, delta: Luma) -> bytes:
        """Return the file with its luma higher by `delta` to a viewer.

        Parameters
        ----------
        delta : ndarray of float32, shape (H, W)
            Code values 0–255.

        Raises
        ------
        OutputError
            If the library cannot write what it read.
        """
        factor = np.exp(gains(self._light(), delta[self.inside]))
        # A value that is not finite, or no more finite with the gain, keeps its whole pixel.
        raised, sound = {}, np.True_
        with np.errstate(invalid="ignore", over="ignore"):
            for name in self.channels:
                stored = self.samples(name)[self.origin]
                raised[name] = (stored * factor).astype(stored.dtype)
                sound = sound & np.isfinite(raised[name])
        before = {name: self.samples(name).copy() for name in self.channels}
        try:
            for name, pixels in raised.items():
                np.copyto(self.samples(name)[self.origin], pixels, where=sound)
            written = io.BytesIO()
            self.file.write(written)
        except (RuntimeError, TypeError, ValueError) as error:
            raise OutputError(
                f"{self.name}: cannot be written as OpenEXR ({_detail(error)}); "
                "save it with ZIP compression and try again"
            ) from error
        finally:
            for name, pixels in before.items():
                self.samples(name)[...] = pixels
        return _with_header(written.getvalue(), self.data, self.name)

    def _light(self) -> NDArray[Any]:
        planes = [self.samples(name)[self.origin] for name in self.channels]
        return planes[0] if len(planes) == 1 else np.dstack(planes)

    def _in_display(self, plane: Luma) -> Luma:
        if plane.shape == self.shape:
            return plane
        whole = np.zeros(self.shape, np.float32)
        whole[self.inside] = plane
        return whole


def parse(data: bytes, name: str, *, max_pixels: int) -> ExrFrame:
    """Read an OpenEXR file.

    Raises
    ------
    UnreadableMedia
        If it is damaged or cut short.
    UnsupportedMedia
        If it is deep, has two views, or has no R, G and B (or Y) at full resolution.
    MediaTooLarge
        If a window has more than `max_pixels` pixels.
    """
    try:
        headers, _ = _headers(data)
        windows = [_window(header["dataWindow"]) for header in headers]
        display = _window(headers[0]["displayWindow"])
        (aspect,) = struct.unpack("<f", headers[0].get("pixelAspectRatio", _SQUARE))
        channels = [_channels(header["channels"]) for header in headers]
    except (KeyError, IndexError, ValueError, struct.error) as error:
        raise UnreadableMedia(f"{name}: the header of this OpenEXR file {_DAMAGED}") from error
    for window in (display, *windows):
        width, height = window[2] - window[0] + 1, window[3] - window[1] + 1
        if width < 1 or height < 1:
            raise UnreadableMedia(f"{name}: the header of this OpenEXR file {_DAMAGED}")
        if width * height > max_pixels:
            raise MediaTooLarge(
                f"{name}: {width} × {height} pixels are more than the limit of "
                f"{max_pixels:,}; raise it with --max-pixels"
            )
    part, wanted = _picture(headers, channels, name)
    left, top, right, bottom = windows[part]
    inside = (max(left, display[0]), max(top, display[1]))
    beyond = (min(right, display[2]) + 1, min(bottom, display[3]) + 1)
    if inside[0] >= beyond[0] or inside[1] >= beyond[1]:
        raise UnsupportedMedia(
            f"{name}: nothing of this picture lies in its display window; set the window right"
        )
    return ExrFrame(
        data=data,
        name=name,
        file=_decoded(data, len(headers), wanted[0], name),
        part=part,
        channels=wanted,
        shape=(display[3] - display[1] + 1, display[2] - display[0] + 1),
        inside=_slices(inside, beyond, (display[0], display[1])),
        origin=_slices(inside, beyond, (left, top)),
        aspect=aspect if 0.1 <= aspect <= 10 else 1.0,
    )


def _picture(
    headers: list[_Header], channels: list[dict[str, tuple[str, int]]], name: str
) -> tuple[int, tuple[str, ...]]:
    """Return part and channels of the picture."""
    if any(header.get("type", b"").startswith(b"deep") for header in headers):
        raise UnsupportedMedia(f"{name}: deep OpenEXR is not handled; flatten it first")
    if any("multiView" in h for h in headers) or len({h.get("view") for h in headers}) > 1:
        raise UnsupportedMedia(f"{name}: this file holds several views; write a file for each")
    for part, there in enumerate(channels):
        for wanted in (("R", "G", "B"), ("Y",)):
            if not there.keys() >= set(wanted) or (wanted == ("Y",) and {"RY", "BY"} & set(there)):
                continue
            strange = [each for each in wanted if there[each] not in {("half", 1), ("float", 1)}]
            if strange:
                raise UnsupportedMedia(
                    f"{name}: channel {strange[0]} is integer or subsampled; save it as half"
                )
            return part, wanted
    names = ", ".join(sorted({each for there in channels for each in there})[:8])
    raise UnsupportedMedia(
        f"{name}: no channels R, G and B (or Y alone) among {names}; "
        "save the picture to be marked under these names"
    )


def _decoded(data: bytes, parts: int, channel: str, name: str) -> Any:
    import OpenEXR  # noqa: PLC0415 - only who has such files needs it

    problem = ""
    try:
        if parts == 1:
            # `File` prints what is wrong with pixels and goes on; this one raises.
            OpenEXR.InputFile(io.BytesIO(data)).channels([channel])
        file = OpenEXR.File(io.BytesIO(data), separate_channels=True)
        if len(file.parts) != parts:
            problem = f"{len(file.parts)} of {parts} parts can be read"
    except (RuntimeError, OSError, TypeError, ValueError) as error:
        problem = _detail(error)
    if problem:
        raise UnreadableMedia(
            f"{name}: this OpenEXR file cannot be decoded ({problem}); "
            "if it is damaged, copy it again from its source"
        )
    return file


def _with_header(written: bytes, source: bytes, name: str) -> bytes:
    """Return `written` under the header of `source`, its table of offsets moved accordingly."""
    new, start = _headers(written)
    old, begin = _headers(source)
    layouts = [
        [(there.get(key), here.get(key, there.get(key))) for key in _LAYOUT]
        for there, here in zip(new, old, strict=True)
    ]
    if any(there != here for layout in layouts for there, here in layout):
        raise OutputError(
            f"{name}: the OpenEXR library would lay this file out in another way; "
            "save it with ZIP compression and try again"
        )
    # Chunks follow the table at once, but not always in its order: it ends where the first is.
    end, at = len(written), start
    while at < end:
        end = min(end, int.from_bytes(written[at : at + 8], "little"))
        at += 8
    table = np.frombuffer(written[start:end], "<u8")
    moved = (table + np.uint64(begin) - np.uint64(start)).astype("<u8")
    return source[:begin] + moved.tobytes() + written[end:]


def _headers(data: bytes) -> tuple[list[_Header], int]:
    """Return attributes by name, the bytes of each, part by part, and where the headers end."""
    several = int.from_bytes(data[4:8], "little") & _MULTI_PART
    at, headers = 8, []
    while True:
        header: _Header = {}
        while data[at]:
            name_end = data.index(0, at)
            type_end = data.index(0, name_end + 1)
            (size,) = struct.unpack_from("<i", data, type_end + 1)
            value = type_end + 5
            if size < 0 or value + size >= len(data):
                raise ValueError("an attribute goes beyond the file")
            header[data[at:name_end].decode("utf-8", "replace")] = data[value : value + size]
            at = value + size
        at += 1
        headers.append(header)
        if not several:
            return headers, at
        if not data[at]:
            return headers, at + 1


def _channels(value: bytes) -> dict[str, tuple[str, int]]:
    """Return kind and coarsest sampling of each channel."""
    at, found = 0, {}
    while value[at]:
        end = value.index(0, at)
        kind, _, across, down = struct.unpack_from("<4i", value, end + 1)
        found[value[at:end].decode("utf-8", "replace")] = (_KINDS[kind], max(across, down))
        at = end + 17
    return found


def _window(value: bytes) -> _Window:
    left, top, right, bottom = struct.unpack("<4i", value)
    return left, top, right, bottom


def _slices(
    start: tuple[int, int], stop: tuple[int, int], zero: tuple[int, int]
) -> tuple[slice, slice]:
    """Return rows and columns, from points (x, y) counted from `zero`."""
    columns, rows = (slice(a - z, b - z) for a, b, z in zip(start, stop, zero, strict=True))
    return rows, columns


def _detail(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
