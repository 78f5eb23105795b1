"""Films of the bench: frames in memory as decoders give them, and encoding with a fixed effort.

A frame is three planes (Y, Cb, Cr) in 4:2:0, uint8 or uint16 with values in the low bits, of even
sides: what is changed by an attack is changed in these planes, as tools for video do it, and never
in RGB.  Encoders run on one thread each, with presets that the table of attacks names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from bench.corpus import Picture
from watermark.container import open_film, probe
from watermark.key import Key
from watermark.moving import MovieMarker
from watermark.planes import PlaneFormat
from watermark.scheduling import ordinary_threads

__all__ = [
    "SDR",
    "Coding",
    "Footage",
    "Frame",
    "films",
    "marked",
    "opened",
    "read",
    "video_frame",
    "write",
    "write_gif",
]

Plane = NDArray[Any]
Frame = tuple[Plane, Plane, Plane]

SDR = PlaneFormat(bits=8, full=False)
_ENDINGS = {".mp4", ".mkv", ".mov"}
_ONE_THREAD = {
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libsvtav1": {"svtav1-params": "lp=1"},
}


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Frames in the order in which they are shown.

    Parameters
    ----------
    frames : tuple of Frame
        Luma of shape (H, W), chroma of (H/2, W/2); arrays are shared and never written to.
    rate : Fraction
        Frames a second.
    format : PlaneFormat
        How luma is coded.
    """

    frames: tuple[Frame, ...]
    rate: Fraction
    format: PlaneFormat = SDR

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of luma."""
        height, width = self.frames[0][0].shape
        return int(height), int(width)

    def cut(self, first: int, count: int) -> Footage:
        """Return `count` frames from the `first` on, or as many as there are."""
        return replace(self, frames=self.frames[first : first + count])

    def each(self, change: Callable[[Plane, int], Plane]) -> Footage:
        """Return every plane changed, given how many pixels of luma its pixels are wide: 1 or 2."""
        frames = tuple((change(y, 1), change(u, 2), change(v, 2)) for y, u, v in self.frames)
        return replace(self, frames=frames)


@dataclass(frozen=True, slots=True)
class Coding:
    """How a film is written.

    Parameters
    ----------
    codec : str
        libav's name of the encoder.
    options : mapping
        Its options.
    ending : str
        Of the file, which says what container it is.
    bit_rate : int
        Bits a second, 0 where a quality is given in `options`.
    """

    codec: str
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    ending: str = ".mp4"
    bit_rate: int = 0


def films(places: Iterable[str | Path], *, limit: int | None = None) -> tuple[Picture, ...]:
    """Return the films in folders (not below them), by name; files of the same content once."""
    files: set[Path] = set()
    for place in map(Path, places):
        files |= set(place.iterdir()) if place.is_dir() else {place}
    chosen: dict[str, Picture] = {}
    for path in sorted(files, key=lambda file: (file.name, file)):
        if path.suffix.lower() in _ENDINGS:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            chosen.setdefault(digest, Picture(path, digest))
    return tuple(chosen.values())[:limit]


def read(path: Path, *, count: int | None = None) -> Footage:
    """Decode a film, or its first `count` frames; other formats become 4:2:0 of 8 bits."""
    info = probe(path)
    frames: list[Frame] = []
    with open_film(path) as (container, stream):
        stream.thread_count = 1
        for frame in container.decode(stream):
            frames.append(_planes(frame))
            if len(frames) == count:
                break
    same = info.pixel_format == "yuv420p"
    return Footage(tuple(frames), info.rate or Fraction(24), info.format if same else SDR)


def _planes(frame: Any) -> Frame:
    plain = frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
    y, u, v = (np.frombuffer(p, np.uint8).reshape(p.height, -1)[:, : p.width] for p in plain.planes)
    height, width = (side // 2 * 2 for side in y.shape)
    halves = (slice(height // 2), slice(width // 2))
    return y[:height, :width].copy(), u[halves].copy(), v[halves].copy()


def marked(footage: Footage, key: Key, number: int) -> Footage:
    """Return a film with a mark in it, as the product marks decoded planes."""
    marker = MovieMarker(key, number, shape=footage.shape, format=footage.format)
    frames = tuple((marker.mark(y), u, v) for y, u, v in footage.frames)
    return replace(footage, frames=frames)


def write(
    path: Path, frames: Iterable[Frame], *, rate: Fraction, coding: Coding, bits: int = 8
) -> None:
    """Encode a film."""
    pixels = "yuv420p" if bits == 8 else f"yuv420p{bits}le"
    with av.open(str(path), "w") as file:
        stream: Any = None
        for at, planes in enumerate(frames):
            if stream is None:
                stream = opened(file, coding, rate, planes[0].shape, pixels)
                stream.codec_context.open()
                ordinary_threads()
            file.mux(stream.encode(video_frame(planes, pixels, at, rate)))
        if stream is None:
            raise ValueError(f"{path}: a film of no frames")
        file.mux(stream.encode())


def opened(file: Any, coding: Coding, rate: Fraction, shape: tuple[int, ...], pixels: str) -> Any:
    """Return a new video stream of a file that is written, whose encoder has one thread."""
    os.environ.setdefault("SVT_LOG", "1")  # errors alone; SVT-AV1 asks nothing else
    stream = file.add_stream(coding.codec, rate=rate)
    stream.height, stream.width = shape
    stream.pix_fmt = pixels
    stream.bit_rate = coding.bit_rate
    stream.thread_count = 1
    stream.options = _ONE_THREAD.get(coding.codec, {}) | dict(coding.options)
    return stream


def video_frame(planes: Frame, pixels: str, at: int, rate: Fraction) -> Any:
    """Return libav's frame of three planes, the `at`-th of a film."""
    height, width = planes[0].shape
    frame: Any = av.VideoFrame(width, height, pixels)
    for target, source in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(target, source.dtype).reshape(target.height, -1)
        rows[:, : target.width] = source
    frame.pts, frame.time_base = at, 1 / rate
    return frame


def write_gif(path: Path, footage: Footage, *, width: int, colours: int, rate: int) -> None:
    """Write an animated GIF with one palette (ffmpeg's ``palettegen`` and ``paletteuse``).

    Parameters
    ----------
    path : Path
    footage : Footage
        Of 8 bits.
    width : int
        Pixels; the height follows.
    colours : int
        2–256.
    rate : int
        Frames a second.
    """
    size = footage.shape
    height = round(width * size[0] / size[1])
    graph = Graph()
    source = graph.add(
        "buffer",
        f"video_size={size[1]}x{size[0]}:pix_fmt=yuv420p:time_base={1 / footage.rate}:"
        f"frame_rate={footage.rate}:pixel_aspect=1/1",
    )
    chain = [source, graph.add("fps", f"{rate}"), graph.add("scale", f"{width}:{height}")]
    split = graph.add("split", "2")
    palette = graph.add("palettegen", f"max_colors={colours}")
    use, sink = graph.add("paletteuse"), graph.add("buffersink")
    for one, other in zip(chain, [*chain[1:], split], strict=True):
        one.link_to(other)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for at, planes in enumerate(footage.frames):
        source.push(video_frame(planes, "yuv420p", at, footage.rate))
    source.push(None)
    with av.open(str(path), "w", format="gif") as file:
        stream: Any = file.add_stream("gif", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for at, frame in enumerate(_pulled(sink)):
            frame.pts, frame.time_base = at, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _pulled(sink: Any) -> Iterator[Any]:
    while True:
        try:
            yield sink.pull()
        except av.error.EOFError:
            return
