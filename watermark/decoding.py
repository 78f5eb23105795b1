"""The child process that decodes one film for `watermark.gate`, and nothing else.

It gets an open file and locks itself in before any of it is interpreted: it can open no other
file or socket, write no file, leave no core, and use only so much memory and processor time.
Demuxers and decoders are those of a fixed list.

It talks through two pipes.  Requests come as lines of JSON on standard input; what goes to standard
output is a message each: a letter, the length of a JSON header, the header, and for a frame the
samples of its luma plane.  ``I`` is what the film is, ``F`` a frame, ``E`` the end of a request
and ``X`` an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO, NoReturn

import av
import av.subtitles.codeccontext
import av.subtitles.stream  # PyAV would load it later, when nothing can be opened any more
import numpy as np
from numpy.typing import NDArray

from watermark.confinement import confine
from watermark.rasters import Pictures, RefusedError, header, is_webp, luma_plane, turn

__all__ = ["DECODERS", "DEMUXERS", "HEAD", "main"]

HEAD = struct.Struct("<cI")

DEMUXERS = (
    *("mov", "mp4", "matroska", "webm", "mpegts", "mpeg", "avi", "mxf", "flv", "ogg", "asf", "nut"),
    *("mpegvideo", "h264", "hevc", "obu", "ivf", "m4v", "dv", "yuv4mpegpipe", "gif", "apng"),
)
DECODERS = (
    *("h264", "hevc", "libdav1d", "av1", "libvpx-vp9", "vp9", "libvpx", "vp8", "mpeg4", "h263"),
    *("mpeg1video", "mpeg2video", "prores", "dnxhd", "ffv1", "mjpeg", "jpeg2000", "huffyuv"),
    *("ffvhuff", "utvideo", "rawvideo", "v210", "dvvideo", "theora", "wmv1", "wmv2", "wmv3", "vc1"),
    *("msmpeg4v2", "msmpeg4", "flv", "svq3", "cfhd", "qtrle", "png", "gif", "apng"),
)
_ANIMATIONS = {"gif", "apng", "webp"}
_BUFFER = 1 << 18  # bytes that the demuxer asks for at a time
_SPARSE = 4.0  # frames to one sampled, from which those that no other frame needs are not decoded
_DAMAGED = 200  # packets in a row that cannot be decoded: there is nothing left to hope for
# What is said at least to have been coded anew, and what where nothing is known.
_LEAST_SHARE, _UNKNOWN_SHARE = 0.02, 0.3
# Power of the bits that say how much was coded anew, where it is not 1: these codecs put frames
# that are never shown into the packets of others.
_BITS = dict.fromkeys(("libdav1d", "av1", "libvpx-vp9", "vp9", "libvpx", "vp8"), 0.5)
_WAITING = 512  # packets
_TRANSFERS = {16: "pq", 18: "hlg"}  # ITU-T H.273, table 3
_LISTS = (b"#EXTM3U", b"ffconcat", b"v=0", b"[playlist]", b"# mpv EDL", b"<?xml", b"<MPD", b"<smil")


def main() -> None:
    """Serve one film: the file's descriptor and the limits are the arguments."""
    descriptor, limits = int(sys.argv[1]), json.loads(sys.argv[2])
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    source = os.fdopen(descriptor, "rb", buffering=0)
    start = source.read(4096)
    source.seek(0)
    if is_webp(start):
        import cv2  # noqa: F401, PLC0415 - slow, and nothing can be loaded behind the lock
    _limit(limits)
    try:
        film = _opened(source, start, limits)
        _send(output, b"I", film.info)
        for line in sys.stdin:
            request = json.loads(line)
            for header, plane in film.frames(**request):
                _send(output, b"F", header, plane)
            _send(output, b"E", {"damaged": film.damaged})
    except RefusedError as error:
        _send(output, b"X", {"kind": error.kind, "text": error.text})
    except MemoryError:
        _out_of_memory(output)
    except (av.error.FFmpegError, OSError, ValueError, ArithmeticError) as error:
        if isinstance(error, OSError) and error.errno == 12:
            _out_of_memory(output)
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        text = f"cannot be decoded ({text}); copy it again from its source"
        _send(output, b"X", {"kind": "unreadable", "text": text})
    os._exit(0)  # the decoders' threads are not waited for


def _out_of_memory(output: BinaryIO) -> NoReturn:
    with contextlib.suppress(OSError, MemoryError):
        _send(output, b"X", {"kind": "memory", "text": ""})
    os._exit(0)


def _limit(limits: dict[str, Any]) -> None:
    """Lock this process in; everything it needs is loaded."""
    # Over the first limit of time a signal comes that tells why, over the second none.
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu"], limits["cpu"] + 5))
    confine(limits["memory"])


def _send(output: BinaryIO, kind: bytes, header: Any, plane: NDArray[Any] | None = None) -> None:
    text = json.dumps(header).encode()
    _write(output, HEAD.pack(kind, len(text)) + text)
    if plane is not None:
        _write(output, plane.data.cast("B"))


def _write(output: BinaryIO, data: bytes | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[output.write(left) :]


def _opened(source: BinaryIO, start: bytes, limits: dict[str, Any]) -> _Film | Pictures:
    if not start:
        raise RefusedError("unreadable", "this file is empty; copy it again from its source")
    if is_webp(start):
        return Pictures(source, limits)
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_LISTS):
        text = "a list that points to other files is not followed; give the film itself"
        raise RefusedError("unsupported", text)
    return _Film(source, limits)


def _no_other_file(*_: object) -> NoReturn:
    raise PermissionError("no other file is opened")


class _Film:
    """A film that libav reads."""

    def __init__(self, source: BinaryIO, limits: dict[str, Any]) -> None:
        options = {
            "protocol_whitelist": "",
            "format_whitelist": ",".join(DEMUXERS),
            "codec_whitelist": ",".join(DECODERS),
            "max_pixels": str(limits["pixels"]),
        }
        try:
            self.container: Any = av.open(
                source, options=options, io_open=_no_other_file, buffer_size=_BUFFER
            )
        except (av.error.InvalidDataError, av.error.ArgumentError) as error:
            text = "not a film of a kind that is read, or damaged; convert it to MP4 or Matroska"
            raise RefusedError("unreadable", text) from error
        streams = [each for each in self.container.streams.video if each.codec_context is not None]
        # A cover picture is a video stream too.
        films = [each for each in streams if not _is_cover(each)] or streams
        if len(self.container.streams) > limits["streams"]:
            text = f"{len(self.container.streams)} streams are more than {limits['streams']}"
            raise RefusedError("large", text)
        if not films:
            raise RefusedError("unsupported", "there is no moving picture in this file")
        self.stream = films[0]
        self.codec = self.stream.codec_context
        self.limits, self.damaged = limits, 0
        self.sizes: dict[int, int] = {}  # bytes of the packet of each time
        self.keyed = 0  # bytes of the last frame that was coded by itself
        if self.codec.name not in DECODERS:
            text = f"{self.codec.name} is not decoded; convert the film to H.264, HEVC or AV1"
            raise RefusedError("unsupported", text)
        self._check(self.codec.width, self.codec.height)
        self.codec.thread_count = limits["threads"]
        self.codec.thread_type = "FRAME"
        self.base = self.stream.time_base or Fraction(1, 1000)
        self.start = float((self.stream.start_time or 0) * self.base)
        self.rate = float(self.stream.average_rate or self.stream.guessed_rate or 25)
        self.info = self._described()
        self.fresh = True

    def _check(self, width: int, height: int) -> None:
        if width * height > self.limits["pixels"]:
            text = f"{width} × {height} pixels are more than the limit of {self.limits['pixels']:,}"
            raise RefusedError("large", text)

    def _described(self) -> dict[str, Any]:
        """Decode one frame, since only it tells all about itself."""
        # The decoder overwrites what the container says of colours, often with nothing.
        declared = int(self.codec.color_trc or 0)
        first = next(self._decoded(), None)
        if first is None:
            raise RefusedError("unreadable", "not one frame of it can be decoded")
        duration = None
        if self.stream.duration:
            duration = float(self.stream.duration * self.base)
        elif self.container.duration:
            duration = self.container.duration / av.time_base
        if duration is not None and duration > self.limits["duration"]:
            text = f"{duration:.0f} s are longer than the limit of {self.limits['duration']:.0f} s"
            raise RefusedError("large", text)
        plane, bits, full = luma_plane(first)
        said = declared if declared in _TRANSFERS else int(first.color_trc or 0)
        aspect = float(self.stream.sample_aspect_ratio or self.codec.sample_aspect_ratio or 1)
        rotation, mirrored = turn(first)
        return {
            "duration": duration,
            "rate": self.rate,
            "width": plane.shape[1],
            "height": plane.shape[0],
            "bits": bits,
            "full": full,
            "transfer": _TRANSFERS.get(said, "sdr"),
            "rotation": rotation,
            "mirrored": mirrored,
            "aspect": aspect if aspect > 0 else 1.0,
            "frames": self.stream.frames or None,
            "kind": "animation" if self.codec.name in _ANIMATIONS else "film",
        }

    def frames(
        self, *, fps: float, key_frames: bool, start: float, end: float | None
    ) -> Iterator[tuple[dict[str, Any], NDArray[Any]]]:
        """Yield of each tick the frame of which most was coded anew, with what is said of it."""
        # The frame that was decoded to describe the film is wanted again.
        self.container.seek(int((start + self.start) / self.base), stream=self.stream)
        sparse = self.rate >= _SPARSE * fps
        self.codec.skip_frame = "NONKEY" if key_frames else "NONREF" if sparse else "DEFAULT"
        best: tuple[dict[str, Any], NDArray[Any]] | None = None
        following, self.keyed = start, 0
        for number, frame in enumerate(self._decoded()):
            time = number / self.rate if frame.time is None else frame.time - self.start
            if end is not None and time >= end:
                break
            if time > self.limits["duration"]:
                text = f"longer than the limit of {self.limits['duration']:.0f} s"
                raise RefusedError("large", text)
            if time < start - 1e-6:
                self._share(frame)
                continue
            if time >= following - 1e-6:
                if best is not None:
                    yield best
                best = None
                # As if on a clock, so that the times do not drift.
                following = start + (np.floor((time - start) * fps + 1e-6) + 1) / fps
            share = self._share(frame)
            if best is None or share > best[0]["share"]:
                best = self._told(frame, max(0.0, time), share) or best
        if best is not None:
            yield best

    def _told(
        self, frame: Any, time: float, share: float
    ) -> tuple[dict[str, Any], NDArray[Any]] | None:
        """Return a frame's plane and what is said of it; None where it is unlike the first one."""
        shape = (self.info["height"], self.info["width"])
        if (frame.height, frame.width) != shape:
            self._check(frame.width, frame.height)
            frame = frame.reformat(width=shape[1], height=shape[0])
        plane, bits, full = luma_plane(frame)
        if bits != self.info["bits"] or full != self.info["full"] or plane.shape != shape:
            return None
        return header(time, bool(frame.key_frame), plane, share), plane

    def _share(self, frame: Any) -> float:
        """Return how much of a frame was coded anew, by its bits beside those of a key frame."""
        size = self.sizes.pop(frame.pts, 0)
        if frame.key_frame:
            self.keyed = size
            return 1.0
        if not size or not self.keyed:
            return _UNKNOWN_SHARE
        share = min(1.0, size / self.keyed) ** _BITS.get(self.codec.name, 1.0)
        return float(max(_LEAST_SHARE, share))

    def _decoded(self) -> Iterator[Any]:
        """Yield decoded frames; a damaged packet is counted and passed over."""
        bad = 0
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.InvalidDataError:
                packet = None
            if packet is None:
                return
            if packet.pts is not None:
                self.sizes[packet.pts] = packet.size
            if len(self.sizes) > _WAITING:  # of packets that no frame came of
                self.sizes.pop(next(iter(self.sizes)))
            try:
                yield from packet.decode()
                bad = 0
            except av.error.EOFError:
                return
            except av.error.InvalidDataError:
                bad, self.damaged = bad + 1, self.damaged + 1
                if bad > _DAMAGED:
                    return


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


if __name__ == "__main__":
    main()
