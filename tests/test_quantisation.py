"""The quality of a JPEG file is read from its tables."""

import struct

import numpy as np
import pytest

from watermark.quantisation import JpegCoding, parse_jpeg, standard_table

GREY = [(1, 0x11, 0)]
FULL = [(1, 0x11, 0), (2, 0x11, 1), (3, 0x11, 1)]
HALF = [(1, 0x22, 0), (2, 0x11, 1), (3, 0x11, 1)]


def jpeg(tables, components, *, frame=0xC0, wide=False):
    """Build the headers of a JPEG file."""
    data = b"\xff\xd8\xff\xe0\x00\x04ab"
    for number, table in tables.items():
        steps = np.asarray(table, ">u2" if wide else "u1").tobytes()
        body = bytes([number | (16 if wide else 0)]) + steps
        data += b"\xff\xdb" + struct.pack(">H", len(body) + 2) + body
    body = struct.pack(">BHHB", 8, 16, 16, len(components))
    body += b"".join(bytes(part) for part in components)
    return data + bytes([0xFF, frame]) + struct.pack(">H", len(body) + 2) + body + b"\xff\xda"


def standard(quality):
    return {index: standard_table(quality, chroma=bool(index)) for index in (0, 1)}


@pytest.mark.parametrize("quality", range(1, 101))
def test_a_standard_quality_is_recovered(quality):
    """Tables of a quality are read as the least quality with the same tables."""
    found = parse_jpeg(jpeg(standard(quality), FULL)).quality
    assert found <= quality
    for chroma in (False, True):
        assert np.array_equal(
            standard_table(found, chroma=chroma), standard_table(quality, chroma=chroma)
        )


def test_custom_tables_get_a_quality_that_is_nowhere_coarser():
    rng = np.random.default_rng(3)
    for _ in range(20):
        tables = {index: rng.integers(2, 60, 64) for index in (0, 1)}
        quality = parse_jpeg(jpeg(tables, FULL)).quality

        def finer(quality, tables=tables):
            return all(
                np.all(standard_table(quality, chroma=bool(index)) <= table)
                for index, table in tables.items()
            )

        assert finer(quality)
        assert not finer(quality - 1)


def test_frame_headers():
    """Sampling and the way of scanning are read from the frame header."""
    tables = standard(80)
    assert parse_jpeg(jpeg(tables, HALF)) == JpegCoding(80, halved_chroma=True, progressive=False)
    assert parse_jpeg(jpeg(tables, FULL, frame=0xC2)) == JpegCoding(
        80, halved_chroma=False, progressive=True
    )
    assert parse_jpeg(jpeg(tables, GREY)).quality == 80
    assert parse_jpeg(jpeg(tables, FULL, wide=True)).quality == 80
    across = [(1, 0x21, 0), (2, 0x11, 1), (3, 0x11, 1)]
    assert not parse_jpeg(jpeg(tables, across)).halved_chroma


def test_damaged_headers_give_nothing():
    whole = jpeg(standard(80), FULL)
    for cut in range(len(whole) - 12):
        assert parse_jpeg(whole[:cut]) is None
    assert parse_jpeg(jpeg({0: standard_table(80, chroma=False)}, FULL)) is None
