"""One picture through the benchmark: marked by each system, changed by each attack, decided on.

A trial hangs on the picture, the attack, its draw and the seed, on nothing else, so that all
systems meet the same rotations, crops and noise, and a run can be split and repeated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench import ssimulacra, vmaf
from bench.corpus import Picture, load
from bench.fidelity import flat_blocks
from bench.identities import FAMILY_WISE, Identities, Outcome
from bench.jod import jod, why_not
from bench.peers import PeerError, System
from bench.peers.systems import Pixels
from bench.plan import Step
from watermark.frame import luma
from watermark.quality import psnr, ssim

__all__ = ["Bench", "Marking", "Row"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Marking:
    """One system at one visibility.

    Parameters
    ----------
    system : System
    identities : Identities
        All that are registered.
    visibility : str
        ``default`` or ``equal``.
    amount : float
        Times its default strength.
    """

    system: System
    identities: Identities
    visibility: str
    amount: float


@dataclass(frozen=True, slots=True)
class Bench:
    """What is to be done with each picture.

    Parameters
    ----------
    markings : sequence of Marking
    steps : sequence of Step
    corpus : sequence of Picture
        Where further pictures come from.
    draws : int
        Of each attack.
    seed : int
    done : frozenset
        Trials that stand in rows already, see `bench.shards.finished`.
    """

    markings: Sequence[Marking]
    steps: Sequence[Step]
    corpus: Sequence[Picture]
    draws: int
    seed: int
    done: frozenset[tuple[Any, ...]]

    def rows(self, picture: Picture, marking: Marking) -> Iterator[Row]:
        """Yield the rows of one picture and marking that are not done yet."""
        left = [place for place in self._places(marking) if self._open(place, picture)]
        if left:
            yield from self._marked(picture, load(picture), marking, left)

    def count(self, picture: Picture) -> dict[str, int]:
        """Return how many rows of each system are not done yet."""
        counts: dict[str, int] = {}
        for marking in self.markings:
            open_ones = [each for each in self._places(marking) if self._open(each, picture)]
            counts[marking.system.name] = counts.get(marking.system.name, 0) + len(open_ones)
        return counts

    def _places(self, marking: Marking) -> list[Row]:
        """Return where each row of a marking stands, with its step under ``step``."""
        named: Row = {
            "system": marking.system.name,
            "visibility": marking.visibility,
            "kind": "image",
        }
        about = named | {"curve": "", "strength": None, "draw": 0, "step": None}
        rows = [about | {"family": "fidelity", "group": "", "attack": "none"}]
        rows.append(about | {"family": "null", "group": "", "attack": "unmarked pictures"})
        rows += [
            named
            | {
                "family": step.family,
                "group": step.group,
                "curve": step.curve,
                "attack": step.attack.name,
                "strength": step.strength,
                "draw": draw,
                "step": step,
            }
            for step in self.steps
            for draw in range(self.draws)
        ]
        return rows

    def _open(self, place: Row, picture: Picture) -> bool:
        names = ("system", "visibility", "kind", "family", "attack", "strength")
        trial = (*(place[name] for name in names), picture.sha256, place["draw"])
        return trial not in self.done

    def _marked(
        self, picture: Picture, original: Pixels, marking: Marking, left: Sequence[Row]
    ) -> Iterator[Row]:
        system, identities = marking.system, marking.identities
        index = int(picture.rng(self.seed, "mark").integers(len(identities)))
        about = {"picture": picture.name, "sha256": picture.sha256, "amount": marking.amount}
        start = time.perf_counter()
        try:
            marked = system.embed(original, identities[index], marking.amount)
        except PeerError as error:
            failed = asdict(Outcome(error=f"{type(error).__name__}: {error}"))
            failed["seconds"] = (time.perf_counter() - start) / len(left)
            for place in left:
                yield _row(place) | about | failed
            return
        for place in left:
            start = time.perf_counter()
            if place["family"] == "fidelity":
                told = fidelity(original, marked)
            else:
                seen = original if place["step"] is None else self._changed(picture, marked, place)
                shape = original.shape[0], original.shape[1]
                outcome = system.decide(seen, shape, identities, index, marking.amount)
                told = asdict(outcome)
                if place["family"] == "null":
                    told["found"] = bool(outcome.log10_p <= math.log10(FAMILY_WISE))
            yield _row(place) | about | told | {"seconds": time.perf_counter() - start}

    def _changed(self, picture: Picture, marked: Pixels, place: Row) -> Pixels:
        step: Step = place["step"]
        rng = picture.rng(self.seed, f"{step.family} {step.attack.name}, draw {place['draw']}")
        if step.original:
            others = [load(picture)]
        else:
            rivals = [each for each in self.corpus if each != picture]
            chosen = rng.choice(len(rivals), step.attack.others, replace=False)
            others = [load(rivals[each]) for each in chosen]
        return step.attack.change(marked, rng, *others)


def _row(place: Mapping[str, Any]) -> Row:
    return {name: value for name, value in place.items() if name != "step"}


def fidelity(original: Pixels, marked: Pixels) -> Row:
    """Return what marking cost a picture; the flats are those of the rounded result."""
    host, changed = luma(original), luma(marked)
    energy, _ = flat_blocks(host, changed - host)
    worst = float(np.sqrt(energy.max())) if energy.size else math.nan
    return {
        "found": True,
        "error": None,
        "psnr": psnr(original, marked),
        "ssim": ssim(original, marked),
        "jod": jod(original, marked) if why_not() is None else math.nan,
        "vmaf": vmaf.of_picture(host, changed) if vmaf.why_not() is None else math.nan,
        "ssimulacra2": (
            ssimulacra.ssimulacra2(original, marked) if ssimulacra.why_not() is None else math.nan
        ),
        "flat_rms": worst,
    }
