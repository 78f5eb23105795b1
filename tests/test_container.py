"""What is read of a film, and what is never opened."""

from fractions import Fraction

import av
import films
import numpy as np
import pytest

from watermark.container import DEMUXERS, OPEN_OPTIONS, frames, open_film, probe, url
from watermark.errors import MediaError, UnreadableMedia, UnsupportedMedia
from watermark.planes import PlaneFormat, Shown

TURNS = {  # display matrix, as libav stores it: what is shown
    (1, 0, 0, 1): Shown(0),
    (0, 1, -1, 0): Shown(90),
    (-1, 0, 0, -1): Shown(180),
    (0, -1, 1, 0): Shown(270),
    (-1, 0, 0, 1): Shown(0, mirrored=True),
    (1, 0, 0, -1): Shown(180, mirrored=True),
}


def test_a_film_is_described_as_it_was_made(tmp_path):
    path = films.make(
        tmp_path / "a.mp4",
        codec="libx265",
        pixels="yuv420p10le",
        options=films.HDR10,
        colour=films.PQ,
        aspect=Fraction(4, 3),
    )
    info = probe(path)
    assert (info.width, info.height, info.pixel_format, info.codec) == (
        *(320, 180),
        *("yuv420p10le", "hevc"),
    )
    assert info.format == PlaneFormat(10, full=False, transfer="pq")
    assert info.bits == 10
    assert (info.rate, info.time_base) == (Fraction(24000, 1001), Fraction(1, 24000))
    assert info.frames == 30
    assert info.duration == pytest.approx(30 * 1001 / 24000)
    assert info.aspect == Fraction(4, 3)
    assert info.shown.aspect == pytest.approx(4 / 3)
    colour = info.colour
    assert (colour.primaries, colour.transfer, colour.matrix, colour.range) == (9, 16, 9, 1)
    assert colour.light == (1000, 400)
    assert len(colour.mastering) == 88
    assert not info.interlaced


@pytest.mark.parametrize(("linear", "shown"), TURNS.items(), ids=str)
def test_the_display_matrix_tells_how_a_frame_is_shown(tmp_path, linear, shown):
    a, b, c, d = (65536 * value for value in linear)
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = films.make(tmp_path / "a.mov", ticks=3, matrix=matrix)
    info = probe(path)
    assert info.shown == shown
    assert info.matrix == (None if shown == Shown() else matrix)


def test_the_shown_frame_is_what_a_player_turns_it_into(tmp_path):
    """PyAV's own rotation counts the other way; both come to the same frame."""
    path = tmp_path / "a.mov"
    films.make(path, ticks=3, matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    with av.open(str(path)) as film:
        frame = next(film.decode(video=0))
        assert frame.rotation % 360 == (360 - probe(path).shown.rotation) % 360


@pytest.mark.parametrize(
    ("codec", "pixels", "colour", "expected"),
    [
        ("libx264", "yuv420p", {}, PlaneFormat(8, full=False, transfer="sdr")),
        ("libx264", "yuvj420p", {"color_range": 2}, PlaneFormat(8, full=True, transfer="sdr")),
        ("libx264", "yuv422p10le", {"color_range": 2}, PlaneFormat(10, True, "sdr")),
        ("libx265", "yuv444p12le", {"color_trc": 18}, PlaneFormat(12, False, "hlg")),
        ("ffv1", "gray16le", {}, PlaneFormat(16, full=True, transfer="sdr")),
        ("prores_ks", "yuv422p10le", {}, PlaneFormat(10, full=False, transfer="sdr")),
    ],
)
def test_depth_range_and_transfer_are_told(tmp_path, codec, pixels, colour, expected):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = tmp_path / ("a.mov" if codec == "prores_ks" else "a.mkv")
    films.make(path, codec=codec, pixels=pixels, colour=colour, options=options, ticks=3)
    assert probe(path).format == expected


def test_planes_are_read_back_with_times_and_without_padding(tmp_path):
    """Rows of libav are longer than the picture is wide: 322 pixels show it."""
    path = tmp_path / "a.mkv"
    ticks = [0, 40, 100, 140, 500]
    films.make(path, codec="ffv1", pixels="yuv422p10le", size=(322, 182), ticks=ticks,
               time_base=Fraction(1, 1000))  # fmt: skip
    rng = np.random.default_rng(7)
    found = [(pts, time, plane.copy()) for pts, time, plane in frames(path)]
    assert [(pts, time) for pts, time, _ in found] == [(t, t / 1000) for t in ticks]
    for number, (_, _, plane) in enumerate(found):
        assert plane.dtype == np.uint16
        np.testing.assert_array_equal(plane, films.picture(number, 322, 182, 10, rng))


def test_a_cover_is_not_the_film(tmp_path):
    path = films.rich_matroska(tmp_path / "a.mkv")
    assert probe(path).codec == "h264"


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile a.mkv\n", "#EXTM3U\n#EXTINF:5,\na.mkv\n#EXT-X-ENDLIST\n"],
    ids=["concat", "playlist"],
)
def test_a_list_that_points_to_a_film_is_refused(tmp_path, text, name):
    films.make(tmp_path / "a.mkv", ticks=3)
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(MediaError, match=r"give the film itself|no film"):
        probe(path)


def test_no_demuxer_that_opens_other_files_is_on_the_list():
    assert not {"concat", "hls", "dash", "image2", "sdp", "lavfi", "rtsp"} & set(DEMUXERS)
    assert OPEN_OPTIONS["protocol_whitelist"] == "file"


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    films.make(tmp_path / "a.mkv", ticks=3)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mkv").rename(tmp_path / "concat:a.mkv")
    assert probe("concat:a.mkv").codec == "h264"
    assert url("http://a") == "file:http://a"


def test_what_is_no_film_is_refused_with_a_cure(tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(1).bytes(5000))
    for path, problem in (
        (tmp_path / "none.mp4", "check the name"),
        (tmp_path, "folder|directory"),
        (empty, "empty; copy it again"),
        (noise, "copy it again|give the film itself"),
    ):
        with pytest.raises((UnreadableMedia, UnsupportedMedia), match=problem) as caught:
            probe(path)
        assert "\n" not in str(caught.value)


def test_sound_alone_is_no_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream, tone = films.add_sound(output)
        output.mux(films.sound_packets(stream, *tone))
    with pytest.raises(UnsupportedMedia, match="no video"), open_film(path):
        pass


@pytest.mark.parametrize("pixels", ["bgra", "gbrp10le"])
def test_frames_without_a_luma_plane_are_refused_by_name(tmp_path, pixels):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        video = output.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 64, 64, pixels
        frame = av.VideoFrame(64, 64, pixels)
        frame.pts = 0
        output.mux(video.encode(frame))
        output.mux(video.encode())
    with pytest.raises(UnsupportedMedia, match=f"{pixels} have no luma plane.*convert it"):
        probe(path)


def test_interlaced_video_is_told(tmp_path):
    path = films.make(tmp_path / "a.mkv", options={"x264-params": "interlaced=1:tff=1"}, ticks=5)
    assert probe(path).interlaced
