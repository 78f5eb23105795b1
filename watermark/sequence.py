"""One frame of an image sequence, whatever its format: read, judged, and written with a mark.

PNG and TIFF, 8 and 16 bit, go through `watermark.stills`; DPX and OpenEXR keep every byte that is
not the picture (`watermark.dpx`, `watermark.exr`).  The content of a file decides how it is read.
DPX and OpenEXR are written as what they were; PNG and TIFF may become each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from watermark.dpx import is_dpx
from watermark.dpx import parse as parse_dpx
from watermark.errors import OutputError, UnreadableMedia, UnsupportedMedia
from watermark.exr import is_exr
from watermark.exr import parse as parse_exr
from watermark.files import AnyPath, read_bytes, shown
from watermark.frame import Luma, add_luma, luma
from watermark.planes import Shown
from watermark.stills import MAX_PIXELS, Still, check_size, encode
from watermark.stills import read as read_still

__all__ = ["SequenceFrame", "check_output", "read", "viewer_luma"]

_ENDINGS = {".png": "still", ".tif": "still", ".tiff": "still", ".exr": "exr", ".dpx": "dpx"}
_SAMPLES = 64  # bytes of an OpenEXR file to a pixel: sixteen channels of float


class SequenceFrame(Protocol):
    """A decoded frame; code values are 0–255 and planes float32 of shape (H, W)."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in stored pixels."""

    @property
    def aspect(self) -> float:
        """Width over height of a pixel."""

    def plane(self) -> Luma:
        """Return the luma that the mask is to look at."""

    def seen(self) -> Luma:
        """Return the luma of what an ordinary viewer shows."""

    def marked(self, delta: Luma) -> bytes:
        """Return the file with the luma that a viewer sees higher by `delta`."""


@dataclass(frozen=True, slots=True, eq=False)
class _StillFrame:
    """A frame of PNG or TIFF, as it is shown; written in the format that `output` ends in."""

    still: Still
    output: AnyPath

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.still.pixels.shape[:2]
        return (width, height) if self.still.orientation >= 5 else (height, width)

    @property
    def aspect(self) -> float:
        return 1.0

    def plane(self) -> Luma:
        return luma(self.still.shown())

    def seen(self) -> Luma:
        return self.plane()

    def marked(self, delta: Luma) -> bytes:
        pixels = add_luma(self.still.shown(), delta)
        return encode(self.still.with_shown(pixels), self.output)


def read(
    source: AnyPath | bytes,
    *,
    name: AnyPath | None = None,
    output: AnyPath | None = None,
    max_pixels: int = MAX_PIXELS,
) -> SequenceFrame:
    """Read a frame.

    Parameters
    ----------
    source : path or bytes
        A file, or the content of one.
    name : path, optional
        What error messages call it; by default the path.
    output : path, optional
        Where it will go: the ending chooses between PNG and TIFF.  By default as `name`.
    max_pixels : int
        Checked against the header, before anything is decoded.

    Raises
    ------
    UnreadableMedia
        If the file is missing, empty, cut short or damaged.
    UnsupportedMedia
        If it is too small to hold a mark, or of a kind that is not handled.
    MediaTooLarge
        If it has more than `max_pixels` pixels.
    """
    if isinstance(source, bytes):
        called, data = shown(name or "frame"), source
    else:
        called = shown(name or source)
        data = read_bytes(source, limit=64 * 2**20 + _SAMPLES * max_pixels)
    if not data:
        raise UnreadableMedia(f"{called}: this file is empty; copy it again from its source")
    frame: SequenceFrame
    if is_exr(data):
        frame = parse_exr(data, called, max_pixels=max_pixels)
    elif is_dpx(data):
        frame = parse_dpx(data, called, max_pixels=max_pixels)
    else:
        still = read_still(data, name=called, max_pixels=max_pixels)
        if still.format not in {"png", "tiff"}:
            raise UnsupportedMedia(
                f"{called}: {still.format.upper()} is no format of sequences; "
                "mark such pictures one by one, as files or a folder"
            )
        frame = _StillFrame(still, output or name or "frame.png")
    check_size(Shown(aspect=frame.aspect).size(*frame.shape), name=called)
    return frame


def check_output(source: AnyPath, output: AnyPath) -> None:
    """Refuse an output whose ending names another format than that of `source`.

    Raises
    ------
    OutputError
        Unless both endings name one format, or PNG and TIFF.
    """
    kinds = [_ENDINGS.get(Path(each).suffix.lower()) for each in (source, output)]
    if None in kinds:
        raise OutputError(
            f"{shown(output if kinds[1] is None else source)}: sequences are of PNG, TIFF, "
            "OpenEXR or DPX; end the name in .png, .tif, .exr or .dpx"
        )
    if kinds[0] != kinds[1]:
        raise OutputError(
            f"{shown(output)}: a sequence of {Path(source).suffix} is written as such; "
            "name the output like it, and convert it afterwards"
        )


def viewer_luma(frame: SequenceFrame) -> Luma:
    """Return the luma that a viewer shows, in square pixels."""
    plane = frame.seen()
    height, width = Shown(aspect=frame.aspect).size(*frame.shape)
    if plane.shape == (height, width):
        return plane
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))
