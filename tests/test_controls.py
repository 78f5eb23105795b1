"""Wrong keys on the same sums tell what nothing looks like, and count what reaches the true one."""

import numpy as np
import pytest

from watermark.align import Alignment
from watermark.coding import codeword
from watermark.controls import Controls, controls, quantiles, wrong_keys
from watermark.decide import Hypothesis, soft_word
from watermark.evidence import Evidence
from watermark.key import Key
from watermark.pattern import mark_tile
from watermark.profile import DEFAULT

KEY, NUMBER = Key(bytes(range(32))), 0x2B1D5EED
HERE = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")


def hypothesis(*, strength=0.0, seed=0, key=KEY):
    noise = np.random.default_rng(seed).standard_normal((DEFAULT.tile, DEFAULT.tile))
    tile = noise + strength * mark_tile(KEY, NUMBER, DEFAULT)
    return Hypothesis(Evidence(tile, 1, key.fingerprint, str(DEFAULT)), HERE, key, DEFAULT)


def z(where, key=KEY):
    return float(soft_word(where.evidence, key, DEFAULT) @ codeword(NUMBER))


def test_the_z_of_every_key_is_that_of_the_verdict():
    tried = [hypothesis(strength=0.1), hypothesis(seed=1)]
    told = controls(tried, 1, NUMBER, draws=20, seed=3)
    assert told.true == pytest.approx(z(tried[1]))
    assert told.true_largest == pytest.approx(max(map(z, tried)))
    for place, key in enumerate(wrong_keys(20, seed=3)):
        assert told.single[place] == pytest.approx(z(tried[1], key))
        assert told.largest[place] == pytest.approx(max(z(each, key) for each in tried))


def test_wrong_keys_are_normal_and_a_mark_stands_out_of_them():
    told = controls([hypothesis(strength=0.2)], 0, NUMBER, draws=600)
    assert told.true > 10
    assert told.single.max() < 5
    assert (told.as_large, told.rank_p) == (0, 1 / 601)
    assert told.normal_p > 1e-3
    assert told.single.std() == pytest.approx(1, abs=0.1)


def test_without_a_mark_the_rank_of_the_true_key_is_as_good_as_any():
    ranks = [
        controls([hypothesis(seed=seed), hypothesis(seed=99 - seed)], 0, NUMBER, draws=60).rank_p
        for seed in range(30)
    ]
    assert min(ranks) >= 1 / 61
    assert 0.3 < np.mean(ranks) < 0.7


def test_one_in_n_plus_one_is_the_least_p_value_that_counting_gives():
    told = Controls(3.0, 3.0, np.zeros(4), np.array([1.0, 2.0, 3.0, 4.0]))
    assert (told.as_large, told.rank_p) == (2, 3 / 5)


def test_wrong_keys_do_not_come_twice_and_are_the_same_again():
    keys = wrong_keys(50)
    assert len(set(keys)) == 50
    assert wrong_keys(20, first=30) == keys[30:]
    assert not set(wrong_keys(50, seed=1)) & set(keys)


def test_quantiles_of_normal_numbers_lie_on_the_line():
    normal, seen = quantiles(np.random.default_rng(0).standard_normal(4000))
    assert (np.diff(seen) >= 0).all()
    np.testing.assert_allclose(seen[40:-40], normal[40:-40], atol=0.15)


def test_an_empty_sum_has_no_z():
    empty = Evidence(np.zeros((DEFAULT.tile, DEFAULT.tile)), 1, KEY.fingerprint, str(DEFAULT))
    told = controls([Hypothesis(empty, HERE, KEY, DEFAULT)], 0, NUMBER, draws=3)
    assert told.true == 0
    assert not told.largest.any()


def test_keys_are_not_mixed():
    other = Key(bytes(32))
    with pytest.raises(ValueError, match="one key"):
        controls([hypothesis(), hypothesis(key=other)], 0, NUMBER, draws=1)
    with pytest.raises(ValueError, match="at least one"):
        controls([hypothesis()], 0, NUMBER, draws=0)
