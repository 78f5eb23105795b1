"""The mark before any host: one tile, a pilot that shows where it lies and a message.

The pilot is a few sinusoids on the tile's own frequency lattice, so it repeats without a seam;
geometry is found from spectral power, where a line of amplitude a counts a⁴, so few are better.
The message is one chip of ±1 for each wavelet coefficient, times the code bit it belongs to.
Pilot, chips and the order of bits come from different labels of the key, hence are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from watermark.coding import CODE_BITS, codeword
from watermark.key import Key
from watermark.profile import Profile
from watermark.transform import chip_count, levels, synthesise

__all__ = ["Carriers", "carriers", "mark_tile", "pilot", "pilot_lines", "repeat"]

_APART = 2.0  # lattice steps between two lines, so that each has a spectral peak of its own


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """What a key draws for the message of a profile.

    Parameters
    ----------
    signs : ndarray of int8, shape (N,)
        The chips.
    bits : ndarray of intp, shape (N,)
        Which of the 256 code bits each chip carries; every bit has ⌊N/256⌋ or ⌈N/256⌉ chips.
    """

    signs: NDArray[np.int8]
    bits: NDArray[np.intp]


@lru_cache(maxsize=64)
def carriers(key: Key, profile: Profile) -> Carriers:
    """Draw the carriers of a key, the same on every machine."""
    count = chip_count(profile)
    # A stable sort of 53-bit numbers is a permutation that no library version changes.
    order = np.argsort(key.uniform(f"{profile.name} bits", count), kind="stable")
    bits = np.empty(count, np.intp)
    bits[order] = np.arange(count) % CODE_BITS
    return Carriers(key.signs(f"{profile.name} message", count), bits)


def pilot_lines(key: Key, profile: Profile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pilot's lattice frequencies and phases.

    Returns
    -------
    ndarray of int64, shape (K, 2)
        (row, column) frequency in cycles per tile, one of each ± pair.
    ndarray of float64, shape (K,)
        Phases in radians.
    """
    # Log radius and angle are spread evenly over the half plane; lines too near another are drawn
    # anew, a handful out of the many more numbers that are asked for.
    draws = key.uniform(f"{profile.name} pilot lines", 64 * profile.lines).reshape(-1, 2)
    low, high = np.log(profile.line_low), np.log(profile.line_high)
    chosen: list[tuple[int, int]] = []
    for radius, turn in draws:
        length = np.exp(low + (high - low) * radius) * profile.tile
        line = (
            round(float(length * np.sin(np.pi * turn))),
            round(float(length * np.cos(np.pi * turn))),
        )
        inside = profile.line_low <= np.hypot(*line) / profile.tile <= profile.line_high
        if inside and all(
            min(
                np.hypot(line[0] - row, line[1] - column), np.hypot(line[0] + row, line[1] + column)
            )
            > _APART
            for row, column in chosen
        ):
            chosen.append(line)
        if len(chosen) == profile.lines:
            break
    else:
        raise ValueError(f"profile {profile.name}: no room for {profile.lines} pilot lines")
    phases = 2 * np.pi * key.uniform(f"{profile.name} pilot phases", profile.lines)
    return np.array(chosen), phases


@lru_cache(maxsize=64)
def pilot(key: Key, profile: Profile) -> NDArray[np.float64]:
    """Return the (T, T) pilot of a key, mean 0 and root mean square 1."""
    lines, phases = pilot_lines(key, profile)
    step = 2 * np.pi * np.arange(profile.tile) / profile.tile
    angles = (lines[:, 0, None, None] * step[:, None] + lines[:, 1, None, None] * step) + phases[
        :, None, None
    ]
    return np.asarray(np.cos(angles).sum(axis=0) / np.sqrt(len(lines) / 2))


@lru_cache(maxsize=64)
def mark_tile(key: Key, number: int, profile: Profile) -> NDArray[np.float64]:
    """Return the (T, T) tile of one mark, root mean square 1 up to the chance overlap of its parts.

    Raises
    ------
    PayloadError
        If `number` is not an integer of 48 bits.
    """
    drawn = carriers(key, profile)
    gains = levels(profile, two=profile.gain2, three=profile.gain3)
    message = synthesise(gains * drawn.signs * codeword(number)[drawn.bits], profile)
    # The transform is orthonormal, so the energy of the tile is that of its chips.
    message /= np.sqrt(np.square(gains).sum()) / profile.tile
    tile = np.sqrt(profile.pilot) * pilot(key, profile) + np.sqrt(1 - profile.pilot) * message
    tile.setflags(write=False)
    return np.asarray(tile)


def repeat(tile: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the tile repeated from the top left corner over a canvas of `shape`, cut to it."""
    height, width = shape
    rows, columns = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    return np.tile(tile.astype(np.float32), (rows, columns))[:height, :width]
