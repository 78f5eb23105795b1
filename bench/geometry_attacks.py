"""What happens to the geometry of pictures: a table of named pure functions.

Pixels are RGB, uint8 of shape (H, W, 3); sizes are (width, height), as in OpenCV.
An attack is a function of (pixels, rng), or of (pixels, rng, *others) where it puts several
pictures into one.  Rotations and warps interpolate bicubically; shrinking averages over areas.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from bench.attacks import ATTACKS as STILLS
from bench.attacks import Attack, Change, Picture, jpeg

__all__ = ["ATTACKS", "Attack", "apply", "non_rigid", "perspective", "resized", "rotated"]

Colour = tuple[int, int, int]

_BLACK: Colour = (0, 0, 0)
_REACH = 2  # pixels to either side that bicubic interpolation looks at


def resized(pixels: Picture, size: tuple[int, int]) -> Picture:
    """Return a picture of another size: first the sides that shrink, then those that grow."""
    height, width = pixels.shape[:2]
    smaller = (min(size[0], width), min(size[1], height))
    shrunk = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _inscribed(size: tuple[float, float], degrees: float) -> tuple[float, float]:
    """Return the size of the largest upright rectangle inside a rectangle that was rotated."""
    turn = np.deg2rad(degrees)
    cos, sin = abs(np.cos(turn)), abs(np.sin(turn))
    width, height = size
    long, short = max(size), min(size)
    if short <= 2 * sin * cos * long or np.isclose(sin, cos):
        # Two corners touch the long sides, the others the line half-way between these.
        across, along = short / 2 / sin, short / 2 / cos
        return (across, along) if width >= height else (along, across)
    spread = cos**2 - sin**2
    return (width * cos - height * sin) / spread, (height * cos - width * sin) / spread


def rotated(
    pixels: Picture, degrees: float, size: tuple[int, int], fill: Colour = _BLACK
) -> Picture:
    """Return what a canvas of `size` shows of a picture rotated about their common centre."""
    height, width = pixels.shape[:2]
    middle = (width - 1) / 2, (height - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, degrees, 1.0), np.float64)
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    warped = cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_CUBIC, borderValue=fill)
    return np.asarray(warped, np.uint8)


def perspective(pixels: Picture, rng: np.random.Generator, *, share: float) -> Picture:
    """Move each corner by up to a share of the width and of the height; the rest becomes black."""
    height, width = pixels.shape[:2]
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    moved = corners + rng.uniform(-share, share, (4, 2))
    # The picture's outline runs half a pixel outside the centres of its outermost pixels.
    before, after = ((c * (width, height) - 0.5).astype(np.float32) for c in (corners, moved))
    matrix = cv2.getPerspectiveTransform(before, after)
    warped = cv2.warpPerspective(pixels, matrix, (width, height), flags=cv2.INTER_CUBIC)
    return np.asarray(warped, np.uint8)


def non_rigid(pixels: Picture, rng: np.random.Generator, *, share: float) -> Picture:
    """Move corners, middles of sides and the middle by up to a share of the height, smoothly."""
    height, width = pixels.shape[:2]
    moves = share * height * rng.uniform(-1, 1, (2, 3, 3))
    knots = CubicSpline([0, 0.5, 1], np.eye(3), bc_type="natural")
    down, right = (knots(np.linspace(0, 1, side)) for side in (height, width))
    x, y = (np.asarray(down @ move @ right.T, np.float32) for move in moves)
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    warped = cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _rotate_crop(
    pixels: Picture, rng: np.random.Generator, *, degrees: float | None = None
) -> Picture:
    """Rotate by any angle, or by one to either side."""
    turn = rng.uniform(0, 360) if degrees is None else degrees * rng.choice((-1, 1))
    height, width = pixels.shape[:2]
    sides = _inscribed((width - 2 * _REACH, height - 2 * _REACH), turn)
    return rotated(pixels, turn, (int(sides[0]), int(sides[1])))


def _rotate_fill(pixels: Picture, rng: np.random.Generator) -> Picture:
    height, width = pixels.shape[:2]
    degrees = rng.uniform(0, 360)
    cos, sin = abs(np.cos(np.deg2rad(degrees))), abs(np.sin(np.deg2rad(degrees)))
    size = (int(np.ceil(width * cos + height * sin)), int(np.ceil(width * sin + height * cos)))
    return rotated(pixels, degrees, size, _colour(rng))


def _rotate_90(pixels: Picture, rng: np.random.Generator) -> Picture:
    return np.ascontiguousarray(np.rot90(pixels, int(rng.integers(1, 4))))


def _crop(pixels: Picture, rng: np.random.Generator, *, share: float) -> Picture:
    height, width = (round(share * side) for side in pixels.shape[:2])
    top = rng.integers(pixels.shape[0] - height + 1)
    left = rng.integers(pixels.shape[1] - width + 1)
    return pixels[top : top + height, left : left + width].copy()


def _aspect(pixels: Picture, rng: np.random.Generator) -> Picture:
    height, width = pixels.shape[:2]
    factor = np.exp(rng.uniform(np.log(0.75), np.log(1.33)))
    if rng.random() < 0.5:
        return resized(pixels, (round(width * factor), height))
    return resized(pixels, (width, round(height / factor)))


def _square(pixels: Picture, _: np.random.Generator) -> Picture:
    side = max(pixels.shape[:2])
    return resized(pixels, (side, side))


def _colour(rng: np.random.Generator) -> Colour:
    """Draw black or, as often, any other colour."""
    red, green, blue = (int(level) for level in rng.integers(0, 256, 3))
    return _BLACK if rng.random() < 0.5 else (red, green, blue)


def _put(canvas: Picture, pixels: Picture, top: int, left: int) -> None:
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels


def _put_in_the_middle(canvas: Picture, pixels: Picture) -> None:
    top, left = ((canvas.shape[axis] - pixels.shape[axis]) // 2 for axis in (0, 1))
    _put(canvas, pixels, top, left)


def _bars(pixels: Picture, rng: np.random.Generator, *, axis: int) -> Picture:
    """Put bars on both sides along an axis: 0 above and below, 1 left and right."""
    shape = list(pixels.shape)
    shape[axis] += 2 * round(rng.uniform(0.08, 0.25) * shape[axis])
    canvas = np.full(shape, _colour(rng), np.uint8)
    _put_in_the_middle(canvas, pixels)
    return canvas


def _reframe(pixels: Picture, rng: np.random.Generator) -> Picture:
    height, width = pixels.shape[:2]
    across = min(height, width)
    down = round(across * 16 / 9)
    whole, cover = sorted((across / width, down / height))
    canvas = np.zeros((down, across, 3), np.uint8)
    if rng.random() < 0.5:
        wide = resized(pixels, (round(width * cover), round(height * cover)))
        top, left = (wide.shape[0] - down) // 2, (wide.shape[1] - across) // 2
        wide = wide[top : top + down, left : left + across]
        canvas = np.asarray(cv2.GaussianBlur(wide, (0, 0), across / 40), np.uint8)
    _put_in_the_middle(canvas, resized(pixels, (round(width * whole), round(height * whole))))
    return canvas


def _pip(
    pixels: Picture, rng: np.random.Generator, background: Picture, *, share: float
) -> Picture:
    height, width = pixels.shape[:2]
    canvas = resized(background, (width, height))
    inset = resized(pixels, (round(share * width), round(share * height)))
    top, left = rng.integers((height - inset.shape[0] + 1, width - inset.shape[1] + 1))
    _put(canvas, inset, top, left)
    return canvas


def _screenshot(pixels: Picture, rng: np.random.Generator) -> Picture:
    scale = rng.uniform(0.5, 1.0)
    shown = resized(pixels, (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)))
    height, width = shown.shape[:2]
    left, right = (round(rng.uniform(0.04, 0.3) * width) for _ in range(2))
    above, below = (28 * int(lines) for lines in rng.integers(2, 9, 2))
    bars, scroll = 96, 14  # pixels: 40 of tabs and 56 of buttons and address; a scroll bar
    levels = rng.choice(((255, 40, 222), (28, 210, 60)))  # by day, by night
    paper, ink, grey = ((int(level),) * 3 for level in levels)
    rows, columns = bars + above + height + below, left + width + right + scroll
    canvas = np.full((rows, columns, 3), paper, np.uint8)

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, 1, cv2.LINE_AA)

    canvas[:bars] = grey
    for tab in range(8, 168 * int(rng.integers(1, 5)), 168):
        canvas[8:40, tab : tab + 160] = paper
        write("Pictures of today", tab + 10, 28)
    canvas[52:84, 112 : columns - 24] = paper
    write("(<)  (>)  (o)   https://example.org/pictures/42", 16, 73)
    for y in (*range(bars + 20, bars + above, 28), *range(rows - below + 20, rows, 28)):
        words = rng.choice(("frame", "a", "light", "over", "water", "seen", "twice", "by"), 40)
        write(" ".join(words)[: int(rng.integers(width // 20, width // 9))], left, y)
    _put(canvas, shown, bars + above, left)
    canvas[bars:, -scroll:] = grey
    thumb = int(rng.integers(bars, (bars + rows) // 2))
    canvas[thumb : thumb + (rows - bars) // 3, -12:-2] = ink
    return canvas


def _collage(pixels: Picture, rng: np.random.Generator, *others: Picture) -> Picture:
    halves = [resized(p, (p.shape[1] // 2, p.shape[0] // 2)) for p in (pixels, *others)]
    height, width = (max(half.shape[axis] for half in halves) for axis in (0, 1))
    canvas = np.full((2 * height, 2 * width, 3), _colour(rng), np.uint8)
    for place, half in enumerate(halves):
        top, left = place // 2 * height, place % 2 * width
        _put_in_the_middle(canvas[top : top + height, left : left + width], half)
    return canvas


def _chain(*changes: Change) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        for each in changes:
            pixels = each(pixels, rng)
        return pixels

    return change


_crop_70, _crop_50, _crop_35 = (partial(_crop, share=share) for share in (0.7, 0.5, 0.35))
_mirrored, _bright, _small = (
    STILLS[name].change for name in ("mirrored", "brightness x1.5", "resize 256")
)
_tilt_5, _tilt_10 = (partial(_rotate_crop, degrees=degrees) for degrees in (5, 10))
_tilted_and_more = _chain(_tilt_10, _crop_70, _bright, jpeg(60))

_CROP = "percent of each side, anywhere"
_CORNERS = "largest move of each corner, percent of width and of height"
_PIP = "percent of the width of an unmarked picture"
_TABLE = (
    Attack("rotate crop", _rotate_crop, 0.98, "any angle, largest upright rectangle"),
    Attack("rotate fill", _rotate_fill, 0.98, "any angle, corners black or of another colour"),
    Attack("rotate 90", _rotate_90, 0.98, "90, 180 or 270 degrees"),
    Attack("mirror rotate", _chain(_mirrored, _rotate_crop), 0.98, "any angle, cropped"),
    Attack("crop 70", _crop_70, 0.98, _CROP),
    Attack("crop 50", _crop_50, 0.95, _CROP),
    Attack("crop 35", _crop_35, 0.85, _CROP),
    Attack("aspect", _aspect, 0.97, "one side changed, width over height times 0.75–1.33"),
    Attack("crop 70 square", _chain(_crop_70, _square), 0.93, "the shorter side stretched"),
    Attack("letterbox", partial(_bars, axis=0), 0.98, "bars of 8–25 % of the height each"),
    Attack("pillarbox", partial(_bars, axis=1), 0.98, "bars of 8–25 % of the width each"),
    Attack("reframe 9:16", _reframe, 0.98, "whole, on black or on its own enlarged blur"),
    Attack("pip 50", partial(_pip, share=0.5), 0.95, _PIP, others=1),
    Attack("pip 35", partial(_pip, share=0.35), 0.80, _PIP, others=1),
    Attack("screenshot", _screenshot, None, "scaled by 0.5–1, a browser round it"),
    Attack("perspective 5", partial(perspective, share=0.05), 0.95, _CORNERS),
    Attack("perspective 10", partial(perspective, share=0.10), 0.85, _CORNERS),
    Attack("perspective 20", partial(perspective, share=0.20), 0.60, _CORNERS),
    Attack("non-rigid 1", partial(non_rigid, share=0.01), 0.80, "percent of height, 3 × 3 knots"),
    Attack("rotate 5 jpeg 50", _chain(_tilt_5, jpeg(50)), 0.97, "± degrees, cropped"),
    Attack("crop 50 jpeg 50", _chain(_crop_50, jpeg(50)), 0.85, _CROP),
    Attack("crop 70 256 jpeg 70", _chain(_crop_70, _small, jpeg(70)), 0.80, "short side 256 px"),
    Attack("rotate 10 crop 70 bright jpeg 60", _tilted_and_more, 0.93, "code values × 1.5"),
    Attack("collage", _collage, 0.90, "works at half their size", others=3, others_marked=True),
)

ATTACKS = {attack.name: attack for attack in _TABLE}


def apply(name: str, pixels: Picture, rng: np.random.Generator, *others: Picture) -> Picture:
    """Return what an attack makes of a picture, together with the others that it takes.

    Raises
    ------
    KeyError
        If the table has no attack of this name.
    ValueError
        If it takes another number of further pictures.
    """
    attack = ATTACKS[name]
    if len(others) != attack.others:
        raise ValueError(f"{name} takes {attack.others} further pictures, not {len(others)}")
    return attack.change(pixels, rng, *others)
