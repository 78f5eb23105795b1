"""A timeline is drawn as it is, whatever letters a title has."""

import cv2
import numpy as np
import pytest

from watermark.errors import OutputError
from watermark.plot import Band, legend_name, plot, write_plot

POINTS = [(float(time), -40.0 if 10 <= time < 20 else 0.0) for time in range(30)]
BANDS = [Band(0, 10, None), Band(10, 20, "Night Train"), Band(20, 30, None)]


def test_each_part_has_its_colour_at_its_time():
    image = plot(POINTS, BANDS, duration=30)
    strip = image[-96 + 12 + 12]  # the middle row of the strip below the curve
    width = 1280 - 80 - 24
    at = [tuple(strip[80 + round(time / 30 * width)]) for time in (5, 15, 25)]
    assert at[0] == at[2] == (200, 200, 200)
    assert at[1] == (0, 114, 178)


def test_two_works_have_two_colours():
    image = plot(POINTS, [Band(0, 15, "a"), Band(15, 30, "b")], duration=30)
    colours = {tuple(each) for each in image[-96 + 12 + 12, 90:1200]}
    assert len(colours) == 2


@pytest.mark.parametrize("points", [[], [(0.0, 0.0)], [(0.0, -3000.0), (0.5, -1.0)]])
@pytest.mark.parametrize("bands", [[], [Band(0.0, 0.0, None)], [Band(0.0, 0.5, "x" * 28)] * 12])
def test_nothing_is_too_little_or_too_much(points, bands):
    image = plot(points, bands, duration=0.0)
    assert image.shape == (480, 1280, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Night Train", "Night Train"),
        ("夜汽車", "id-1"),
        ("café", "id-1"),
        ("two\nlines", "id-1"),
        (None, "id-1"),
        ("A very long title that goes on and on", "A very long title that go..."),
    ],
)
def test_a_title_that_cannot_be_drawn_gives_way_to_the_id(title, name):
    assert legend_name(title, "id-1") == name


def test_the_picture_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "夜.png"
    write_plot(path, POINTS, BANDS, duration=30)
    data = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(data[..., ::-1], plot(POINTS, BANDS, duration=30))
    with pytest.raises(OutputError):
        write_plot(path / "x.png", POINTS, BANDS, duration=30)
