"""Plane projective maps compose, are inverted, differentiated, fitted and used to resample."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilots import centres

from watermark.homography import affine, apply, fit, jacobian, normalised, scaling, warp

SIDE = 400.0
CORNERS = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)])
GRID = np.stack(np.meshgrid(*2 * [np.linspace(20, SIDE - 20, 8)]), axis=-1).reshape(-1, 2)

share = st.floats(-0.1, 0.1)


@st.composite
def maps(draw):
    """Draw maps that move each corner of a square by up to a tenth of its side."""
    moves = [[draw(share), draw(share)] for _ in CORNERS]
    moved = CORNERS + SIDE * np.array(moves)
    matrix = cv2.getPerspectiveTransform(CORNERS.astype(np.float32), moved.astype(np.float32))
    return np.asarray(matrix, np.float64)


@given(maps(), maps())
def test_applying_a_product_is_applying_one_after_the_other(one, two):
    assert np.allclose(apply(one @ two, GRID), apply(one, apply(two, GRID)), atol=1e-6)


@given(maps())
def test_the_inverse_undoes_a_map(matrix):
    assert np.allclose(apply(np.linalg.inv(matrix), apply(matrix, GRID)), GRID, atol=1e-6)


@given(maps(), st.floats(0.1, 10))
def test_a_multiple_of_a_matrix_is_the_same_map(matrix, factor):
    assert np.allclose(apply(factor * matrix, GRID), apply(matrix, GRID))
    assert normalised(factor * matrix)[2, 2] == 1
    assert np.allclose(normalised(factor * matrix), normalised(matrix))


def test_nothing_is_seen_at_and_behind_the_horizon():
    matrix = np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    points = np.array([(-99.0, 0), (-100, 0), (-101, 5)])
    assert np.isfinite(apply(matrix, points)).all(axis=1).tolist() == [True, False, False]


@given(maps(), st.integers(0, len(GRID) - 1))
def test_the_jacobian_is_the_limit_of_differences(matrix, place):
    point, step = GRID[place], 1e-3
    around = point + step * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    right, left, below, above = apply(matrix, around)
    differences = np.stack([right - left, below - above], axis=1) / (2 * step)
    assert np.allclose(jacobian(matrix, point), differences, atol=1e-6)


def test_an_affine_map_takes_its_source_to_its_target():
    linear = np.array([[0.8, -0.3], [0.2, 1.1]])
    matrix = affine(linear, np.array([3.0, 4.0]), (50, 60))
    assert np.allclose(apply(matrix, np.array([3.0, 4.0])), (50, 60))
    assert np.allclose(jacobian(matrix, np.array([7.0, 8.0])), linear)
    assert np.allclose(apply(scaling(2.5), GRID), 2.5 * GRID)


@given(maps())
def test_a_map_is_fitted_to_what_it_does(matrix):
    """Up to the little pull to the identity."""
    found = fit(GRID, apply(matrix, GRID), np.ones(len(GRID)), projective=True)
    assert np.abs(apply(found, GRID) - apply(matrix, GRID)).max() < 0.1
    assert found[2, 2] == 1


@given(*4 * [share], st.tuples(st.floats(-30, 30), st.floats(-30, 30)))
def test_an_affine_map_is_fitted_without_a_perspective(a, b, c, d, moved):
    matrix = affine(np.array([[1 + a, b], [c, 1 + d]]), np.zeros(2), moved)
    found = fit(GRID, apply(matrix, GRID), np.ones(len(GRID)), projective=False)
    assert np.abs(apply(found, GRID) - apply(matrix, GRID)).max() < 0.01
    assert np.abs(found[2, :2]).max() < 1e-12


@pytest.mark.parametrize("projective", [False, True])
def test_points_of_no_weight_do_not_count(projective):
    moved = GRID + np.array([3.0, -2.0])
    moved[::5] += 100
    weights = np.ones(len(GRID))
    weights[::5] = 0
    found = fit(GRID, moved, weights, projective=projective)
    assert np.abs(apply(found, GRID) - GRID - (3, -2)).max() < 0.01


@pytest.mark.parametrize("projective", [False, True])
def test_points_in_one_place_tell_a_shift_and_no_more(projective):
    source = np.array([(100.0, 80), (100, 81), (101, 80)])
    found = fit(source, source + np.array([4.0, 5.0]), np.ones(3), projective=projective)
    assert np.abs(apply(found, GRID) - GRID - (4, 5)).max() < 0.5


def wave(places):
    return np.cos(places[..., 0] / 11) + np.sin(places[..., 1] / 17 + places[..., 0] / 29)


@given(maps(), st.integers(-20, 20), st.integers(-20, 20))
def test_warping_looks_up_each_middle_of_a_pixel(matrix, left, top):
    canvas = wave(centres((400, 400))).astype(np.float32)
    shape = (60, 90)
    places = apply(matrix, centres(shape) + np.array([left + 150, top + 150]))
    result = warp(canvas, matrix, (left + 150, top + 150), shape)
    inside = ((places > 2) & (places < 398)).all(axis=-1)
    assert result.dtype == np.float32
    assert np.abs(result - wave(places))[inside].max() < 0.01


def test_warping_by_whole_pixels_copies_and_zeros_are_all_around():
    canvas = np.random.default_rng(1).standard_normal((40, 60)).astype(np.float32)
    assert np.array_equal(warp(canvas, np.eye(3), (0, 0), (40, 60)), canvas)
    wide = warp(canvas, np.eye(3), (-7, -5), (55, 80))
    assert np.array_equal(wide[5:45, 7:67], canvas)
    wide[5:45, 7:67] = 0
    assert not wide.any()


def test_an_affine_map_is_warped_as_the_projective_map_next_to_it():
    canvas = wave(centres((120, 160))).astype(np.float32)
    plain = affine(np.array([[0.9, 0.1], [-0.05, 0.8]]), np.zeros(2), (8, 9))
    bent = plain.copy()
    bent[2, 0] = 1e-8
    one, two = (warp(canvas, each, (3, 4), (100, 120)) for each in (plain, bent))
    assert np.abs(one - two).max() < 0.01
