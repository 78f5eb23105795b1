"""The geometric attacks: pure, of the sizes they promise, and exact where they can be."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from bench.geometry_attacks import (
    ATTACKS,
    _inscribed,
    apply,
    non_rigid,
    perspective,
    resized,
    rotated,
)

HEIGHT, WIDTH = 180, 320


def painting(height=HEIGHT, width=WIDTH, seed=1):
    """Return clouds with outlines, in which every place is like no other."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (6, 9, 3)).astype(np.float32)
    canvas = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas += cv2.GaussianBlur(rng.normal(0, 60, canvas.shape).astype(np.float32), (0, 0), 2)
    return np.clip(np.rint(canvas), 1, 254).astype(np.uint8)


def others(name):
    return [painting(HEIGHT + 20 * n, WIDTH - 40 * n, 10 + n) for n in range(ATTACKS[name].others)]


def after(name, seed, pixels=None):
    whole = painting() if pixels is None else pixels
    return apply(name, whole, np.random.default_rng(seed), *others(name))


def places(picture, part):
    """Return the (top, left) of every exact copy of a part in a picture."""
    height, width = part.shape[:2]
    first = (picture == part[0, 0]).all(axis=-1)
    first = first[: len(picture) - height + 1, : picture.shape[1] - width + 1]
    return [
        (top, left)
        for top, left in np.argwhere(first)
        if np.array_equal(picture[top : top + height, left : left + width], part)
    ]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_pure_and_repeatable(name):
    """It leaves its inputs alone, and all its chance comes from the generator."""
    inputs = [painting(), *others(name)]
    before = [each.copy() for each in inputs]
    first, second = (
        apply(name, inputs[0], np.random.default_rng(7), *inputs[1:]) for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert not any(np.shares_memory(first, each) for each in inputs)
    if name != "collage":  # its only chance is the colour of what is left over
        draws = [after(name, seed) for seed in range(6)]
        assert any(draw.shape != first.shape or not np.array_equal(draw, first) for draw in draws)


def test_the_table_of_attacks_is_that_of_the_promise():
    targets = [attack.target for attack in ATTACKS.values()]
    promised = (0.98, 0.97, 0.95, 0.93, 0.90, 0.85, 0.80, 0.60, None)
    assert [targets.count(share) for share in promised] == [8, 2, 3, 2, 1, 3, 3, 1, 1]
    assert len(targets) == 24
    assert all(attack.about for attack in ATTACKS.values())
    assert not any("," in name for name in ATTACKS), "names are given separated by commas"


def test_an_attack_takes_as_many_pictures_as_it_says():
    for name, attack in ATTACKS.items():
        with pytest.raises(ValueError, match=f"takes {attack.others} further pictures"):
            apply(name, painting(), np.random.default_rng(1), *([painting()] * 2))
    assert [name for name, attack in ATTACKS.items() if attack.others_marked] == ["collage"]


@pytest.mark.parametrize("share", [70, 50, 35])
def test_a_crop_is_a_part_of_the_picture_and_lies_anywhere(share):
    found = []
    for seed in range(12):
        part = after(f"crop {share}", seed)
        assert part.shape == (round(HEIGHT * share / 100), round(WIDTH * share / 100), 3)
        found += places(painting(), part)
    assert len(found) == 12
    tops, lefts = np.transpose(found)
    assert np.ptp(tops) > 0.4 * HEIGHT * (1 - share / 100)
    assert np.ptp(lefts) > 0.4 * WIDTH * (1 - share / 100)


def test_quarter_turns_are_exact():
    turns = set()
    for seed in range(12):
        turned = after("rotate 90", seed)
        turns.add(*(k for k in range(4) if np.array_equal(np.rot90(painting(), k), turned)))
    assert turns == {1, 2, 3}


def test_rotating_is_about_the_centre_and_anticlockwise():
    """Quarter turns by warping are those by indexing, to the rounding of cubic weights."""
    for k, size in ((0, (WIDTH, HEIGHT)), (1, (HEIGHT, WIDTH)), (2, (WIDTH, HEIGHT))):
        turned = rotated(painting(), 90 * k, size).astype(int)
        assert np.abs(turned - np.rot90(painting(), k)).max() <= 1


@pytest.mark.parametrize("name", ["rotate crop", "mirror rotate"])
def test_nothing_from_outside_is_left_after_rotating_and_cropping(name):
    """Of a white picture only white is left, and not much less than there could be."""
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for seed in range(40):
        left = after(name, seed, white)
        assert (left == 255).all()
        assert left.size > 0.2 * white.size


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (200, 200)])
def test_no_upright_rectangle_inside_a_rotated_one_is_larger(size):
    """A search over all shapes finds the same area."""
    half_width, half_height = size[0] / 2, size[1] / 2
    for degrees in (0, 3, 30, 45, 77, 90, 133, 200, 315):
        turn = np.deg2rad(degrees)
        cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
        width, height = _inscribed(size, degrees)
        assert width * cos + height * sin <= size[0] + 1e-6
        assert width * sin + height * cos <= size[1] + 1e-6
        slope = np.tan(np.linspace(0.001, np.pi / 2 - 0.001, 20_000))  # half-height by half-width
        x = np.minimum(half_width / (cos + slope * sin), half_height / (sin + slope * cos))
        assert width * height == pytest.approx((4 * slope * x * x).max(), rel=1e-3)


def test_filled_corners_are_of_one_colour_and_hold_the_whole_picture():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    colours = set()
    for seed in range(12):
        turned = after("rotate fill", seed, white)
        height, width = turned.shape[:2]
        corners = turned[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (corners == corners[0]).all() or min(height - HEIGHT, width - WIDTH) < 3
        colours.add(tuple(corners[0].tolist()))
        if not corners.any():
            area = turned[..., 0].sum(dtype=float) / 255
            assert area == pytest.approx(HEIGHT * WIDTH, rel=0.01)
    assert (0, 0, 0) in colours
    assert len(colours) > 3


def test_shrinking_averages_also_where_the_other_side_grows():
    stripes = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resized(stripes, (WIDTH // 2, HEIGHT)) == 100).all()
    assert (resized(stripes, (WIDTH // 2, 2 * HEIGHT)) == 100).all()


def test_the_aspect_changes_by_what_the_table_says():
    factors = []
    for seed in range(60):
        height, width = after("aspect", seed).shape[:2]
        assert height == HEIGHT or width == WIDTH
        factors.append(width / height / (WIDTH / HEIGHT))
    assert 0.745 < min(factors) < 0.82
    assert 1.22 < max(factors) < 1.34
    assert np.median(np.log(factors)) == pytest.approx(0, abs=0.12)
    assert after("crop 70 square", 1).shape == (224, 224, 3)


@pytest.mark.parametrize(("name", "axis"), [("letterbox", 0), ("pillarbox", 1)])
def test_bars_leave_the_picture_as_it_was(name, axis):
    colours = set()
    for seed in range(8):
        framed = after(name, seed)
        (place,) = places(framed, painting())
        bar = place[axis]
        side = (HEIGHT, WIDTH)[axis]
        assert round(0.08 * side) <= bar <= round(0.25 * side)
        assert framed.shape[axis] == side + 2 * bar
        bars = np.concatenate(np.split(framed, [bar, -bar], axis=axis)[::2], axis=axis)
        assert (bars == framed[0, 0]).all()
        colours.add(tuple(framed[0, 0].tolist()))
    assert (0, 0, 0) in colours
    assert len(colours) > 2


@pytest.mark.parametrize("shape", [(180, 320), (320, 180), (240, 240), (300, 100)])
def test_a_reframed_picture_is_whole(shape):
    pixels = painting(*shape)
    dark = []
    for seed in range(6):
        framed = after("reframe 9:16", seed, pixels)
        assert framed.shape[:2] == (round(min(shape) * 16 / 9), min(shape))
        scale = min(framed.shape[0] / shape[0], framed.shape[1] / shape[1])
        inside = resized(pixels, (round(shape[1] * scale), round(shape[0] * scale)))
        assert places(framed, inside)
        dark.append((framed == 0).all(axis=-1).mean())
    if shape == (180, 320):
        assert {round(share, 1) for share in dark} == {0.0, 0.7}


@pytest.mark.parametrize("share", [50, 35])
def test_a_picture_in_a_picture_is_there_and_the_rest_is_the_other(share):
    size = (round(WIDTH * share / 100), round(HEIGHT * share / 100))
    found = []
    for seed in range(8):
        both = after(f"pip {share}", seed)
        (place,) = places(both, resized(painting(), size))
        (background,) = others(f"pip {share}")
        different = (both != resized(background, (WIDTH, HEIGHT))).any(axis=-1)
        different[place[0] : place[0] + size[1], place[1] : place[1] + size[0]] = False
        assert not different.any()
        found.append(place)
    assert len({tuple(place) for place in found}) == 8


def test_a_screenshot_shows_the_whole_picture_and_much_else():
    for seed in range(4):
        shot = after("screenshot", seed)
        scale = np.random.default_rng(seed).uniform(0.5, 1.0)
        ((top, left),) = places(shot, resized(painting(), (round(320 * scale), round(180 * scale))))
        assert top >= 96 + 56
        assert left >= 6
        assert len(np.unique(shot[:top].reshape(-1, 3), axis=0)) > 10


def test_moving_nothing_changes_nothing():
    rng = np.random.default_rng(1)
    assert np.array_equal(perspective(painting(), rng, share=0), painting())
    assert np.array_equal(non_rigid(painting(), rng, share=0), painting())


def test_corners_move_as_far_as_the_table_says():
    """What a perspective moves out of a white canvas is black, and larger moves leave less."""
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    lost = [
        np.mean([(after(f"perspective {share}", seed, white) == 0).mean() for seed in range(12)])
        for share in (5, 10, 20)
    ]
    # A corner moves inwards by a quarter of the share in the mean, along each of four sides.
    assert lost == pytest.approx([0.05, 0.1, 0.2], rel=0.5)
    assert lost[0] < lost[1] < lost[2]
    assert after("perspective 20", 1).shape == (HEIGHT, WIDTH, 3)


def test_a_non_rigid_field_bends_by_the_share_and_no_more():
    """A ramp shows the field: a pixel's value is the place it comes from."""
    rows, columns = np.mgrid[:HEIGHT, :250]
    ramp = np.stack([rows, columns, rows], axis=-1).astype(np.uint8)
    fields = [
        non_rigid(ramp, np.random.default_rng(seed), share=0.05)[10:-10, 10:-10].astype(float)
        - ramp[10:-10, 10:-10]
        for seed in range(8)
    ]
    assert 6 < np.abs(fields).max() < 0.05 * HEIGHT * 1.5  # splines may overshoot their knots
    for field in fields:
        assert np.abs(np.diff(field[..., 0], axis=1)).max() <= 1
        assert np.ptp(field) > 2


def test_warps_agree_with_another_implementation():
    """scipy.ndimage, with cubic splines, gives the same rotated picture."""
    turned = rotated(painting(), 30, (200, 100))
    x, y = np.meshgrid(np.arange(200) - 99.5, np.arange(100) - 49.5)
    cos, sin = np.cos(np.pi / 6), np.sin(np.pi / 6)
    rows = sin * x + cos * y + (HEIGHT - 1) / 2
    columns = cos * x - sin * y + (WIDTH - 1) / 2
    expected = map_coordinates(painting()[..., 0].astype(float), [rows, columns], order=3)
    assert np.abs(turned[..., 0] - expected).mean() < 2


def test_a_collage_holds_all_four_at_half_their_size():
    sheet = after("collage", 1)
    pictures = [painting(), *others("collage")]
    assert sheet.shape == (2 * 220 // 2, 2 * WIDTH // 2, 3)
    for place, pixels in enumerate(pictures):
        half = resized(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2))
        ((top, left),) = places(sheet, half)
        assert top // 110 == place // 2
        assert left // 160 == place % 2


def test_chains_do_one_thing_after_the_other():
    assert min(after("crop 70 256 jpeg 70", 1).shape[:2]) == 256
    tilted = after("rotate 5 jpeg 50", 1)
    assert tilted.shape[:2] == tuple(int(side) for side in _inscribed((316, 176), 5)[::-1])
    bright = after("rotate 10 crop 70 bright jpeg 60", 1)
    width, height = (round(0.7 * int(side)) for side in _inscribed((316, 176), 10))
    assert bright.shape[:2] == (height, width)
    assert bright.mean() > 1.3 * painting().mean()
