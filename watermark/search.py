"""Where a key's pilot lines lie in a spectrum: hypotheses of the linear part, refined, and placed.

If the mark's grid point q is seen at p = A q + t, a pilot line of frequency f is seen at
g = A^(-T) f, the *turned* frequency; B = A^(-T) is what is searched for.
The score of a hypothesis is the mean power at its lines over that of their neighbourhood, less 1.
Similarities are looked up in log-polar coordinates (`watermark.polar`), independent x and y scales
by rows and columns; mild general affine maps in small patches, see `watermark.patches`.

Only the pilot's carriers are used, which are independent of the message's: what is selected here
costs the verdict nothing but the number of alignments that are decided on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from watermark.polar import Lines, Range, polar_map, polar_sums
from watermark.spectrum import Spectrum

__all__ = ["Seed", "refined", "seeds", "similar", "stretched"]

_STEP = 3.2  # of scale and angle, over the window's longer side: 0.6 of a line's width at 0.19 c/px
_COARSER = 4.2  # the same for two scales at once, of which there are many more
_MOST_UNEQUAL = 2.4  # x scale over y scale, and the other way round
# Bins: the peak is awaited more and more closely, and looked for so far around its line's place.
_WIDTHS = ((3.0, 4), (2.0, 3), (1.5, 3))
_SAMPLED = 1.4  # bins in a frequency step of the window, for which those are meant
_TRUST = 3.0  # power over its neighbourhood at which a peak counts half
_LOUDEST = 4.0  # amplitude: a single line of the host does not place the grid
_PLACES = 128  # of the tile's grid along each side


class Seed(NamedTuple):
    """One hypothesis in one window.

    Parameters
    ----------
    score : float
        How well the phases of the lines agree on a place, about normal under the null before the
        best of all places is taken.
    turned : ndarray of shape (2, 2)
        B, which takes the pilot's frequencies to those of the canvas.
    centre : tuple of float
        The window's middle on the canvas.
    place : ndarray of shape (2,)
        Where that is on the mark's grid, modulo the tile.
    """

    score: float
    turned: NDArray[np.float64]
    centre: tuple[float, float]
    place: NDArray[np.float64]


def similar(
    seen: Spectrum, lines: Lines, scales: Range, *, top: int
) -> list[tuple[float, NDArray[np.float64]]]:
    """Return the best (score, B) among similarities, mirrored or not, half a turn left open."""
    step = _STEP / max(seen.size)
    sums, unit = polar_sums(seen, lines, scales, step=step)
    total = sums[:, 0]
    return [
        (
            float(total[mirror, row, column]) * unit - 1,
            polar_map((mirror, row, column), total.shape[2], scales, step=step),
        )
        for mirror in (0, 1)
        for row, column in _peaks(total[mirror], top)
    ]


def _peaks(total: NDArray[Any], top: int) -> list[tuple[int, int]]:
    """Return the places of the highest local maxima."""
    highest = cv2.dilate(total, np.ones((3, 3), np.uint8))
    # What has less than half the power of the best is no peak, and there are thousands.
    half = total.dtype.type(total.max() / 2)  # of the same type, or all of it would be converted
    places = np.flatnonzero((total >= highest) & (total > half))
    values = total.ravel()[places]
    if len(values) > top:
        among = np.argpartition(values, len(values) - top)[len(values) - top :]
        places, values = places[among], values[among]
    best = places[np.argsort(values)[::-1]]
    return [(int(each) // total.shape[1], int(each) % total.shape[1]) for each in best]


def stretched(
    seen: Spectrum, lines: Lines, scales: Range, *, top: int
) -> list[tuple[float, NDArray[np.float64]]]:
    """Return the best (score, B) among independent scales of x and y, also mirrored and turned."""
    across, down = (
        np.exp(np.arange(np.log(scales.least / 1.3), np.log(scales.most * 1.3), _COARSER / side))
        for side in seen.size[::-1]
    )
    ratio, mean = across[None] / down[:, None], np.sqrt(across[None] * down[:, None])
    allowed = (np.abs(np.log(ratio)) <= np.log(_MOST_UNEQUAL)) & (mean >= scales.least)
    allowed &= mean <= scales.most
    rows, columns = seen.smooth.shape
    found = []
    for swap in (np.eye(2), np.eye(2)[::-1]):
        for mirror in (1.0, -1.0):
            turn = np.diag([mirror, 1.0]) @ swap
            lying = lines.frequencies @ turn.T
            lying = lying * np.where(lying[:, :1] < 0, -1, 1)
            total = np.zeros(allowed.shape, np.float32)
            for x, y in seen.bins(lying):
                column = np.minimum(np.rint(x / across).astype(np.intp), columns - 1)
                row = np.clip(np.rint(y / down).astype(np.intp) + rows // 2, 0, rows - 1)
                total += seen.smooth[row].take(column, axis=1)
            total = np.where(allowed, total / len(lying), np.float32(0))
            found += [
                (float(total[row, column]) - 1, np.diag([1 / across[column], 1 / down[row]]) @ turn)
                for row, column in _peaks(total, top)
            ]
    return found


def refined(
    windows: Sequence[Spectrum], lines: Lines, turned: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return hypotheses B, shape (C, 2, 2), drawn to the peaks near their lines.

    Least squares of the lines' places, each weighted by how far its peak stands out.

    Parameters
    ----------
    windows : sequence of Spectrum, of length C
        Where each hypothesis was found; the same object of those that share one.
    """
    groups = _together(windows)
    scale = np.array([seen.shape[::-1] for seen in windows], np.float64)[:, None]
    unit = scale / np.array([seen.size[::-1] for seen in windows])[:, None] / _SAMPLED
    ridge = 1e-5 * np.eye(2)
    for width, reach in _WIDTHS:
        steps = np.arange(-reach, reach + 1)
        expected = np.einsum("cij,kj->cki", turned, lines.frequencies) * scale
        bins = np.rint(expected).astype(np.intp)[..., None] + steps  # (C, K, 2, n)
        power = np.empty((*bins.shape[:2], len(steps), len(steps)), np.float32)
        for seen, mine in groups:
            places, _ = seen.places(bins[mine, :, 0, None, :], bins[mine, :, 1, :, None])
            power[mine] = seen.power.ravel()[places]
        off = (bins - expected[..., None]) / (width * unit[..., None])
        near = np.exp(-0.5 * np.square(off)).astype(np.float32)
        weight = np.clip(power - 2, 0, 18) * near[:, :, 0, None, :] * near[:, :, 1, :, None]
        columns, rows = weight.sum(axis=2), weight.sum(axis=3)
        total = rows.sum(axis=-1)
        middle = (np.stack([columns, rows], axis=2) * bins).sum(axis=-1)
        middle = middle / (total[..., None] + 1e-9) / scale
        trust = total / (total + _TRUST)
        squares = np.einsum("ck,ki,kj->cij", trust, lines.frequencies, lines.frequencies) + ridge
        cross = np.einsum("ck,cki,kj->cij", trust, middle, lines.frequencies) + turned @ ridge
        turned = cross @ np.linalg.inv(squares)
    return turned


def _together(windows: Sequence[Spectrum]) -> list[tuple[Spectrum, NDArray[np.intp]]]:
    """Return each window once, with the places where it stands."""
    places: dict[int, list[int]] = {}
    for place, seen in enumerate(windows):
        places.setdefault(id(seen), []).append(place)
    return [(windows[mine[0]], np.array(mine)) for mine in places.values()]


def seeds(
    windows: Sequence[Spectrum],
    lines: Lines,
    turned: NDArray[np.float64],
    tile: int,
    *,
    halves: bool = True,
) -> list[tuple[Seed, int]]:
    """Place hypotheses B, shape (C, 2, 2).

    Parameters
    ----------
    windows : sequence of Spectrum, of length C
    lines : Lines
    turned : ndarray
        B.
    tile : int
        Side of the tile.
    halves : bool
        Whether each is tried after half a turn as well.

    Returns
    -------
    list of (Seed, int)
        The best C and which hypothesis each is of, the surest first.
    """
    frequencies = np.einsum("cij,kj->cki", turned, lines.frequencies)
    waves = np.empty(frequencies.shape[:-1], np.complex128)
    for seen, mine in _together(windows):
        waves[mine] = seen.amplitudes(frequencies[mine])
    waves = np.minimum(np.abs(waves), _LOUDEST) * np.exp(1j * np.angle(waves))
    both = (np.concatenate([waves, waves.conj()]) if halves else waves) * np.exp(-1j * lines.phases)
    # The real part of a transform is that of the half that is symmetric, at half the cost.
    grid = np.zeros((len(both), _PLACES, _PLACES // 2 + 1), np.complex64)
    for sign, part in ((1, both.conj() / 2), (-1, both / 2)):
        rows, columns = (sign * lines.lattice.T) % _PLACES
        for line, (row, column) in enumerate(zip(rows, columns, strict=True)):
            if column <= _PLACES // 2:
                grid[:, row, column] += part[:, line]
    places = (_PLACES, _PLACES)
    maps = scipy.fft.irfft2(grid, s=places, norm="forward", overwrite_x=True)
    agreement = maps.reshape(len(both), -1)
    highest = agreement.argmax(axis=1)
    scores = agreement[np.arange(len(both)), highest] / np.sqrt(len(lines.phases) / 2)
    signed = np.concatenate([turned, -turned])
    where = np.stack([highest % _PLACES, highest // _PLACES], axis=1) * (tile / _PLACES) + 0.5
    count = len(turned)
    return [
        (
            Seed(float(scores[each]), signed[each], windows[each % count].centre, where[each]),
            int(each) % count,
        )
        for each in np.argsort(-scores)[:count]
    ]
