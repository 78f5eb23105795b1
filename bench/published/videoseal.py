"""The 78 attacks on images that VideoSeal is evaluated with (arXiv:2412.09492).

The list is `get_validation_augs` in ``videoseal/augmentation/__init__.py`` of
https://github.com/facebookresearch/videoseal, as of commit 8ae4343c8d13; what each one does is in
``geometric.py``, ``valuemetric.py`` and ``sequential.py`` beside it.  Six rows do nothing (the
picture itself, factors of 1, a turn of 0), and stay in the list as they do there.

VideoSeal hands floats from the attack to the detector; here they are rounded to code values.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from bench.attacks import Attack, Change, Picture, jpeg
from bench.published.row import Published, rows
from bench.published.torchvision import (
    blended,
    blurred,
    contrasted,
    hue_turned,
    perspective_drawn,
    randomly_cropped,
    resized,
    rotated,
    rounded,
    warped,
)

__all__ = ["ROWS", "crop", "grey", "perspective", "then_crop_and_darken"]

FAMILY = "videoseal"
_HERE = "facebookresearch/videoseal, videoseal/augmentation/"
_GEOMETRIC, _VALUEMETRIC = f"{_HERE}geometric.py", f"{_HERE}valuemetric.py"
_SEQUENTIAL = f"{_HERE}sequential.py"

_SIDES = (0.32, 0.45, 0.55, 0.63, 0.71, 0.77, 0.84, 0.89, 0.95, 1.0)  # area in tenths
_FACTORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
_TURNS = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
_LUMA = (0.299, 0.587, 0.114)  # of Grayscale; torchvision's own has 0.2989


def _same(pixels: Picture, _: np.random.Generator) -> Picture:
    return pixels.copy()


def _mirrored(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.ascontiguousarray(pixels[:, ::-1])


def grey(pixels: Picture, _: np.random.Generator) -> Picture:
    """Return luma of BT.601 in all three channels."""
    luma = rounded(pixels @ np.array(_LUMA, np.float32))
    return np.repeat(luma[..., None], 3, axis=2)


def crop(pixels: Picture, rng: np.random.Generator, *, share: float) -> Picture:
    """Return a share of each side, from anywhere, not scaled back."""
    height, width = (int(share * side) for side in pixels.shape[:2])
    return randomly_cropped(pixels, rng, height=height, width=width)


def perspective(pixels: Picture, rng: np.random.Generator, *, distortion: float) -> Picture:
    """Move the corners inwards by up to a share of half the sides."""
    height, width = pixels.shape[:2]
    return warped(pixels, perspective_drawn(height, width, rng, distortion=distortion))


def then_crop_and_darken(first: Change, *, share: float = 0.71, factor: float = 0.5) -> Change:
    """Return an attack that is followed by a crop and a change of brightness."""

    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        return blended(crop(first(pixels, rng), rng, share=share), 0, factor)

    return change


def _resized(share: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = (int(share * side) for side in pixels.shape[:2])
        return resized(pixels, height, width)

    return change


def _one(name: str, change: Change, group: str, about: str, source: str) -> Published:
    attack = Attack(f"{FAMILY} {name}", change, None, about)
    return Published(attack, FAMILY, group, name, -1.0, source)


ROWS: tuple[Published, ...] = (
    _one("identity", _same, "nothing", "the marked picture itself", _GEOMETRIC),
    _one("flip", _mirrored, "mirror", "left and right exchanged", _GEOMETRIC),
    *rows(
        FAMILY,
        "rotation",
        lambda degrees: lambda pixels, _: rotated(pixels, degrees),
        (5, 10, 30, 45, 90),
        group="rotation",
        about="degrees anticlockwise, same size, nearest pixel, black corners",
        source=_GEOMETRIC,
    ),
    *rows(
        FAMILY,
        "resize",
        _resized,
        _SIDES,
        group="resize",
        about="share of each side, bilinear with antialiasing, not scaled back",
        source=_GEOMETRIC,
    ),
    *rows(
        FAMILY,
        "crop",
        lambda share: partial(crop, share=share),
        _SIDES,
        group="crop",
        about="share of each side, anywhere, not scaled back",
        source=_GEOMETRIC,
    ),
    *rows(
        FAMILY,
        "perspective",
        lambda distortion: partial(perspective, distortion=distortion),
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        group="perspective",
        about="largest move of each corner inwards, share of half the sides; bilinear, black",
        source=_GEOMETRIC,
    ),
    *rows(
        FAMILY,
        "brightness",
        lambda factor: lambda pixels, _: blended(pixels, 0, factor),
        _FACTORS,
        group="colour",
        about="factor on code values",
        source=_VALUEMETRIC,
    ),
    *rows(
        FAMILY,
        "contrast",
        lambda factor: lambda pixels, _: contrasted(pixels, factor),
        _FACTORS,
        group="colour",
        about="factor about the mean of the grey picture",
        source=_VALUEMETRIC,
    ),
    *rows(
        FAMILY,
        "hue",
        lambda turns: lambda pixels, _: hue_turned(pixels, turns),
        _TURNS,
        group="colour",
        about="share of the full circle, in HSV",
        source=_VALUEMETRIC,
    ),
    _one("grey", grey, "colour", "luma of BT.601", _VALUEMETRIC),
    *rows(
        FAMILY,
        "jpeg",
        lambda quality: jpeg(int(quality)),
        (40, 50, 60, 70, 80, 90),
        group="jpeg",
        about="libjpeg quality 1–100, 4:2:0",
        source=_VALUEMETRIC,
    ),
    *rows(
        FAMILY,
        "blur",
        lambda side: lambda pixels, _: blurred(pixels, int(side)),
        (3, 5, 9, 13, 17),
        group="blur",
        about="side of the Gaussian kernel, pixels; standard deviation 0.15 × side + 0.35",
        source=_VALUEMETRIC,
    ),
    *rows(
        FAMILY,
        "jpeg crop dark",
        lambda quality: then_crop_and_darken(jpeg(int(quality))),
        (40, 60, 80),
        group="combined",
        about="libjpeg quality, then 0.71 of each side anywhere, then code values × 0.5",
        source=_SEQUENTIAL,
    ),
)
