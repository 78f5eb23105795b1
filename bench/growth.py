"""What a mark costs an encoder: ``python -m bench growth FOLDER``.

The first seconds of each film are encoded by x264, preset medium, at one CRF, as they are and
marked; what is compared are the sizes of the two files.  The mean is that over films, each of which
counts the same however large it is.  The original film was compressed before, some of them hard,
which makes it cheaper than a master would be and the mark's share larger.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.corpus import Picture, cores, corpus_hash, side_by_side
from bench.report import provenance, resumed, table, write_lines
from bench.stills import bench_key
from bench.video_attacks import x264
from bench.video_media import Footage, films, marked, read, write
from watermark.profile import DEFAULT

__all__ = ["TARGETS", "main", "measure", "summary"]

Line = dict[str, Any]

TARGETS = {18: 0.12, 23: 0.05, 28: 0.02}  # by CRF: the mean growth of a file, at most
_SAME_RUN = ("profile", "commit", "corpus", "seed", "seconds")


@dataclass(frozen=True, slots=True)
class _Job:
    """What one process is asked to do."""

    film: Picture
    seconds: float
    seed: int


def measure(film: Picture, *, seconds: float, seed: int) -> list[Line]:
    """Encode the first seconds of a film with and without a mark, once for each CRF."""
    plain = read(film.path)
    plain = plain.cut(0, max(1, round(seconds * plain.rate)))
    number = int(film.rng(seed, "mark").integers(1 << 48))
    with_mark = marked(plain, bench_key(seed), number)
    return [
        {
            "film": film.name,
            "sha256": film.sha256,
            "crf": crf,
            "frames": len(plain.frames),
            "plain": _bytes(plain, crf),
            "marked": _bytes(with_mark, crf),
        }
        for crf in TARGETS
    ]


def _bytes(footage: Footage, crf: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write(path, footage.frames, rate=footage.rate, coding=x264(crf))
        return path.stat().st_size


def _work(job: _Job) -> list[Line]:
    return measure(job.film, seconds=job.seconds, seed=job.seed)


def summary(lines: Sequence[Line]) -> str:
    """Return the growth of each film's file and the means, in Markdown."""
    growth = {(line["film"], line["crf"]): line["marked"] / line["plain"] - 1 for line in lines}
    names = sorted({film for film, _ in growth})
    rows = [(name, *(f"{100 * growth[name, crf]:+.1f} %" for crf in TARGETS)) for name in names]
    means = {crf: float(np.mean([growth[name, crf] for name in names])) for crf in TARGETS}
    rows.append(("mean", *(f"{100 * mean:+.1f} %" for mean in means.values())))
    rows.append(("at most", *(f"{100 * target:+.1f} %" for target in TARGETS.values())))
    rows.append(("", *("over" if means[crf] > TARGETS[crf] else "" for crf in TARGETS)))
    return table(("film", *(f"CRF {crf}" for crf in TARGETS)), rows)


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of films, or films")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each film, from its start")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many films")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/growth.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
    options = parser.parse_args()
    corpus = films(options.folder, limit=options.limit)
    if not corpus:
        parser.error(f"no film in {', '.join(options.folder)}")
    run = {
        "what": "growth",
        "seconds": options.seconds,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    seen = {line["sha256"] for line in done}
    todo = [_Job(film, options.seconds, options.seed) for film in corpus if film.sha256 not in seen]
    for lines in side_by_side(_work, todo, jobs=options.jobs):
        done += (new := [run | line for line in lines])
        write_lines(options.out, new, append=True)
        print(f"\r{len(done)}/{len(corpus) * len(TARGETS)}", end="", flush=True)
    print(f"\r{len(corpus)} films ({run['corpus']}), {options.seconds} s of each, x264 medium")
    print(f"profile {run['profile']}\ncommit {run['commit']}, seed {options.seed}\n")
    print(summary(done))


if __name__ == "__main__":
    main()
