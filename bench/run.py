"""The benchmark: this project and its peers, on the same pictures: ``python -m bench run FOLDER``.

Each picture is marked by each system at its default strength and at *equal visibility* (brought to
the same JOD, see ``python -m bench calibrate``), goes through every attack, and is decided on:
*found* is the right one of a million registered identities, at a family-wise false positive rate of
1e-9.  Beside the attacks stand fidelity and unmarked pictures.  A run can be split (``--shard``)
and gone on with (``--resume``); ``python -m bench report`` makes page and tables of its lines.
This project is at its default strength in both comparisons, and is run once for both.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.calibrate import RESULTS, strengths
from bench.corpus import Picture, cores, corpus_hash, find, side_by_side
from bench.identities import REGISTERED
from bench.peers import Sukashi, System, available
from bench.plan import FAMILIES, QUICK, Step, skipped, steps
from bench.report import provenance, resumed, write_lines
from bench.shards import QUICK as FEW
from bench.shards import Estimate, Timings, add_options, finished, mine, spoken
from bench.trials import Bench, Marking, Row
from watermark.profile import DEFAULT

__all__ = ["lost", "main", "markings", "twice"]

_SAME_RUN = ("what", "profile", "commit", "corpus", "seed")
_VISIBILITIES = ("default", "equal")

_shared: dict[str, Bench] = {}


def markings(
    systems: Mapping[str, System],
    equal: Mapping[str, float],
    *,
    seed: int,
    visibilities: Sequence[str] = _VISIBILITIES,
) -> tuple[Marking, ...]:
    """Return each system at each visibility.

    Parameters
    ----------
    systems : mapping of name to System
    equal : mapping of name to float
        At which a system is as visible as this project; one that is not there is not run so.
    seed : int
        Of the identities.
    visibilities : sequence of str
        Of ``default`` and ``equal``, for the peers; this project is the measure of both.
    """
    found = []
    for name, system in systems.items():
        identities = system.identities(REGISTERED, seed)
        mine = name == Sukashi.name
        if mine or "default" in visibilities:
            found.append(Marking(system, identities, "default", 1.0))
        if name in equal and not mine and "equal" in visibilities:
            found.append(Marking(system, identities, "equal", equal[name]))
    return tuple(found)


def twice(row: Row) -> Iterator[Row]:
    """Yield a row, and that of this project for the other comparison as well."""
    yield row
    if row["system"] == Sukashi.name:
        yield row | {"visibility": "equal"}


def lost(done: Sequence[Row]) -> list[Row]:
    """Return the second rows of trials whose first ones a run that was killed wrote alone."""
    there = finished(done)
    twins = [each for row in done if "skipped" not in row for each in twice(row)]
    return [each for each in twins if not finished([each]) <= there]


def _work(job: tuple[Picture, int]) -> list[Row]:
    picture, at = job
    bench = _shared["bench"]
    return [each for row in bench.rows(picture, bench.markings[at]) for each in twice(row)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--systems", help="names, separated by commas; all by default")
    parser.add_argument("--families", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments")
    parser.add_argument(
        "--strengths", type=Path, default=RESULTS, help="of equal visibility, as calibrated"
    )
    parser.add_argument(
        "--visibility", choices=(*_VISIBILITIES, "both"), default="both", help="of the peers"
    )
    parser.add_argument("--draws", type=int, default=1, help="of each attack on each picture")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--every", type=int, default=1, help="only every n-th picture by name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/run.jsonl"))
    add_options(parser)
    options = parser.parse_args()
    options.chosen = _chosen(parser, options)
    return options


def _chosen(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[Step, ...]:
    families = options.families.split(",") if options.families else FAMILIES
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        parser.error(f"no family is called {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    every = steps(families)
    if options.quick:
        every = tuple(step for step in every if (step.family, step.attack.name) in QUICK)
    if not every:
        parser.error("nothing is left to do")
    return every


def _systems(options: argparse.Namespace) -> tuple[dict[str, System], dict[str, str]]:
    """Return the systems that are wanted and run, and why the others do not."""
    every = available(options.peers)
    wanted = options.systems.split(",") if options.systems else list(every)
    unknown = [name for name in wanted if name not in every]
    if unknown:
        raise SystemExit(f"no system is called {', '.join(unknown)}; there are {', '.join(every)}")
    running = {n: each for n in wanted if not isinstance(each := every[n], str)}
    return running, {n: each for n in wanted if isinstance(each := every[n], str)}


def _foretold(bench: Bench, rows: Sequence[Row], left: Sequence[Picture], jobs: int) -> str:
    """Return how long other pictures will take, given the rows of the first."""
    timings, counts = Timings(), Counter[str]()
    for row in rows:
        if row["visibility"] == "default" or row["system"] != Sukashi.name:
            timings.add(row["system"], row["seconds"])
    for picture in left:
        counts.update(bench.count(picture))
    return str(Estimate.of(counts, timings, jobs=jobs))


def _said(run: Mapping[str, Any], absent: Mapping[str, str]) -> list[Row]:
    return [dict(run) | {"system": name, "skipped": why} for name, why in absent.items()]


def main() -> None:
    """Run what is not done yet, and write its lines as they come."""
    options = _options()
    pictures = find(options.folder, min_short=options.min_short, jobs=options.jobs)
    corpus = corpus_hash(pictures)
    chosen = mine(pictures[:: options.every], options.shard)
    chosen = FEW.of(chosen) if options.quick else chosen
    most = max(step.attack.others for step in options.chosen)
    if not chosen or len(pictures) <= most:
        raise SystemExit(
            f"{len(pictures)} pictures of at least {options.min_short} px, {len(chosen)} of them "
            f"in this run; these attacks take {most + 1}"
        )
    run = {
        "what": "quick" if options.quick else "run",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus),
    }
    systems, absent = _systems(options)
    done = resumed(options.out, run, _SAME_RUN, keep=options.resume)
    told = {row["system"] for row in done if "skipped" in row}
    write_lines(options.out, lost(done), append=True)
    if not options.families or "networks" in options.families.split(","):
        absent |= skipped()
    news = {name: why for name, why in absent.items() if name not in told}
    write_lines(options.out, _said(run, news), append=True)
    bench = Bench(
        markings(
            systems,
            strengths(options.strengths) if options.strengths.exists() else {},
            seed=options.seed,
            visibilities=(options.visibility,) if options.visibility != "both" else _VISIBILITIES,
        ),
        options.chosen,
        pictures,
        options.draws,
        options.seed,
        finished(row for row in done if "skipped" not in row),
    )
    print(f"{len(chosen)} pictures of {len(pictures)} ({corpus}), {len(options.chosen)} attacks")
    for name, why in absent.items():
        print(f"skipped: {name}: {why}")
    if options.quick:
        print(f"a smoke test of at most {spoken(FEW.seconds)} on two cores; not for figures")
    _shared["bench"] = bench
    jobs = [(picture, at) for picture in chosen for at in range(len(bench.markings))]
    first: list[Row] = []
    count = 0
    for place, rows in enumerate(side_by_side(_work, jobs, jobs=options.jobs), 1):
        write_lines(options.out, [run | row for row in rows], append=True)
        count += len(rows)
        first += rows if place <= len(bench.markings) else []
        if first and place == len(bench.markings):
            print(f"after the first picture: {_foretold(bench, first, chosen[1:], options.jobs)}")
        print(f"\r{place // len(bench.markings)} of {len(chosen)} pictures, {count} rows", end="")
        sys.stdout.flush()
    print(f"\n{options.out}; now: python -m bench report {options.out} -o page.html")


if __name__ == "__main__":
    main()
