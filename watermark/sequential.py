"""What it costs to look again: p-values that stay true when one may stop early, or pick a part.

Frames of a film are added up and decided on again and again, and the first verdict that is sure
enough ends the search.  Look k (1, 2, 3, …) may call as many false alarms as its share 1/(k(k+1))
of the error probability allows.  These shares sum to 1, so by the union bound a p-value that was
multiplied by k(k+1) is true whatever made one stop (Robbins 1970, DOI 10.1214/aoms/1177696786, has
the idea of tests that may go on for ever).

The same for parts: with n frames in order there are n(n+1)/2 runs of neighbours, and the p-value of
a run that was picked after the key was seen is multiplied by that number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from watermark.decide import DETECTED, INDICATED
from watermark.detection import Detection, Found, Verdict

__all__ = ["Looks", "charged", "log_looks", "log_runs", "merged"]


def log_looks(look: int) -> float:
    """Return the log of what the p-value of a look is multiplied by.

    Parameters
    ----------
    look : int
        1 for the first.
    """
    if look < 1:
        raise ValueError(f"looks are counted from 1, this is {look}")
    return math.log(look) + math.log(look + 1)


def log_runs(count: int) -> float:
    """Return the log of how many runs of neighbours there are among `count` things in order."""
    if count < 1:
        raise ValueError(f"there is no run among {count} things")
    return math.log(count) + math.log(count + 1) - math.log(2)


@dataclass(slots=True)
class Looks:
    """Counts the looks: after 1, 2, 4, 8 … frames, and after the last.

    Parameters
    ----------
    taken : int
        How many were.
    kept : float
        Share of the error probability that is kept for the last look, chosen before the first;
        the others have what is left.  With 0 the last is a look like the others.
    """

    taken: int = 0
    kept: float = 0.0
    spent: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.kept < 1:
            raise ValueError(f"a share is at least 0 and less than 1, not {self.kept}")

    @staticmethod
    def due(frames: int) -> bool:
        """Say whether to look after so many frames."""
        return frames > 0 and frames & (frames - 1) == 0

    def charge(self, *, last: bool = False) -> float:
        """Take a look, and return the log of what its p-values are multiplied by.

        Raises
        ------
        ValueError
            If it is the last and what was kept for that is spent.
        """
        self.taken += 1
        if not self.kept or not last:
            return log_looks(self.taken) - math.log1p(-self.kept)
        if self.spent:
            raise ValueError("the last look was taken already")
        self.spent = True
        return -math.log(self.kept)


def charged(detection: Detection, log_more: float) -> Detection:
    """Return what was decided, with every p-value multiplied by exp(`log_more`).

    Parameters
    ----------
    detection : Detection
        From `watermark.decide.decide`.
    log_more : float
        At least 0: choices that it knew nothing of.
    """
    if log_more < 0:
        raise ValueError("a p-value is never made smaller")
    trials = detection.log_trials + log_more
    best = replace(detection.best, log_p=min(0.0, detection.best.log_p + log_more))
    further = [replace(each, log_p=min(0.0, each.log_p + log_more)) for each in detection.found[1:]]
    found = tuple(each for each in (best, *further) if each.log_p <= INDICATED)
    if best.log_p > INDICATED:
        found = ()  # the others rest on it
    return replace(detection, verdict=_verdict(best), best=best, found=found, log_trials=trials)


def merged(whole: Detection, parts: Sequence[Found]) -> Detection:
    """Return the verdict on a film from that on all of it and those on parts of it.

    Each has its share of the error probability, so nothing more is charged here.  Of several
    findings of one mark the surest stays; a p-value that rests on the key's signs comes before one
    that rests on a model.
    """
    best: dict[tuple[int, str], Found] = {}
    for each in (*whole.found, *(part for part in parts if part.log_p <= INDICATED)):
        name = (each.number, each.fingerprint)
        if name not in best or _rank(each) < _rank(best[name]):
            best[name] = each
    found = tuple(sorted(best.values(), key=_rank))
    if not found:
        strongest = min((whole.best, *parts), key=lambda each: each.log_p)
        return replace(whole, best=strongest)
    return replace(whole, verdict=_verdict(found[0]), best=found[0], found=found)


def _rank(each: Found) -> tuple[bool, float]:
    return each.model_based, each.log_p


def _verdict(best: Found) -> Verdict:
    if best.log_p > INDICATED:
        return "not-found"
    return "detected" if best.log_p <= DETECTED else "indicated"
