"""Decisions on tiles made of marks and noise, without pictures."""

from dataclasses import replace

import numpy as np
import pytest

from watermark.align import Alignment
from watermark.decide import DETECTED, Hypothesis, decide, log_p, needed_z, shares
from watermark.evidence import Evidence
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pattern import mark_tile
from watermark.profile import DEFAULT

KEY = Key(bytes(range(32)))
NUMBERS = np.unique(np.random.default_rng(1).integers(0, 1 << 48, 5000, np.uint64))
CODEBOOK = Codebook(NUMBERS)
FIRST, SECOND, THIRD = (int(number) for number in NUMBERS[[7, 1234, 4000]])
STRANGER = 0x123456789ABC  # registered nowhere
UPRIGHT = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")


def seen(marks, *, noise=1.0, seed=5):
    """Return a hypothesis whose tile holds marks, by number and strength, in white noise."""
    tile = noise * np.random.default_rng(seed).standard_normal((DEFAULT.tile, DEFAULT.tile))
    for number, strength in marks.items():
        tile = tile + strength * mark_tile(KEY, number, DEFAULT)
    return Hypothesis(Evidence(tile, 1, KEY.fingerprint, str(DEFAULT)), UPRIGHT, KEY, DEFAULT)


def named(detection):
    return {each.number for each in detection.found if each.named}


def test_noise_is_not_found():
    detection = decide([seen({})], CODEBOOK)
    assert detection.verdict == "not-found"
    assert detection.found == ()


def test_three_works_in_one_picture_are_all_named():
    detection = decide([seen({FIRST: 0.5, SECOND: 0.45, THIRD: 0.35})], CODEBOOK)
    assert named(detection) == {FIRST, SECOND, THIRD}
    assert [each.model_based for each in detection.found] == [False, True, True]
    strengths = [each.z for each in detection.found]
    assert strengths == sorted(strengths, reverse=True)


def test_two_works_of_one_strength_do_not_hide_each_other():
    """Each is a rival of the other until it is taken out."""
    assert named(decide([seen({FIRST: 0.4, SECOND: 0.4})], CODEBOOK)) == {FIRST, SECOND}


def test_an_unregistered_mark_does_not_hide_a_registered_one():
    detection = decide([seen({STRANGER: 0.6, FIRST: 0.4})], CODEBOOK)
    assert [each.number for each in detection.found] == [STRANGER, FIRST]
    assert not detection.best.registered
    assert named(detection) == {FIRST}


def test_a_second_work_may_lie_along_another_alignment():
    other = Hypothesis(
        seen({SECOND: 0.5}, seed=6).evidence, Alignment(UPRIGHT.matrix, "other"), KEY, DEFAULT
    )
    detection = decide([seen({FIRST: 0.6}), other], CODEBOOK)
    assert named(detection) == {FIRST, SECOND}
    assert {each.alignment.name for each in detection.found} == {"whole frame", "other"}


@pytest.mark.parametrize("strength", [0.5, 2.0, 20.0])
def test_one_strong_mark_is_one_work(strength):
    """What a strong mark leaves behind is not another work."""
    assert named(decide([seen({FIRST: strength})], CODEBOOK)) == {FIRST}


def some(plain, searched):
    """Return hypotheses with nothing in them, and what each gets of the error probability."""
    nothing = seen({}, noise=0.0)
    tried = [replace(nothing, plain=True)] * plain + [nothing] * searched
    return tried, shares(tried)


@pytest.mark.parametrize(("plain", "searched"), [(1, 0), (0, 5), (2, 1), (4, 300), (2, 2)])
def test_all_together_err_as_often_as_one(plain, searched):
    tried, given = some(plain, searched)
    assert given.sum() == pytest.approx(1)
    assert (given > 0).all()
    assert decide(tried, CODEBOOK).alignments == plain + searched


def test_a_mark_in_its_own_place_does_not_pay_for_the_search():
    """However much a search comes up with: twice is all."""
    alone, _ = some(2, 0)
    for count in (1, 30, 3000):
        _, given = some(2, count)
        assert given[0] == 0.25
        assert given[-1] == pytest.approx(0.5 / count)
    searched = decide(some(2, 30)[0], CODEBOOK).log_trials
    assert searched - decide(alone, CODEBOOK).log_trials == pytest.approx(np.log(2))


def test_the_surest_is_not_always_the_strongest():
    """One of many that a search found has to be stronger by what it is charged more."""
    plain = seen({SECOND: 0.1}, seed=9)
    others = [seen({}, seed=10 + each) for each in range(60)]
    other = decide([plain], CODEBOOK).best.z
    graded = (seen({FIRST: strength}, seed=8) for strength in np.linspace(0.05, 0.15, 101))
    strong = next(each for each in graded if decide([each], CODEBOOK).best.z > other)
    assert decide([strong], CODEBOOK).best.z < other + 0.2
    tried = [replace(plain, plain=True), strong, *others]
    assert decide([strong, plain, *others], CODEBOOK).best.number == FIRST
    best = decide(tried, CODEBOOK).best
    assert best.number == SECOND
    trials = np.log(len(CODEBOOK) / 0.99) - np.log(shares(tried)[0])
    assert best.log_p == pytest.approx(log_p(best.z, trials))


def test_shares_can_be_those_of_a_longer_list():
    """What is left out because nothing can be read in it was tried all the same."""
    tried, given = [seen({FIRST: 0.5})] * 4, np.full(4, 0.125)
    half = decide(tried[:2], CODEBOOK, given=given[:2])
    assert half.best.log_p == decide(tried, CODEBOOK, given=given).best.log_p
    assert half.best.log_p == pytest.approx(decide(tried, CODEBOOK).best.log_p + np.log(2))


def test_the_threshold_is_where_the_verdict_begins():
    for trials in (0.0, 14.0, 33.0):
        z = needed_z(trials)
        assert log_p(z, trials) == pytest.approx(DETECTED)
        assert log_p(z + 1e-6, trials) < DETECTED < log_p(z - 1e-6, trials)


def test_nothing_to_decide_on_is_a_slip():
    with pytest.raises(ValueError, match="nothing to decide"):
        decide([], CODEBOOK)
