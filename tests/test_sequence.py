"""Frames of sequences: what is read, what is written, and what stays as it was."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import OpenEXR
import pytest
import pyvips
from sequences import (
    channels_of,
    density_of,
    dpx,
    film,
    light_of,
    light_of_density,
    read_exr,
    srgb_view,
    write_exr,
)

from watermark import scene
from watermark.dpx import parse
from watermark.errors import MediaTooLarge, OutputError, UnreadableMedia, UnsupportedMedia
from watermark.frame import luma
from watermark.sequence import check_output, read, viewer_luma
from watermark.stills import Still, write
from watermark.stills import read as read_still

COMPRESSIONS = ("NO", "RLE", "ZIPS", "ZIP", "PIZ")
SHAPE = (150, 200)


@pytest.fixture(scope="module")
def shown():
    """Give a frame as a viewer sees it, (150, 200, 3), 0–1."""
    return next(film(1, height=SHAPE[0], width=SHAPE[1]))


@pytest.fixture(scope="module")
def delta():
    """Give a delta of up to two code values."""
    rng = np.random.default_rng(5)
    return rng.uniform(-2, 2, SHAPE).astype(np.float32)


@pytest.fixture
def exr(tmp_path, shown):
    """Give a function that writes an OpenEXR file of every kind of channel and returns both."""

    def make(dtype="f2", compression="ZIP", **header):
        rng = np.random.default_rng(3)
        light = light_of(shown, exposure=3.0)
        channels = channels_of(light, dtype)
        channels["R"][0, 0], channels["G"][1, 1], channels["B"][2, 2] = np.nan, np.inf, -np.inf
        channels["R"][3, 3], channels["G"][3, 3], channels["B"][3, 3] = -0.5, 2.0, 0.25
        for name in "RGB":
            channels[name][4, :] = 0
        channels["A"] = rng.random(SHAPE).astype("f2")
        channels["Z"] = (1e4 * rng.random(SHAPE)).astype("f4")
        channels["diffuse.R"] = rng.random(SHAPE).astype("f2")
        channels["crypto00.r"] = rng.random(SHAPE).astype("f4")
        channels["id"] = rng.integers(0, 1 << 32, SHAPE, np.uint32)
        method = getattr(OpenEXR, f"{compression}_COMPRESSION")
        header |= {
            "timeCode": OpenEXR.TimeCode(1, 2, 3, 4, *[0] * 14),
            "chromaticities": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
            "owner": "スタジオ雲",
            "compression": method,
        }
        kept = {name: pixels.copy() for name, pixels in channels.items()}
        write_exr(tmp_path / "a.exr", channels, **header)
        return tmp_path / "a.exr", kept

    return make


def rewritten(path, frame, delta):
    path.write_bytes(frame.marked(delta))
    return path


def same(a, b):
    """Tell whether two arrays are the same to the bit, NaN included."""
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


def header_end(data):
    """Return where the header of a single-part OpenEXR file ends."""
    at = 8
    while data[at]:
        kind = data.index(0, data.index(0, at) + 1)
        at = kind + 5 + int.from_bytes(data[kind + 1 : kind + 5], "little")
    return at + 1


def strange_header(data):
    """Return an OpenEXR file with attributes that no library knows, out of order, in its header."""
    extra = b"zzz_house\0houseType\0" + struct.pack("<i", 5) + b"\x01\xfe\0hi"
    extra += b"exact\0double\0" + struct.pack("<id", 8, 1 / 3)
    new = bytearray(data[:8] + extra + data[8:])
    at, end = header_end(new), len(new)
    while at < end:
        offset = int.from_bytes(new[at : at + 8], "little") + len(extra)
        new[at : at + 8] = offset.to_bytes(8, "little")
        at, end = at + 8, min(end, offset)
    return bytes(new)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_all_other_channels_of_an_exr_are_kept_to_the_bit(exr, delta, dtype, compression):
    path, before = exr(dtype, compression)
    marked = read_exr(rewritten(path.with_name("b.exr"), read(path), delta))
    assert marked.keys() == before.keys()
    for name in before.keys() - {"R", "G", "B"}:
        assert same(marked[name], before[name]), name
    for name in "RGB":
        assert marked[name].dtype == before[name].dtype
        assert not same(marked[name], before[name])


@pytest.mark.parametrize("kind", ["increasing", "decreasing", "tiled"])
def test_the_header_of_an_exr_is_kept_byte_for_byte(exr, delta, kind):
    header = {"lineOrder": OpenEXR.DECREASING_Y} if kind == "decreasing" else {}
    if kind == "tiled":
        tiles = OpenEXR.TileDescription()
        tiles.xSize = tiles.ySize = 32
        header = {"type": OpenEXR.tiledimage, "tiles": tiles}
    path, before = exr(**header)
    source = strange_header(path.read_bytes())
    marked = read(source).marked(delta)
    assert marked[: header_end(source)] == source[: header_end(source)]
    assert marked != source
    path.write_bytes(marked)
    assert same(read_exr(path)["Z"], before["Z"])


def test_a_delta_of_zero_gives_the_exr_back_byte_for_byte(exr):
    source = strange_header(exr()[0].read_bytes())
    assert read(source).marked(np.zeros(SHAPE, np.float32)) == source


def test_hue_sign_zero_and_infinity_stay_in_an_exr(exr, delta):
    path, before = exr("f4")
    marked = read_exr(rewritten(path.with_name("b.exr"), read(path), delta))
    for at in range(3):  # one value of these pixels is not finite
        for name in "RGB":
            assert same(marked[name][at, at : at + 1], before[name][at, at : at + 1])
    for name in "RGB":
        assert not marked[name][4].any()
    light, new = (np.dstack([c[name] for name in "RGB"]) for c in (before, marked))
    finite = np.isfinite(light).all(axis=2) & (light != 0).all(axis=2)
    gain = new[finite] / light[finite]
    assert gain[:, 1:] == pytest.approx(np.repeat(gain[:, :1], 2, axis=1), rel=1e-5)
    assert np.sign(new[3, 3]).tolist() == [-1, 1, 1]


def test_a_gain_that_would_overflow_half_leaves_the_pixel(tmp_path):
    light = np.full((*SHAPE, 3), 65504.0)
    write_exr(tmp_path / "a.exr", channels_of(light))
    up = read(tmp_path / "a.exr").marked(np.full(SHAPE, 2, np.float32))
    down = read(tmp_path / "a.exr").marked(np.full(SHAPE, -2, np.float32))
    (tmp_path / "a.exr").write_bytes(up)
    assert (read_exr(tmp_path / "a.exr")["R"] == 65504).all()
    (tmp_path / "a.exr").write_bytes(down)
    assert (read_exr(tmp_path / "a.exr")["R"] < 65504).all()


@pytest.mark.parametrize("dtype", ["f2", "f4"])
def test_a_viewer_sees_the_delta_that_was_asked_for(tmp_path, shown, delta, dtype):
    write_exr(tmp_path / "a.exr", channels_of(light_of(shown), dtype))
    frame = read(tmp_path / "a.exr")
    new = read(frame.marked(delta))
    middle = (frame.seen() > 30) & (np.dstack([shown]).max(axis=2) < 0.97)
    assert middle.mean() > 0.5
    off = (new.seen() - frame.seen() - delta)[middle]
    assert np.abs(off).max() < 0.15
    assert frame.seen() == pytest.approx(luma(srgb_view(light_of(shown))), abs=1.0)


def test_the_display_window_is_the_picture(tmp_path, shown, delta):
    """Rows and columns beyond the display window stay, and what lacks data is black."""
    light = light_of(shown)
    windows = {
        "dataWindow": (np.array([-10, 6], "i4"), np.array([189, 155], "i4")),
        "displayWindow": (np.array([0, 0], "i4"), np.array([199, 143], "i4")),
    }
    write_exr(tmp_path / "a.exr", channels_of(light), **windows)
    frame = read(tmp_path / "a.exr")
    assert frame.shape == (144, 200)
    seen = frame.seen()
    expected = np.zeros((144, 200))
    expected[6:, :190] = luma(srgb_view(light))[:138, 10:]
    assert seen == pytest.approx(expected, abs=1.0)
    before = read_exr(tmp_path / "a.exr")["G"].copy()
    (tmp_path / "a.exr").write_bytes(frame.marked(delta[:144]))
    after = read_exr(tmp_path / "a.exr")["G"]
    assert same(after[138:], before[138:])
    assert same(after[:, :10].copy(), before[:, :10].copy())
    assert (after[:138, 10:] != before[:138, 10:]).mean() > 0.9
    difference = read(tmp_path / "a.exr").seen() - seen
    assert np.corrcoef(difference[6:, :190].ravel(), delta[6:144, :190].ravel())[0, 1] > 0.95


def test_grey_exr_and_further_parts(tmp_path, shown, delta):
    light = light_of(shown)[..., 1]
    windows = {"type": OpenEXR.scanlineimage}
    depth = np.random.default_rng(1).random(SHAPE).astype("f4")
    parts = [
        OpenEXR.Part(dict(windows), {"Z": depth.copy()}, "depth"),
        OpenEXR.Part(dict(windows), {"Y": light.astype("f2")}, "beauty"),
        OpenEXR.Part(dict(windows), channels_of(light_of(shown)), "diffuse"),
    ]
    OpenEXR.File(parts).write(str(tmp_path / "m.exr"))
    frame = read(tmp_path / "m.exr")
    assert (frame.part, frame.channels) == (1, ("Y",))
    data = frame.marked(delta)
    source = (tmp_path / "m.exr").read_bytes()
    assert data[: source.index(b"diffuse")] == source[: source.index(b"diffuse")]
    new = OpenEXR.File(io.BytesIO(data), separate_channels=True)
    old = OpenEXR.File(io.BytesIO(source), separate_channels=True)
    assert [part.name() for part in new.parts] == ["depth", "beauty", "diffuse"]
    assert same(new.parts[0].channels["Z"].pixels, depth)
    for name in "RGB":
        assert same(new.parts[2].channels[name].pixels, old.parts[2].channels[name].pixels)
    assert not same(new.parts[1].channels["Y"].pixels, light.astype("f2"))


@pytest.mark.parametrize("compression", ["B44", "PXR24", "DWAA", "DWAB", "B44A"])
def test_compressions_with_loss_are_written_as_such(tmp_path, shown, delta, compression):
    method = getattr(OpenEXR, f"{compression}_COMPRESSION")
    write_exr(tmp_path / "a.exr", channels_of(light_of(shown)), compression=method)
    frame = read(tmp_path / "a.exr")
    new = read(frame.marked(delta))
    assert new.file.parts[0].compression() == method
    difference = new.seen() - frame.seen()
    assert np.corrcoef(difference.ravel(), delta.ravel())[0, 1] > 0.5


def test_exr_is_read_and_written_as_libav_does(tmp_path, shown, delta):
    """Written by libav, read here; written here, read by libav."""
    light = light_of(shown).astype("f2").astype(np.float32)  # libav does not round to half
    codec = av.CodecContext.create("exr", "w")
    codec.width, codec.height, codec.pix_fmt = SHAPE[1], SHAPE[0], "gbrpf32le"
    codec.time_base = Fraction(1, 24)
    codec.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(light, format="gbrpf32le")
    data = b"".join(map(bytes, [*codec.encode(frame), *codec.encode(None)]))
    ours = read(data)
    for at, name in enumerate("RGB"):
        assert same(ours.samples(name), light[..., at].astype("f2"))
    marked = ours.marked(delta)
    decoder = av.CodecContext.create("exr", "r")
    (decoded,) = decoder.decode(av.Packet(marked))
    assert decoded.format.name == "gbrpf16le"
    again = read(marked)
    for plane, name in zip(decoded.planes, "GBR", strict=True):
        theirs = np.frombuffer(plane, np.float16).reshape(SHAPE[0], -1)[:, : SHAPE[1]]
        assert np.array_equal(theirs, again.samples(name))


def test_exr_that_cannot_be_marked_is_refused_with_a_cure(tmp_path, shown):
    path = tmp_path / "a.exr"
    channels = channels_of(light_of(shown))
    write_exr(path, {"diffuse.R": channels["R"], "Z": channels["G"]})
    with pytest.raises(UnsupportedMedia, match=r"a\.exr: no channels R, G and B .* Z, diffuse\.R"):
        read(path)
    write_exr(path, {name: (1000 * channels[name]).astype("u4") for name in "RGB"})
    with pytest.raises(UnsupportedMedia, match="channel R is integer or subsampled"):
        read(path)
    write_exr(path, channels, multiView=["left", "right"])
    with pytest.raises(UnsupportedMedia, match="several views; write a file for each"):
        read(path)
    far = (np.array([900, 900], "i4"), np.array([999, 999], "i4"))
    write_exr(path, channels, displayWindow=far)
    with pytest.raises(UnsupportedMedia, match="nothing of this picture"):
        read(path)
    write_exr(path, channels)
    with pytest.raises(MediaTooLarge, match="200 × 150 pixels are more than the limit of 1,000"):
        read(path, max_pixels=1000)
    deep = path.read_bytes().replace(b"scanlineimage", b"deepscanline\0")
    with pytest.raises(UnsupportedMedia, match="deep OpenEXR is not handled; flatten it"):
        read(deep)
    assert read(path).marked(np.zeros(SHAPE, np.float32)) == path.read_bytes()


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.9, 0.999])
def test_a_cut_exr_is_refused(exr, share, capfd):
    data = exr()[0].read_bytes()
    with pytest.raises(UnreadableMedia, match=r"b\.exr: .*copy it again") as caught:
        read(data[: max(5, int(share * len(data)))], name="b.exr")
    assert "\n" not in str(caught.value)
    assert not capfd.readouterr().out, "the library's own words stay out of what we print"


def test_a_damaged_exr_is_refused(exr, capfd):
    data = bytearray(exr()[0].read_bytes())
    data[len(data) // 2 : len(data) // 2 + 50] = b"\xff" * 50
    with pytest.raises(UnreadableMedia, match="copy it again"):
        read(bytes(data))
    rng = np.random.default_rng(0)
    for _ in range(60):  # a header of noise is refused or read, and nothing else happens
        noisy = bytearray(exr()[0].read_bytes()[:4000])
        noisy[8 + rng.integers(0, 700)] = rng.integers(0, 256)
        with pytest.raises((UnreadableMedia, UnsupportedMedia, MediaTooLarge)):
            read(bytes(noisy))
    assert not capfd.readouterr().out


DPX = [
    (8, 3, {}),
    (8, 4, {}),
    (8, 1, {}),
    (10, 3, {}),
    (10, 3, {"method": "B"}),
    (12, 3, {}),
    (12, 3, {"method": "B"}),
    (12, 1, {}),
    (16, 3, {}),
    (16, 4, {}),
    (16, 1, {}),
    (16, 3, {"padding": 12}),
    (8, 3, {"tail": b"user data behind the picture"}),
]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("bits", "count", "fields"), DPX)
@pytest.mark.parametrize("transfer", [4, 1])
def test_only_the_colours_of_a_dpx_change(shown, delta, *, bits, count, fields, order, transfer):
    """Header, time code, filling, alpha and what follows the picture stay byte for byte."""
    most = (1 << bits) - 1
    width = 199  # lines that are no whole words
    samples = np.rint(shown[:, :width] * most).astype(np.uint16)
    alpha = np.random.default_rng(1).integers(0, most + 1, (SHAPE[0], width, 1)).astype(np.uint16)
    samples = {1: samples[..., :1], 3: samples, 4: np.dstack((samples, alpha))}[count]
    source = dpx(samples, bits, order=order, transfer=transfer, **fields)
    frame = read(source)
    assert frame.samples().reshape(samples.shape).tolist() == samples.tolist()
    assert frame.marked(np.zeros((SHAPE[0], width), np.float32)) == source
    marked = frame.marked(delta[:, :width])
    after = read(marked).samples().reshape(samples.shape)
    assert marked == dpx(after, bits, order=order, transfer=transfer, **fields)
    colour = min(count, 3)
    moved = after[..., :colour].astype(int) - samples[..., :colour]
    assert (moved == moved[..., :1]).all(), "differences between R, G and B stay exactly"
    if transfer == 4:
        lowest, highest = samples[..., :colour].min(axis=2), samples[..., :colour].max(axis=2)
        wanted = np.rint(delta[:, :width] * np.float32(most / 255))
        assert (moved[..., 0] == np.clip(wanted, -lowest.astype(int), most - highest)).all()
    assert np.abs(moved).max() > 0


@pytest.mark.parametrize(
    ("form", "bits"),
    [
        ("rgb24", 8),
        ("gbrp10le", 10),
        ("gbrp10be", 10),
        ("gbrp12le", 12),
        ("gbrp12be", 12),
        ("rgb48le", 16),
        ("rgb48be", 16),
    ],
)
def test_dpx_is_read_and_written_as_libav_does(shown, delta, form, bits):
    samples = np.rint(shown * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    codec = av.CodecContext.create("dpx", "w")
    codec.width, codec.height, codec.pix_fmt = SHAPE[1], SHAPE[0], form
    codec.time_base = Fraction(1, 24)
    frame = av.VideoFrame.from_ndarray(samples, format=form)
    data = b"".join(map(bytes, [*codec.encode(frame), *codec.encode(None)]))
    ours = read(data)
    assert ours.bits == bits
    assert np.array_equal(ours.samples(), samples)
    marked = ours.marked(delta)
    (decoded,) = av.CodecContext.create("dpx", "r").decode(av.Packet(marked))
    assert np.array_equal(decoded.to_ndarray(), read(marked).samples())
    assert not np.array_equal(decoded.to_ndarray(), samples)


def test_film_density_is_judged_and_marked_as_light(shown, delta):
    """The viewer's luma moves by the delta, whatever the slope of the film is there."""
    codes = np.clip(np.rint(density_of(light_of(shown, exposure=0.8))), 0, 1023).astype(np.uint16)
    frame = read(dpx(codes, 10, transfer=1))
    assert frame.density
    view = luma(srgb_view(light_of_density(codes)))
    assert frame.seen() == pytest.approx(view, abs=1.0)
    new = read(frame.marked(delta))
    middle = (view > 15) & (frame.samples().max(axis=2) < 680)
    moved = (new.seen() - frame.seen())[middle]
    assert np.corrcoef(moved, delta[middle])[0, 1] > 0.95
    assert moved.std() == pytest.approx(delta[middle].std(), rel=0.1)
    assert moved.std() < 1.3 * delta.std()


def test_dpx_that_cannot_be_marked_is_refused_with_a_cure(shown):
    samples = np.rint(shown * 1023).astype(np.uint16)
    for problem, fields in (
        ("of orientation 2", {"orientation": 2}),
        ("with 2 image elements", {"elements": 2}),
        ("with samples of descriptor 100", {"descriptor": 100}),
        ("with 10-bit samples of packing 0", {"packing": 0}),
        ("with run-length coding", {"encoding": 1}),
        ("with signed samples", {"sign": 1}),
        ("with 10-bit samples that are not RGB", {"descriptor": 51}),
    ):
        with pytest.raises(UnsupportedMedia, match=f"DPX {problem} is not handled; convert it"):
            read(dpx(samples, 10, **fields), name="a.dpx")
    with pytest.raises(UnsupportedMedia, match="with 32-bit samples"):
        parse(dpx(samples, 16)[:803] + b"\x20" + dpx(samples, 16)[804:], "a", max_pixels=10**6)
    with pytest.raises(MediaTooLarge, match="more than the limit of 1,000"):
        read(dpx(samples, 10), max_pixels=1000)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_cut_dpx_is_refused(shown, share):
    data = dpx(np.rint(shown * 1023).astype(np.uint16), 10)
    with pytest.raises(UnreadableMedia, match=r"cut short.*copy it again"):
        read(data[: max(4, int(share * len(data)))], name="a.dpx")


def test_pixels_that_are_not_square_are_seen_as_a_viewer_shows_them(tmp_path, shown):
    samples = np.rint(shown * 1023).astype(np.uint16)
    assert viewer_luma(read(dpx(samples, 10, aspect=(2, 1)))).shape == (150, 400)
    assert viewer_luma(read(dpx(samples, 10, aspect=(0xFFFFFFFF, 1)))).shape == (150, 200)
    write_exr(tmp_path / "a.exr", channels_of(light_of(shown)), pixelAspectRatio=2.0)
    assert viewer_luma(read(tmp_path / "a.exr")).shape == (150, 400)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_stills_keep_depth_alpha_profile_and_orientation(tmp_path, shown, delta, ending, bits):
    most = (1 << bits) - 1
    pixels = np.rint(shown * most).astype(np.uint8 if bits == 8 else np.uint16)
    alpha = pixels[..., 0].copy()
    profile = b"\0\0\0\x80" + bytes(124)
    fields = (
        ("orientation", pyvips.GValue.gint_type, 6),
        ("icc-profile-data", pyvips.GValue.blob_type, profile),
    )
    still = Still(pixels, alpha=alpha, bits=bits, orientation=6, header=fields)
    path = tmp_path / f"a.{ending}"
    write(still, path)
    frame = read(path)
    assert frame.shape == (200, 150)
    (tmp_path / "b.png").write_bytes(
        read(path, output=tmp_path / "b.png").marked(np.ascontiguousarray(delta.T))
    )
    new = read_still(tmp_path / "b.png")
    assert (new.format, new.bits, new.orientation) == ("png", bits, 6)
    assert np.array_equal(new.alpha, alpha)
    assert new.metadata("icc-profile-data") == read_still(path).metadata("icc-profile-data")
    chroma = new.pixels.astype(int) - pixels
    assert (chroma == chroma[..., :1]).all()
    assert np.abs(chroma).max() > 0


def test_formats_of_outputs_and_inputs():
    check_output("a.PNG", "b.tif")
    check_output("a.exr", "b.exr")
    with pytest.raises(OutputError, match=r"b\.png: a sequence of \.exr is written as such"):
        check_output("a.exr", "b.png")
    with pytest.raises(OutputError, match=r"b\.jpg: sequences are of PNG, TIFF, OpenEXR or DPX"):
        check_output("a.png", "b.jpg")


def test_what_is_no_frame_is_refused(tmp_path, shown):
    with pytest.raises(UnreadableMedia, match="empty"):
        read(b"", name="a.dpx")
    with pytest.raises(UnreadableMedia, match="cannot be opened"):
        read(tmp_path / "none.exr")
    with pytest.raises(UnreadableMedia, match="no picture"):
        read(b"no picture at all", name="a.dpx")
    write(Still(np.rint(shown * 255).astype(np.uint8)), tmp_path / "a.jpg")
    with pytest.raises(UnsupportedMedia, match="JPEG is no format of sequences"):
        read(tmp_path / "a.jpg")
    with pytest.raises(UnsupportedMedia, match="too few to hold a mark"):
        read(dpx(np.zeros((64, 64, 3), np.uint16), 10), name="a.dpx")


def test_the_curve_rises_everywhere_and_its_slope_is_continuous():
    light = np.geomspace(1e-4, 6e4, 2001)[None]
    shown = scene.shown_luma(light)[0]
    assert (np.diff(shown) >= 0).all()
    assert shown[-1] <= 250
    strange = scene.shown_luma(np.array([[np.nan, np.inf, -1.0]]))
    assert strange == pytest.approx(np.array([[0, 250, 0]]), abs=0.01)
    light = np.geomspace(1e-4, 6e4, 401)[None]
    codes = scene.viewed(light)[0].astype(float)
    slope = np.diff(codes) / np.diff(np.log(light[0]))
    middle = np.sqrt(light[:, 1:] * light[:, :-1])
    gains = scene.gains(middle, np.ones(middle.shape, np.float32))[0]
    seen = middle[0] > 0.004
    assert gains[seen] == pytest.approx(1 / slope[seen], rel=0.03)
    assert gains[middle[0] > 1] == pytest.approx(1 / slope[-1], rel=0.02)
    gains = gains[seen]
    assert np.abs(np.diff(np.log(gains))).max() < 0.1, "no step at white"
