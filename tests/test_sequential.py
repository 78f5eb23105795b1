"""A p-value charged for looks and parts is true, whenever one stops and whatever one picks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.align import Alignment
from watermark.coding import codeword
from watermark.decide import DETECTED, log_p
from watermark.detection import Detection, Found
from watermark.sequential import Looks, charged, log_looks, log_runs, merged

HERE = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")
CHIPS, FRAMES, KEYS = 512, 32, 200


def found(number, value, *, model_based=False, z=9.0):
    return Found(number, True, z, value, np.nan, model_based, "key", "profile", HERE)


def detection(best, *further, trials=14.0):
    return Detection("detected", best, (best, *further), (), trials)


@given(st.integers(1, 10_000))
def test_the_shares_of_all_looks_are_the_whole(last):
    shares = np.exp([-log_looks(look) for look in range(1, last + 1)])
    assert shares.sum() == pytest.approx(last / (last + 1))


@given(st.integers(1, 60))
def test_all_runs_of_neighbours_are_counted(count):
    runs = [(a, b) for a in range(count) for b in range(a + 1, count + 1)]
    assert np.exp(log_runs(count)) == pytest.approx(len(runs))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.8])
def test_what_is_kept_for_the_last_look_the_others_do_without(kept):
    looks = Looks(kept=kept)
    shares = [np.exp(-looks.charge()) for _ in range(500)] + [np.exp(-looks.charge(last=True))]
    assert 0.995 < sum(shares) <= 1
    assert shares[-1] >= kept
    if kept:
        with pytest.raises(ValueError, match="already"):
            looks.charge(last=True)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(ValueError, match="share"):
        Looks(kept=share)


def test_looks_are_due_at_powers_of_two():
    assert [n for n in range(70) if Looks.due(n)] == [1, 2, 4, 8, 16, 32, 64]
    looks = Looks()
    assert [looks.charge() for _ in range(3)] == pytest.approx(np.log([2, 6, 12]))


def test_a_charge_raises_every_p_value_and_no_p_value_goes_over_one():
    best, second = found(1, log_p(9.0, 14.0)), found(2, DETECTED - 1, model_based=True)
    told = charged(detection(best, second), 3.0)
    assert told.best.log_p == pytest.approx(best.log_p + 3)
    assert told.found[1].log_p == pytest.approx(second.log_p + 3)
    assert told.log_trials == 17.0
    assert told.verdict == "detected"
    assert charged(detection(best), 1e3).best.log_p == 0
    with pytest.raises(ValueError, match="smaller"):
        charged(detection(best), -0.1)


def test_a_charge_takes_the_verdict_back():
    told = charged(detection(found(1, log_p(9.0, 14.0)), found(2, -15.0)), 15.0)
    assert (told.verdict, told.found) == ("not-found", ())


def test_a_p_value_that_was_cut_off_at_one_is_charged_from_where_it_was():
    weak = found(1, 0.0, z=4.0)
    told = charged(detection(weak, trials=14.0), 1.0)
    assert told.best.log_p == 0.0


def test_parts_and_the_whole_make_one_verdict():
    whole = detection(found(1, -30.0), found(2, -25.0, model_based=True))
    told = merged(whole, [found(2, -22.0), found(3, -40.0), found(4, -1.0)])
    assert [each.number for each in told.found] == [3, 1, 2]
    assert not told.found[2].model_based, "what rests on the key comes first"
    nothing = replace(detection(found(1, -1.0)), found=(), verdict="not-found")
    assert merged(nothing, []).verdict == "not-found"
    assert merged(nothing, [found(3, -15.0)]).verdict == "indicated"


def contents(rng):
    """Give frames (FRAMES, CHIPS) as they come: still, flat, periodic, changing, cut."""
    still = np.repeat(rng.standard_normal((1, CHIPS)), FRAMES, axis=0)
    still += 0.1 * rng.standard_normal((FRAMES, CHIPS))
    flat = np.full((FRAMES, CHIPS), 1e-3) + 1e-4 * rng.standard_normal((FRAMES, CHIPS))
    periodic = np.tile(rng.standard_normal(8), CHIPS // 8) * np.ones((FRAMES, 1))
    changing = rng.standard_normal((FRAMES, CHIPS))
    cut = np.concatenate([still[: FRAMES // 2], changing[FRAMES // 2 :]])
    return still, flat, periodic, changing, cut


def all_runs(frames):
    """Return every run's sum, of norm 1, and where runs begin and end."""
    sums = np.concatenate([np.zeros((1, CHIPS)), np.cumsum(frames, axis=0)])
    first, last = np.triu_indices(FRAMES + 1, 1)
    seen = sums[last] - sums[first]
    return seen / np.linalg.norm(seen, axis=1, keepdims=True), first, last


def smallest_p(runs, signs, words):
    """Return the least charged log p of a greedy detector: any look, the sum or any run of frames.

    It stops at every look at once, tries every run there is, and keeps what it likes best.
    """
    seen, first, last = runs
    z = (seen @ (signs * words).T).max(axis=1)
    trials, best = np.log(2.0) + np.log(len(words)), 0.0
    for look, count in enumerate((1, 2, 4, 8, 16, 32), 1):
        charge = trials + log_looks(look)
        total = z[(first == 0) & (last == count)].max()
        part = z[last <= count].max()
        best = min(best, log_p(total, charge), log_p(part, charge + log_runs(count)))
    return best


@pytest.mark.parametrize("place", range(5), ids=["still", "flat", "periodic", "changing", "cut"])
def test_wrong_keys_reach_a_charged_p_at_most_as_often_as_it_says(place):
    rng = np.random.default_rng(place)
    runs = all_runs(contents(rng)[place])
    words = np.stack([np.tile(codeword(number), CHIPS // 256) for number in (1, 2, 3, 4)])
    values = np.array(
        [smallest_p(runs, rng.choice([-1.0, 1.0], CHIPS), words) for _ in range(KEYS)]
    )
    for alpha in (0.3, 0.1, 0.03, 0.01):
        reached = np.mean(values <= np.log(alpha))
        assert reached <= alpha + 3 * np.sqrt(alpha / KEYS), alpha


def test_without_the_charges_the_same_detector_calls_too_much():
    rng = np.random.default_rng(9)
    seen, _, _ = all_runs(contents(rng)[3])
    word = np.tile(codeword(1), CHIPS // 256)
    z = [(seen @ (rng.choice([-1.0, 1.0], CHIPS) * word)).max() for _ in range(KEYS)]
    assert np.mean([log_p(each, 0.0) <= np.log(0.03) for each in z]) > 0.06
