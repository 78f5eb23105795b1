"""Films are read back before they get their names, and nothing else ever stands there."""

import av
import films
import numpy as np
import pytest

from watermark import filming
from watermark.codecs import Encoding
from watermark.errors import MarkNotReadable, OutputError, RegistryError, UnreadableMedia
from watermark.filming import is_marked, mark_film, read_back_film
from watermark.key import Key
from watermark.registry import open_registry

KEY, OTHER = Key(bytes(range(32))), Key(bytes(32))
NUMBER = 0x3F2A9C01B7DE
QUICK = Encoding(preset="ultrafast", crf=18)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return films.make(folder / "source.mp4", size=(640, 360), ticks=36, options={"crf": "12"})


@pytest.fixture(scope="module")
def marked(source):
    output = source.with_name("marked.mp4")
    seen = []
    result = mark_film(
        source,
        output,
        KEY,
        NUMBER,
        encoding=QUICK,
        on_progress=lambda *so_far: seen.append(so_far),
    )
    assert seen[-1][0] == pytest.approx(35 * 1001 / 24000, abs=0.1)
    return output, result


def test_a_marked_film_shows_its_mark_and_no_other(marked):
    output, result = marked
    assert result.frames == 36
    assert result.damaged == 0
    assert result.seen.z > 15
    assert result.seen.number == NUMBER
    assert result.seen.frames == 3, "two a second"
    assert read_back_film(output, KEY, NUMBER) == result.seen
    assert abs(read_back_film(output, OTHER, NUMBER).z) < 5


def test_what_is_done_already_is_told_from_what_is_not(marked, source, tmp_path):
    output, _ = marked
    assert is_marked(output, KEY, NUMBER, 8.0)
    assert not is_marked(output, KEY, NUMBER + 1, 8.0), "another mark of the same key"
    assert not is_marked(output, OTHER, NUMBER, 8.0)
    assert not is_marked(source, KEY, NUMBER, 8.0)
    assert not is_marked(tmp_path / "none.mp4", KEY, NUMBER, 8.0)
    short = tmp_path / "short.mp4"
    short.write_bytes(output.read_bytes()[: output.stat().st_size // 2])
    assert not is_marked(short, KEY, NUMBER, 8.0)


def test_the_weakest_ten_seconds_are_told(marked, tmp_path, monkeypatch):
    """Of three stretches the one in the middle is from a film without a mark."""
    monkeypatch.setattr(filming, "_STRETCH", 0.4)
    monkeypatch.setattr(filming, "_EVERY", 0.01)
    output, _ = marked
    planes = {}
    for name in (output, output.with_name("source.mp4")):
        planes[name] = [plane.copy() for _, _, plane in filming.frames(name)]
    mixed = tmp_path / "mixed.mkv"
    with av.open(str(mixed), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "gray"
        for number in range(36):
            from_ = output if not 10 <= number < 20 else output.with_name("source.mp4")
            frame = av.VideoFrame.from_ndarray(planes[from_][number], format="gray")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    seen = read_back_film(mixed, KEY, NUMBER)
    assert seen.start == pytest.approx(0.4, abs=0.05)
    assert seen.weakest < 4
    assert seen.z > 2 * seen.weakest


def test_a_mark_that_cannot_be_read_back_leaves_nothing(source, tmp_path):
    output = tmp_path / "out.mp4"
    with pytest.raises(MarkNotReadable, match=r"source\.mp4: the mark would not be found .* --crf"):
        mark_film(source, output, KEY, NUMBER, encoding=QUICK, required=1e6)
    assert not [*tmp_path.iterdir()]


def test_a_registry_that_cannot_be_told_leaves_nothing(source, tmp_path):
    with open_registry(tmp_path / "r.sqlite") as registry:
        before = {*tmp_path.iterdir()}
        with pytest.raises(RegistryError):
            mark_film(source, tmp_path / "o.mp4", KEY, NUMBER, encoding=QUICK, registry=registry)
        assert {*tmp_path.iterdir()} == before, "the number is of no work"
        _, mark = registry.add_work("夜汽車")
        done = mark_film(
            source, tmp_path / "o.mp4", KEY, mark.number, encoding=QUICK, registry=registry
        )
        assert done.seen.number == mark.number
    assert (tmp_path / "o.mp4").exists()


def test_an_output_that_exists_is_replaced_only_on_request(source, tmp_path):
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    with pytest.raises(OutputError, match="its output exists"):
        mark_film(source, output, KEY, NUMBER, encoding=QUICK)
    assert output.read_text() == "precious"


def test_a_film_that_breaks_off_leaves_nothing_and_says_where(source, tmp_path):
    broken = tmp_path / "broken.mkv"
    films.make(broken, size=(640, 360), ticks=72)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableMedia, match=r"broken\.mkv: .*second \d"):
        mark_film(broken, tmp_path / "out.mkv", KEY, NUMBER, encoding=QUICK)
    assert [*tmp_path.iterdir()] == [broken]


def test_turned_and_wide_pixels_are_marked_as_they_are_shown(tmp_path):
    """A detector that sees the shown frame finds the mark at its own place."""
    source = films.make(
        tmp_path / "wide.mp4", size=(480, 360), ticks=8, aspect=films.Fraction(4, 3)
    )
    output = tmp_path / "out.mp4"
    assert mark_film(source, output, KEY, NUMBER, encoding=QUICK).seen.z > 10


def test_the_stretches_add_up_to_the_whole(marked):
    output, result = marked
    parts = list(filming._stretches(output, KEY, filming.DEFAULT, None))
    assert sum(each.frames for _, each in parts) == result.seen.frames
    assert np.isfinite(result.seen.weakest)
