"""What is in a film, read without trust: which container, which video stream, how its luma lies.

A file is opened as a file and never as an address, by a fixed list of demuxers, and nothing in it
can make libav open anything else: playlists, concatenations and image lists are not on the list,
and references of QuickTime files to other files stay off.

Times are seconds, or pts × time base as a fraction; luma planes are views of the decoded frame, in
its own depth, with values in the low bits.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import stat
import struct
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from watermark.errors import UnreadableMedia, UnsupportedMedia
from watermark.files import AnyPath, shown
from watermark.planes import PlaneFormat, Shown
from watermark.videoinfo import UNSPECIFIED, Colour, VideoInfo

__all__ = [
    "DEMUXERS",
    "OPEN_OPTIONS",
    "corrupt",
    "error_text",
    "frames",
    "is_picture",
    "luma_view",
    "open_film",
    "probe",
    "url",
]

DEMUXERS = (
    *("mov", "mp4", "matroska", "webm", "mpegts", "mpeg", "avi", "mxf", "asf", "flv", "ogg", "nut"),
    *("ivf", "dv", "gxf", "yuv4mpegpipe", "gif", "apng"),
)
# mov leaves references to other files alone (enable_drefs) unless told otherwise.
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS)}

# Formats that keep luma in a plane of its own, in the low bits, in the byte order of this machine.
_PLANAR = re.compile(r"(yuvj?a?4[0-4]{2}p|yuv4[0-4]{2}p|gray|nv(12|21|16|24))((9|10|12|14|16)le)?")
_TRANSFERS = {16: "pq", 18: "hlg"}  # ITU-T H.273, table 3: SMPTE ST 2084 and ARIB STD-B67
_FULL = 2  # AVCOL_RANGE_JPEG
_PROGRESSIVE = {0, 1}  # AVFieldOrder: unknown, progressive
_LOCATION = re.compile(r"Video: .*[(, ](left|center|topleft|top|bottomleft|bottom)\)")
_logging = threading.Lock()


def url(path: AnyPath) -> str:
    """Return the name that opens `path` as a file, whatever it looks like."""
    return "file:" + os.fspath(path)


@contextlib.contextmanager
def open_film(path: AnyPath) -> Iterator[tuple[Any, Any]]:
    """Open a file; give its container and its first video stream that is no cover picture.

    Raises
    ------
    UnreadableMedia
        If it is missing, empty, cut short before anything can be read, or of no known container.
    UnsupportedMedia
        If it has no video, or video that cannot be decoded here.
    """
    name = shown(path)
    _check_file(path, name)
    try:
        container = av.open(
            url(path), container_options=OPEN_OPTIONS, metadata_errors="surrogateescape"
        )
    except av.error.ArgumentError as error:  # a format that is not on the list
        raise UnsupportedMedia(
            f"{name}: films are not read from this kind of file, nor lists that point to other "
            "files followed; give the film itself, as MP4, MOV, MKV or MXF"
        ) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableMedia(
            f"{name}: cannot be opened as a film ({error_text(error)}); "
            "it is cut short, damaged or no film: copy it again from its source"
        ) from error
    with container:
        film = [item for item in container.streams.video if not is_picture(item)]
        if not film:
            raise UnsupportedMedia(f"{name}: there is no video in this file; name a film")
        if film[0].codec_context is None:
            raise UnsupportedMedia(
                f"{name}: there is no decoder for its video; convert it to FFV1 or ProRes"
            )
        yield container, film[0]


def _check_file(path: AnyPath, name: str) -> None:
    try:
        status = Path(path).stat()
        if not stat.S_ISFIFO(status.st_mode):  # which could wait for ever
            with Path(path).open("rb"):
                pass
    except OSError as error:
        raise UnreadableMedia(
            f"{name}: cannot be opened ({error_text(error)}); "
            "check the name and that you may read it"
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableMedia(f"{name}: this is a device or a pipe; name a film file")
    if not status.st_size:
        raise UnreadableMedia(f"{name}: this file is empty; copy it again from its source")


def is_picture(stream: Any) -> bool:
    """Tell whether a video stream is a cover, or a thumbnail of a chapter."""
    flags = av.stream.Disposition
    return bool(stream.disposition & (flags.attached_pic | flags.timed_thumbnails))


def error_text(error: BaseException) -> str:
    """Return what the system or libav says of an error, without the name of the file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def probe(path: AnyPath) -> VideoInfo:
    """Read what a file holds, from its headers and its first frame.

    Raises
    ------
    UnreadableMedia
        If nothing of it can be decoded.
    UnsupportedMedia
        If it has no video, or its frames keep no luma plane (RGB, palettes, packed YUV).
    """
    with open_film(path) as (container, stream):
        codec = stream.codec_context
        # A decoder overwrites these with what its bitstream says, often nothing.
        declared = (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range)
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                for frame in packet.decode():
                    return _described(container, stream, frame, declared, shown(path))
    raise UnreadableMedia(
        f"{shown(path)}: not one frame of it can be decoded; copy it again from its source"
    )


def _described(
    container: Any, stream: Any, frame: Any, declared: tuple[Any, ...], name: str
) -> VideoInfo:
    """Put what container, stream and first frame say together."""
    pixels = frame.format.name
    if not _PLANAR.fullmatch(pixels):
        raise UnsupportedMedia(
            f"{name}: frames in {pixels} have no luma plane to mark; "
            "convert it to planar YUV (yuv420p10le, yuv422p10le, yuv444p10le)"
        )
    codec = stream.codec_context
    side = {item.type.name: bytes(item) for item in frame.side_data}
    matrix = struct.unpack("9i", side["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in side else None
    aspect = stream.sample_aspect_ratio or codec.sample_aspect_ratio
    colour = Colour(
        primaries=_said(declared[0], frame.color_primaries),
        transfer=_said(declared[1], frame.color_trc),
        matrix=_said(declared[2], frame.colorspace),
        range=int(declared[3] or frame.color_range or 0),
        location=_location(container, stream),
        mastering=side.get("MASTERING_DISPLAY_METADATA", b""),
        light=struct.unpack_from("2I", side["CONTENT_LIGHT_LEVEL"])
        if "CONTENT_LIGHT_LEVEL" in side
        else None,
    )
    # Grey of old still and mezzanine codecs says nothing of its range, and is full.
    grey = pixels.startswith("gray") and codec.name not in {"h264", "hevc", "libdav1d", "av1"}
    full = "j" in pixels or colour.range == _FULL or (grey and not colour.range)
    length = stream.duration
    duration = float(length * stream.time_base) if length else None
    if duration is None and container.duration:
        duration = container.duration / av.time_base
    return VideoInfo(
        name=name,
        container=container.format.name,
        codec=codec.codec.canonical_name,
        profile=stream.profile or "",
        tag=codec.codec_tag if codec.codec_tag.isprintable() else "",
        width=frame.width,
        height=frame.height,
        pixel_format=pixels,
        format=PlaneFormat(
            bits=frame.format.components[0].bits,
            full=full,
            transfer=_TRANSFERS.get(colour.transfer, "sdr"),
        ),
        shown=_shown(matrix, aspect),
        rate=stream.average_rate or stream.guessed_rate,
        time_base=stream.time_base,
        duration=duration,
        frames=stream.frames or None,
        bit_rate=codec.bit_rate or container.bit_rate or None,
        interlaced=int(codec.field_order) not in _PROGRESSIVE or frame.interlaced_frame,
        aspect=aspect or None,
        matrix=matrix,
        colour=colour,
        side_data=frozenset(side),
    )


def _said(first: Any, second: Any) -> int:
    """Return the first number that says something."""
    return next((int(v) for v in (first, second) if v and int(v) != UNSPECIFIED), UNSPECIFIED)


def _location(container: Any, stream: Any) -> str:
    """Return where chroma samples lie; PyAV shows it nowhere but in libav's own description."""
    with _logging:
        before = av.logging.get_level()
        av.logging.set_libav_level(av.logging.VERBOSE)
        av.logging.set_level(av.logging.INFO)
        try:
            lines = container.dumps_format().splitlines()
        finally:
            av.logging.set_level(before)
            av.logging.set_libav_level(av.logging.INFO)
    here = [line for line in lines if re.match(rf"\s*Stream #\d+:{stream.index}\b", line)]
    found = _LOCATION.search(re.sub(r"\)?, \d+x\d+.*", ")", here[0])) if here else None
    return found[1] if found else ""


def _shown(matrix: tuple[int, ...] | None, aspect: Fraction | None) -> Shown:
    """Return how a frame is shown: turned clockwise by its matrix, and then mirrored."""
    a, b, _, c, d = matrix[:5] if matrix else (1, 0, 0, 0, 1)
    turn = round(math.degrees(math.atan2(b, d)) / 90) * 90 % 360
    return Shown(rotation=turn, mirrored=a * d - b * c < 0, aspect=float(aspect or 1))


def luma_view(frame: Any) -> NDArray[Any]:
    """Return the luma plane of a decoded frame, shape (H, W), without a copy.

    Writing to it writes to the frame, which has to be made writable first.
    """
    plane = frame.planes[0]
    dtype = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]


def corrupt(frame: Any) -> bool:
    """Tell whether the decoder had to make parts of a frame up."""
    return bool(frame.is_corrupt)


def frames(path: AnyPath) -> Iterator[tuple[int, float, NDArray[Any]]]:
    """Read the video stream of a file again, a frame at a time.

    Yields
    ------
    pts : int
        Ticks of the stream's time base.
    time : float
        Seconds.
    plane : ndarray of shape (H, W)
        Luma as stored; valid until the next frame is asked for.

    Raises
    ------
    UnreadableMedia
        If the file cannot be read on; the message says which second was reached.
    """
    reached = 0.0
    with open_film(path) as (container, stream):
        stream.thread_type = "AUTO"
        try:
            for packet in container.demux(stream):
                for frame in packet.decode():
                    reached = frame.time or reached
                    yield frame.pts, reached, luma_view(frame)
        except av.error.FFmpegError as error:
            raise UnreadableMedia(
                f"{shown(path)}: cannot be decoded after second {reached:.2f} "
                f"({error_text(error)}); copy it again from its source"
            ) from error
