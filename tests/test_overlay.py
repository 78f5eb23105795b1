"""What is drawn over a picture is where the evidence is, and the rest is the picture."""

import cv2
import numpy as np
import pytest
from studio import picture

from watermark.align import Alignment, as_tuple
from watermark.embed import embed
from watermark.frame import luma
from watermark.homography import affine, scaling
from watermark.key import Key
from watermark.overlay import drawn, evidence_map
from watermark.profile import DEFAULT
from watermark.residual import canonical_scale

KEY, NUMBER = Key(b"overlay".ljust(32, b".")), 0x3F2A9C01B7DE
BOX = (slice(100, 356), slice(250, 570))  # rows and columns of the inset


@pytest.fixture(scope="module")
def inset():
    """Give the luma of a picture with a marked one at half its size inside, and how it lies."""
    marked = embed(picture(1, 512, 640), KEY, NUMBER)
    pixels = picture(2, 512, 640)
    pixels[BOX] = cv2.resize(marked, (320, 256), interpolation=cv2.INTER_AREA)
    matrix = scaling(2 * canonical_scale(marked.shape, DEFAULT))
    matrix = matrix @ affine(np.eye(2), np.array([250.0, 100.0]), (0, 0))
    corners = ((250.0, 100.0), (570.0, 100.0), (570.0, 356.0), (250.0, 356.0))
    return luma(pixels), Alignment(as_tuple(matrix), "inset", corners)


def far_outside():
    """Give the pixels that no part of the average reaches from the inset."""
    inside = np.zeros((512, 640), np.uint8)
    inside[BOX] = 1
    return cv2.dilate(inside, np.ones((121, 121), np.uint8)) == 0


def test_evidence_is_high_where_the_mark_is_and_noise_elsewhere(inset):
    found = evidence_map(*inset, KEY, NUMBER)
    assert np.percentile(found[BOX], 5) > 6
    outside = found[far_outside()]
    assert np.abs(outside).max() < 5
    assert 0.5 < outside.std() < 1.5


def test_the_wrong_key_or_place_shows_nothing(inset):
    plane, alignment = inset
    moved = as_tuple(affine(np.eye(2), np.zeros(2), (40.0, 31.0)) @ np.array(alignment.matrix))
    other = Key(b"another".ljust(32, b"."))
    for key, where in ((other, alignment), (KEY, Alignment(moved, "", alignment.outline))):
        found = evidence_map(plane, where, key, NUMBER)
        assert np.abs(found).max() < 6
        assert found.std() < 2


@pytest.mark.parametrize("turn", ["mirrored", "quarter"])
def test_the_map_is_of_the_picture_and_not_of_the_grid(inset, turn):
    """A picture that is turned has the map that is turned."""
    plane, alignment = inset
    if turn == "mirrored":
        back = np.array([[-1.0, 0, 640], [0, 1, 0], [0, 0, 1]])
        turned = plane[:, ::-1]
    else:
        back = np.array([[0.0, 1, 0], [-1, 0, 512], [0, 0, 1]])
        turned = plane.T[:, ::-1]
    seen = evidence_map(np.ascontiguousarray(turned), alignment.seen_from(back), KEY, NUMBER)
    plain = evidence_map(plane, alignment, KEY, NUMBER)
    expected = plain[:, ::-1] if turn == "mirrored" else plain.T[:, ::-1]
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("shape", [(16, 16), (40, 640), (301, 223), (900, 700)])
def test_a_map_has_the_size_of_its_picture_and_is_finite(shape):
    """Also where a part of the picture lies behind the horizon, and where all is of one tone."""
    height, width = shape
    bent = np.array([[1.0, 0, 0], [0, 1, 0], [-1.5 / width, 0, 1]])
    corners = ((0.0, 0.0), (width / 4, 0.0), (width / 4, height), (0.0, height))
    alignment = Alignment(as_tuple(bent), "", corners)
    for plane in (luma(picture(3, *shape)) if min(shape) > 30 else None, np.zeros(shape)):
        if plane is not None:
            found = evidence_map(plane.astype(np.float32), alignment, KEY, NUMBER)
            assert (found.shape, found.dtype) == (shape, np.float32)
            assert np.isfinite(found).all()


def test_with_nothing_to_draw_it_is_the_picture():
    pixels = picture(4)
    assert np.array_equal(drawn(pixels, ()), pixels)
    assert np.array_equal(drawn(pixels * np.uint16(257), ()), pixels)
    assert np.array_equal(drawn(pixels[..., 0], ()), np.dstack([pixels[..., 0]] * 3))


def test_each_outline_has_a_colour_of_its_own_and_the_input_stays():
    pixels = np.full((300, 400, 3), 90, np.uint8)
    boxes = [((x, 40.0), (x + 150, 40.0), (x + 150, 260.0), (x, 260.0)) for x in (20.0, 220.0)]
    made = drawn(pixels, boxes)
    assert (pixels == 90).all()
    assert made.shape == pixels.shape
    left, right = made[150, 20].tolist(), made[150, 220].tolist()
    assert left != right
    assert [90, 90, 90] not in (left, right)
    assert (made[150, 100] == 90).all()
    assert (made[:, :190] != 90).any()


def test_an_outline_at_the_border_is_seen():
    made = drawn(np.zeros((100, 120), np.uint8), [((0, 0), (120, 0), (120, 100), (0, 100))])
    for row, column in ((50, 2), (50, 117), (2, 60), (97, 60)):
        assert made[row, column].any()


def test_colours_stand_for_evidence_and_none_for_none():
    pixels = picture(5)
    heat = np.zeros(pixels.shape[:2], np.float32)
    heat[:, 240:] = 3
    made = drawn(pixels, (), [heat, -heat])
    assert np.ptp(made[:, :240].astype(int), axis=2).max() == 0, "grey where there is nothing"
    assert np.ptp(made[:, 240:].astype(int), axis=2).mean() > 40
    strong = drawn(pixels, (), [10 * heat])
    assert not np.array_equal(strong[:, 240:], made[:, 240:]), "a weak mark is not drawn in full"
