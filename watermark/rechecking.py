"""Deciding anew on what was kept of a file, for keys and works that did not exist then.

What was kept is the residual on the canonical grid, without the file (`watermark.compact`).
So some of what `watermark.detect` tries cannot be tried again:

- marks that are finer than the grid, as in a picture of which a marked one is a small part;
- the inside of borders;
- parts of a film: its frames are one sum.

What was kept does not tell whether a mark could have been seen in it either, so nothing is ever
``inconclusive`` here: what was, stays so until a mark is found.

Whoever asks again and again, each time works were added, would find something at last.  So look k
at the same file is charged k(k + 1), as in `watermark.sequential`.  The first look is the one at
the file itself, and not charged, so all together err at most one and a half times as often as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from watermark.align import described, same_as, whole_frame
from watermark.blind import aligned
from watermark.compact import unpack
from watermark.decide import Hypothesis, decide
from watermark.detect import Search, hypotheses
from watermark.detection import Detection
from watermark.errors import EvidenceError, ProfileError
from watermark.evidence import Observation
from watermark.homography import scaling
from watermark.identification import Catalogue, Identification, looked_up
from watermark.key import Key
from watermark.profile import Profile
from watermark.residual import canonical_scale
from watermark.screening import decide_together
from watermark.sequential import charged, log_looks

__all__ = ["Asked", "recheck", "recheck_together"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be decided once more; as the parameters of `recheck`."""

    blob: bytes
    looks: int = 1
    size: tuple[int, int] | None = None


class _Opened(NamedTuple):
    """What a search came up with in what was kept, the size to tell it in, and earlier looks."""

    tried: list[Hypothesis]
    size: tuple[int, int]
    looks: int


def recheck(
    blob: bytes,
    keys: Sequence[Key],
    catalogue: Catalogue | None = None,
    *,
    search: Search = "full",
    looks: int = 1,
    size: tuple[int, int] | None = None,
) -> Identification:
    """Decide once more on an observation that was kept.

    Parameters
    ----------
    blob : bytes
        From `watermark.compact.pack`.
    keys : sequence of Key
        At least one.
    catalogue : Catalogue, optional
        Without one the number is decoded and no work is named.
    search : str
        ``fast`` or ``full``, as for `watermark.detect.searched`.
    looks : int
        How often the file was decided on before, the first time among them; it is charged.
    size : (int, int), optional
        Width and height of the picture as it was shown: what is told is in its pixels.  By default
        in those of the canonical grid.

    Raises
    ------
    EvidenceError
        If the bytes are damaged or of a later version.
    RegistryError
        If the registry cannot be asked.
    """
    opened = _opened(Asked(blob, looks, size), keys, search)
    codebook = None if catalogue is None else catalogue.codebook
    works = None if catalogue is None else catalogue.work_index
    return _told(opened, decide(opened.tried, codebook, work_index=works), catalogue)


def recheck_together(
    asked: Sequence[Asked],
    keys: Sequence[Key],
    catalogue: Catalogue | None = None,
    *,
    search: Search = "full",
) -> list[Identification | EvidenceError]:
    """Decide once more on several observations, for less; see `watermark.screening`.

    Parameters
    ----------
    asked : sequence of Asked
    keys, catalogue, search
        As for `recheck`.

    Returns
    -------
    list of Identification or EvidenceError
        An error in the place of what is damaged or of a later version.

    Raises
    ------
    RegistryError
        If the registry cannot be asked.
    """
    opened: list[_Opened | EvidenceError] = []
    for each in asked:
        try:
            opened.append(_opened(each, keys, search))
        except EvidenceError as error:
            opened.append(error)
    whole = [each.tried for each in opened if isinstance(each, _Opened)]
    decided = iter(decide_together(whole, catalogue))
    return [
        _told(each, next(decided), catalogue) if isinstance(each, _Opened) else each
        for each in opened
    ]


def _opened(asked: Asked, keys: Sequence[Key], search: Search) -> _Opened:
    if asked.looks < 1:
        raise ValueError(f"what was kept was looked at once at least, not {asked.looks} times")
    observation = unpack(asked.blob)
    try:
        profile = Profile.parse(observation.profile)
    except ProfileError as error:
        raise EvidenceError(f"what was kept cannot be decided on: {error}") from error
    canvas = observation.canvas.shape
    shown = asked.size or (canvas[1], canvas[0])
    tried = _placed(_tried(observation, keys, search, profile), shown, observation, profile)
    return _Opened(tried, shown, asked.looks)


def _told(opened: _Opened, detection: Detection, catalogue: Catalogue | None) -> Identification:
    return looked_up(charged(detection, log_looks(opened.looks + 1)), catalogue, opened.size)


def _tried(
    observation: Observation, keys: Sequence[Key], search: Search, profile: Profile
) -> list[Hypothesis]:
    tried = hypotheses(observation, keys, profile=profile)
    if search == "full" and observation.canvas.any():
        found = aligned(_scales(observation), keys, profile)
        tried += [
            Hypothesis(evidence, alignment, key, profile)
            for key, seen in zip(keys, found, strict=True)
            for alignment, evidence in seen
        ]
    return tried


def _scales(observation: Observation) -> Iterator[Observation]:
    """Yield what was kept and what is left of it on coarser grids, for marks that are larger."""
    yield observation
    high, wide = observation.canvas.shape
    for factor in (2, 4):
        size = (max(1, round(wide / factor)), max(1, round(high / factor)))
        small = cv2.resize(observation.canvas, size, interpolation=cv2.INTER_AREA)
        # So that padding is told from noise by its energy, as on the first.
        canvas = np.asarray(small, np.float32) * np.float32(factor)
        extent = (observation.extent[0] / factor, observation.extent[1] / factor)
        weight = np.broadcast_to(observation.weight[0, 0], canvas.shape)
        yield replace(observation, canvas=canvas, weight=weight, extent=extent)


def _placed(
    tried: Sequence[Hypothesis],
    size: tuple[int, int],
    observation: Observation,
    profile: Profile,
) -> list[Hypothesis]:
    """Return hypotheses with alignments of the picture's pixels rather than the canvas, named."""
    known = whole_frame(observation)
    to_canvas = scaling(canonical_scale(size, profile))
    result = []
    for each in tried:
        plain = same_as(each.alignment, known, profile.tile)
        placed = each.alignment.seen_from(to_canvas, size)
        name = plain.name if plain else described(placed)
        result.append(replace(each, alignment=replace(placed, name=name)))
    return result
