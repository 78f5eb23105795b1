"""Laws of attribution: probabilities that mean what they say, also far out in the tails."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.attribution import calibrate
from bench.several import Channel
from watermark.attribution import attribute, log_p_further, subtract
from watermark.coding import unpack
from watermark.identify import Codebook
from watermark.signsum import cumulants, log_tail, tilt_to


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(11)
    return rng.permutation(np.unique(rng.integers(0, 1 << 48, 50_000, np.uint64)))


@pytest.fixture(scope="module")
def codebook(numbers):
    return Codebook(numbers[:40_000])


@pytest.fixture(scope="module")
def strangers(numbers):
    return Codebook(numbers[40_000:]).codewords(np.arange(1000))


def _soft(codeword, amplitude, seed):
    noise = np.random.default_rng(seed).standard_normal(256) / 16
    return codeword * (amplitude / 256) + noise


@pytest.mark.parametrize(("share", "assumed"), [(0.0, 0.001), (0.5, 0.5)])
def test_the_printed_probability_is_true(codebook, strangers, share, assumed):
    """Among words with a printed probability near p, a share near p is named wrongly.

    In terms of counts, over all bins: with 400 words only gross faults show; the bench does more.
    """
    bins = calibrate(
        codebook,
        strangers,
        words=448,
        amplitudes=(6.0, 9.0),
        share=share,
        assumed=assumed,
        shown_from=0.0,
        channel=Channel(uneven=0.1),
        rng=np.random.default_rng(12),
    )
    for row in bins:
        if row["words"]:
            low, high = binomtest(row["wrong"], row["words"]).proportion_ci(0.999, "exact")
            assert low <= row["printed_sum"] / row["words"] <= high, row


def test_a_strong_unregistered_mark_is_not_given_to_a_registered_work(codebook, strangers):
    """The best of the registered ones scores high on somebody else's strong mark, and must lose."""
    soft = np.stack([_soft(word, 40.0, seed) for seed, word in enumerate(strangers[:8])])
    for one in attribute(codebook, soft, codebook.rank(soft)):
        assert one.score > 8
        assert one.log_p_wrong_work > -1e-6
        assert one.blind_score > 30


@pytest.mark.parametrize("amplitude", [12.0, 30.0, 65.0])
def test_a_strong_registered_mark_is_named_for_certain(codebook, amplitude):
    """The logarithm stays finite and small where the probability itself is no number any more."""
    soft = _soft(codebook.codewords(5), amplitude, 3)
    (one,) = attribute(codebook, soft, codebook.rank(soft))
    assert one.index == 5
    assert one.blind_number == codebook.numbers[5]
    assert -1e5 < one.log10_p_wrong_work < -12
    assert one.log_p_unregistered <= one.log_p_wrong_work + 1e-9


def test_marks_of_one_work_are_no_rivals(codebook):
    """Two marks of one work that cannot be told apart do not put the work in doubt."""
    both = codebook.codewords(7) + codebook.codewords(8)
    soft = _soft(both, 9.0, 4)
    ranking = codebook.rank(soft)
    (apart,) = attribute(codebook, soft, ranking)
    works = np.arange(len(codebook))
    works[8] = 7
    (together,) = attribute(codebook, soft, ranking, work_index=works)
    assert together.log_p_wrong_work < apart.log_p_wrong_work


def test_a_larger_codebook_and_more_strangers_make_a_name_less_sure(codebook, numbers):
    """Every rival counts."""
    soft = _soft(codebook.codewords(5), 7.0, 6)
    small = Codebook(numbers[:1000])
    few = attribute(small, soft, small.rank(soft), unregistered=0.0)[0]
    many = attribute(codebook, soft, codebook.rank(soft), unregistered=0.0)[0]
    lost = attribute(codebook, soft, codebook.rank(soft), unregistered=0.1)[0]
    assert few.log_p_wrong_work < many.log_p_wrong_work < lost.log_p_wrong_work
    assert few.log_p_unregistered == -math.inf


def test_what_a_ranking_leaves_out_is_counted(codebook, monkeypatch):
    """The expectation that stands for the scores below the cut is what a full count gives."""
    soft = _soft(codebook.codewords(5), 6.0, 9)
    cut = attribute(codebook, soft, codebook.rank(soft), unregistered=0.0)[0]
    monkeypatch.setattr("watermark.identify._KEEP_ALL", 1 << 20)
    whole = attribute(codebook, soft, codebook.rank(soft), unregistered=0.0)[0]
    assert cut.log_p_wrong_work == pytest.approx(whole.log_p_wrong_work, abs=0.02)


def test_without_registered_marks_nothing_is_named(codebook):
    """An empty registry still tells what the blind decoder read."""
    soft = _soft(codebook.codewords(5), 30.0, 8)
    empty = Codebook([])
    (one,) = attribute(empty, soft, empty.rank(soft))
    assert one.index == -1
    assert one.log_p_wrong_work == 0.0
    assert one.blind_number == codebook.numbers[5]


def test_no_evidence_at_all_gives_no_certainty(codebook):
    """A soft word of zeros names somebody, with a probability of being wrong near 1."""
    soft = np.zeros(256)
    (one,) = attribute(codebook, soft, codebook.rank(soft))
    assert one.log_p_wrong_work == pytest.approx(0.0, abs=1e-3)


def test_subtracting_leaves_nothing_of_what_was_subtracted(codebook):
    """The residual is orthogonal to all that was taken out, with uneven gains too."""
    words = codebook.codewords([1, 2, 3])
    rng = np.random.default_rng(10)
    soft = _soft(words[0] + words[1], 15.0, 11)
    gain = rng.uniform(0.8, 1.2, 256)
    assert np.abs(words @ subtract(soft, words)).max() < 1e-12
    assert np.abs((words * gain) @ subtract(soft, words, gain=gain)).max() < 1e-12
    exact = subtract(words[0] * gain * 3.0, words[0], gain=gain)
    assert np.abs(exact).max() < 1e-12


def test_the_second_of_two_works_is_found(codebook):
    """With both at z of 15, each is found once the other is out, and no third one is."""
    true = {21, 22}
    soft = _soft(codebook.codewords(21) + codebook.codewords(22), 15.0, 12)
    found = [int(codebook.rank(soft).indices[0, 0])]
    log_ps = []
    for _ in range(2):
        left = subtract(soft, codebook.codewords(found))
        ranking = codebook.rank(left)
        found.append(int(ranking.indices[0, 0]))
        trials = math.log(len(codebook))
        log_ps.append(float(log_p_further(ranking.scores[0, :1], left, log_trials=trials)[0]))
    assert set(found[:2]) == true
    assert log_ps[0] < math.log(1e-9) < math.log(1e-3) < log_ps[1]


def test_a_strong_mark_that_was_taken_out_leaves_no_second_work(codebook):
    """With uneven gains and z of 60 the leftover is large, and p-values stay true.

    200 words, best of 40,000 marks each, family-wise level 10 %: at most 20 expected.
    """
    rng = np.random.default_rng(13)
    first = codebook.codewords(rng.integers(0, len(codebook), 200)).astype(np.float64)
    soft = Channel(uneven=0.2, saturates=True).soft(first * 60.0, rng)
    left = np.stack([subtract(s, c) for s, c in zip(soft, first, strict=True)])
    best = codebook.rank(left).scores[:, 0]
    log_p = log_p_further(best, left, log_trials=math.log(len(codebook)))
    assert (log_p <= math.log(0.1)).sum() <= 20


def test_tail_of_signs_bounds_what_is_counted_and_beats_hoeffding():
    """Over all 65,536 patterns of 16 signs the bound is never below the truth."""
    numbers = np.random.default_rng(14).standard_normal((1, 16))
    signs = unpack(np.arange(65536, dtype=">u2").view(np.uint8).reshape(-1, 2))
    sums = np.sort(signs @ numbers[0])
    for rank in (-1, -5, -100, -5000, -40000):
        bound = log_tail(numbers, sums[[rank]])[0]
        assert bound >= math.log((sums >= sums[rank]).mean())
        assert bound <= -(max(sums[rank], 0.0) ** 2) / (2 * np.square(numbers).sum()) + 1e-9


def test_cumulants_are_derivatives_of_each_other():
    """K' and K'' are what differences of K give, and tilts are where they should be."""
    numbers = np.random.default_rng(15).standard_normal(256) / 16
    tilt, step = np.array([-3.0, 0.5, 7.0]), 1e-4
    up, down = cumulants(numbers, tilt + step), cumulants(numbers, tilt - step)
    _, mean, variance = cumulants(numbers, tilt)
    assert mean == pytest.approx((up[0] - down[0]) / (2 * step), rel=1e-5)
    assert variance == pytest.approx((up[1] - down[1]) / (2 * step), rel=1e-5)
    assert tilt_to(numbers[None], mean[2:])[0] == pytest.approx(7.0, rel=1e-6)


def test_wrong_shapes_are_refused(codebook):
    """A caller's slip is a ValueError that says what was expected."""
    soft = np.ones((2, 256))
    ranking = codebook.rank(soft)
    with pytest.raises(ValueError, match="other soft words"):
        attribute(codebook, soft[:1], ranking)
    with pytest.raises(ValueError, match="work_index"):
        attribute(codebook, soft, ranking, work_index=np.arange(3))
    with pytest.raises(ValueError, match="unregistered"):
        attribute(codebook, soft, ranking, unregistered=1.0)
    with pytest.raises(ValueError, match="one soft word"):
        subtract(soft, soft)
    with pytest.raises(ValueError, match="256 finite"):
        subtract(soft[0], np.ones((1, 200)))
    with pytest.raises(ValueError, match="each residual"):
        log_p_further([1.0], soft, log_trials=0.0)
