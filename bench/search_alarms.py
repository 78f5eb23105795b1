"""What the search does to the null: ``python -m bench search-alarms FOLDER``.

Every run goes through the full search with a key that marked nothing: pictures without a mark,
pictures marked under another key, and trick content.  Of each run the largest z of one fixed code
word over all alignments that were decided on is taken.  If the pilot's search told anything about
the message, this would be larger than the largest of as many independent normal numbers.  The
p-value is that of `watermark.decide` with one registered mark: each alignment is charged for its
share of the error probability, and nothing else is.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest, norm

from bench.corpus import Picture, cores, corpus_hash, find, load, side_by_side
from bench.report import provenance, rated, table, write_lines
from bench.score import Score
from bench.tricks import TRICKS
from watermark.coding import codeword
from watermark.decide import log_p, shares, soft_word
from watermark.detect import searched
from watermark.embed import embed
from watermark.frame import luma
from watermark.key import Key
from watermark.profile import DEFAULT

__all__ = ["main", "summary"]

_NUMBER = 0x3F2A9C01B7DE  # the one fixed code word; any will do
_AT_ONCE = 20  # keys that share one look at a picture
_LEVELS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class _Job:
    kind: str
    picture: Picture | None
    first: int
    runs: int
    seed: int


def _key(*parts: object) -> Key:
    return Key(hashlib.sha256(" ".join(map(str, parts)).encode()).digest())


def _runs(job: _Job) -> list[dict[str, Any]]:
    if job.picture is None:
        pixels, name = TRICKS[job.kind](), job.kind
    else:
        pixels, name = load(job.picture), job.picture.name
        if job.kind == "marked under another key":
            pixels = embed(pixels, _key("other", job.seed, name), _NUMBER)
    keys = [_key("wrong", job.seed, name, job.kind, job.first + k) for k in range(job.runs)]
    tried = searched(luma(pixels), keys)
    word = codeword(_NUMBER)
    kind = "tricks" if job.picture is None else job.kind
    lines = []
    for key in keys:
        own = [each for each in tried if each.key == key]
        z = [float(soft_word(each.evidence, key, each.profile) @ word) for each in own]
        charges = -np.log(shares(own))
        surest = min(log_p(score, charge) for score, charge in zip(z, charges, strict=True))
        lines.append(
            {
                "content": kind,
                "picture": name,
                "z": max(z),
                "alignments": len(z),
                "log10_p": surest / np.log(10),
            }
        )
    return lines


def summary(lines: Sequence[dict[str, Any]]) -> str:
    """Return tables of the largest z beside what independent normals give, in Markdown."""
    rows = []
    for content in [*dict.fromkeys(line["content"] for line in lines), "all"]:
        mine = [line for line in lines if content in {line["content"], "all"}]
        z = np.array([line["z"] for line in mine])
        count = np.array([line["alignments"] for line in mine])
        rank = norm.cdf(z) ** count  # uniform for the largest of independent normals
        rng = np.random.default_rng(1)
        drawn = norm.ppf(rng.random((200, len(mine))) ** (1 / count))
        rows.append(
            (
                content,
                len(mine),
                f"{count.mean():.1f}",
                f"{z.mean():.3f} ± {1.96 * z.std() / np.sqrt(len(z)):.3f}",
                f"{drawn.mean():.3f}",
                f"{z.max():.2f}",
                f"{np.median(drawn.max(axis=1)):.2f}",
                f"{kstest(rank, 'uniform').pvalue:.2g}",
            )
        )
    head = ("content", "runs", "alignments", "mean largest z", "of normals")
    first = table((*head, "largest of all", "of normals", "KS p"), rows)
    charged = np.array([line["log10_p"] for line in lines])
    levels = [
        (f"{level:g}", rated(Score(int((charged <= np.log10(level)).sum()), len(lines))))
        for level in _LEVELS
    ]
    return f"{first}\n\n{table(('charged p at most', 'runs, 95 %'), levels)}"


def main() -> None:
    """Run the experiment, write its lines and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many pictures")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/search-alarms.jsonl"))
    options = parser.parse_args()
    places, jobs = options.folder, options.jobs
    pictures = find(places, min_short=options.min_short, limit=options.limit, jobs=jobs)
    if not pictures:
        parser.error(f"no picture of at least {options.min_short} px in {', '.join(places)}")
    sources: list[tuple[str, Picture | None]] = [
        (kind, picture) for picture in pictures for kind in ("unmarked", "marked under another key")
    ]
    sources += [(kind, None) for kind in TRICKS]
    rounds = -(-options.runs // (_AT_ONCE * len(sources)))
    todo = [
        _Job(kind, picture, first * _AT_ONCE, _AT_ONCE, options.seed)
        for first in range(rounds)
        for kind, picture in sources
    ]
    run = {
        "what": "search alarms",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    write_lines(options.out, ())
    done: list[dict[str, Any]] = []
    for lines in side_by_side(_runs, todo, jobs=jobs):
        done += (new := [run | line for line in lines])
        write_lines(options.out, new, append=True)
        print(f"\r{len(done)}/{len(todo) * _AT_ONCE}", end="", flush=True)
    print(f"\r{len(pictures)} pictures ({run['corpus']}), commit {run['commit']}")
    print(f"profile {run['profile']}, seed {options.seed}\n")
    print(summary(done))


if __name__ == "__main__":
    main()
