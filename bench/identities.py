"""The statistic that makes unequal payloads comparable: one of a million, sure to 1e-9.

A peer gives bits, and each registered identity is a word of as many random bits.
The best identity is the one that agrees in most bits; it is *found* when it is the right one, alone
in first place, and when as many agreeing bits are rare enough: with n bits, m of them agreeing and
N registered identities,

    N × P(Bin(n, 1/2) ≥ m) ≤ 1e-9.

Given what was decoded, whatever it was made from, the bits of an identity that has nothing to do
with the picture are coin flips, so each of the N agrees in Bin(n, 1/2) bits and the bound holds for
every picture and every decoder (Bonferroni).  The test of one message by its binomial tail is that
of P. Fernandez et al., "The Stable Signature", 2023, arXiv 2303.15435.

Few bits cannot carry the claim: with a million identities even 49 perfect bits are not rare enough,
see `least_matches`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FAMILY_WISE",
    "REGISTERED",
    "Identities",
    "Outcome",
    "least_matches",
    "limits",
    "log10_tail",
]

Bits = NDArray[np.bool_]

REGISTERED = 1_000_000  # identities, in all that is compared with peers
FAMILY_WISE = 1e-9  # chance, at most, of naming anybody where nothing is marked

_WORD = 16  # bits of a word of the packed registry: counts of set bits are looked up
_SET_BITS = np.array([number.bit_count() for number in range(1 << _WORD)], np.uint8)
_LEADING = 4  # words; identities differ already in these


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one look at one picture told.

    Parameters
    ----------
    found : bool
        The right identity, at a family-wise false positive rate of 1e-9 over all registered ones.
    right : bool
        The best identity is the right one, whether sure or not.
    log10_p : float
        Of presence, after all charges; at most 0.
    bits : float or None
        Share of the payload's bits that are right, where bits are decoded.
    z : float or None
        Where the system has one.
    error : str or None
        Why there is no answer, of a system that failed.
    """

    found: bool = False
    right: bool = False
    log10_p: float = 0.0
    bits: float | None = None
    z: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Identities:
    """Registered identities of n bits, packed.

    Parameters
    ----------
    words : ndarray of uint16, shape (W, N)
        Words of 16 bits, first bit highest; bits beyond the n-th are 0.
    bits : int
        n.
    """

    words: NDArray[np.uint16]
    bits: int

    @classmethod
    def of(cls, rows: Bits) -> Identities:
        """Return identities given as bits, shape (N, n).

        Raises
        ------
        ValueError
            If two are alike in their first 64 bits: nobody could tell them apart for sure.
        """
        count, bits = rows.shape
        padded = np.zeros((count, -(-bits // _WORD) * _WORD), np.bool_)
        padded[:, :bits] = rows
        words = np.packbits(padded, axis=1).view(">u2").astype(np.uint16)
        if np.unique(_leading(words)).size < count:
            raise ValueError("two identities are alike in their first 64 bits")
        return cls(np.ascontiguousarray(words.T), bits)

    @classmethod
    def draw(cls, count: int, bits: int, seed: int) -> Identities:
        """Return `count` random identities, all different, the same for the same seed.

        Raises
        ------
        ValueError
            If there are not as many, or nearly as many as there are words of so many bits.
        """
        if bits < 1 or count > 1 << max(bits - 1, 0):
            raise ValueError(f"{count} different identities do not fit into {bits} bits")
        rng = np.random.default_rng(seed)
        kept = np.empty((0, -(-bits // _WORD)), np.uint16)
        spare = np.uint16((0xFFFF << (-bits % _WORD)) & 0xFFFF)
        while len(kept) < count:
            drawn = rng.integers(0, 1 << _WORD, (count - len(kept) + 64, kept.shape[1]), np.uint16)
            drawn[:, -1] &= spare
            both = np.concatenate([kept, drawn])
            first = np.unique(_leading(both), return_index=True)[1]
            kept = both[np.sort(first)][:count]
        return cls(np.ascontiguousarray(kept.T), bits)

    def __len__(self) -> int:
        return int(self.words.shape[1])

    def __getitem__(self, index: int) -> Bits:
        """Return the bits of one identity, shape (n,)."""
        word = self.words[:, index].astype(">u2")
        return np.unpackbits(word.view(np.uint8))[: self.bits].astype(np.bool_)

    def leading(self) -> NDArray[np.uint64]:
        """Return the first 64 bits of each identity as a number, all of them if there are fewer."""
        used = min(self.bits, _LEADING * _WORD)
        kept = _leading(self.words.T)
        return kept >> np.uint64(min(len(self.words), _LEADING) * _WORD - used)

    def matches(self, decoded: Bits) -> NDArray[np.int64]:
        """Return in how many bits each identity agrees with what was decoded, shape (N,).

        Raises
        ------
        ValueError
            If there are not n bits.
        """
        if decoded.shape != (self.bits,):
            raise ValueError(f"{decoded.shape} decoded bits, identities of {self.bits}")
        padded = np.zeros(len(self.words) * _WORD, np.bool_)
        padded[: self.bits] = decoded
        wanted = np.packbits(padded).view(">u2").astype(np.uint16)
        differing = np.zeros(len(self), np.uint16)
        for column, word in zip(self.words, wanted, strict=True):
            differing += _SET_BITS[column ^ word]
        return self.bits - differing.astype(np.int64)

    def decide(self, decoded: Bits | None, index: int) -> Outcome:
        """Compare decoded bits with all identities, of which the one at `index` is right.

        Parameters
        ----------
        decoded : ndarray of bool, shape (n,), or None
            None where the system gave no bits, which is never found.
        index : int
        """
        if decoded is None:
            return Outcome()
        matches = self.matches(decoded)
        most = int(matches.max())
        right = bool(matches[index] == most and np.count_nonzero(matches == most) == 1)
        log10_p = min(0.0, math.log10(len(self)) + log10_tail(self.bits, most))
        found = right and log10_p <= math.log10(FAMILY_WISE)
        return Outcome(found, right, log10_p, float(matches[index]) / self.bits)


def _leading(words: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Return the first 64 bits of identities, shape (N,), from rows of words."""
    total = np.zeros(len(words), np.uint64)
    for column in words.T[:_LEADING]:
        total = total << np.uint64(_WORD) | column
    return total


@cache
def log10_tail(bits: int, matches: int) -> float:
    """Return the logarithm to base 10 of P(Bin(bits, 1/2) ≥ matches), from exact integers."""
    ways = sum(math.comb(bits, agreeing) for agreeing in range(max(matches, 0), bits + 1))
    return math.log10(ways) - bits * math.log10(2) if ways else -math.inf


def least_matches(bits: int, count: int) -> int | None:
    """Return how many bits must agree to be found among `count`, None if all would not do."""
    enough = math.log10(FAMILY_WISE) - math.log10(count)
    return next((m for m in range(bits + 1) if log10_tail(bits, m) <= enough), None)


def limits(bits: int, count: int) -> str:
    """Return what a payload can and cannot carry, for a table's notes."""
    least = least_matches(bits, count)
    if least is None:
        return f"{bits} bits cannot carry this claim"
    return f"{least} of {bits} bits must be right"
