"""Pictures come back as they went: pixels, alpha, depth, metadata; bad files get one line."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips

from watermark.errors import (
    MediaError,
    MediaTooLarge,
    OutputError,
    UnreadableMedia,
    UnsupportedMedia,
)
from watermark.picture import Still, check_size
from watermark.stills import MAX_PIXELS, encode, read, write

ROOT = Path(__file__).parents[1]


def picture(bands=3, dtype=np.uint8, size=(40, 56), seed=1):
    """Make smooth content with a little noise, of shape (H, W) or (H, W, bands)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / (5 + k)) + np.cos(columns / (7 - k)) for k in range(bands)]
    unit = np.stack(waves, axis=-1) / 5 + 0.5 + rng.normal(0, 0.01, (*size, bands))
    pixels = (np.clip(unit, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    return pixels[..., 0] if bands == 1 else pixels


def vips(pixels, **fields):
    """Wrap an array as a libvips image with metadata."""
    deep, bands = pixels.dtype == np.uint16, 1 if pixels.ndim == 2 else pixels.shape[2]
    kind = ("grey16" if deep else "b-w") if bands < 3 else ("rgb16" if deep else "srgb")
    image = pyvips.Image.new_from_array(pixels).copy(interpretation=kind)
    for name, value in fields.items():
        types = {bytes: "blob_type", int: "gint_type", str: "gstr_type"}
        gtype = getattr(pyvips.GValue, types[type(value)])
        image.set_type(gtype, name.replace("_", "-"), value)
    return image


def saved(path, pixels, fields=None, **options):
    """Write an array with libvips alone."""
    image = vips(pixels, **(fields or {}))
    saver = {".png": "png", ".jpg": "jpeg", ".webp": "webp", ".tif": "tiff", ".avif": "heif"}
    if path.suffix == ".avif":
        options = {"compression": "av1", "effort": 2} | options
    path.write_bytes(getattr(image, saver[path.suffix] + "save_buffer")(**options))
    return path


LOSSLESS = [
    (suffix, dtype, bands)
    for suffix in (".png", ".tif")
    for dtype in (np.uint8, np.uint16)
    for bands in (1, 2, 3, 4)
] + [(suffix, np.uint8, bands) for suffix in (".webp", ".avif") for bands in (3, 4)]


class TestLossless:
    @pytest.mark.parametrize(("suffix", "dtype", "bands"), LOSSLESS)
    def test_nothing_changes(self, tmp_path, suffix, dtype, bands):
        """Written and read again, pixels, alpha and depth are those of the source, bit by bit."""
        pixels = picture(bands, dtype)
        if bands in {2, 4}:
            pixels[:9, :, -1] = 0  # colours under full transparency count as well
        options = {"lossless": True} if suffix in {".webp", ".avif"} else {}
        options |= {"exact": True} if suffix == ".webp" else {}
        still = read(saved(tmp_path / f"in{suffix}", pixels, **options))
        alpha = bands in {2, 4}
        colour = pixels[..., :-1] if alpha else pixels
        assert still.lossless
        assert still.bits == 8 * np.dtype(dtype).itemsize
        assert np.array_equal(still.pixels.reshape(colour.shape), colour)
        assert still.pixels.ndim == (2 if bands < 3 else 3)
        write(still.with_shown(still.shown()), tmp_path / f"out{suffix}")
        again = read(tmp_path / f"out{suffix}")
        assert again.lossless
        assert np.array_equal(again.pixels, still.pixels)
        assert again.pixels.dtype == dtype
        assert (again.alpha is not None) == alpha
        if alpha:
            assert np.array_equal(again.alpha, pixels[..., -1])

    @pytest.mark.parametrize("bits", [10, 12])
    def test_avif_keeps_its_depth(self, tmp_path, bits):
        """10 and 12 bits stay so, and what lies between two steps is rounded, not cut off."""
        step = 1 << (16 - bits)
        pixels = picture(3, np.uint16) // step * step
        source = saved(tmp_path / "in.avif", pixels, bitdepth=bits, lossless=True)
        still = read(source)
        assert still.bits == bits
        assert np.array_equal(still.pixels, pixels)
        again = read(encode(still, "out.avif"))
        assert (again.bits, again.lossless) == (bits, True)
        assert np.array_equal(again.pixels, pixels)
        moved = still.with_pixels((pixels // 2 + 100).astype(np.uint16))
        nearest = (moved.pixels + step // 2) // step * step
        assert np.array_equal(read(encode(moved, "out.avif")).pixels, nearest)
        deep = read(encode(still, "out.png"))
        assert deep.bits == 16
        assert np.array_equal(deep.pixels, pixels)

    def test_palette_and_low_depth_become_plain(self, tmp_path):
        """A palette PNG is read and written as RGB, 4-bit grey as 8-bit grey."""
        flat = np.repeat(np.arange(16, dtype=np.uint8)[:, None] * 17, 20, axis=1)
        colour = np.dstack((flat, flat[::-1], flat))
        still = read(saved(tmp_path / "p.png", colour, palette=True))
        assert still.pixels.shape == (16, 20, 3)
        assert np.array_equal(read(encode(still, "p.png")).pixels, still.pixels)
        still = read(saved(tmp_path / "g.png", flat, bitdepth=4))
        assert np.array_equal(still.pixels, flat)
        assert np.array_equal(read(encode(still, "g.png")).pixels, flat)


class TestMetadata:
    FIELDS = {  # noqa: RUF012  a constant
        "icc-profile-data": lambda: pyvips.Image.profile_load("srgb"),
        "xmp-data": lambda: b"<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>",
    }

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
    def test_is_carried(self, tmp_path, suffix):
        """ICC and XMP come back byte for byte, EXIF and resolution by their values."""
        image = vips(picture())
        blobs = {name: bytes(make()) for name, make in self.FIELDS.items()}
        if suffix in {".jpg", ".tif"}:
            blobs["iptc-data"] = b"Photoshop 3.0\x00" if suffix == ".jpg" else bytes(range(1, 41))
        for name, blob in blobs.items():
            # libvips writes a quarter of the IPTC of a TIFF; `encode` makes up for it.
            whole = blob * 4 if (suffix, name) == (".tif", "iptc-data") else blob
            image.set_type(pyvips.GValue.blob_type, name, whole)
        image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "who drew it")
        image = image.copy(xres=11.811, yres=11.811)
        source = tmp_path / f"in{suffix}"
        options = {"compression": "av1"} if suffix == ".avif" else {}
        saver = {".jpg": "jpeg", ".tif": "tiff", ".avif": "heif"}.get(suffix, suffix[1:])
        source.write_bytes(getattr(image, f"{saver}save_buffer")(**options))
        write(read(source), tmp_path / f"out{suffix}")
        before, after = read(source), read(tmp_path / f"out{suffix}")
        for name, blob in blobs.items():
            assert before.metadata(name) == blob
            assert after.metadata(name) == blob
        if suffix != ".tif":
            assert after.metadata("exif-ifd0-Artist").startswith("who drew it")
        assert after.resolution == pytest.approx(before.resolution)
        assert after.orientation == before.orientation

    def test_goes_from_format_to_format(self, tmp_path):
        fields = {"orientation": 6, "icc_profile_data": self.FIELDS["icc-profile-data"]()}
        still = read(saved(tmp_path / "in.tif", picture(), fields))
        for name in ("out.png", "out.jpg", "out.webp", "out.tif"):
            again = read(encode(still, name))
            assert again.orientation == 6
            assert again.metadata("icc-profile-data") == fields["icc_profile_data"]

    def test_nothing_is_invented(self, tmp_path):
        """A file without EXIF gets none."""
        plain = saved(tmp_path / "in.png", picture(), keep=0)
        for name in ("out.png", "out.jpg", "out.webp"):
            data = encode(read(plain), name)
            assert b"Exif" not in data
            assert b"eXIf" not in data
            assert b"EXIF" not in data


class TestOrientation:
    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_shown_is_what_a_viewer_shows(self, tmp_path, orientation, suffix):
        """The turn agrees with libvips' own, and the tag goes through with the stored pixels."""
        source = saved(tmp_path / f"in{suffix}", picture(), {"orientation": orientation})
        still = read(source)
        assert still.orientation == orientation
        golden = pyvips.Image.new_from_buffer(source.read_bytes(), "").autorot().numpy()
        assert np.array_equal(still.shown(), golden)
        marked = still.shown() ^ np.uint8(1)
        back = still.with_shown(marked)
        assert np.array_equal(back.pixels, still.pixels ^ np.uint8(1))
        again = read(encode(back, "out.png"))
        assert again.orientation == orientation
        assert np.array_equal(again.shown(), marked)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_avif_is_turned_by_its_container(self, tmp_path, orientation):
        """A tag written to AVIF comes back as upright pixels: the picture looks the same."""
        source = saved(tmp_path / "in.png", picture(), {"orientation": orientation})
        again = read(encode(read(source), "out.avif"))
        assert again.orientation == 1
        assert np.array_equal(again.shown(), read(source).shown())


class TestLossy:
    @pytest.mark.parametrize("quality", [30, 75, 90, 93, 97, 100])
    @pytest.mark.parametrize("subsample", ["on", "off"])
    def test_jpeg_is_never_written_coarser(self, tmp_path, quality, subsample):
        """Quality is at least the source's and 90; 4:4:4 stays, and so does progressive."""
        path = tmp_path / "in.jpg"
        saved(path, picture(), Q=quality, subsample_mode=subsample, interlace=quality == 75)
        still = read(path)
        assert still.jpeg.quality <= quality
        again = read(encode(still, "out.jpg")).jpeg
        assert again.quality >= still.jpeg.quality
        assert again.quality == pytest.approx(max(quality, 90), abs=1)
        assert again.halved_chroma == (subsample == "on")
        assert again.progressive == (quality == 75)
        assert read(encode(still, "out.jpg", quality=40)).jpeg.quality == 40

    def test_other_sources_get_fine_jpeg(self):
        coding = read(encode(Still(picture()), "out.jpg")).jpeg
        assert coding.quality == 90
        assert not coding.halved_chroma

    @pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
    @pytest.mark.parametrize("bands", [1, 3])
    def test_lossy_is_near(self, tmp_path, suffix, bands):
        """The default quality moves smooth content by about one code value."""
        still = read(saved(tmp_path / f"in{suffix}", picture(bands), Q=90))
        assert not still.lossless
        again = read(encode(still, f"out{suffix}"))
        error = again.pixels.astype(float) - still.pixels
        assert np.sqrt(np.mean(error**2)) < 2
        assert again.pixels.shape == still.pixels.shape


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png_of_size(width, height):
    """Build a PNG that says it is large, with next to no data."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    idat = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + idat + chunk(b"IEND", b"")


def refused(error, match, source, **options):
    """Check that reading gives one line of that kind, naming the file."""
    with pytest.raises(error, match=match) as caught:
        read(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message, "the cure follows a semicolon"
    if isinstance(source, Path):
        assert message.startswith(str(source))


class TestRefusals:
    def test_files_that_are_no_pictures(self, tmp_path):
        refused(UnreadableMedia, "No such file", tmp_path / "missing.png")
        refused(UnreadableMedia, "folder", tmp_path)
        for name, content, reason in [
            ("empty.png", b"", "empty"),
            ("text.png", b"dear diary\n" * 50, "no picture"),
            (
                "drawing.png",
                b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
                "no",
            ),
            ("short.png", b"\x89PNG\r\n\x1a\n", "PNG"),
            ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40), "HEIC"),
        ]:
            (tmp_path / name).write_bytes(content)
            refused(UnreadableMedia, reason, tmp_path / name)
        refused(UnreadableMedia, "empty", b"")
        refused(UnreadableMedia, "upload 7: ", b"text", name="upload 7")

    @pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
    def test_truncated(self, tmp_path, suffix, kept):
        """A file cut short is refused, not filled up with grey."""
        path = saved(tmp_path / f"cut{suffix}", picture(size=(120, 160)))
        data = path.read_bytes()
        path.write_bytes(data[: int(kept * len(data))])
        refused(UnreadableMedia, "damaged or cut short", path)

    def test_damaged(self, tmp_path):
        path = saved(tmp_path / "bad.png", picture(size=(120, 160)))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
        refused(UnreadableMedia, "damaged", path)

    def test_too_many_pixels(self, tmp_path):
        """The header decides, before anything is decoded; the limit is an option."""
        (tmp_path / "large.png").write_bytes(png_of_size(30000, 30000))
        refused(MediaTooLarge, "30000 × 30000.*--max-pixels", tmp_path / "large.png")
        small = saved(tmp_path / "small.png", picture())
        assert read(small, max_pixels=40 * 56).pixels.shape == (40, 56, 3)
        refused(MediaTooLarge, "limit of 2,239", small, max_pixels=40 * 56 - 1)
        assert MAX_PIXELS == 100_000_000

    def test_kinds_that_are_not_handled(self, tmp_path):
        path = tmp_path / "a.tif"
        image = vips(picture())
        cases = [
            ("CMYK", image.colourspace("cmyk").tiffsave_buffer()),
            ("CMYK", image.colourspace("cmyk").jpegsave_buffer()),
            ("float", image.cast("float").copy(interpretation="scrgb").tiffsave_buffer()),
            ("5 channels", image.bandjoin([1, 2]).tiffsave_buffer()),
            ("short", image.colourspace("labs").tiffsave_buffer()),
            ("GIF", image.gifsave_buffer()),
        ]
        pages = image.copy()
        pages.set_type(pyvips.GValue.gint_type, "page-height", 20)
        cases += [("several", pages.tiffsave_buffer()), ("several", pages.webpsave_buffer())]
        still = image.pngsave_buffer()
        animated = still[:33] + chunk(b"acTL", bytes([0, 0, 0, 1, 0, 0, 0, 0])) + still[33:]
        cases.append(("several", animated))
        for match, data in cases:
            path.write_bytes(data)
            refused(UnsupportedMedia, f"(?i){match}", path)

    @pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (127, 500, 3), (128, 2049)])
    def test_sizes_that_hold_no_mark(self, tmp_path, shape):
        """They are read, but not fit for marking."""
        pixels = np.full(shape, 7, np.uint8)
        assert np.array_equal(read(saved(tmp_path / "a.png", pixels)).pixels, pixels)
        with pytest.raises(UnsupportedMedia, match=r"a\.png: .* to hold a mark; "):
            check_size(shape, name="a.png")
        check_size((128, 2048, 3))

    def test_formats_that_cannot_hold_it(self, tmp_path):
        """Depth and transparency are never dropped in silence."""
        deep, clear = Still(picture(3, np.uint16), bits=16), picture(4)
        clear = Still(np.ascontiguousarray(clear[..., :3]), alpha=clear[..., 3])
        for still, name, reason in [
            (deep, "a.jpg", "16 bits"),
            (deep, "a.webp", "16 bits"),
            (deep, "a.avif", "16 bits"),
            (clear, "a.jpg", "transparency"),
        ]:
            with pytest.raises(UnsupportedMedia, match=reason):
                write(still, tmp_path / name)
        for name in ("a", "a.gif", "a.heic"):
            with pytest.raises(OutputError, match="no format"):
                write(clear, tmp_path / name)
        wide = Still(np.zeros((2, 20000), np.uint8))
        with pytest.raises(OutputError, match="WEBP") as caught:
            write(wide, tmp_path / "a.webp")
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    def test_slips_of_the_caller(self):
        still = Still(picture())
        with pytest.raises(ValueError, match="shape"):
            still.with_pixels(still.pixels[1:])
        with pytest.raises(ValueError, match="1 to 100"):
            encode(still, "a.jpg", quality=0)


class TestReading:
    def test_content_decides_not_the_name(self, tmp_path):
        path = saved(tmp_path / "a.png", picture())
        moved = path.rename(tmp_path / "a.jpg")
        assert read(moved).format == "png"
        write(read(moved), tmp_path / "b.jpeg")
        assert read(tmp_path / "b.jpeg").format == "jpeg"

    def test_a_changed_file_is_read_anew(self, tmp_path):
        """No cache answers from before the change."""
        path = saved(tmp_path / "a.png", picture(seed=1))
        first = read(path).pixels
        saved(path, picture(seed=2))
        assert not np.array_equal(read(path).pixels, first)

    @pytest.mark.parametrize(
        "name", ["two words.png", "透かし.png", "a\nb.png", "\udcff\udcfe.png"]
    )
    def test_strange_names(self, tmp_path, name):
        write(Still(picture()), tmp_path / name)
        assert np.array_equal(read(tmp_path / name).pixels, picture())
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(MediaError) as caught:
            read(tmp_path / name)
        assert str(caught.value).isprintable()

    def test_libvips_is_silent_and_loaded_late(self, tmp_path):
        """Warnings of the decoders stay off the terminal; the package alone loads no codec."""
        path = saved(tmp_path / "a.jpg", picture(), {"exif_data": b"Exif\0\0II*\0\xff\xff\xff\xff"})
        data = path.read_bytes()
        path.write_bytes(data[:-2] + b"\0\0\0" + data[-2:])
        code = (
            "import sys, watermark\n"
            "assert 'pyvips' not in sys.modules\n"
            "from watermark.stills import encode, read\n"
            "encode(read(sys.argv[1]), 'a.jpg')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, check=False, cwd=ROOT
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
