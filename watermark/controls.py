"""Wrong keys by the thousand on the same sums: what nothing looks like there.

The sums are folded once.  A wrong key draws other signs, and no more is done anew, so a thousand of
them take a second.  Alignments that the true key's pilot found are kept: pilot and message are
independent, so a wrong message on them is as good as any.

What is told of each wrong key is the z of one code word, and the largest over all ways of folding.
The p-value does not rest on this: it is a bound for any content (`watermark.decide`).  But whoever
doubts it sees here that wrong keys do what it says, on the very pictures in question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from watermark.coding import codeword
from watermark.decide import Hypothesis
from watermark.key import Key
from watermark.pattern import carriers
from watermark.profile import Profile
from watermark.transform import analyse, levels

__all__ = ["Controls", "chip_signs", "controls", "quantiles", "unit_chips", "wrong_keys"]

_AT_ONCE = 256  # wrong keys side by side: 9 MB of signs


@dataclass(frozen=True, slots=True, eq=False)
class Controls:
    """One code word under the true key and under wrong ones, on the same sums.

    Parameters
    ----------
    true, true_largest : float
        Its z under the true key, where it was found and over all ways of folding.
    single : ndarray of float64, shape (n,)
        Under each wrong key, at the same place.
    largest : ndarray of float64, shape (n,)
        The same over all ways of folding.
    """

    true: float
    true_largest: float
    single: NDArray[np.float64]
    largest: NDArray[np.float64]

    @property
    def as_large(self) -> int:
        """How many wrong keys reach the largest z of the true one."""
        return int((self.largest >= self.true_largest).sum())

    @property
    def rank_p(self) -> float:
        """P-value of that by counting alone: 1/(n + 1) is the least it can be."""
        return (1 + self.as_large) / (1 + len(self.largest))

    @property
    def normal_p(self) -> float:
        """P-value of a Kolmogorov–Smirnov test that wrong keys give a standard normal z."""
        from scipy.stats import kstest  # noqa: PLC0415 - slow

        return float(kstest(self.single, "norm").pvalue)


def controls(
    tried: Sequence[Hypothesis], row: int, number: int, *, draws: int, seed: int = 0
) -> Controls:
    """Ask wrong keys about what was decided on.

    Parameters
    ----------
    tried : sequence of Hypothesis
        Those of one key and profile.
    row : int
        Which of them is the place in question.
    number : int
        Mark number of the code word in question.
    draws : int
        How many wrong keys, at least 1.
    seed : int
        Another one gives other keys.

    Raises
    ------
    ValueError
        If the hypotheses are not of one key and profile, or none is wanted.
    """
    key, profile = tried[row].key, tried[row].profile
    if any((each.key, each.profile) != (key, profile) for each in tried):
        raise ValueError("wrong keys are compared with one key and one profile")
    if draws < 1:
        raise ValueError("at least one wrong key is wanted")
    seen = np.stack([unit_chips(each.evidence.tile, profile) for each in tried])
    true = seen @ chip_signs(key, number, profile)
    parts = []
    for start in range(0, draws, _AT_ONCE):
        wrong = wrong_keys(min(_AT_ONCE, draws - start), seed=seed, first=start)
        signs = np.stack([chip_signs(each, number, profile) for each in wrong])
        parts.append(seen @ signs.T)
    z = np.concatenate(parts, axis=1)
    return Controls(float(true[row]), float(true.max()), z[row], z.max(axis=0))


def wrong_keys(count: int, *, seed: int = 0, first: int = 0) -> list[Key]:
    """Return keys that marked nothing, the same for the same `seed` and place."""
    return [
        Key(hashlib.sha256(f"sukashi wrong key {seed} {place}".encode()).digest())
        for place in range(first, first + count)
    ]


def quantiles(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a standard normal is expected to give, and the sorted values, for a plot."""
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    return np.asarray(ndtri(ranks), np.float64), np.sort(values)


def unit_chips(tile: NDArray[np.float64], profile: Profile) -> NDArray[np.float64]:
    """Return the chips of a tile as `watermark.decide.soft_word` weighs them, of norm 1 or 0."""
    weights = levels(profile, two=profile.weight2, three=profile.weight3)
    seen = analyse(tile, profile) * weights
    size = float(np.linalg.norm(seen))
    return seen / size if size else seen


def chip_signs(key: Key, number: int, profile: Profile) -> NDArray[np.float64]:
    """Return the sign of every chip of a mark."""
    drawn = carriers(key, profile)
    return np.asarray(drawn.signs * codeword(number)[drawn.bits], np.float64)
