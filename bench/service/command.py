"""The detect service under load: ``python -m bench service MODE``.

A real ``sukashi serve`` is started in processes of its own, with a registry and a key of this run,
and is sent JPEGs of 512 by 512 pixels made from pictures, half of them marked, over loopback.

ratio
    The library in a loop, in as many processes as the service has workers, and as many clients of
    the service, in turn: requests per second and the median time.
overload
    The rate that can be kept up, then twice that for some minutes: what was taken, refused, lost or
    answered otherwise than by the library, and the service's memory.
memory
    The service's memory after 1,000 and after 10,000 requests.
fuzz
    Pictures and films that were broken on purpose: no crash, and no mark found that is not there.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from bench.corpus import cores, corpus_hash, find
from bench.report import provenance, write_lines
from bench.service.files import SIDE, fill, film_samples, still_samples
from bench.service.fuzz import fuzz
from bench.service.library import library
from bench.service.load import client
from bench.service.modes import House, grown, overload, ratio
from bench.service.serving import serving
from bench.service.tables import failed, summary
from bench.stills import bench_key
from bench.video_media import films
from watermark.detect import Search
from watermark.profile import DEFAULT
from watermark.registry import open_registry

__all__ = ["main"]

Line = dict[str, Any]

_MODES = ("ratio", "overload", "memory", "fuzz")


@contextmanager
def _house(options: argparse.Namespace, folder: Path) -> Iterator[House]:
    """Make key, registry and files in a folder, and start everything."""
    key, address = folder / "bench.key", folder / "registry.sqlite"
    bench_key(options.seed).write(key)
    pictures = find(options.folder, min_short=SIDE, limit=options.limit)
    if not pictures:
        raise SystemExit(f"no picture of {SIDE} pixels or more in {options.folder}")
    with open_registry(address) as registry:
        fill(registry, options.marks)
        samples = still_samples(pictures, folder, registry, seed=options.seed)
        if options.mode == "fuzz":
            for ending in (".png", ".webp"):
                samples += still_samples(
                    pictures[:2], folder, registry, seed=options.seed, ending=ending
                )
            clips = films(options.folder, limit=1)
            samples += film_samples(clips, folder, registry, seed=options.seed)
    with (
        library(key, address, processes=options.workers) as loop,
        serving(
            folder, key, address, workers=options.workers, settings=dict(options.settings)
        ) as server,
        client(server) as sender,
    ):
        yield House(server, sender, loop, samples, options.workers)


def _measured(house: House, options: argparse.Namespace) -> list[Line]:
    searches = options.search or (["fast", "full"] if options.mode == "ratio" else ["full"])
    lines: list[Line] = []
    for search in searches:
        if options.mode == "ratio":
            counted = {"requests": options.requests or 100, "rounds": options.rounds}
            lines.append(ratio(house, search=search, **counted))
        elif options.mode == "overload":
            timed = {"seconds": options.seconds, "calibration": options.calibration}
            lines.append(overload(house, search=search, **timed))
        elif options.mode == "memory":
            lines += grown(house, search=search, counts=options.counts)
        else:
            count = options.requests or 10_000
            bad, line = fuzz(house, house.samples, search=search, count=count, seed=options.seed)
            lines += [*bad, line]
    return lines


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=_MODES)
    parser.add_argument("folder", nargs="*", help="folders of pictures; by default samples/")
    parser.add_argument(
        "--search", choices=get_args(Search), action="append", help="ratio: both; others: full"
    )
    parser.add_argument("--workers", type=int, default=cores(), help="of service and library each")
    parser.add_argument("--requests", type=int, help="ratio: of a round, 100; fuzz: in all, 10000")
    parser.add_argument("--rounds", type=int, default=5, help="ratio: of library and service")
    parser.add_argument("--seconds", type=float, default=300.0, help="overload: at twice the rate")
    parser.add_argument(
        "--calibration", type=float, default=15.0, help="overload: seconds to find the rate"
    )
    parser.add_argument(
        "--counts",
        type=int,
        nargs="+",
        default=[1000, 10_000],
        help="memory: after how many requests it is read; after the folders, if any",
    )
    parser.add_argument("--marks", type=int, default=1000, help="in the registry besides")
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="a setting of the service, such as EVIDENCE=none; the defaults are what is measured",
    )
    parser.add_argument("--limit", type=int, help="at most so many pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/out/service.jsonl"))
    options = parser.parse_args()
    options.folder = options.folder or [str(Path(__file__).parent.parent.parent / "samples")]
    return options


def main() -> None:
    """Run one mode, write its lines and print its table; 1 if something must not be."""
    options = _options()
    # Also when it is told to end, so do the service and the processes of the library.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    corpus = corpus_hash(find(options.folder, min_short=SIDE, limit=options.limit))
    run = {
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus),
        "workers": options.workers,
        "marks": options.marks,
        "settings": dict(options.settings),
    }
    with (
        tempfile.TemporaryDirectory(prefix="sukashi-bench-") as folder,
        _house(options, Path(folder)) as house,
    ):
        lines = _measured(house, options)
    write_lines(options.out, [run | line for line in lines], append=True)
    print(f"{options.workers} workers, corpus {corpus}, {options.marks} other marks")
    print(f"profile {DEFAULT}\ncommit {run['commit']}, seed {options.seed}\n")
    print(summary(lines))
    if wrong := failed(lines):
        print("\n" + "\n".join(wrong))
        sys.exit(1)


if __name__ == "__main__":
    main()
