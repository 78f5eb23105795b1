"""Which mark follows which in a film: a hidden Markov model over its slots.

The likeliest succession is found by the Viterbi algorithm (Viterbi 1967,
DOI 10.1109/TIT.1967.1054010).  It draws boundaries and decides nothing: what it chose is charged
where it is decided on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

__all__ = ["best_path"]

_SWITCH = 9.0  # log of how much rarer a change of mark is than none
_WEAKEST = 2.0  # z of a slot that a mark is taken to give in its better tenth, at least
_UNEVEN = 0.7  # standard deviation of the log of what it gives, from slot to slot


def best_path(scores: NDArray[np.float64], spans: Sequence[tuple[int, int]]) -> NDArray[np.intp]:
    """Return the likeliest candidate of each slot, −1 for none.

    Parameters
    ----------
    scores : ndarray of shape (candidates, slots)
        z of each candidate in each slot by itself.
    spans : sequence of (int, int)
        The first slot and one past the last of where each candidate came up.
    """
    # Of a window a part may be marked, of which the upper tenth of the scores tells.
    usual = [
        np.quantile(z[first:last], 0.9) for z, (first, last) in zip(scores, spans, strict=True)
    ]
    means = np.maximum(usual, _WEAKEST)[:, None]
    # How strong a mark is differs from slot to slot and is not known: a log-normal mixture, so
    # that a weak slot among strong ones is neither held impossible nor, at a z of 2 or 3, likely.
    steps = np.linspace(-3, 3, 13)
    shares = log_softmax(-np.square(steps) / 2)
    strengths = [means * np.exp(_UNEVEN * step) for step in steps]
    mixed = [m * scores - m**2 / 2 + w for m, w in zip(strengths, shares, strict=True)]
    gains = np.vstack([np.zeros(scores.shape[1]), logsumexp(mixed, axis=0)])
    states, count = gains.shape
    switch = _SWITCH + np.log(states)
    total = gains[:, 0].copy()
    back = np.zeros((count, states), np.intp)
    for place in range(1, count):
        best = int(total.argmax())
        stay = total >= total[best] - switch
        back[place] = np.where(stay, np.arange(states), best)
        total = np.where(stay, total, total[best] - switch) + gains[:, place]
    path = np.empty(count, np.intp)
    path[-1] = int(total.argmax())
    for place in range(count - 1, 0, -1):
        path[place - 1] = back[place, path[place]]
    return path - 1
