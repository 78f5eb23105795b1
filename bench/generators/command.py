"""Generators trained on marked frames, and what is found in their outputs.

``python -m bench generators FOLDER --cache DIR`` trains the models of the plan one after the other
and writes a row after each measurement; what is done already is not done again, so it may be killed
and started anew.  A row that is taken out of DIR/rows.jsonl is measured anew, from the outputs that
are kept.  ``--report`` writes bench/results/generators.md, .svg and .json from the rows.
The autoencoder is read from the folder that SUKASHI_AUTOENCODER names.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from bench.corpus import corpus_hash, find
from bench.generators.plan import GROUPS, chosen
from bench.generators.running import Bench, identity
from bench.generators.sets import Store
from bench.networks import autoencoder
from bench.report import lines_of, provenance, write_lines
from watermark.profile import DEFAULT

__all__ = ["main"]

_RESULTS = Path(__file__).parent.parent / "results" / "generators"


def main() -> None:
    """Train and measure, or write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures and films")
    parser.add_argument("--cache", type=Path, required=True, help="for sets, models and outputs")
    parser.add_argument("--frames", type=int, default=512, help="of the training set")
    parser.add_argument("--seed", type=int, default=1, help="of the training set")
    parser.add_argument("--groups", help=f"of {', '.join(GROUPS)}; all by default")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--report", action="store_true", help="write the results, train nothing")
    options = parser.parse_args()
    groups = tuple(options.groups.split(",")) if options.groups else ()
    if unknown := set(groups) - {*GROUPS, "ceiling"}:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    out: Path = options.cache / "rows.jsonl"
    if options.report:
        from bench.generators.page import write  # noqa: PLC0415 - it needs matplotlib

        write(list(lines_of(out)), _RESULTS)
        return
    if reason := autoencoder.why_not():
        parser.error(f"no model can be trained here: {reason}")
    cv2.setNumThreads(1)
    places = tuple(options.folder)
    run_of = provenance(
        seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(find(places, min_short=256))
    )
    store = Store(options.cache, places, options.frames, options.seed, options.precision)
    bench = Bench(store)
    ways: list[Callable[[frozenset[tuple[Any, ...]]], Iterator[dict[str, Any]]]]
    ways = [bench.ceilings] if not groups or "ceiling" in groups else []
    ways += [partial(bench.rows, run) for run in chosen(groups)]
    try:
        write_lines(out, list(lines_of(out)))  # without a last line that was cut off
    except ValueError as error:
        parser.error(str(error))
    for way in ways:
        done = frozenset(identity(row) for row in lines_of(out))
        for row in way(done):
            write_lines(out, [row | run_of], append=True)
            z = ", ".join(f"{value:.1f}" for value in row["z"])
            what = f"{row['group']}: {row['name']}, step {row['step']}, {row['change']}"
            print(f"{what}: z {z}", flush=True)
