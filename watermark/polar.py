"""The power at a key's pilot lines under every similarity, looked up in log-polar coordinates.

There a change of scale is a shift down and a turn is a shift to the right (Reddy & Chatterji 1996,
DOI 10.1109/83.506761), so the sum over all lines is a sum of shifted slices of one map.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.key import Key
from watermark.pattern import pilot_lines
from watermark.profile import Profile
from watermark.spectrum import CLIP, Spectrum

__all__ = ["Lines", "Range", "lines_of", "polar_map", "polar_sums"]


class Lines(NamedTuple):
    """A key's pilot.

    Parameters
    ----------
    frequencies : ndarray of shape (K, 2)
        (x, y) in cycles per pixel of the mark's grid.
    phases : ndarray of shape (K,)
    lattice : ndarray of int64, shape (K, 2)
        (row, column) frequencies in cycles per tile.
    """

    frequencies: NDArray[np.float64]
    phases: NDArray[np.float64]
    lattice: NDArray[np.int64]


class Range(NamedTuple):
    """Scales, in canvas pixels per pixel of the mark's grid, that are searched."""

    least: float
    most: float


@lru_cache(maxsize=64)
def lines_of(key: Key, profile: Profile) -> Lines:
    """Return the pilot of a key."""
    lattice, phases = pilot_lines(key, profile)
    return Lines(lattice[:, ::-1] / profile.tile, phases, lattice)


@lru_cache(maxsize=64)
def _polar_grid(
    shape: tuple[int, int],
    low: float,
    high: float,
    step: float,
    stretches: tuple[tuple[float, float], ...],
) -> tuple[NDArray[np.float32], NDArray[np.float32], int, int]:
    """Return where log-polar samples of stretched half spectra lie.

    Columns and rows, all of one stretch above those of the next; the number of radii, of angles.
    """
    rows, columns = shape
    radii = np.exp(np.arange(np.log(low), np.log(high) + 3 * step, step))[:, None]
    count = round(np.pi / step)
    angles = np.arange(count) * (np.pi / count)
    flat_x, flat_y = radii * np.cos(angles), radii * np.sin(angles)
    x = np.concatenate([(1 + along) * flat_x + across * flat_y for along, across in stretches])
    y = np.concatenate([across * flat_x + (1 - along) * flat_y for along, across in stretches])
    turned = x < 0
    x, y = np.abs(x) * columns, np.where(turned, -y, y) * rows + rows // 2
    return x.astype(np.float32), y.astype(np.float32), len(radii), count


def polar_sums(
    seen: Spectrum,
    lines: Lines,
    scales: Range,
    *,
    step: float,
    stretches: tuple[tuple[float, float], ...] = ((0.0, 0.0),),
) -> tuple[NDArray[np.uint16], float]:
    """Return the power of similarities, mirrored or not, half a turn left open.

    Parameters
    ----------
    step : float
        Of the logarithm of scale, and of the angle in radians.
    stretches : tuple of pairs of float
        (a, b): the similarity is followed by [[1 + a, b], [b, 1 − a]].

    Returns
    -------
    ndarray of uint16, shape (2, E, S, A)
        Upright and mirrored; for each stretch; from the largest scale down; over half a turn.
    float
        What these are to be multiplied by: 1 is then what noise has.
    """
    radii = np.hypot(*lines.frequencies.T)
    low = float(radii.min()) / scales.most
    x, y, height, count = _polar_grid(
        seen.shape, low, float(radii.max()) / scales.least, step, stretches
    )
    # Sums of as many lines as there are fit 16 bits, which are added twice as fast as floats.
    unit = (2**16 - 1) / (len(radii) * CLIP)
    power = cv2.remap(
        seen.smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0
    )
    polar = (power * np.float32(unit)).astype(np.uint16)
    polar = np.concatenate([polar, polar], axis=1)  # half a turn later, the same
    polar = polar.reshape(len(stretches), height, 2 * count)
    sizes = min(int(np.log(scales.most / scales.least) / step) + 1, height)
    down = np.rint(np.log(radii / scales.most / low) / step).astype(int).tolist()
    total = np.zeros((2, len(stretches), sizes, count), np.uint16)
    for scores, mirror in zip(total, (1.0, -1.0), strict=True):
        angles = np.arctan2(lines.frequencies[:, 1], mirror * lines.frequencies[:, 0])
        right = (np.rint(angles / np.pi * count).astype(int) % count).tolist()
        for row, column in zip(down, right, strict=True):
            part = polar[:, row : row + sizes, column : column + count]
            scores[:, : part.shape[1]] += part
    return total, 1 / (unit * len(radii))


def polar_map(
    place: tuple[int, int, int],
    count: int,
    scales: Range,
    *,
    step: float,
    stretch: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Return the B at a place of `polar_sums`, whose last axis is `count` long."""
    mirror, row, column = place
    scale = scales.most * np.exp(-row * step)
    cos, sin = np.cos(column * np.pi / count), np.sin(column * np.pi / count)
    sign = -1.0 if mirror else 1.0
    along, across = stretch
    pull = np.array([[1 + along, across], [across, 1 - along]])
    return np.asarray(pull @ np.array([[cos * sign, -sin], [sin * sign, cos]]) / scale)
