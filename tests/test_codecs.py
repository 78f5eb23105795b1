"""Which encoder is chosen, how it is set, and what is refused with which cure."""

import dataclasses
from fractions import Fraction

import pytest

from watermark.codecs import CODECS, Encoding, plan
from watermark.errors import UnsupportedMedia
from watermark.planes import PlaneFormat, Shown
from watermark.videoinfo import Colour, VideoInfo

BASE = VideoInfo(
    name="film",
    container="mov,mp4,m4a,3gp,3g2,mj2",
    codec="h264",
    profile="High",
    tag="avc1",
    width=1920,
    height=1080,
    pixel_format="yuv420p",
    format=PlaneFormat(8, full=False),
    shown=Shown(),
    rate=Fraction(24),
    time_base=Fraction(1, 24000),
    duration=10.0,
    frames=240,
    bit_rate=20_000_000,
    interlaced=False,
    aspect=None,
    matrix=None,
    colour=Colour(),
    side_data=frozenset(),
)


def info(**changes):
    return dataclasses.replace(BASE, **changes)


@pytest.mark.parametrize(
    ("codec", "pixels", "encoder"),
    [
        ("h264", "yuv422p10le", "libx264"),
        ("hevc", "yuv444p12le", "libx265"),
        ("av1", "yuv420p10le", "libsvtav1"),
        ("vp9", "yuv444p", "libvpx-vp9"),
        ("prores", "yuv422p10le", "prores_ks"),
        ("dnxhd", "yuv422p10le", "dnxhd"),
        ("ffv1", "yuv420p16le", "ffv1"),
        ("mpeg2video", "yuv422p", "mpeg2video"),
    ],
)
def test_the_family_and_the_pixel_format_are_the_sources(codec, pixels, encoder):
    planned = plan(info(codec=codec, pixel_format=pixels), Encoding(), suffix=".mkv")
    assert (planned.encoder, planned.pixel_format) == (encoder, pixels)


@pytest.mark.parametrize(
    ("codec", "profile", "expected"),
    [
        ("prores", "Proxy", "proxy"),
        ("prores", "LT", "lt"),
        ("prores", "Standard", "standard"),
        ("prores", "HQ", "hq"),
        ("dnxhd", "DNXHR HQX", "dnxhr_hqx"),
        ("dnxhd", "DNXHR SQ", "dnxhr_sq"),
    ],
)
def test_intermediates_keep_their_profile(codec, profile, expected):
    source = info(codec=codec, profile=profile, pixel_format="yuv422p10le")
    assert plan(source, Encoding(), suffix=".mov").options["profile"] == expected


def test_mpeg2_gets_at_least_the_bit_rate_of_the_source():
    source = info(codec="mpeg2video", bit_rate=40_000_000)
    assert plan(source, Encoding(), suffix=".mkv").bit_rate >= 40_000_000
    assert plan(info(bit_rate=None), Encoding("mpeg2"), suffix=".mkv").bit_rate >= 10_000_000


@pytest.mark.parametrize(
    ("source", "encoding", "suffix", "says"),
    [
        (info(pixel_format="yuv422p10le"), Encoding("av1"), ".mkv", "--codec h264 or hevc"),
        (info(pixel_format="yuv422p10le"), Encoding("mpeg2"), ".mkv", "yuv422p10le"),
        (info(pixel_format="yuv444p12le"), Encoding(), ".mkv", "--codec hevc or ffv1"),
        (info(codec="cfhd"), Encoding(), ".mkv", "--codec"),
        (info(codec="rawvideo"), Encoding(), ".mov", r"\.mkv for FFV1"),
        (info(interlaced=True), Encoding(), ".mkv", "deinterlace"),
        (info(side_data=frozenset({"DOVI_METADATA"})), Encoding(), ".mkv", "Dolby Vision"),
        (info(side_data=frozenset({"DYNAMIC_HDR_PLUS"})), Encoding(), ".mkv", r"HDR10\+"),
        (info(side_data=frozenset({"SPHERICAL"})), Encoding("vp9"), ".mkv", "--codec h264"),
        (info(colour=Colour(light=(1000, 400))), Encoding("ffv1"), ".mkv", "HDR10"),
        (info(aspect=Fraction(4, 3)), Encoding("vp9"), ".webm", r"name the output \.mp4"),
        (info(aspect=Fraction(5, 4)), Encoding("mpeg2"), ".ts", r"name the output \.mov"),
        (info(aspect=Fraction(4, 3)), Encoding("ffv1"), ".mkv", "--codec hevc"),
    ],
    ids=range(13),
)
def test_what_would_be_lost_is_refused_with_a_way_that_works(source, encoding, suffix, says):
    with pytest.raises(UnsupportedMedia, match=says) as caught:
        plan(source, encoding, suffix=suffix)
    assert str(caught.value).startswith("film: ")
    assert "\n" not in str(caught.value)


def test_raw_video_becomes_ffv1_in_matroska():
    assert plan(info(codec="rawvideo"), Encoding(), suffix=".mkv").family == "ffv1"


@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        (Encoding("prores", crf=20), "no rate factor"),
        (Encoding("h264", crf=60), "0 to 51"),
        (Encoding("av1", lossless=True), "no lossless mode"),
        (Encoding("h264", preset="quick"), "presets ultrafast"),
        (Encoding("av1", preset="14"), "presets 0"),
        (Encoding("ffv1", preset="slow"), "no presets"),
    ],
)
def test_settings_that_do_not_belong_to_a_codec_are_refused_for_the_film(encoding, says):
    source = (
        info(codec="prores", pixel_format="yuv422p10le") if encoding.codec == "prores" else BASE
    )
    with pytest.raises(UnsupportedMedia, match=f"^film: .*{says}"):
        plan(source, encoding, suffix=".mkv")


@pytest.mark.parametrize(
    "settings", [{"codec": "theora"}, {"crf": 18, "lossless": True}, {"threads": 0}]
)
def test_an_encoding_that_makes_no_sense_cannot_be_made(settings):
    with pytest.raises(ValueError, match=r"codec|lossless|threads"):
        Encoding(**settings)


@pytest.mark.parametrize("family", ["h264", "hevc", "av1"])
def test_every_family_writes_hdr10_data_in_its_own_spelling(family):
    chromaticities = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)  # R, G, B, white
    values = [part for value in chromaticities for part in (value, 50_000)]
    values += [50, 10_000, 10_000_000, 10_000, 1, 1]  # least and most luminance
    mastering = b"".join(value.to_bytes(4, "little") for value in values)
    colour = Colour(mastering=mastering, light=(1000, 400))
    options = plan(info(colour=colour), Encoding(family), suffix=".mkv").options
    text = next(value for key, value in options.items() if key.endswith("-params"))
    expected = {
        "h264": "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
        "L(10000000,50):cll=1000,400",
        "hevc": "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
        "L(10000000,50):max-cll=1000,400",
        "av1": "mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)R(0.68000,0.32000)"
        "WP(0.31270,0.32900)L(1000.0000,0.0050):content-light=1000,400",
    }
    assert expected[family] in text


@pytest.mark.parametrize(("tag", "expected"), [("hev1", "hev1"), ("hvc1", "hvc1"), ("", "hvc1")])
def test_hevc_keeps_its_name_in_mp4(tag, expected):
    source = info(codec="hevc", tag=tag)
    assert plan(source, Encoding(), suffix=".mp4").tag == expected
    assert plan(source, Encoding(), suffix=".mkv").tag == ""


def test_every_codec_name_can_be_asked_for():
    for name in CODECS:
        pixels = "yuv422p10le" if name in {"prores", "dnxhr"} else "yuv420p"
        assert plan(info(pixel_format=pixels), Encoding(name), suffix=".mkv").family == name
