"""How many marks are found after each attack: ``python -m bench stills FOLDER``.

Each picture carries a mark of its own, drawn from a registry of a million random ones, and goes
through the whole program: embed, attack, detect.  *Found* means that presence has p ≤ 1e-9 over
all registered marks and that the right mark is named, with a chance of 1e-3 at most of being wrong.
Beside the attacks stands the unmarked picture, in which nothing may be found.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.attacks import ATTACKS, apply
from bench.corpus import Picture, cores, corpus_hash, find, load, side_by_side
from bench.report import provenance, rated, resumed, table, write_lines
from bench.score import Score
from watermark.detect import detect
from watermark.detection import Detection
from watermark.embed import embed
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT
from watermark.quality import psnr, ssim

__all__ = ["UNMARKED", "bench_key", "main", "measure", "registry", "summary"]

UNMARKED = "unmarked"
_SAME_RUN = ("profile", "commit", "corpus", "seed", "marks")


@dataclass(frozen=True, slots=True)
class _Job:
    """What one process is asked to do."""

    picture: Picture
    attacks: tuple[str, ...]
    seed: int


# Set before processes are forked, so that all share one code book.
_shared: dict[str, Codebook] = {}


def bench_key(seed: int) -> Key:
    """Return the key of a run: no secret, since whoever repeats the run needs it."""
    return Key(hashlib.sha256(f"sukashi bench key {seed}".encode()).digest())


def registry(marks: int, seed: int) -> Codebook:
    """Return a code book of `marks` different random numbers."""
    rng = np.random.default_rng(seed)
    numbers = np.unique(rng.integers(0, 1 << 48, marks + marks // 1000 + 16, np.uint64))
    rng.shuffle(numbers)
    return Codebook(numbers[:marks])


def measure(
    picture: Picture, attacks: tuple[str, ...], codebook: Codebook, *, seed: int
) -> list[dict[str, Any]]:
    """Mark one picture, and say for each attack what became of the mark."""
    original = load(picture)
    key = bench_key(seed)
    index = int(picture.rng(seed, "mark").integers(len(codebook)))
    number = int(codebook.numbers[index])
    marked = embed(original, key, number)
    fidelity = {"psnr": psnr(original, marked), "ssim": ssim(original, marked)}
    lines = []
    for attack in attacks:
        seen = (
            original
            if attack == UNMARKED
            else apply(attack, marked, picture.rng(seed, f"attack {attack}"))
        )
        detection = detect(seen, [key], codebook)
        line = {"picture": picture.name, "sha256": picture.sha256, "attack": attack}
        lines.append(line | _outcome(detection, number) | (fidelity if attack == "none" else {}))
    return lines


def _outcome(detection: Detection, number: int) -> dict[str, Any]:
    best = detection.best
    right = best.number == number
    return {
        "found": detection.verdict == "detected" and best.named and right,
        "verdict": detection.verdict,
        "named": best.named,
        "right": right,
        "z": best.z,
        "log10_p": best.log_p / math.log(10),
        "log10_p_wrong_work": best.log_p_wrong_work / math.log(10),
        "alignment": best.alignment.name,
    }


def _work(job: _Job) -> list[dict[str, Any]]:
    return measure(job.picture, job.attacks, _shared["codebook"], seed=job.seed)


def summary(lines: list[dict[str, Any]]) -> str:
    """Return the table, the misses, and what stands beside robustness, in Markdown."""
    rows, misses = [], []
    for name, attack in ATTACKS.items():
        mine = [line for line in lines if line["attack"] == name]
        if not mine:
            continue
        score = Score(sum(line["found"] for line in mine), len(mine))
        wanted = "" if attack.target is None else f"{100 * attack.target:.0f} %"
        enough = "" if attack.target is None or score.rate >= attack.target else "short"
        z: NDArray[np.float64] = np.array([line["z"] for line in mine])
        middle = f"{np.median(z):.1f}"
        rows.append((name, attack.about, wanted, rated(score), enough, middle, f"{z.min():.1f}"))
        misses += [
            (name, line["picture"], f"{line['z']:.2f}", line["verdict"], _named(line))
            for line in mine
            if not line["found"]
        ]
    parts = [
        table(("attack", "what", "at least", "found, 95 %", "", "median z", "least z"), rows),
        f"\nMisses: {len(misses)}\n",
    ]
    if misses:
        parts.append(table(("attack", "picture", "best z", "verdict", "name"), misses))
    clean = [line for line in lines if line["attack"] == UNMARKED]
    if clean:
        alarms = Score(sum(bool(line["verdict"] in _POSITIVE) for line in clean), len(clean))
        largest = max(line["z"] for line in clean)
        parts.append(f"\nUnmarked pictures called marked: {rated(alarms)}; largest z {largest:.2f}")
    costs = [line for line in lines if line["attack"] == "none"]
    if costs:
        decibels, similar = ([line[name] for line in costs] for name in ("psnr", "ssim"))
        parts.append(
            f"PSNR {np.mean(decibels):.2f} dB in the mean, {min(decibels):.2f} at least; "
            f"SSIM {np.mean(similar):.4f}, {min(similar):.4f}"
        )
    return "\n".join(parts)


_POSITIVE = frozenset({"detected", "indicated"})


def _named(line: dict[str, Any]) -> str:
    if not line["right"]:
        return "WRONG, NAMED" if line["named"] and line["verdict"] in _POSITIVE else "wrong"
    return "right" if line["named"] else "right, unsure"


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attacks", help="names, separated by commas; all by default")
    parser.add_argument("--limit", type=int, help="at most so many pictures")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/stills.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
    options = parser.parse_args()
    every = (*ATTACKS, UNMARKED)
    wanted = tuple(options.attacks.split(",")) if options.attacks else every
    unknown = [name for name in wanted if name not in every]
    if unknown:
        parser.error(f"no attack is called {', '.join(unknown)}; there are {', '.join(every)}")

    places, jobs = options.folder, options.jobs
    pictures = find(places, min_short=options.min_short, limit=options.limit, jobs=jobs)
    if not pictures:
        parser.error(f"no picture of at least {options.min_short} px in {', '.join(places)}")
    run = {
        "what": "stills",
        "marks": options.marks,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    seen = {(line["sha256"], line["attack"]) for line in done}
    todo = [
        _Job(picture, left, options.seed)
        for picture in pictures
        if (left := tuple(name for name in wanted if (picture.sha256, name) not in seen))
    ]
    _shared["codebook"] = registry(options.marks, options.seed)
    for lines in side_by_side(_work, todo, jobs=options.jobs):
        done += (new := [run | line for line in lines])
        write_lines(options.out, new, append=True)
        print(f"\r{len(done)}/{len(pictures) * len(wanted)}", end="", flush=True)
    print(f"\r{len(pictures)} pictures ({run['corpus']}), a registry of {options.marks} marks,")
    print(f"profile {run['profile']}\ncommit {run['commit']}, seed {options.seed}\n")
    print(summary([line for line in done if line["attack"] in wanted]))


if __name__ == "__main__":
    main()
