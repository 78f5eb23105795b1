"""Which works the signal of a pile is of, how strong each is, and what scores because of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watermark.attribution import subtract
from watermark.coding import CODE_BITS, codeword
from watermark.decide import Hypothesis, bit_gains, log_p, shares
from watermark.detection import Detection, Found
from watermark.identification import Catalogue, FoundMark
from watermark.trace import Listed, Signal

__all__ = ["Decision", "listed", "row_of", "signals"]

_REGISTERED = 0.99  # of the error probability for registered marks, as in `watermark.decide`
_RANKED = 32  # marks along each way, from which the listed works are taken


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What was decided on at a look, and what came of it.

    Parameters
    ----------
    tried : list of H Hypothesis
    soft : ndarray of float64, shape (H, 256)
        Their soft words, in z units.
    log_more : float
        What was charged besides what `watermark.decide.decide` charges; it is in `detection`.
    detection : Detection
    outputs : int
    """

    tried: list[Hypothesis]
    soft: NDArray[np.float64]
    log_more: float
    detection: Detection
    outputs: int


def row_of(decision: Decision, found: Found) -> int:
    """Return the place of the hypothesis under which a mark was found."""
    return next(
        row
        for row, each in enumerate(decision.tried)
        if each.alignment is found.alignment and each.key.fingerprint == found.fingerprint
    )


def signals(decision: Decision, marks: Sequence[FoundMark]) -> tuple[Signal, ...]:
    """Return the marks that were found, with how strong each is beside the others.

    All marks of the strongest one's key are fitted together along its way of folding; noise has the
    same variance in every soft bit, which gives the errors.

    Parameters
    ----------
    decision : Decision
    marks : sequence of FoundMark
        As many as its detection found, and in that order.
    """
    found = decision.detection.found
    if not found:
        return ()
    where = decision.tried[row_of(decision, found[0])]
    soft = decision.soft[row_of(decision, found[0])]
    same = [place for place, each in enumerate(found) if each.fingerprint == found[0].fingerprint]
    gains = bit_gains(where.key, where.profile)
    words = np.stack([codeword(found[place].number) * gains for place in same])
    words /= gains.sum()  # so that an amplitude is the z that the mark alone would have
    amplitudes, *_ = np.linalg.lstsq(words.T, soft, rcond=None)
    errors = np.sqrt(np.diag(np.linalg.inv(words @ words.T)) / CODE_BITS)
    total = float(np.maximum(amplitudes, 0).sum())
    result = [Signal(each) for each in marks]
    for place, amplitude, error in zip(same, amplitudes, errors, strict=True):
        share = max(0.0, float(amplitude)) / total if total else None
        result[place] = Signal(marks[place], float(amplitude), float(error), share)
    return tuple(result)


def listed(
    decision: Decision, marks: Sequence[FoundMark], catalogue: Catalogue, *, most: int
) -> tuple[Listed, ...]:
    """Return the registered works that score highest.

    Parameters
    ----------
    decision : Decision
    marks : sequence of FoundMark
        Those that were found.
    catalogue : Catalogue
    most : int
        How many works.
    """
    codebook = catalogue.codebook
    if not len(codebook):
        return ()
    ranking = codebook.rank(decision.soft, top=min(_RANKED, len(codebook)))
    charge = decision.log_more + math.log(len(codebook) / _REGISTERED)
    given = np.log(shares(decision.tried))
    best: dict[int, tuple[float, float, int]] = {}  # log p, −z and row of each mark
    for row, (indices, scores) in enumerate(zip(ranking.indices, ranking.scores, strict=True)):
        for index, z in zip(indices, scores, strict=True):
            told = log_p(float(z), charge - float(given[row])), -float(z), row
            number = int(codebook.numbers[index])
            best[number] = min(best.get(number, told), told)
    ordered = sorted(best, key=lambda number: best[number])
    known = catalogue.registry.lookup(ordered)
    named = {each.work.id for each in marks if each.work is not None}
    result: dict[str, Listed] = {}
    for number in ordered:
        if number not in known or len(result) == most:
            continue
        work, mark = known[number]
        value, minus_z, row = best[number]
        if work.id in result:
            continue
        is_named = work.id in named
        without = None if is_named else _without(decision, row, number)
        log10_p = float(value) / math.log(10) + 0.0
        result[work.id] = Listed(work, mark, -minus_z, log10_p, is_named, without)
    return tuple(result.values())


def _without(decision: Decision, row: int, number: int) -> float | None:
    """Return the z of a mark when those that were found under its key are taken out."""
    where = decision.tried[row]
    others = [
        codeword(each.number)
        for each in decision.detection.found
        if each.fingerprint == where.key.fingerprint and each.number != number
    ]
    if not others:
        return None
    gains = bit_gains(where.key, where.profile)
    left = subtract(decision.soft[row], np.stack(others), gain=gains)
    size = float(np.linalg.norm(left))
    return float(left @ codeword(number)) / size if size else 0.0
