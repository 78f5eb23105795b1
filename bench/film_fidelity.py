"""What a mark costs a film: ``python -m bench film-fidelity FOLDER``.

Each film is marked as the product marks decoded planes, and nothing is encoded: what is measured is
the mark.  VMAF is that of all frames; ColorVideoVDP's JOD that of a few stills out of it, evenly
spaced; *flicker* is how much the mark changes from one frame to the next where the film does not:
the root mean square of that change in blocks of 16 × 16 pixels that moved by less than half a code
value.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import jod, vmaf
from bench.corpus import Picture, cores, corpus_hash, side_by_side
from bench.report import provenance, resumed, table, write_lines
from bench.stills import bench_key
from bench.video_media import Footage, Frame, films, marked, read
from watermark.profile import DEFAULT

__all__ = ["LEAST_VMAF", "flicker", "main", "measure", "summary"]

Line = dict[str, Any]

LEAST_VMAF = 95.0  # of each film
_LEAST_MEAN_JOD, _LEAST_JOD = 9.92, 9.85  # as of stills
_BLOCK = 16  # pixels
_STILL = 0.5  # code values, mean absolute change of a block that stands still
_SAME_RUN = ("profile", "commit", "corpus", "seed", "stills", "seconds")


@dataclass(frozen=True, slots=True)
class _Job:
    """What one process is asked to do."""

    film: Picture
    seed: int
    stills: int
    seconds: float | None


def flicker(plain: Sequence[NDArray[Any]], with_mark: Sequence[NDArray[Any]]) -> Line:
    """Return how much the mark changes where the film stands still.

    Parameters
    ----------
    plain, with_mark : sequence of ndarray of uint8, shape (H, W)
        Luma of one film, without and with the mark.

    Returns
    -------
    dict
        ``still_blocks``: number of blocks that stood still from one frame to the next;
        ``flicker``: root mean square of the mark's change in them, code values, nan where there
        are none; ``flicker_worst``: of the block that changes most.
    """
    energies = [np.empty(0)]
    for (old, old_marked), (new, new_marked) in pairwise(zip(plain, with_mark, strict=True)):
        before, after = old.astype(np.int16), new.astype(np.int16)
        change = np.abs(after - before)
        mark = (new_marked.astype(np.int16) - after) - (old_marked.astype(np.int16) - before)
        still = _blocks(change).mean(axis=1) < _STILL
        energies.append(np.square(_blocks(mark)[still].astype(np.float64)).mean(axis=1))
    energy = np.concatenate(energies)
    return {
        "still_blocks": int(energy.size),
        "flicker": math.sqrt(energy.mean()) if energy.size else math.nan,
        "flicker_worst": math.sqrt(energy.max()) if energy.size else math.nan,
    }


def _blocks(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the whole blocks of a plane, shape (n, 256)."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK]
    tiles = cut.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
    return tiles.reshape(rows * columns, _BLOCK * _BLOCK)


def measure(film: Picture, *, seed: int, stills: int, seconds: float | None) -> Line:
    """Mark a film and compare it with what it was."""
    plain = read(film.path)
    if seconds is not None:
        plain = plain.cut(0, max(1, round(seconds * plain.rate)))
    number = int(film.rng(seed, "mark").integers(1 << 48))
    after = marked(plain, bench_key(seed), number)
    line: Line = {"film": film.name, "sha256": film.sha256, "frames": len(plain.frames)}
    line |= flicker([frame[0] for frame in plain.frames], [frame[0] for frame in after.frames])
    if vmaf.why_not() is None:
        scores = vmaf.vmaf(plain.frames, after.frames, rate=float(plain.rate))
        line |= {"vmaf": float(np.mean(scores)), "vmaf_least": min(scores)}
    if jod.why_not() is None:
        line["jod"] = list(_jods(plain, after, stills))
    return line


def _jods(plain: Footage, after: Footage, count: int) -> Iterator[float]:
    places = np.linspace(0, len(plain.frames) - 1, count + 2)[1:-1]
    for place in np.unique(np.rint(places).astype(int)):
        yield jod.jod(_rgb(plain.frames[place]), _rgb(after.frames[place]))


def _rgb(frame: Frame) -> NDArray[np.uint8]:
    height, width = frame[0].shape
    planes = np.concatenate([plane.ravel() for plane in frame]).reshape(height * 3 // 2, width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _work(job: _Job) -> Line:
    return measure(job.film, seed=job.seed, stills=job.stills, seconds=job.seconds)


def summary(lines: Sequence[Line]) -> str:
    """Return what each film lost, in Markdown; the last rows are over all films."""
    rows = []
    for line in sorted(lines, key=lambda each: str(each["film"])):
        stills = line.get("jod", [])
        rows.append(
            (
                line["film"],
                str(line["frames"]),
                _told(line.get("vmaf"), ".2f"),
                _told(line.get("vmaf_least"), ".2f"),
                _told(float(np.mean(stills)) if stills else None, ".3f"),
                _told(min(stills, default=None), ".3f"),
                _told(line["flicker"], ".2f"),
                _told(line["flicker_worst"], ".2f"),
                f"{line['still_blocks']:,}",
            )
        )
    head = ("film", "frames", "VMAF", "worst frame", "JOD", "least", "flicker", "worst", "blocks")
    every = [value for line in lines for value in line.get("jod", [])]
    told = [table(head, rows), ""]
    if every:
        told.append(
            f"JOD of {len(every)} stills: {np.mean(every):.3f} in the mean, {min(every):.3f} least "
            f"(asked: {_LEAST_MEAN_JOD}, {_LEAST_JOD})"
        )
    scores = [line["vmaf"] for line in lines if "vmaf" in line]
    if scores:
        told.append(
            f"VMAF of {len(scores)} films: {np.mean(scores):.2f} in the mean, {min(scores):.2f} "
            f"least (asked: {LEAST_VMAF:g} for each)"
        )
    return "\n".join(told)


def _told(value: float | None, form: str) -> str:
    return "" if value is None or math.isnan(value) else format(value, form)


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of films, or films")
    parser.add_argument("--stills", type=int, default=3, help="of each film, for JOD")
    parser.add_argument("--seconds", type=float, help="of each film, from its start; all of it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many films")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/film-fidelity.jsonl"))
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
    options = parser.parse_args()
    corpus = films(options.folder, limit=options.limit)
    if not corpus:
        parser.error(f"no film in {', '.join(options.folder)}")
    run = {
        "what": "film fidelity",
        "stills": options.stills,
        "seconds": options.seconds,
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(corpus)),
    }
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    seen = {line["sha256"] for line in done}
    todo = [
        _Job(film, options.seed, options.stills, options.seconds)
        for film in corpus
        if film.sha256 not in seen
    ]
    # A forked process cannot use the threads that torch has started in this one.
    jobs = options.jobs if jod.why_not() else 1
    for line in side_by_side(_work, todo, jobs=jobs):
        done.append(run | line)
        write_lines(options.out, [done[-1]], append=True)
        print(f"\r{len(done)}/{len(corpus)}", end="", flush=True)
    print(f"\r{len(corpus)} films ({run['corpus']}), commit {run['commit']}, nothing encoded")
    print(f"profile {run['profile']}\n")
    print(summary(done))
    for name, reason in (("VMAF", vmaf.why_not()), ("JOD", jod.why_not())):
        if reason:
            print(f"{name}: skipped, {reason}")


if __name__ == "__main__":
    main()
