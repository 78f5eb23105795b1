"""What pirates and converters do to a film before it is encoded: pure functions of footage.

Each takes (footage, rng, *others) and returns new footage, and all its chance comes from `rng`.
Planes are changed as they are, luma and chroma alike; sizes and places are even in luma, so that
both stay together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from bench.geometry_attacks import _inscribed, resized, rotated
from bench.video_media import Footage, Frame, Plane

__all__ = [
    "VideoChange",
    "bright",
    "chain",
    "crop",
    "logo",
    "mirrored",
    "pip",
    "reframed",
    "repeated",
    "reversed_order",
    "rotate",
    "same",
    "short_side",
    "speed",
    "subtitled",
    "thinned",
]

VideoChange = Callable[..., Footage]  # of (footage, rng), and of other footage

_BLACK, _WHITE, _NEUTRAL = 16, 235, 128  # 8 bits, limited range
_WORDS = ("where", "have", "you", "been", "all", "this", "time", "I", "never", "asked", "for", "it")
_CAPTION = 1.0  # seconds that a subtitle stands


def even(value: float) -> int:
    """Return the even number nearest to a size or place."""
    return 2 * round(value / 2)


def same(footage: Footage, _: np.random.Generator) -> Footage:
    """Change nothing."""
    return footage


def chain(*changes: VideoChange) -> VideoChange:
    """Return one change after the other."""

    def change(footage: Footage, rng: np.random.Generator) -> Footage:
        for each in changes:
            footage = each(footage, rng)
        return footage

    return change


def short_side(footage: Footage, _: np.random.Generator, *, pixels: int) -> Footage:
    """Scale so that the short side is so long."""
    scale = pixels / min(footage.shape)
    return _scaled(footage, (even(footage.shape[0] * scale), even(footage.shape[1] * scale)))


def _scaled(footage: Footage, shape: tuple[int, int]) -> Footage:
    return footage.each(lambda plane, step: resized(plane, (shape[1] // step, shape[0] // step)))


def repeated(footage: Footage, _: np.random.Generator, *, times: Fraction) -> Footage:
    """Raise the frame rate by repeating frames, as ffmpeg's ``fps`` does by default.

    A frame stands from its own time, rounded to the new rate, to that of the next.
    """
    count = len(footage.frames)
    starts = [math.floor(at * times + Fraction(1, 2)) for at in range(count + 1)]
    frames = tuple(
        frame for at, frame in enumerate(footage.frames) for _ in range(starts[at], starts[at + 1])
    )
    return replace(footage, frames=frames, rate=footage.rate * times)


def thinned(footage: Footage, _: np.random.Generator, *, every: int) -> Footage:
    """Keep the first of so many frames."""
    return replace(footage, frames=footage.frames[::every], rate=footage.rate / every)


def speed(footage: Footage, rng: np.random.Generator, *, by: Fraction) -> Footage:
    """Show the same frames faster or slower, as often the one as the other."""
    return replace(footage, rate=footage.rate * (1 + by * int(rng.choice((-1, 1)))))


def reversed_order(footage: Footage, _: np.random.Generator) -> Footage:
    """Show the last frame first."""
    return replace(footage, frames=footage.frames[::-1])


def crop(footage: Footage, rng: np.random.Generator, *, share: float) -> Footage:
    """Keep a share of each side, anywhere, the same in all frames."""
    height, width = (even(share * side) for side in footage.shape)
    top, left = (
        2 * int(rng.integers((side - kept) // 2 + 1))
        for side, kept in zip(footage.shape, (height, width), strict=True)
    )
    return footage.each(
        lambda plane, step: np.ascontiguousarray(
            plane[top // step : (top + height) // step, left // step : (left + width) // step]
        )
    )


def mirrored(footage: Footage, _: np.random.Generator) -> Footage:
    """Exchange left and right."""
    return footage.each(lambda plane, _: np.ascontiguousarray(plane[:, ::-1]))


def rotate(footage: Footage, rng: np.random.Generator, *, degrees: float) -> Footage:
    """Rotate to either side, and keep the largest upright rectangle."""
    turn = degrees * float(rng.choice((-1, 1)))
    height, width = footage.shape
    # Chroma needs twice the margin of luma, that of its interpolation.
    sides = _inscribed((width - 8, height - 8), turn)
    across, down = (int(side) // 2 * 2 for side in sides)
    return footage.each(lambda plane, step: rotated(plane, turn, (across // step, down // step)))


def bright(footage: Footage, _: np.random.Generator, *, factor: float) -> Footage:
    """Multiply R'G'B', of limited range and 8 bits: luma from black on, chroma from neutral on."""
    codes = np.arange(256)
    luma, chroma = (
        np.clip(np.rint((codes - zero) * factor + zero), 0, 255).astype(np.uint8)
        for zero in (_BLACK, _NEUTRAL)
    )
    return footage.each(lambda plane, step: (luma if step == 1 else chroma)[plane])


def reframed(footage: Footage, rng: np.random.Generator) -> Footage:
    """Put the whole width into an upright frame of 9:16, on black or on its own enlarged blur."""
    height, width = footage.shape
    across = even(min(height, width))
    down = even(across * 16 / 9)
    inner = (even(height * across / width), across)
    top = even((down - inner[0]) / 2)
    blurred = rng.random() < 0.5
    cover = max(across / width, down / height)
    large = (even(height * cover), even(width * cover))
    small = _scaled(footage, inner)

    def behind(plane: Plane, step: int) -> Plane:
        shape = (down // step, across // step)
        if not blurred:
            return np.full(shape, _BLACK if step == 1 else _NEUTRAL, np.uint8)
        wide = resized(plane, (large[1] // step, large[0] // step))
        y, x = (wide.shape[0] - shape[0]) // 2, (wide.shape[1] - shape[1]) // 2
        wide = wide[y : y + shape[0], x : x + shape[1]]
        return np.asarray(cv2.GaussianBlur(wide, (0, 0), across / 40 / step), np.uint8)

    return _inset(footage.each(behind), small, (top, 0))


def pip(
    footage: Footage, rng: np.random.Generator, background: Footage, *, share: float
) -> Footage:
    """Show the film small, anywhere, in another one of its size, which starts anew if it ends."""
    canvas = _scaled(background, footage.shape)
    count = len(footage.frames)
    rounds = -(-count // len(canvas.frames))
    canvas = replace(canvas, frames=(canvas.frames * rounds)[:count])
    shape = (even(share * footage.shape[0]), even(share * footage.shape[1]))
    place = (
        2 * int(rng.integers((footage.shape[0] - shape[0]) // 2 + 1)),
        2 * int(rng.integers((footage.shape[1] - shape[1]) // 2 + 1)),
    )
    return _inset(replace(canvas, rate=footage.rate), _scaled(footage, shape), place)


def _inset(canvas: Footage, small: Footage, place: tuple[int, int]) -> Footage:
    def put(under: Frame, over: Frame) -> Frame:
        y, u, v = under[0].copy(), under[1].copy(), under[2].copy()
        for plane, inner, step in zip((y, u, v), over, (1, 2, 2), strict=True):
            top, left = (at // step for at in place)
            plane[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return y, u, v

    frames = tuple(map(put, canvas.frames, small.frames))
    return replace(canvas, frames=frames)


def subtitled(footage: Footage, rng: np.random.Generator) -> Footage:
    """Burn two lines of white, outlined letters into the lower part, new ones each second."""
    height, width = footage.shape
    lasting = max(1, round(_CAPTION * footage.rate))
    frames = []
    for at, frame in enumerate(footage.frames):
        if at % lasting == 0:
            outline, letters = _caption(height, width, rng)
        frames.append(_overlaid(_overlaid(frame, outline, _BLACK), letters, _WHITE))
    return replace(footage, frames=tuple(frames))


def _caption(height: int, width: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Return how far the outline and the letters of a subtitle cover each pixel, 0–255."""
    size = height / 500  # about 5 % of the height for a line
    thick = max(1, round(2 * size))
    outline, letters = (np.zeros((height, width), np.uint8) for _ in range(2))
    for line in (0.84, 0.92):
        words = " ".join(rng.choice(_WORDS, 6))
        across, _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, thick)[0]
        place = (max(0, (width - across) // 2), round(line * height))
        for canvas, weight in ((outline, 3 * thick), (letters, thick)):
            cv2.putText(
                *(canvas, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, weight, cv2.LINE_AA)
            )
    return outline, letters


def _overlaid(frame: Frame, cover: Plane, level: int) -> Frame:
    """Blend a grey of one level over a frame, where `cover` (0–255, as luma) says how much."""
    half = frame[1].shape[::-1]
    small = np.asarray(cv2.resize(cover, half, interpolation=cv2.INTER_AREA), np.uint8)
    y, u, v = map(_blended, frame, (cover, small, small), (level, _NEUTRAL, _NEUTRAL))
    return y, u, v


def _blended(plane: Plane, cover: Plane, level: int) -> Plane:
    share = cover.astype(np.float32) * np.float32(1 / 255)
    return np.rint(plane + share * (np.float32(level) - plane)).astype(np.uint8)


def logo(footage: Footage, rng: np.random.Generator) -> Footage:
    """Lay a half-transparent logo, an eighth of the height, into one of the corners."""
    height, width = footage.shape
    side = height // 8
    disc = np.zeros((height, width), np.uint8)
    x = int(rng.choice((side, width - side)))
    y = int(rng.choice((side, height - side)))
    cv2.circle(disc, (x, y), side // 2, 190, -1, cv2.LINE_AA)
    letters = np.zeros_like(disc)
    place = (x - round(0.4 * side), y + side // 6)
    thick = max(1, side // 20)
    cv2.putText(
        *(letters, "TV8", place, cv2.FONT_HERSHEY_DUPLEX, side / 75, 230, thick, cv2.LINE_AA)
    )
    frames = tuple(
        _overlaid(_overlaid(frame, disc, _WHITE), letters, _BLACK) for frame in footage.frames
    )
    return replace(footage, frames=frames)
