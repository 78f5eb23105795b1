"""What a mark costs the picture: ``python -m bench fidelity FOLDER``.

PSNR, SSIM and (where it is installed) ColorVideoVDP's JOD of each picture, and what an average
hides: the mark before rounding in *flat* blocks, those of 16 × 16 pixels whose luma has a standard
deviation under 1 code value.  Flat blocks that touch one that is not flat are counted apart too,
since there a mask that bleeds would show as a halo around ink lines.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.corpus import Picture, cores, corpus_hash, find, load, side_by_side
from bench.jod import jod, why_not
from bench.report import provenance, table, write_lines
from bench.stills import bench_key
from watermark.embed import delta, embed
from watermark.frame import Luma, luma
from watermark.profile import DEFAULT
from watermark.quality import psnr, ssim

__all__ = ["BLOCK", "flat_blocks", "main", "measure"]

BLOCK = 16  # pixels
_FLAT = 1.0  # code values, standard deviation of the host in a block
_MOST_RMS, _MOST_BLOCK = 0.8, 1.2  # code values: over all flat blocks, and 99 % of them
_LEAST_MEAN, _LEAST = 9.92, 9.85  # JOD: in the mean, and of each picture


@dataclass(frozen=True, slots=True)
class _Job:
    picture: Picture
    seed: int
    visibility: bool


def _blocks(plane: Luma) -> NDArray[np.float64]:
    """Return the whole blocks of a plane, shape (rows, columns, 256)."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    cut = plane[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    tiles = cut.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return tiles.reshape(rows, columns, BLOCK * BLOCK)


def flat_blocks(host: Luma, added: Luma) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mark's energy in the flat blocks of a host, and which of them touch a busy one.

    Parameters
    ----------
    host, added : ndarray of float32, shape (H, W)
        Luma, and what the mark adds before rounding, code values.

    Returns
    -------
    ndarray of float64, shape (n,)
        Mean square of the mark in each flat block.
    ndarray of bool, shape (n,)
        Whether one of the eight blocks around it is not flat.
    """
    flat = _blocks(host).std(axis=2) < _FLAT
    busy = np.pad(~flat, 1)
    height, width = flat.shape
    near = np.zeros_like(flat)
    for down in range(3):
        for right in range(3):
            near |= busy[down : down + height, right : right + width]
    energy = np.square(_blocks(added)).mean(axis=2)
    return energy[flat], near[flat]


def measure(picture: Picture, *, seed: int, visibility: bool) -> dict[str, Any]:
    """Mark a picture; `energy` and `near` are those of its flat blocks."""
    original = load(picture)
    key, number = bench_key(seed), int(picture.rng(seed, "mark").integers(1 << 48))
    marked = embed(original, key, number)
    host = luma(original)
    energy, near = flat_blocks(host, delta(host, key, number))
    return {
        "picture": picture.name,
        "sha256": picture.sha256,
        "psnr": psnr(original, marked),
        "ssim": ssim(original, marked),
        "jod": jod(original, marked) if visibility else math.nan,
        "energy": energy,
        "near": near,
    }


def _work(job: _Job) -> dict[str, Any]:
    return measure(job.picture, seed=job.seed, visibility=job.visibility)


def _flat_row(name: str, energy: NDArray[np.float64]) -> tuple[str, ...]:
    if energy.size == 0:
        return (name, "0", "", "", "")
    blocks = np.sqrt(energy)
    return (
        name,
        str(energy.size),
        f"{math.sqrt(energy.mean()):.3f}",
        f"{np.quantile(blocks, 0.99):.3f}",
        f"{blocks.max():.3f}",
    )


def _line(found: dict[str, Any]) -> dict[str, Any]:
    """Return one picture's result with the sums over its flat blocks instead of the blocks."""
    energy, near = found["energy"], found["near"]
    plain = {name: value for name, value in found.items() if name not in {"energy", "near"}}
    largest = math.sqrt(energy.max()) if energy.size else 0.0
    return plain | {
        "flat_blocks": energy.size,
        "flat_energy": float(energy.sum()),
        "flat_largest_rms": largest,
        "near_blocks": int(near.sum()),
        "near_energy": float(energy[near].sum()),
    }


def main() -> None:
    """Run the experiment, write its lines and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many pictures")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/fidelity.jsonl"))
    parser.add_argument("--no-jod", action="store_true", help="leave ColorVideoVDP out (slow)")
    options = parser.parse_args()
    jobs = options.jobs
    pictures = find(options.folder, min_short=options.min_short, limit=options.limit, jobs=jobs)
    if not pictures:
        parser.error(f"no picture of at least {options.min_short} px in {options.folder}")
    reason = "left out by --no-jod" if options.no_jod else why_not()
    run = {
        "what": "fidelity",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
    }
    todo = [_Job(picture, options.seed, visibility=reason is None) for picture in pictures]
    write_lines(options.out, ())
    results = []
    # A forked process cannot use the threads that torch has started in this one.
    for found in side_by_side(_work, todo, jobs=jobs if reason else 1):
        results.append(found)
        write_lines(options.out, [run | _line(found)], append=True)
        print(f"\r{len(results)}/{len(todo)}", end="", flush=True)

    print(f"\r{len(pictures)} pictures ({run['corpus']}), commit {run['commit']}")
    print(f"profile {run['profile']}\n")
    rows = []
    for name, form in (("psnr", ".2f"), ("ssim", ".4f"), ("jod", ".3f")):
        values = np.array([found[name] for found in results])
        if np.isfinite(values).any():
            lowest = results[int(np.argmin(values))]["picture"]
            rows.append((name, format(values.mean(), form), format(values.min(), form), lowest))
    print(table(("measure", "mean", "least", "of"), rows))
    if reason:
        print(f"\nJOD: skipped, {reason}")
    else:
        print(f"\nJOD is to be at least {_LEAST_MEAN} in the mean, and {_LEAST} for each picture")
    energy = np.concatenate([found["energy"] for found in results])
    near = np.concatenate([found["near"] for found in results])
    print(f"\nFlat blocks (host under {_FLAT:g} in {BLOCK} × {BLOCK}), mark before rounding:\n")
    head = ("blocks", "number", "RMS together", "99th percentile of a block", "largest")
    flats = (_flat_row("all flat", energy), _flat_row("beside a busy block", energy[near]))
    print(table(head, (*flats, ("at most", "", f"{_MOST_RMS}", f"{_MOST_BLOCK}", ""))))


if __name__ == "__main__":
    main()
