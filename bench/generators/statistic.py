"""What the product says about a pile of outputs, after 1, 2, 4, 8 … of them.

This is `watermark.pooling` as `sukashi trace` uses it, without its search for the pilot, and the
wrong keys of `watermark.controls`; nothing here is told where the mark lies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.generators.frames import WORKS, key
from bench.generators.sets import Pictures
from bench.stills import registry
from watermark.coding import codeword
from watermark.controls import controls
from watermark.decide import Hypothesis, decide, soft_word
from watermark.detect import observe
from watermark.evidence import Observation
from watermark.feeding import ASPECTS
from watermark.identification import looked_up
from watermark.identify import Codebook
from watermark.pattern import carriers
from watermark.pooling import Pile
from watermark.sequential import Looks, charged
from watermark.trace_works import Decision, signals
from watermark.transform import analyse, levels

__all__ = ["MARKS", "WRONG_KEYS", "catalogue", "measured"]

MARKS = 10_000  # registered, those of `WORKS` among them
WRONG_KEYS = 1000
_ALONE = 8  # outputs that are looked at one by one
_SEED = 1


@lru_cache(maxsize=1)
def catalogue() -> Codebook:
    """Return the registered marks."""
    others = registry(MARKS - len(WORKS), _SEED).numbers
    return Codebook(np.concatenate([np.array(WORKS, np.uint64), others]))


def measured(
    pictures: Pictures, works: Sequence[int], *, wrong: int = WRONG_KEYS
) -> dict[str, Any]:
    """Return what is found in outputs of one size, in the order in which they come.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (N, S, S, 3)
    works : sequence of int
        Positions in `WORKS` of the marks that were in the training set; none for a clean model.
    wrong : int
        Wrong keys.

    Returns
    -------
    dict
        ``growth``: for each look, the outputs so far and the z of each work.
        ``z``: of each work in all outputs, at the best of the places that are tried.
        ``alone``: the median of a work's z in one of the first outputs, at the same place.
        ``by_level``: of the first work's, in the chips of wavelet levels 2 and 3 alone.
        ``log10_p``: of the verdict, everything counted, looks too.
        ``named``: works that were found, by position; ``others``: how many else were.
        ``shares``: of the signal, for each of ``named``, with their standard errors.
        ``largest_wrong``: of the first work's code word under wrong keys, over all places;
        ``largest_wrong_here``: at its own; ``wrong_normal_p``: of a test that the latter are
        standard normals; ``rank_p``: by counting them.
    """
    numbers = [WORKS[work] for work in works] or [WORKS[0]]
    pile, looks = Pile(), Looks()
    growth: list[dict[str, Any]] = []
    seen: list[Observation] = []
    tried: list[Hypothesis] = []
    scores = np.zeros((0, len(numbers)))
    charge = 0.0
    for at, picture in enumerate(pictures, 1):
        one = observe([picture])
        pile.add(one)
        seen += [one] if at <= _ALONE else []
        if Looks.due(at) or at == len(pictures):
            charge = looks.charge()
            tried = pile.hypotheses([key()], search="fast")
            scores = _scores(tried, numbers)
            growth.append({"outputs": at, "z": scores.max(axis=0).tolist()})
    places = [int(place) for place in scores.argmax(axis=0)]
    detection = charged(decide(tried, catalogue()), charge)
    against = controls(tried, places[0], numbers[0], draws=wrong)
    found = [each.number for each in detection.found]
    soft = np.stack([soft_word(each.evidence, each.key, each.profile) for each in tried])
    marks = looked_up(detection, None, (pictures.shape[2], pictures.shape[1])).found
    decision = Decision(tried, soft, charge, detection, len(pictures))
    strengths = {each.mark.number: each for each in signals(decision, marks)}
    total = sum(max(0.0, each.amplitude or 0.0) for each in strengths.values())
    return {
        "growth": growth,
        "z": growth[-1]["z"],
        "alone": _alone(seen, [tried[place].alignment.name for place in places], numbers),
        "by_level": _by_level(tried[places[0]], numbers[0]),
        "place": tried[places[0]].alignment.name,
        "places": len(tried),
        "verdict": detection.verdict,
        "log10_p": float(detection.best.log_p / math.log(10)),
        "named": [works[numbers.index(n)] for n in found if n in numbers and works],
        "shares": [
            [strengths[n].share, (strengths[n].error or 0.0) / total]
            for n in found
            if n in numbers and works
        ],
        "others": sum(number not in numbers or not works for number in found),
        "largest_wrong": float(against.largest.max()),
        "largest_wrong_here": float(against.single.max()),
        "wrong_normal_p": against.normal_p,
        "rank_p": against.rank_p,
    }


def _scores(tried: Sequence[Hypothesis], numbers: Sequence[int]) -> NDArray[np.float64]:
    """Return z of each place and number."""
    soft = np.stack([soft_word(each.evidence, each.key, each.profile) for each in tried])
    return np.asarray(soft @ np.stack([codeword(number) for number in numbers]).T)


def _by_level(hypothesis: Hypothesis, number: int) -> list[float]:
    """Return the z of a code word in the chips of each wavelet level alone, at most √chips."""
    profile = hypothesis.profile
    drawn = carriers(hypothesis.key, profile)
    seen = analyse(hypothesis.evidence.tile, profile)
    scores = seen * drawn.signs * codeword(number)[drawn.bits]
    result = []
    for two, three in ((1.0, 0.0), (0.0, 1.0)):
        mine = levels(profile, two=two, three=three) > 0
        result.append(float(scores[mine].sum() / np.linalg.norm(seen[mine])))
    return result


def _alone(
    seen: Sequence[Observation], names: Sequence[str], numbers: Sequence[int]
) -> list[float]:
    """Return for each number the median of its z in one picture, at the place of that name."""
    each: list[list[float]] = [[] for _ in numbers]
    shapes = {name: shape for name, shape in ASPECTS.items() if any(name in n for n in names)}
    for one in seen:
        pile = Pile(aspects=shapes)
        pile.add(one)
        tried = {h.alignment.name: h for h in pile.hypotheses([key()], search="fast")}
        for values, name, number in zip(each, names, numbers, strict=True):
            values.append(float(_scores([tried[name]], [number])[0, 0]))
    return [float(np.median(values)) for values in each]
