"""Attempts to get rid of a mark in one picture: noise and denoising, and coding over and over.

Both are estimation attacks without any knowledge of the mark (Voloshynovskiy et al. 2001, DOI
10.1109/35.940053): noise hides what is weak, and a denoiser takes both away together.  What many
marked frames give away is in `bench.removal.averaging`.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np

from bench.attacks import Change, Picture, _webp, jpeg
from bench.published.row import Published, rows
from bench.published.torchvision import rounded

__all__ = ["REMOVAL", "again", "noisy"]

FAMILY = "removal"
_SOURCE = "Voloshynovskiy et al. 2001, DOI 10.1109/35.940053, denoising and compression"
_DEVIATIONS = (5, 10, 20, 30)  # code values
_TIMES = (1, 5, 20)
_QUALITY = 75
_SHIFT = 1  # rows and columns that are lost each time, so that the blocks never lie alike


def noisy(pixels: Picture, rng: np.random.Generator, *, deviation: float) -> Picture:
    """Return a picture with Gaussian noise in each channel, in code values."""
    noise = rng.standard_normal(pixels.shape, np.float32)
    return rounded(pixels + np.float32(deviation) * noise)


def _means(pixels: Picture, deviation: float) -> Picture:
    # Buades et al. 2005, DOI 10.1109/CVPR.2005.38, with OpenCV's windows of 7 and 21 pixels.
    swapped = np.ascontiguousarray(pixels[..., ::-1])
    done = cv2.fastNlMeansDenoisingColored(swapped, None, deviation, deviation, 7, 21)
    return np.ascontiguousarray(np.asarray(done, np.uint8)[..., ::-1])


def _bilateral(pixels: Picture, deviation: float) -> Picture:
    return np.asarray(cv2.bilateralFilter(pixels, 9, 2 * deviation, 3.0), np.uint8)


def _median(pixels: Picture, _: float) -> Picture:
    return np.asarray(cv2.medianBlur(pixels, 5), np.uint8)


_DENOISERS = {
    "nlm": (_means, "then non-local means of that strength"),
    "bilateral": (_bilateral, "then a bilateral filter, twice that in value, 3 pixels in place"),
    "median": (_median, "then a median of 5 × 5 pixels"),
}


def _denoised(name: str, deviation: float) -> Change:
    denoise, _ = _DENOISERS[name]

    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        return denoise(noisy(pixels, rng, deviation=deviation), deviation)

    return change


def again(*coders: Change, times: float, lost: int = 0) -> Change:
    """Return the attack of coding a picture again and again.

    Parameters
    ----------
    *coders : function of (pixels, rng)
        They take turns.
    times : int
        How often in all.
    lost : int
        Rows and columns that are cut off, at the top and the left, before each time but the first.
    """

    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        for at in range(int(times)):
            if at and lost and min(pixels.shape[:2]) > lost:
                pixels = np.ascontiguousarray(pixels[lost:, lost:])
            pixels = coders[at % len(coders)](pixels, rng)
        return pixels

    return change


_TABLE: tuple[Published, ...] = (
    *(
        row
        for name, (_, about) in _DENOISERS.items()
        for row in rows(
            FAMILY,
            f"noise {name}",
            partial(_denoised, name),
            _DEVIATIONS,
            group="noise",
            about=f"Gaussian, standard deviation in code values, {about}",
            source=_SOURCE,
        )
    ),
    *rows(
        FAMILY,
        "jpeg again",
        lambda times: again(jpeg(_QUALITY), times=times),
        _TIMES,
        group="jpeg",
        about=f"times, libjpeg quality {_QUALITY}",
        source=_SOURCE,
    ),
    *rows(
        FAMILY,
        "jpeg moved again",
        lambda times: again(jpeg(_QUALITY), times=times, lost=_SHIFT),
        _TIMES,
        group="jpeg",
        about=f"times, libjpeg quality {_QUALITY}, a row and a column less each time",
        source=_SOURCE,
    ),
    *rows(
        FAMILY,
        "jpeg webp again",
        lambda times: again(jpeg(_QUALITY), _webp(_QUALITY), times=times),
        _TIMES,
        group="jpeg",
        about=f"times, libjpeg and libwebp of quality {_QUALITY} in turn",
        source=_SOURCE,
    ),
)

REMOVAL: dict[str, Published] = {row.attack.name: row for row in _TABLE}
