"""The page of the benchmark: ``python -m bench report RESULTS… -o page.html``.

RESULTS are JSON lines of the runs, or one summary (``bench/results/benchmark.json``), from which
the same page is made.  ``--summary`` writes that summary, ``--markdown`` the tables.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bench.page.pictures import Sample
from bench.page.report import markdown, report
from bench.page.speed import is_speed, speed
from bench.page.summary import read_summary, summarise, write_summary
from bench.published import PUBLISHED
from bench.published.films import VIDEO
from bench.report import lines_of
from watermark.errors import MediaError

__all__ = ["gathered", "main"]


def gathered(paths: Sequence[Path], *, date: str) -> dict[str, Any]:
    """Return the summary of files of results.

    Raises
    ------
    ValueError
        If a summary stands among other files, or nothing was found in them.
    """
    if any(path.suffix == ".json" for path in paths):
        if len(paths) > 1:
            raise ValueError("a summary stands for a whole run; name it alone, or the JSON lines")
        return read_summary(paths[0])
    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        raise ValueError(f"there is no file {', '.join(absent)}")
    lines = list(chain.from_iterable(map(lines_of, paths)))
    trials = (line for line in lines if not is_speed(line))
    summary = summarise(trials, date=date, places=_places())
    summary["speed"] = speed(filter(is_speed, lines))
    if not any(summary[name] for name in ("cells", "fidelity", "null", "speed")):
        raise ValueError(f"no results in {', '.join(map(str, paths))}")
    return summary


def _places() -> dict[str, tuple[str, str]]:
    """Return the groups and curves of the published attacks, for rows that do not say theirs."""
    films = {name: (each.group, each.kind) for name, each in VIDEO.items()}
    return films | {name: (each.group, each.kind) for name, each in PUBLISHED.items()}


def main() -> None:
    """Read results and write the page, and the summary and the tables where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="JSON lines, or one summary")
    parser.add_argument("-o", "--out", type=Path, help="the page to be written")
    parser.add_argument("--summary", type=Path, help="the summary to be written")
    parser.add_argument("--markdown", type=Path, help="the tables to be written")
    parser.add_argument("--date", default=dt.datetime.now(dt.UTC).date().isoformat())
    parser.add_argument(
        "--picture", action="append", default=[], metavar="TITLE=ORIGINAL,MARKED,ATTACKED"
    )
    options = parser.parse_args()
    try:
        samples = [Sample.parse(each) for each in options.picture]
        summary = gathered(options.results, date=options.date)
        text = report(summary, samples) if options.out else ""
    except (ValueError, MediaError) as error:
        parser.error(str(error))
    if options.summary:
        write_summary(options.summary, summary)
    for path, content in ((options.out, text), (options.markdown, markdown(summary))):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
