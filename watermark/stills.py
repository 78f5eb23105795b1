"""Picture files in and out, through libvips; the only module that imports it.

The content of a file decides how it is read, the ending of its name how it is written.
Pixels keep the values and the depth they are stored with: profiles (ICC) are carried, not applied.
Alpha, ICC, EXIF, XMP, IPTC, comments, resolution and orientation go from the source to the result.

- PNG and TIFF with a palette become RGB, and 1-, 2- and 4-bit grey becomes 8-bit.
- 10- and 12-bit AVIF is held as uint16 in the upper bits.
- AVIF is turned upright on reading, as its standard says; other formats stay as stored, and
  `Still.shown` gives the picture as a viewer shows it.
- WebP and AVIF are always read as RGB.
- TIFF takes and gives ICC, XMP, IPTC, description, orientation and resolution, but no other EXIF:
  libvips neither reads nor writes it there.
- Refused, with the cure in the message: CMYK, floating point, several pages, animation, and any
  format but PNG, JPEG, WebP, TIFF, AVIF and (where libvips can) HEIC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pyvips

from watermark.errors import MediaTooLarge, OutputError, UnreadableMedia, UnsupportedMedia
from watermark.files import AnyPath, atomic_write, read_bytes, shown
from watermark.formats import check_fits, format_of, is_animated_png, is_lossless, sniff
from watermark.frame import Pixels, code_scale
from watermark.picture import Still, check_size
from watermark.quantisation import parse_jpeg
from watermark.savers import SAVERS

__all__ = ["MAX_PIXELS", "Still", "check_size", "encode", "most_bytes", "read", "write"]

MAX_PIXELS = 100_000_000  # 11,600 × 8,600: above any film scan, 0.8 GB at 16-bit RGBA

# Every file is read once, so a cache of operations would only hold memory; with a changed file it
# would also answer from before the change.
pyvips.cache_set_max(0)


def _tell_less() -> None:
    """Let libvips call Python for its warnings only, not for every step of an operation.

    A signal that arrives while it calls is raised there, where no exception can get out.
    """
    level = pyvips.GLogLevelFlags
    wanted = level.LEVEL_WARNING | level.LEVEL_CRITICAL | level.LEVEL_ERROR
    pyvips._remove_log_handler()  # noqa: SLF001 - it has no other way
    pyvips._log_handler_id = pyvips.glib_lib.g_log_set_handler(  # noqa: SLF001 - removed at exit
        b"VIPS",
        wanted | level.FLAG_FATAL | level.FLAG_RECURSION,
        pyvips._log_handler_cb,  # noqa: SLF001
        pyvips.ffi.NULL,
    )


_tell_less()

# Loaders by name: whatever else libvips was built with (SVG, PDF, ...) is never reached.
_LOADERS = {
    "png": "pngload_buffer",
    "jpeg": "jpegload_buffer",
    "webp": "webpload_buffer",
    "tiff": "tiffload_buffer",
    "avif": "heifload_buffer",
    "heic": "heifload_buffer",
}
# Header fields that go from source to result; whatever else describes the old encoding, not the
# picture.
_CARRIED = {
    "icc-profile-data",
    "exif-data",
    "xmp-data",
    "iptc-data",
    "photoshop-data",
    "jpeg-thumbnail-data",
    "image-description",
    "resolution-unit",
    "orientation",
}
_CARRIED_PREFIXES = ("exif-ifd", "png-comment-")
_KEEP_EXIF = 1  # VipsForeignKeep
_KEEP_OTHERS = 2 | 4 | 8 | 16  # XMP, IPTC, ICC, comments


def read(
    source: AnyPath | bytes, *, max_pixels: int = MAX_PIXELS, name: AnyPath | None = None
) -> Still:
    """Read a picture.

    Parameters
    ----------
    source : path or bytes
        A file, or the content of one.
    max_pixels : int
        Checked against the header, before anything is decoded.
    name : path, optional
        What error messages call the picture; by default the path.

    Raises
    ------
    UnreadableMedia
        If the file is missing, empty, cut short, damaged, or not a picture.
    UnsupportedMedia
        If it is a kind of picture that is not handled (CMYK, animation, several pages, ...).
    MediaTooLarge
        If it has more than `max_pixels` pixels.
    """
    if isinstance(source, bytes):
        name, data = shown(name or "picture"), source
    else:
        name = shown(name or source)
        data = read_bytes(source, limit=most_bytes(max_pixels))
    if not data:
        raise UnreadableMedia(f"{name}: this file is empty; copy it again from its source")
    kind = sniff(data, name)
    image = _decoded(lambda: _open(data, kind), name, kind)
    if image.width * image.height > max_pixels:
        raise MediaTooLarge(
            f"{name}: {image.width} × {image.height} pixels are more than the limit of "
            f"{max_pixels:,}; raise it with --max-pixels"
        )
    _check_layout(image, data, kind, name)
    samples = _decoded(lambda: _samples(image), name, kind)
    fields = set(image.get_fields())
    pixels, alpha = _without_alpha(samples)
    bits = int(image.get("bits-per-sample")) if "bits-per-sample" in fields else 8
    return Still(
        pixels=pixels,
        alpha=alpha,
        format=kind,
        bits=8 if pixels.dtype == np.uint8 else (bits if bits in {10, 12} else 16),
        orientation=int(image.get("orientation")) if "orientation" in fields else 1,
        lossless=is_lossless(data, kind),
        jpeg=parse_jpeg(data) if kind == "jpeg" else None,
        resolution=(image.xres, image.yres),
        header=tuple(
            (key, image.get_typeof(key), image.get(key))
            for key in image.get_fields()
            if key in _CARRIED or key.startswith(_CARRIED_PREFIXES)
        ),
    )


def most_bytes(max_pixels: int) -> int:
    """Return how long a file can be whose picture is within a limit on pixels."""
    return 64 * 2**20 + 16 * max_pixels


def write(still: Still, path: AnyPath, *, quality: int | None = None) -> None:
    """Write a picture in the format that the ending of `path` names.

    Parameters
    ----------
    still : Still
    path : path
        Replaced only when the new file is complete.
    quality : int, optional
        See `encode`.

    Raises
    ------
    UnsupportedMedia
        If the format cannot hold the picture (16 bits or transparency in JPEG, ...).
    OutputError
        If the file cannot be written.
    """
    data = encode(still, path, quality=quality)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encode(still: Still, path: AnyPath, *, quality: int | None = None) -> bytes:
    """Return the bytes of the file that `write` would write, to be read back before they are.

    Parameters
    ----------
    still : Still
    path : path
        Its ending names the format; nothing is written.
    quality : int, optional
        1 to 100, for JPEG, WebP and AVIF.  By default JPEG gets the quality of its source and at
        least 90, and 4:4:4 unless the source was 4:2:0; WebP and AVIF stay lossless if they were,
        and otherwise get 97 and 90.
    """
    name = shown(path)
    kind = format_of(path)
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"a quality is 1 to 100, not {quality}")
    check_fits(kind, bits=still.bits, alpha=still.alpha is not None, name=name)
    image = _image(still, kind)
    keep = _KEEP_OTHERS
    if still.metadata("exif-data") is not None or still.orientation != 1:
        keep |= _KEEP_EXIF  # libvips would give every file an EXIF block
    try:
        return bytes(SAVERS[kind](still, image, quality, keep))
    except pyvips.Error as error:
        raise OutputError(
            f"{name}: cannot be written as {kind.upper()} ({_detail(error)}); choose another format"
        ) from error


def _open(data: bytes, kind: str) -> Any:
    """Read the header; libvips decodes when the samples are asked for."""
    pyvips.vips_lib.vips_error_clear()  # what it said of an earlier file
    loader = getattr(pyvips.Image, _LOADERS[kind])
    return loader(data, fail_on="error", access="sequential")


def _decoded(step: Callable[[], Any], name: str, kind: str) -> Any:
    try:
        return step()
    except pyvips.Error as error:
        cure = (
            "convert it to PNG or AVIF"
            if kind == "heic"
            else "the file is damaged or cut short: copy it again from its source"
        )
        raise UnreadableMedia(
            f"{name}: cannot be decoded as {kind.upper()} ({_detail(error)}); {cure}"
        ) from error


def _detail(error: Any) -> str:
    """Return the last line of what libvips says, which is the nearest to the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _check_layout(image: Any, data: bytes, kind: str, name: str) -> None:
    animated = kind == "png" and is_animated_png(data)
    if animated or ("n-pages" in image.get_fields() and image.get("n-pages") > 1):
        raise UnsupportedMedia(
            f"{name}: this file holds several pictures; save each as a file of its own"
        )
    if image.interpretation == "cmyk":
        raise UnsupportedMedia(
            f"{name}: pictures in CMYK are neither marked nor looked at; convert it to RGB"
        )
    if image.format not in {"uchar", "ushort"}:
        raise UnsupportedMedia(
            f"{name}: samples of type {image.format} are not handled; convert it to 16 bits"
        )
    if image.interpretation not in {"b-w", "grey16", "srgb", "rgb16", "rgb"} or image.bands > 4:
        raise UnsupportedMedia(
            f"{name}: {image.bands} channels of {image.interpretation} are not handled; "
            "convert it to grey or RGB, with at most one alpha channel"
        )


def _samples(image: Any) -> Pixels:
    """Decode to an array of shape (H, W, bands), with no copy after libvips' own."""
    dtype = np.uint8 if image.format == "uchar" else np.uint16
    flat = np.frombuffer(image.write_to_memory(), dtype)
    return flat.reshape(image.height, image.width, image.bands)


def _without_alpha(samples: Pixels) -> tuple[Pixels, Pixels | None]:
    height, width, bands = samples.shape
    if bands == 1:
        return samples.reshape(height, width), None
    if bands == 3:
        return samples, None
    if bands == 2:
        return np.ascontiguousarray(samples[..., 0]), np.ascontiguousarray(samples[..., 1])
    colour = cv2.cvtColor(samples, cv2.COLOR_RGBA2RGB)
    return colour, cv2.extractChannel(samples, 3)


def _image(still: Still, kind: str) -> Any:
    """Build the libvips image of pixels, alpha and metadata."""
    deep = code_scale(still.pixels) == 257
    pixels = still.pixels
    if kind == "avif" and still.bits in {10, 12}:
        # The encoder cuts the lower bits off: half a step first, so that it rounds.
        pixels = cv2.add(pixels, np.full_like(pixels, 1 << (15 - still.bits)))
    if still.alpha is not None:
        pixels = np.dstack((pixels, still.alpha))
    samples = np.ascontiguousarray(pixels)
    height, width = samples.shape[:2]
    bands = 1 if samples.ndim == 2 else samples.shape[2]
    grey = still.pixels.ndim == 2
    image = pyvips.Image.new_from_memory(
        samples.data.cast("B"), width, height, bands, "ushort" if deep else "uchar"
    ).copy(
        interpretation=("grey16" if grey else "rgb16") if deep else ("b-w" if grey else "srgb"),
        xres=still.resolution[0],
        yres=still.resolution[1],
    )
    for key, value_type, value in still.header:
        if kind == "tiff" and key == "iptc-data":
            # libvips counts IPTC in words of 4 bytes and libtiff in bytes: a quarter is written.
            value = value + bytes(3 * len(value))  # noqa: PLW2901
        image.set_type(value_type, key, value)
    return image
