"""Where the tile grid lies in what was observed, and folding along it.

An `Alignment` is one hypothesis; each one on which the message is decided is paid for in the
p-value.  Here the picture is the whole frame at any size, as it is or mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watermark.evidence import Evidence, Observation
from watermark.key import Key
from watermark.profile import Profile

__all__ = ["Alignment", "fold", "whole_frame"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the observed canvas maps to the grid of the frame that was marked.

    Parameters
    ----------
    matrix : tuple of two tuples of three floats
        Takes (x, y, 1) on the observed canvas to (x, y) on the marked frame's canonical grid,
        both with pixel centres at half-integers.
    name : str
        For people: "whole frame", "mirrored".
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    name: str

    @property
    def mirrored(self) -> bool:
        """Whether the picture was reflected."""
        (a, b, _), (c, d, _) = self.matrix
        return a * d - b * c < 0


def whole_frame(observation: Observation) -> tuple[Alignment, ...]:
    """Return the hypotheses that the picture is the whole frame: as it is, and mirrored."""
    width = observation.extent[1]
    return (
        Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), "whole frame"),
        Alignment(((-1.0, 0.0, width), (0.0, 1.0, 0.0)), "mirrored"),
    )


def fold(observation: Observation, alignment: Alignment, key: Key, profile: Profile) -> Evidence:
    """Add up an observation's tiles along an alignment.

    Raises
    ------
    ValueError
        If the alignment does more than mirror and shift.
    """
    (a, b, x), (c, d, y) = alignment.matrix
    if (abs(a), b, c, d) != (1.0, 0.0, 0.0, 1.0):
        raise ValueError("folding takes alignments that mirror and shift only")
    canvas = observation.canvas
    if a < 0:
        canvas = canvas[:, ::-1]
        x -= canvas.shape[1]
    tile = _folded(canvas, profile.tile)
    if x or y:
        tile = _shifted(tile, y, x)
    return Evidence(tile, observation.frames, key.fingerprint, str(profile))


def _folded(canvas: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Return the (T, T) sum of the tiles of a canvas, the last ones padded with zeros."""
    height, width = canvas.shape
    rows, columns = -(-height // side), -(-width // side)
    padded = np.zeros((rows * side, columns * side), np.float32)
    padded[:height, :width] = canvas
    tiles = padded.reshape(rows, side, columns, side)
    return np.asarray(tiles.sum(axis=(0, 2), dtype=np.float64))


def _shifted(tile: NDArray[np.float64], down: float, right: float) -> NDArray[np.float64]:
    """Move a periodic tile by a real number of pixels (Fourier shift theorem)."""
    rows = np.fft.fftfreq(len(tile))[:, None]
    columns = np.fft.rfftfreq(len(tile))
    turn = np.exp(-2j * np.pi * (down * rows + right * columns))
    return np.asarray(np.fft.irfft2(np.fft.rfft2(tile) * turn, s=tile.shape))
