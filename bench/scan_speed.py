"""What scanning a pile takes, beside decoding it: ``python -m bench.scan_speed FOLDER``.

The pile is made of pictures in the folders: squares of 512 pixels cut out at random, JPEG 90, one
in sixteen marked, in tar shards as crawled sets are.  The registry has 100,000 marks.
Everything runs on one core but the last rows, which are whole runs with processes of their own.
Times are processor time, that of the decoding process included, so what else the machine does
hardly counts; for whole runs they are those of a clock.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.corpus import Picture, corpus_hash, find, load
from bench.report import provenance, table, write_lines
from bench.service.files import fill
from bench.stills import bench_key
from watermark.allocator import keep_freed_memory
from watermark.detect import Search
from watermark.embed import embed
from watermark.profile import DEFAULT
from watermark.registry import open_registry
from watermark.rescan import Rechecker, units_of
from watermark.results import Results
from watermark.sample import Unit
from watermark.scan import run, unit_done
from watermark.scan_setup import Setup
from watermark.scan_workers import LocalEngine
from watermark.scanning import Scanner
from watermark.stills import Still, encode, read
from watermark.units import list_units

__all__ = ["main", "measure", "write_pile"]

SIDE = 512  # pixels
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
_QUALITY = 90
_MARKED = 16  # one in so many
_BILLION = 1e9
_HOUR = 3600.0


def write_pile(
    pictures: Sequence[Picture], folder: Path, number: int, *, count: int, shards: int, seed: int
) -> None:
    """Write tar shards of JPEGs; one in sixteen carries mark `number`."""
    rng = np.random.default_rng(seed)
    key = bench_key(seed)
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for index in range(count // shards):
                pixels = load(pictures[int(rng.integers(len(pictures)))])
                height, width = (side - SIDE + 1 for side in pixels.shape[:2])
                top, left = int(rng.integers(height)), int(rng.integers(width))
                cut = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
                if index % _MARKED == 0:
                    cut = np.asarray(embed(cut, key, number), np.uint8)
                data = encode(Still(cut), "a.jpg", quality=_QUALITY)
                member = tarfile.TarInfo(f"{index:06}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def _processor(children: Sequence[int] = ()) -> float:
    """Return the processor seconds that this process and some of its children have had."""
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    return [int(each) for task in tasks for each in (task / "children").read_text().split()]


def _decoded(units: Sequence[Unit]) -> int:
    """Decode all pictures in this process, and count them."""
    count = 0
    for unit in units:
        with tarfile.open(unit.source) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                read(file.read()).shown()
                count += 1
    return count


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "rows").mkdir()
        yield Path(made)


def measure(
    pile: Path, setups: dict[str, Setup], *, few: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return processor seconds a picture, and those of a clock for whole runs, of each round.

    Parameters
    ----------
    pile : Path
        A folder with shards.
    setups : dict of Setup
        ``fast`` and ``full``.
    few : int
        Shards that are looked at with ``full``.
    rounds : int
    """
    units = list(list_units([str(pile)]))
    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], int]) -> None:
        before = _processor(_children())
        count = work()
        spent.setdefault(name, []).append((_processor(_children()) - before) / count)

    def scanned(made: Scanner | Rechecker, some: Sequence[Unit], results: Path) -> int:
        return sum(unit_done(made, unit, results).rows for unit in some)

    for _ in range(rounds):
        timed("decode", lambda: _decoded(units))
        for search, setup in setups.items():
            some = units if search == "fast" else units[:few]
            for keep in (False, True):
                with _folder() as results, Scanner(_with(setup, keep_evidence=keep)) as made:
                    scanned(made, units[:1], results)  # a warm-up, which starts the decoder
                    (results / "rows" / f"{units[0].name}.parquet").unlink()
                    name = f"scan, {search}" + (", evidence kept" if keep else "")
                    timed(name, lambda m=made, s=some, r=results: scanned(m, s, r))  # type: ignore[misc]
                    if not keep:
                        continue
                    with _folder() as again, Rechecker(_with(setup, asked=0)) as asker:
                        kept = list(units_of(results))
                        timed(
                            f"recheck, {search}",
                            lambda m=asker, s=kept, r=again: scanned(m, s, r),  # type: ignore[misc]
                        )
    clock: dict[str, list[float]] = {}
    for _ in range(rounds):
        for jobs in (1, 2):
            with tempfile.TemporaryDirectory() as folder, Results(folder) as place:
                place.begin({}, units)
                start = time.perf_counter()
                rows = run(place, LocalEngine(setups["fast"], place.folder, jobs=jobs)).rows
                clock.setdefault(f"{jobs}", []).append((time.perf_counter() - start) / rows)
    return spent, clock


def _with(setup: Setup, **changes: Any) -> Setup:
    return Setup(**{name: getattr(setup, name) for name in Setup.__slots__} | changes)


def _setups(folder: Path, marks: int, seed: int) -> tuple[dict[str, Setup], int]:
    """Return the set-ups of both searches over a registry of so many marks, and one of those."""
    address = folder / "registry.sqlite"
    with open_registry(address) as registry:
        fill(registry, marks - 1)
        _, mark = registry.add_work("In the pile")
    searches: tuple[Search, Search] = ("fast", "full")
    key = bench_key(seed)
    return {name: Setup((key,), str(address), search=name) for name in searches}, mark.number


def _told(name: str, seconds: Sequence[float], decode: float) -> tuple[str, ...]:
    median = float(np.median(seconds))
    times = f"{1e3 * median:.1f}", f"{1e3 * min(seconds):.1f}", f"{1 / median:.1f}"
    return name, *times, f"{median / decode:.1f}", f"{_BILLION * median / _HOUR:,.0f}"


def _one_core() -> None:
    """Start again with one thread in every library that reads the environment."""
    if any(os.environ.get(name) != "1" for name in _THREADS):
        again = [sys.executable, "-m", "bench.scan_speed", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | dict.fromkeys(_THREADS, "1"))  # noqa: S606 - ourselves
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the command does


def main() -> None:
    """Make the pile, measure, write a line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or single ones")
    parser.add_argument("--pictures", type=int, default=256, help="in the pile")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--few", type=int, default=2, help="shards for the full search")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--marks", type=int, default=100_000, help="size of the registry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/out/scan-speed.jsonl"))
    options = parser.parse_args()
    _one_core()
    pictures = find(options.folder, min_short=SIDE)
    with tempfile.TemporaryDirectory() as made:
        pile = Path(made) / "pile"
        pile.mkdir()
        setups, number = _setups(Path(made), options.marks, options.seed)
        shape = {"count": options.pictures, "shards": options.shards, "seed": options.seed}
        write_pile(pictures, pile, number, **shape)
        spent, clock = measure(pile, setups, few=options.few, rounds=options.rounds)
    decode = float(np.median(spent["decode"]))
    rows = [_told(name, seconds, decode) for name, seconds in spent.items()]
    print(f"{options.pictures} pictures of {SIDE} px, {options.marks:,} marks, one core\n")
    head = ("what", "median, ms", "least, ms", "a second", "times decode", "core-hours a billion")
    print(table(head, rows))
    print("\nWhole runs, fast, by the clock:\n")
    runs = [
        (jobs, f"{1 / float(np.median(each)):.1f}", f"{1 / min(each):.1f}")
        for jobs, each in clock.items()
    ]
    print(table(("processes", "a second, median", "at most"), runs))
    print(f"\nload {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores")
    line: dict[str, Any] = {
        "what": "scan-speed",
        **shape,
        "marks": options.marks,
        "seconds": spent,
        "clock": clock,
        "load": os.getloadavg(),
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    write_lines(options.out, [line], append=True)


if __name__ == "__main__":
    main()
