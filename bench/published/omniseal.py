"""What Meta's omnisealbench adds to the attacks of VideoSeal.

From ``src/omnisealbench/attacks/image_attacks.yaml`` and ``image_effects.py`` of
https://github.com/facebookresearch/omnisealbench, commit 6b6bd06794f1.  Rotation, brightness,
contrast, hue, perspective, JPEG, blur and mirroring are those of `bench.published.videoseal` and
are not repeated.

What is written there is done here, also where it is odd: `center_crop` exchanges height and width,
so that a landscape is cropped upright and stands between black bars when little is taken away;
`median_filter` is a median along rows and then along columns, with black outside the picture.
`resize` exchanges them too, which squeezes what is not square; it is left out.
Three things could not be had.  The background of the collage, a painting, is another picture of
the corpus (without ImageNet's normalisation, which the source forgets to undo).  The text is drawn
by OpenCV's font, since AugLy's is not here.  It says "Lorem Ipsum", which is what its numbers are
in ASCII.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import Attack, Change, Picture, jpeg
from bench.published.row import Published, rows
from bench.published.torchvision import blended, centre_cropped, resized, saturated, sharpened
from bench.published.videoseal import crop

__all__ = ["ROWS"]

FAMILY = "omniseal"
_HERE = "facebookresearch/omnisealbench, src/omnisealbench/attacks/"
_EFFECTS = f"{_HERE}image_effects.py"
_MIXED = f"{_HERE}mixed_image.py"

_AREAS = (0.05, 0.1, 0.2, 0.5, 1.0)
_FACTORS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
_TEXT = "Lorem Ipsum"
_TEXT_SIDE = 0.15  # of the shorter side of the picture: the em of the font
_CAPITALS = 0.7  # of an em: how high capitals are, of most fonts
_RED = (255, 0, 0)


def _centre(area: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = (int(side * math.sqrt(area)) for side in pixels.shape[:2])
        return centre_cropped(pixels, width, height)  # exchanged, as in the source

    return change


def _proportion(area: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator, original: Picture) -> Picture:
        sides = [int(side * math.sqrt(area)) for side in pixels.shape[:2]]
        top, left = ((whole - side) // 2 for whole, side in zip(pixels.shape, sides, strict=False))
        inside = (slice(top, top + sides[0]), slice(left, left + sides[1]))
        result = original.copy()
        result[inside] = pixels[inside]
        return result

    return change


def _collage(area: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator, background: Picture) -> Picture:
        whole = pixels.shape[0], pixels.shape[1]
        wanted = whole[0] * whole[1] * area
        width = min(int(math.sqrt(wanted * rng.uniform(0.25, 1.75))), whole[1] - 1)
        height = min(int(wanted / width), whole[0] - 1)
        left = int(rng.integers(whole[1] - width))
        top = int(rng.integers(whole[0] - height))
        inside = (slice(top, top + height), slice(left, left + width))
        result = resized(background, *whole)
        result[inside] = pixels[inside]
        return result

    return change


def _exchanges(count: int) -> Iterator[tuple[int, int]]:
    """Yield the comparisons that sort `count` values: Batcher's merge exchange.

    Knuth, The Art of Computer Programming 3, algorithm 5.2.2M.
    """
    top = 1 << (count - 1).bit_length() - 1
    p = top
    while p:
        q, r, d = top, 0, p
        while True:
            yield from ((i, i + d) for i in range(count - d) if i & p == r)
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1


def _running_median(plane: NDArray[np.uint8], side: int, axis: int) -> NDArray[np.uint8]:
    """Return the median along one axis, by sorting moved copies of the plane against each other."""
    reach = side // 2
    ends = [(0, 0), (0, 0)]
    ends[axis] = (reach, reach)
    padded, length = np.pad(plane, ends), plane.shape[axis]
    moved = [np.take(padded, range(at, at + length), axis) for at in range(side)]
    for low, high in _exchanges(side):
        larger = np.maximum(moved[low], moved[high])
        np.minimum(moved[low], moved[high], out=moved[low])
        moved[high] = larger
    return moved[reach]


def _median(side: float) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        result = np.empty_like(pixels)
        for channel in range(3):
            along = _running_median(pixels[..., channel], int(side), 1)
            result[..., channel] = _running_median(along, int(side), 0)
        return result

    return change


def _text(pixels: Picture, _: np.random.Generator) -> Picture:
    height, width = pixels.shape[:2]
    em = int(min(height, width) * _TEXT_SIDE)
    font, thick = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(em / 12))
    scale = cv2.getFontScaleFromHeight(font, max(1, round(_CAPITALS * em)), thick)
    canvas = pixels.copy()
    place = (0, height // 2 + em)
    cv2.putText(canvas, _TEXT, place, font, scale, _RED, thick, cv2.LINE_AA)
    return canvas


def _crop_bright_jpeg(quality: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        return jpeg(int(quality))(blended(crop(pixels, rng, share=0.5), 0, 1.5), rng)

    return change


ROWS: tuple[Published, ...] = (
    *rows(
        FAMILY,
        "proportion",
        _proportion,
        _AREAS,
        group="overlay",
        about="share of the area that is left, in the middle of the unmarked original",
        source=_EFFECTS,
        others=1,
        original=True,
    ),
    *rows(
        FAMILY,
        "collage",
        _collage,
        _AREAS,
        group="overlay",
        about="share of the area that is left, anywhere and of any proportions, on another picture",
        source=_EFFECTS,
        others=1,
    ),
    *rows(
        FAMILY,
        "centre crop",
        _centre,
        _AREAS,
        group="crop",
        about="share of the area; height and width exchanged, as in the source; black outside",
        source=_EFFECTS,
    ),
    *rows(
        FAMILY,
        "saturation",
        lambda factor: lambda pixels, _: saturated(pixels, factor),
        _FACTORS,
        group="colour",
        about="factor about the grey picture",
        source=_EFFECTS,
    ),
    *rows(
        FAMILY,
        "sharpness",
        lambda factor: lambda pixels, _: sharpened(pixels, factor),
        _FACTORS,
        group="blur",
        about="0 smoothed over 3 × 3 pixels, 1 as it is, 2 sharpened",
        source=_EFFECTS,
    ),
    *rows(
        FAMILY,
        "median",
        _median,
        (3, 5, 9, 13, 17),
        group="blur",
        about="pixels along rows, then along columns; black outside",
        source=_EFFECTS,
    ),
    Published(
        Attack(f"{FAMILY} text", _text, None, "red, 0.15 of the shorter side high, OpenCV's font"),
        FAMILY,
        "overlay",
        "text",
        _TEXT_SIDE,
        _EFFECTS,
    ),
    *rows(
        FAMILY,
        "crop bright jpeg",
        _crop_bright_jpeg,
        (80,),
        group="combined",
        about="0.5 of each side anywhere, then code values × 1.5, then libjpeg quality",
        source=_MIXED,
    ),
)
