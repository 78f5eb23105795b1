"""The pictures of an experiment, named by their content, and working on them side by side."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.errors import MediaError
from watermark.stills import read

__all__ = ["Picture", "cores", "corpus_hash", "find", "load", "side_by_side"]

_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"}

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file and the SHA-256 of its bytes, which is what seeds hang on."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return self.path.name

    def rng(self, seed: int, label: str) -> np.random.Generator:
        """Return a generator that depends on the picture, the seed and a label, on nothing else."""
        digest = hashlib.sha256(f"{seed} {self.sha256} {label}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))


def find(
    places: Iterable[str | Path], *, min_short: int, limit: int | None = None, jobs: int = 1
) -> tuple[Picture, ...]:
    """Return the pictures in folders (not below them) whose short side is long enough.

    Parameters
    ----------
    places : iterable of path
        Folders, or single files.
    min_short : int
        Pixels.
    limit : int, optional
        At most so many, the first by name.

    Returns
    -------
    tuple of Picture
        By name; files of the same content once.
    """
    files: set[Path] = set()
    for place in map(Path, places):
        files |= set(place.iterdir()) if place.is_dir() else {place}
    named = sorted((f for f in files if f.suffix.lower() in _ENDINGS), key=lambda f: (f.name, f))
    chosen: dict[str, Picture] = {}
    for path, short in zip(named, side_by_side(_short_side, named, jobs=jobs), strict=True):
        if short >= min_short:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            chosen.setdefault(digest, Picture(path, digest))
    return tuple(chosen.values())[:limit]


def _short_side(path: Path) -> int:
    try:
        return int(min(read(path).pixels.shape[:2]))
    except MediaError as error:
        print(f"left out: {error}")
        return 0


def corpus_hash(pictures: Sequence[Picture]) -> str:
    """Return 16 hex digits that name the contents of all pictures, whatever their order."""
    return hashlib.sha256(" ".join(sorted(p.sha256 for p in pictures)).encode()).hexdigest()[:16]


def load(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture as shown, RGB of 8 bits, shape (H, W, 3): what attacks are defined on."""
    pixels = read(picture.path).shown()
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def side_by_side(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int
) -> Iterator[Result]:
    """Yield ``work(item)`` of each item, in order, from `jobs` processes of one thread each.

    Processes are forked, so what modules hold (a code book) is shared and not copied.
    Threads do not survive a fork: OpenCV's are sent home first, and a program that wants more than
    one process must not have read a picture in this one, since libvips keeps its own.
    """
    if jobs <= 1:
        yield from map(work, items)
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with multiprocessing.get_context("fork").Pool(jobs) as pool:
            yield from pool.imap(work, items)
    finally:
        cv2.setNumThreads(threads)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
