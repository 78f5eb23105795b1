"""Blind alignment: where marks of a key lie in a picture of which nothing is known.

What was observed is looked at on several scales, an octave apart, so that the mark is within half
an octave of its own scale in one of them.  In the spectra of overlapping windows hypotheses are
looked up, drawn to the peaks, and placed by phase (`watermark.search`); the best are followed to
all of the mark (`watermark.track`).  What is returned is decided on and paid for, all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment, as_tuple, folded
from watermark.evidence import Evidence, Observation
from watermark.homography import Matrix, affine, apply, jacobian, scaling, warp
from watermark.key import Key
from watermark.patches import bent
from watermark.profile import Profile
from watermark.search import Lines, Range, Seed, lines_of, refined, seeds, similar, stretched
from watermark.spectrum import Spectrum, spectrum, windows
from watermark.track import Track, laid_out, tracked

__all__ = ["aligned", "described"]

_LEADS = 128  # kept, at most
_SEEDS = 8  # decided on as they are, at most
_TRACKS = 8  # and followed to all of the mark, at most
_PLAUSIBLE = 4.6  # score: noise reaches 5.6 in most pictures
_PROMISING = 5.4  # worth following
_CERTAIN = 6.5  # of a pilot being there
_DOUBTFUL_TRACKS = 3
_ENOUGH = 0.7  # of what was observed: when so much is explained, the search is over
_FINE = 0.64  # canvas pixels to one of the mark, under which a finer scale shows more
_HARDLY = 0.3  # when less is, it is worth while to look for a strong perspective
_ON_TOP = 0.75  # of its score that a second lead has at least, where a mark is known already
_TOP = 4  # hypotheses of each kind, in each window
_GUESSES, _GUESSES_WHOLE = 4, 12  # of them that are refined and placed
_BENT, _BENT_SIDE = 20, 192  # places where a strong perspective is looked for, pixels
_HALF = 0.5  # weight from which a block counts as marked
_NOTHING = 0.02  # energy of a residual pixel under which it is padding
_AROUND = 1.0  # of a window on each side of it, where nothing was followed
_LARGEST = 6_000_000  # pixels of the grid that are folded
_SAME = 4.0  # pixels of the grid, and
_ALIKE = 0.04  # of the linear part: two hypotheses that are one


Area = tuple[float, float, float, float]  # left, top, right, bottom on a canvas


class _View(NamedTuple):
    """One scale of the picture: its residual and the pixels of it that make one of the base."""

    canvas: NDArray[np.float32]
    factor: float
    scales: Range
    sides: tuple[int | None, ...]


class _Lead(NamedTuple):
    """A seed in its view, with the map from the mark's grid to the view's canvas."""

    seed: Seed
    view: _View
    matrix: Matrix
    area: Area


def aligned(
    scales: Iterable[Observation], keys: Sequence[Key], profile: Profile
) -> list[list[tuple[Alignment, Evidence]]]:
    """Find marks of some keys.

    Parameters
    ----------
    scales : iterable of Observation
        Of the same frames, the one on the profile's canonical grid first; those after it are not
        asked for if that is enough.
    keys : sequence of Key
    profile : Profile

    Returns
    -------
    list of lists of (Alignment, Evidence)
        For each key at most 16, the surest first; alignments of the canvas on the canonical grid.
    """
    searches: list[_Search] = []
    for observation in scales:
        searches = searches or [_Search(observation, key, profile) for key in keys]
        left = [search for search in searches if not search.done()]
        if not left:
            break
        base = searches[0].base
        for view, area, seen in _windows(observation, base, profile):
            for search in left:
                search.look(seen, view, area)
        for search in left:
            search.follow()
    for search in searches:
        if search.covered() < _HARDLY:
            search.bend()
    return [search.results() for search in searches]


def _windows(
    observation: Observation, base: Observation, profile: Profile
) -> Iterator[tuple[_View, Area, Spectrum]]:
    """Yield a scale's windows one at a time: the spectra of a large picture fill the memory."""
    view = _view(observation, base, profile)
    for side in view.sides:
        for top, left, height, width in windows(view.canvas.shape, side):
            part = view.canvas[top : top + height, left : left + width]
            area = (float(left), float(top), float(left + width), float(top + height))
            yield view, area, spectrum(part, (left + width / 2, top + height / 2))


class _Search:
    """One search under one key: what is known so far."""

    def __init__(self, base: Observation, key: Key, profile: Profile) -> None:
        self.key, self.profile, self.base = key, profile, base
        self.lines = lines_of(key, profile)
        self.leads: list[_Lead] = []
        self.tracks: list[tuple[_View, Track]] = []
        self.scores: list[float] = []  # of the leads to them

    def look(self, seen: Spectrum, view: _View, area: Area) -> None:
        """Add what a window shows."""
        whole = seen.size == view.canvas.shape
        guesses = similar(seen, self.lines, view.scales, top=_TOP)
        if whole:
            guesses += stretched(seen, self.lines, view.scales, top=_TOP)
        best = sorted(guesses, key=lambda each: -each[0])[: _GUESSES_WHOLE if whole else _GUESSES]
        self._place(seen, view, area, np.array([turned for _, turned in best]))

    def bend(self) -> None:
        """Look for what a strong perspective leaves of the pilot."""
        view = _view(self.base, self.base, self.profile)
        height, width = view.canvas.shape
        half = _BENT_SIDE / 2
        for _, turned, (x, y) in bent(view.canvas, self.lines, top=_BENT):
            left, top = max(0, round(x - half)), max(0, round(y - half))
            right, bottom = min(width, round(x + half)), min(height, round(y + half))
            middle = ((left + right) / 2, (top + bottom) / 2)
            seen = spectrum(view.canvas[top:bottom, left:right], middle)
            area = (float(left), float(top), float(right), float(bottom))
            self._place(seen, view, area, turned[None])
        self.follow()

    def _place(
        self, seen: Spectrum, view: _View, area: Area, turned: NDArray[np.float64]
    ) -> None:
        drawn = refined(seen, self.lines, turned)
        self.leads += [
            _Lead(each, view, affine(np.linalg.inv(each.turned).T, each.place, each.centre), area)
            for each in seeds(seen, self.lines, drawn, self.profile.tile, top=len(drawn))
            if each.score >= _PLAUSIBLE
        ]

    def follow(self) -> None:
        """Follow what is sure."""
        self.leads = _distinct(self.leads, self.profile)
        self._follow(_CERTAIN, _TRACKS)

    def _follow(self, least: float, most: int) -> None:
        tried = 0
        for lead in self.leads:
            if lead.seed.score < least or tried >= most or len(self.tracks) >= _TRACKS:
                return
            if any(_explains(view, track, lead, self.profile) for view, track in self.tracks):
                continue
            # Where a mark is known already there can be another as strong; a weaker one is the
            # same mark half a turn or a few pixels off.
            if any(
                lead.seed.score < _ON_TOP * score and _inside(view, track, lead)
                for (view, track), score in zip(self.tracks, self.scores, strict=True)
            ):
                continue
            tried += 1
            canvas = lead.view.canvas
            track = tracked(canvas, lead.matrix, lead.area, self.lines, self.profile.tile)
            if track is not None and track.weight.any():
                self.tracks.append((lead.view, track))
                self.scores.append(lead.seed.score)

    def done(self) -> bool:
        """Return whether nothing is to be expected from other scales."""
        # Small pictures that are only just seen may have neighbours that are not.
        small = any(
            abs(np.linalg.det(jacobian(track.matrix, track.middle()))) < _FINE**2
            for view, track in self.tracks
            if view.factor <= 1
        )
        return not small and self.covered() >= _ENOUGH

    def covered(self) -> float:
        """Return the share of what was observed that lies inside the outlines of known marks."""
        if not self.tracks:
            return 0.0
        base = self.base.canvas
        side = self.profile.tile // 8
        columns, rows = max(1, base.shape[1] // side), max(1, base.shape[0] // side)
        energy = cv2.resize(base * base, (columns, rows), interpolation=cv2.INTER_AREA)
        there = energy > _NOTHING
        known = np.zeros(there.shape, np.uint8)
        scale = np.array([columns, rows]) / base.shape[::-1]
        for view, track in self.tracks:
            corners = _outline(track, view) / view.factor * scale - 0.5
            cv2.fillConvexPoly(known, np.rint(corners).astype(np.int32), 1)
        return float((known[there]).sum()) / max(1, int(there.sum()))

    def results(self) -> list[tuple[Alignment, Evidence]]:
        """Follow what is promising as well, and fold everything that is decided on."""
        if self.covered() < _ENOUGH:
            self._follow(_PROMISING, _DOUBTFUL_TRACKS)
        found = [
            self._result(view, track.matrix, _tile(view, track, self.profile), _outline(track, view))
            for view, track in self.tracks
        ]
        left = [
            lead
            for lead in self.leads
            if lead.seed.score < _CERTAIN
            or not any(_inside(view, track, lead) for view, track in self.tracks)
        ]
        for lead in left[: _SEEDS if self.covered() < _ENOUGH else _SEEDS // 4]:
            tile = _plain(lead, self.profile)
            if tile is not None:
                l, t, r, b = lead.area
                found.append(
                    self._result(lead.view, lead.matrix, tile, np.array([[l, t], [r, t], [r, b], [l, b]]))
                )
        return found

    def _result(
        self, view: _View, matrix: Matrix, tile: NDArray[np.float64], outline: NDArray[np.float64]
    ) -> tuple[Alignment, Evidence]:
        to_canvas = scaling(1 / view.factor) @ matrix
        corners = tuple((float(x), float(y)) for x, y in outline / view.factor)
        alignment = Alignment(as_tuple(np.linalg.inv(to_canvas)), "", corners)
        return alignment, Evidence(tile, self.base.frames, self.key.fingerprint, str(self.profile))


def _view(observation: Observation, base: Observation, profile: Profile) -> _View:
    factor = observation.extent[0] / base.extent[0]
    sides: tuple[int | None, ...] = (None,)
    if factor > 1.2:
        sides = (profile.short,)
    elif factor > 0.8:
        sides = (None, profile.short // 2)
    least = 0.3 if factor > 0.8 else 0.64
    return _View(observation.canvas, factor, Range(least, 1.6), sides)


def _distinct(leads: list[_Lead], profile: Profile) -> list[_Lead]:
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


def _inside(view: _View, track: Track, lead: _Lead) -> bool:
    """Say whether a lead's middle is where a mark was followed to already."""
    here = np.array(lead.seed.centre) / lead.view.factor
    return bool(_weight_at(view, track, here) > _HALF)


def _explains(view: _View, track: Track, lead: _Lead, profile: Profile) -> bool:
    """Say whether a lead is the mark that was followed already."""
    here = np.array(lead.seed.centre) / lead.view.factor
    return _same(
        scaling(1 / view.factor) @ track.matrix,
        scaling(1 / lead.view.factor) @ lead.matrix,
        here,
        profile.tile,
    )


def _weight_at(view: _View, track: Track, places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a track's weight at places (..., 2) of the base canvas."""
    on_grid = apply(np.linalg.inv(track.matrix), places * view.factor)
    block = (on_grid - track.origin) / track.side
    rows, columns = track.weight.shape
    index = np.floor(np.nan_to_num(block, nan=-1)).astype(int)
    column, row = index[..., 0], index[..., 1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    weight = track.weight[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
    return np.where(inside, weight, np.float32(0))


def _tile(view: _View, track: Track, profile: Profile) -> NDArray[np.float64]:
    flat = laid_out(view.canvas, track)
    weight = cv2.resize(track.weight, flat.shape[::-1], interpolation=cv2.INTER_LINEAR)
    tile = folded(flat * weight, profile.tile)
    return np.roll(tile, (track.origin[1] % profile.tile, track.origin[0] % profile.tile), (0, 1))


def _plain(lead: _Lead, profile: Profile) -> NDArray[np.float64] | None:
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


def _outline(track: Track, view: _View) -> NDArray[np.float64]:
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
