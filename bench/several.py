"""Several works in one soft word: what is left of a strong mark, and whether two are found.

Soft words are drawn from the Gaussian channel; ``python -m bench.attribution`` runs and prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from watermark.attribution import attribute, log_p_further, subtract
from watermark.identify import Codebook

__all__ = ["Channel", "batches", "leftovers", "print_leftovers", "two_works"]

_BATCH = 64
_CHIPS = 4335  # of one tile; a score cannot exceed their square root
_LEVELS = (4.5, 5.0, 5.5, 6.0)
_FAMILY = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True)
class Channel:
    """How code bits come back: `uneven` is the spread of gain and of noise from bit to bit."""

    uneven: float = 0.0
    saturates: bool = False

    def soft(self, sent: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """Return soft words for noiseless sums `sent` of code words times amplitudes (B, 256).

        With `saturates`, the score's unit holds the mark's own energy too, as in the detector:
        noise shrinks by the share of the energy that the marks explain.
        """
        gain = np.maximum(1 + self.uneven * rng.standard_normal(sent.shape), 0.1)
        gain /= gain.mean(axis=1, keepdims=True)
        spread = np.maximum(1 + self.uneven * rng.standard_normal(sent.shape), 0.1)
        spread /= np.sqrt(np.square(spread).mean(axis=1, keepdims=True))
        noise = rng.standard_normal(sent.shape) * spread / 16
        if self.saturates:
            share = np.square(sent).sum(axis=1, keepdims=True) / 256 / _CHIPS
            noise *= np.sqrt(1 - np.minimum(share, 0.99))
        return sent * gain / 256 + noise


def batches(words: int) -> Iterator[int]:
    """Yield sizes of at most 64 that add up to `words`."""
    for start in range(0, words, _BATCH):
        yield min(_BATCH, words - start)


def leftovers(
    codebook: Codebook,
    *,
    words: int,
    amplitude: float,
    channel: Channel,
    rng: np.random.Generator,
) -> dict[str, object]:
    """Take one strong mark out and count what the registered others score on what is left.

    Scores are counted twice: in the unit of the residual's norm, which is the rule, and in the
    unit of the soft word, which trusts that the subtraction left nothing.
    """
    strict = np.zeros(len(_LEVELS), np.int64)
    naive = np.zeros(len(_LEVELS), np.int64)
    family = np.zeros(len(_FAMILY), np.int64)
    energy = 0.0
    for count in batches(words):
        true = rng.integers(0, len(codebook), count)
        first = codebook.codewords(true)
        soft = channel.soft(first.astype(np.float64) * amplitude, rng)
        left = np.stack([subtract(s, c) for s, c in zip(soft, first, strict=True)])
        ranking = codebook.rank(left)
        energy += float(np.square(left).sum())
        log_p = log_p_further(ranking.scores[:, 0], left, log_trials=math.log(len(codebook)))
        family += [(log_p <= math.log(level)).sum() for level in _FAMILY]
        for row in range(count):
            scores = ranking.high_scores[row]
            naive += [(scores >= level).sum() for level in _LEVELS]
            strict += [(scores >= level * ranking.norms[row]).sum() for level in _LEVELS]
    return {
        "words": words,
        "pairs": words * len(codebook),
        "mean_energy_left": energy / words,
        "levels": _LEVELS,
        "over_in_residual_norms": strict.tolist(),
        "over_in_soft_units": naive.tolist(),
        "family_levels": _FAMILY,
        "family_alarms": family.tolist(),
    }


def two_works(
    codebook: Codebook,
    *,
    words: int,
    amplitudes: tuple[float, float],
    channel: Channel,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Count words in which both of two works are found, and false thirds, at p ≤ 1e-9.

    `second_named` counts those seconds whose printed probability of a wrong name is at most 1e-3.
    """
    limit, trials = math.log(1e-9), math.log(len(codebook))
    first = both = named = third = wrong = 0
    for count in batches(words):
        true = np.stack([rng.choice(len(codebook), 2, replace=False) for _ in range(count)])
        level = rng.uniform(*amplitudes, (count, 2, 1))
        soft = channel.soft((codebook.codewords(true) * level).sum(axis=1), rng)
        best = codebook.rank(soft).indices[:, 0]
        found = best[:, None]
        first += int((found == true).any(axis=1).sum())
        left = _without(codebook, soft, found)
        ranking = codebook.rank(left)
        second = ranking.indices[:, 0]
        sure = log_p_further(ranking.scores[:, 0], left, log_trials=trials) <= limit
        right = (second[:, None] == true).any(axis=1) & (found == true).any(axis=1)
        both += int((sure & right).sum())
        wrong += int((sure & ~right).sum())
        doubt = np.array([one.log10_p_wrong_work for one in attribute(codebook, left, ranking)])
        named += int((sure & right & (doubt <= -3)).sum())
        left = _without(codebook, soft, np.column_stack([found, second]))
        ranking = codebook.rank(left)
        more = log_p_further(ranking.scores[:, 0], left, log_trials=trials) <= limit
        third += int((more & sure & right).sum())
    return {
        "words": words,
        "first_right": first,
        "both_found": both,
        "second_named": named,
        "wrong_second": wrong,
        "false_third": third,
    }


def _without(
    codebook: Codebook, soft: NDArray[np.float64], found: NDArray[np.intp]
) -> NDArray[np.float64]:
    pairs = zip(soft, codebook.codewords(found), strict=True)
    return np.stack([subtract(word, codewords) for word, codewords in pairs])


def print_leftovers(case: str, counted: dict[str, object]) -> None:
    """Print what `leftovers` counted, as rates beside the normal tail and Hoeffding's bound."""
    energy = counted["mean_energy_left"]
    print(f"\n{case}: {counted['pairs']:.3g} scores, mean energy left {energy:.3f}")
    print("  z     normal tail  bound      in residual norms  in soft units")
    pairs = float(str(counted["pairs"]))
    strict, naive = counted["over_in_residual_norms"], counted["over_in_soft_units"]
    assert isinstance(strict, list)
    assert isinstance(naive, list)
    for level, left, right in zip(_LEVELS, strict, naive, strict=True):
        print(
            f"  {level:3.1f}   {norm.sf(level):.2e}     {math.exp(-(level**2) / 2):.2e}   "
            f"{left / pairs:.2e}           {right / pairs:.2e}"
        )
    alarms = counted["family_alarms"]
    assert isinstance(alarms, list)
    shown = ", ".join(f"{a} at {p:g}" for a, p in zip(alarms, _FAMILY, strict=True))
    print(f"  words with a false second work, at a family-wise bound: {shown}")
