"""A pile of pictures that may carry one mark weakly each, decided as one body of evidence.

Residuals of pictures of one size are added before any key is used.  Each sum is folded onto the
tile along every usual way of feeding frames to a generator (`watermark.feeding`), as it is,
mirrored, and as both halves of one sum; what the sizes fold to along one way is added up.  Besides,
the pilot is searched for in the sums of the most frequent sizes.  All of it is decided on and
charged.

Every sum is evened first (`watermark.evening`): generators leave more than a mark in all their
outputs, and what they leave is louder.  No key is used for that.

Under the null the key's signs are fair coins and whatever is folded is any numbers, so the p-value
of `watermark.decide` holds here as it is, however alike the pictures are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment, described, same_as, whole_frame
from watermark.blind import aligned
from watermark.decide import Hypothesis, decide
from watermark.detect import Search
from watermark.detection import Detection
from watermark.errors import EvidenceError
from watermark.evening import evened
from watermark.evidence import Evidence, Observation
from watermark.feeding import (
    ASPECTS,
    Feed,
    Placing,
    alignments,
    alike,
    feeds,
    laid_out,
    names_of,
)
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.sequential import charged

__all__ = ["Fold", "Pile", "pooled"]

_SIZES = 24  # kept as canvases, about 2 MB each; rarer ones are folded at once
_SEARCHED = 2  # sizes in which the pilot is searched for, those of the most pictures
_PART = 8  # of the pictures one in so many has such a size, so that no single one stands for all

Tile = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """What a pile folds to along one way, before any key is used.

    Parameters
    ----------
    tile : ndarray of float64, shape (T, T)
    alignment : Alignment
        Of a canvas of the most frequent size.
    """

    tile: Tile
    alignment: Alignment


class Pile:
    """Sums of what was observed in pictures, by their size; memory does not grow with their number.

    Parameters
    ----------
    profile : Profile
    aspects : mapping of str to float
        Shapes of the frames that may have been marked: names and widths over heights.
    """

    def __init__(
        self, profile: Profile = DEFAULT, *, aspects: Mapping[str, float] = ASPECTS
    ) -> None:
        self.profile = profile
        self.outputs = 0
        self._feeds = feeds(aspects)
        self._sums: dict[tuple[float, float], NDArray[np.float32]] = {}
        self._counts: dict[tuple[float, float], int] = {}  # of all sizes, also of those folded
        self._folded: dict[str, Tile] = {}

    @property
    def sizes(self) -> dict[tuple[float, float], int]:
        """How many pictures have each canonical height and width, the most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda each: (-each[1], each[0])))

    def add(self, observation: Observation) -> None:
        """Add what was observed in one picture, or in several of one size.

        Raises
        ------
        EvidenceError
            If it was observed under another profile.
        """
        if observation.profile != str(self.profile):
            raise EvidenceError("what was observed under another profile does not add")
        extent = observation.extent
        self.outputs += observation.frames
        self._counts[extent] = self._counts.get(extent, 0) + observation.frames
        if extent in self._sums:
            self._sums[extent] += observation.canvas
            return
        self._sums[extent] = observation.canvas.copy()
        if len(self._sums) > _SIZES:
            # The rarest goes, and of equals the oldest: a later one may come again.
            rarest = min(self._sums, key=lambda each: self._counts[each])
            for name, tile in self._tiles(rarest, self._sums.pop(rarest), self._feeds).items():
                self._folded[name] = self._folded[name] + tile if name in self._folded else tile

    def total(self, extent: tuple[float, float]) -> Observation:
        """Return the sum of the pictures of one size that is still kept as a canvas."""
        canvas, count = self._sums[extent], self._counts[extent]
        weight = np.broadcast_to(np.float32(count), canvas.shape)  # takes no room
        return Observation(canvas, weight, extent, count, str(self.profile))

    def folds(self) -> list[Fold]:
        """Fold along every way of feeding frames; ways that are one for all sizes come once.

        Raises
        ------
        ValueError
            If there is no picture.
        """
        if not self.outputs:
            raise ValueError("there is no picture to decide on")
        kept = self._distinct()
        tiles: dict[str, Tile] = {}
        sums = [self._tiles(extent, canvas, kept) for extent, canvas in self._sums.items()]
        for part in (*sums, self._folded):
            for name, tile in part.items():
                tiles[name] = tiles[name] + tile if name in tiles else tile
        first = next(iter(self.sizes))
        named = {
            name: alignment
            for feed in kept
            for name, alignment in alignments(feed, first, self.profile.short).items()
        }
        return [
            Fold(tiles[name], replace(alignment, name=name)) for name, alignment in named.items()
        ]

    def hypotheses(self, keys: Sequence[Key], *, search: Search = "full") -> list[Hypothesis]:
        """Return all that is to be decided on.

        Parameters
        ----------
        keys : sequence of Key
        search : str
            ``fast``: the ways of feeding frames alone; ``full``: besides, wherever the pilot shows.
        """
        name = str(self.profile)
        folds = self.folds()
        tried = [
            Hypothesis(
                Evidence(fold.tile, self.outputs, key.fingerprint, name),
                fold.alignment,
                key,
                self.profile,
                plain=True,
            )
            for key in keys
            for fold in folds
        ]
        if search == "full":
            for extent, count in list(self.sizes.items())[:_SEARCHED]:
                if extent in self._sums and _PART * count >= self.outputs:
                    tried += self._searched(self.total(extent), keys)
        return tried

    def _searched(self, total: Observation, keys: Sequence[Key]) -> list[Hypothesis]:
        if not total.canvas.any():
            return []
        plain = whole_frame(total)
        result = []
        for key, seen in zip(keys, aligned([total], keys, self.profile), strict=True):
            for alignment, evidence in seen:
                known = same_as(alignment, plain, self.profile.tile)
                name = known.name if known else described(alignment)
                named = replace(alignment, name=f"{name}, by its pilot")
                result.append(Hypothesis(evidence, named, key, self.profile))
        return result

    def _distinct(self) -> list[Feed]:
        """Return the ways that differ in at least one size."""
        kept: list[tuple[Feed, list[Placing]]] = []
        for feed in self._feeds:
            places = [feed.placed(extent, self.profile.short) for extent in self._counts]
            if not any(alike(places, other, self._counts) for _, other in kept):
                kept.append((feed, places))
        return [feed for feed, _ in kept]

    def _tiles(
        self,
        extent: tuple[float, float],
        canvas: NDArray[np.float32],
        ways: Sequence[Feed],
    ) -> dict[str, Tile]:
        """Even one sum, and fold it along some ways of feeding."""
        even = evened(canvas)
        result: dict[str, Tile] = {}
        for feed in ways:
            place = feed.placed(extent, self.profile.short)
            plain, mirrored = laid_out(even, place, self.profile.tile)
            tiles = (plain, mirrored, plain + mirrored)
            result |= dict(zip(names_of(feed), tiles, strict=True))
        return result


def pooled(
    pile: Pile,
    keys: Sequence[Key],
    codebook: Codebook | None = None,
    *,
    work_index: NDArray[np.integer] | None = None,
    search: Search = "full",
    log_more: float = 0.0,
) -> Detection:
    """Decide on a pile as it is.

    Parameters
    ----------
    pile : Pile
        With one picture at least.
    keys, codebook, work_index
        As `watermark.decide.decide` takes them.
    search : str
        See `Pile.hypotheses`.
    log_more : float
        What else is to be charged: looks at the pile, as `watermark.sequential.log_looks` has it.
    """
    tried = pile.hypotheses(keys, search=search)
    return charged(decide(tried, codebook, work_index=work_index), log_more)
