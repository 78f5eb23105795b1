"""Film files in and out: one stream is decoded, marked and encoded, every other one goes through.

Decoding, marking and encoding overlap: a reader thread and a marker thread hand frames on through
short queues to the caller's thread, which encodes and writes.  No more than a few frames are held
whatever the length of the film; what grows with it is the index of MP4 and MOV files, some 100
bytes a packet.

Limits:

- Times are exact where both containers can hold them; Matroska counts milliseconds, and neither
  it nor MPEG-TS begins before zero, so there all streams may move together by the few
  milliseconds by which sound starts early.
- MP4's own figure for the length of a stream is a sum of decoding times, and off by what the last
  two or three frames of a variable frame rate stand for; the times of the frames are right.
- MPEG-TS is written as one programme.
- A source without timestamps gets them from its frame rate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from numpy.typing import NDArray

from watermark.codecs import Encoding, plan
from watermark.container import corrupt, luma_view, open_film, probe
from watermark.errors import UnreadableMedia, UnsupportedMedia
from watermark.files import AnyPath
from watermark.filmwriter import FilmWriter
from watermark.passthrough import (
    carry,
    check_holds,
    copy_film_tags,
    is_gap,
    kept_streams,
    muxer_of,
    muxer_options,
    pictures,
)
from watermark.pipeline import piped
from watermark.videoinfo import VideoInfo

__all__ = ["MarkPlane", "Transcoded", "transcode"]

MarkPlane = Callable[[NDArray[Any]], NDArray[Any]]

_DECODERS = 4  # threads; each holds a frame
_SHORT = 1.0  # seconds by which a film may end before its container says


@dataclass(frozen=True, slots=True)
class Transcoded:
    """What was written.

    Parameters
    ----------
    info : VideoInfo
        Of the source.
    encoder : str
        libav's name.
    frames : int
        That were decoded and encoded again.
    seconds : float
        The time of the last of them.
    damaged : int
        Packets that could not be decoded, and frames that the decoder had to make parts of up.
    complete : bool
        Whether the source went on to the end that its container names.
    """

    info: VideoInfo
    encoder: str
    frames: int
    seconds: float
    damaged: int
    complete: bool


def transcode(
    source: AnyPath,
    output: AnyPath,
    mark: Callable[[VideoInfo], MarkPlane] | None,
    *,
    encoding: Encoding | None = None,
    partial: bool = False,
    name: AnyPath | None = None,
    on_progress: Callable[[float, float | None], None] | None = None,
) -> Transcoded:
    """Write a copy of a film in which each luma plane went through a function.

    Parameters
    ----------
    source, output : path
        The ending of `output` names its container.  It is written in place: see
        `watermark.files.atomic_write`.
    mark : callable, optional
        Takes the stream's description and returns a function from stored luma planes to marked
        ones of the same shape and type; it is called in a thread of its own, frame after frame in
        the order shown.  None encodes the frames as they are.
    encoding : Encoding, optional
    partial : bool
        Whether a source that breaks off is written as far as it goes, rather than refused.
    name : path, optional
        What messages call the output; by default its path.
    on_progress : callable, optional
        Takes the seconds written and the whole length, if that is known.

    Raises
    ------
    UnreadableMedia
        If the source cannot be read, or breaks off; the message names the second.
    UnsupportedMedia
        If the stream cannot be marked or encoded, or the output cannot hold what is to go through.
    OutputError
        If the output cannot be written on; the message names the second.
    ValueError
        If the marked plane has another shape or type.
    """
    muxer = muxer_of(name or output)
    info = probe(source)
    planned = plan(info, encoding or Encoding(), suffix=Path(output).suffix.lower())
    steps = [] if mark is None else [_marking(mark(info), info)]
    covers = pictures(source)
    with open_film(source) as (container, stream):
        kept = kept_streams(container, stream)
        check_holds(container, kept, muxer, info.name)
        options = muxer_options(container, muxer)
        with FilmWriter(output, muxer, options, info, planned, name=name) as writer:
            places = {}
            for item in sorted([*kept, stream], key=lambda item: item.index):
                if item is stream:
                    writer.add_video(item)
                else:
                    places[item.index] = carry(item, writer.file, muxer, covers)
            copy_film_tags(container, writer.file)
            writer.start()
            reader = _Reader(info, container, stream, {i for i, at in places.items() if at})
            with piped(reader, *steps) as items:
                for item in items:
                    if isinstance(item, av.Packet):
                        item.stream = places[item.stream.index]
                        writer.write(item)
                        continue
                    writer.encode(item)
                    if on_progress is not None:
                        on_progress(writer.reached, info.duration)
            complete = reader.check_end(writer.reached, partial=partial)
            writer.finish()
    return Transcoded(
        info, planned.encoder, writer.frames, writer.reached, reader.damaged, complete
    )


def _marking(mark_plane: MarkPlane, info: VideoInfo) -> Callable[[Any], Any]:
    """Return the step that marks frames and lets packets through."""

    def step(item: Any) -> Any:
        if isinstance(item, av.Packet):
            return item
        item.make_writable()  # the decoder may still predict from what it gave
        plane = luma_view(item)
        marked = mark_plane(plane)
        if marked.shape != plane.shape or marked.dtype != plane.dtype:
            raise ValueError(
                f"{info.name}: a marked plane has to stay {plane.dtype} of {plane.shape}, "
                f"not {marked.dtype} of {marked.shape}"
            )
        plane[...] = marked
        return item

    return step


class _Reader:
    """Demuxes and decodes; iterated in a thread of its own."""

    def __init__(self, info: VideoInfo, container: Any, stream: Any, passed: set[int]) -> None:
        self.info, self.container, self.stream = info, container, stream
        self.passed = passed
        self.damaged = 0
        self.failure: BaseException | None = None
        self._end = 0.0
        codec = stream.codec_context
        codec.thread_type = "AUTO"
        codec.thread_count = min(os.cpu_count() or 1, _DECODERS)
        # What the decoder conceals is passed on, not dropped.
        codec.flags |= av.codec.context.Flags.output_corrupt

    def __iter__(self) -> Iterator[Any]:
        wanted = [item for item in self.container.streams if item.index in self.passed]
        packets = self.container.demux([self.stream, *wanted])
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                self.failure = error
                yield from self._decoded(None)
                return
            if packet is None:
                return
            if packet.size and packet.pts is not None:
                end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                self._end = max(self._end, end)
            if packet.stream.index == self.stream.index:
                yield from self._decoded(packet)
            elif (packet.size or packet.dts is not None) and not is_gap(packet):
                yield packet  # the demuxer ends with one of nothing for each stream

    def _decoded(self, packet: Any) -> Iterator[Any]:
        try:
            decoded = self.stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            self.damaged += 1
            return
        for frame in decoded:
            self._check(frame)
            self.damaged += corrupt(frame)
            yield frame

    def _check(self, frame: Any) -> None:
        info = self.info
        second = f"at second {frame.time or 0.0:.2f}"
        if (frame.width, frame.height, frame.format.name) != (
            info.width,
            info.height,
            info.pixel_format,
        ):
            raise UnsupportedMedia(
                f"{info.name}: {second} the picture changes to {frame.width} × {frame.height}, "
                f"{frame.format.name}; cut the film there and mark the parts"
            )
        if frame.interlaced_frame:
            raise UnsupportedMedia(
                f"{info.name}: {second} there is an interlaced frame; deinterlace the film first "
                "(with bwdif, say), or mark the progressive master"
            )

    def check_end(self, reached: float, *, partial: bool) -> bool:
        """Tell whether the source went to its end; raise if it did not and has to."""
        start, length = self.container.start_time or 0, self.container.duration
        if "matroska" in self.info.container:
            start = 0  # its length counts from zero
        promised = (start + length) / av.time_base if length else 0.0
        if self.failure is None and self._end >= promised - _SHORT:
            return True
        if not partial:
            of = f" of {promised:.2f}" if promised else ""
            raise UnreadableMedia(
                f"{self.info.name}: breaks off at second {reached:.2f}{of}; copy it again from "
                "its source, or ask for the part that is there with --partial"
            ) from self.failure
        return False
