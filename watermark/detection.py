"""What was decided, as values: a `Detection` and the marks in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from watermark.align import Alignment

__all__ = ["LOG_P_WRONG", "Candidate", "Detection", "Found", "Verdict"]

LOG_P_WRONG = math.log(1e-3)  # a work is named below this chance of naming the wrong one

Verdict = Literal["detected", "indicated", "not-found", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered mark that may be the one, with its score in z units."""

    number: int
    z: float


@dataclass(frozen=True, slots=True)
class Found:
    """One mark, and how sure it is.

    Parameters
    ----------
    number : int
        Mark number.
    registered : bool
        Whether the registry knows it; False without a registry.
    z : float
        Score in standard deviations of the null.
    log_p : float
        Log of the presence p-value.
    log_p_wrong_work : float
        Log of the probability that another work's mark was there instead; NaN without a registry.
    model_based : bool
        True for a second work in one picture, whose p-value rests on registered numbers having been
        drawn at random and not on the key's signs.
    fingerprint, profile : str
        Of the key and profile under which it was found.
    alignment : Alignment
    """

    number: int
    registered: bool
    z: float
    log_p: float
    log_p_wrong_work: float
    model_based: bool
    fingerprint: str
    profile: str
    alignment: Alignment

    @property
    def named(self) -> bool:
        """Whether the work may be named."""
        return self.registered and self.log_p_wrong_work <= LOG_P_WRONG


@dataclass(frozen=True, slots=True)
class Detection:
    """What was decided.

    Parameters
    ----------
    verdict : str
        ``detected`` (p ≤ 1e-9), ``indicated`` (p ≤ 1e-6), ``not-found``, or ``inconclusive``: the
        content could not have shown a mark.
    best : Found
        The strongest mark, whatever the verdict.
    found : tuple of Found
        All marks with a verdict of at least ``indicated``, strongest first.
    candidates : tuple of Candidate
        The registered marks that score highest, best first.
    log_trials : float
        Log of the number of decisions that a mark in its own place is charged for; what a search
        came up with is charged for more, see `watermark.decide.shares`.
    alignments : int
        How many alignments, over all keys, were decided on.
    enough_short : int or None
        Where the verdict is ``inconclusive``: the short side, in pixels, at which this picture
        would about have shown a mark; None where its size is not what is in the way.
    """

    verdict: Verdict
    best: Found
    found: tuple[Found, ...]
    candidates: tuple[Candidate, ...]
    log_trials: float
    alignments: int = 1
    enough_short: int | None = None
