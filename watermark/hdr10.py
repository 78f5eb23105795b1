"""Static HDR data as encoders read it: SMPTE ST 2086 mastering display, CTA-861.3 light levels."""

from __future__ import annotations

import struct
from typing import Any

__all__ = ["integers", "mastering", "reals"]


def mastering(data: bytes) -> list[float]:
    """Unpack AVMasteringDisplayMetadata: x and y of red, green, blue, white; min, max in cd/m²."""
    if not data:
        return []
    numbers = struct.unpack_from("20i", data)
    return [n / d if d else 0.0 for n, d in zip(numbers[::2], numbers[1::2], strict=True)]


def _points(values: list[float], scale: float) -> list[Any]:
    """Return green, blue, red and white in the order that encoders take them."""
    return [[v * scale for v in values[at : at + 2]] for at in (2, 4, 0, 6)]


def integers(values: list[float]) -> str:
    """Return SMPTE ST 2086 in units of 0.00002 and 0.0001 cd/m², as x264 and x265 read it."""
    points = zip(("G", "B", "R", "WP"), _points(values, 50_000), strict=True)
    text = "".join(f"{name}({x:.0f},{y:.0f})" for name, (x, y) in points)
    return f"{text}L({values[9] * 10_000:.0f},{values[8] * 10_000:.0f})"


def reals(values: list[float]) -> str:
    """Return the same as chromaticities and cd/m², as SVT-AV1 reads it."""
    points = zip(("G", "B", "R", "WP"), _points(values, 1), strict=True)
    text = "".join(f"{name}({x:.5f},{y:.5f})" for name, (x, y) in points)
    return f"{text}L({values[9]:.4f},{values[8]:.4f})"
