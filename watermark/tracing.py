"""Asking a generator: its outputs are added up, decided on as they come, and told.

A `Tracer` takes outputs one at a time, in an order that was settled before any key was used.  After
1, 2, 4, 8 … of them, and at the end, all so far are decided on as one body of evidence; look k is
charged k(k + 1) (`watermark.sequential`), and whoever asks again later, with more outputs, goes on
counting where they stopped.  Each output is decided on by itself as well, and the sum and the
single ones have half of the error probability each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from watermark.coding import codeword
from watermark.controls import Controls, controls
from watermark.decide import decide, needed_z, soft_word
from watermark.detect import Search
from watermark.evidence import Observation
from watermark.feeding import ASPECTS
from watermark.frame import Luma
from watermark.growth import Growth, fitted, within_reach
from watermark.identification import Catalogue, found_mark
from watermark.key import Key
from watermark.near_copies import NearCopies
from watermark.pooling import Pile
from watermark.profile import DEFAULT, Profile
from watermark.sensitivity import Probes, Sensitivity
from watermark.sequential import Looks, charged, log_looks
from watermark.trace import Look, Outlook, Single, Trace
from watermark.trace_works import Decision, listed, row_of, signals

__all__ = ["Tracer"]

_HALF = math.log(2.0)  # of the error probability for the sum, half for single outputs
_LISTED = 12  # works
_SAFETY = 2.0  # z, as in `watermark.detect`: a mark of so much more would hardly be missed
_STANDS_OUT = math.log(0.01)  # p-value from which growth is worth to be foretold


class Tracer:
    """The outputs of one generator, as they come.

    Parameters
    ----------
    keys : sequence of Key
        At least one.
    catalogue : Catalogue, optional
        Without one numbers are decoded and no work is named.
    search : str
        See `watermark.pooling.Pile.hypotheses`.
    aspects : mapping of str to float
        Shapes of the frames that may have been marked.
    looks_before : int
        How often the outputs of this generator were decided on before.
    singly : bool
        Whether each output is decided on by itself as well.
    profile : Profile
    """

    def __init__(
        self,
        keys: Sequence[Key],
        catalogue: Catalogue | None = None,
        *,
        search: Search = "full",
        aspects: Mapping[str, float] = ASPECTS,
        looks_before: int = 0,
        singly: bool = True,
        profile: Profile = DEFAULT,
    ) -> None:
        if not keys or looks_before < 0:
            raise ValueError("at least one key is needed, and looks are counted from 0")
        self.keys, self.catalogue, self.search, self.profile = keys, catalogue, search, profile
        self.pile = Pile(profile, aspects=aspects)
        self.failed = 0
        self._looks = Looks(looks_before)
        self._told: list[Look] = []
        self._words: list[tuple[int, dict[str, NDArray[np.float32]]]] = []
        self._last: Decision | None = None
        self._probes = Probes(profile)
        self._codebook = catalogue.codebook if catalogue else None
        self._works = catalogue.work_index if catalogue else None
        self._singles: NearCopies | None = None
        if singly:
            self._singles = NearCopies(
                keys, self._codebook, work_index=self._works, profile=profile, aspects=aspects
            )

    def add(self, name: str, observation: Observation, plane: Luma) -> Look | None:
        """Take an output, and decide on all so far where it is time to.

        Parameters
        ----------
        name : str
        observation : Observation
            Of one frame.
        plane : ndarray of float32, shape (H, W)
            Its luma.
        """
        self.pile.add(observation)
        if self._probes.wanted:
            self._probes.add(plane)
        if self._singles is not None:
            self._singles.add(name, observation)
        return self._look() if Looks.due(self.pile.outputs) else None

    def _look(self) -> Look:
        outputs = self.pile.outputs
        tried = self.pile.hypotheses(self.keys, search=self.search)
        log_more = self._looks.charge() + (_HALF if self._singles is not None else 0.0)
        detection = decide(tried, self._codebook, work_index=self._works)
        detection = charged(detection, log_more)
        soft = np.stack([soft_word(each.evidence, each.key, each.profile) for each in tried])
        self._last = Decision(tried, soft, log_more, detection, outputs)
        by_key: dict[str, list[NDArray[np.float32]]] = {}
        for each, word in zip(tried, soft, strict=True):
            by_key.setdefault(each.key.fingerprint, []).append(word.astype(np.float32))
        # What is kept of a look is small, and enough to draw how any mark has grown.
        self._words.append((outputs, {name: np.stack(all_) for name, all_ in by_key.items()}))
        best = detection.best
        look = Look(self._looks.taken, outputs, best.z, _log10(best.log_p), detection.verdict)
        self._told.append(look)
        return look

    def trace(self, *, draws: int = 2000, seed: int = 0) -> Trace:
        """Decide on all outputs, and tell what there is to tell.

        Parameters
        ----------
        draws : int
            Wrong keys, as `watermark.controls.controls` takes them; 0 for none.
        seed : int

        Raises
        ------
        ValueError
            If there was no output.
        """
        if self._last is None or self._last.outputs != self.pile.outputs:
            self._look()
        last = self._last
        assert last is not None, "it has just been decided"
        detection, best = last.detection, last.detection.best
        sensitivity = self._sensitivity(last)
        verdict = detection.verdict
        if verdict == "not-found" and sensitivity is not None and not sensitivity.enough:
            verdict = "inconclusive"
        curve = tuple(
            (outputs, float((words[best.fingerprint] @ codeword(best.number)).max()))
            for outputs, words in self._words
        )
        growth = fitted(curve) if best.log_p <= _STANDS_OUT else None
        numbers = {each.number for each in detection.found}
        singles = [] if self._singles is None else self._singles.found(log_more=_HALF)
        numbers |= {each.found.number for each in singles}
        known = self.catalogue.registry.lookup(sorted(numbers)) if self.catalogue else {}
        marks = [found_mark(each, known) for each in detection.found]
        return Trace(
            verdict=verdict,
            outputs=last.outputs,
            failed=self.failed,
            sizes=len(self.pile.sizes),
            z=best.z,
            log10_p=_log10(best.log_p),
            needed=needed_z(detection.log_trials),
            way=best.alignment.name,
            ways=len(last.tried),
            signals=signals(last, marks),
            listed=listed(last, marks, self.catalogue, most=_LISTED) if self.catalogue else (),
            marks=None if self._codebook is None else len(self._codebook),
            looks=tuple(self._told),
            curve=curve,
            growth=growth,
            outlook=self._outlook(last, growth),
            sensitivity=sensitivity,
            controls=_controls(last, draws, seed),
            singles=tuple(Single(each.name, found_mark(each.found, known)) for each in singles),
            fingerprint=best.fingerprint,
        )

    def _sensitivity(self, last: Decision) -> Sensitivity | None:
        needed = needed_z(last.detection.log_trials) + _SAFETY
        return self._probes.sensitivity(last.tried[0].evidence.tile, last.outputs, needed)

    def _outlook(self, last: Decision, growth: Growth | None) -> Outlook:
        detection = last.detection
        if detection.verdict == "detected":
            return Outlook("settled")
        if growth is None:
            return Outlook("nothing")
        dearer = log_looks(self._looks.taken + 1) - log_looks(self._looks.taken)
        more = within_reach(growth, needed_z(detection.log_trials + dearer), last.outputs)
        return Outlook("never") if more is None else Outlook("more", more)


def _controls(last: Decision, draws: int, seed: int) -> Controls | None:
    """Ask wrong keys about the strongest mark, on the sums of its own key's alignments."""
    if not draws:
        return None
    best = last.detection.best
    row = row_of(last, best)
    same = [place for place, each in enumerate(last.tried) if each.key == last.tried[row].key]
    tried = [last.tried[place] for place in same]
    return controls(tried, same.index(row), best.number, draws=draws, seed=seed)


def _log10(natural: float) -> float:
    return float(natural) / math.log(10) + 0.0  # −0.0 would be printed with its sign
