"""Luma and its delta: chroma does not move, nothing clips, zero is the identity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from watermark.frame import add_luma, as_shown, as_stored, luma

DEPTHS = {np.uint8: 1, np.uint16: 257}
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def pictures(draw):
    dtype = draw(st.sampled_from(sorted(DEPTHS, key=str)))
    shape = draw(SHAPES) + draw(st.sampled_from([(), (3,)]))
    return draw(arrays(dtype, shape))


@st.composite
def pictures_and_deltas(draw):
    picture = draw(pictures())
    bound = draw(st.sampled_from([3.0, 300.0]))
    values = st.floats(-bound, bound, width=32)
    return picture, draw(arrays(np.float32, picture.shape[:2], elements=values))


def as_colour(picture):
    """Return any picture as int64 of shape (H, W, channels)."""
    return picture.astype(np.int64).reshape(*picture.shape[:2], -1)


@given(pictures())
def test_luma_is_the_weighted_sum_whatever_the_depth(picture):
    """Luma follows BT.709 in 8-bit code values, and keeps what 16 bits say between them."""
    weights = [0.2126, 0.7152, 0.0722] if picture.ndim == 3 else [1.0]
    expected = as_colour(picture) @ np.array(weights) / DEPTHS[picture.dtype.type]
    found = luma(picture)
    assert found.dtype == np.float32
    assert found.shape == picture.shape[:2]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@given(pictures())
def test_zero_delta_gives_the_pixels_back(picture):
    changed = add_luma(picture, np.zeros(picture.shape[:2], np.float32))
    assert changed.dtype == picture.dtype
    assert np.array_equal(changed, picture)


@given(pictures_and_deltas())
def test_chroma_does_not_move_and_nothing_clips(case):
    """All channels move by one whole step: the rounded delta, or as far as there is room."""
    picture, delta = case
    scale, top = DEPTHS[picture.dtype.type], np.iinfo(picture.dtype).max
    before, after = as_colour(picture), as_colour(add_luma(picture, delta))
    step = (after - before)[..., 0]
    assert np.array_equal(after - before, np.broadcast_to(step[..., None], before.shape))
    wanted = delta.astype(np.float64) * scale
    low, high = -before.min(axis=2), top - before.max(axis=2)
    limited = np.clip(wanted, low, high)
    # float32 holds a product by 257 to 2^-7 at 65535; 8 bits are exact.
    assert np.all(np.abs(step - limited) <= 0.5 + (0 if scale == 1 else 2**-7))
    assert np.all((low <= step) & (step <= high))


def test_wide_pictures_are_worked_on_in_bands_that_fit_together():
    """A picture of many bands gives what its pixels give one by one."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (700, 1000, 3), dtype=np.uint8)
    delta = rng.normal(0, 4, (700, 1000)).astype(np.float32)
    whole = add_luma(picture, delta)
    tall = add_luma(picture.reshape(-1, 1, 3), delta.reshape(-1, 1)).reshape(picture.shape)
    assert np.array_equal(whole, tall)
    expected = np.clip(
        np.rint(delta), -picture.min(2).astype(int), 255 - picture.max(2).astype(int)
    )
    assert np.array_equal(whole, picture + expected[..., None])


def test_turned_views_are_taken_as_they_are():
    """Rows in any order in memory are read by their index."""
    picture = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    view = picture[::-1].swapaxes(0, 1)
    delta = np.full(view.shape[:2], 1.5, np.float32)
    assert np.array_equal(luma(view), luma(view.copy()))
    assert np.array_equal(add_luma(view, delta), add_luma(view.copy(), delta))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((4, 4), np.float32), "uint8 or uint16"),
        (np.zeros((4, 4, 4), np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "at least one pixel"),
    ],
)
def test_other_arrays_are_refused(picture, message):
    with pytest.raises(ValueError, match=message):
        luma(picture)


@pytest.mark.parametrize(
    ("delta", "message"),
    [
        (np.zeros((4, 5), np.float32), "shape"),
        (np.zeros((4, 4), np.float64), "float32"),
        (np.full((4, 4), np.nan, np.float32), "finite"),
        (np.full((4, 4), -np.inf, np.float32), "finite"),
    ],
)
def test_other_deltas_are_refused(delta, message):
    with pytest.raises(ValueError, match=message):
        add_luma(np.zeros((4, 4, 3), np.uint8), delta)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
def test_stored_undoes_shown(orientation, shape):
    picture = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    turned = as_shown(picture, orientation)
    assert turned.shape[:2] == ((5, 3) if orientation >= 5 else (3, 5))
    assert turned.flags.c_contiguous
    assert np.array_equal(as_stored(turned, orientation), picture)


def test_an_orientation_is_one_to_eight():
    with pytest.raises(ValueError, match="1 to 8"):
        as_shown(np.zeros((2, 2), np.uint8), 0)
