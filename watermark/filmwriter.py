"""The film file that is written: its encoder, its muxer, and what the source said of the stream.

Every write that fails says which second was reached.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Self

import av
import numpy as np
from av.bitstream import BitStreamFilterContext

from watermark.codecs import EncoderPlan
from watermark.container import error_text, url
from watermark.errors import OutputError, UnsupportedMedia
from watermark.files import AnyPath, shown
from watermark.passthrough import copy_tags
from watermark.scheduling import ordinary_threads
from watermark.videoinfo import VideoInfo

__all__ = ["FilmWriter", "refitted"]


class FilmWriter:
    """The file that is written, and the encoder of its marked stream."""

    def __init__(
        self,
        path: AnyPath,
        muxer: str,
        options: dict[str, str],
        info: VideoInfo,
        planned: EncoderPlan,
        *,
        name: AnyPath | None = None,
    ) -> None:
        self.name, self.info, self.plan = shown(name or path), info, planned
        self.frames, self.reached = 0, 0.0
        self._last: int | None = None
        self._durations: dict[int, int] = {}
        self._ticks: dict[int, int] = {}  # by number, of the frames in the encoder
        rate = planned.clock or info.rate or 25
        self._step = max(1, round(1 / (rate * info.time_base)))  # ticks a frame
        self.file: Any = av.open(
            url(path),
            "w",
            format=muxer,
            container_options=options,
            metadata_errors="surrogateescape",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # Nobody wants this file; its trailer may fail as what came before it did.
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                self.file.close()

    def add_video(self, template: Any) -> None:
        """Add the stream that is encoded anew, with all that the source says of it."""
        info, planned = self.info, self.plan
        if planned.encoder == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only; it has no other way
        rate = info.rate or 25
        try:
            added = self.file.add_stream(planned.encoder, rate=rate, bit_rate=planned.bit_rate)
        except ValueError as error:
            ending = ".mkv" if planned.family == "ffv1" else ".mov"
            raise UnsupportedMedia(
                f"{self.name}: this container cannot hold {planned.family}; "
                f"name the output {ending}, or choose another --codec"
            ) from error
        codec = added.codec_context
        if planned.from_template:
            BitStreamFilterContext("null", in_stream=template, out_stream=added)
            codec.extradata, codec.codec_tag = None, "\0\0\0\0"
            codec.level, codec.bit_rate = -99, planned.bit_rate  # unknown
        codec.width, codec.height, codec.pix_fmt = info.width, info.height, planned.pixel_format
        codec.time_base = 1 / planned.clock if planned.clock else info.time_base
        added.time_base = info.time_base
        codec.framerate = planned.clock or rate
        colour = info.colour
        codec.color_primaries, codec.color_trc = colour.primaries, colour.transfer
        codec.colorspace = colour.matrix
        codec.color_range = 2 if info.format.full else colour.range
        if info.aspect is not None:
            codec.sample_aspect_ratio = info.aspect
        if info.matrix is not None:
            added.set_display_matrix(info.matrix)
        if planned.tag:
            codec.codec_tag = planned.tag
        codec.options = dict(planned.options)
        copy_tags(template, added, encoded_anew=True)
        self.stream = added

    def start(self) -> None:
        """Open the encoder and write the header."""
        planned = self.plan
        try:
            self.stream.codec_context.open()
            ordinary_threads()
            self.file.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise self._unwritten(error) from error
            cure = "choose another --codec, or name the output .mkv"
            if self.info.width % 2 or self.info.height % 2:
                cure = "its size is odd, which --codec ffv1 takes (in .mkv), or crop it to even"
            raise UnsupportedMedia(
                f"{self.info.name}: {planned.encoder} does not take this stream, or the container "
                f"does not hold it ({error_text(error)}); {cure}"
            ) from error

    def encode(self, frame: Any) -> None:
        """Encode a frame and write what comes out."""
        if frame.format.name != self.plan.pixel_format:
            frame = refitted(frame, self.plan.pixel_format)
        tick = frame.pts if frame.pts is not None else frame.dts
        if tick is None:
            tick = 0 if self._last is None else self._last + self._step
        elif self._last is not None and tick <= self._last:
            tick = self._last + 1  # encoders take no frame that goes back in time
        self._last = frame.pts = tick
        frame.time_base = self.info.time_base
        if self.plan.clock is not None:
            self._ticks[self.frames] = tick
            frame.pts, frame.time_base = self.frames, 1 / self.plan.clock
        frame.pict_type = 0  # where key frames go is the encoder's to say
        colour = self.info.colour
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        frame.colorspace = colour.matrix
        self._durations[tick] = frame.duration
        self.frames += 1
        self._encode(frame)

    def _encode(self, frame: Any | None) -> None:
        try:
            packets = self.stream.encode(frame)
        except (av.error.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{self.name}: {self.plan.encoder} gave up after second {self.reached:.2f} "
                f"({error_text(error)}); choose another --codec or --preset"
            ) from error
        for packet in packets:
            if self.plan.clock is not None:
                self._retime(packet)
            duration = self._durations.pop(packet.pts, 0)
            packet.duration = packet.duration or duration
            self.reached = max(self.reached, float(packet.pts * packet.time_base))
            self.write(packet)

    def _retime(self, packet: Any) -> None:
        """Give a packet of an encoder that counts frames the ticks of the source."""
        first, shown_at, sent_at = min(self._ticks), packet.pts, packet.dts
        packet.pts = self._ticks[shown_at]
        early = sent_at - first  # before the first frame: the encoder's delay
        packet.dts = self._ticks[max(sent_at, first)]
        if early < 0:
            packet.dts += early * self._step
        packet.time_base = self.info.time_base
        packet.duration = 0
        for number in [number for number in self._ticks if number < sent_at]:
            del self._ticks[number]

    def write(self, packet: Any) -> None:
        """Write a packet; those of other streams go through here as well."""
        try:
            self.file.mux_one(packet)
        except (av.error.FFmpegError, OSError) as error:
            raise self._unwritten(error) from error

    def finish(self) -> None:
        """Empty the encoder and close the file."""
        self._encode(None)
        try:
            self.file.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: BaseException) -> OutputError:
        return OutputError(
            f"{self.name}: cannot be written after second {self.reached:.2f} "
            f"({error_text(error)}); free some space or choose another output"
        )


def refitted(frame: Any, pixel_format: str) -> Any:
    """Return a frame in a pixel format of the same layout: renamed, or with fewer bits."""
    fitted: Any = av.VideoFrame(frame.width, frame.height, pixel_format)
    fewer = frame.format.components[0].bits - fitted.format.components[0].bits
    for old, new in zip(frame.planes, fitted.planes, strict=True):
        wide = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
        values = np.frombuffer(old, wide).reshape(old.height, -1)
        target = np.frombuffer(new, wide).reshape(new.height, -1)
        columns = min(values.shape[1], target.shape[1])
        values = values[:, :columns]
        if fewer:
            most = (1 << fitted.format.components[0].bits) - 1
            values = np.minimum((values + (1 << (fewer - 1))) >> fewer, most)
        target[:, :columns] = values
    fitted.pts, fitted.dts, fitted.duration = frame.pts, frame.dts, frame.duration
    fitted.color_range = frame.color_range
    return fitted
