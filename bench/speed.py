"""Time on one core, 1080p: ``python -m bench speed [PICTURE]``.

Everything the product does to a picture but reading and writing files, next to the time that
libvips takes to decode the same picture as JPEG in the same run.
Times are medians after a warm-up; on a machine that does other work too, the least is the truer.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

from bench.corpus import Picture, load
from bench.large import peak_of_large
from bench.report import provenance, table, write_lines
from bench.stills import bench_key, registry
from watermark.align import fold, whole_frame
from watermark.allocator import keep_freed_memory
from watermark.decide import decide, soft_word
from watermark.detect import hypotheses, observe, searched
from watermark.embed import embed
from watermark.frame import add_luma, luma
from watermark.identify import Codebook
from watermark.mask import mask
from watermark.pattern import mark_tile, repeat
from watermark.profile import DEFAULT
from watermark.residual import canonical_scale, from_canonical, to_canonical, whiten

__all__ = ["Timing", "main", "painted", "timed"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY")
_SHAPE = (1080, 1920)
_BATCH = 64
_QUALITY = 90
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one call: the median and the least of `rounds`."""

    median: float
    least: float
    rounds: int

    def per(self, count: int) -> Timing:
        """Return the time of one of `count` things that a call does."""
        return Timing(self.median / count, self.least / count, self.rounds)


def timed(call: Callable[[], object], *, rounds: int) -> Timing:
    """Time a call after a warm-up."""
    for _ in range(_WARM_UP):
        call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return Timing(float(np.median(seconds)), min(seconds), rounds)


def painted(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a seeded RGB picture for want of a better: clouds, flats and outlines."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (9, 16, 3), np.uint8)
    canvas = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(canvas + rng.normal(0, 2, canvas.shape), 0, 255).astype(np.uint8)
    for _ in range(40):
        centre = (int(rng.integers(shape[1])), int(rng.integers(shape[0])))
        radius = int(rng.integers(20, 200))
        cv2.circle(canvas, centre, radius, rng.integers(0, 256, 3).tolist(), -1, cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, (20, 16, 24), 4, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def _one_core() -> None:
    """Start again with one thread in every library that reads the environment."""
    if any(os.environ.get(name) != "1" for name in _THREADS):
        ours = dict.fromkeys(_THREADS, "1")
        arguments = [sys.executable, "-m", "bench.speed", *sys.argv[1:]]
        os.execve(sys.executable, arguments, os.environ | ours)  # noqa: S606 - ourselves
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the command does


def _peak(call: Callable[[], object]) -> int:
    """Return the most bytes that arrays took at one time during a call."""
    tracemalloc.start()
    call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def _parts(pixels: NDArray[np.uint8], number: int, *, rounds: int) -> dict[str, Timing]:
    """Time the parts of embed and of observe, in the order in which they run."""
    key = bench_key(1)
    plane = luma(pixels)
    canvas = to_canonical(plane, DEFAULT)
    short = min(plane.shape)
    strengths = mask(canvas, short, DEFAULT)
    tile = mark_tile(key, number, DEFAULT)
    scale = canonical_scale(plane.shape, DEFAULT)
    size = (int(np.ceil(plane.shape[0] * scale)) + 3, int(np.ceil(plane.shape[1] * scale)) + 3)
    beyond = ((0, size[0] - strengths.shape[0]), (0, size[1] - strengths.shape[1]))
    carrier = repeat(tile, size) * np.pad(strengths, beyond, mode="edge")
    grown = np.ascontiguousarray(from_canonical(carrier, plane.shape, DEFAULT))
    seen = observe((pixels,))
    alignments = whole_frame(seen)
    calls: dict[str, Callable[[], object]] = {
        "luma": lambda: luma(pixels),
        "to the canonical grid": lambda: to_canonical(plane, DEFAULT),
        "mask": lambda: mask(canvas, short, DEFAULT),
        "carrier": lambda: repeat(tile, size) * np.pad(strengths, beyond, mode="edge"),
        "up to the frame": lambda: from_canonical(carrier, plane.shape, DEFAULT),
        "add and round": lambda: add_luma(pixels, grown),
        "whiten (observe)": lambda: whiten(canvas, DEFAULT),
        "fold twice (align)": lambda: [fold(seen, each, key, DEFAULT) for each in alignments],
    }
    return {name: timed(call, rounds=rounds) for name, call in calls.items()}


def _measure(
    pixels: NDArray[np.uint8], codebook: Codebook, *, rounds: int
) -> tuple[dict[str, Timing], dict[str, int]]:
    key, number = bench_key(1), int(codebook.numbers[0])
    # With alpha-free pixels at the same size; chroma is halved, as in most files.
    code = pyvips.Image.new_from_array(pixels).jpegsave_buffer(Q=_QUALITY)
    marked = embed(pixels, key, number)
    tried = hypotheses(observe((marked,)), [key])
    soft = soft_word(tried[0].evidence, key, DEFAULT)
    noise = np.random.default_rng(1).standard_normal((_BATCH, soft.size)) / 16
    batch = codebook.codewords(np.arange(_BATCH) % len(codebook)) * 8.0 / soft.size + noise
    few = max(3, rounds // 4)
    cut = cv2.resize(marked[200:956, 400:1744], _SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    crop = np.asarray(cut, np.uint8)
    times = {
        "decode": timed(lambda: pyvips.Image.new_from_buffer(code, "").numpy(), rounds=rounds),
        "embed": timed(lambda: embed(pixels, key, number), rounds=rounds),
        "observe and align": timed(lambda: hypotheses(observe((marked,)), [key]), rounds=rounds),
        "search, fast": timed(lambda: searched(luma(marked), [key], search="fast"), rounds=rounds),
        "search, full": timed(lambda: searched(luma(marked), [key]), rounds=few),
        "search, full, a crop": timed(lambda: searched(luma(crop), [key]), rounds=few),
        "search, full, unmarked": timed(lambda: searched(luma(pixels), [key]), rounds=few),
        "identify one": timed(lambda: codebook.rank(soft), rounds=rounds),
        "identify in 64": timed(lambda: codebook.rank(batch), rounds=few).per(_BATCH),
        "decide": timed(lambda: decide(tried, codebook), rounds=rounds),
    }
    memory = {
        "registry": sum(
            array.nbytes
            for array in (getattr(codebook, name) for name in Codebook.__slots__)
            if isinstance(array, np.ndarray)
        ),
        "identify one": _peak(lambda: codebook.rank(soft)),
        "identify in 64": _peak(lambda: codebook.rank(batch)),
        "decide": _peak(lambda: decide(tried, codebook)),
        "50 megapixels, unmarked": peak_of_large(pixels, key.secret)[1],
        "50 megapixels, marked": peak_of_large(marked, key.secret)[1],
        "whole process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    return times, memory


def main() -> None:
    """Time everything, write one line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", nargs="?", type=Path, help="by default one is painted")
    parser.add_argument("--film", type=Path, help="time marking and finding of a film as well")
    parser.add_argument("--pile", type=Path, help="a folder: time scanning its pictures as well")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--out", type=Path, default=Path("bench/out/speed.jsonl"))
    options = parser.parse_args()
    _one_core()
    if options.picture:
        name = options.picture.name
        original = load(Picture(options.picture, ""))
        pixels = cv2.resize(original, _SHAPE[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)
    else:
        name, pixels = "painted", painted(_SHAPE)
    codebook = registry(options.marks, 1)
    times, memory = _measure(pixels, codebook, rounds=options.rounds)
    parts = _parts(pixels, int(codebook.numbers[0]), rounds=options.rounds)

    decode = times["decode"].median
    wanted = {"embed": 20, "observe and align": 25, "identify one": 60, "identify in 64": 15}
    wanted |= {"search, fast": 60} | dict.fromkeys(
        ("search, full", "search, full, a crop", "search, full, unmarked"), 350
    )
    about = {
        "decode": f"libvips, JPEG {_QUALITY}, for comparison",
        "search, fast": "whole frame, mirrored, inside borders",
        "search, full": "the marked picture",
        "search, full, a crop": "70 % of each side, enlarged",
        "search, full, unmarked": "all of the search in vain",
        "identify one": f"one soft word among {options.marks} marks",
        "identify in 64": f"each, in batches of {_BATCH}",
        "decide": "two alignments, ranked, decoded and attributed",
    }
    print(f"{name} at 1920 × 1080, one core, {options.rounds} rounds\n")
    print(
        table(
            ("what", "", "at most, ms", "median, ms", "least, ms", "times decode"),
            [
                (
                    what,
                    about.get(what, ""),
                    wanted.get(what, ""),
                    f"{1e3 * timing.median:.1f}",
                    f"{1e3 * timing.least:.1f}",
                    f"{timing.median / decode:.2f}",
                )
                for what, timing in times.items()
            ],
        )
    )
    print("\nThe parts:\n")
    rows = [(part, f"{1e3 * t.median:.2f}", f"{1e3 * t.least:.2f}") for part, t in parts.items()]
    print(table(("part", "median, ms", "least, ms"), rows))
    print("\nMemory (registry and identification together: at most 300 MB; 50 megapixels: 500):\n")
    print(table(("what", "MB"), [(what, f"{size / 1e6:.0f}") for what, size in memory.items()]))
    print(f"\nprofile {DEFAULT}")
    line: dict[str, Any] = {
        "what": "speed",
        "picture": name,
        "marks": options.marks,
        "seconds": {what: [t.median, t.least] for what, t in (times | parts).items()},
        "bytes": memory,
        **provenance(seed=1, profile=str(DEFAULT), corpus=name),
    }
    write_lines(options.out, [line], append=True)
    if options.film:
        free = {name: value for name, value in os.environ.items() if name not in _THREADS}
        command = [sys.executable, "-m", "bench.film_speed", str(options.film)]
        subprocess.run(command, check=True, env=free)
    if options.pile:
        subprocess.run([sys.executable, "-m", "bench.scan_speed", str(options.pile)], check=True)


if __name__ == "__main__":
    main()
