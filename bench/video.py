"""How many marks are found in films after each attack: ``python -m bench video FOLDER``.

Each film carries a mark of its own, drawn from a registry of a million random ones.  It is marked
once from its first frame on, random excerpts of two seconds are cut out of it before any encoder
has seen it, and each goes through each attack, into a file, and through the whole detector, key
frames first.  *Found* means what it does for stills: presence has p ≤ 1e-9 over all registered
marks, and the right mark is named, with a chance of 1e-3 at most of being wrong.
A film that is not longer than an excerpt is taken whole, once.  In the minute of other films the
part has to be found with both its ends within a second.
Beside the attacks stand unmarked excerpts that went through some of them: nothing may be found.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import jpeg
from bench.compilation import compile_minute, plan_minute
from bench.corpus import Picture, cores, corpus_hash, side_by_side
from bench.report import provenance, resumed, write_lines
from bench.stills import bench_key, registry
from bench.video_attacks import ATTACKS, MASTERS, MINUTE, UNMARKED, VideoAttack, apply
from bench.video_masters import FILES, delivered
from bench.video_media import Footage, films, marked, read
from bench.video_outcome import of_film, of_still, summary
from watermark.clip_identification import DEFAULT_FPS, identify_clip
from watermark.container import probe
from watermark.detect import detect
from watermark.identification import Catalogue
from watermark.identify import Codebook
from watermark.profile import DEFAULT
from watermark.registry import Registry
from watermark.work import Mark, Work

__all__ = ["Setting", "Trial", "excerpts", "main", "measure"]

Line = dict[str, Any]

_SAME_RUN = ("profile", "commit", "corpus", "seed", "marks", "seconds", "fps")
_PART = 5.0  # seconds of the work in a minute of others


class _Everyone:
    """A registry in which every number belongs to a work of its own; it stands in for a file."""

    def lookup(self, numbers: Iterable[int]) -> dict[int, tuple[Work, Mark]]:
        """Return a work and a mark for each number."""
        return {n: (Work(f"{n:012x}", f"{n:012x}"), Mark(n, f"{n:012x}")) for n in numbers}


@dataclass(frozen=True, slots=True)
class Setting:
    """What all trials of a run share.

    Parameters
    ----------
    corpus : tuple of Picture
        The films, from which attacks take further ones.
    codebook : Codebook
    seed : int
    seconds : float
        Of an excerpt.
    fps : float
        Frames a second that the detector looks at, where key frames are not enough.
    """

    corpus: tuple[Picture, ...]
    codebook: Codebook
    seed: int = 1
    seconds: float = 2.0
    fps: float = DEFAULT_FPS

    @property
    def catalogue(self) -> Catalogue:
        """The registered marks, each of a work of its own."""
        works = np.arange(len(self.codebook), dtype=np.int64)
        return Catalogue(cast("Registry", _Everyone()), self.codebook, works)

    def number(self, film: Picture) -> int:
        """Return the mark of a film."""
        index = film.rng(self.seed, "mark").integers(len(self.codebook))
        return int(self.codebook.numbers[index])


@dataclass(frozen=True, slots=True)
class Trial:
    """One excerpt of a film and the name of what it goes through."""

    film: Picture
    attack: str
    excerpt: int

    @property
    def row(self) -> VideoAttack:
        """The attack, also where the excerpt is unmarked."""
        return ATTACKS[UNMARKED.get(self.attack, self.attack)]

    def number(self, setting: Setting) -> int | None:
        """Return the mark, None where the excerpt is unmarked."""
        return None if self.attack in UNMARKED else setting.number(self.film)

    def rng(self, setting: Setting) -> np.random.Generator:
        """Return the attack's chance, the same with and without a mark."""
        return self.film.rng(setting.seed, f"attack {self.row.name}, excerpt {self.excerpt}")

    def cut(self, footage: Footage, setting: Setting, *, seconds: float) -> Footage:
        """Return the excerpt; no two of a film begin at the same frame, if it is long enough."""
        count = min(len(footage.frames), round(seconds * footage.rate))
        starts = self.film.rng(setting.seed, "excerpts").permutation(
            len(footage.frames) - count + 1
        )
        return footage.cut(int(starts[self.excerpt % len(starts)]), count)


# Set before processes are forked, so that all share one code book.
_shared: dict[str, Setting] = {}


@lru_cache(maxsize=1)
def _whole(film: Picture) -> Footage:
    return read(film.path)


@lru_cache(maxsize=1)
def _marked(film: Picture, number: int, seed: int) -> Footage:
    return marked(_whole(film), bench_key(seed), number)


def excerpts(film: Picture, seconds: float, wanted: int) -> int:
    """Return how many different excerpts are cut out of a film, `wanted` at most."""
    info = probe(film.path)
    frames = info.frames or len(read(film.path).frames)
    return max(1, min(wanted, frames - round(seconds * float(info.rate or 24)) + 1))


def measure(trial: Trial, setting: Setting) -> Line:
    """Put one excerpt of a film through an attack, and say what became of the mark."""
    film, row, number = trial.film, trial.row, trial.number(setting)
    rng, key = trial.rng(setting), bench_key(setting.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seen{row.coding.ending}"
        begun = time.perf_counter()
        place, known = None, {number}
        if row.name == MINUTE:
            place, known = _minute(path, trial, rng, setting)
        else:
            _attacked(path, trial, rng, setting)
        made = time.perf_counter()
        if row.one_frame:
            pixels = jpeg(75)(_screenshot(path, rng), rng)
            result = of_still(detect(pixels, [key], setting.codebook), number)
        else:
            whole = row.name == MINUTE
            told = identify_clip(path, [key], setting.catalogue, fps=setting.fps, all_frames=whole)
            result = of_film(told, number, known, place)
        return {
            "film": film.name,
            "sha256": film.sha256,
            "attack": trial.attack,
            "excerpt": trial.excerpt,
            "bytes": path.stat().st_size,
            "made_s": made - begun,
            "detected_s": time.perf_counter() - made,
            **result,
        }


def _attacked(path: Path, trial: Trial, rng: np.random.Generator, setting: Setting) -> None:
    number, row = trial.number(setting), trial.row
    if number is not None and row.master == "sdr":
        source = _marked(trial.film, number, setting.seed)
        footage = trial.cut(source, setting, seconds=setting.seconds)
    else:
        footage = trial.cut(_whole(trial.film), setting, seconds=setting.seconds)
        footage = MASTERS[row.master](footage, rng)
        if row.master in FILES:
            mark = None if number is None else (bench_key(setting.seed), number)
            delivered(path, row, footage, mark, rng)
            return
        if number is not None:
            footage = marked(footage, bench_key(setting.seed), number)
    rivals = [each for each in setting.corpus if each != trial.film]
    chosen = rng.choice(len(rivals), row.others, replace=False) if row.others else ()
    others = [read(rivals[at].path, count=len(footage.frames)) for at in chosen]
    apply(row, path, footage, rng, *others)


def _minute(
    path: Path, trial: Trial, rng: np.random.Generator, setting: Setting
) -> tuple[tuple[float, float], set[int | None]]:
    """Write the compilation; return where the film stands in it, and all marks that are there."""
    rivals = [each for each in setting.corpus if each != trial.film]
    lengths = [probe(each.path).duration or _PART for each in rivals]
    number, key = setting.number(trial.film), bench_key(setting.seed)
    own = trial.cut(_marked(trial.film, number, setting.seed), setting, seconds=_PART)
    plan = plan_minute(lengths, len(own.frames) / float(own.rate), rng)

    def parts() -> Iterator[Footage]:
        for each in plan:
            if each.film is None:
                yield own
                continue
            other = rivals[each.film]
            rate = probe(other.path).rate or 24
            footage = read(other.path, count=max(1, round(each.seconds * rate)))
            yield marked(footage, key, setting.number(other)) if each.marked else footage

    work = next(at for at, each in enumerate(plan) if each.film is None)
    place = compile_minute(path, parts(), trial.row.coding, work=work)
    beside = [rivals[each.film] for each in plan if each.film is not None and each.marked]
    return place, {number, *map(setting.number, beside)}


def _screenshot(path: Path, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one frame of a film, at random, as RGB."""
    frames = read(path).frames
    y, u, v = frames[int(rng.integers(len(frames)))]
    size = y.shape[::-1]
    u, v = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (u, v))
    wide = np.stack([(y - 16.0) * (255 / 219), *((p - 128.0) * (255 / 224) for p in (v, u))])
    mixed = np.array([[1, 1.5748, 0], [1, -0.4681, -0.1873], [1, 0, 1.8556]])  # BT.709
    rgb = np.tensordot(wide, mixed, (0, 1))
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)


def _work(trial: Trial) -> Line:
    return measure(trial, _shared["setting"])


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of films, or films")
    parser.add_argument("--excerpts", type=int, default=5, help="of each film")
    parser.add_argument("--seconds", type=float, default=2.0, help="of an excerpt")
    parser.add_argument("--fps", type=float, default=DEFAULT_FPS, help="that are looked at")
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attacks", help="names, separated by commas; all by default")
    parser.add_argument("--limit", type=int, help="at most so many films, beside any others")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/video.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
    options = parser.parse_args()
    every = (*ATTACKS, *UNMARKED)
    wanted = tuple(options.attacks.split(",")) if options.attacks else every
    unknown = [name for name in wanted if name not in every]
    if unknown:
        parser.error(f"no attack is called {', '.join(unknown)}; there are {', '.join(every)}")
    corpus = films(options.folder)
    alone = not any(name == MINUTE or ATTACKS[UNMARKED.get(name, name)].others for name in wanted)
    if len(corpus) < (1 if alone else 2):
        parser.error(f"too few films in {', '.join(options.folder)}: {len(corpus)}")
    run = {
        "what": "video",
        "marks": options.marks,
        "seconds": options.seconds,
        "fps": options.fps,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    seen = {(line["sha256"], line["attack"], line["excerpt"]) for line in done}
    chosen = corpus[: options.limit]
    todo = [
        Trial(film, name, excerpt)
        for film in chosen
        for excerpt in range(excerpts(film, options.seconds, options.excerpts))
        for name in wanted
        if (film.sha256, name, excerpt) not in seen
    ]
    total = len(done) + len(todo)
    codebook = registry(options.marks, options.seed)
    _shared["setting"] = Setting(corpus, codebook, options.seed, options.seconds, options.fps)
    for line in side_by_side(_work, todo, jobs=options.jobs):
        done.append(run | line)
        write_lines(options.out, done[-1:], append=True)
        print(f"\r{len(done)}/{total}", end="", flush=True)
    print(f"\r{len(chosen)} films of {len(corpus)} ({run['corpus']}), up to {options.excerpts}")
    print(f"excerpts of {options.seconds} s each, {options.fps} frames a second looked at,")
    print(f"a registry of {options.marks} marks,")
    print(f"profile {run['profile']}\ncommit {run['commit']}, seed {options.seed}\n")
    print(summary([line for line in done if line["attack"] in wanted]))


if __name__ == "__main__":
    main()
