"""The README's short table, made from the stored summary: ``python -m bench readme``.

It stands between two comments, and `stale` says whether it is still that of the summary, which a
test asks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.page.summary import read_summary
from bench.page.tables import short_grid

__all__ = ["END", "START", "block", "main", "replaced", "stale"]

START = "<!-- benchmark: made by `python -m bench readme`, not by hand -->"
END = "<!-- end of benchmark -->"
_STORED = Path(__file__).parent.parent / "results" / "benchmark.json"
_README = Path(__file__).parent.parent.parent / "README.md"
_SAID = {
    "equal": "At equal visibility, each system's strength scaled to the same JOD:",
    "default": "Each system at its default strength:",
}


def block(summary: Mapping[str, Any]) -> str:
    """Return what stands between the comments: the table, and what it was made from.

    The table is that at equal visibility, or at default strength if nothing was run at equal.

    Raises
    ------
    ValueError
        If the summary has no trial of an attack.
    """
    said, grid = next(
        ((said, grid) for name, said in _SAID.items() if (grid := short_grid(summary, name))),
        ("", None),
    )
    if grid is None:
        raise ValueError("the summary holds no attacks, so there is no table to make of it")
    runs = summary["runs"]
    made = ", ".join(
        f"{name} {' and '.join(sorted({str(run.get(name, '?')) for run in runs}))}"
        for name in ("commit", "corpus", "machine")
    )
    trials = f"{sum(run['trials'] for run in runs):,} trials"
    parts = [said, grid.markdown(), f"{trials}; {made}; {summary['date']}."]
    parts += [f"Not run: {each['system']} ({each['reason']})." for each in summary["skipped"]]
    return "\n\n".join(parts)


def _parts(text: str) -> tuple[str, str, str]:
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"the text needs one line {START} and, after it, one line {END}")
    before, rest = text.split(START)
    if END not in rest:
        raise ValueError(f"{END} stands before {START}")
    within, after = rest.split(END)
    return before, within, after


def replaced(text: str, summary: Mapping[str, Any]) -> str:
    """Return a text with the table of a summary between its two comments.

    Raises
    ------
    ValueError
        If the comments are not there, once each and in order, or the summary has no attacks.
    """
    before, _, after = _parts(text)
    return f"{before}{START}\n\n{block(summary)}\n\n{END}{after}"


def stale(text: str, summary: Mapping[str, Any]) -> bool:
    """Say whether what stands in a text is not what its summary says.

    Raises
    ------
    ValueError
        As `replaced`.
    """
    return text != replaced(text, summary)


def main() -> None:
    """Write the table into the README, or with ``--check`` exit with 1 where it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--summary", type=Path, default=_STORED)
    parser.add_argument("--readme", type=Path, default=_README)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    try:
        summary, text = read_summary(options.summary), options.readme.read_text(encoding="utf-8")
        new = replaced(text, summary)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.check:
        if new != text:
            print(f"{options.readme} is not what {options.summary} says: python -m bench readme")
        sys.exit(new != text)
    options.readme.write_text(new, encoding="utf-8")
    print(options.readme)


if __name__ == "__main__":
    main()
