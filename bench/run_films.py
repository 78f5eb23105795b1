"""The published attacks on films, and networks that draw frames: ``python -m bench films FOLDER``.

The first 72 frames of each film are marked as a film, go through each attack as RGB frames, and
through the whole detector as a lossless file.  This project alone: its peers mark pictures.
Of networks that draw a frame between two others, frames that they drew are all that is left.
Lines are those of ``python -m bench run``, and are reported together with them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.corpus import Picture, cores, corpus_hash, side_by_side
from bench.identities import REGISTERED, Outcome
from bench.networks import NETWORKS
from bench.networks import skipped as absent
from bench.published.films import (
    FRAMES,
    LOSSLESS,
    VIDEO,
    Frames,
    apply,
    footage_of,
    rgb_of,
)
from bench.report import provenance, resumed, write_lines
from bench.run import lost, twice
from bench.shards import QUICK as FEW
from bench.shards import Estimate, Timings, add_options, finished, mine
from bench.stills import bench_key, registry
from bench.trials import Row
from bench.video import Setting
from bench.video_media import films, marked, read, write
from bench.video_outcome import of_film
from watermark.clip_identification import identify_clip
from watermark.profile import DEFAULT

__all__ = ["main", "names_of", "rows"]

_FAMILY = "videoseal"
_SAME_RUN = ("what", "profile", "commit", "corpus", "seed")
_QUICK = 3  # attacks
_DRAWN, _APART = 12, 2  # frames that a network draws, each between two that far from each other

_shared: dict[str, tuple[Setting, tuple[str, ...], frozenset[tuple[object, ...]]]] = {}


def names_of(*, quick: bool = False) -> tuple[str, ...]:
    """Return the attacks that can be run here."""
    if quick:
        return tuple(VIDEO)[:_QUICK]
    drawn = (name for name, row in NETWORKS.items() if row.film and row.why_not() is None)
    return (*VIDEO, *drawn)


def _place(name: str) -> Row:
    place = {"system": "sukashi", "visibility": "default", "kind": "video", "draw": 0}
    told: tuple[str, str, str, float | None]
    if name in VIDEO:
        row = VIDEO[name]
        told = (_FAMILY, row.group, row.kind, row.strength)
    else:
        network = NETWORKS[name]
        told = ("networks", "AI processing", network.group, network.strength)
    return place | dict(
        zip(("attack", "family", "group", "curve", "strength"), (name, *told), strict=True)
    )


def _changed(name: str, frames: Frames, film: Picture, seed: int) -> Frames:
    if name in VIDEO:
        return apply(name, frames, film.rng(seed, f"{_FAMILY} {name}, draw 0"))
    rng = film.rng(seed, f"networks {name}, draw 0")
    starts = np.unique(np.linspace(0, len(frames) - 1 - _APART, _DRAWN).astype(int))
    change = NETWORKS[name].attack.change
    return np.stack([change(frames[at], rng, frames[at + _APART]) for at in starts])


def rows(
    film: Picture, names: tuple[str, ...], setting: Setting, done: frozenset[tuple[object, ...]]
) -> list[Row]:
    """Put the beginning of one film through attacks, and return their rows that are not done."""
    number = setting.number(film)
    frames = None
    found = []
    for name in names:
        place = _place(name)
        fields = ("system", "visibility", "kind", "family", "attack", "strength")
        if (*(place[each] for each in fields), film.sha256, 0) in done:
            continue
        if frames is None:
            frames = rgb_of(marked(read(film.path, count=FRAMES), bench_key(setting.seed), number))
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"seen{LOSSLESS.ending}"
            footage = footage_of(_changed(name, frames, film, setting.seed))
            write(path, footage.frames, rate=footage.rate, coding=LOSSLESS)
            told = identify_clip(path, [bench_key(setting.seed)], setting.catalogue)
        result = of_film(told, number, {number}, None)
        right = any(each.number == number for each in told.whole.found)
        outcome = Outcome(result["found"], right, min(0.0, result["log10_p"]), z=result["z"])
        found.append(
            place
            | {"picture": film.name, "sha256": film.sha256, "amount": 1.0}
            | asdict(outcome)
            | {"seconds": time.perf_counter() - start}
        )
    return found


def _work(film: Picture) -> list[Row]:
    setting, names, done = _shared["films"]
    return [each for row in rows(film, names, setting, done) for each in twice(row)]


def main() -> None:
    """Run what is not done yet, and write its lines as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of films, or films")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/films.jsonl"))
    add_options(parser)
    options = parser.parse_args()
    corpus = films(options.folder)
    chosen = mine(corpus, options.shard)
    chosen = FEW.of(chosen) if options.quick else chosen
    if not chosen:
        raise SystemExit(f"no film in this part of {', '.join(options.folder)}")
    names = names_of(quick=options.quick)
    run = {
        "what": "quick" if options.quick else "run",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    write_lines(options.out, lost(done), append=True)
    if not done and not options.quick:
        why = {name: why for name, why in absent().items() if NETWORKS[name].film}
        write_lines(
            options.out, [run | {"system": n, "skipped": w} for n, w in why.items()], append=True
        )
    done = [row for row in done if "skipped" not in row]
    setting = Setting(corpus, registry(REGISTERED, options.seed), options.seed)
    _shared["films"] = setting, names, finished(done)
    timings = Timings()
    for place, new in enumerate(side_by_side(_work, chosen, jobs=options.jobs), 1):
        write_lines(options.out, [run | row for row in new], append=True)
        for row in new:
            timings.add("film", row["seconds"])
        left = Estimate.of({"film": (len(chosen) - place) * len(names)}, timings)
        print(f"{place} of {len(chosen)} films; left: {left}", flush=True)


if __name__ == "__main__":
    main()
