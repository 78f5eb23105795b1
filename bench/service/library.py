"""What the service is compared with: the library in a loop, in as many processes as workers."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from watermark.allocator import keep_freed_memory
from watermark.detect import Search
from watermark.identification import Catalogue, identify_still
from watermark.key import Key
from watermark.record import record
from watermark.registry import open_registry

__all__ = ["Library", "Told", "library", "told_by"]

_ALONE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
_ours: dict[str, Any] = {}  # of a process that detects: its key and catalogue


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a file, as far as it is compared: the verdict and the marks."""

    verdict: str
    marks: tuple[str | None, ...]


def told_by(row: dict[str, Any]) -> Told:
    """Return what a row of ``sukashi detect --json`` or an answer of the service tells."""
    return Told(row["verdict"], tuple(each["mark"] for each in row["works"]))


def _begin(key: Path, registry: Path) -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()
    _ours["key"] = Key.read(key)
    _ours["catalogue"] = Catalogue.load(open_registry(registry))


def _identify(job: tuple[Path, Search]) -> tuple[Path, Told, float]:
    path, search = job
    start = time.perf_counter()
    found = identify_still(path, [_ours["key"]], _ours["catalogue"], search=search)
    seconds = time.perf_counter() - start
    return path, told_by(record(found)), seconds


class Library:
    """Processes that detect; made by `library`."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def loop(
        self, paths: Sequence[Path], search: Search
    ) -> tuple[float, list[float], dict[Path, Told]]:
        """Look at files and return the seconds of all, those of each, and what was told."""
        start = time.perf_counter()
        done = list(self._pool.imap_unordered(_identify, [(path, search) for path in paths]))
        whole = time.perf_counter() - start
        return whole, [each for _, _, each in done], {path: told for path, told, _ in done}


@contextmanager
def library(key: Path, registry: Path, *, processes: int) -> Iterator[Library]:
    """Start processes, each of one thread as the workers of the service are."""
    before = {name: os.environ.get(name) for name in _ALONE}
    os.environ.update(dict.fromkeys(_ALONE, "1"))
    try:
        # Started anew and not forked: this process has read pictures, and has threads.
        pool = multiprocessing.get_context("spawn").Pool(processes, _begin, (key, registry))
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
    with pool:
        yield Library(pool)
