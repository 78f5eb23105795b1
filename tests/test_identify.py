"""Laws of identification: exact, the same by lookup and by product, in any order of marks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import identify
from watermark.coding import unpack
from watermark.errors import PayloadError
from watermark.identify import Codebook


def _draw(count, seed):
    rng = np.random.default_rng(seed)
    numbers = np.unique(rng.integers(0, 1 << 48, count + 8, np.uint64))
    return rng.permutation(numbers)[:count]


@pytest.fixture(scope="module")
def codebook():
    return Codebook(_draw(140_000, 1))  # more than one block by lookup, and many by product


def test_scores_are_correlations_with_the_code_words(codebook):
    """Scores by lookup and by product are the sums that they stand for."""
    soft = np.random.default_rng(2).standard_normal((9, 256)) / 16
    exact = soft @ unpack(codebook.packed).astype(np.float64).T
    assert np.abs(codebook.scores(soft) - exact).max() < 1e-5
    assert np.abs(codebook.scores(soft[:2]) - exact[:2]).max() < 1e-5


@pytest.mark.parametrize("words", [1, 6, 7, 64])
def test_ranking_is_the_sorted_list(codebook, words):
    """The best few are exact, in order, and everything above the cut is kept."""
    soft = np.random.default_rng(3).standard_normal((words, 256)) / 16
    ranking = codebook.rank(soft, top=5)
    signs = unpack(codebook.packed[:, :]).astype(np.float32)
    for row in {0, words - 1}:
        exact = signs @ soft[row]
        order = np.argsort(-exact)[:5]
        assert ranking.indices[row].tolist() == order.tolist()
        assert ranking.scores[row] == pytest.approx(exact[order], abs=1e-12)
        high = np.sort(ranking.high_indices[row])
        sure = np.flatnonzero(exact > ranking.cut[row] + 1e-5)
        assert np.isin(sure, high).all()
        assert (exact[high] > ranking.cut[row] - 1e-5).all()
        assert ranking.cut[row] == pytest.approx(2.5 * np.linalg.norm(soft[row]))


@given(st.integers(1, 40), st.integers(0, 2**32), st.integers(1, 9))
@settings(max_examples=20)
def test_small_codebooks_keep_every_score(count, seed, words):
    """Below the size from which a cut is made, nothing is left out, and `top` is what there is."""
    book = Codebook(_draw(count, seed))
    soft = np.random.default_rng(seed).standard_normal((words, 256))
    ranking = book.rank(soft)
    assert ranking.indices.shape == (words, min(8, count))
    assert all(indices.size == count for indices in ranking.high_indices)
    assert np.isneginf(ranking.cut).all()


def test_order_of_the_marks_does_not_matter():
    """The same marks in another order give the same names and scores."""
    numbers = _draw(500, 5)
    soft = np.random.default_rng(6).standard_normal(256)
    one, other = Codebook(numbers), Codebook(numbers[::-1])
    ahead, back = one.rank(soft), other.rank(soft)
    assert np.array_equal(one.numbers[ahead.indices], other.numbers[back.indices])
    assert np.array_equal(ahead.scores, back.scores)


def test_find_gives_positions_back(codebook):
    """Every registered number is found where it stands, and no other is."""
    places = np.array([0, 77, 139_999])
    assert codebook.find(codebook.numbers[places]).tolist() == places.tolist()
    strange = np.setdiff1d(_draw(100, 9), codebook.numbers)
    assert (codebook.find(strange) == -1).all()


def test_a_soft_word_of_one_bit_still_gets_its_top(codebook):
    """Where fewer marks than asked for lie above the cut, the list is filled from below it."""
    soft = np.zeros(256)
    soft[:4] = 1.0  # no score exceeds twice the norm
    ranking = codebook.rank(soft)
    assert ranking.scores[0].tolist() == [4.0] * 8
    assert np.isneginf(ranking.cut[0])
    assert ranking.high_indices[0].size == len(codebook)


def test_an_empty_codebook_ranks_nothing():
    """A registry without marks is no error."""
    book = Codebook([])
    ranking = book.rank(np.ones((2, 256)))
    assert ranking.indices.shape == (2, 0)
    assert book.scores(np.ones(256)).shape == (1, 0)
    assert book.find([5]).tolist() == [-1]


def test_blocks_do_not_show(codebook, monkeypatch):
    """Results do not depend on where blocks end."""
    soft = np.random.default_rng(7).standard_normal((8, 256))
    whole = codebook.rank(soft)
    monkeypatch.setattr(identify, "_PRODUCT_BLOCK", 1003)
    assert np.array_equal(codebook.rank(soft).indices, whole.indices)


def test_marks_given_twice_are_refused():
    """Two works cannot have one mark."""
    with pytest.raises(ValueError, match="3f2a9c01b7de"):
        Codebook([0x3F2A9C01B7DE, 1, 0x3F2A9C01B7DE])
    with pytest.raises(PayloadError):
        Codebook([1 << 48])


def test_a_codebook_does_not_change():
    """It is shared between threads and cached."""
    book = Codebook([1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        book.packed[0, 0] = 1
    with pytest.raises(AttributeError):
        book.numbers = np.zeros(3)


def test_the_best_mark_of_each_word_is_the_first_of_its_ranking():
    rng = np.random.default_rng(8)
    book = Codebook(np.unique(rng.integers(0, 2**48, 5000, dtype=np.uint64)))
    for count in (1, 3, 40):  # by lookup and by product
        words = rng.normal(size=(count, 256))
        indices, scores = book.best(words)
        ranking = book.rank(words, top=1)
        assert (indices == ranking.indices[:, 0]).all()
        assert scores == pytest.approx(ranking.scores[:, 0])
    with pytest.raises(ValueError, match="no mark"):
        Codebook(np.zeros(0, np.uint64)).best(words)
