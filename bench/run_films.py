"""The published attacks on films: ``python -m bench films FOLDER``.

The first 72 frames of each film are marked as a film, go through each attack as RGB frames, and
through the whole detector as a lossless file.  This project alone: its peers mark pictures.
Lines are those of ``python -m bench run``, and are reported together with them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench.corpus import Picture, cores, corpus_hash, side_by_side
from bench.identities import REGISTERED, Outcome
from bench.published.films import FRAMES, LOSSLESS, VIDEO, VideoPublished, apply, footage_of, rgb_of
from bench.report import provenance, resumed, write_lines
from bench.run import twice
from bench.shards import QUICK as FEW
from bench.shards import Estimate, Timings, add_options, finished, mine
from bench.stills import bench_key, registry
from bench.trials import Row
from bench.video import Setting
from bench.video_media import films, marked, read, write
from bench.video_outcome import of_film
from watermark.clip_identification import identify_clip
from watermark.profile import DEFAULT

__all__ = ["main", "rows"]

_FAMILY = "videoseal"
_SAME_RUN = ("what", "profile", "commit", "corpus", "seed")
_QUICK = 3  # attacks

_shared: dict[str, tuple[Setting, tuple[str, ...], frozenset[tuple[object, ...]]]] = {}


def _place(row: VideoPublished) -> Row:
    return {
        "system": "sukashi",
        "visibility": "default",
        "kind": "video",
        "family": _FAMILY,
        "group": row.group,
        "curve": row.kind,
        "attack": row.name,
        "strength": row.strength,
        "draw": 0,
    }


def rows(
    film: Picture, names: tuple[str, ...], setting: Setting, done: frozenset[tuple[object, ...]]
) -> list[Row]:
    """Put the beginning of one film through attacks, and return their rows that are not done."""
    number = setting.number(film)
    frames = None
    found = []
    for name in names:
        place = _place(VIDEO[name])
        fields = ("system", "visibility", "kind", "family", "attack", "strength")
        if (*(place[each] for each in fields), film.sha256, 0) in done:
            continue
        if frames is None:
            frames = rgb_of(marked(read(film.path, count=FRAMES), bench_key(setting.seed), number))
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"seen{LOSSLESS.ending}"
            changed = apply(name, frames, film.rng(setting.seed, f"{_FAMILY} {name}, draw 0"))
            footage = footage_of(changed)
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
    names = tuple(VIDEO)[:_QUICK] if options.quick else tuple(VIDEO)
    run = {
        "what": "quick" if options.quick else "run",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
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
