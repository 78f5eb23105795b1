"""How finely a JPEG file was quantised: its tables, its quality, its chroma sampling.

A file that is marked and written again must not be coarser than it came.
Quality is that of libjpeg (1–100), which scales the example tables of ITU-T T.81, annex K;
a file with tables of its own gets the smallest quality that is nowhere coarser.
Tables are in the zigzag order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["JpegCoding", "parse_jpeg", "standard_table"]

# ITU-T T.81, table K.1 (luminance) and K.2 (chrominance), in zigzag order.
_LUMINANCE = """
    16 11 12 14 12 10 16 14 13 14 18 17 16 19 24 40 26 24 22 22 24 49 35 37 29 40 58 51 61 60 57 51
    56 55 64 72 92 78 64 68 87 69 55 56 80 109 81 87 95 98 103 104 103 62 77 113 121 112 100 120 92
    101 103 99
"""
_CHROMINANCE = (
    """
    17 18 18 24 21 24 47 26 26 47 99 66 56 66
"""
    + "99 " * 50
)
_EXAMPLES = tuple(np.array(text.split(), np.int64) for text in (_LUMINANCE, _CHROMINANCE))

_SOI, _EOI, _SOS, _DQT = 0xD8, 0xD9, 0xDA, 0xDB
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0–15 without DHT, JPG, DAC


@dataclass(frozen=True, slots=True)
class JpegCoding:
    """What has to be known to write a JPEG file no coarser than it came.

    Parameters
    ----------
    quality : int
        1 to 100, the smallest libjpeg quality that is nowhere coarser than the file.
    halved_chroma : bool
        Whether chroma has half the rows and half the columns, or fewer (4:2:0).
    progressive : bool
    """

    quality: int
    halved_chroma: bool
    progressive: bool


def standard_table(quality: int, *, chroma: bool) -> NDArray[np.int64]:
    """Return libjpeg's baseline table of 64 steps for a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality  # jpeg_quality_scaling
    return np.clip((_EXAMPLES[chroma] * scale + 50) // 100, 1, 255)


def parse_jpeg(data: bytes) -> JpegCoding | None:
    """Read the headers of a JPEG file up to its first scan.

    Returns
    -------
    coding : JpegCoding or None
        None when tables or frame header are missing or malformed, as in a file cut short.
    """
    tables: dict[int, NDArray[np.int64]] = {}
    for marker, segment in _segments(data):
        if marker == _DQT:
            tables.update(_read_tables(segment))
        elif marker in _FRAMES:
            components = [segment[at : at + 3] for at in range(6, len(segment) - 2, 3)]
            if not components or any(part[2] not in tables for part in components):
                return None
            across = [part[1] >> 4 for part in components]
            down = [part[1] & 15 for part in components]
            return JpegCoding(
                quality=_smallest_quality([tables[part[2]] for part in components]),
                halved_chroma=max(across) >= 2 * min(across) and max(down) >= 2 * min(down),
                progressive=marker in {0xC2, 0xC6, 0xCA, 0xCE},
            )
    return None


def _smallest_quality(tables: list[NDArray[np.int64]]) -> int:
    """Return the smallest quality whose table for each component is nowhere coarser."""
    fits = np.ones(99, bool)
    for index, table in enumerate(tables):
        fits &= (_standard_tables(chroma=index > 0) <= table).all(axis=1)
    return int(fits.argmax()) + 1 if fits.any() else 100


@cache
def _standard_tables(*, chroma: bool) -> NDArray[np.int64]:
    """Return the tables of qualities 1 to 99, shape (99, 64)."""
    return np.stack([standard_table(quality, chroma=chroma) for quality in range(1, 100)])


def _read_tables(segment: bytes) -> Iterator[tuple[int, NDArray[np.int64]]]:
    at = 0
    while at < len(segment):
        wide = segment[at] >> 4 != 0  # 16-bit steps
        end = at + 1 + (128 if wide else 64)
        if end > len(segment):
            return
        steps = np.frombuffer(segment[at + 1 : end], ">u2" if wide else "u1")
        yield segment[at] & 15, steps.astype(np.int64)
        at = end


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, payload) of each segment before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in {_SOI, _EOI, _SOS}:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
