"""Which strengths of each kind of attack make a curve: found-rate and z against strength.

A curve runs from doing nothing, or hardly anything, to the strongest; where both directions hurt
(scale, brightness, contrast, gamma) it runs through the place that does nothing.  Attacks are pure
functions like all others, of one parameter each.  Rotations and warps interpolate bicubically,
shrinking averages over areas, coding is that of `bench.attacks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from bench.attacks import Attack, Change, Picture, _webp, jpeg
from bench.geometry_attacks import non_rigid, perspective, resized, rotated
from bench.published.torchvision import (
    blended,
    contrasted,
    hue_turned,
    randomly_cropped,
    rounded,
    saturated,
)
from bench.video_media import Footage

__all__ = ["CLIP_SECONDS", "CURVES", "Curve", "attacks", "excerpt"]

# Seconds of a film of 24 frames a second: one frame, two, four …
CLIP_SECONDS = (1 / 24, 1 / 12, 1 / 6, 1 / 3, 0.5, 1.0, 2.0, 3.0, 5.0)


@dataclass(frozen=True, slots=True)
class Curve:
    """One kind of attack, and its strengths.

    Parameters
    ----------
    kind : str
    unit : str
        Of the strength, as an axis is labelled.
    strengths : tuple of float
        In the order in which they lie on the axis, which is that of damage but for curves that
        run through `nothing`.
    nothing : float
        The strength that changes nothing, or would.
    change : function of a strength
        Returns what is done at that strength.
    log : bool
        Whether the axis is logarithmic.
    """

    kind: str
    unit: str
    strengths: tuple[float, ...]
    nothing: float
    change: Callable[[float], Change]
    log: bool = False


def _crop(percent: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        share = math.sqrt(percent / 100)
        height, width = (max(1, round(share * side)) for side in pixels.shape[:2])
        return randomly_cropped(pixels, rng, height=height, width=width)

    return change


def _rotation(degrees: float) -> Change:
    return lambda pixels, _: rotated(pixels, degrees, (pixels.shape[1], pixels.shape[0]))


def _scale(factor: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = (max(1, round(factor * side)) for side in pixels.shape[:2])
        return resized(pixels, (width, height))

    return change


def _aspect(factor: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = pixels.shape[:2]
        return resized(pixels, (round(width * factor), height))

    return change


def _blur(deviation: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        if deviation == 0:
            return pixels.copy()
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), deviation), np.uint8)

    return change


def _median(side: float) -> Change:
    return lambda pixels, _: np.asarray(cv2.medianBlur(pixels, int(side)), np.uint8)


def _noise(deviation: float) -> Change:
    return lambda pixels, rng: rounded(
        pixels + np.float32(deviation) * rng.standard_normal(pixels.shape, np.float32)
    )


def _gamma(exponent: float) -> Change:
    table = rounded(255 * (np.arange(256) / 255) ** exponent)
    return lambda pixels, _: table[pixels]


def _grey_levels(bits: float) -> Change:
    step = 255 / (2 ** int(bits) - 1)
    table = rounded(np.rint(np.arange(256) / step) * step)
    return lambda pixels, _: table[pixels]


_FACTORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)

_TABLE = (
    Curve(
        "crop",
        "percent of the area that is left",
        (100, 70, 50, 35, 25, 18, 12, 8, 5, 3, 2, 1),
        100,
        _crop,
        log=True,
    ),
    Curve(
        "jpeg",
        "libjpeg quality",
        (100, 95, 90, 80, 70, 60, 50, 40, 30, 25, 20, 15, 10, 5),
        100,
        lambda quality: jpeg(int(quality)),
    ),
    Curve(
        "webp",
        "libwebp quality",
        (100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0),
        100,
        lambda quality: _webp(int(quality)),
    ),
    Curve("rotation", "degrees", (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45), 0, _rotation),
    Curve(
        "scale",
        "factor on each side",
        (2, 1.5, 1.25, 1, 0.75, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1),
        1,
        _scale,
        log=True,
    ),
    Curve(
        "aspect",
        "factor on the width",
        (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4, 1.6, 2),
        1,
        _aspect,
        log=True,
    ),
    Curve(
        "perspective",
        "largest move of corners, share of the sides",
        (0, 0.02, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3),
        0,
        lambda share: partial(perspective, share=share),
    ),
    Curve(
        "non-rigid",
        "largest move, share of the height",
        (0, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04),
        0,
        lambda share: partial(non_rigid, share=share),
    ),
    Curve("blur", "standard deviation, pixels", (0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8), 0, _blur),
    Curve("median", "side of the window, pixels", (1, 3, 5, 7, 9, 11, 15), 1, _median),
    Curve(
        "noise",
        "standard deviation, code values",
        (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 70),
        0,
        _noise,
    ),
    Curve(
        "brightness",
        "factor on code values",
        _FACTORS,
        1,
        lambda factor: lambda pixels, _: blended(pixels, 0, factor),
    ),
    Curve(
        "contrast",
        "factor about the mean",
        _FACTORS,
        1,
        lambda factor: lambda pixels, _: contrasted(pixels, factor),
    ),
    Curve(
        "saturation",
        "factor about grey",
        (0, *_FACTORS),
        1,
        lambda factor: lambda pixels, _: saturated(pixels, factor),
    ),
    Curve(
        "hue",
        "share of the full circle",
        (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
        0,
        lambda turns: lambda pixels, _: hue_turned(pixels, turns),
    ),
    Curve("gamma", "exponent", (0.25, 0.4, 0.55, 0.7, 0.85, 1, 1.2, 1.4, 1.8, 2.4, 3), 1, _gamma),
    Curve("levels", "bits of each channel", (8, 6, 5, 4, 3, 2, 1), 8, _grey_levels),
)

CURVES = {curve.kind: curve for curve in _TABLE}


def attacks(kind: str) -> tuple[tuple[float, Attack], ...]:
    """Return the strengths of a curve, and the attack of each, named ``kind strength``.

    Raises
    ------
    KeyError
        If there is no curve of this kind.
    """
    curve = CURVES[kind]
    return tuple(
        (value, Attack(f"{kind} {value:g}", curve.change(value), None, curve.unit))
        for value in curve.strengths
    )


def excerpt(footage: Footage, rng: np.random.Generator, *, seconds: float) -> Footage:
    """Return a part of a film of a length, or all of a film that is no longer, from anywhere."""
    count = min(max(1, round(seconds * float(footage.rate))), len(footage.frames))
    return footage.cut(int(rng.integers(len(footage.frames) - count + 1)), count)
