"""Small pictures of what was found, for people to see."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from watermark.clip_identification import ClipIdentification
from watermark.errors import MediaError
from watermark.frame import Pixels, code_scale
from watermark.gate import Gate
from watermark.identification import Identification

__all__ = ["Examples", "thumbnail"]

_EACH = 3  # of each mark
_LONG = 256  # pixels, the long side
_QUALITY = 80
_FPS = 2.0  # frames a second, as a film is looked at


def thumbnail(pixels: Pixels) -> bytes | None:
    """Return a picture as a small JPEG file.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        Grey or RGB.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, _LONG / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    small = (small // code_scale(pixels)).astype(np.uint8)
    small = small if small.ndim == 2 else small[..., ::-1]  # OpenCV writes BGR
    made, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes() if made else None


class Examples:
    """Makes thumbnails of what is found in a unit, a few of each mark."""

    def __init__(self) -> None:
        self._made: Counter[int] = Counter()

    def of(self, told: Identification, pixels: Pixels) -> bytes | None:
        """Return a thumbnail of a picture, where a mark was found and it is wanted."""
        return thumbnail(pixels) if self._wanted(told) else None

    def of_clip(self, told: ClipIdentification, path: Path) -> bytes | None:
        """Return a grey thumbnail of a film, from where its mark begins."""
        if not self._wanted(told.whole):
            return None
        start = next((part.start for part in told.parts if part.mark is not None), 0.0)
        try:
            with Gate(path) as gate:
                for frame in gate.frames(fps=_FPS, start=start):
                    plane = np.clip(gate.info.shown(frame.plane), 0, 255)
                    return thumbnail(plane.astype(np.uint8))
        except MediaError:  # it was looked at all the same
            return None
        return None

    def _wanted(self, told: Identification) -> bool:
        if not told.found or self._made[told.found[0].number] >= _EACH:
            return False
        self._made[told.found[0].number] += 1
        return True
