"""Sums of given numbers under random signs: how likely a large one is.

For numbers t and independent fair signs ε, the sum Σ ε_b t_b has the cumulant generating function
K(h) = Σ log cosh(h t_b), which holds everything there is to say about its tail.
*Tilting* by h makes signs that agree with t likelier and moves the mean of the sum to K'(h).
It makes the tail lighter than the normal one: of 256 normal numbers, sums of seven standard
deviations are ten times rarer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

__all__ = ["cumulants", "log_tail", "log_unit_tail", "tilt_to", "unit_quantile"]

# The smallest constant for which it is true; equality for two equal numbers at √2.
_LOG_CONSTANT = -math.log(4) - float(log_ndtr(-math.sqrt(2)))

_LARGEST_TILT = 20.0  # in units of the numbers' mean size; the signs are then all but certain
_HALVINGS = 40
_TINY = 1e-150  # keeps quotients finite where all numbers are 0


def cumulants(
    numbers: NDArray[np.float64], tilt: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return K, K' and K'' of the sum at each tilt.

    Parameters
    ----------
    numbers : ndarray of shape (n,) or (B, n)
    tilt : ndarray of shape (m,) for one row of numbers, (B,) for B of them

    Returns
    -------
    three ndarrays of the shape of `tilt`
        K'' is never quite 0.
    """
    size = np.abs(tilt[:, None] * numbers)
    small = np.exp(-2 * size)
    log_mean = (size + np.log1p(small)).sum(axis=1) - numbers.shape[-1] * math.log(2.0)
    mean = (np.abs(numbers) * (1 - small) / (1 + small)).sum(axis=1) * np.sign(tilt)
    variance = (np.square(numbers) * 4 * small / np.square(1 + small)).sum(axis=1)
    return log_mean, mean, np.maximum(variance, _TINY)


def log_unit_tail(sums: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Bound the log of the probability that random signs give `sums` or more, of any numbers.

    For numbers whose squares sum to at most 1 it is log(c Q(s)), where Q is the normal tail and
    c = 1 / (4 Q(√2)) ≈ 3.178, and never more than Hoeffding's −s²/2 (1963,
    DOI 10.1080/01621459.1963.10500830).

    Parameters
    ----------
    sums : float or ndarray
        In units of the root of the numbers' sum of squares.

    Returns
    -------
    ndarray of the shape of `sums`
        At most 0.

    References
    ----------
    V. K. Bentkus and D. Dzindzalieta, "A tight Gaussian bound for weighted sums of Rademacher
    random variables", Bernoulli 21 (2015). DOI 10.3150/14-BEJ603
    """
    positive = np.maximum(sums, 0.0)
    bound = np.minimum(-np.square(positive) / 2, _LOG_CONSTANT + log_ndtr(-positive))
    return np.asarray(bound, np.float64)


def unit_quantile(log_p: float) -> float:
    """Return the sum at which `log_unit_tail` is `log_p`, which is at most log 0.01."""
    if log_p > math.log(0.01):  # beyond it Hoeffding's bound is never the smaller one
        raise ValueError(f"it is inverted for log p-values up to log 0.01, not {log_p:.3g}")
    return -float(ndtri_exp(log_p - _LOG_CONSTANT))


def tilt_to(numbers: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tilts (B,) at which rows of `numbers` (B, n) have the means `sums` (B,).

    Sums of 0 and less need none; those that no signs reach get the largest tilt looked at.
    """
    low = np.zeros(len(numbers))
    high = _LARGEST_TILT / np.maximum(np.abs(numbers).mean(axis=1), _TINY)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = (numbers * np.tanh(middle[:, None] * numbers)).sum(axis=1)
        low, high = np.where(mean < sums, (middle, high), (low, middle))
    return low


def log_tail(numbers: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bound the log of the probability that random signs give `sums` or more.

    Chernoff's bound, min over h of K(h) − h s: never above Hoeffding's −s²/(2 Σ t²), and valid
    whatever the numbers are, since every tilt gives a bound and the best is only looked for.

    Parameters
    ----------
    numbers : ndarray of shape (B, n)
    sums : ndarray of shape (B,)

    Returns
    -------
    ndarray of shape (B,)
        At most 0.

    References
    ----------
    H. Chernoff, "A measure of asymptotic efficiency for tests of a hypothesis based on the sum of
    observations", 1952. DOI 10.1214/aoms/1177729330
    """
    tilt = tilt_to(numbers, sums)
    log_mean, _, _ = cumulants(numbers, tilt)
    return np.asarray(np.minimum(log_mean - tilt * sums, 0.0), np.float64)
