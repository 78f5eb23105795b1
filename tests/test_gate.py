"""The gate lets frames through and nothing else, whatever the file is."""

import os
import signal
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import encode, scene, shot

from watermark import gate as gates
from watermark.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia, WatermarkError
from watermark.footage import Limits
from watermark.gate import Gate
from watermark.planes import PlaneFormat, Shown


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Give a film of four seconds."""
    path = tmp_path_factory.mktemp("gate") / "film.mp4"
    return encode(path, shot(1, 32), options={"crf": "18", "g": "12"})


def gone(child):
    """Say whether a process has ended and left nothing behind."""
    return not Path(f"/proc/{child}").exists()


def test_a_film_tells_what_it_is_and_its_frames_come_with_their_times(film):
    with Gate(film) as gate:
        info = gate.info
        frames = list(gate.frames(fps=2))
    assert (info.width, info.height, info.shape) == (640, 360, (360, 640))
    assert (info.format, info.geometry) == (PlaneFormat(8, full=False), Shown())
    assert (info.duration, info.rate, info.kind) == (4.0, 8.0, "film")
    assert [each.time for each in frames if not each.key] == [0.5, 1.0, 2.0, 2.5, 3.5]
    assert [each.time for each in frames if each.key] == [0.0, 1.5, 3.0]
    assert np.abs(info.shown(frames[0].plane) - scene(1)).mean() < 3


def test_key_frames_alone_may_be_asked_for_and_a_film_read_again(film):
    with Gate(film) as gate:
        assert [each.time for each in gate.frames(key_frames=True)] == [0.0, 1.5, 3.0]
        assert [each.time for each in gate.frames(fps=1, start=1.0, end=3.0)] == [1.5, 2.0]
        reading = gate.frames(fps=8)
        next(reading)
        assert len(list(gate.frames(fps=8))) == 32, "a reading that was left is begun anew"


def test_of_each_tick_the_frame_comes_of_which_most_was_coded_anew(tmp_path):
    planes = [np.roll(scene(2), 5 * at, axis=1) for at in range(24)]
    path = encode(tmp_path / "coded.mp4", planes, rate=24, options={"crf": "23", "g": "24"})
    with Gate(path) as gate:
        every = list(gate.frames(fps=24))
        some = list(gate.frames(fps=6))
    assert [each.share for each in every if each.key] == [1.0]
    assert all(0 < each.share < 1 for each in every if not each.key)
    ticks = [every[at : at + 4] for at in range(0, 24, 4)]
    assert [each.time for each in some] == [
        max(tick, key=lambda frame: frame.share).time for tick in ticks
    ]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_frames_are_shown_upright_and_in_square_pixels(tmp_path, rotation):
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        luma = scene(4, (320, 180))
        grey = np.rint(16 + luma * (219 / 255)).astype(np.uint8)
        planes = np.vstack([grey, np.full((90, 320), 128, np.uint8)])
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    turned = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = (65536 * each for each in turned[rotation])
    data, numbers = path.read_bytes(), [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    plain = b"".join(each.to_bytes(4, "big") for each in [65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30])
    header = data.index(b"tkhd")
    at = data.index(plain, header)
    wanted = b"".join(each.to_bytes(4, "big", signed=True) for each in numbers)
    path.write_bytes(data[:at] + wanted + data[at + 36 :])
    with Gate(path) as gate:
        assert gate.info.geometry == Shown(rotation, aspect=2.0)
        plane = gate.info.shown(next(gate.frames()).plane)
    expected = np.rot90(cv2.resize(luma, (640, 180)), -rotation // 90)
    assert plane.shape == expected.shape == gate.info.shape
    assert np.abs(plane - expected).mean() < 3


def test_ten_bits_come_as_ten_bits(tmp_path):
    path = encode(
        tmp_path / "deep.mkv",
        shot(2, 4),
        codec="ffv1",
        pixels="yuv422p10le",
        options={"level": "3"},
    )
    with Gate(path) as gate:
        plane = next(gate.frames()).plane
        assert gate.info.format == PlaneFormat(10, full=False)
        assert plane.dtype == np.uint16
        assert np.abs(gate.info.shown(plane) - scene(2)).mean() < 3


@pytest.mark.parametrize("kind", ["gif", "apng", "webp"])
def test_animations_are_films(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    pictures = [cv2.merge([np.rint(each).astype(np.uint8)] * 3) for each in shot(3, 6)]
    if kind == "webp":
        film = cv2.Animation()
        film.frames = [cv2.cvtColor(each, cv2.COLOR_BGR2BGRA) for each in pictures]
        film.durations = np.full(6, 250, np.int32)
        assert cv2.imwriteanimation(str(path), film)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(kind, rate=4)
            stream.width, stream.height = 640, 360
            stream.pix_fmt = {"gif": "gray", "apng": "rgb24"}[kind]
            for each in pictures:
                frame = av.VideoFrame.from_ndarray(each, format="rgb24")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode())
    with Gate(path) as gate:
        frames = list(gate.frames(fps=4))
        assert gate.info.kind == "animation"
        assert gate.info.duration is None or abs(gate.info.duration - 1.5) < 0.3
        assert [each.time for each in frames] == pytest.approx([0, 0.25, 0.5, 0.75, 1, 1.25])
        assert np.abs(gate.info.shown(frames[0].plane) - scene(3)).mean() < 4


def test_lists_that_point_elsewhere_read_nothing(tmp_path, film):
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{film}\n#EXT-X-ENDLIST\n",
        "b.txt": f"ffconcat version 1.0\nfile {film}\n",
        "c.edl": f"# mpv EDL v0\n{film}\n",
        "d.sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "e.mpd": f"<?xml version='1.0'?><MPD><BaseURL>{film}</BaseURL></MPD>",
        "f.mp4": f"\n  #EXTM3U\n{film}\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UnsupportedMedia, match=f"{name}: .*other files"), Gate(tmp_path / name):
            pass


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.mp4", b"", "empty"),
        ("nonsense.mp4", b"nonsense" * 1000, "not a film"),
        ("still.png", None, "not a film"),
        ("still.webp", None, "does not move"),
        ("missing.mp4", b"", "cannot be opened"),
        ("img%03d.png", b"x" * 100, "not a film"),
    ],
)
def test_what_is_no_film_is_refused_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content is None:
        cv2.imwrite(str(path), scene(1).astype(np.uint8))
    elif "missing" not in name:
        path.write_bytes(content)
    with pytest.raises((UnreadableMedia, UnsupportedMedia), match=said) as caught, Gate(path):
        pass
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_film_cut_short_gives_the_frames_that_are_there(tmp_path):
    whole = encode(tmp_path / "whole.mkv", shot(5, 32), options={"crf": "10", "g": "4"})
    path = tmp_path / "half.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with Gate(path) as gate:
        times = [each.time for each in gate.frames(fps=8)]
    assert 8 <= len(times) <= 24


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(pixels=1000), "pixels"),
        (Limits(duration=2.0), "longer"),
        (Limits(streams=0), "streams"),
        (Limits(memory=60 << 20), "memory"),
    ],
)
def test_a_film_over_a_limit_is_refused(film, limits, said):
    with pytest.raises(MediaTooLarge, match=said) as caught, Gate(film, limits=limits) as gate:
        list(gate.frames(fps=8))
    assert "\n" not in str(caught.value)


def test_a_child_that_is_killed_is_one_error_and_leaves_nothing(film):
    with Gate(film) as gate:
        reading = gate.frames(fps=8)
        next(reading)
        child = gate._child.pid
        os.kill(child, signal.SIGKILL)
        with pytest.raises(WatermarkError, match="film"):
            list(reading)
        assert gone(child)
        assert len(list(gate.frames(fps=8))) == 32, "the parent goes on"


def test_a_child_out_of_processor_time_says_so(film):
    with Gate(film) as gate:
        os.kill(gate._child.pid, signal.SIGXCPU)
        with pytest.raises(MediaTooLarge, match="processor time"):
            list(gate.frames())


def test_a_child_that_says_nothing_is_given_up(film):
    with Gate(film) as gate:
        gate._limits = Limits(silence=0.2)
        os.kill(gate._child.pid, signal.SIGSTOP)
        with pytest.raises(UnreadableMedia, match="standstill"):
            list(gate.frames())


def test_leaving_the_gate_ends_the_child(film):
    with Gate(film) as gate:
        child = gate._child.pid
        next(gate.frames(fps=8))
        assert not gone(child)
    assert gone(child)


def test_the_child_can_open_nothing_else_and_write_nothing(film):
    with Gate(film) as gate:
        limits = Path(f"/proc/{gate._child.pid}/limits").read_text()
        environment = Path(f"/proc/{gate._child.pid}/environ").read_bytes()
    rows = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    for name in ("Max open files", "Max file size", "Max core file size"):
        assert rows[name] == ["0", "0"], name
    assert rows["Max data size"][0] == str(Limits().memory)
    assert b"HOME" not in environment


def test_nonsense_from_the_child_is_not_believed(film, monkeypatch):
    with Gate(film) as gate:
        for kind, header in (
            (b"F", {"time": 0.0, "key": True, "shape": [99999, 99999], "size": 1}),
            (b"F", {"time": 0.0, "key": True, "share": 2.0, "shape": [360, 640], "size": 1}),
            (b"F", {"time": float("nan"), "key": True, "shape": [360, 640], "size": 1}),
            (b"I", {}),
        ):
            monkeypatch.setattr(Gate, "_message", lambda *_, a=kind, b=header: (a, b))
            with pytest.raises(UnreadableMedia, match="nonsense"):
                list(gates.Gate.frames(gate))
