"""Training sets, kept in a folder between runs: pictures as a pipeline feeds them, and latents.

Making them takes longer than training on them, so each is made once.  A set's file is named by all
that it hangs on, so a folder may hold those of several corpora and profiles.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.generators.frames import PIPELINES, Marking, Pixels, draw
from bench.networks import autoencoder
from watermark.profile import DEFAULT

__all__ = ["Precision", "Store", "Wanted", "decoded", "encoded", "whole"]

Pictures = NDArray[np.uint8]
Latents = NDArray[np.float16]
Precision = Literal["bfloat16", "float32"]

_BATCH = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """One training set.

    Parameters
    ----------
    marking : Marking
    pipeline : str
        Of `PIPELINES`.
    side : int
        Pixels.
    """

    marking: Marking
    pipeline: str = "centre"
    side: int = 256


@dataclass(frozen=True, slots=True)
class Store:
    """Training sets of `count` frames of a corpus.

    Parameters
    ----------
    folder : Path
        Where they are kept.
    places : tuple of str
        Folders of pictures and clips.
    count : int
    seed : int
        Of the frames and of what pipelines draw.
    precision : str
        In which the autoencoder runs.
    """

    folder: Path
    places: tuple[str, ...]
    count: int
    seed: int = 1
    precision: Precision = "bfloat16"

    def pictures(self, wanted: Wanted) -> Pictures:
        """Return a set as pixels, shape (N, S, S, 3); see `make` for many of them."""
        path = self._path(wanted, "pictures")
        if not path.exists():
            self.make([wanted])
        return np.asarray(np.load(path, mmap_mode="r"))

    def latents(self, wanted: Wanted) -> Latents:
        """Return a set as latents of the autoencoder, shape (N, 32, S/8, S/8)."""
        path = self._path(wanted, "latents")
        if not path.exists():
            pictures = self.pictures(wanted)
            with whole(path) as file:
                np.save(file, np.concatenate(list(encoded(pictures, precision=self.precision))))
        return np.asarray(np.load(path, mmap_mode="r"))

    def make(self, wanted: Sequence[Wanted]) -> None:
        """Make the pixels of all sets that are not there, drawing each frame once."""
        missing = [each for each in wanted if not self._path(each, "pictures").exists()]
        if not missing:
            return
        made = [np.empty((self.count, e.side, e.side, 3), np.uint8) for e in missing]
        for at, frame in enumerate(draw(self.places, self.count, seed=self.seed)):
            marked: dict[Marking, Pixels] = {}
            for each, pictures in zip(missing, made, strict=True):
                if each.marking not in marked:
                    marked[each.marking] = each.marking(frame)
                # Cropped and mirrored by the frame's position, so alike with every marking.
                rng = np.random.default_rng([self.seed, at])
                pictures[at] = PIPELINES[each.pipeline](marked[each.marking], each.side, rng)
        for each, pictures in zip(missing, made, strict=True):
            with whole(self._path(each, "pictures")) as file:
                np.save(file, pictures)

    def _path(self, wanted: Wanted, kind: str) -> Path:
        files = sorted(
            (file.name, file.stat().st_size)
            for place in map(Path, self.places)
            for file in (place.iterdir() if place.is_dir() else [place])
        )
        hangs_on = repr((files, self.count, self.seed, str(DEFAULT), wanted))
        if kind == "latents":
            hangs_on += self.precision
        return self.folder / f"{kind}-{hashlib.sha256(hangs_on.encode()).hexdigest()[:16]}.npy"


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that is there only when all of it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        yield file
    part.replace(path)


def encoded(pictures: Pictures, *, precision: Precision) -> Iterator[Latents]:
    """Yield latents of RGB pictures, some at a time."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    for start in range(0, len(pictures), _BATCH):
        pixels = torch.from_numpy(pictures[start : start + _BATCH].astype(np.float32) / 255)
        latents = _run(autoencoder.encoder, pixels.permute(0, 3, 1, 2), precision)
        yield latents.numpy().astype(np.float16)


def decoded(latents: NDArray[Any], *, precision: Precision) -> Pictures:
    """Return the RGB pictures of latents, rounded to 8 bits."""
    import torch  # noqa: PLC0415

    made = []
    for start in range(0, len(latents), _BATCH):
        part = torch.from_numpy(latents[start : start + _BATCH].astype(np.float32))
        pixels = _run(autoencoder.decoder, part, precision).permute(0, 2, 3, 1)
        made.append(np.rint(pixels.numpy() * 255).astype(np.uint8))
    return np.concatenate(made)


def _run(network: Callable[[Any], Any], x: Any, precision: Precision) -> Any:
    import torch  # noqa: PLC0415

    # Channels last, or what bfloat16 saves is lost again.
    x = x.contiguous(memory_format=torch.channels_last)
    fast = precision == "bfloat16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
        return network(x).float()
