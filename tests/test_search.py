"""A pilot in noise is found through any linear map that the search is for, and placed."""

import numpy as np
import pytest
from pilots import KEY, LINES, TILE, linear, noise, off_grid, seen

from watermark.homography import affine, apply
from watermark.key import Key
from watermark.pattern import pilot_lines
from watermark.polar import Range, lines_of
from watermark.profile import DEFAULT
from watermark.search import refined, seeds, similar, stretched
from watermark.spectrum import spectrum

SHAPE = (400, 512)
SCALES = Range(0.35, 1.41)
BY_CHANCE = 7.9  # of hundreds of windows of noise, the best has less


def best(residual, search, *, lines=LINES):
    """Return the best seed of one window."""
    height, width = residual.shape
    window = spectrum(residual, (width / 2, height / 2))
    found = sorted(search(window, lines, SCALES, top=4), key=lambda each: -each[0])
    same = [window] * len(found[:8])
    drawn = refined(same, lines, np.array([turned for _, turned in found[:8]]))
    return seeds(same, lines, drawn, TILE)[0][0]


def assert_found(matrix, search, *, strength=0.2, seed=0):
    """Check the linear part within 0.5 %, the place within 1.5 pixels of the grid."""
    seed = best(seen(matrix, SHAPE, strength=strength, seed=seed), search)
    assert seed.score > BY_CHANCE
    assert seed.centre == (SHAPE[1] / 2, SHAPE[0] / 2)
    change = np.linalg.inv(seed.turned).T @ np.linalg.inv(matrix[:2, :2])
    assert np.abs(change - np.eye(2)).max() < 0.005
    true = apply(np.linalg.inv(matrix), np.array(seed.centre))
    assert off_grid(seed.place - true).max() < 1.5


def drawn(count, *, stretch):
    """Draw maps of any place, scale and angle, mirrored or not; or stretched, at quarter turns."""
    rng = np.random.default_rng(20)
    for _ in range(count):
        scale = np.exp(rng.uniform(np.log(0.4), np.log(1.35)))
        ratio = np.exp(rng.uniform(np.log(0.6), np.log(1.67))) if stretch else 1.0
        turn = 90 * rng.integers(4) if stretch else rng.uniform(0, 360)
        part = linear(turn, scale / np.sqrt(ratio), mirror=rng.random() < 0.5, stretch=ratio)
        yield affine(part, np.zeros(2), rng.uniform(0, 500, 2))


@pytest.mark.parametrize("strength", [0.2, 0.08])
@pytest.mark.parametrize("matrix", list(drawn(8, stretch=False)))
def test_a_pilot_is_found_turned_scaled_and_mirrored(matrix, strength):
    assert_found(matrix, similar, strength=strength)


@pytest.mark.parametrize("matrix", list(drawn(8, stretch=True)))
def test_a_pilot_is_found_stretched(matrix):
    assert_found(matrix, stretched)


@pytest.mark.parametrize("scale", [SCALES.least, 1.0, SCALES.most])
def test_the_range_of_scales_holds_its_ends(scale):
    assert_found(affine(linear(33, scale), np.zeros(2), (10, 20)), similar)


@pytest.mark.parametrize("slant", [(0.03, 0), (-0.02, 0.02), (0, 0.03)])
def test_what_is_not_quite_a_similarity_is_refined_to_what_it_is(slant):
    part = linear(20, 0.9) @ np.array([[1 + slant[0], slant[1]], [0, 1]])
    assert_found(affine(part, np.zeros(2), (10, 20)), similar)


def test_a_grid_by_itself_is_told_from_its_half_turn():
    upright, turned = (affine(linear(turn, 0.8), np.zeros(2), (3, 4)) for turn in (0, 180))
    signs = []
    for matrix in (upright, turned):
        assert_found(matrix, similar)
        signs.append(np.sign(best(seen(matrix, SHAPE), similar).turned[0, 0]))
    assert signs == [1, -1]


def test_noise_has_no_pilot():
    scores = [
        best(noise(SHAPE, n), search).score for n in range(15) for search in (similar, stretched)
    ]
    assert max(scores) < BY_CHANCE
    assert min(scores) > 2  # the best of many places; a search that never scores is none


def test_another_key_has_another_pilot():
    residual = seen(np.eye(3), SHAPE, strength=0.3)
    other = lines_of(Key(bytes(32)), DEFAULT)
    assert best(residual, similar).score > 3 * best(residual, similar, lines=other).score


def test_a_wave_of_the_host_is_no_pilot():
    """Not even a hundred times as strong as the noise."""
    columns = np.arange(SHAPE[1])
    waves = sum(np.cos(2 * np.pi * k * columns / 16.3 + k) for k in (1, 2, 3))
    residual = (100 * waves + noise(SHAPE)).astype(np.float32)
    assert best(residual, similar).score < 2 * BY_CHANCE


def test_lines_are_the_pilots():
    lattice, phases = pilot_lines(KEY, DEFAULT)
    assert np.allclose(LINES.frequencies * TILE, lattice[:, ::-1])
    assert np.array_equal(LINES.phases, phases)
    assert len(phases) == DEFAULT.lines
