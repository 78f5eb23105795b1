"""Whether something got worse: ``python -m bench guard OLD NEW``, exit code 1 if so.

Two files of results are compared, JSON lines or summaries, row by row: each attack of each system,
kind and visibility that both have, and for each of these all their attacks taken together.  A row
has fallen if the one-sided exact test of Fisher (DOI 10.2307/2340521, conditional on the total
that was found) says that as few found in NEW would come of an unchanged rate with a probability
that is, after Holm's correction for all rows (https://www.jstor.org/stable/4615733), at most 0.05.
So of comparisons in which nothing changed, at most 5 % exit with 1.  Where both are of the same
pictures, trials are paired and the test errs to the side of silence.

False alarms (family ``null``) and forgeries are tested the other way round: more is worse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import hypergeom

from bench.page.command import gathered
from bench.page.summary import cells
from bench.report import rated, table
from bench.score import Score

__all__ = ["ALL", "Change", "changes", "main", "p_of_fall"]

ALL = "all attacks"
_LEVEL = 0.05  # family-wise

Place = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One row in both files.

    Parameters
    ----------
    place : (system, visibility and kind, family, attack)
    old, new : Score
    p : float
        One-sided, before correction.
    holm : float
        After it, over all rows.
    """

    place: Place
    old: Score
    new: Score
    p: float
    holm: float

    @property
    def fell(self) -> bool:
        """Whether the row got worse by more than chance."""
        return self.holm <= _LEVEL


def p_of_fall(old: Score, new: Score) -> float:
    """Return the chance of as few found in `new`, if the rate had stayed what it was.

    Fisher's exact test: given how many were found in both together, the number in `new` is
    hypergeometric.  1 where there are no trials.
    """
    trials, found = old.trials + new.trials, old.found + new.found
    if not (old.trials and new.trials):
        return 1.0
    return min(1.0, float(hypergeom.cdf(new.found, trials, found, new.trials)))


def _scores(summary: Mapping[str, Any]) -> dict[Place, Score]:
    """Return what must not fall: marks found, and unmarked pictures that were left alone."""
    scores: dict[Place, Score] = {}
    for cell in cells(summary):
        where = f"{cell.visibility}, {cell.kind}"
        score = cell.score
        if cell.family == "forgery":
            score = Score(score.trials - score.found, score.trials)
        scores[cell.system, where, cell.family, cell.name] = score
    for each in summary["null"]:
        quiet = Score(each["trials"] - each["alarms"], each["trials"])
        scores[each["system"], "", "null", f"no alarm: {each['attack']}"] = quiet
    return scores


def _together(common: Iterable[Place], scores: Mapping[Place, Score]) -> dict[Place, Score]:
    totals: dict[Place, Score] = {}
    for place in common:
        system, where, family, _ = place
        if family not in {"null", "forgery"}:
            whole = (system, where, "", ALL)
            totals[whole] = totals.get(whole, Score()) + scores[place]
    return totals


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return all rows that two summaries share, those that fell most surely first."""
    before, after = _scores(old), _scores(new)
    common = sorted(before.keys() & after.keys())
    before |= _together(common, before)
    after |= _together(common, after)
    rows = sorted(before.keys() & after.keys())
    by_p = sorted((p_of_fall(before[place], after[place]), place) for place in rows)
    found, least = [], 0.0
    for index, (p, place) in enumerate(by_p):
        # Holm: the smallest of m is charged m times, the next m - 1 times, and never less.
        least = max(least, min(1.0, p * (len(by_p) - index)))
        found.append(Change(place, before[place], after[place], p, least))
    return tuple(found)


def _corpora(summary: Mapping[str, Any]) -> set[str]:
    return {str(run.get("corpus", "?")) for run in summary["runs"]}


def main() -> None:
    """Compare two files and exit with 1 if a row fell, 2 if they have none in common."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="JSON lines or a summary")
    parser.add_argument("new", type=Path, help="JSON lines or a summary")
    parser.add_argument("--system", help="compare this one only")
    parser.add_argument("--all", action="store_true", help="print also rows that did not change")
    options = parser.parse_args()
    try:
        old, new = (gathered([path], date="") for path in (options.old, options.new))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.system:
        old, new = (_only(each, options.system) for each in (old, new))
    rows = changes(old, new)
    if not rows:
        parser.error(f"{options.old} and {options.new} have no row in common")
    gone = _scores(old).keys() - _scores(new).keys()
    if _corpora(old) != _corpora(new):
        print(f"not of the same pictures: {sorted(_corpora(old))} and {sorted(_corpora(new))}")
    shown = [row for row in rows if options.all or row.old.rate != row.new.rate]
    if shown:
        print(
            table(
                ("", "system", "where", "family", "attack", "old", "new", "p, one-sided", "Holm"),
                (
                    (
                        "FELL" if row.fell else "",
                        *row.place,
                        *(rated(row.old), rated(row.new)),
                        *(f"{row.p:.2g}", f"{row.holm:.2g}"),
                    )
                    for row in shown
                ),
            )
        )
    fallen = sum(row.fell for row in rows)
    print(f"\n{len(rows)} rows compared, {fallen} fell; {len(gone)} rows of OLD are not in NEW")
    sys.exit(fallen > 0)


def _only(summary: Mapping[str, Any], system: str) -> dict[str, Any]:
    return {
        **summary,
        **{
            part: [each for each in summary[part] if each["system"] == system]
            for part in ("cells", "null")
        },
    }


if __name__ == "__main__":
    main()
