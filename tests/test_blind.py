"""Marks are found wherever they lie in a picture, and where they lie is told; from end to end."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from pilots import TILE, off_grid

from watermark.blind import aligned
from watermark.decide import shares
from watermark.detect import detect, observe_scales, searched
from watermark.embed import embed
from watermark.frame import luma
from watermark.homography import affine, apply
from watermark.identify import Codebook
from watermark.key import Key
from watermark.polar import lines_of
from watermark.profile import DEFAULT

SAMPLES = Path(__file__).parent.parent / "samples"
KEY, OTHER = Key(bytes(range(32))), Key(bytes(32))
NUMBERS = np.random.default_rng(6).integers(0, 1 << 48, 1000, np.uint64)
BOOK = Codebook(NUMBERS)
SHAPE = (540, 960)
DRAWN = (450, 560)
NAMES = ("bbb-frame-001", "thequestion-scene-003", "bbb-frame-005", "thequestion-scene-005")


@cache
def host(name):
    pixels = cv2.imread(str(SAMPLES / f"{name}.jpg"))[..., ::-1]
    return cv2.resize(pixels, SHAPE[::-1], interpolation=cv2.INTER_AREA)


@cache
def marked(name, mark=0):
    return embed(host(name), KEY, int(NUMBERS[mark]))


def resized(pixels, size):
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def warped(pixels, matrix, size):
    """Return what a canvas shows of a picture through a map, pixel centres at half-integers."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    between = np.linalg.inv(half) @ matrix @ half
    return cv2.warpPerspective(pixels, between, size, flags=cv2.INTER_CUBIC)


def turned(degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def about_the_middle(linear):
    middle = np.array(SHAPE[::-1]) / 2
    return affine(linear, middle, middle)


def tilted(share):
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * SHAPE[::-1]
    moves = share * np.array([(1, 0.4), (-0.3, 1), (0.2, -0.5), (-0.8, -0.9)]) * SHAPE[::-1]
    ends = corners.astype(np.float32), (corners + moves).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(*ends), np.float64)


def numbers(detection):
    """Return the registered marks that are named."""
    return {each.number for each in detection.found if each.named}


def area(outline):
    return cv2.contourArea(np.array(outline, np.float32))


def assert_lies(found, matrix, places):
    """Check that the alignment takes places of the picture to those of the frame that was marked.

    `matrix` takes the marked frame's pixels to the picture's; within two pixels of the grid, up to
    whole tiles.
    """
    scale = DEFAULT.short / SHAPE[0]
    true = scale * apply(np.linalg.inv(matrix), np.array(places, np.float64))
    told = apply(np.array(found.alignment.matrix), np.array(places, np.float64))
    assert off_grid(told - true).max() < 2


PLACES = [(220.0, 160.0), (380.0, 200.0), (330.0, 330.0)]
MAPS = {
    "crop": (affine(np.eye(2), np.array([207.0, 101.0]), (0, 0)), (500, 400)),
    "rotation": (about_the_middle(turned(33)), SHAPE[::-1]),
    "mirror and rotation": (about_the_middle(turned(-70) @ np.diag([-1, 1])), SHAPE[::-1]),
    "quarter turn": (affine(turned(90), np.zeros(2), (540, 0)), SHAPE),
    "aspect": (np.diag([0.75, 1.0, 1.0]), (720, 540)),
    "small": (affine(0.6 * turned(5), np.array([300.0, 100.0]), (0, 0)), (400, 370)),
    "perspective": (tilted(0.05), SHAPE[::-1]),
}


@pytest.mark.parametrize("name", MAPS)
def test_a_mark_is_found_through_any_map(name):
    """And the alignment tells the map; the outline holds the places that are asked for."""
    matrix, size = MAPS[name]
    detection = detect(warped(marked(NAMES[0]), matrix, size), [KEY], BOOK)
    assert numbers(detection) == {NUMBERS[0]}
    assert_lies(detection.best, matrix, PLACES)
    assert detection.best.alignment.mirrored == (np.linalg.det(matrix) < 0)
    outline = np.array(detection.best.alignment.outline, np.float32)
    assert ((outline >= 0) & (outline <= size)).all()
    assert all(cv2.pointPolygonTest(outline, place, measureDist=False) > 0 for place in PLACES)


def test_a_strong_perspective_is_followed():
    matrix = tilted(0.15)
    detection = detect(warped(marked(NAMES[1]), matrix, SHAPE[::-1]), [KEY], BOOK)
    assert numbers(detection) == {NUMBERS[0]}
    assert_lies(detection.best, matrix, PLACES)


@pytest.mark.parametrize("search", ["fast", "full"])
def test_borders_of_one_tone_do_not_hide_a_mark(search):
    boxed = np.pad(marked(NAMES[0]), ((90, 90), (0, 0), (0, 0)), constant_values=16)
    detection = detect(boxed, [KEY], BOOK, search=search)
    assert numbers(detection) == {NUMBERS[0]}
    assert_lies(detection.best, affine(np.eye(2), np.zeros(2), (0, 90)), PLACES)


def test_a_marked_picture_inside_an_unmarked_one_is_found_and_outlined():
    picture = host(NAMES[1]).copy()
    picture[200:470, 410:890] = resized(marked(NAMES[0]), (480, 270))
    detection = detect(picture, [KEY], BOOK)
    assert numbers(detection) == {NUMBERS[0]}
    assert_lies(detection.best, affine(0.5 * np.eye(2), np.zeros(2), (410, 200)), [(650.0, 335.0)])
    outline = np.array(detection.best.alignment.outline)
    assert cv2.pointPolygonTest(outline.astype(np.float32), (650, 335), measureDist=False) > 0
    assert area(outline) < 2 * 480 * 270


def test_an_unmarked_picture_inside_a_marked_one_does_not_hide_the_mark():
    picture = marked(NAMES[0])[60:500, 130:900].copy()
    picture[150:370, 200:590] = resized(host(NAMES[1]), (390, 220))
    detection = detect(picture, [KEY], BOOK)
    assert numbers(detection) == {NUMBERS[0]}
    moved = affine(np.eye(2), np.array([130.0, 60.0]), (0, 0))
    assert_lies(detection.best, moved, [(100.0, 100.0), (680.0, 400.0)])


def test_all_works_of_a_collage_are_named_each_in_its_place():
    size = (SHAPE[1] // 2, SHAPE[0] // 2)
    halves = [resized(marked(name, mark), size) for mark, name in enumerate(NAMES)]
    picture = np.vstack([np.hstack(halves[:2]), np.hstack(halves[2:])])
    detection = detect(picture, [KEY], BOOK)
    assert numbers(detection) == set(NUMBERS[:4].tolist())
    for found in detection.found:
        row, column = divmod(int(np.flatnonzero(np.isin(NUMBERS, found.number))[0]), 2)
        middle = ((column + 0.5) * size[0], (row + 0.5) * size[1])
        place = affine(0.5 * np.eye(2), np.zeros(2), (column * size[0], row * size[1]))
        assert_lies(found, place, [middle])
        outline = np.array(found.alignment.outline, np.float32)
        assert cv2.pointPolygonTest(outline, middle, measureDist=False) > 0
        assert area(outline) < 2 * size[0] * size[1]


def test_two_marks_on_top_of_each_other_are_both_named():
    both = embed(marked(NAMES[0]), KEY, int(NUMBERS[9]))
    apart = embed(marked(NAMES[0])[70:500, 90:880], KEY, int(NUMBERS[9]))
    for picture in (both[40:470, 60:800], apart[33:400, 44:700]):
        assert numbers(detect(picture, [KEY], BOOK)) == {NUMBERS[0], NUMBERS[9]}


def test_each_key_finds_its_own():
    picture = embed(marked(NAMES[0])[70:500, 90:880], OTHER, int(NUMBERS[9]))[33:400, 44:700]
    detection = detect(picture, [KEY, OTHER], BOOK)
    assert numbers(detection) == {NUMBERS[0], NUMBERS[9]}
    assert {each.fingerprint for each in detection.found} == {KEY.fingerprint, OTHER.fingerprint}


def grey(plane):
    return np.repeat(np.clip(np.rint(plane), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def brick():
    rows, columns = np.mgrid[: DRAWN[0], : DRAWN[1]]
    course = rows // 16
    joint = (rows % 16 < 2) | ((columns + 16 * (course % 2)) % 32 < 2)
    tones = np.random.default_rng(1).uniform(90, 150, DRAWN)
    each = tones[course, (columns + 16 * (course % 2)) // 32]
    return grey(np.where(joint, 200, each))


def mesh():
    rows, columns = np.mgrid[: DRAWN[0], : DRAWN[1]]
    fine = (rows + columns) % 7 < 2
    return grey(np.where(fine | ((rows - columns) % 7 < 2), 60, 180))


def turned_dots(pitch, degrees, tones):
    """Draw dots on a grid that is turned, each as large as the tone wants."""
    rows, columns = np.mgrid[: DRAWN[0], : DRAWN[1]]
    x, y = np.moveaxis(np.stack([columns, rows], axis=-1) @ turned(degrees), -1, 0)
    wave = np.cos(2 * np.pi * x / pitch) + np.cos(2 * np.pi * y / pitch)
    return grey(255 / (1 + np.exp(-8 * (wave / 2 - 1 + tones / 128))))


def halftone():
    return turned_dots(6.3, 45, luma(host(NAMES[0]))[: DRAWN[0], : DRAWN[1]])


def screen_tone():
    """Flat grey dots next to paper and ink, as in comics."""
    dots = turned_dots(5.1, 30, np.full(DRAWN, 90.0))
    dots[:, 360:] = 255
    cv2.circle(dots, (300, 220), 120, (20, 20, 20), 6, cv2.LINE_AA)
    return dots


@pytest.mark.parametrize("texture", [brick, mesh, halftone, screen_tone])
def test_a_strong_periodic_texture_neither_passes_for_a_mark_nor_hides_one(texture):
    plain = texture()
    assert detect(plain, [KEY], BOOK).found == ()
    cropped = embed(plain, KEY, int(NUMBERS[0]))[40:420, 50:500]
    assert numbers(detect(cropped, [KEY], BOOK)) == {NUMBERS[0]}


def test_a_picture_without_a_mark_has_none():
    for pixels in (host(NAMES[1]), marked(NAMES[0])[30:500, 50:900]):
        key = OTHER if pixels is not host(NAMES[1]) else KEY
        assert detect(pixels, [key], BOOK).found == ()


def test_every_alignment_is_paid_for():
    """All that are decided on, also those of a second key and of borders."""
    boxed = np.pad(marked(NAMES[0]), ((90, 90), (0, 0), (0, 0)), constant_values=16)
    tried = searched(luma(boxed), [KEY, OTHER])
    detection = detect(boxed, [KEY, OTHER], BOOK)
    assert detection.alignments == len(tried) > 2 * 4
    assert sum(each.plain for each in tried) == 2 * 4
    assert detection.log_trials >= np.log(2 * (2 * 4) * len(BOOK))
    assert shares(tried).sum() == pytest.approx(1)
    assert len(searched(luma(boxed), [KEY, OTHER], search="fast")) == 2 * 4


def test_the_search_never_looks_at_the_message(monkeypatch):
    """Without the message's carriers the same alignments come out, bit by bit."""
    picture = warped(marked(NAMES[0]), *MAPS["rotation"])

    def run():
        lines_of.cache_clear()
        (found,) = aligned(observe_scales(luma(picture)), [KEY], DEFAULT)
        return found

    def refuse(*_):
        raise AssertionError("the message was looked at")

    before = run()
    for name in ("watermark.pattern.carriers", "watermark.decide.carriers"):
        monkeypatch.setattr(name, refuse)
    monkeypatch.setattr("watermark.pattern.codeword", refuse)
    after = run()
    assert len(before) == len(after) >= 1
    for (one, tile), (other, again) in zip(before, after, strict=True):
        assert one == other
        assert np.array_equal(tile.tile, again.tile)
    with pytest.raises(AssertionError, match="looked at"):
        detect(picture, [KEY], BOOK)


def test_a_tile_is_what_it_was():
    """What is said up to whole tiles here is said of the profile's."""
    assert DEFAULT.tile == TILE
