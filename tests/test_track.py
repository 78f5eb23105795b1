"""From near one place, all of a mark is followed as it lies, and only where it is."""

import cv2
import numpy as np
import pytest
from pilots import LINES, TILE, linear, noise, off_grid, seen
from scipy.interpolate import CubicSpline

from watermark.homography import affine, apply, jacobian
from watermark.track import laid_out, tracked

SHAPE = (512, 720)
MIDDLE = np.array([360.0, 256.0])
AREA = (232.0, 128.0, 488.0, 384.0)


def upright(rng):
    """Return a map with a little turn and scale that holds a place of the grid in the middle."""
    part = linear(rng.uniform(-10, 10), rng.uniform(0.8, 1.2))
    return affine(part, rng.uniform(0, 500, 2), MIDDLE)


def tilted(rng, share):
    """Return an upright map, and after it each corner moved by up to a share of the sides."""
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    before, after = (
        (each * SHAPE[::-1]).astype(np.float32)
        for each in (corners, corners + rng.uniform(-share, share, (4, 2)))
    )
    return np.asarray(cv2.getPerspectiveTransform(before, after), np.float64) @ upright(rng)


def first_seen(matrix, rng, *, at=MIDDLE, moved=(0, 0), off=3.0, wrong=0.01):
    """Return what a search could say of the mark near a place: a few pixels and 1 % off."""
    place = apply(np.linalg.inv(matrix), at - np.array(moved))
    part = jacobian(matrix, place) @ (np.eye(2) + rng.uniform(-wrong, wrong, (2, 2)))
    return affine(part, place + rng.uniform(-off, off, 2), at)


def places(track):
    """Return the middles of the blocks on the grid, and where the track says they are seen."""
    rows, columns = np.mgrid[: track.weight.shape[0], : track.weight.shape[1]]
    grid = (np.stack([columns, rows], axis=-1) + 0.5) * track.side + np.array(track.origin)
    return grid, apply(track.matrix, grid if track.shift is None else grid + track.shift)


def errors(track, matrix, moves=None):
    """Return how many pixels of the grid each block on the canvas is off, and which are trusted."""
    grid, canvas = places(track)
    shift = 0 if moves is None else moves(canvas)
    off = np.linalg.norm(off_grid(apply(np.linalg.inv(matrix), canvas - shift) - grid), axis=-1)
    inside = ((canvas > 0) & (canvas < SHAPE[::-1])).all(axis=-1)
    return off[inside], track.weight[inside]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("share", "strength"), [(0, 0.08), (0.05, 0.3), (0.1, 0.08), (0.2, 0.3)])
def test_a_plane_is_followed_to_its_ends(share, strength, seed):
    rng = np.random.default_rng(seed)
    matrix = tilted(rng, share)
    residual = seen(matrix, SHAPE, strength=strength, seed=seed)
    track = tracked(residual, first_seen(matrix, rng), AREA, LINES, TILE)
    off, weight = errors(track, matrix)
    assert np.quantile(off, 0.9) < 0.6
    assert weight.mean() > 0.95


def test_what_is_known_exactly_stays_so():
    """No lean to either side: a pixel has its middle at a half-integer everywhere."""
    rng = np.random.default_rng(4)
    matrix = upright(rng)
    residual = seen(matrix, SHAPE, strength=1.0)
    track = tracked(residual, first_seen(matrix, rng), AREA, LINES, TILE)
    off, _ = errors(track, matrix)
    assert off.max() < 0.06


@pytest.mark.parametrize("seed", range(2))
def test_a_smooth_bend_is_followed(seed):
    """Nine knots, each moved by up to 1 % of the height."""
    rng = np.random.default_rng(seed)
    matrix = upright(rng)
    knots = CubicSpline([0, 0.5, 1], np.eye(3), bc_type="natural")
    sizes = 0.01 * SHAPE[0] * rng.uniform(-1, 1, (2, 3, 3))

    def moves(where):
        x, y = (knots(where[..., axis] / SHAPE[1 - axis]) for axis in (0, 1))
        return np.stack([np.einsum("...i,ij,...j", y, size, x) for size in sizes], axis=-1)

    residual = seen(matrix, SHAPE, seed=seed, bend=moves)
    start = first_seen(matrix, rng, moved=moves(MIDDLE))
    track = tracked(residual, start, AREA, LINES, TILE)
    off, weight = errors(track, matrix, moves)
    assert track.shift is not None
    assert np.median(off) < 0.3
    assert np.quantile(off, 0.85) < 1
    assert weight.mean() > 0.9


@pytest.mark.parametrize("seed", range(2))
def test_presence_is_where_the_pilot_is(seed):
    """Only a part of the canvas is marked: there it counts in full, farther off hardly."""
    rng = np.random.default_rng(seed)
    at = np.array([225.0, 200.0])
    matrix = affine(linear(rng.uniform(0, 360), rng.uniform(0.8, 1.2)), rng.uniform(0, 500, 2), at)
    residual = noise(SHAPE, 50 + seed)
    residual[100:300, 100:350] = seen(matrix, SHAPE, seed=seed)[100:300, 100:350]
    start = first_seen(matrix, rng, at=at)
    track = tracked(residual, start, (130, 130, 320, 270), LINES, TILE)
    _, canvas = places(track)
    x, y = canvas[..., 0], canvas[..., 1]
    within = (x > 130) & (x < 320) & (y > 130) & (y < 270)
    beyond = (x < 50) | (x > 400) | (y < 50) | (y > 350)
    assert track.weight[within].min() > 0.8
    assert track.weight[beyond].mean() < 0.2
    assert (np.abs(apply(track.matrix, track.middle()) - at) < 40).all()


def test_what_is_laid_out_is_the_tile_over_and_over():
    rng = np.random.default_rng(6)
    matrix = tilted(rng, 0.1)
    residual = seen(matrix, SHAPE, strength=1.0)
    track = tracked(residual, first_seen(matrix, rng), AREA, LINES, TILE)
    flat = laid_out(residual, track)
    assert flat.shape == tuple(track.side * count for count in track.weight.shape)
    one, other = flat[60:300, 60:200], flat[60:300, 60 + TILE : 200 + TILE]
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.4  # 0.5 but for the noise of 1


def test_noise_is_seldom_followed_and_never_far():
    """What is kept costs one more decision each, and passes for no large part of a picture."""
    found = [
        tracked(noise(SHAPE, seed), upright(np.random.default_rng(seed)), AREA, LINES, TILE)
        for seed in range(20)
    ]
    kept = [track for track in found if track is not None]
    assert len(kept) <= 8
    for track in kept:
        assert np.sum(track.weight > 0.5) * track.side**2 < 0.2 * SHAPE[0] * SHAPE[1]


def test_nothing_is_followed_in_an_empty_canvas():
    assert tracked(np.zeros(SHAPE, np.float32), np.eye(3), AREA, LINES, TILE) is None


@pytest.mark.parametrize(
    "matrix",
    [np.diag([1e-3, 1e-3, 1.0]), np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]])],
    ids=["tiny", "horizon"],
)
def test_maps_that_nobody_means_are_refused(matrix):
    """A grid of millions of pixels, or one that goes through the horizon."""
    assert tracked(noise(SHAPE), matrix, AREA, LINES, TILE) is None
