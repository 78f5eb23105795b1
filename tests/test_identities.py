"""Unequal payloads: the tail is exact, chance finds nobody, few bits cannot carry the claim."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from bench.identities import Identities, Outcome, least_matches, limits, log10_tail

MILLION = 1_000_000


@pytest.fixture(scope="module")
def registry():
    return Identities.draw(20_000, 64, seed=3)


@given(st.integers(1, 128), st.data())
def test_the_tail_is_that_of_scipy(bits, data):
    matches = data.draw(st.integers(0, bits))
    expected = binom.logsf(matches - 1, bits, 0.5) / math.log(10)
    assert log10_tail(bits, matches) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bits", [1, 33, 64, 256])
def test_more_matches_are_rarer(bits):
    tails = [log10_tail(bits, matches) for matches in range(bits + 1)]
    assert tails[0] == 0
    assert all(first >= second for first, second in pairwise(tails))
    assert tails[-1] == pytest.approx(-bits * math.log10(2))
    assert log10_tail(bits, bits + 1) == -math.inf


def test_short_payloads_are_never_found():
    """All of 49 bits agree by chance with one of a million identities more often than 1e-9."""
    registry = Identities.draw(20_000, 32, seed=1)
    outcome = registry.decide(registry[7], 7)
    assert outcome.right
    assert not outcome.found
    assert [bits for bits in range(1, 64) if least_matches(bits, MILLION)] == [*range(50, 64)]
    assert limits(32, MILLION) == "32 bits cannot carry this claim"
    assert limits(64, MILLION) == "62 of 64 bits must be right"


@pytest.mark.parametrize("bits", [50, 64, 96, 256])
def test_the_least_matches_are_just_enough(bits):
    least = least_matches(bits, MILLION)
    assert MILLION * binom.sf(least - 1, bits, 0.5) <= 1e-9
    assert MILLION * binom.sf(least - 2, bits, 0.5) > 1e-9


@pytest.mark.parametrize("bits", [17, 48, 64, 100])
def test_matches_are_counted_as_bits_are(bits):
    registry = Identities.draw(300, bits, seed=5)
    decoded = np.random.default_rng(6).random(bits) < 0.5
    rows = np.array([registry[index] for index in range(len(registry))])
    assert np.array_equal(registry.matches(decoded), (rows == decoded).sum(axis=1))
    assert np.array_equal(Identities.of(rows).words, registry.words)


@pytest.mark.parametrize("bits", [20, 48, 64, 100])
def test_identities_lead_with_a_number(bits):
    registry = Identities.draw(50, bits, seed=5)
    texts = ["".join("01"[int(bit)] for bit in registry[index][:64]) for index in range(50)]
    assert [int(text, 2) for text in texts] == registry.leading().tolist()


def test_identities_are_different_and_the_same_for_a_seed():
    first, again, other = (Identities.draw(1000, 20, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.words, again.words)
    assert not np.array_equal(first.words, other.words)
    assert np.unique(first.words.T, axis=0).shape[0] == 1000


def test_identities_that_nobody_could_tell_apart_are_refused():
    with pytest.raises(ValueError, match="alike"):
        Identities.of(np.zeros((2, 80), bool))
    with pytest.raises(ValueError, match="do not fit"):
        Identities.draw(MILLION, 20, seed=1)
    with pytest.raises(ValueError, match="identities of 20"):
        Identities.draw(10, 20, seed=1).matches(np.zeros(21, bool))


def test_wrong_bits_are_borne_up_to_the_limit(registry):
    """With 20,000 identities of 64 bits, 61 must be right: one more or less decides."""
    least = least_matches(64, len(registry))
    for wrong, found in ((64 - least, True), (64 - least + 1, False)):
        decoded = registry[11].copy()
        decoded[:wrong] ^= True
        outcome = registry.decide(decoded, 11)
        assert (outcome.found, outcome.right) == (found, True)
        assert outcome.bits == pytest.approx(1 - wrong / 64)
        assert (outcome.log10_p <= -9) == found


def test_another_identity_is_not_the_right_one(registry):
    outcome = registry.decide(registry[11], 12)
    assert not outcome.found
    assert not outcome.right
    assert outcome.log10_p < -9


def test_a_tie_is_not_found():
    """Two identities that agree equally well: the right one is not alone in first place."""
    rows = np.zeros((2, 128), bool)
    rows[1, 0] = True
    registry = Identities.of(rows)
    decoded = np.zeros(128, bool)
    assert registry.decide(decoded, 0).found
    rows[0, 1] = True  # now each is one bit away
    outcome = Identities.of(rows).decide(decoded, 0)
    assert outcome.log10_p < -9
    assert not outcome.right
    assert not outcome.found


def test_random_bits_are_never_found(registry):
    rng = np.random.default_rng(8)
    outcomes = [registry.decide(rng.random(64) < 0.5, index) for index in range(300)]
    assert sum(outcome.found for outcome in outcomes) == 0
    assert max(outcome.log10_p for outcome in outcomes) <= 0
    # Best of 20,000, charged for all of them: at most one in ten has p of 0.1 or less.
    assert sum(outcome.log10_p <= -1 for outcome in outcomes) <= 45


def test_no_bits_are_not_found(registry):
    assert registry.decide(None, 3) == Outcome()
