"""Decisions on tiles made of marks and noise, without pictures."""

import numpy as np
import pytest

from watermark.align import Alignment
from watermark.decide import Hypothesis, decide
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


def test_nothing_to_decide_on_is_a_slip():
    with pytest.raises(ValueError, match="nothing to decide"):
        decide([], CODEBOOK)
