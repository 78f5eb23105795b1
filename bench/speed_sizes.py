"""Speed by size, registry and cores, beside the peers: ``python -m bench speed-sizes PICTURE``.

Everything is a ratio to decoding the same JPEG in the same run, by libvips on one core; seconds
stand beside it for whoever wants them.  Peers are asked over a pipe, which costs them little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

from bench.corpus import Picture, cores, load, side_by_side
from bench.large import peak_of_large
from bench.peers import PeerError, System, available
from bench.report import provenance, table
from bench.stills import bench_key, registry
from watermark.detect import detect
from watermark.embed import embed
from watermark.identify import Codebook
from watermark.profile import DEFAULT

__all__ = ["MEGAPIXELS", "REGISTERED", "main"]

MEGAPIXELS = (0.1, 0.3, 1.0, 2.0, 8.0, 24.0, 50.0)
REGISTERED = (1, 1_000, 100_000, 1_000_000, 10_000_000)
_PEERS_UP_TO = 2.0  # megapixels
_QUALITY = 90
_NUMBER = 0x3F2A9C01B7DE

Pixels = NDArray[np.uint8]
Line = dict[str, Any]


def _sized(pixels: Pixels, megapixels: float) -> Pixels:
    height, width = pixels.shape[:2]
    scale = (megapixels * 1e6 / (height * width)) ** 0.5
    size = (round(width * scale), round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _least(call: Callable[[], object], rounds: int) -> float:
    """Return the least wall time: what else the machine does only ever adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _of_size(
    pixels: Pixels, codebook: Codebook, systems: dict[str, System], rounds: int
) -> Iterator[Line]:
    key = bench_key(1)
    code = pyvips.Image.new_from_array(pixels).jpegsave_buffer(Q=_QUALITY)
    decode = _least(lambda: pyvips.Image.new_from_buffer(code, "").numpy(), rounds)
    marked = np.asarray(embed(pixels, key, _NUMBER), np.uint8)
    size = pixels.shape[0] * pixels.shape[1] / 1e6
    timed: dict[tuple[str, str], Callable[[], object]] = {
        ("sukashi", "embed"): lambda: embed(pixels, key, _NUMBER),
        ("sukashi", "detect, fast"): lambda: detect(marked, [key], codebook, search="fast"),
        ("sukashi", "detect, full"): lambda: detect(marked, [key], codebook),
        ("sukashi", "detect, unmarked"): lambda: detect(pixels, [key], codebook),
    }
    for name, system in systems.items():
        bits = np.random.default_rng(1).random(system.bits) < 0.5
        try:
            theirs = system.embed(pixels, bits)
        except PeerError as error:
            yield {"what": "size", "system": name, "megapixels": size, "error": str(error)}
            continue
        shape = pixels.shape[0], pixels.shape[1]
        timed[name, "embed"] = partial(system.embed, pixels, bits)
        timed[name, "decode"] = partial(system.decode, theirs, shape)
    yield {"what": "size", "system": "libvips", "of": "decode", "megapixels": size, "s": decode}
    for (name, of), call in timed.items():
        try:
            seconds = _least(call, rounds)
        except PeerError as error:
            yield {"what": "size", "system": name, "megapixels": size, "error": str(error)}
            continue
        line = {"what": "size", "system": name, "of": of, "megapixels": size, "s": seconds}
        yield line | {"ratio": seconds / decode}


def _of_registry(pixels: Pixels, rounds: int) -> Iterator[Line]:
    key = bench_key(1)
    marked = np.asarray(embed(pixels, key, _NUMBER), np.uint8)
    for count in REGISTERED:
        codebook = registry(count, 1)
        seconds = _least(partial(detect, marked, [key], codebook, search="fast"), rounds)
        yield {"what": "registry", "marks": count, "of": "detect, fast", "s": seconds}


def _many(pixels: Pixels) -> int:
    for _ in range(8):
        detect(embed(pixels, bench_key(1), _NUMBER), [bench_key(1)], search="fast")
    return 8


def _of_cores(pixels: Pixels) -> Iterator[Line]:
    for jobs in range(1, cores() + 1):
        start = time.perf_counter()
        done = sum(side_by_side(_many, [pixels] * 2 * jobs, jobs=jobs))
        seconds = time.perf_counter() - start
        yield {"what": "cores", "jobs": jobs, "of": "embed and detect, fast", "a_s": done / seconds}


def _of_memory(pixels: Pixels) -> Iterator[Line]:
    for name, image in (("unmarked", pixels), ("marked", embed(pixels, bench_key(1), _NUMBER))):
        verdict, peak = peak_of_large(np.asarray(image, np.uint8), bench_key(1).secret)
        of = f"50 megapixels from a file, {name}, {verdict}"
        yield {"what": "memory", "of": of, "MB": peak / 1e6}


def _tables(lines: list[Line]) -> str:
    sizes = [line for line in lines if line["what"] == "size" and "s" in line]
    names = sorted({(line["system"], line["of"]) for line in sizes}, key=str)
    columns = sorted({line["megapixels"] for line in sizes})
    by = {(line["system"], line["of"], line["megapixels"]): line for line in sizes}

    def cell(name: tuple[str, str], size: float) -> str:
        line = by.get((*name, size))
        if line is None:
            return ""
        ratio = f" ({line['ratio']:.1f} ×)" if "ratio" in line else ""
        return f"{1000 * line['s']:.0f} ms{ratio}"

    first = table(
        ("system", "what", *(f"{size:.1f} MP" for size in columns)),
        [(*name, *(cell(name, size) for size in columns)) for name in names],
    )
    rows = [
        *(
            (f"detect, fast, {line['marks']:,} marks", f"{1000 * line['s']:.0f} ms")
            for line in lines
            if line["what"] == "registry"
        ),
        *(
            (f"{line['jobs']} processes, {line['of']}", f"{line['a_s']:.1f} a second")
            for line in lines
            if line["what"] == "cores"
        ),
        *(
            (line["of"], f"{line['MB']:.0f} MB at most")
            for line in lines
            if line["what"] == "memory"
        ),
    ]
    others = table(("what", ""), rows)
    return f"{first}\n\n{others}"


def main() -> None:
    """Time everything, print the tables, and write the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument("--out", type=Path, default=Path("bench/out/speed-sizes.jsonl"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pyvips.cache_set_max(0)
    source = load(Picture(options.picture, ""))
    systems = {n: s for n, s in available(options.peers).items() if not isinstance(s, str)}
    del systems["sukashi"]
    lines: list[Line] = list(_of_cores(_sized(source, 2.0)))  # before libvips has threads here
    codebook = registry(1_000_000, 1)
    for megapixels in MEGAPIXELS:
        beside = systems if megapixels <= _PEERS_UP_TO else {}
        lines += _of_size(_sized(source, megapixels), codebook, beside, options.rounds)
    del codebook
    lines += _of_registry(_sized(source, 1.0), options.rounds)
    lines += _of_memory(_sized(source, 2.0))
    run = provenance(seed=1, profile=str(DEFAULT), corpus=options.picture.name)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("".join(json.dumps(run | line) + "\n" for line in lines))
    print(f"commit {run['commit']}, {options.picture.name}, least of {options.rounds} rounds\n")
    print(_tables(lines))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
