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

from watermark.align import Alignment, as_tuple
from watermark.evidence import Evidence, Observation
from watermark.homography import Matrix, affine, jacobian, scaling
from watermark.key import Key
from watermark.leads import (
    Area,
    Lead,
    View,
    distinct,
    explains,
    inside,
    outline_of,
    tile_around,
    tile_of,
)
from watermark.patches import bent
from watermark.polar import Range, lines_of
from watermark.profile import Profile
from watermark.search import refined, seeds, similar, stretched
from watermark.spectrum import Spectrum, spectrum, windows
from watermark.track import Track, tracked
from watermark.upright import Uprights, halves

__all__ = ["aligned"]

_SEEDS = 5  # decided on as they are, at most
_UPRIGHT = 3  # and held upright, at most
_TRACKS = 8  # and followed to all of the mark, at most
_TRIES = 12  # of following, at most
_PLAUSIBLE = 5.5  # score: noise reaches 6.8 in most pictures
_PROMISING = 6.4  # worth following
_CERTAIN = 7.6  # of a pilot being there
_PLAIN = 10.6  # to be seen at once; with less, other scales are looked at all the same
_DOUBTFUL_TRACKS = 3
_ENOUGH = 0.45  # of what was observed: when so much is explained, the search is over
_COARSE = 0.8  # scales under which a picture that is upright is not looked at for it
_FINE = 0.64  # canvas pixels to one of the mark, under which a finer scale shows more
_HARDLY = 0.3  # when less is, it is worth while to look for a strong perspective
_ON_TOP = 0.75  # of its score that a second lead has at least, where a mark is known already
_TOP = 4  # hypotheses of each kind, in each window
_GUESSES_WHOLE = 12  # of those in a whole canvas that are refined and placed, and
_GUESSES = 24  # of those in all windows of one size
_BENT, _BENT_SIDE = 20, 192  # places where a strong perspective is looked for, pixels
_NOTHING = 0.02  # energy of a residual pixel under which it is padding


def aligned(
    scales: Iterable[Observation],
    keys: Sequence[Key],
    profile: Profile,
    *,
    bends: bool = True,
    parts: bool = False,
) -> list[list[tuple[Alignment, Evidence]]]:
    """Find marks of some keys.

    Parameters
    ----------
    scales : iterable of Observation
        Of the same frames, the one on the profile's canonical grid first; those after it are not
        asked for if that is enough.
    keys : sequence of Key
    profile : Profile
    bends : bool
        Whether a strong perspective is looked for, where hardly anything is found without.
    parts : bool
        Whether upright marks are looked for in parts of the picture as well.

    Returns
    -------
    list of lists of (Alignment, Evidence)
        For each key at most 16, the surest first; alignments of the canvas on the canonical grid.

    Raises
    ------
    ValueError
        If there is no observation.
    """
    searches: list[_Search] = []
    for observation in scales:
        searches = searches or [_Search(observation, key, profile) for key in keys]
        left = [search for search in searches if not search.done()]
        if not left:
            break
        view = _view(observation, searches[0].base, profile)
        for area, seen in _windows(view):
            for search in left:
                search.look(seen, view, area)
        if parts and view.factor > _COARSE:
            for seen in halves(view.canvas):
                for search in left:
                    search.uprights.look(seen, view)
        for search in left:
            search.follow()
    if not searches:
        raise ValueError("there is nothing to search in")
    for search in searches:
        if bends and search.covered() < _HARDLY:
            search.bend()
    return [search.results() for search in searches]


def _windows(view: View) -> Iterator[tuple[Area, Spectrum]]:
    """Yield a scale's windows one at a time: the spectra of a large picture fill the memory."""
    for side in view.sides:
        for top, left, height, width in windows(view.canvas.shape, side):
            part = view.canvas[top : top + height, left : left + width]
            area = (float(left), float(top), float(left + width), float(top + height))
            whole = part.shape == view.canvas.shape
            yield area, spectrum(part, (left + width / 2, top + height / 2), whole=whole)


class _Guess(NamedTuple):
    """One hypothesis of the linear part in one window, not yet looked into."""

    score: float
    turned: NDArray[np.float64]
    seen: Spectrum
    view: View
    area: Area


class _Search:
    """One search under one key: what is known so far."""

    def __init__(self, base: Observation, key: Key, profile: Profile) -> None:
        self.key, self.profile, self.base = key, profile, base
        self.lines = lines_of(key, profile)
        self.leads: list[Lead] = []
        self.tracks: list[tuple[View, Track]] = []
        self.scores: list[float] = []  # of the leads to them
        self.tried: list[Lead] = []  # followed already, also in vain
        self.guesses: list[_Guess] = []  # in the windows of one scale, the best first
        self.uprights = Uprights(self.lines, profile)

    def look(self, seen: Spectrum, view: View, area: Area) -> None:
        """Add what a window shows."""
        guesses = similar(seen, self.lines, view.scales, top=_TOP)
        if seen.size == view.canvas.shape:
            guesses += stretched(seen, self.lines, view.scales, top=_TOP)
            best = sorted(guesses, key=lambda each: -each[0])[:_GUESSES_WHOLE]
            self._place([_Guess(score, turned, seen, view, area) for score, turned in best])
            if view.factor > _COARSE:
                self.uprights.look(seen, view)
        else:
            # Most windows show nothing: what stands out among all of them is looked into.
            self.guesses += [_Guess(score, turned, seen, view, area) for score, turned in guesses]
            self.guesses = sorted(self.guesses, key=lambda each: -each.score)[:_GUESSES]

    def bend(self) -> None:
        """Look for what a strong perspective leaves of the pilot."""
        view = _view(self.base, self.base, self.profile)
        height, width = view.canvas.shape
        half = _BENT_SIDE / 2
        guesses = []
        for power, turned, (x, y) in bent(view.canvas, self.lines, top=_BENT):
            left, top = max(0, round(x - half)), max(0, round(y - half))
            right, bottom = min(width, round(x + half)), min(height, round(y + half))
            middle = ((left + right) / 2, (top + bottom) / 2)
            seen = spectrum(view.canvas[top:bottom, left:right], middle)
            area = (float(left), float(top), float(right), float(bottom))
            guesses.append(_Guess(power, turned, seen, view, area))
        self._place(guesses)
        self.follow()

    def _place(self, guesses: Sequence[_Guess]) -> None:
        """Add what comes of guesses when they are refined and placed."""
        if not guesses:
            return
        seen = [guess.seen for guess in guesses]
        drawn = refined(seen, self.lines, np.array([guess.turned for guess in guesses]))
        for seed, place in seeds(seen, self.lines, drawn, self.profile.tile):
            if seed.score >= _PLAUSIBLE:
                matrix = affine(np.linalg.inv(seed.turned).T, seed.place, seed.centre)
                _, _, _, view, area = guesses[place]
                self.leads.append(Lead(seed, view, matrix, area))

    def follow(self) -> None:
        """Place the best guesses, and follow what is sure."""
        self._place(self.guesses)
        self.guesses = []
        self.leads = distinct(self.leads, self.profile)
        self._follow(_CERTAIN, _TRACKS)

    def _follow(self, least: float, most: int) -> None:
        before = len(self.tried)
        for lead in self.leads:
            if len(self.tried) >= _TRIES or len(self.tracks) >= _TRACKS:
                return
            if lead.seed.score < least or len(self.tried) >= before + most:
                return
            if any(lead is other for other in self.tried):
                continue
            if any(explains(view, track, lead, self.profile) for view, track in self.tracks):
                continue
            # Where a mark is known already there can be another as strong; a weaker one is the
            # same mark half a turn or a few pixels off.
            if any(
                lead.seed.score < _ON_TOP * score and inside(view, track, lead)
                for (view, track), score in zip(self.tracks, self.scores, strict=True)
            ):
                continue
            self.tried.append(lead)
            canvas = lead.view.canvas
            track = tracked(canvas, lead.matrix, lead.area, self.lines, self.profile.tile)
            if track is not None and track.weight.any():
                self.tracks.append((lead.view, track))
                self.scores.append(lead.seed.score)

    def done(self) -> bool:
        """Return whether nothing is to be expected from other scales."""
        if max(self.scores, default=0.0) < _PLAIN:
            return False
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
        for (view, track), score in zip(self.tracks, self.scores, strict=True):
            if score < _CERTAIN:
                continue
            corners = outline_of(track, view) / view.factor * scale - 0.5
            cv2.fillConvexPoly(known, np.rint(corners).astype(np.int32), 1)
        return float((known[there]).sum()) / max(1, int(there.sum()))

    def results(self) -> list[tuple[Alignment, Evidence]]:
        """Follow what is promising as well, and fold everything that is decided on."""
        enough = self.covered() >= _ENOUGH  # doubtful tracks do not change it
        if not enough:
            self._follow(_PROMISING, _DOUBTFUL_TRACKS)
        plain = enough and max(self.scores) >= _PLAIN
        upright = [] if plain else self.uprights.strongest(_UPRIGHT)
        found = [
            self._result(
                view, track.matrix, tile_of(view, track, self.profile), outline_of(track, view)
            )
            for view, track in (*self.tracks, *upright)
        ]
        rest = [
            lead
            for lead in self.leads
            if lead.seed.score < _CERTAIN
            or not any(inside(view, track, lead) for view, track in self.tracks)
        ]
        for lead in rest[: _SEEDS // 4 if enough else _SEEDS]:
            tile = tile_around(lead, self.profile)
            if tile is not None:
                left, top, right, bottom = lead.area
                corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
                found.append(self._result(lead.view, lead.matrix, tile, np.array(corners)))
        return found

    def _result(
        self, view: View, matrix: Matrix, tile: NDArray[np.float64], outline: NDArray[np.float64]
    ) -> tuple[Alignment, Evidence]:
        to_canvas = scaling(1 / view.factor) @ matrix
        corners = tuple((float(x), float(y)) for x, y in outline / view.factor)
        alignment = Alignment(as_tuple(np.linalg.inv(to_canvas)), "", corners)
        return alignment, Evidence(tile, self.base.frames, self.key.fingerprint, str(self.profile))


def _view(observation: Observation, base: Observation, profile: Profile) -> View:
    factor = observation.extent[0] / base.extent[0]
    sides: tuple[int | None, ...] = (None,)
    if factor > 1.2:
        sides = (profile.short,)
    elif factor > 0.8:
        sides = (None, profile.short // 2)
    least = 0.3 if factor > 0.8 else 0.64
    return View(observation.canvas, factor, Range(least, 1.6), sides)
