"""The files that are sent: JPEGs of 512 pixels and short films, as they are and marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.corpus import Picture, load
from bench.stills import bench_key
from bench.video_attacks import x264
from bench.video_media import Footage, marked, read
from bench.video_media import write as write_film
from watermark.embed import embed
from watermark.registry import Registry
from watermark.rows import Row
from watermark.stills import Still, write

__all__ = ["SIDE", "Sample", "fill", "film_samples", "still_samples"]

SIDE = 512  # pixels, of a square
_QUALITY = 90
_CRF = 23
_FRAMES = 48


@dataclass(frozen=True, slots=True)
class Sample:
    """A file to send.

    Parameters
    ----------
    path : Path
    data : bytes
        Its content.
    mark : str or None
        Hexadecimal number of the mark it carries.
    """

    path: Path
    data: bytes
    mark: str | None


def fill(registry: Registry, marks: int) -> None:
    """Register works of which no file is sent, so that the registry has some size."""
    registry.import_rows(Row(title=f"Work {number}") for number in range(marks))


def still_samples(
    pictures: Sequence[Picture],
    folder: Path,
    registry: Registry,
    *,
    seed: int,
    ending: str = ".jpg",
) -> list[Sample]:
    """Write each picture as a square of `SIDE` pixels, once unmarked and once with its own mark."""
    key = bench_key(seed)
    samples = []
    for index, picture in enumerate(pictures):
        plain = _square(load(picture))
        _, mark = registry.add_work(f"Picture {index}")
        for number, pixels in ((None, plain), (mark.number, embed(plain, key, mark.number))):
            path = folder / f"{index:03}-{'plain' if number is None else 'marked'}{ending}"
            write(Still(np.asarray(pixels)), path, quality=_QUALITY)
            samples.append(_sample(path, number))
    return samples


def film_samples(
    films: Sequence[Picture], folder: Path, registry: Registry, *, seed: int, height: int = 360
) -> list[Sample]:
    """Write the first frames of each film, once unmarked and once with its own mark."""
    samples = []
    for index, film in enumerate(films):
        plain = _small(read(film.path, count=_FRAMES), height)
        _, mark = registry.add_work(f"Film {index}")
        with_mark = marked(plain, bench_key(seed), mark.number)
        for number, footage in ((None, plain), (mark.number, with_mark)):
            path = folder / f"film-{index:03}-{'plain' if number is None else 'marked'}.mp4"
            write_film(path, footage.frames, rate=footage.rate, coding=x264(_CRF, "veryfast"))
            samples.append(_sample(path, number))
    return samples


def _sample(path: Path, number: int | None) -> Sample:
    return Sample(path, path.read_bytes(), None if number is None else f"{number:012x}")


def _square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle of a picture, made `SIDE` pixels wide and high."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = pixels[top : top + side, left : left + side]
    return np.asarray(cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _small(footage: Footage, height: int) -> Footage:
    """Return a film with frames of so many rows, or as it is where they are fewer."""
    rows, columns = footage.shape
    if rows <= height:
        return footage
    width = round(columns * height / rows / 4) * 4

    def scaled(plane: NDArray[np.uint8], wide: int) -> NDArray[np.uint8]:
        size = (width // wide, height // wide)
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)

    return footage.each(scaled)
