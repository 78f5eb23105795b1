"""Weak pilots that lie upright are found, and held still where they are strongest."""

import numpy as np
import pytest
from pilots import KEY, LINES, TILE, linear, noise, off_grid, seen

from watermark.homography import affine, apply
from watermark.key import Key
from watermark.leads import View
from watermark.polar import Range, lines_of
from watermark.profile import DEFAULT
from watermark.spectrum import spectrum
from watermark.upright import Uprights, halves, held, upright

SHAPE = (400, 512)
SCALES = Range(0.35, 1.41)
WEAK = 0.025  # of noise
BY_CHANCE = 6.0  # of a dozen windows of noise, the best has less


def window(residual):
    height, width = residual.shape
    return spectrum(residual, (width / 2, height / 2))


def drawn(count):
    """Draw upright maps of any place and scale, mirrored or not."""
    rng = np.random.default_rng(3)
    for _ in range(count):
        part = linear(0, np.exp(rng.uniform(np.log(0.5), np.log(1.35))), mirror=rng.random() < 0.5)
        yield affine(part, np.zeros(2), rng.uniform(0, 500, 2))


@pytest.mark.parametrize("matrix", list(drawn(12)))
def test_a_weak_upright_pilot_is_found(matrix):
    shown = window(seen(matrix, SHAPE, strength=WEAK))
    true = np.linalg.inv(matrix[:2, :2]).T
    first = upright(shown, LINES, SCALES, TILE, top=1)[0]
    assert first.score > BY_CHANCE
    assert np.abs(first.turned @ np.linalg.inv(true) - np.eye(2)).max() < 0.005
    place = apply(np.linalg.inv(matrix), np.array(first.centre))
    assert off_grid(first.place - place).max() < 1.5


def test_noise_has_no_upright_pilot():
    scores = [
        seed.score
        for number in range(12)
        for seed in upright(window(noise(SHAPE, number)), LINES, SCALES, TILE, top=2)
    ]
    assert max(scores) < BY_CHANCE
    other = lines_of(Key(bytes(32)), DEFAULT)
    matrix = affine(linear(0, 0.8), np.zeros(2), (3, 4))
    shown = window(seen(matrix, SHAPE, strength=WEAK))
    assert all(seed.score < BY_CHANCE for seed in upright(shown, other, SCALES, TILE, top=2))


def test_an_empty_canvas_shows_nothing():
    empty = np.zeros(SHAPE, np.float32)
    assert upright(window(empty), LINES, SCALES, TILE, top=3) == []


def test_what_is_held_has_the_scales_place_and_rectangle_of_the_mark():
    true = affine(linear(0, 0.9, stretch=1.003), np.zeros(2), (31, 47))
    residual = noise((700, 800), 5)
    inside = np.s_[200:500, 150:600]
    residual[inside] = seen(true, residual.shape, strength=0.12, seed=6)[inside]
    rough = affine(linear(0, 0.9 * 1.003), (200, 250), apply(true, np.array([200.0, 250.0])) + 0.6)
    strength, track = held(residual, rough, LINES, TILE)
    assert strength > 12
    places = np.array([[150, 200], [600, 200], [600, 500], [150, 500]], np.float64)
    off = apply(np.linalg.inv(track.matrix), places) - apply(np.linalg.inv(true), places)
    assert np.abs(off).max() < 0.4
    rough_off = apply(np.linalg.inv(rough), places) - apply(np.linalg.inv(true), places)
    assert np.abs(rough_off).max() > 0.8
    rows, columns = np.nonzero(track.weight)
    blocks = (np.stack([columns, rows], axis=-1) + 0.5) * track.side + np.array(track.origin)
    x, y = apply(track.matrix, blocks).T
    among = (x > 150) & (x < 600) & (y > 200) & (y < 500)
    assert among.mean() > 0.8
    assert len(rows) * (track.side * 0.9) ** 2 > 0.6 * 300 * 450


def test_a_canvas_that_is_too_large_on_the_grid_is_not_held():
    tiny = affine(linear(0, 0.01), np.zeros(2), (0, 0))
    assert held(noise((300, 300)), tiny, LINES, TILE) is None


def test_halves_are_half_as_high_and_wide_and_cover_all():
    covered = np.zeros((101, 203))
    for each in halves(noise(covered.shape)):
        assert each.size == (50, 101)
        left, top = (round(c - s / 2) for c, s in zip(each.centre, each.size[::-1], strict=True))
        covered[top : top + 50, left : left + 101] += 1
    assert covered.min() >= 1


def test_of_one_mark_seen_twice_there_is_one_and_the_strongest_first():
    residual = seen(affine(linear(0, 0.8), np.zeros(2), (3, 4)), SHAPE, strength=0.1)
    view = View(residual, 1.0, SCALES, (None,))
    search = Uprights(lines_of(KEY, DEFAULT), DEFAULT)
    for _ in range(2):
        search.look(window(residual), view)
    found = search.strongest(2)
    assert len(found) == 2
    (_, first), (_, second) = found
    # Half a tile apart or of another scale: not the same again.
    assert not np.allclose(first.matrix, second.matrix, atol=1e-3)
    off = apply(np.linalg.inv(first.matrix), np.array([256.0, 200.0])) - apply(
        np.linalg.inv(affine(linear(0, 0.8), np.zeros(2), (3, 4))), np.array([256.0, 200.0])
    )
    assert off_grid(off).max() < 0.5
