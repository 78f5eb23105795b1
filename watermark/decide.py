"""From evidence to a verdict: `decide` turns any sum of residuals into a `Detection`.

With secret fair signs ε and any numbers t computed without them, P(Σ ε t ≥ z·‖t‖) ≤ 3.178 Q(z)
for every content, where Q is the normal tail (`watermark.signsum.log_unit_tail`, Bentkus and
Dzindzalieta 2015).  So the p-value of the best of several decisions is at most that bound times
their number:

    log p = min(0, log_trials + log(3.178 Q(z)))

`log_trials` counts keys × profiles × alignments × code words.  Alignments do not count alike: those
that need no search, where a mark is if nobody moved it, share one half of the error probability,
and all that the search came up with share the other.  That is Bonferroni's bound with weights, and
as true as without (C. R. Genovese, K. Roeder and L. Wasserman, 2006, DOI 10.1093/biomet/93.3.509),
since no weight hangs on the message's signs.
With a registry two families are tested: the registered code words, which get `REGISTERED` of the
error probability, and all 2**48 numbers, which get the rest, so that a mark of this key that nobody
registered is still seen.

That the key's mark is there and whose it is are two questions; `watermark.attribution` answers the
second, and a work is named only when the name is wrong with probability 1e-3 at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment
from watermark.attribution import Attribution, attribute, log_p_further, subtract
from watermark.coding import CODE_BITS, PAYLOAD_BITS, codeword, decode
from watermark.detection import Candidate, Detection, Found, Verdict
from watermark.evidence import Evidence
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pattern import carriers
from watermark.profile import Profile
from watermark.signsum import log_unit_tail, unit_quantile
from watermark.transform import analyse, levels

__all__ = [
    "DETECTED",
    "INDICATED",
    "REGISTERED",
    "Hypothesis",
    "bit_gains",
    "decide",
    "log_p",
    "needed_z",
    "shares",
    "soft_word",
]

DETECTED = float(np.log(1e-9))  # presence p-value at most
INDICATED = float(np.log(1e-6))

REGISTERED = 0.99  # of the error probability, for marks that are registered
_PLAIN = 0.5  # of the error probability, for alignments that need no search
_BLIND_TRIALS = PAYLOAD_BITS * float(np.log(2.0))
_MOST_WORKS = 8  # in one picture
_CANDIDATES = 4


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One alignment under one key, with the evidence folded along it.

    Parameters
    ----------
    evidence : Evidence
    alignment : Alignment
    key : Key
    profile : Profile
    plain : bool
        Whether it is decided on in every picture, whatever a search finds: see `shares`.
    """

    evidence: Evidence
    alignment: Alignment
    key: Key
    profile: Profile
    plain: bool = False


def log_p(z: float, log_trials: float) -> float:
    """Return the log p-value of the best of exp(`log_trials`) decisions, at most 0."""
    return min(0.0, log_trials + float(log_unit_tail(z)))


def needed_z(log_trials: float) -> float:
    """Return the z at which the verdict becomes ``detected``."""
    return unit_quantile(DETECTED - log_trials)


def shares(hypotheses: Sequence[Hypothesis]) -> NDArray[np.float64]:
    """Return the share of the error probability that each hypothesis gets; they sum to 1."""
    plain = np.array([each.plain for each in hypotheses])
    count, others = int(plain.sum()), int((~plain).sum())
    if not count or not others:
        return np.full(len(plain), 1 / len(plain))
    return np.where(plain, _PLAIN / count, (1 - _PLAIN) / others)


def soft_word(evidence: Evidence, key: Key, profile: Profile) -> NDArray[np.float64]:
    """Return the soft code word in z units: its product with a code word of ±1 is that word's z.

    Returns
    -------
    ndarray of float64, shape (256,)
        Zeros if the evidence is empty.
    """
    drawn = carriers(key, profile)
    weights = levels(profile, two=profile.weight2, three=profile.weight3)
    seen = analyse(evidence.tile, profile) * weights
    norm = np.sqrt(np.square(seen).sum())
    if norm == 0:
        return np.zeros(CODE_BITS)
    soft = np.bincount(drawn.bits, weights=seen * drawn.signs / norm, minlength=CODE_BITS)
    return np.asarray(soft, np.float64)


def bit_gains(key: Key, profile: Profile) -> NDArray[np.float64]:
    """Return how strongly each code bit answers to a mark, in any unit."""
    gains = levels(profile, two=profile.gain2, three=profile.gain3)
    weights = levels(profile, two=profile.weight2, three=profile.weight3)
    bits = carriers(key, profile).bits
    total = np.bincount(bits, weights=gains * weights, minlength=CODE_BITS)
    return np.asarray(total, np.float64)


def decide(
    hypotheses: Sequence[Hypothesis],
    codebook: Codebook | None = None,
    *,
    work_index: NDArray[np.integer] | None = None,
    given: NDArray[np.float64] | None = None,
) -> Detection:
    """Decide whether a mark is there and which.

    Parameters
    ----------
    hypotheses : sequence of Hypothesis, at least one
        Every alignment, key and profile that is decided on; their number is charged.
    codebook : Codebook, optional
        All registered marks.  Without one the decoded number stands alone.
    work_index : ndarray of int, shape (M,), optional
        Equal for marks of one work, which are then no rivals of each other.
    given : ndarray of shape (H,), optional
        What each hypothesis gets of the error probability, in sum at most 1; by default `shares`.

    Returns
    -------
    Detection
        Never ``inconclusive``: that needs the picture, see `watermark.detect.detect`.
    """
    if not hypotheses:
        raise ValueError("there is nothing to decide on")
    soft = np.stack([soft_word(each.evidence, each.key, each.profile) for each in hypotheses])
    tried = -np.log(shares(hypotheses) if given is None else given)
    if codebook is None or len(codebook) == 0:
        number, row, z = _best_decoded(soft, tried)
        trials = tried + _BLIND_TRIALS
        best = _found(hypotheses[row], number, z, log_p(z, trials[row]))
        return _detection(best, (), (), float(trials.min()), len(hypotheses))

    trials = tried + float(np.log(len(codebook)) - np.log(REGISTERED))
    blind_trials = tried + _BLIND_TRIALS - float(np.log(1 - REGISTERED))
    ranking = codebook.rank(soft, top=min(_CANDIDATES, len(codebook)))
    row = _surest(ranking.scores[:, 0], trials)
    alone = ranking.of(row)
    (named,) = attribute(codebook, soft[row], alone, work_index=work_index)
    best = _from_attribution(hypotheses[row], named, codebook, log_p(named.score, trials[row]))
    candidates = tuple(
        Candidate(int(codebook.numbers[index]), float(score))
        for index, score in zip(alone.indices[0], alone.scores[0], strict=True)
    )
    number, blind_row, z = _best_decoded(soft, tried)
    blind = log_p(z, blind_trials[blind_row])
    if codebook.find([number])[0] < 0 and blind < best.log_p:
        # Nobody registered this one, but registered marks may stand beside it.
        best = _found(hypotheses[blind_row], number, z, blind)
        row, first_trials = blind_row, float(blind_trials.min())
    else:
        first_trials = float(trials.min())
    works = [_Work(row, best)]
    if best.log_p <= INDICATED:
        works += _further(hypotheses, soft, works[0], codebook, trials)
    if len(works) > 1:
        works = _told_apart(hypotheses, soft, works, codebook, work_index)
    further = [each.found for each in works[1:]]
    return _detection(works[0].found, further, candidates, first_trials, len(hypotheses))


class _Work(NamedTuple):
    """A mark and the hypothesis, by its row, under which it was found."""

    row: int
    found: Found


def _detection(
    best: Found,
    further: Sequence[Found],
    candidates: tuple[Candidate, ...],
    log_trials: float,
    alignments: int,
) -> Detection:
    verdict: Verdict = "not-found"
    if best.log_p <= INDICATED:
        verdict = "detected" if best.log_p <= DETECTED else "indicated"
    found = (best, *further) if verdict != "not-found" else ()
    return Detection(verdict, best, found, candidates, log_trials, alignments)


def _found(
    where: Hypothesis,
    number: int,
    z: float,
    presence: float,
    *,
    wrong: float = np.nan,
    registered: bool = False,
    model_based: bool = False,
) -> Found:
    name = where.evidence.fingerprint, where.evidence.profile
    return Found(number, registered, z, presence, wrong, model_based, *name, where.alignment)


def _from_attribution(
    where: Hypothesis,
    named: Attribution,
    codebook: Codebook,
    presence: float,
    *,
    z: float | None = None,
) -> Found:
    return _found(
        where,
        int(codebook.numbers[named.index]),
        named.score if z is None else z,
        presence,
        wrong=named.log_p_wrong_work,
        registered=True,
        model_based=z is not None,
    )


def _surest(scores: NDArray[np.floating], trials: NDArray[np.float64]) -> int:
    """Return the row whose score, for what its hypothesis is charged, is the least likely."""
    return int(np.argmin(trials + log_unit_tail(np.asarray(scores, np.float64))))


def _best_decoded(soft: NDArray[np.float64], trials: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return the number, the row and the z of the surest blind decoding."""
    numbers = decode(soft)
    words = np.stack([codeword(int(number)) for number in numbers])
    scores = (soft * words).sum(axis=1)
    row = _surest(scores, trials)
    return int(numbers[row]), row, float(scores[row])


def _further(
    hypotheses: Sequence[Hypothesis],
    soft: NDArray[np.float64],
    first: _Work,
    codebook: Codebook,
    log_trials: NDArray[np.float64],
) -> list[_Work]:
    """Return the other works in the same picture: take out what was found and test again.

    Each step is a further test only where the one before found something, so all are charged alike.
    """
    works = [first]
    while len(works) < _MOST_WORKS:
        known = {each.found.number for each in works}
        words = np.stack([codeword(number) for number in known])
        best: _Work | None = None
        for row, (where, word) in enumerate(zip(hypotheses, soft, strict=True)):
            left = subtract(word, words, gain=bit_gains(where.key, where.profile))
            ranking = codebook.rank(left, top=1)
            (presence,) = log_p_further(ranking.scores[0], left, log_trials=log_trials[row])
            number = int(codebook.numbers[ranking.indices[0, 0]])
            if presence > (best.found.log_p if best else DETECTED) or number in known:
                continue
            z = float(word @ codeword(number))
            extra = _found(where, number, z, float(presence), registered=True, model_based=True)
            best = _Work(row, extra)
        if best is None:
            break
        works.append(best)
    return works[1:]


def _told_apart(
    hypotheses: Sequence[Hypothesis],
    soft: NDArray[np.float64],
    works: list[_Work],
    codebook: Codebook,
    work_index: NDArray[np.integer] | None,
) -> list[_Work]:
    """Return the works, each with the chance of a wrong name when all the others are taken out."""
    result = []
    for row, found in works:
        if not found.registered:
            result.append(_Work(row, found))
            continue
        others = [codeword(each.found.number) for each in works if each.found is not found]
        where = hypotheses[row]
        left = subtract(soft[row], np.stack(others), gain=bit_gains(where.key, where.profile))
        ranking = codebook.rank(left, top=1)
        (named,) = attribute(codebook, left, ranking, work_index=work_index)
        same = int(codebook.numbers[named.index]) == found.number
        wrong = named.log_p_wrong_work if same else 0.0
        result.append(_Work(row, replace(found, log_p_wrong_work=wrong)))
    return result
