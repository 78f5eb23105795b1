"""How sure is the *name*: the probability that the best-scoring mark belongs to the wrong work.

Whether a mark is there at all is another question, answered by the p-value.
Here a mark of this key is taken to be there, and all that could have been it compete: every
registered mark, and a mark that nobody registered.

The model is the Gaussian channel: with the mark's code word c and amplitude a, in z units, soft bit
b is normal with mean c_b a/256 and variance 1/256.
Then a score s has the likelihood ratio exp(a s − a²/2) against no mark, and with an amplitude about
which nothing is known but that it is at least `LOWEST`,

    ∫ exp(a s − a²/2) da  =  √(2π) · exp(s²/2) · Φ(s − LOWEST),        a from LOWEST to infinity.

Each rival is given its own amplitude in this way, so nothing has to be corrected for the winner
having been picked as the largest, and one pass over the scores is enough.

The rivals below a ranking's cut, and the 2**48 numbers that are not registered, are counted by
their expectation over random code words, that is over fair signs.
(Such scores are not quite normal: seven standard deviations are ten times rarer.)
Unregistered ones score no more than the best that the blind decoder found, and that one is entered
by itself.

Several works can be in one picture: `subtract` takes those found out, and `log_p_further` tests
what is left.  Its p-value does not rest on the key, which what is left depends on, but on
registered mark numbers having been drawn at random; it is labelled as model-based.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, logsumexp

from watermark.coding import CODE_BITS, PAYLOAD_BITS, check_soft, decode, encode, unpack
from watermark.identify import Codebook, Ranking
from watermark.signsum import cumulants, log_tail, tilt_to

__all__ = ["LOWEST", "UNREGISTERED", "Attribution", "attribute", "log_p_further", "subtract"]

# Amplitude in z units.  No verdict is given on less: even one code word at one alignment needs
# z = 5.3 for p = 1e-6 and 6.4 for 1e-9.
LOWEST = 6.0
# Prior share of marks under a key that the registry does not know: marks are registered before
# they are released, so this takes a lost entry or another registry.
UNREGISTERED = 0.001

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_REACH = 14.0  # z units below which the expectations are not integrated: less than 1e-20 of them


@dataclass(frozen=True, slots=True)
class Attribution:
    """Which registered mark a soft word most likely carries, and how likely that work is wrong.

    Parameters
    ----------
    index : int
        Position of the best-scoring mark in the codebook, −1 if the codebook is empty.
    score : float
        Its score, in z units; −inf if the codebook is empty.
    log_p_wrong_work : float
        Log of the probability that the mark belongs to another work or is not registered.
    log_p_unregistered : float
        Log of the probability that it is not registered, a part of the former.
    blind_number, blind_score : int, float
        What the blind decoder read, registered or not.
    """

    index: int
    score: float
    log_p_wrong_work: float
    log_p_unregistered: float
    blind_number: int
    blind_score: float

    @property
    def log10_p_wrong_work(self) -> float:
        """The same to base 10, as it is printed."""
        return self.log_p_wrong_work / math.log(10.0)


def attribute(
    codebook: Codebook,
    soft: ArrayLike,
    ranking: Ranking,
    *,
    work_index: NDArray[np.integer] | None = None,
    lowest: float = LOWEST,
    unregistered: float = UNREGISTERED,
) -> tuple[Attribution, ...]:
    """Give the probability that the best-scoring mark's work is the wrong one.

    Parameters
    ----------
    codebook : Codebook of M marks
    soft : array_like of float, shape (B, 256) or (256,)
        Soft words in z units.
    ranking : Ranking
        What ``codebook.rank(soft)`` returned.
    work_index : ndarray of int, shape (M,), optional
        Equal for marks of one work; marks of the named work are then no rivals.
    lowest : float
        Smallest amplitude, in z units, thought possible.
    unregistered : float
        Prior share of unregistered marks, in [0, 1).

    Returns
    -------
    tuple of B Attribution

    Raises
    ------
    ValueError
        If the shapes do not fit together or `unregistered` is outside [0, 1).
    """
    words = check_soft(soft)
    if len(words) != len(ranking.norms) or ranking.marks != len(codebook):
        raise ValueError("the ranking is of other soft words or of another codebook")
    if work_index is not None and np.shape(work_index) != (len(codebook),):
        raise ValueError(f"work_index needs one entry for each of {len(codebook)} marks")
    if not 0.0 <= unregistered < 1.0:
        raise ValueError(f"the share of unregistered marks is in [0, 1), this is {unregistered}")
    works = np.arange(len(codebook)) if work_index is None else np.asarray(work_index)
    numbers = decode(words)
    blind = np.einsum("bn,bn->b", unpack(encode(numbers)), words)
    known = codebook.find(numbers) >= 0
    if len(codebook) == 0:
        return tuple(
            Attribution(-1, -math.inf, 0.0, 0.0, int(number), float(score))
            for number, score in zip(numbers, blind, strict=True)
        )

    best = ranking.scores[:, 0]
    log_marks = math.log(len(codebook))
    # Of random marks this many score below the cut, so the mean is wanted over all of them.
    below = np.full(len(words), -math.inf)
    partly = np.isfinite(ranking.cut)
    below[partly] = log_marks + _log_mean_evidence(words[partly], ranking.cut[partly], lowest)
    elsewhere = np.full(len(words), -math.inf)
    if unregistered > 0:
        elsewhere = _log_mean_evidence(words, np.maximum(blind, best), lowest)
        decoded = _log_evidence(blind, lowest) - PAYLOAD_BITS * math.log(2.0)
        elsewhere = np.where(known, elsewhere, np.logaddexp(elsewhere, decoded))
        elsewhere += math.log(unregistered)
    prior = math.log1p(-unregistered) - log_marks

    result = []
    for row, named in enumerate(ranking.indices[:, 0]):
        indices = ranking.high_indices[row]
        own = works[indices] == works[named]
        evidence = _log_evidence(ranking.high_scores[row].astype(np.float64), lowest)
        evidence[indices == named] = _log_evidence(best[row : row + 1], lowest)
        right = prior + _logsum(evidence[own])
        wrong = prior + np.logaddexp(_logsum(evidence[~own]), below[row])
        against = np.logaddexp(wrong, elsewhere[row])
        total = np.logaddexp(against, right)
        result.append(
            Attribution(
                index=int(named),
                score=float(best[row]),
                log_p_wrong_work=float(against - total),
                log_p_unregistered=float(elsewhere[row] - total),
                blind_number=int(numbers[row]),
                blind_score=float(blind[row]),
            )
        )
    return tuple(result)


def _log_evidence(scores: NDArray[np.float64], lowest: float) -> NDArray[np.float64]:
    """Log of the likelihood ratio of each score, the amplitude integrated out, less log √(2π)."""
    return np.square(scores) / 2 + log_ndtr(scores - lowest)


def _log_mean_evidence(
    words: NDArray[np.float64], limits: NDArray[np.float64], lowest: float
) -> NDArray[np.float64]:
    """Log of the mean over random code words of what `_log_evidence` gives to scores < `limits`.

    The density of the scores is Daniels' saddle-point approximation at each tilt t: with K the
    cumulant generating function, exp(K − t K') / √(2π K'') at the score K'(t).

    References
    ----------
    H. E. Daniels, "Saddlepoint approximations in statistics", 1954. DOI 10.1214/aoms/1177728652
    """
    means = np.full(len(words), float(log_ndtr(-lowest)))  # of an empty word all scores are 0
    tops = tilt_to(words, limits)
    for row in np.flatnonzero(words.any(axis=1)):
        energy = float(words[row] @ words[row])
        bottom = min(limits[row], lowest) - _REACH * max(math.sqrt(energy), 1.0)
        half = (tops[row] - bottom / energy) / 2
        tilt = tops[row] - half * (1 - _NODES)
        log_mean, score, curvature = cumulants(words[row], tilt)
        log_density = log_mean - tilt * score + np.log(curvature / (2 * np.pi)) / 2
        means[row] = logsumexp(log_density + _log_evidence(score, lowest), b=half * _WEIGHTS)
    return means


def _logsum(logs: NDArray[np.float64]) -> float:
    return float(logsumexp(logs)) if logs.size else -math.inf


def subtract(
    soft: ArrayLike, codewords: ArrayLike, *, gain: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Take code words out of a soft word: what is left after the best fit of all of them.

    Parameters
    ----------
    soft : array_like of float, shape (256,)
    codewords : array_like of ±1, shape (K, 256) or (256,)
        The words found so far; all are fitted together.
    gain : array_like of float, shape (256,), optional
        How strongly each code bit answers to a mark, in any unit; all alike if not given.

    Returns
    -------
    ndarray of float64, shape (256,)
        Orthogonal to each code word times `gain`.

    Raises
    ------
    ValueError
        If a shape is wrong or a value is not finite.
    """
    word = check_soft(soft)
    if len(word) != 1:
        raise ValueError("words are subtracted from one soft word at a time")
    columns = np.atleast_2d(np.asarray(codewords, np.float64))
    if gain is not None:
        columns = columns * np.asarray(gain, np.float64)
    if columns.ndim != 2 or columns.shape[1] != CODE_BITS or not np.isfinite(columns).all():
        raise ValueError(f"code words and gains have {CODE_BITS} finite entries each")
    fitted, *_ = np.linalg.lstsq(columns.T, word[0], rcond=None)
    return np.asarray(word[0] - fitted @ columns)


def log_p_further(
    scores: ArrayLike, residuals: ArrayLike, *, log_trials: float
) -> NDArray[np.float64]:
    """Log p-value, model-based, of another work's mark in what `subtract` left.

    A registered number that was drawn without regard to the picture has a code word of fair signs,
    independent of the residual, whatever the first mark and uneven gains have left there; so the
    tail of random signs bounds it.  This takes the code's bits for independent, where a linear
    code has 48 of them.

    Parameters
    ----------
    scores : array_like of float, shape (B,)
        ``residual @ codeword``, in the unit of the residuals.
    residuals : array_like of float, shape (B, 256)
        A single score may come with a single residual of shape (256,).
    log_trials : float
        Log of how many code words were compared, and of every other choice made.

    Returns
    -------
    ndarray of float64, shape (B,)
        At most 0.

    Raises
    ------
    ValueError
        If the shapes do not fit together or a value is not finite.
    """
    words = check_soft(residuals)
    found = np.atleast_1d(np.asarray(scores, np.float64))
    if found.shape != (len(words),) or not np.isfinite(found).all():
        raise ValueError("one finite score is wanted for each residual")
    return np.asarray(np.minimum(0.0, log_trials + log_tail(words, found)), np.float64)
