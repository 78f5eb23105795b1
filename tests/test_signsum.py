"""The bound on sums under random signs holds for every sum that can be counted out."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm

from watermark.signsum import log_unit_tail, unit_quantile


def every_sum(numbers):
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(numbers))))
    return np.sort(signs @ (numbers / np.linalg.norm(numbers)))


def kinds(rng):
    yield np.ones(1)
    for count in (2, 3, 4, 7, 12, 16):
        yield np.ones(count)
        yield rng.standard_normal(count)
        yield rng.exponential(size=count) ** 3  # a few numbers are nearly all there is
        yield 0.7 ** np.arange(count)


def test_the_bound_holds_for_every_sum():
    """Not only in the mean: of all signs of many sets of numbers, at every sum that there is."""
    for numbers in kinds(np.random.default_rng(5)):
        sums = every_sum(numbers)
        at = sums - 1e-9  # rounding must not make a sum larger than it is
        reached = (len(sums) - np.searchsorted(sums, at)) / len(sums)
        assert (np.log(reached) <= log_unit_tail(at) + 1e-6).all()


def test_no_smaller_constant_would_do():
    """Two equal numbers reach the bound at the square root of two."""
    sums = every_sum(np.ones(2))
    assert sums[-1] == pytest.approx(math.sqrt(2))
    assert log_unit_tail(math.sqrt(2)) == pytest.approx(math.log(0.25))


def test_it_is_tighter_than_hoeffding_and_wider_than_the_normal_tail():
    z = np.linspace(0, 40, 400)
    assert (log_unit_tail(z) <= -np.square(z) / 2).all()
    assert (log_unit_tail(z)[z > 1e-9] >= norm.logsf(z[z > 1e-9])).all()
    assert log_unit_tail(9.0) < -81 / 2 - 1.9
    assert (log_unit_tail(np.array([-3.0, 0.0])) == 0).all()


@pytest.mark.parametrize("log_p", [-5.0, -20.7, -60.0, -2000.0])
def test_the_quantile_is_where_the_bound_is(log_p):
    assert float(log_unit_tail(unit_quantile(log_p))) == pytest.approx(log_p, rel=1e-9)


def test_the_quantile_is_not_asked_where_another_bound_is_smaller():
    with pytest.raises(ValueError, match=r"up to log 0\.01"):
        unit_quantile(-1.0)
