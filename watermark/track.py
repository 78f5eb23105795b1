"""From one place where a pilot was seen to all of the mark around it, and how it lies there.

What was observed is laid out on the mark's grid by the best guess so far, and each block tells how
far off that is there (`watermark.blocks`).  A projective map is fitted to the shifts, the guess
improves and reaches farther, and so on; what is left in the end is a smooth field of shifts.

Only the pilot's carriers are used: see `watermark.search`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.blocks import demodulated, presence, shifts, spread, strength
from watermark.homography import Matrix, apply, fit, normalised, warp
from watermark.polar import Lines

__all__ = ["PARTS", "Track", "box_of", "laid_out", "tracked"]

PARTS = 8  # blocks along a tile's side
# Each round: blocks that shifts are averaged over (standard deviation), pixels of the grid that
# they may reach, and whether a perspective is fitted.  Those that are the same as the one before
# are only for what has not settled: a strong perspective is followed outwards step by step.
_FOLLOWING = (2.5, 6.0, True)
_ROUNDS = ((3.5, 10.0, False), (3.0, 8.0, True), *4 * (_FOLLOWING,), (2.0, 4.0, True))
_LEAST = 6.0  # z of all that was followed; in noise it is about 5, a sure seed alone has 6.5
_SETTLED = 0.5  # pixels that a round moved anything
_AGREE = 0.5  # how well lines agree where there is a pilot; by chance it is about 0.4 at most
_FEW = 40  # blocks: fewer do not show a perspective
_SURE = 2.0  # pixels: a shift that is farther off the fit counts little
_GROWTH = 0.4  # of what is known on each side, for the next round
_MOST = 4_000_000  # pixels of the grid that are laid out at once
_BENT = 0.6  # pixels, root mean square, from which the field of shifts is used


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where a mark lies on a canvas.

    Parameters
    ----------
    matrix : ndarray of shape (3, 3)
        From the mark's grid (x, y) to the canvas.
    origin : tuple of int
        x and y of the corner of `weight`, on the grid.
    side : int
        Of a block, in pixels of the grid.
    weight : ndarray of float32, shape (rows, columns)
        From 0, no pilot in this block, to 1.
    shift : ndarray of float32, shape (rows, columns, 2), or None
        What to add to (x, y) on the grid before `matrix`, where that alone does not fit.
    """

    matrix: Matrix
    origin: tuple[int, int]
    side: int
    weight: NDArray[np.float32]
    shift: NDArray[np.float32] | None

    def middle(self) -> NDArray[np.float64]:
        """Return the middle (x, y) of the part of the grid where the pilot is."""
        rows, columns = np.nonzero(self.weight >= 0.5 * self.weight.max())
        middle = np.array([columns.mean(), rows.mean()]) + 0.5
        return np.asarray(middle * self.side + np.array(self.origin), np.float64)


def box_of(
    matrix: Matrix, area: tuple[float, float, float, float], side: int
) -> tuple[int, int, int, int] | None:
    """Return x, y, height, width on the grid of the blocks that hold an area; None if too many."""
    left, top, right, bottom = area
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    mapped = apply(np.linalg.inv(matrix), corners)
    if not np.isfinite(mapped).all():
        return None
    low = np.floor(mapped.min(axis=0) / side).astype(int) * side
    high = np.ceil(mapped.max(axis=0) / side).astype(int) * side
    width, height = (high - low).tolist()
    if height * width > _MOST or min(height, width) < side:
        return None
    return int(low[0]), int(low[1]), height, width


def tracked(
    canvas: NDArray[np.float32],
    matrix: Matrix,
    area: tuple[float, float, float, float],
    lines: Lines,
    tile: int,
) -> Track | None:
    """Follow a mark from where it was first seen.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
        A whitened residual.
    matrix : ndarray of shape (3, 3)
        From the mark's grid to the canvas, good within `area`.
    area : tuple of float
        Left, top, right, bottom on the canvas.
    lines : Lines
    tile : int
        Side of the tile.

    Returns
    -------
    Track or None
        None where the pilot was not seen again.
    """
    side = tile // PARTS
    height, width = canvas.shape
    settled = False
    for number, (sigma, reach, projective) in enumerate(_ROUNDS):
        if settled and _ROUNDS[number] == _ROUNDS[number - 1]:
            continue
        box = box_of(matrix, _grown(area, _GROWTH, height, width), side)
        if box is None:
            return None
        blocks = demodulated(warp(canvas, matrix, box[:2], box[2:]), box[:2], side, lines)
        shift, agreed = shifts(blocks, sigma, lines, reach)
        seen = (agreed > _AGREE) & (spread(blocks.filled, sigma) > 0.35)
        seen = _largest(seen, agreed)
        if not seen.any():
            return None
        source = blocks.centres()[seen]
        target, base = source + shift[seen], agreed[seen].astype(np.float64) - 0.8 * _AGREE
        weight = base
        change: Matrix = np.eye(3)
        for _ in range(3):
            change = fit(source, target, weight, projective=projective and len(source) > _FEW)
            off = np.linalg.norm(apply(change, source) - target, axis=1)
            weight = base / (1 + np.square(off / _SURE))
        if not np.isfinite(off).all():
            return None
        matrix = normalised(matrix @ change)
        on_canvas = apply(matrix, source)
        if not np.isfinite(on_canvas).all():
            return None
        (left, top), (right, bottom) = on_canvas.min(axis=0), on_canvas.max(axis=0)
        last, area = area, (float(left), float(top), float(right), float(bottom))
        moved = np.abs(apply(change, source) - source).max()
        settled = bool(moved < _SETTLED and np.abs(np.subtract(area, last)).max() < side)
    return _finished(canvas, matrix, area, lines, side)


def _grown(
    area: tuple[float, float, float, float], share: float, height: int, width: int
) -> tuple[float, float, float, float]:
    left, top, right, bottom = area
    more = share * max(right - left, bottom - top)
    return (
        max(0.0, left - more),
        max(0.0, top - more),
        min(float(width), right + more),
        min(float(height), bottom + more),
    )


def _largest(seen: NDArray[np.bool_], agreed: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the connected part of `seen` in which most is agreed on."""
    _, labels = cv2.connectedComponents(seen.astype(np.uint8), connectivity=8)
    mass = np.bincount(labels.ravel(), weights=agreed.ravel())
    mass[0] = 0
    best = int(mass.argmax())
    return np.asarray(labels == best) if best else np.zeros_like(seen)


def _finished(
    canvas: NDArray[np.float32],
    matrix: Matrix,
    area: tuple[float, float, float, float],
    lines: Lines,
    side: int,
) -> Track | None:
    sigma, reach, _ = _ROUNDS[-1]
    box = box_of(matrix, _grown(area, 0.15, *canvas.shape), side)
    if box is None:
        return None
    blocks = demodulated(warp(canvas, matrix, box[:2], box[2:]), box[:2], side, lines)
    shift, agreed = shifts(blocks, sigma, lines, reach)
    trust = np.maximum(agreed - np.float32(0.8 * _AGREE), 0) * blocks.filled
    weight = presence(blocks, sigma)
    bent = np.sqrt(np.average(np.square(shift).sum(axis=-1), weights=trust + 1e-9))
    if bent <= _BENT:
        found = Track(matrix, box[:2], side, weight, None)
        return found if strength(blocks, weight) >= _LEAST else None
    known = spread(np.concatenate([shift * trust[..., None], trust[..., None]], axis=-1), 1.0)
    smooth = known[..., :2] / (known[..., 2:] + 1e-3)
    moved = Track(matrix, box[:2], side, weight, smooth)
    again = demodulated(laid_out(canvas, moved), box[:2], side, lines)
    weight = presence(again, sigma)
    found = Track(matrix, box[:2], side, weight, smooth)
    return found if strength(again, weight) >= _LEAST else None


def laid_out(canvas: NDArray[np.float32], track: Track) -> NDArray[np.float32]:
    """Return what was observed on the mark's grid, from the track's origin on, not yet weighted."""
    rows, columns = track.weight.shape
    shape = rows * track.side, columns * track.side
    if track.shift is None:
        return warp(canvas, track.matrix, track.origin, shape)
    # The map is smooth, so it is computed for the blocks' middles, one more at each border.
    x = track.origin[0] + (np.arange(-1, columns + 1) + 0.5) * track.side
    y = track.origin[1] + (np.arange(-1, rows + 1) + 0.5) * track.side
    shift = np.pad(track.shift, ((1, 1), (1, 1), (0, 0)), mode="edge")
    places = apply(track.matrix, np.stack(np.meshgrid(x, y), axis=-1) + shift) - 0.5
    size = (columns + 2) * track.side, (rows + 2) * track.side
    fine = cv2.resize(np.nan_to_num(places, nan=-1e4).astype(np.float32), size)
    inner = np.ascontiguousarray(fine[track.side : -track.side, track.side : -track.side])
    x, y = np.ascontiguousarray(np.moveaxis(inner, -1, 0))
    return np.asarray(cv2.remap(canvas, x, y, cv2.INTER_LINEAR), np.float32)
