"""A pilot's lines in blocks of the mark's grid, taken down to frequency 0.

Where what was observed is laid out rightly all lines of a block have phase 0 (Kay 1993,
*Fundamentals of Statistical Signal Processing*, section 3.11), and where it is off by d, line f has
phase −2π f·d: so each place tells its own shift, and by how well its lines agree, whether there is
a pilot at all.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.polar import Lines

__all__ = ["Blocks", "demodulated", "presence", "shifts", "spread", "strength"]

_FINE = 1.25  # pixels of the grid between two shifts that are tried
_LOUD = 2.5  # times the middle one of a place's lines: none counts for more
_NOTHING = 0.02  # energy of a residual pixel under which it is padding
_PRESENT = (0.2, 0.6)  # agreement at which a place starts to count, and counts in full


class Blocks(NamedTuple):
    """A part of the mark's grid in blocks.

    Parameters
    ----------
    origin : tuple of int
        x and y of its corner on the grid, multiples of a block's side.
    side : int
        Of a block.
    waves : ndarray of complex64, shape (rows, columns, K)
        The pilot's lines at frequency 0.
    filled : ndarray of float32, shape (rows, columns)
        1 where something was observed.
    """

    origin: tuple[int, int]
    side: int
    waves: NDArray[np.complex64]
    filled: NDArray[np.float32]

    def centres(self) -> NDArray[np.float64]:
        """Return the blocks' middles (rows, columns, 2) on the grid."""
        rows, columns = self.filled.shape
        x = self.origin[0] + (np.arange(columns) + 0.5) * self.side
        y = self.origin[1] + (np.arange(rows) + 0.5) * self.side
        return np.stack(np.meshgrid(x, y), axis=-1)


@lru_cache(maxsize=64)
def _tones(key: bytes, count: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.complex64]]:
    """Return e^(−2πi f x) for the samples of a block: along rows as (side, 2K), along columns."""
    frequencies = np.frombuffer(key).reshape(count, 2)
    turns = -2j * np.pi * np.arange(side)[:, None]
    rows = np.exp(turns * frequencies[:, 0])
    columns = np.exp(turns * frequencies[:, 1]).astype(np.complex64)
    return np.concatenate([rows.real, rows.imag], axis=1).astype(np.float32), columns


def demodulated(
    flat: NDArray[np.float32], origin: tuple[int, int], side: int, lines: Lines
) -> Blocks:
    """Take a pilot's lines down to frequency 0.

    Parameters
    ----------
    flat : ndarray of float32, shape (h, w)
        What was observed, on the mark's grid; whole blocks.
    origin : tuple of int
        x and y of its corner on the grid.
    side : int
        Of a block.
    lines : Lines
    """
    rows, columns, count = flat.shape[0] // side, flat.shape[1] // side, len(lines.phases)
    along, down = _tones(lines.frequencies.tobytes(), count, side)
    summed = flat.reshape(-1, side) @ along
    waves = summed[:, :count] + 1j * summed[:, count:]
    waves = np.einsum("rybk,yk->rbk", waves.reshape(rows, side, columns, count), down)
    x, y = (
        start + side * np.arange(number)
        for start, number in zip(origin, (columns, rows), strict=True)
    )
    turns = y[:, None, None] * lines.frequencies[:, 1] + x[:, None] * lines.frequencies[:, 0]
    waves *= np.exp(-1j * (2 * np.pi * turns + lines.phases)).astype(np.complex64)
    energy = cv2.resize(flat * flat, (columns, rows), interpolation=cv2.INTER_AREA)
    return Blocks(origin, side, waves.astype(np.complex64), (energy > _NOTHING).astype(np.float32))


def spread(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Blur (rows, columns, ...) over blocks, with zeros beyond the border."""
    result = values
    for axis in (0, 1):
        distance = np.subtract.outer(*2 * [np.arange(values.shape[axis])])
        kernel = np.exp(-0.5 * np.square(distance / sigma)) / (sigma * np.sqrt(2 * np.pi))
        kernel[np.abs(distance) > np.ceil(3 * sigma)] = 0
        moved = np.tensordot(kernel.astype(np.float32), result, (1, axis))
        result = np.moveaxis(moved, 0, axis)
    return np.ascontiguousarray(result, np.float32)


def _averaged(blocks: Blocks, sigma: float) -> NDArray[np.complex64]:
    """Return the lines averaged over neighbouring blocks, no line much louder than the others."""
    rows, columns, count = blocks.waves.shape
    plain = spread(blocks.waves.view(np.float32).reshape(rows, columns, -1), sigma)
    waves = plain.view(np.complex64).reshape(rows, columns, count)
    size = np.abs(waves)
    limit = _LOUD * np.median(size, axis=-1, keepdims=True)
    return np.asarray(waves * np.minimum(1, limit / (size + 1e-9)), np.complex64)


def _agreement(waves: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the norm that a sum over lines has at best, where all agree."""
    power = np.square(np.abs(waves)).sum(axis=-1)
    return np.asarray(np.sqrt(waves.shape[-1] * power) + 1e-9, np.float32)


def shifts(
    blocks: Blocks, sigma: float, lines: Lines, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the shift (rows, columns, 2) on which each block's lines agree best, and how well.

    Parameters
    ----------
    blocks : Blocks
    sigma : float
        Of the neighbourhood that is averaged over, in blocks.
    lines : Lines
    reach : float
        Pixels along x and along y that are tried.
    """
    waves = _averaged(blocks, sigma)
    # Even about 0: the vertex of a parabola leans to the nearest shift that was tried.
    count = round(reach / _FINE)
    steps = _FINE * np.arange(-count, count + 1)
    tried = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    phases = np.exp(2j * np.pi * tried @ lines.frequencies.T).astype(np.complex64)
    rows, columns, _ = waves.shape
    flat = waves.reshape(len(waves) * columns, -1)
    sums = flat.real @ phases.real.T - flat.imag @ phases.imag.T
    best, number = sums.argmax(axis=1), len(steps)
    each = np.arange(len(flat))
    row, column = np.divmod(best, number)
    inside = (np.minimum(row, column) > 0) & (np.maximum(row, column) < number - 1)
    middle = np.where(inside, best, number + 1)

    def vertex(stride: int) -> NDArray[np.float64]:
        before, at, after = (sums[each, middle + k * stride] for k in (-1, 0, 1))
        bend = np.minimum(before - 2 * at + after, -1e-9)
        return np.asarray(np.clip(0.5 * (before - after) / bend, -1, 1), np.float64)

    shift = tried[best] + _FINE * np.stack([vertex(1), vertex(number)], axis=-1)
    agreed = np.where(inside, sums[each, best], 0) / _agreement(flat)
    return shift.reshape(rows, columns, 2), agreed.reshape(rows, columns).astype(np.float32)


def presence(blocks: Blocks, sigma: float) -> NDArray[np.float32]:
    """Return from 0 to 1 how far the lines of each block agree that the pilot lies just there."""
    waves = _averaged(blocks, sigma)
    agreed = waves.real.sum(axis=-1) / _agreement(waves)
    low, high = _PRESENT
    return np.asarray(np.clip((agreed - low) / (high - low), 0, 1), np.float32)


def strength(blocks: Blocks, weight: NDArray[np.float32]) -> float:
    """Return the sum of weighted blocks' lines in standard deviations of noise."""
    total = (weight[..., None] * blocks.waves.real).sum()
    power = (np.square(weight)[..., None] * np.square(np.abs(blocks.waves))).sum()
    return float(total / np.sqrt(power / 2 + 1e-9))
