"""How many marks are found after the geometry was changed: ``python -m bench geometry FOLDER``.

As for stills, each picture carries a mark of its own out of a registry of a million random ones.
Each attack is drawn several times; a draw depends on picture, attack, its own number and the seed,
on nothing else.  A work is *found* if its mark is among those detected (presence p ≤ 1e-9) and is
named (wrongly with a chance of 1e-3 at most).  A collage holds four works, and each is a trial.
Beside the attacks stand unmarked pictures that went through some of them: nothing may be found.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.attacks import Picture as Pixels
from bench.corpus import Picture, cores, corpus_hash, find, load, side_by_side
from bench.geometry_attacks import ATTACKS, apply
from bench.report import provenance, rated, resumed, table, write_lines
from bench.score import Score
from bench.stills import bench_key, registry
from watermark.decide import DETECTED
from watermark.detect import detect
from watermark.detection import Detection
from watermark.embed import embed
from watermark.identify import Codebook
from watermark.profile import DEFAULT

__all__ = ["UNMARKED", "Setting", "main", "measure", "outcome", "summary"]

UNMARKED = {f"unmarked {name}": name for name in ("rotate crop", "crop 50", "perspective 10")}

Line = dict[str, Any]

_SAME_RUN = ("profile", "commit", "corpus", "seed", "marks", "search")
_KEPT = 8  # marked pictures that a process remembers, since jobs on one picture follow each other


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials of a run share.

    Parameters
    ----------
    corpus : tuple of Picture
        Where an attack takes further pictures from.
    codebook : Codebook
    seed : int
    search : str
        How far the detector looks.
    """

    corpus: tuple[Picture, ...]
    codebook: Codebook
    seed: int = 1
    search: Literal["full", "fast"] = "full"

    def number(self, picture: Picture) -> int:
        """Return the mark of a picture, the same as in the experiment on stills."""
        index = picture.rng(self.seed, "mark").integers(len(self.codebook))
        return int(self.codebook.numbers[index])


@dataclass(frozen=True, slots=True)
class _Job:
    """What one process is asked to do."""

    picture: Picture
    attack: str
    draws: tuple[int, ...]


# Set before processes are forked, so that all share one code book.
_shared: dict[str, Setting] = {}


@lru_cache(maxsize=_KEPT)
def _marked(picture: Picture, number: int, seed: int) -> Pixels:
    return np.asarray(embed(load(picture), bench_key(seed), number), np.uint8)


def measure(picture: Picture, attack: str, draw: int, setting: Setting) -> Line:
    """Put a picture through one draw of an attack, and say what became of the mark or marks."""
    change = UNMARKED.get(attack, attack)
    rng = picture.rng(setting.seed, f"attack {change}, draw {draw}")
    rivals = [each for each in setting.corpus if each != picture]
    chosen = rng.choice(len(rivals), ATTACKS[change].others, replace=False)
    pictures = [picture, *(rivals[index] for index in chosen)]
    works = pictures if ATTACKS[change].others_marked else [picture]
    works = [] if attack in UNMARKED else works
    inputs = [
        _marked(each, setting.number(each), setting.seed) if each in works else load(each)
        for each in pictures
    ]
    seen = apply(change, inputs[0], rng, *inputs[1:])

    start = time.perf_counter()
    detection = detect(seen, [bench_key(setting.seed)], setting.codebook, search=setting.search)
    seconds = time.perf_counter() - start
    line = {"picture": picture.name, "sha256": picture.sha256, "attack": attack, "draw": draw}
    line |= {"height": seen.shape[0], "width": seen.shape[1], "seconds": seconds}
    return line | outcome(detection, [(work.name, setting.number(work)) for work in works])


def outcome(detection: Detection, works: Sequence[tuple[str, int]]) -> Line:
    """Say what a detection made of the works in a picture, given their names and marks.

    The z of a mark that is not among the candidates is given as that of the last of these, which
    is as much as it can have had where the best mark lay.
    """
    numbers = {number for _, number in works}
    least = min(candidate.z for candidate in detection.candidates)
    results = []
    for name, number in works:
        mine = [each for each in detection.found if each.number == number]
        scores = [each.z for each in mine]
        scores += [each.z for each in detection.candidates if each.number == number]
        found = any(each.named and each.log_p <= DETECTED for each in mine)
        results.append({"picture": name, "found": found, "z": max(scores, default=least)})
    best = detection.best
    return {
        "works": results,
        "wrong": sum(each.named and each.number not in numbers for each in detection.found),
        "verdict": detection.verdict,
        "z": best.z,
        "log10_p": best.log_p / math.log(10),
        "log10_p_wrong_work": best.log_p_wrong_work / math.log(10),
        "alignment": best.alignment.name,
    }


def _work(job: _Job) -> list[Line]:
    return [measure(job.picture, job.attack, draw, _shared["setting"]) for draw in job.draws]


def summary(lines: Sequence[Line]) -> str:
    """Return the table, the misses by picture, and what must not have happened, in Markdown."""
    rows, misses = [], []
    for name, attack in ATTACKS.items():
        works = [work for line in lines if line["attack"] == name for work in line["works"]]
        if not works:
            continue
        score = Score(sum(work["found"] for work in works), len(works))
        wanted = "" if attack.target is None else f"{100 * attack.target:.0f} %"
        enough = "" if attack.target is None or score.rate >= attack.target else "short"
        z = [work["z"] for work in works]
        middle = f"{np.median(z):.1f}"
        rows.append((name, attack.about, wanted, rated(score), enough, middle, f"{min(z):.1f}"))
        misses += [(name, *missed) for missed in _missed(works)]
    parts = [
        table(("attack", "what", "at least", "found, 95 %", "", "median z", "least z"), rows),
        f"\nMisses: {sum(not work['found'] for line in lines for work in line['works'])}\n",
    ]
    if misses:
        parts.append(table(("attack", "picture", "missed", "z of the misses"), misses))
    parts.append(f"\nWrong works named: {sum(line['wrong'] for line in lines)}")
    clean = [line for line in lines if line["attack"] in UNMARKED]
    if clean:
        alarms = sum(line["verdict"] in {"detected", "indicated"} for line in clean)
        largest = max(line["z"] for line in clean)
        rate = rated(Score(alarms, len(clean)))
        parts.append(f"Unmarked pictures called marked: {rate}; largest z {largest:.2f}")
    if lines:
        seconds = [line["seconds"] for line in lines]
        middle = f"{np.median(seconds):.2f}"
        parts.append(f"Seconds for a detection: {middle} in the median, {max(seconds):.2f} at most")
    return "\n".join(parts)


def _missed(works: Sequence[Line]) -> list[tuple[str, str, str]]:
    """Return each picture with misses: its name, how many of its trials, and their z."""
    by_picture = defaultdict(list)
    for work in works:
        by_picture[work["picture"]].append(work)
    return [
        (name, f"{len(lost)} of {len(all_of_it)}", ", ".join(f"{z:.1f}" for z in sorted(lost)))
        for name, all_of_it in sorted(by_picture.items())
        if (lost := [work["z"] for work in all_of_it if not work["found"]])
    ]


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--draws", type=int, default=5, help="of each attack on each picture")
    parser.add_argument("--search", choices=("full", "fast"), default="full")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attacks", help="names, separated by commas; all by default")
    parser.add_argument("--limit", type=int, help="at most so many pictures, beside any others")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/geometry.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
    options = parser.parse_args()
    every = (*ATTACKS, *UNMARKED)
    wanted = tuple(options.attacks.split(",")) if options.attacks else every
    unknown = [name for name in wanted if name not in every]
    if unknown:
        parser.error(f"no attack is called {', '.join(unknown)}; there are {', '.join(every)}")

    corpus = find(options.folder, min_short=options.min_short, jobs=options.jobs)
    most = max(ATTACKS[UNMARKED.get(name, name)].others for name in wanted)
    if len(corpus) <= most:
        parser.error(
            f"these attacks take {most + 1} pictures of at least {options.min_short} px, and "
            f"{', '.join(options.folder)} has {len(corpus)}"
        )
    run = {
        "what": "geometry",
        "marks": options.marks,
        "search": options.search,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    seen = {(line["sha256"], line["attack"], line["draw"]) for line in done}
    pictures, draws = corpus[: options.limit], range(options.draws)
    todo = [
        _Job(picture, name, left)
        for picture in pictures
        for name in wanted
        if (left := tuple(draw for draw in draws if (picture.sha256, name, draw) not in seen))
    ]
    codebook = registry(options.marks, options.seed)
    _shared["setting"] = Setting(corpus, codebook, options.seed, options.search)
    for lines in side_by_side(_work, todo, jobs=options.jobs):
        done += (new := [run | line for line in lines])
        write_lines(options.out, new, append=True)
        print(f"\r{len(done)}/{len(pictures) * len(wanted) * len(draws)}", end="", flush=True)
    print(
        f"\r{len(pictures)} pictures of {len(corpus)} ({run['corpus']}), {len(draws)} draws each,"
    )
    print(f"a registry of {options.marks} marks, {options.search} search, profile {run['profile']}")
    print(f"commit {run['commit']}, seed {options.seed}\n")
    print(summary([line for line in done if line["attack"] in wanted and line["draw"] in draws]))


if __name__ == "__main__":
    main()
