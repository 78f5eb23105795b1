"""The picture that a person is shown: outlines and a heat map over it, small enough to send."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from watermark.align import Alignment
from watermark.frame import Pixels, luma
from watermark.homography import scaling
from watermark.identification import FoundMark
from watermark.key import Key
from watermark.overlay import drawn, evidence_map
from watermark.profile import Profile

__all__ = ["WIDEST", "overlay_png"]

WIDEST = 1600  # pixels of the longer side


def overlay_png(
    pixels: Pixels, finer: int, found: Sequence[FoundMark], keys: Sequence[Key]
) -> bytes:
    """Return a PNG of a picture with the marks that were found in it, numbered as they are told.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
    finer : int
        Side of the squares over which they were averaged: what was found is told in pixels of the
        picture before that.
    found : sequence of FoundMark
    keys : sequence of Key
        Under which they were found.
    """
    height, width = pixels.shape[:2]
    smaller = min(1.0, WIDEST / max(height, width))
    if smaller < 1:
        size = max(1, round(width * smaller)), max(1, round(height * smaller))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    scale = pixels.shape[1] / (width * finer)
    plane = luma(pixels)
    of = {key.fingerprint: key for key in keys}
    outlines = [[(x * scale, y * scale) for x, y in each.outline] for each in found]
    maps = [
        evidence_map(
            plane,
            Alignment(
                tuple(map(tuple, np.array(each.matrix) @ scaling(1 / scale))),
                each.alignment,
                tuple(outline),
            ),
            of[each.fingerprint],
            each.number,
            Profile.parse(each.profile),
        )
        for each, outline in zip(found, outlines, strict=True)
    ]
    picture = cv2.cvtColor(drawn(pixels, outlines, maps), cv2.COLOR_RGB2BGR)
    written, png = cv2.imencode(".png", picture)
    assert written, "a picture of 8 bits fits into a PNG"
    return png.tobytes()
