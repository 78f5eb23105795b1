"""Bars of one tone are taken off, and only bars."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.borders import inside_borders, usual_boxes

SHAPE = (180, 320)


def content(shape=SHAPE, seed=1):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (9, 16)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def framed(top, bottom, left, right, tone):
    sides = ((top, bottom), (left, right))
    return np.pad(content(), sides, constant_values=tone).astype(np.float32)


bar = st.one_of(st.just(0), st.integers(2, 60))


@given(bar, bar, bar, bar, st.floats(0, 255))
def test_what_is_inside_bars_is_found(top, bottom, left, right, tone):
    """On any sides, of any tone; a row of the picture that is like the bar may go with it."""
    box = inside_borders(framed(top, bottom, left, right, tone))
    if not (top or bottom or left or right):
        assert box is None
        return
    found = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    off = found - (top, left, top + SHAPE[0], left + SHAPE[1])
    assert np.abs(off).max() <= 1


@pytest.mark.parametrize("quality", [40, 80])
def test_what_a_codec_leaves_on_a_bar_does_not_matter(quality):
    plane = framed(40, 40, 0, 0, 16).clip(0, 255).astype(np.uint8)
    _, code = cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, quality])
    box = inside_borders(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE).astype(np.float32))
    assert box is not None
    assert np.abs(np.array(box) - (40, 0, 180, 320)).max() <= 8


def test_no_bars_no_box():
    assert inside_borders(content()) is None


def test_one_row_is_not_a_bar():
    assert inside_borders(framed(1, 0, 0, 1, 0)) is None


def test_a_frame_round_next_to_nothing_is_not_a_border():
    plane = np.zeros((400, 400), np.float32)
    plane[180:220, 180:220] = content((40, 40))
    assert inside_borders(plane) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (50, 80)])
def test_a_picture_of_one_tone_has_no_border(shape):
    assert inside_borders(np.full(shape, 77, np.float32)) is None


@pytest.mark.parametrize("reach", [4, 9, 16, 17, 24, 40, 200])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_soft_shading_leaves_something_or_is_left_alone(reach, axis):
    """From both sides such a picture looks like a bar, and the two may meet."""
    shade = np.linspace(100, 100 + reach, 240, dtype=np.float32)
    plane = np.broadcast_to(shade[:, None], (240, 300))
    box = inside_borders(plane if axis == 0 else np.ascontiguousarray(plane.T))
    assert box is None or min(box[2:]) >= 60


def test_of_several_pictures_the_most_usual_boxes_are_told_first():
    wide, tall = framed(40, 40, 0, 0, 16), framed(0, 0, 30, 30, 16)
    nearly = framed(41, 39, 0, 0, 16)
    bare = content()
    boxes = usual_boxes([tall, wide, nearly, bare], most=2)
    assert boxes == [inside_borders(wide), inside_borders(tall)]
    assert usual_boxes([tall, wide, nearly], most=1) == [inside_borders(wide)]
    assert usual_boxes([bare], most=2) == []
