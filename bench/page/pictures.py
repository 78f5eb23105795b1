"""Sample pictures for the page: original, marked, difference × 20, attacked.

The first three show the same middle part, pixel for pixel, since a mark is gone from a picture that
was made small; the attacked one is shown whole.  The difference is taken before anything is coded
for the page.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.corpus import Picture, load

__all__ = ["GAIN", "Sample", "difference"]

GAIN = 20
_WIDTH, _HEIGHT = 480, 360  # pixels
_QUALITY = 92  # of libwebp, 0–100

Pixels = NDArray[np.uint8]


def difference(original: Pixels, marked: Pixels) -> Pixels:
    """Return what was added, 20 times as strong, about grey.

    Raises
    ------
    ValueError
        If the pictures are of two sizes.
    """
    if original.shape != marked.shape:
        raise ValueError(
            f"the original has {original.shape[:2]} pixels and the marked one {marked.shape[:2]}; "
            "name the picture that was marked"
        )
    added = marked.astype(np.int32) - original
    return np.asarray(np.clip(128 + GAIN * added, 0, 255), np.uint8)


def _middle(pixels: Pixels) -> Pixels:
    top = max(0, (pixels.shape[0] - _HEIGHT) // 2)
    left = max(0, (pixels.shape[1] - _WIDTH) // 2)
    return pixels[top : top + _HEIGHT, left : left + _WIDTH]


def _whole(pixels: Pixels) -> Pixels:
    scale = min(1.0, _WIDTH / pixels.shape[1], _HEIGHT / pixels.shape[0])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _address(pixels: Pixels) -> str:
    shown = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, code = cv2.imencode(".webp", shown, [cv2.IMWRITE_WEBP_QUALITY, _QUALITY])
    assert done, "OpenCV was built without WebP"
    return "data:image/webp;base64," + base64.b64encode(code.tobytes()).decode()


@dataclass(frozen=True, slots=True)
class Sample:
    """Three files of one picture and what to call them.

    Parameters
    ----------
    title : str
    original, marked, attacked : Path
    """

    title: str
    original: Path
    marked: Path
    attacked: Path

    @classmethod
    def parse(cls, text: str) -> Sample:
        """Read ``TITLE=ORIGINAL,MARKED,ATTACKED``.

        Raises
        ------
        ValueError
            If it is not of that form.
        """
        title, equals, files = text.partition("=")
        paths = [Path(each) for each in files.split(",")]
        if not equals or len(paths) != 3:
            raise ValueError(f"{text!r} is not TITLE=ORIGINAL,MARKED,ATTACKED")
        return cls(title, *paths)

    def views(self) -> list[tuple[str, str, tuple[int, int]]]:
        """Return (what it is, data address, (width, height)) of the four pictures.

        Raises
        ------
        MediaError
            If a file cannot be read.
        ValueError
            If original and marked are of two sizes.
        """
        original, marked, attacked = (
            load(Picture(path, "")) for path in (self.original, self.marked, self.attacked)
        )
        shown = {
            "original": _middle(original),
            "marked": _middle(marked),
            f"difference × {GAIN}": _middle(difference(original, marked)),
            "attacked": _whole(attacked),
        }
        return [
            (name, _address(pixels), (pixels.shape[1], pixels.shape[0]))
            for name, pixels in shown.items()
        ]
