"""Where the tile grid lies in what was observed, and folding along it.

An `Alignment` is one hypothesis; each one on which the message is decided is paid for in the
p-value.  Here are those that need no search, the whole frame at any size as it is or mirrored, and
the folding of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watermark.evidence import Evidence, Observation
from watermark.homography import Matrix, apply, jacobian, normalised
from watermark.key import Key
from watermark.profile import Profile

__all__ = [
    "Alignment",
    "as_tuple",
    "described",
    "fold",
    "folded",
    "same_as",
    "shifted",
    "whole_frame",
]

_SAME = 2.0  # pixels of the grid: two alignments that are off by less are one


@dataclass(frozen=True, slots=True)
class Alignment:
    """How what was observed maps to the grid of the frame that was marked.

    Parameters
    ----------
    matrix : tuple of three tuples of three floats
        A projective map that takes (x, y, 1) of the picture, in its own pixels, to the marked
        frame's canonical grid, both with pixel centres at half-integers.  Unless the picture is the
        whole frame, the grid's origin is known only up to whole tiles.  Before `detect` is done
        with it, the pixels are those of the observed canvas.
    name : str
        For people: "whole frame", "mirrored", "turned by 12.0°, 0.50 times as large".
    outline : tuple of tuples of two floats
        Corners (x, y) of the part of the picture where the mark was looked for or seen, in order.
    """

    matrix: tuple[tuple[float, float, float], ...]
    name: str
    outline: tuple[tuple[float, float], ...] = ()

    @property
    def mirrored(self) -> bool:
        """Whether the picture was reflected."""
        return bool(np.linalg.det(np.array(self.matrix)) * self.matrix[2][2] < 0)

    def seen_from(self, matrix: Matrix, size: tuple[int, int] | None = None) -> Alignment:
        """Return the same alignment where `matrix` takes new coordinates to those so far.

        With `size`, width and height in the new ones, the outline ends there: a canvas is a
        fraction of a pixel larger or smaller than the picture.
        """
        outline = apply(np.linalg.inv(matrix), np.array(self.outline, np.float64).reshape(-1, 2))
        if size is not None:
            outline = np.minimum(outline, size)
        return Alignment(
            as_tuple(np.array(self.matrix) @ matrix),
            self.name,
            tuple((float(x), float(y)) for x, y in outline),
        )


def as_tuple(matrix: NDArray[np.floating]) -> tuple[tuple[float, float, float], ...]:
    """Return a matrix as nested tuples, its last entry 1."""
    rows = normalised(matrix).tolist()
    return tuple((row[0], row[1], row[2]) for row in rows)


def same_as(alignment: Alignment, known: Sequence[Alignment], tile: int) -> Alignment | None:
    """Return the one of `known` to which an alignment comes by its own way, up to whole tiles."""
    outline = np.array(alignment.outline)
    there = apply(np.array(alignment.matrix), outline)
    for each in known:
        off = there - apply(np.array(each.matrix), outline)
        off -= tile * np.rint(off.mean(axis=0) / tile)
        if np.abs(off).max() < _SAME:
            return each
    return None


def described(alignment: Alignment) -> str:
    """Say in words what an alignment of the picture does to the marked frame, at its middle."""
    matrix = np.array(alignment.matrix)
    middle = np.mean(np.array(alignment.outline), axis=0)
    forward = np.linalg.inv(jacobian(matrix, middle))  # from the grid to the picture
    if alignment.mirrored:
        forward = forward @ np.diag([-1.0, 1.0])
    turn = np.degrees(np.arctan2(forward[1, 0] - forward[0, 1], forward[0, 0] + forward[1, 1]))
    large, small = np.linalg.svd(forward, compute_uv=False)
    words = ["mirrored"] if alignment.mirrored else []
    if abs(turn) >= 0.05:
        words.append(f"turned by {turn:.1f}°")
    if large / small > 1.02:
        words.append(f"stretched by {large / small:.2f}")
    words.append(f"{np.sqrt(large * small):.2f} pixels to one of the mark")
    return ", ".join(words)


def whole_frame(observation: Observation) -> tuple[Alignment, ...]:
    """Return the hypotheses that the picture is the whole frame: as it is, and mirrored."""
    height, width = observation.extent
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    last = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    return (
        Alignment(((1.0, 0.0, 0.0), *last), "whole frame", corners),
        Alignment(((-1.0, 0.0, width), *last), "mirrored", corners),
    )


def fold(observation: Observation, alignment: Alignment, key: Key, profile: Profile) -> Evidence:
    """Add up an observation's tiles along an alignment that mirrors and shifts only.

    Raises
    ------
    ValueError
        If the alignment does more than that; see `watermark.blind` for those.
    """
    (a, b, x), (c, d, y), last = alignment.matrix
    if (abs(a), b, c, d, *last) != (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0):
        raise ValueError("folding takes alignments that mirror and shift only")
    canvas = observation.canvas
    if a < 0:
        canvas = canvas[:, ::-1]
        x -= canvas.shape[1]
    tile = folded(canvas, profile.tile)
    if x or y:
        tile = shifted(tile, y, x)
    return Evidence(tile, observation.frames, key.fingerprint, str(profile))


def folded(canvas: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Return the (T, T) sum of the tiles of a canvas, the last ones padded with zeros."""
    height, width = canvas.shape
    rows, columns = -(-height // side), -(-width // side)
    padded = np.zeros((rows * side, columns * side), np.float32)
    padded[:height, :width] = canvas
    tiles = padded.reshape(rows, side, columns, side)
    return np.asarray(tiles.sum(axis=(0, 2), dtype=np.float64))


def shifted(tile: NDArray[np.float64], down: float, right: float) -> NDArray[np.float64]:
    """Move a periodic tile by a real number of pixels (Fourier shift theorem)."""
    rows = np.fft.fftfreq(len(tile))[:, None]
    columns = np.fft.rfftfreq(len(tile))
    turn = np.exp(-2j * np.pi * (down * rows + right * columns))
    return np.asarray(np.fft.irfft2(np.fft.rfft2(tile) * turn, s=tile.shape))
