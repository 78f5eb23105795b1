"""Leads: seeds in the scale they were seen in, which of them say the same, and their tiles."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import folded
from watermark.homography import Matrix, apply, jacobian, scaling, warp
from watermark.polar import Range
from watermark.profile import Profile
from watermark.search import Seed
from watermark.track import Track, laid_out

__all__ = [
    "Area",
    "Lead",
    "View",
    "distinct",
    "explains",
    "inside",
    "outline_of",
    "tile_around",
    "tile_of",
]

_LEADS = 128  # kept, at most
_HALF = 0.5  # weight from which a block counts as marked
_AROUND = 1.0  # of a window on each side of it, where nothing was followed
_LARGEST = 6_000_000  # pixels of the grid that are folded
_SAME = 4.0  # pixels of the grid, and
_ALIKE = 0.04  # of the linear part: two hypotheses that are one

Area = tuple[float, float, float, float]  # left, top, right, bottom on a canvas


class View(NamedTuple):
    """One scale of the picture: its residual and the pixels of it that make one of the base."""

    canvas: NDArray[np.float32]
    factor: float
    scales: Range
    sides: tuple[int | None, ...]


class Lead(NamedTuple):
    """A seed in its view, with the map from the mark's grid to the view's canvas."""

    seed: Seed
    view: View
    matrix: Matrix
    area: Area


def distinct(leads: list[Lead], profile: Profile) -> list[Lead]:
    """Return the leads best first, without those that say the same as a better one."""
    ordered = sorted(leads, key=lambda each: -each.seed.score)
    if not ordered:
        return []
    # Leads are affine, so all of them are compared at once.
    to_base = np.stack([scaling(1 / each.view.factor) @ each.matrix for each in ordered])
    to_grid = np.linalg.inv(to_base)
    centres = np.array([np.divide(each.seed.centre, each.view.factor) for each in ordered])
    kept: list[int] = []
    for place in range(len(ordered)):
        others = to_grid[kept]
        off = (others - to_grid[place]) @ np.append(centres[place], 1.0)
        off = off[:, :2] - profile.tile * np.rint(off[:, :2] / profile.tile)
        bend = others[:, :2, :2] @ to_base[place, :2, :2] - np.eye(2)
        same = (np.abs(off).max(axis=1) < _SAME) & (np.abs(bend).max(axis=(1, 2)) < _ALIKE)
        if not same.any():
            kept.append(place)
            if len(kept) >= _LEADS:
                break
    return [ordered[place] for place in kept]


def _same(one: Matrix, two: Matrix, here: NDArray[np.float64], tile: int) -> bool:
    """Say whether two maps from the grid put the same point of it here, up to whole tiles."""
    to_one, to_two = np.linalg.inv(one), np.linalg.inv(two)
    off = apply(to_one, here) - apply(to_two, here)
    if not np.isfinite(off).all():
        return False
    off -= tile * np.rint(off / tile)
    bend = jacobian(to_one, here) @ np.linalg.inv(jacobian(to_two, here)) - np.eye(2)
    return bool(np.abs(off).max() < _SAME and np.abs(bend).max() < _ALIKE)


def inside(view: View, track: Track, lead: Lead) -> bool:
    """Say whether a lead's middle is where a mark was followed to already."""
    here = np.array(lead.seed.centre) / lead.view.factor
    return bool(_weight_at(view, track, here) > _HALF)


def explains(view: View, track: Track, lead: Lead, profile: Profile) -> bool:
    """Say whether a lead is the mark that was followed already."""
    here = np.array(lead.seed.centre) / lead.view.factor
    return _same(
        scaling(1 / view.factor) @ track.matrix,
        scaling(1 / lead.view.factor) @ lead.matrix,
        here,
        profile.tile,
    )


def _weight_at(view: View, track: Track, places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a track's weight at places (..., 2) of the base canvas."""
    on_grid = apply(np.linalg.inv(track.matrix), places * view.factor)
    block = (on_grid - track.origin) / track.side
    rows, columns = track.weight.shape
    index = np.floor(np.nan_to_num(block, nan=-1)).astype(int)
    column, row = index[..., 0], index[..., 1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    weight = track.weight[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
    return np.where(inside, weight, np.float32(0))


def tile_of(view: View, track: Track, profile: Profile) -> NDArray[np.float64]:
    """Fold what was followed, each place weighted by how surely the pilot is there."""
    flat = laid_out(view.canvas, track)
    weight = cv2.resize(track.weight, flat.shape[::-1], interpolation=cv2.INTER_LINEAR)
    tile = folded(flat * weight, profile.tile)
    return np.roll(tile, (track.origin[1] % profile.tile, track.origin[0] % profile.tile), (0, 1))


def tile_around(lead: Lead, profile: Profile) -> NDArray[np.float64] | None:
    """Fold what is around a lead; None where that is too large to be meant."""
    height, width = lead.view.canvas.shape
    left, top, right, bottom = lead.area
    more = _AROUND * max(right - left, bottom - top)
    x = np.clip([left - more, right + more], 0, width)
    y = np.clip([top - more, bottom + more], 0, height)
    corners = np.array([[x[0], y[0]], [x[1], y[0]], [x[1], y[1]], [x[0], y[1]]])
    mapped = apply(np.linalg.inv(lead.matrix), corners)
    low = np.floor(mapped.min(axis=0) / profile.tile).astype(int) * profile.tile
    wide, high = (np.ceil(mapped.max(axis=0)).astype(int) - low).tolist()
    if high * wide > _LARGEST:
        return None
    flat = warp(lead.view.canvas, lead.matrix, (int(low[0]), int(low[1])), (high, wide))
    return folded(flat, profile.tile)


def outline_of(track: Track, view: View) -> NDArray[np.float64]:
    """Return the convex hull of where the pilot was seen, on the view's canvas."""
    rows, columns = np.nonzero(track.weight > 0.5)
    if len(rows) == 0:
        rows, columns = np.nonzero(track.weight > 0)
    blocks = np.stack([columns, rows], axis=1)
    corners = np.concatenate([blocks + each for each in ((0, 0), (0, 1), (1, 0), (1, 1))])
    hull = cv2.convexHull((corners * track.side + np.array(track.origin)).astype(np.int32))
    shown = cv2.approxPolyDP(hull, 0.75 * track.side, closed=True).reshape(-1, 2)
    on_canvas = apply(track.matrix, shown.astype(np.float64))
    height, width = view.canvas.shape
    return np.clip(np.nan_to_num(on_canvas), 0, [width, height])
