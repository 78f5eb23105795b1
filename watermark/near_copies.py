"""Outputs that carry a mark each by itself, as near-copies of a training picture do.

Each output is decided on alone: as it is, and along the ways of feeding frames at which the pilot
stands out most.  Pilot and message are independent, so that choice costs nothing; every output and
every way that is decided on is charged.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment
from watermark.decide import INDICATED, Hypothesis, decide
from watermark.detection import Found
from watermark.evidence import Evidence, Observation
from watermark.feeding import ASPECTS, alignments, feeds, laid_out, names_of
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pattern import pilot
from watermark.profile import DEFAULT, Profile

__all__ = ["NearCopies", "NearCopy", "likeliest"]

_LIKELIEST = 2  # ways, besides the whole frame as it is
_KEPT = 200  # outputs that are told, the surest
_NOTHING = 1e-12  # norm of a tile: what is less holds nothing

Tile = NDArray[np.float64]


@dataclass(frozen=True, slots=True, order=True)
class NearCopy:
    """One output and the mark in it; the surer, the larger.

    Parameters
    ----------
    sure : float
        Minus the log of the p-value before the number of outputs is charged.
    name : str
    found : Found
        Everything charged, once it comes from `NearCopies.found`.
    """

    sure: float
    name: str
    found: Found = field(compare=False)


class NearCopies:
    """Decides on outputs one by one, and keeps those that are worth to be told.

    Parameters
    ----------
    keys, codebook, work_index
        As `watermark.decide.decide` takes them.
    profile : Profile
    aspects : mapping of str to float
        As for `watermark.pooling.Pile`.
    """

    def __init__(
        self,
        keys: Sequence[Key],
        codebook: Codebook | None = None,
        *,
        work_index: NDArray[np.integer] | None = None,
        profile: Profile = DEFAULT,
        aspects: Mapping[str, float] = ASPECTS,
    ) -> None:
        self.keys, self.codebook, self.work_index = keys, codebook, work_index
        self.profile, self.aspects = profile, aspects
        self.looked_at = 0
        self._best: list[NearCopy] = []

    def add(self, name: str, observation: Observation) -> None:
        """Decide on one output."""
        self.looked_at += 1
        tried = likeliest(observation, self.keys, self.profile, aspects=self.aspects)
        detection = decide(tried, self.codebook, work_index=self.work_index)
        for each in detection.found:
            heapq.heappush(self._best, NearCopy(-each.log_p, name, each))
            if len(self._best) > _KEPT:
                heapq.heappop(self._best)

    def found(self, *, log_more: float = 0.0) -> list[NearCopy]:
        """Return the outputs with a mark when all outputs are charged, the surest first.

        Parameters
        ----------
        log_more : float
            What else is to be charged.
        """
        if not self.looked_at:
            return []
        more = math.log(self.looked_at) + log_more
        result = []
        for each in sorted(self._best, reverse=True):
            told = replace(each.found, log_p=min(0.0, each.found.log_p + more))
            if told.log_p <= INDICATED:
                result.append(replace(each, found=told))
        return result


def likeliest(
    observation: Observation,
    keys: Sequence[Key],
    profile: Profile,
    *,
    aspects: Mapping[str, float] = ASPECTS,
) -> list[Hypothesis]:
    """Fold one output as it is, and along the few ways where a key's pilot stands out most."""
    height, width = observation.extent
    ways: list[tuple[Alignment, Tile]] = []
    for feed in feeds(aspects):
        place = feed.placed((height, width), profile.short)
        laid = laid_out(observation.canvas, place, profile.tile)
        named = alignments(feed, (height, width), profile.short)
        for name, tile in zip(names_of(feed), laid, strict=False):  # not both added up
            ways.append((Alignment(named[name].matrix, name, named[name].outline), tile))
    result = []
    tiles = np.stack([tile for _, tile in ways])
    norms = np.sqrt(np.square(tiles).sum(axis=(1, 2)))
    for key in keys:
        scores = np.einsum("wij,ij->w", tiles, pilot(key, profile))
        rated = 1 + np.argsort(-scores[1:] / np.maximum(norms[1:], _NOTHING), kind="stable")
        for place in (0, *rated[:_LIKELIEST].tolist()):
            alignment, tile = ways[place]
            evidence = Evidence(tile, observation.frames, key.fingerprint, str(profile))
            result.append(Hypothesis(evidence, alignment, key, profile, plain=True))
    return result
