"""Counts that add: rates and intervals are derived from them, never averaged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import binomtest

__all__ = ["Score"]


@dataclass(frozen=True, slots=True)
class Score:
    """How often something was found, of how many trials.

    Raises
    ------
    ValueError
        If the counts are negative, or more was found than tried.
    """

    found: int = 0
    trials: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.found <= self.trials:
            raise ValueError(f"{self.found} of {self.trials} is no count of successes")

    def __add__(self, other: Score) -> Score:
        return Score(self.found + other.found, self.trials + other.trials)

    @property
    def rate(self) -> float:
        """The share that was found, NaN of no trials."""
        return self.found / self.trials if self.trials else math.nan

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the Clopper–Pearson interval of the rate (DOI 10.1093/biomet/26.4.404)."""
        if self.trials == 0:
            return 0.0, 1.0
        between = binomtest(self.found, self.trials).proportion_ci(confidence, method="exact")
        return float(between.low), float(between.high)
