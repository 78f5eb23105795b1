"""Luma planes: depth and range are kept, nothing is pushed past black or white, turns undo."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from watermark.planes import PlaneFormat, Shown, sdr_luma

DEPTHS = st.sampled_from([8, 9, 10, 12, 14, 16])
TURNS = st.builds(Shown, st.sampled_from([0, 90, 180, 270]), st.booleans())


@st.composite
def planes(draw):
    form = PlaneFormat(draw(DEPTHS), draw(st.booleans()))
    values = st.integers(0, (1 << form.bits) - 1)
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    return form, draw(arrays(form.dtype, shape, elements=values))


@st.composite
def planes_and_deltas(draw):
    form, plane = draw(planes())
    bound = draw(st.sampled_from([2.0, 40.0, 1e4]))
    elements = st.floats(-bound, bound, width=32)
    return form, plane, draw(arrays(np.float32, plane.shape, elements=elements))


@given(planes())
def test_adding_nothing_is_the_identity(case):
    form, plane = case
    added = form.add(plane, np.zeros(plane.shape, np.float32))
    assert added.dtype == plane.dtype
    np.testing.assert_array_equal(added, plane)


@given(planes_and_deltas())
def test_what_is_added_is_rounded_to_the_planes_own_depth(case):
    """Inside the legal range a sample is the nearest one to sample + delta."""
    form, plane, delta = case
    wide = np.clip(np.rint(delta * np.float32(form.gain)), -32768, 32767)
    wanted = plane.astype(np.int64) + wide.astype(np.int64)
    added = form.add(plane, delta).astype(np.int64)
    inside = (form.black <= wanted) & (wanted <= form.white)
    np.testing.assert_array_equal(added[inside], wanted[inside])


@given(planes_and_deltas())
def test_no_sample_is_pushed_past_black_or_white(case):
    """A sample that lies outside the legal range is never pushed further out."""
    form, plane, delta = case
    added = form.add(plane, delta).astype(np.int64)
    before = plane.astype(np.int64)
    assert np.all(added >= np.minimum(before, form.black))
    assert np.all(added <= np.maximum(before, form.white))


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (4, 1)])
def test_a_few_samples_are_bounded_like_many(bits, shape):
    form = PlaneFormat(bits, full=False)
    lowest = np.zeros(shape, form.dtype)
    below = form.add(lowest, np.full(shape, -3.0, np.float32))
    np.testing.assert_array_equal(below, lowest)
    assert below.dtype == form.dtype


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_black_and_white_are_0_and_255_in_every_coding(bits):
    limited, full = PlaneFormat(bits, full=False), PlaneFormat(bits, full=True)
    assert (limited.black, limited.white) == (16 << bits - 8, 235 << bits - 8)
    assert (full.black, full.white) == (0, (1 << bits) - 1)
    for form in (limited, full):
        plane = np.array([[form.black, form.white]], form.dtype)
        np.testing.assert_allclose(form.to_luma(plane), [[0, 255]], atol=1e-4)


def test_what_lies_outside_the_legal_range_is_seen_there():
    luma = PlaneFormat(8, full=False).to_luma(np.array([[0, 255]], np.uint8))
    assert luma[0, 0] < -18
    assert luma[0, 1] > 278


def test_every_step_of_ten_bits_is_a_luma_of_its_own():
    form = PlaneFormat(10, full=False)
    luma = form.to_luma(np.arange(1024, dtype=np.uint16)[None])
    assert len(np.unique(luma)) == 1024
    quarter = form.add(np.array([[500]], np.uint16), np.array([[1 / form.gain]], np.float32))
    assert quarter[0, 0] == 501


@given(planes(), TURNS)
def test_turning_a_plane_upright_and_back_is_the_identity(case, shown):
    _, plane = case
    np.testing.assert_array_equal(shown.stored(shown.upright(plane)), plane)


def test_a_frame_is_turned_clockwise_and_then_mirrored():
    plane = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    turned = {0: plane, 90: [[4, 1], [5, 2], [6, 3]], 180: plane[::-1, ::-1]}
    turned[270] = [[3, 6], [2, 5], [1, 4]]
    for degrees, wanted in turned.items():
        np.testing.assert_array_equal(Shown(degrees).upright(plane), wanted)
        mirrored = Shown(degrees, mirrored=True).upright(plane)
        np.testing.assert_array_equal(mirrored, np.asarray(wanted)[:, ::-1])


@pytest.mark.parametrize(
    ("shown", "size"),
    [
        (Shown(), (480, 720)),
        (Shown(aspect=32 / 27), (480, 853)),
        (Shown(aspect=8 / 9), (540, 720)),
        (Shown(90), (720, 480)),
        (Shown(270, aspect=2.0), (1440, 480)),
    ],
)
def test_the_shown_size_is_in_square_pixels_and_upright(shown, size):
    assert shown.size(480, 720) == size


def test_hdr_is_as_bright_as_the_sdr_luma_it_is_compared_with():
    """The samples for 203 cd/m² are those of BT.2408, table 1: 58 % of PQ and 75 % of HLG."""
    assert sdr_luma(np.array([0.58 * 255]), "pq")[0] == pytest.approx(255, rel=0.01)
    assert sdr_luma(np.array([0.75 * 255]), "hlg")[0] == pytest.approx(255, rel=0.01)
    values = np.linspace(0, 255, 100)
    np.testing.assert_array_equal(sdr_luma(values, "sdr"), values)
    for transfer in ("pq", "hlg"):
        assert np.all(np.diff(sdr_luma(values, transfer)) > 0)


@pytest.mark.parametrize("bits", [7, 17])
def test_depths_that_are_none_are_refused(bits):
    with pytest.raises(ValueError, match="8 to 16 bits"):
        PlaneFormat(bits, full=True)


def test_names_and_turns_that_are_none_are_refused():
    with pytest.raises(ValueError, match="transfer is one of"):
        PlaneFormat(8, full=True, transfer="gamma")
    with pytest.raises(ValueError, match="90, 180 or 270"):
        Shown(45)
    with pytest.raises(ValueError, match="positive number"):
        Shown(aspect=0)


def test_a_plane_of_another_depth_is_refused():
    form = PlaneFormat(10, full=False)
    with pytest.raises(ValueError, match="10 bits is uint16"):
        form.to_luma(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="has shape"):
        form.add_steps(np.zeros((2, 2), np.uint16), np.zeros((2, 3), np.int16))
