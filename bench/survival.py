"""Counts of scores in fine bins, which add, and the plot of how many lie above each z."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from bench.score import Score
from watermark.signsum import log_unit_tail

__all__ = ["Counts", "plot"]

_STEP = 1e-3  # z units; a threshold is rounded down to a bin's edge, which counts too many
_REACH = 12.0
_BINS = round(2 * _REACH / _STEP)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How many scores fell into each bin from −12 to 12, those outside into the end ones.

    Parameters
    ----------
    bins : ndarray of int64, shape (24000,)
    """

    bins: NDArray[np.int64]

    @classmethod
    def none(cls) -> Counts:
        """Return the counts of no scores."""
        return cls(np.zeros(_BINS, np.int64))

    @classmethod
    def of(cls, scores: ArrayLike) -> Counts:
        """Count scores."""
        place = np.floor((np.asarray(scores, np.float64).ravel() + _REACH) / _STEP).astype(np.int64)
        return cls(np.bincount(np.clip(place, 0, _BINS - 1), minlength=_BINS))

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.bins + other.bins)

    @property
    def trials(self) -> int:
        """The number of scores."""
        return int(self.bins.sum())

    def above(self, z: float) -> Score:
        """Return how many scores are at least `z`, to a bin's width."""
        first = math.floor((z + _REACH) / _STEP + 1e-6)
        return Score(int(self.bins[first:].sum()), self.trials)

    def as_json(self) -> dict[str, Any]:
        """Return the counts above each tenth of z units that any score reached."""
        tenths = np.arange(-50, 81) / 10
        over = {f"{z:.1f}": self.above(float(z)).found for z in tenths}
        return {"trials": self.trials, "at_least": {z: n for z, n in over.items() if n}}


def plot(path: Path, curves: Sequence[tuple[str, Counts, int]], *, chips: int) -> str:
    """Draw the share of scores above each z beside the bound and the normal tail.

    Parameters
    ----------
    path : Path
        Of the picture to be written; its folder is made.
    curves : sequence of (name, counts, decisions charged for)
    chips : int
        Signs of a score, for the title.

    Returns
    -------
    str
        The path, or why there is no plot.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return "left out, matplotlib is not installed (pip install 'sukashi[bench]')"
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    # The same file from the same counts.
    matplotlib.rcParams["svg.hashsalt"] = "sukashi"
    figures = importlib.import_module("matplotlib.pyplot")
    figure, axes = figures.subplots(figsize=(8, 5.5))
    z = np.linspace(0, 7.5, 301)
    axes.semilogy(z, np.exp(log_unit_tail(z)), "k-", lw=1.2, label="3.178 Q(z)")
    axes.semilogy(z, norm.sf(z), "k--", lw=1.0, label="normal tail")
    for index, (name, counts, charge) in enumerate(curves):
        color = f"C{index}"
        rates = np.array([counts.above(float(each)).rate for each in z])
        shown = rates > 0
        label = f"{name} ({counts.trials:,})"
        axes.semilogy(z[shown], rates[shown], color=color, lw=1.6, label=label)
        if charge > 1:
            bound = np.minimum(1, charge * np.exp(log_unit_tail(z)))
            axes.semilogy(z, bound, color=color, lw=0.9, ls=":", label=f"{charge} × 3.178 Q(z)")
    axes.set(xlabel="z", ylabel="share of wrong keys at or above z", ylim=(5e-8, 1.5))
    axes.set_title(f"Wrong keys over real pictures, {chips:,} chips")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    figures.close(figure)
    return str(path)
