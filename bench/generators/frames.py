"""Frames of films that do not exist, marked by the product, as a training pipeline feeds them.

A frame is a window of 16 : 9 in a picture or in a frame of a clip, from anywhere in it, scaled to
1280 × 720.  It is marked at that size by `watermark.embed`, and only then goes through a pipeline.
All frames are of one size, as those of a film are, so the mark of one work lies at one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.corpus import Picture, find, load
from bench.removal.averaging import host
from bench.stills import bench_key
from watermark.embed import embed
from watermark.key import Key

__all__ = ["PIPELINES", "WORKS", "Marking", "Pixels", "draw", "key"]

Pixels = NDArray[np.uint8]
Pipeline = Callable[[Pixels, int, np.random.Generator], Pixels]

_SHAPE = (720, 1280)  # pixels: of every frame when it is marked
_KEY_SEED = 1
WORKS = (0x0B0E_2F1D_4C37, 0x7A55_C0DE_1234)  # numbers of 48 bits
_CLIP_FRAMES = 8  # of each clip, evenly spread
_LONGEST = 400  # frames of a clip that are looked at
_ENDINGS = {".mp4", ".mkv", ".mov"}


@dataclass(frozen=True, slots=True)
class Marking:
    """What is done to a frame before the pipeline gets it.

    Parameters
    ----------
    work : int or None
        Position in `WORKS`; None leaves the frame as it is.
    strength : float
        Times the profile's own.
    """

    work: int | None = None
    strength: float = 1.0

    def __call__(self, pixels: Pixels) -> Pixels:
        """Return a frame as it is handed to the pipeline."""
        if self.work is None:
            return pixels
        marked = embed(pixels, key(), WORKS[self.work], strength=self.strength)
        return np.asarray(marked, np.uint8)


def key() -> Key:
    """Return the key of every marked frame here."""
    return bench_key(_KEY_SEED)


def draw(places: Sequence[str | Path], count: int, *, seed: int) -> Iterator[Pixels]:
    """Yield `count` unmarked frames: of each picture and clip as many as of any other, or one more.

    Parameters
    ----------
    places : sequence of path
        Folders of pictures and clips.
    count : int
    seed : int
    """
    sources: list[Picture | Path] = [*find(places, min_short=256)]
    files = (file for place in map(Path, places) if place.is_dir() for file in place.iterdir())
    sources += sorted(file for file in files if file.suffix.lower() in _ENDINGS)
    # A clip stands for several pictures.
    shares = np.array([_CLIP_FRAMES if isinstance(each, Path) else 1 for each in sources])
    edges = np.rint(np.cumsum(shares) * count / shares.sum()).astype(int)
    rng = np.random.default_rng([seed, count])
    for source, wanted in zip(sources, np.diff(edges, prepend=0), strict=True):
        if wanted:
            pictures = _clip(source) if isinstance(source, Path) else [load(source)]
            for at in range(wanted):
                yield np.asarray(host(pictures[at % len(pictures)], _SHAPE, rng), np.uint8)


def _clip(path: Path) -> list[Pixels]:
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        length = min(stream.frames or _LONGEST, _LONGEST)
        wanted = {int(at) for at in np.linspace(0, length - 1, _CLIP_FRAMES)}
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for at, frame in zip(range(length), film.decode(stream), strict=False)
            if at in wanted
        ]


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))


def _short_side(pixels: Pixels, side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = side / min(height, width)
    return _scaled(pixels, round(width * scale), round(height * scale))


def _centre(pixels: Pixels, side: int, _: np.random.Generator) -> Pixels:
    scaled = _short_side(pixels, side)
    top, left = ((length - side) // 2 for length in scaled.shape[:2])
    return scaled[top : top + side, left : left + side]


def _mirrored(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    fed_in = _centre(pixels, side, rng)
    return np.ascontiguousarray(fed_in[:, ::-1]) if rng.random() < 0.5 else fed_in


def _squash(pixels: Pixels, side: int, _: np.random.Generator) -> Pixels:
    return _scaled(pixels, side, side)


def _along(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    scaled = _short_side(pixels, side)
    left = int(rng.integers(scaled.shape[1] - side + 1))
    return scaled[:, left : left + side]


def _anywhere(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    length = round(min(pixels.shape[:2]) * rng.uniform(0.8, 1.0))
    top, left = (int(rng.integers(size - length + 1)) for size in pixels.shape[:2])
    return _scaled(pixels[top : top + length, left : left + length], side, side)


def _jpeg(quality: int) -> Pipeline:
    def pipeline(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
        _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return _centre(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8), side, rng)

    return pipeline


PIPELINES: dict[str, Pipeline] = {
    "centre": _centre,  # short side to size, then the middle
    "squash": _squash,  # the whole frame to a square
    "mirror": _mirrored,  # as centre, half of the pictures mirrored
    "along": _along,  # short side to size, then from anywhere along the long one
    "anywhere": _anywhere,  # a square of 80 to 100 % of the short side from anywhere
    "jpeg 75": _jpeg(75),  # the marked frame in 4:2:0, then as centre
    "jpeg 40": _jpeg(40),
}
