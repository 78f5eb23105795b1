"""Laws of the code: linear, exact without noise, close to the best conceivable with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.code_distance import approximation, extreme_weights, reference_codeword
from watermark.coding import check_numbers, codeword, decode, encode, unpack
from watermark.errors import PayloadError

NUMBERS = st.integers(0, (1 << 48) - 1)


@pytest.fixture(scope="module")
def golden():
    # $ python -m bench.code_distance --golden > tests/golden/coding.json
    return json.loads((Path(__file__).parent / "golden" / "coding.json").read_text())


def test_code_words_are_those_of_the_first_release(golden):
    """A released code is never edited: marks made with it are out in the world."""
    for text, packed in golden["codewords"].items():
        assert encode([int(text, 16)])[0].tobytes().hex() == packed


@given(NUMBERS)
def test_tables_agree_with_a_shift_register(number):
    """The fast encoder gives what one gets bit by bit."""
    signs = 1 - 2 * np.array(reference_codeword(number))
    assert np.array_equal(codeword(number), signs)


@given(NUMBERS, NUMBERS)
def test_the_code_is_linear(one, other):
    """The code word of an exclusive or is the exclusive or of the code words."""
    words = encode([one, other, one ^ other])
    assert np.array_equal(words[0] ^ words[1], words[2])


@given(st.lists(NUMBERS, min_size=1, max_size=3), st.sampled_from([1e-30, 1.0, 1e30]))
def test_decoding_undoes_encoding_in_any_unit(numbers, unit):
    """Decode after encode is the identity, whatever the unit of the soft bits."""
    soft = unpack(encode(numbers)) * unit
    assert np.array_equal(decode(soft), np.array(numbers, np.uint64))


def test_a_batch_is_decoded_as_its_words_are():
    """The words of a batch do not disturb each other, across the decoder's own batches too."""
    rng = np.random.default_rng(4)
    numbers = rng.integers(0, 1 << 48, 40, np.uint64)
    soft = unpack(encode(numbers)) * 0.6 + rng.standard_normal((40, 256))
    together = decode(soft)
    assert [int(decode(soft[row])[0]) for row in (0, 13, 31, 32, 39)] == [
        int(together[row]) for row in (0, 13, 31, 32, 39)
    ]


def test_a_burst_of_lost_bits_is_harmless():
    """Neighbouring code bits are far apart in the trellis: a fifth of them may be gone at once."""
    rng = np.random.default_rng(5)
    numbers = rng.integers(0, 1 << 48, 32, np.uint64)
    soft = unpack(encode(numbers)) + 0.8 * rng.standard_normal((32, 256))
    for row, start in enumerate(range(0, 256, 8)):
        soft[row, np.arange(start, start + 51) % 256] = 0
    assert (decode(soft) == numbers).mean() >= 30 / 32


def test_decoder_is_near_the_normal_approximation():
    """At 0.5 dB over it 1 % of the words may be lost; 1.5 dB is what was asked for."""
    rng = np.random.default_rng(6)
    numbers = rng.integers(0, 1 << 48, 512, np.uint64)
    amplitude = approximation(1e-2) * 10 ** (0.5 / 20)
    soft = unpack(encode(numbers)) * (amplitude / 256) + rng.standard_normal((512, 256)) / 16
    assert (decode(soft) != numbers).sum() <= 10  # 2.5 expected


def test_the_decoder_finds_a_word_at_least_as_good_as_the_true_one():
    """What it returns instead of the true word nearly always has the larger score."""
    rng = np.random.default_rng(7)
    numbers = rng.integers(0, 1 << 48, 128, np.uint64)
    sent = unpack(encode(numbers))
    soft = sent * (8 / 256) + rng.standard_normal(sent.shape) / 16
    found = np.einsum("bn,bn->b", unpack(encode(decode(soft))), soft)
    assert (found >= np.einsum("bn,bn->b", sent, soft) - 1e-6).mean() > 0.95


@pytest.mark.slow
def test_distances_between_code_words():
    """No two words are alike, and none is the complement of another, by a wide margin."""
    assert extreme_weights() == (36, 186)


def test_the_normal_approximation_by_another_way():
    """A Monte Carlo estimate of capacity and dispersion gives the same rate."""
    rng = np.random.default_rng(8)
    level = approximation(1e-2) / 16
    density = 1 - np.log2(1 + np.exp(-2 * level * (level + rng.standard_normal(1_000_000))))
    bits = 256 * density.mean() - 2.3263 * np.sqrt(256 * density.var()) + 4
    assert bits == pytest.approx(48, abs=0.3)


@pytest.mark.parametrize("number", [-1, 1 << 48, 1 << 64, 1.5, "3f2a9c01b7de", True])
def test_numbers_outside_48_bits_are_refused(number):
    """A payload that cannot be carried is refused where it enters."""
    with pytest.raises(PayloadError):
        codeword(number)


def test_numbers_of_any_integer_type_are_taken():
    """Python integers and every NumPy integer type name the same marks."""
    for kind in (object, np.int64, np.uint64, np.int32):
        assert check_numbers(np.array([7, 0], kind)).tolist() == [7, 0]
    assert encode([]).shape == (0, 32)
    with pytest.raises(ValueError, match="one list"):
        check_numbers([[1]])


def test_soft_words_of_the_wrong_kind_are_refused():
    """A wrong length or a NaN would give a number that means nothing."""
    with pytest.raises(ValueError, match="256"):
        decode(np.zeros(255))
    with pytest.raises(ValueError, match="finite"):
        decode(np.full(256, np.nan))


def test_nothing_at_all_still_decodes():
    """A soft word without any evidence gives some number, not an error."""
    assert decode(np.zeros((2, 256))).shape == (2,)
    assert decode(np.zeros((0, 256))).shape == (0,)
