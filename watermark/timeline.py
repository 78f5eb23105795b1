"""Which mark from when to when: the parts of a clip, each with a p-value of its own.

Every slot of a `Reel` is folded along a few alignments, its *ways*, that were chosen without the
message.  Windows of neighbouring slots where the pilot shows are decoded; the marks that come up
compete for each slot, with "no mark" (`watermark.succession`), and each run of slots that a mark
wins is decided on like a clip of its own.  The boundaries were chosen after the key was seen, so
all runs and all ways are charged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment
from watermark.coding import CODE_BITS, codeword, decode
from watermark.decide import INDICATED, Hypothesis, decide, log_p, soft_word
from watermark.detection import Found
from watermark.evidence import Evidence
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pattern import carriers, pilot
from watermark.profile import Profile
from watermark.reel import Slot
from watermark.sequential import charged, log_runs
from watermark.signsum import log_unit_tail
from watermark.succession import best_path
from watermark.transform import analyse, levels

__all__ = ["Stretch", "Way", "pilot_z", "stretches"]

_SHOTS = 32  # that are decoded, at most, of one way
_WINDOWS = 4  # of each other size
_PILOT = 1.5  # z of the pilot from which a window is worth decoding; a readable message has 3
_READABLE = 8.0  # z of the best decoding; without a mark it is 6.5 to 8.5
_NEAR = 8.0  # seconds without a mark that it goes on through, at most
_AROUND = 1.0  # seconds on each side of a slot that its own p-value is of


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clip.

    Parameters
    ----------
    start, end : float
        Seconds.
    found : Found or None
        The mark, its p-value charged for the choice of this part; None where nothing was found.
    """

    start: float
    end: float
    found: Found | None


class Way(NamedTuple):
    """An alignment under a key, and what every slot folds to along it."""

    alignment: Alignment
    key: Key
    tiles: NDArray[np.float32]  # (n, T, T)


class _Candidate(NamedTuple):
    way: int
    number: int
    first: int
    last: int
    log_trials: float


def pilot_z(tile: NDArray[np.floating], key: Key, profile: Profile) -> float:
    """Return how many standard deviations of noise the pilot at its own phases stands out by."""
    norm = float(np.linalg.norm(tile))
    return float((tile * pilot(key, profile)).sum()) / norm if norm else 0.0


def stretches(
    slots: Sequence[Slot],
    ways: Sequence[Way],
    codebook: Codebook | None,
    profile: Profile,
    *,
    work_index: NDArray[np.integer] | None = None,
    cuts: AbstractSet[int] = frozenset(),
    log_more: float = 0.0,
) -> tuple[list[Stretch], list[tuple[float, float]]]:
    """Find the marks of a clip's parts.

    Parameters
    ----------
    slots : sequence of Slot
    ways : sequence of Way
        All are charged, and all runs of slots.
    codebook, profile, work_index
    cuts : set of int
        Shots that begin with a cut.  A mark goes on to the next cut unless another one follows:
        where a picture moves, codecs keep little of a mark between their key frames.
    log_more : float
        What else is charged.

    Returns
    -------
    list of Stretch
        In order, without gaps.
    list of tuples of float
        The middle of each slot in seconds, and the log p-value of what is within a second of it.
    """
    log_more += log_runs(len(slots)) + float(np.log(len(ways)))
    sums = [np.cumsum(np.pad(way.tiles, ((1, 0), (0, 0), (0, 0))), axis=0) for way in ways]

    def evidence(way: int, first: int, last: int) -> Hypothesis:
        alignment, key, _ = ways[way]
        tile = (sums[way][last] - sums[way][first]).astype(np.float64)
        frames = sum(slot.frames for slot in slots[first:last])
        total = Evidence(tile, frames, key.fingerprint, str(profile))
        return Hypothesis(total, alignment, key, profile)

    def judged(way: int, first: int, last: int) -> Found:
        where = evidence(way, first, last)
        return charged(decide([where], codebook, work_index=work_index), log_more).best

    candidates: dict[tuple[int, int], _Candidate] = {}
    windows = _windows(slots)
    for place, way in enumerate(ways):
        for first, last, number in _readable(sums[place], windows, way, profile):
            if (place, number) in candidates:
                continue
            found = judged(place, first, last)
            name = (place, found.number)
            if found.log_p <= INDICATED and name not in candidates:
                trials = found.log_p - float(log_unit_tail(found.z))
                candidates[name] = _Candidate(place, found.number, first, last, trials)
    edges = _edges(slots)
    none = [Stretch(edges[0], edges[-1], None)]
    if not candidates:
        return none, [((a + b) / 2, 0.0) for a, b in pairwise(edges)]
    chosen = list(candidates.values())
    scores = _scores(chosen, ways, profile)
    spans = [(each.first, each.last) for each in chosen]
    path = best_path(scores, spans)
    marks: list[Found | None] = [None] * len(slots)
    for first, last, state in _runs(path):
        won = judged(chosen[state].way, first, last) if state >= 0 else None
        if won is not None and won.log_p <= INDICATED:
            marks[first:last] = [won] * (last - first)
    _to_cuts(marks, slots, cuts)
    result = [Stretch(*ends, mark) for ends, mark in zip(pairwise(edges), marks, strict=True)]
    return _joined(result), _points(slots, chosen, evidence)


def _windows(slots: Sequence[Slot]) -> list[tuple[int, int, int]]:
    """Return shots, of size 0, and runs of 1, 2, 4, 8 … slots, their size, that overlap by half."""
    count = len(slots)
    cuts = [place for place in range(1, count) if slots[place].shot != slots[place - 1].shot]
    found = [(first, last, 0) for first, last in pairwise([0, *cuts, count])]
    size = 1
    while size < 2 * count:
        step = max(1, size // 2)
        starts = range(0, max(1, count - step), step) if size > 1 else range(count)
        found += [(first, min(count, first + size), size) for first in starts]
        size *= 2
    return found


def _readable(
    sums: NDArray[np.float32], windows: Sequence[tuple[int, int, int]], way: Way, profile: Profile
) -> list[tuple[int, int, int]]:
    """Return the windows in which a message may be and what they say, the surest first."""
    beats = np.tensordot(sums, pilot(way.key, profile).astype(np.float32), 2)
    scored: dict[int, list[tuple[float, int, int]]] = {}
    for first, last, size in windows:
        norm = float(np.linalg.norm(sums[last] - sums[first]))
        strength = float(beats[last] - beats[first]) / norm if norm else 0.0
        if strength >= _PILOT:
            scored.setdefault(size, []).append((strength, first, last))
    kept: list[tuple[int, int]] = []
    for size, group in scored.items():
        own: list[tuple[int, int]] = []
        for _, first, last in sorted(group, reverse=True)[: None if size else _SHOTS]:
            apart = all(2 * (min(last, b) - max(first, a)) <= last - first for a, b in own)
            if apart and (len(own) < _WINDOWS or not size):
                own.append((first, last))
        kept += own
    if not kept:
        return []
    tiles = [(sums[last] - sums[first]).astype(np.float64) for first, last in kept]
    seen = [Evidence(tile, 1, way.key.fingerprint, str(profile)) for tile in tiles]
    soft = np.stack([soft_word(each, way.key, profile) for each in seen])
    numbers = decode(soft)
    read = [float(word @ codeword(int(n))) for word, n in zip(soft, numbers, strict=True)]
    order = np.argsort(read)[::-1]
    return [(*kept[each], int(numbers[each])) for each in order if read[each] >= _READABLE]


def _scores(
    chosen: Sequence[_Candidate], ways: Sequence[Way], profile: Profile
) -> NDArray[np.float64]:
    """Return the z (candidates, slots) that each mark has in each slot by itself."""
    weights = levels(profile, two=profile.weight2, three=profile.weight3)
    words: dict[int, NDArray[np.float64]] = {}
    rows = []
    for each in chosen:
        way = ways[each.way]
        if each.way not in words:
            drawn = carriers(way.key, profile)
            soft = np.zeros((len(way.tiles), CODE_BITS))
            for place, tile in enumerate(way.tiles):
                seen = analyse(tile, profile) * weights
                norm = np.sqrt(np.square(seen).sum())
                if norm:
                    signed = seen * drawn.signs / norm
                    soft[place] = np.bincount(drawn.bits, weights=signed, minlength=CODE_BITS)
            words[each.way] = soft
        rows.append(words[each.way] @ codeword(each.number))
    return np.stack(rows)


def _runs(path: NDArray[np.intp]) -> list[tuple[int, int, int]]:
    """Return (first, one past the last, state) of each run."""
    cuts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), len(path)]
    return [(a, b, int(path[a])) for a, b in pairwise(cuts)]


def _to_cuts(marks: list[Found | None], slots: Sequence[Slot], cuts: AbstractSet[int]) -> None:
    """Let the marks go on to the cuts before and after them, where these are near."""
    count = len(slots)
    begins = [
        place == 0 or (slot.shot in cuts and slots[place - 1].shot != slot.shot)
        for place, slot in enumerate(slots)
    ]
    for first, last, gap in _runs(np.array([0 if mark else 1 for mark in marks])):
        inner = [place for place in range(first + 1, last) if begins[place]]
        pieces = []
        if gap and first > 0 and not begins[first]:
            pieces.append((first, inner[0] if inner else last, marks[first - 1]))
        if gap and last < count and not begins[last]:
            pieces.append((inner[-1] if inner else first, last, marks[last]))
        for start, stop, mark in pieces:
            if slots[stop - 1].end - slots[start].start <= _NEAR:
                marks[start:stop] = [mark] * (stop - start)


def _edges(slots: Sequence[Slot]) -> list[float]:
    """Return where slots begin, half-way from the last frame before, and where the last ends."""
    inner = [(a.end + b.start) / 2 for a, b in pairwise(slots)]
    apart = slots[-1].start - slots[-2].end if len(slots) > 1 else 0.0
    return [slots[0].start, *inner, slots[-1].end + max(apart, 0.0)]


def _points(
    slots: Sequence[Slot],
    chosen: Sequence[_Candidate],
    evidence: Callable[[int, int, int], Hypothesis],
) -> list[tuple[float, float]]:
    """Return the middle of each slot, and the log p-value of the likeliest mark around it."""
    middles = np.array([(slot.start + slot.end) / 2 for slot in slots])
    firsts = np.searchsorted(middles, middles - _AROUND, side="left")
    lasts = np.searchsorted(middles, middles + _AROUND, side="right")
    points = []
    for middle, first, last in zip(middles, firsts, lasts, strict=True):
        best = 0.0
        words: dict[int, NDArray[np.float64]] = {}
        for each in chosen:
            if each.way not in words:
                where = evidence(each.way, int(first), int(last))
                words[each.way] = soft_word(where.evidence, where.key, where.profile)
            z = float(words[each.way] @ codeword(each.number))
            best = min(best, log_p(z, each.log_trials))
        points.append((float(middle), best))
    return points


def _joined(parts: Sequence[Stretch]) -> list[Stretch]:
    """Return parts where neighbours that say the same are one, the surer of both."""
    result: list[Stretch] = []
    for part in parts:
        last = result[-1] if result else None
        if last is not None and _name(last.found) == _name(part.found):
            found = last.found
            if found is not None and part.found is not None and part.found.log_p < found.log_p:
                found = part.found
            result[-1] = Stretch(last.start, part.end, found)
        else:
            result.append(part)
    return result


def _name(found: Found | None) -> tuple[int, str] | None:
    return None if found is None else (found.number, found.fingerprint)
