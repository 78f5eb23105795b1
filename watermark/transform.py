"""The tile's wavelet coefficients: analysis and synthesis that are each other's inverse.

A tile of T × T pixels is periodic, so the transform is periodised; it is orthonormal, so energies
on both sides are equal (Mallat 1989, DOI 10.1109/34.192463).
Chips live on the detail bands of levels 2 and 3: 3·(T/4)² and 3·(T/8)² of them, in this order,
each level as its horizontal, vertical and diagonal band, each band by rows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pywt
from numpy.typing import NDArray

from watermark.profile import Profile

__all__ = ["analyse", "chip_count", "levels", "synthesise"]


def _bands(profile: Profile) -> tuple[tuple[int, int], ...]:
    """Return (level, side of a band) in the order of the chips."""
    return ((2, profile.tile // 4), (3, profile.tile // 8))


def chip_count(profile: Profile) -> int:
    """Return the number of chips N of a tile."""
    return sum(3 * side * side for _, side in _bands(profile))


def levels(profile: Profile, *, two: float, three: float) -> NDArray[np.float64]:
    """Return an array of N entries: `two` for each chip of level 2, `three` for each of level 3."""
    (_, side2), (_, side3) = _bands(profile)
    return np.repeat([two, three], [3 * side2 * side2, 3 * side3 * side3])


def analyse(tile: NDArray[np.floating], profile: Profile) -> NDArray[np.float64]:
    """Return the N chip coefficients of a (T, T) tile."""
    # As products with the filters' matrices, which takes a third of the time of going through
    # them, and leaves out the details of level 1.
    low, _ = _filters(profile.wavelet, profile.tile)
    plane = low @ np.asarray(tile, np.float64) @ low.T
    parts = []
    for _, side in _bands(profile):
        both = np.concatenate(_filters(profile.wavelet, 2 * side))
        seen = both @ plane @ both.T
        plane = seen[:side, :side]
        parts += [seen[side:, :side], seen[:side, side:], seen[side:, side:]]
    return np.concatenate([part.ravel() for part in parts])


@lru_cache(maxsize=16)
def _filters(wavelet: str, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the matrices, of shape (side / 2, side), that halve a periodic signal."""
    low, high = pywt.dwt(np.eye(side), wavelet, mode="periodization", axis=0)
    return np.asarray(low), np.asarray(high)


def synthesise(chips: NDArray[np.floating], profile: Profile) -> NDArray[np.float64]:
    """Return the (T, T) tile that has these N chip coefficients and nothing else."""
    side = profile.tile
    bands: dict[int, tuple[NDArray[np.float64], ...]] = {}
    start = 0
    for level, width in _bands(profile):
        block = np.asarray(chips[start : start + 3 * width * width], np.float64)
        bands[level] = tuple(block.reshape(3, width, width))
        start += 3 * width * width
    empty = np.zeros((side // 2, side // 2))
    coefficients = [np.zeros((side // 8, side // 8)), bands[3], bands[2], (empty, empty, empty)]
    return np.asarray(pywt.waverec2(coefficients, profile.wavelet, mode="periodization"))
