"""What goes through untouched, what is marked, and what happens when something breaks."""

import os
import signal
import threading
import time
from fractions import Fraction

import av
import films
import numpy as np
import pytest

from watermark.codecs import Encoding
from watermark.container import luma_view, probe
from watermark.errors import OutputError, UnreadableMedia, UnsupportedMedia
from watermark.remux import transcode

FAST = Encoding(preset="ultrafast")
QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # turned clockwise
VARIABLE = [0, 1001, 2002, 5005, 5500, 9009, 12000, 13000, 20020, 20500, 24024]


def same(_):
    return lambda plane: plane


def brighter(info):
    return lambda plane: plane + plane.dtype.type(1)


def mp4_with_everything(path, **settings):
    """Write sound, timed text, chapters and tags, turned and with wide pixels."""

    def before(output):
        sound = films.add_sound(output)
        text = output.add_mux_stream("mov_text")
        text.time_base = Fraction(1, 1000)
        text.metadata["language"] = "deu"
        output.set_chapters(films.CHAPTERS)
        return sound, text

    def after(output, added):
        (sound, tone), text = added
        output.mux(films.sound_packets(sound, *tone))
        lines = [(100, 300, b"Hallo"), (600, 300, b"Welt")]
        output.mux(films.text_packets(text, lines))

    tags = {"title": "T", "artist": "me", "comment": "c"}
    return films.make(path, before=before, after=after, tags=tags, **settings)


def assert_passed(source, output):
    """Compare every stream but the first, packet by packet, and all tags and chapters."""
    before, after = films.passing(source), films.passing(output)
    assert after["tags"] == before["tags"]
    assert after["chapters"] == before["chapters"]
    assert after["streams"].keys() == before["streams"].keys()
    for index, stream in before["streams"].items():
        for name, value in stream.items():
            if name == "extradata" and (index == 0 or stream["codec"] == "mov_text"):
                continue  # the encoder's own; the muxer adds a box to that of timed text
            assert after["streams"][index][name] == value, (index, name)
    described, written = probe(source), probe(output)
    for name in ("codec", "pixel_format", "format", "shown", "rate", "time_base", "tag"):
        assert getattr(written, name) == getattr(described, name), name
    assert (written.aspect, written.matrix) == (described.aspect, described.matrix)
    assert written.colour == described.colour
    assert [frame[:2] for frame in films.decoded(output)] == [
        frame[:2] for frame in films.decoded(source)
    ]


def test_matroska_keeps_sound_subtitles_fonts_covers_chapters_and_tags(tmp_path):
    source, output = films.rich_matroska(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    transcode(source, output, same, encoding=FAST)
    assert_passed(source, output)
    kinds = [stream["type"] for stream in films.passing(output)["streams"].values()]
    assert kinds == ["video", *["audio"] * 2, *["subtitle"] * 2, "attachment", "video"]


def test_mp4_keeps_sound_timed_text_rotation_aspect_and_chapters(tmp_path):
    source = mp4_with_everything(tmp_path / "a.mp4", matrix=QUARTER, aspect=Fraction(4, 3))
    transcode(source, tmp_path / "b.mp4", same, encoding=FAST)
    assert_passed(source, tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("first", [0, 2000])
def test_times_of_a_variable_frame_rate_and_of_a_late_start_are_kept(tmp_path, suffix, first):
    base = Fraction(1, 24000) if suffix == ".mp4" else Fraction(1, 1000)
    ticks = [first * 24 + t for t in VARIABLE] if suffix == ".mp4" else [
        first + t // 24 for t in VARIABLE
    ]  # fmt: skip
    source = films.make(tmp_path / f"a{suffix}", ticks=ticks, time_base=base)
    output = tmp_path / f"b{suffix}"
    transcode(source, output, same, encoding=Encoding(preset="medium"))
    times = [time for time, *_ in films.decoded(output)]
    assert times == [tick * base for tick in ticks]


def test_a_last_frame_that_stands_for_long_stands_as_long(tmp_path):
    ticks = [0, 1000, 2000, 3000, 4000, 16000, 28000]
    source = films.make(tmp_path / "a.mp4", ticks=ticks, options={"bf": "0"})
    transcode(source, tmp_path / "b.mp4", same, encoding=Encoding(preset="medium"))
    frames = films.decoded(tmp_path / "b.mp4")
    assert [time * 24_000 for time, *_ in frames] == ticks
    assert frames[-1][1] * 24_000 == 12_000


def test_sound_keeps_its_place_beside_a_late_picture(tmp_path):
    ticks = [12_000 + 1001 * number for number in range(24)]
    source = mp4_with_everything(tmp_path / "a.mp4", ticks=ticks)
    transcode(source, tmp_path / "b.mp4", same, encoding=Encoding(preset="medium"))
    assert_passed(source, tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", [None, "h264", "av1"])
def test_hdr10_data_is_read_back_as_it_was(tmp_path, suffix, codec):
    settings = {"options": films.HDR10, "colour": films.PQ}
    source = films.make(
        tmp_path / f"a{suffix}", codec="libx265", pixels="yuv420p10le", ticks=8, **settings
    )
    output = tmp_path / f"b{suffix}"
    preset = "10" if codec == "av1" else "ultrafast"
    transcode(source, output, same, encoding=Encoding(codec, preset=preset))
    before, after = probe(source).colour, probe(output).colour
    assert after.light == before.light == (1000, 400)
    numbers = [np.frombuffer(colour.mastering, "<i4")[:20] for colour in (before, after)]
    values = [number[::2] / number[1::2] for number in numbers]
    # AV1 keeps chromaticities in 1/65536 and luminance in 1/256 and 1/16384 cd/m².
    np.testing.assert_allclose(values[1], values[0], atol=1e-4 if codec == "av1" else 0)
    assert (after.primaries, after.transfer, after.matrix, after.range) == (9, 16, 9, 1)
    assert after.location == before.location


def boxes_in_sample_entry(data, entry, added):
    """Put boxes at the end of the first sample entry of a QuickTime file, whose index is last."""
    data = bytearray(data)
    at = data.index(b"stsd") - 4
    parents = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
    opened = [at, at + 16, *(data.index(name) - 4 for name in parents)]
    assert data[at + 20 : at + 24] == entry
    end = at + 16 + int.from_bytes(data[at + 16 : at + 20])
    for place in opened:
        size = int.from_bytes(data[place : place + 4]) + len(added)
        data[place : place + 4] = size.to_bytes(4)
    data[end:end] = added
    return bytes(data)


def test_hdr10_data_that_only_the_container_has_is_kept_within_the_family(tmp_path):
    """ProRes has no room for it; the layout is that of ISO/IEC 14496-12, mdcv and clli."""
    points = (13250, 34500, 7500, 3000, 34000, 16000, 15635, 16450)
    mdcv = b"mdcv" + b"".join(p.to_bytes(2) for p in points)
    mdcv += (10_000_000).to_bytes(4) + (50).to_bytes(4)
    clli = b"clli" + (1000).to_bytes(2) + (400).to_bytes(2)
    added = b"".join((len(box) + 4).to_bytes(4) + box for box in (mdcv, clli))
    source, output = tmp_path / "a.mov", tmp_path / "b.mov"
    films.make(source, codec="prores_ks", pixels="yuv422p10le", colour=films.PQ, ticks=4)
    source.write_bytes(boxes_in_sample_entry(source.read_bytes(), b"apch", added))
    transcode(source, output, same)
    before, after = probe(source), probe(output)
    assert before.colour.light == (1000, 400)
    assert after.colour == before.colour
    assert (after.codec, after.profile, after.tag) == (before.codec, before.profile, before.tag)
    with pytest.raises(UnsupportedMedia, match=r"HDR10.*--codec prores"):
        transcode(source, tmp_path / "c.mkv", same, encoding=Encoding("ffv1"))


def test_a_timecode_track_and_names_of_apples_are_kept(tmp_path):
    source, output = tmp_path / "a.mov", tmp_path / "b.mov"

    def before(film):
        film.streams.video[0].metadata["timecode"] = "01:00:00:00"

    tags = {"com.apple.quicktime.make": "Maker", "title": "T"}
    films.make(
        source,
        codec="prores_ks",
        pixels="yuv422p10le",
        before=before,
        tags=tags,
        container_options={"movflags": "use_metadata_tags"},
    )
    transcode(source, output, same)
    first, second = films.passing(source), films.passing(output)
    assert second["tags"] == first["tags"]
    assert second["tags"]["com.apple.quicktime.make"] == "Maker"
    assert second["streams"][1]["packets"] == first["streams"][1]["packets"]
    assert second["streams"][1]["tags"]["timecode"] == "01:00:00:00"


def captions(number):
    """Return an H.264 NAL unit with CTA-708 data of three pairs (ATSC A/53 part 4, table 6.7)."""
    pairs = b"".join(bytes((0xFC, 0x41 + (number + at) % 20, 0x42)) for at in range(3))
    user = b"\xb5\0\x31GA94\x03" + bytes((0x40 | 3, 0xFF)) + pairs + b"\xff"
    return b"\0\0\0\1\x06\x04" + bytes((len(user),)) + user + b"\x80"


def test_closed_captions_beside_the_pictures_are_kept(tmp_path):
    ticks = [126_000 + 3_754 * number for number in range(12)]
    plain = films.make(tmp_path / "a.ts", ticks=ticks, time_base=Fraction(1, 90_000),
                       options={"bf": "0"})  # fmt: skip
    source, output = tmp_path / "b.ts", tmp_path / "c.ts"
    with av.open(str(plain)) as film, av.open(str(source), "w") as captioned:
        stream = captioned.add_stream_from_template(film.streams.video[0], opaque=True)
        for number, packet in enumerate(film.demux(video=0)):
            if packet.size:
                data = bytes(packet)
                at = 6 if data[4] == 9 else 0  # an access unit delimiter stays first
                copy = av.Packet(data[:at] + captions(number) + data[at:])
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = packet.is_keyframe, stream
                captioned.mux_one(copy)

    def read(path):
        with av.open(str(path)) as film:
            frames = list(film.decode(video=0))
            kinds = [{item.type.name: bytes(item) for item in f.side_data} for f in frames]
            return [kind.get("A53_CC") for kind in kinds]

    assert all(read(source))
    transcode(source, output, same, encoding=Encoding(preset="medium"))
    assert read(output) == read(source)
    with pytest.raises(UnsupportedMedia, match=r"closed captions; choose --codec h264"):
        transcode(source, tmp_path / "d.mkv", same, encoding=Encoding("ffv1"))


CASES = {
    "h264 full range": ("mp4", "libx264", "yuvj420p", {}),
    "h264 10 bit 4:2:2": ("mp4", "libx264", "yuv422p10le", {}),
    "h264 grey": ("mkv", "libx264", "gray", {}),
    "hevc 12 bit 4:4:4": ("mkv", "libx265", "yuv444p12le", {"x265-params": "log-level=none"}),
    "hevc full range": ("mkv", "libx265", "yuvj420p", {"x265-params": "log-level=none"}),
    "vp9 4:4:4": ("webm", "libvpx-vp9", "yuv444p", {"deadline": "realtime", "cpu-used": "8"}),
    "prores lt": ("mov", "prores_ks", "yuv422p10le", {"profile": "lt"}),
    "prores 4444 with alpha": ("mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    "dnxhr hqx": ("mov", "dnxhd", "yuv422p10le", {"profile": "dnxhr_hqx"}),
    "dnxhr sq": ("mov", "dnxhd", "yuv422p", {"profile": "dnxhr_sq"}),
    "ffv1 16 bit": ("mkv", "ffv1", "yuv422p16le", {}),
    "mpeg2 in a transport stream": ("ts", "mpeg2video", "yuv420p", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_family_keeps_format_profile_and_times(tmp_path, name):
    suffix, codec, pixels, options = CASES[name]
    source, output = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    films.make(
        source,
        codec=codec,
        pixels=pixels,
        options=options,
        size=(256, 144),
        ticks=8,
        bit_rate=4_000_000 if codec == "mpeg2video" else 0,
        rate=Fraction(25),
        time_base=Fraction(1, 25),
        colour={"color_range": 2} if "j" in pixels else {},
    )
    preset = {"libx264": "ultrafast", "libx265": "ultrafast", "libvpx-vp9": "8"}.get(codec)
    done = transcode(source, output, same, encoding=Encoding(preset=preset))
    before, after = probe(source), probe(output)
    for field in ("codec", "pixel_format", "format", "time_base"):
        assert getattr(after, field) == getattr(before, field), field
    if "prores" in name or "dnxhr" in name:
        assert (after.profile, after.tag) == (before.profile, before.tag)
    assert [f[0] for f in films.decoded(output)] == [f[0] for f in films.decoded(source)]
    assert (done.frames, done.damaged, done.complete) == (8, 0, True)
    decoded = [films.decoded(path) for path in (source, output)]
    dtype = np.uint8 if before.bits == 8 else np.uint16
    a, b = ([np.frombuffer(f[2][0], dtype).astype(float) for f in film] for film in decoded)
    error = np.sqrt(np.mean((np.stack(a) - np.stack(b)) ** 2)) / 2 ** (before.bits - 8)
    assert error < 2.5


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "ffv1"])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p10le"])
def test_lossless_writes_the_marked_luma_and_the_very_chroma(tmp_path, codec, pixels):
    if codec == "vp9" and pixels != "yuv420p":
        pytest.skip("libvpx is built for 8 bits here")
    source = films.make(tmp_path / "a.mkv", codec="ffv1", pixels=pixels, size=(322, 182), ticks=5)
    output = tmp_path / "b.mkv"
    preset = None if codec == "ffv1" else "8" if codec == "vp9" else "ultrafast"
    transcode(source, output, brighter, encoding=Encoding(codec, preset=preset, lossless=True))
    dtype = np.uint8 if pixels == "yuv420p" else np.uint16
    for before, after in zip(films.decoded(source), films.decoded(output), strict=True):
        luma = np.frombuffer(before[2][0], dtype) + dtype(1)
        np.testing.assert_array_equal(np.frombuffer(after[2][0], dtype), luma)
        assert after[2][1:] == before[2][1:]


def test_the_decoder_never_sees_the_mark(tmp_path):
    """Marking in place would mark what later frames are predicted from, again and again."""
    source = films.make(tmp_path / "a.mkv", ticks=30, options={"bf": "0", "refs": "1"})
    encoding = Encoding("ffv1")
    transcode(source, tmp_path / "plain.mkv", None, encoding=encoding)
    transcode(source, tmp_path / "marked.mkv", brighter, encoding=encoding)
    plain, marked = (films.decoded(tmp_path / f"{name}.mkv") for name in ("plain", "marked"))
    for a, b in zip(plain, marked, strict=True):
        luma = np.frombuffer(a[2][0], np.uint8) + np.uint8(1)
        np.testing.assert_array_equal(np.frombuffer(b[2][0], np.uint8), luma)


def test_prores_4444_loses_only_the_two_bits_its_encoder_does_not_take():
    from watermark.filmwriter import refitted

    frame = av.VideoFrame(64, 48, "yuv444p12le")
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
        rows[:] = np.arange(rows.size).reshape(rows.shape) % 4096
    before = luma_view(frame).astype(int)
    after = luma_view(refitted(frame, "yuv444p10le")).astype(int)
    assert np.abs(4 * after - before).max() <= 3  # 4095 becomes 1023, the largest there is
    assert np.abs(4 * after - before)[before < 4092].max() <= 2


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        (".mp4", r"stream 3 \(subtitle, ass\); name the output \.mkv"),
        (".webm", r"stream 1 \(audio, aac\); name the output \.mkv"),
        (".ts", r"chapters; name the output \.mkv"),
        (".avi", r"not written as \.avi"),
    ],
)
def test_what_the_output_cannot_hold_is_refused_before_encoding(tmp_path, suffix, says):
    source, output = films.rich_matroska(tmp_path / "a.mkv"), tmp_path / f"b{suffix}"
    with pytest.raises(UnsupportedMedia, match=says):
        transcode(source, output, same)
    assert not output.exists()


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mov"), ("prores", ".mp4")])
def test_a_codec_that_the_output_cannot_hold_is_refused(tmp_path, codec, suffix):
    source = films.make(tmp_path / "a.mkv", codec="ffv1", pixels="yuv422p10le", ticks=3)
    with pytest.raises(UnsupportedMedia, match=f"cannot hold {codec}; name the output"):
        transcode(source, tmp_path / f"b{suffix}", same, encoding=Encoding(codec))


def test_a_size_that_the_encoder_does_not_take_is_refused_with_one_that_does(tmp_path):
    source = films.make(tmp_path / "a.mkv", codec="ffv1", size=(161, 91), ticks=3)
    with pytest.raises(UnsupportedMedia, match=r"its size is odd.*--codec ffv1"):
        transcode(source, tmp_path / "b.mkv", same, encoding=Encoding("h264"))
    assert transcode(source, tmp_path / "b.mkv", same).frames == 3


@pytest.fixture(scope="module")
def long_film(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "a.mkv"
    options = {"preset": "ultrafast", "g": "12"}
    return films.make(path, ticks=120, size=(160, 96), options=options)


def test_a_film_that_breaks_off_is_an_error_that_names_the_second(tmp_path, long_film):
    source, output = tmp_path / "cut.mkv", tmp_path / "b.mkv"
    data = long_film.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableMedia, match=r"breaks off at second 2\.\d+ of 5\.0.*--partial"):
        transcode(source, output, same, encoding=FAST)
    done = transcode(source, output, same, encoding=FAST, partial=True)
    assert not done.complete
    assert 40 < done.frames < 80
    assert done.seconds == pytest.approx(float(films.decoded(output)[-1][0]))


def test_an_mp4_without_its_index_is_refused(tmp_path):
    source = films.make(tmp_path / "a.mp4")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableMedia, match="copy it again"):
        transcode(source, tmp_path / "b.mp4", same)


def test_damaged_frames_are_passed_on_and_counted(tmp_path, long_film):
    data = bytearray(long_film.read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) * 3 // 10, len(data) * 9 // 10, 40):
        data[at] ^= 0xFF
    source = tmp_path / "hit.mkv"
    source.write_bytes(data)
    done = transcode(source, tmp_path / "b.mkv", same, encoding=FAST)
    assert done.damaged > 0
    assert done.frames > 100
    assert len(films.decoded(tmp_path / "b.mkv")) == done.frames


def test_packets_that_cannot_be_decoded_are_counted(tmp_path):
    source, hit = films.make(tmp_path / "a.mkv", codec="prores_ks", pixels="yuv422p10le"), []
    with av.open(str(source)) as film, av.open(str(tmp_path / "hit.mkv"), "w") as output:
        stream = output.add_stream_from_template(film.streams.video[0], opaque=True)
        for packet in film.demux(video=0):
            if packet.size:
                data = bytes(64) if packet.pts in {417, 834} else bytes(packet)
                copy = av.Packet(data)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe, copy.stream = True, stream
                hit.append(data == bytes(64))
                output.mux_one(copy)
    done = transcode(tmp_path / "hit.mkv", tmp_path / "b.mkv", same)
    assert sum(hit) == 2
    assert (done.damaged, done.frames) == (2, 28)


def failing(after, error):
    """Return a mark that raises `error` at a frame."""

    def mark(_):
        count = iter(range(1000))

        def step(plane):
            if next(count) == after:
                raise error
            return plane

        return step

    return mark


def test_what_the_mark_raises_reaches_the_caller_and_no_thread_stays(tmp_path, long_film):
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="in the mark"):
        transcode(long_film, tmp_path / "b.mkv", failing(20, RuntimeError("in the mark")))
    with pytest.raises(ValueError, match="has to stay uint8"):
        transcode(long_film, tmp_path / "b.mkv", lambda _: lambda plane: plane[:-1])

    def progress(seconds, _):
        if seconds > 1:
            raise KeyError(seconds)

    with pytest.raises(KeyError):
        transcode(long_film, tmp_path / "b.mkv", same, encoding=FAST, on_progress=progress)
    assert threading.active_count() <= threads  # those of tests before may have ended


def test_an_interrupt_ends_promptly_with_every_thread_joined(tmp_path, long_film):
    threads = threading.active_count()

    def slow(_):
        def step(plane):
            time.sleep(0.05)
            return plane

        return step

    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        transcode(long_film, tmp_path / "b.mkv", slow, encoding=FAST)
    assert time.monotonic() - started < 3
    timer.join()
    assert threading.active_count() <= threads  # those of tests before may have ended


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")  # noqa: PTH110
def test_a_full_disk_is_an_error_that_names_the_second(tmp_path, long_film):
    output = tmp_path / "b.mkv"
    output.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"after second \d\.\d\d \(No space left.*free some"):
        transcode(long_film, output, same, encoding=Encoding("ffv1"))


def test_progress_tells_seconds_and_the_whole_length(tmp_path, long_film):
    told = []
    transcode(
        long_film, tmp_path / "b.mkv", None, encoding=FAST, on_progress=lambda *a: told.append(a)
    )
    assert [seconds for seconds, _ in told] == sorted(seconds for seconds, _ in told)
    assert told[-1][0] == pytest.approx(4.96, abs=0.2)
    assert told[-1][1] == pytest.approx(5.005, abs=0.05)


def test_interlaced_films_are_refused_with_the_cure(tmp_path):
    source = films.make(tmp_path / "a.mkv", options={"x264-params": "interlaced=1:tff=1"}, ticks=5)
    with pytest.raises(UnsupportedMedia, match="deinterlace it first"):
        transcode(source, tmp_path / "b.mkv", same)


def test_a_mark_is_told_of_the_stream_and_gets_planes_in_the_order_shown(tmp_path):
    source = films.make(tmp_path / "a.mkv", ticks=20, options={"bf": "3"})
    seen = []

    def mark(info):
        assert (info.width, info.height, info.bits) == (320, 180, 8)

        def step(plane):
            assert (plane.shape, plane.dtype) == ((180, 320), np.uint8)
            seen.append(plane.copy())
            return plane

        return step

    transcode(source, tmp_path / "b.mkv", mark, encoding=FAST)
    for plane, frame in zip(seen, films.decoded(source), strict=True):
        assert plane.tobytes() == frame[2][0]
