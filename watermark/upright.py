"""Marks that lie upright: crops, re-frames, pictures in pictures, also mirrored, of any size.

Most of what comes back was never turned.  Of upright maps there are so few that all of a pilot's
lines can be added up with their phases under each, which finds pilots whose powers are lost among
those of all other maps (coherent and non-coherent integration: Kay 1998, *Fundamentals of
Statistical Signal Processing II*, section 7.6).  What is found is then held still: the scales of
x and y, the place and the rectangle are those in which the pilot is strongest.

Only the pilot's carriers are used: see `watermark.search`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watermark.blocks import Blocks, demodulated
from watermark.homography import Matrix, affine, warp
from watermark.leads import Lead, View, distinct
from watermark.polar import Lines, Range
from watermark.profile import Profile
from watermark.search import Seed, seeds
from watermark.spectrum import Spectrum, spectrum
from watermark.track import PARTS, Track, box_of

__all__ = ["Uprights", "halves", "held", "upright"]

_STEP = 2.6  # of the logarithm of scale, over the window's longer side
_LOUDEST = 16.0  # power: a single line of the host does not decide
_POWER = 1.3  # mean power of lines, that of noise is 1, from which phases are looked at
_TOP = 6  # in each window
_PLAUSIBLE = 4.8  # score: noise reaches 5.3 in most windows
_HELD = 8  # of different maps, at most
_CORNERS = 9  # along each side, between which rectangles are tried
_LEAST = 0.12  # of what is there: a rectangle's share at least
# Rounds: relative change of the scales, pixels of the grid, and steps of each to either side.
_POLISH = ((0.0033, 2.4, 3), (0.0010, 0.8, 3))


class Uprights:
    """What is seen of a key's upright marks, on all scales of a picture.

    Parameters
    ----------
    lines : Lines
    profile : Profile
    """

    def __init__(self, lines: Lines, profile: Profile) -> None:
        self.lines, self.profile = lines, profile
        self._leads: list[Lead] = []

    def look(self, seen: Spectrum, view: View) -> None:
        """Add what a window shows."""
        height, width = view.canvas.shape
        area = (0.0, 0.0, float(width), float(height))
        for seed in upright(seen, self.lines, view.scales, self.profile.tile, top=_TOP):
            if seed.score >= _PLAUSIBLE:
                self._leads.append(Lead(seed, view, _matrix(seed), area))

    def strongest(self, count: int) -> list[tuple[View, Track]]:
        """Hold the surest still, and return those that are the strongest then."""
        found = []
        for lead in distinct(self._leads, self.profile)[:_HELD]:
            each = held(lead.view.canvas, lead.matrix, self.lines, self.profile.tile)
            if each is not None:
                found.append((each[0], lead.view, each[1]))
        found.sort(key=lambda each: -each[0])
        return [(view, track) for _, view, track in found[:count]]


def halves(canvas: NDArray[np.float32]) -> Iterator[Spectrum]:
    """Yield the spectra of windows half as high and wide as a canvas, half over each other."""
    height, width = canvas.shape
    for top in (0, height // 4, height - height // 2):
        for left in (0, width // 4, width - width // 2):
            part = canvas[top : top + height // 2, left : left + width // 2]
            yield spectrum(part, (left + part.shape[1] / 2, top + part.shape[0] / 2))


def upright(seen: Spectrum, lines: Lines, scales: Range, tile: int, *, top: int) -> list[Seed]:
    """Return the surest upright maps in a window, mirrored or not.

    Parameters
    ----------
    seen : Spectrum
    lines : Lines
    scales : Range
    tile : int
        Side of the tile.
    top : int
        How many, at most.
    """
    step = _STEP / max(seen.size)
    sizes = np.exp(np.arange(np.log(scales.least), np.log(scales.most), step))
    turned = np.zeros((2 * len(sizes), 2, 2))
    turned[:, 0, 0] = np.concatenate([1 / sizes, -1 / sizes])
    turned[:, 1, 1] = np.tile(1 / sizes, 2)
    waves = seen.amplitudes(np.einsum("cij,kj->cki", turned, lines.frequencies))
    power = np.minimum(np.square(np.abs(waves)), _LOUDEST).mean(axis=-1)
    loud = power >= _POWER
    if not loud.any():
        return []
    chosen = turned[loud]
    found = seeds([seen] * len(chosen), lines, chosen, tile, halves=False)
    return [seed for seed, _ in found[:top]]


def _matrix(seed: Seed) -> Matrix:
    """Return the map from the mark's grid to the canvas."""
    return affine(np.linalg.inv(seed.turned).T, seed.place, seed.centre)


def held(
    canvas: NDArray[np.float32], matrix: Matrix, lines: Lines, tile: int
) -> tuple[float, Track] | None:
    """Hold an upright mark still where its pilot is strongest.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
        A whitened residual.
    matrix : ndarray of shape (3, 3)
        From the mark's grid to the canvas, upright, right to a few thousandths.
    lines : Lines
    tile : int

    Returns
    -------
    (float, Track) or None
        The sum of the lines in standard deviations of noise, before the best of rectangles and
        places is taken; None where the canvas would be too large on the grid, or is empty.
    """
    side = tile // PARTS
    area = (0.0, 0.0, float(canvas.shape[1]), float(canvas.shape[0]))
    box = box_of(matrix, area, side)
    if box is None:
        return None
    blocks = demodulated(warp(canvas, matrix, box[:2], box[2:]), box[:2], side, lines)
    part, _ = _strongest(blocks)
    change = _polished(blocks, part, lines)
    matrix = matrix @ change
    box = box_of(matrix, area, side)
    if box is None:
        return None
    blocks = demodulated(warp(canvas, matrix, box[:2], box[2:]), box[:2], side, lines)
    part, strength = _strongest(blocks)
    weight = np.zeros(blocks.filled.shape, np.float32)
    weight[part] = blocks.filled[part]
    return (strength, Track(matrix, box[:2], side, weight, None)) if weight.any() else None


def _summed(values: NDArray[Any]) -> NDArray[Any]:
    """Return the integral over rows and columns, with zeros before the first."""
    return np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0))[: values.ndim])


def _strongest(blocks: Blocks) -> tuple[tuple[slice, slice], float]:
    """Return the rectangle of blocks whose lines add up to most, and to how much."""
    rows, columns = blocks.filled.shape
    total = _summed(blocks.waves.real.sum(axis=-1, dtype=np.float64))
    power = _summed(np.square(np.abs(blocks.waves)).sum(axis=-1, dtype=np.float64))
    down, across = (
        np.unique(np.linspace(0, number, _CORNERS).astype(int)) for number in (rows, columns)
    )
    top, bottom = (down[each] for each in np.triu_indices(len(down), 1))
    left, right = (across[each] for each in np.triu_indices(len(across), 1))

    def inside(table: NDArray[np.float64]) -> NDArray[np.float64]:
        tall = table[bottom] - table[top]
        return np.asarray(tall[:, right] - tall[:, left])

    noise = inside(power)
    strength = inside(total) / np.sqrt(np.maximum(noise, 0) / 2 + 1e-9)
    strength = np.where(noise >= _LEAST * power[-1, -1], strength, -np.inf)
    high, wide = np.unravel_index(strength.argmax(), strength.shape)
    part = slice(top[high], bottom[high]), slice(left[wide], right[wide])
    return part, float(strength[high, wide])


def _polished(blocks: Blocks, part: tuple[slice, slice], lines: Lines) -> Matrix:
    """Return the change of scales and place under which the lines of some blocks agree best."""
    waves = blocks.waves[part].astype(np.complex64)
    centres = blocks.centres()[part]
    middle = centres.reshape(-1, 2).mean(axis=0)
    y, x = centres[:, 0, 1] - middle[1], centres[0, :, 0] - middle[0]
    best = np.zeros(4)  # of the scales of x and y, and of the place
    for scale, reach, count in _POLISH:
        steps = np.linspace(-1, 1, 2 * count + 1)
        tried = [
            each + size * steps
            for each, size in zip(best, (scale, scale, reach, reach), strict=True)
        ]
        turned = [
            2j * np.pi * each[:, None] * lines.frequencies[:, axis]
            for axis, each in zip((0, 1, 0, 1), tried, strict=True)
        ]
        across = np.exp(turned[0][:, None] * x[:, None]).astype(np.complex64)  # (A, columns, K)
        down = np.exp(turned[1][:, None] * y[:, None]).astype(np.complex64)
        rows = np.einsum("rck,ack->kar", waves, across, optimize=True)
        sums = np.matmul(rows, np.moveaxis(down, -1, 0).transpose(0, 2, 1))  # (K, A, B)
        moved = np.exp(turned[2][:, None] + turned[3]).reshape(-1, len(sums))
        agreed = sums.reshape(len(sums), -1).T @ moved.T.astype(np.complex64)
        at = np.unravel_index(agreed.real.argmax(), [len(each) for each in tried])
        best = np.array([each[place] for each, place in zip(tried, at, strict=True)])
    return affine(np.diag(1 + best[:2]), middle, middle + best[2:])
