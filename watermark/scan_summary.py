"""What a scan found, in counts: works and their shares, what could not be read, and false alarms.

Counts are stored and shares are derived.  A share has the 95 % interval of Clopper and Pearson
(1934, DOI 10.1093/biomet/26.4.404): where what was scanned is a random part of something larger,
it is about all of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import beta

__all__ = ["COLUMNS", "FoundWork", "Summary", "interval", "summarise"]

COLUMNS = ["kind", "verdict", "works", "reason", "error"]  # of the rows, that are asked for
_LEVELS = {"detected": 1e-9, "indicated": 1e-6}  # p-value of each verdict, at most
_OUTSIDE = 0.025  # of the probability, on each side of an interval


@dataclass(slots=True)
class FoundWork:
    """What was found of one work, or of a mark whose work is not known.

    Parameters
    ----------
    work, title, training : str or None
        As in the rows; None where no work is named.
    mark : str or None
        Number of a mark that nobody registered; None for others.
    detected, indicated : int
        Rows with that verdict in which it was found.
    best_log10_p : float
        The smallest p-value.
    """

    work: str | None
    title: str | None
    training: str | None
    mark: str | None
    detected: int = 0
    indicated: int = 0
    best_log10_p: float = 0.0

    @property
    def rows(self) -> int:
        """In how many rows it was found."""
        return self.detected + self.indicated


@dataclass(slots=True)
class Summary:
    """Counts over the rows of a scan.

    Parameters
    ----------
    rows : int
    verdicts : Counter of str
        Of the rows that were looked at.
    kinds : Counter of str
        Of those: ``still`` and ``clip``.
    reasons : Counter of str
        Why the others were not.
    told : dict of str to str
        The sentence of the first row with each reason.
    works : list of FoundWork
        Most frequent first.
    """

    rows: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    told: dict[str, str] = field(default_factory=dict)
    works: list[FoundWork] = field(default_factory=list)

    @property
    def looked_at(self) -> int:
        """How many rows have a verdict."""
        return self.verdicts.total()

    @property
    def found(self) -> int:
        """How many rows have a mark."""
        return sum(self.verdicts[verdict] for verdict in _LEVELS)

    def expected(self) -> dict[str, float]:
        """Return how many false alarms of each verdict there are on average, at most.

        Of unmarked pictures, were all of them unmarked.
        """
        return {verdict: self.looked_at * level for verdict, level in _LEVELS.items()}

    def as_json(self) -> dict[str, Any]:
        """Return it for ``summary.json``."""
        return {
            "rows": self.rows,
            "looked_at": self.looked_at,
            "kinds": dict(self.kinds),
            "verdicts": dict(self.verdicts),
            "share": _share(self.found, self.looked_at),
            "false_alarms_expected_at_most": self.expected(),
            "works": [
                {
                    "work": each.work,
                    "title": each.title,
                    "mark": each.mark,
                    "training": each.training,
                    "detected": each.detected,
                    "indicated": each.indicated,
                    "share": _share(each.rows, self.looked_at),
                    "best_log10_p": each.best_log10_p,
                }
                for each in self.works
            ],
            "failed": self.reasons.total(),
            "reasons": dict(self.reasons),
            "first_of_each_reason": dict(self.told),
        }


def summarise(rows: Iterable[dict[str, Any]]) -> Summary:
    """Count rows; only what differs between works is kept in memory.

    Parameters
    ----------
    rows : iterable of dict
        With `COLUMNS`, as `watermark.tables.ROWS` has them.
    """
    summary = Summary()
    works: dict[tuple[str | None, str | None], FoundWork] = {}
    for row in rows:
        summary.rows += 1
        verdict = row["verdict"]
        if verdict is None:
            reason = row["reason"] or "broken"
            summary.reasons[reason] += 1
            summary.told.setdefault(reason, row["error"] or "")
            continue
        summary.verdicts[verdict] += 1
        summary.kinds[row["kind"]] += 1
        once: set[tuple[str | None, str | None]] = set()
        for each in row["works"] or ():
            name = (each["work"], None if each["work"] else each["mark"])
            if name not in works:
                works[name] = FoundWork(name[0], each["title"], each["training"], name[1])
            found = works[name]
            found.best_log10_p = min(found.best_log10_p, each["log10_p"])
            if name not in once:  # a work may be in one picture several times
                found.detected += verdict == "detected"
                found.indicated += verdict == "indicated"
            once.add(name)
    summary.works = sorted(works.values(), key=lambda each: (-each.rows, each.best_log10_p))
    return summary


def interval(count: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    low = float(beta.ppf(_OUTSIDE, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - _OUTSIDE, count + 1, of - count)) if count < of else 1.0
    return low, high


def _share(count: int, of: int) -> dict[str, Any]:
    if of == 0:
        return {"count": 0, "of": 0, "interval": None}
    return {"count": count, "of": of, "interval": list(interval(count, of))}
