"""The growth of z with the number of outputs is fitted, and foretold no farther than it is seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.growth import Growth, fitted, within_reach

LOOKS = [2**k for k in range(11)]


def test_root_growth_is_seen_as_such():
    fit = fitted([(n, 0.5 * math.sqrt(n)) for n in LOOKS])
    assert fit == Growth(pytest.approx(0.5), 0.0)
    assert fit.end == math.inf
    assert fit.outputs_for(32.0) == pytest.approx(4096)
    assert within_reach(fit, 32.0, 1024) == 3100


def test_what_comes_to_an_end_never_settles_it():
    seen = Growth(1.0, 1 / 36)  # ends at 6
    fit = fitted([(n, seen.z(n)) for n in LOOKS])
    assert fit.end == pytest.approx(6.0, rel=0.1)
    assert fit.outputs_for(8.0) == math.inf
    assert within_reach(fit, 8.0, 1024) is None


def test_noise_is_not_extrapolated():
    assert fitted([]) is None
    assert fitted([(1, 3.1), (2, 2.0), (4, 3.9)]) is None
    assert fitted([(1, 3.0), (2, 5.0), (4, 3.0)]) is None


def test_one_look_is_taken_for_root_growth():
    assert fitted([(64, 8.0)]) == Growth(pytest.approx(1.0), 0.0)


def test_what_is_there_already_needs_no_more_and_what_is_far_is_not_told():
    fit = Growth(1.0, 0.0)
    assert within_reach(fit, 8.0, 64) == 0
    assert within_reach(fit, 9.0, 64) == 17
    assert within_reach(Growth(0.01, 0.0), 8.0, 16) is None
    assert within_reach(Growth(-1.0, 0.0), 8.0, 16) is None


@given(
    st.floats(0.01, 10),
    st.floats(0, 0.5),
    st.floats(1, 1e6),
)
def test_the_fit_and_its_inverse_agree(rate, bend, outputs):
    fit = Growth(rate, bend)
    assert fit.z(outputs) <= fit.end
    if fit.z(outputs) < 0.999 * fit.end:
        assert fit.outputs_for(fit.z(outputs)) == pytest.approx(outputs, rel=1e-3)
