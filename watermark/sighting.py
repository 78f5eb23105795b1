"""One file that the detect service looked at, and what a row tells of it.

Rows are those of `watermark.record`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["KINDS", "Sighting", "named_in"]

KINDS = ("still", "film")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One file that was looked at.

    Parameters
    ----------
    id : str
        Sorts by time.
    at : str
        When it was first looked at; UTC, ISO 8601, to the second.
    sha256 : str
        Of the whole file, 64 lower-case hex digits.
    kind : {'still', 'film'}
    size : (int, int)
        Width and height in pixels.
    verdict, log10_p, marks, works
        What `record` says, to look it up by: the numbers that may be named and the ids of works.
    record : dict
        The row that ``sukashi detect --json`` prints.  Not to be changed in place.
    by : str
        Id of a token, or ``anonymous``.
    looks : int
        How often it was decided; one more for each recheck.
    evidence : bool
        Whether its evidence is kept.
    """

    id: str
    at: str
    sha256: str
    kind: str
    size: tuple[int, int]
    verdict: str
    log10_p: float | None
    marks: tuple[int, ...]
    works: tuple[str, ...]
    record: dict[str, Any]
    by: str
    looks: int
    evidence: bool


def named_in(record: dict[str, Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the mark numbers and the ids of works that a row names, each once, in its order."""
    told = [*record.get("works", ()), *record.get("timeline", ())]
    marks = dict.fromkeys(int(each["mark"], 16) for each in told if each.get("mark"))
    works = dict.fromkeys(each["work"] for each in told if each.get("work"))
    return tuple(marks), tuple(works)
