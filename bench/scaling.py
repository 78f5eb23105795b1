"""What a find hangs on beside the attack: ``python -m bench scaling FOLDER``.

How many marks are registered (1 to 10,000,000), how long a clip is, and how visible the mark may
be (z against JOD).  Folders hold pictures and films.  Lines are those of ``python -m bench run``,
and are reported together with them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.attacks import apply
from bench.corpus import Picture, corpus_hash, find, load
from bench.curves import CLIP_SECONDS, excerpt
from bench.identities import REGISTERED, Outcome
from bench.jod import jod, why_not
from bench.peers import Sukashi
from bench.report import provenance, resumed, write_lines
from bench.run import twice
from bench.shards import QUICK, add_options, mine
from bench.stills import bench_key, registry
from bench.trials import Row
from bench.video import Setting
from bench.video_attacks import x264
from bench.video_media import films, marked, read, write
from bench.video_outcome import of_film
from watermark.clip_identification import identify_clip
from watermark.profile import DEFAULT

__all__ = ["AMOUNTS", "SIZES", "main"]

SIZES = (1, 100, 10_000, 1_000_000, 10_000_000)  # of the registry
AMOUNTS = (0.5, 0.7, 1.0, 1.4, 2.0)  # times the default strength
_HARD = "resize 256 jpeg 50"  # after which z is not beyond all doubt
_MILD = "jpeg 50"
_CRF = 28
_PARTS = ("registry", "price", "length")


@dataclass(frozen=True, slots=True)
class _Given:
    pictures: Sequence[Picture]
    films: Sequence[Picture]
    seed: int


def _row(picture: Picture, family: str, curve: str, attack: str, strength: float) -> Row:
    return {
        "system": Sukashi.name,
        "visibility": "default",
        "kind": "image",
        "family": family,
        "group": family,
        "curve": curve,
        "attack": attack,
        "strength": strength,
        "draw": 0,
        "picture": picture.name,
        "sha256": picture.sha256,
    }


def _of_registry(given: _Given) -> Iterator[Row]:
    for size in SIZES:
        system = Sukashi(given.seed)
        identities = system.identities(size, given.seed)
        for picture in given.pictures:
            pixels = load(picture)
            index = int(picture.rng(given.seed, "mark").integers(size))
            seen = apply(
                _HARD, system.embed(pixels, identities[index]), picture.rng(given.seed, _HARD)
            )
            outcome = system.decide(seen, (0, 0), identities, index)
            attack = f"{_HARD}, by registered marks"
            yield _row(picture, "scaling", "registry size", attack, size) | asdict(outcome)


def _of_price(given: _Given) -> Iterator[Row]:
    system = Sukashi(given.seed)
    identities = system.identities(REGISTERED, given.seed)
    for picture in given.pictures:
        pixels = load(picture)
        index = int(picture.rng(given.seed, "mark").integers(len(identities)))
        for amount in AMOUNTS:
            marked_one = system.embed(pixels, identities[index], amount)
            seen = apply(_MILD, marked_one, picture.rng(given.seed, _MILD))
            outcome = system.decide(seen, (0, 0), identities, index)
            lost = jod(pixels, marked_one) if why_not() is None else math.nan
            yield (
                _row(picture, "price", "strength", _MILD, amount) | asdict(outcome) | {"jod": lost}
            )


def _of_length(given: _Given) -> Iterator[Row]:
    codebook = registry(REGISTERED, given.seed)
    setting = Setting(tuple(given.films), codebook, given.seed)
    key = bench_key(given.seed)
    for film in given.films:
        number = setting.number(film)
        whole = marked(read(film.path), key, number)
        for seconds in CLIP_SECONDS:
            part = excerpt(whole, film.rng(given.seed, f"length {seconds:g}"), seconds=seconds)
            if len(part.frames) < round(seconds * float(part.rate)):
                continue
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "seen.mp4"
                write(path, part.frames, rate=part.rate, coding=x264(_CRF))
                told = of_film(
                    identify_clip(path, [key], setting.catalogue), number, {number}, None
                )
            outcome = Outcome(told["found"], told["found"], min(0, told["log10_p"]), z=told["z"])
            attack = f"x264 {_CRF}, by seconds"
            row = _row(film, "scaling", "clip length", attack, seconds) | asdict(outcome)
            yield row | {"kind": "video"}


_EXPERIMENTS: dict[str, Callable[[_Given], Iterator[Row]]] = dict(
    zip(_PARTS, (_of_registry, _of_price, _of_length), strict=True)
)


def main() -> None:
    """Run the experiments one after the other, and write their lines as they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures and films")
    parser.add_argument("--only", help=f"of {', '.join(_PARTS)}; all by default")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--every", type=int, default=1, help="only every n-th picture by name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/out/scaling.jsonl"))
    add_options(parser)
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else _PARTS
    unknown = [name for name in wanted if name not in _PARTS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(_PARTS)}")
    pictures = find(options.folder, min_short=options.min_short)
    clips = films(options.folder) if "length" in wanted else ()
    run = {
        "what": "quick" if options.quick else "run",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    chosen = mine(pictures[:: options.every], options.shard), mine(clips, options.shard)
    if options.quick:
        chosen = QUICK.of(chosen[0]), QUICK.of(chosen[1])
    resumed(options.out, run, (), keep=False)
    count = 0
    for name in wanted:
        for row in _EXPERIMENTS[name](_Given(*chosen, options.seed)):
            write_lines(options.out, [run | each for each in twice(row)], append=True)
            count += 1
            print(f"\r{name}: {count} rows", end="", flush=True)
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
