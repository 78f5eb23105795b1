"""How each format is written: an image of libvips in, the bytes of a file out.

A source that was lossless stays so, and a lossy one is written at its own quality or better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watermark.picture import Still
from watermark.quantisation import JpegCoding

__all__ = ["AVIF_QUALITY", "JPEG_QUALITY", "SAVERS", "WEBP_QUALITY"]

# On band-limited noise of 1 code value, a picture that came as JPEG 50 and is written at 50 again
# keeps 32 % of it, at 75 80 %, at 90 97 %: the host lies on the quantiser's grid and swallows what
# is under half a step.
JPEG_QUALITY = 90
WEBP_QUALITY = 97  # the same noise: 90 keeps 67 %, 95 89 %, 98 94 %
AVIF_QUALITY = 90  # keeps 93 %
_AVIF_EFFORT = 2  # a 720p frame in 0.7 s; the default of 4 takes 7 s for the same size


def _save_png(still: Still, image: Any, _: int | None, keep: int) -> Any:
    depth = 16 if still.bits > 8 else 8
    return image.pngsave_buffer(compression=6, filter="all", bitdepth=depth, keep=keep)


def _save_jpeg(still: Still, image: Any, quality: int | None, keep: int) -> Any:
    source = still.jpeg or JpegCoding(JPEG_QUALITY, halved_chroma=False, progressive=False)
    return image.jpegsave_buffer(
        Q=quality or max(source.quality, JPEG_QUALITY),
        subsample_mode="on" if source.halved_chroma else "off",
        interlace=source.progressive,
        optimize_coding=True,
        keep=keep,
    )


def _save_webp(still: Still, image: Any, quality: int | None, keep: int) -> Any:
    if quality is None and still.lossless:
        # Without `exact` the colours under full transparency would change.
        return image.webpsave_buffer(lossless=True, exact=True, keep=keep)
    return image.webpsave_buffer(
        Q=quality or WEBP_QUALITY, smart_subsample=True, exact=True, keep=keep
    )


def _save_tiff(_: Still, image: Any, __: int | None, keep: int) -> Any:
    return image.tiffsave_buffer(compression="deflate", predictor="horizontal", keep=keep)


def _save_avif(still: Still, image: Any, quality: int | None, keep: int) -> Any:
    return image.heifsave_buffer(
        compression="av1",
        bitdepth=still.bits,
        effort=_AVIF_EFFORT,
        lossless=quality is None and still.lossless,
        Q=quality or AVIF_QUALITY,
        subsample_mode="off",
        keep=keep,
    )


SAVERS: dict[str, Callable[[Still, Any, int | None, int], Any]] = {
    "png": _save_png,
    "jpeg": _save_jpeg,
    "webp": _save_webp,
    "tiff": _save_tiff,
    "avif": _save_avif,
}
