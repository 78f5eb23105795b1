"""How many frames of a work it takes to remove or to forge its mark: ``python -m bench removal``.

All marked frames of a draw carry one mark of one key, on different hosts of one size; the attempts
are those of `bench.removal.averaging`.  For removals the figure is how many marks are still found;
for forgeries, how many pictures that nobody marked are taken for marked ones.
Hosts are parts of the pictures, from anywhere, none of which is attacked.  The geometry is left
alone, so the detector looks at the whole frame only.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.attacks import Picture as Pixels
from bench.corpus import Picture, corpus_hash, find, load
from bench.removal.averaging import (
    COUNTS,
    FORGERY_GAINS,
    METHODS,
    REMOVAL_GAINS,
    Sums,
    forged,
    host,
    hosts,
    removed,
)
from bench.report import provenance, rated, table, write_lines
from bench.score import Score
from bench.stills import bench_key, registry
from watermark.detect import detect
from watermark.embed import embed
from watermark.identify import Codebook
from watermark.profile import DEFAULT
from watermark.quality import psnr

__all__ = ["Attempt", "Setting", "attempts", "main", "measure", "summary"]

Mark = Callable[[Pixels], Pixels]

_COUNTED = ("found", "present")
_UNSEEN = 40.0  # dB of PSNR in the median: beyond it few would notice what was done


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One attacked frame.

    Parameters
    ----------
    what : str
        ``removal`` from a marked frame, or ``forgery`` on an unmarked one.
    method, gain : str
        Of `bench.removal.averaging`.
    frames : int
        How many marked frames the estimate was made of.
    target : int
        Which of the targets it is.
    pixels : ndarray of shape (H, W, 3), uint8
    psnr : float
        Against what it was made from, dB.
    """

    what: str
    method: str
    gain: str
    frames: int
    target: int
    pixels: Pixels
    psnr: float


def attempts(
    frames: Sequence[Pixels],
    others: Sequence[Pixels],
    targets: Sequence[Pixels],
    mark: Mark,
    *,
    counts: Sequence[int] = COUNTS,
    methods: Sequence[str] = METHODS,
    period: int | None = None,
) -> Iterator[Attempt]:
    """Yield all attempts against any system that marks pictures.

    Parameters
    ----------
    frames : sequence of ndarray of shape (H, W, 3), uint8
        Unmarked hosts of one shape, at least ``max(counts)``; their marked versions are averaged.
    others : sequence
        As many unmarked pictures of that shape, by others.
    targets : sequence
        Unmarked pictures of that shape, which are attacked.
    mark : function of pixels
        Embeds the one mark.
    counts, methods : sequence
        Of how many frames, and how, estimates are made.
    period : int, optional
        Pixels after which the mark repeats, where a method wants to know.
    """
    marked = [mark(each) for each in targets]
    each = (Sums.of(mark(frame), other, frame) for frame, other in zip(frames, others, strict=True))
    for sums in Sums.growing(each, counts):
        for method in methods:
            estimate = sums.estimate(method, period=period)
            for at, (before, after) in enumerate(zip(targets, marked, strict=True)):
                for gain in REMOVAL_GAINS:
                    seen = removed(after, estimate, gain)
                    decibels = psnr(after, seen)
                    yield Attempt("removal", method, gain, sums.frames, at, seen, decibels)
                for gain in FORGERY_GAINS:
                    seen = forged(before, estimate, gain)
                    decibels = psnr(before, seen)
                    yield Attempt("forgery", method, gain, sums.frames, at, seen, decibels)


@dataclass(frozen=True, slots=True)
class Setting:
    """What all draws of a run share.

    Parameters
    ----------
    corpus : tuple of Picture
    targets : int
        How many pictures of a draw are attacked; the others are hosts.
    counts, methods : tuple
        As `attempts` takes them.
    shape : tuple of int
        Height and width of all frames, pixels.
    codebook : Codebook
    seed : int
    """

    corpus: tuple[Picture, ...]
    targets: int
    counts: tuple[int, ...]
    methods: tuple[str, ...]
    shape: tuple[int, int]
    codebook: Codebook
    seed: int = 1


def measure(setting: Setting, draw: int) -> Iterator[dict[str, Any]]:
    """Yield a line for each attempt of a draw: with a mark, targets and hosts of its own.

    Attempts of one draw share their estimates, and are not independent of each other.
    """
    digest = hashlib.sha256(f"removal {setting.seed} {draw}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    order = [setting.corpus[at] for at in rng.permutation(len(setting.corpus))]
    chosen, rest = order[: setting.targets], order[setting.targets :]
    key = bench_key(setting.seed)
    number = int(setting.codebook.numbers[rng.integers(len(setting.codebook))])
    most = max(setting.counts)
    frames = list(hosts([load(each) for each in rest], setting.shape, 2 * most, rng))
    for attempt in attempts(
        frames[:most],
        frames[most:],
        [host(load(each), setting.shape, rng) for each in chosen],
        lambda pixels: np.asarray(embed(pixels, key, number), np.uint8),
        counts=setting.counts,
        methods=setting.methods,
        # The tile repeats on a grid whose short side is that of the profile.
        period=round(DEFAULT.tile * min(setting.shape) / DEFAULT.short),
    ):
        target = chosen[attempt.target]
        detection = detect(attempt.pixels, [key], setting.codebook, search="fast")
        best = detection.best
        right = best.number == number
        present = detection.verdict == "detected"
        yield {
            "system": "sukashi",
            "visibility": "default",
            "kind": "image",
            "family": "averaging" if attempt.what == "removal" else "forgery",
            "attack": f"{attempt.what} {attempt.method} {attempt.gain}",
            "strength": attempt.frames,
            "picture": target.name,
            "sha256": target.sha256,
            "draw": draw,
            "found": present and best.named and right,
            "log10_p": best.log_p / math.log(10),
            "right": right,
            "present": present,
            "bits": None,
            "z": best.z,
            "psnr": None if math.isinf(attempt.psnr) else attempt.psnr,
            "error": None,
        }


def summary(lines: Sequence[dict[str, Any]]) -> str:
    """Return the counts of each attempt, and what the best of the unseen ones do, in Markdown.

    *Named* is found with the right name; *present* is found as a mark of the key, whatever number
    it shows: a mark that was subtracted more than once is there with the signs reversed.
    """
    cells: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines:
        cells.setdefault((line["attack"], line["strength"]), []).append(line)
    rows = []
    best: dict[tuple[str, str, int], tuple[tuple[float, ...], tuple[str, ...]]] = {}
    for (attack, count), mine in cells.items():
        named, present = (Score(sum(x[what] for x in mine), len(mine)) for what in _COUNTED)
        decibels = np.median([math.inf if x["psnr"] is None else x["psnr"] for x in mine])
        z = float(np.median([x["z"] for x in mine]))
        row = (attack, str(count), rated(named), rated(present), f"{z:.1f}", f"{decibels:.1f}")
        rows.append(row)
        what, method = attack.split()[:2]
        wish = 1 if what == "removal" else -1
        order = (wish * named.found, wish * present.found, -decibels)
        if decibels >= _UNSEEN:
            best[what, method, count] = min(
                (order, row), best.get((what, method, count), (order, row))
            )
    heads = ("attempt", "frames", "named, 95 %", "present, 95 %", "median z", "PSNR")
    return "\n\n".join(
        (
            table(heads, rows),
            f"The best for the attacker, of those at {_UNSEEN:.0f} dB or more:",
            table(heads, [row for _, row in best.values()]),
        )
    )


def main() -> None:
    """Run the experiment with this project's mark, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--targets", type=int, default=6, help="pictures attacked in each draw")
    parser.add_argument("--draws", type=int, default=2, help="of mark, hosts and targets")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)), help="of frames")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--height", type=int, default=512, help="pixels of all frames")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/out/removal.jsonl"))
    options = parser.parse_args()
    pictures = find(options.folder, min_short=480)
    if len(pictures) <= options.targets:
        parser.error(f"{len(pictures)} pictures are too few to keep {options.targets} apart")
    setting = Setting(
        pictures,
        options.targets,
        tuple(int(count) for count in options.counts.split(",")),
        tuple(options.methods.split(",")),
        (options.height, options.width),
        registry(options.marks, options.seed),
        options.seed,
    )
    run = {
        "what": "removal",
        "marks": options.marks,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    lines: list[dict[str, Any]] = []
    for draw in range(options.draws):
        for line in measure(setting, draw):
            write_lines(options.out, [run | line], append=bool(lines))
            lines.append(line)
    print(f"{len(pictures)} pictures ({run['corpus']}), {options.targets} attacked in each of")
    print(f"{options.draws} draws, profile {run['profile']}")
    print(f"commit {run['commit']}, seed {options.seed}\n")
    print(summary(lines))


if __name__ == "__main__":
    main()
