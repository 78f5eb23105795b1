"""Content that could fool a detector: nothing, flats, gradients, text, and periodic patterns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.profile import DEFAULT

__all__ = ["TRICKS"]

_SHAPE = (720, 1280)
Picture = NDArray[np.uint8]


def _rgb(plane: NDArray[np.float64] | NDArray[np.uint8]) -> Picture:
    rounded = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return np.repeat(rounded[..., None], 3, axis=2)


def _flat(value: int) -> Picture:
    return np.full((*_SHAPE, 3), value, np.uint8)


def _gradient(down: float, right: float) -> Picture:
    rows, columns = np.mgrid[: _SHAPE[0], : _SHAPE[1]].astype(np.float64)
    ramp = down * rows / _SHAPE[0] + right * columns / _SHAPE[1]
    return _rgb(255 * (ramp - ramp.min()) / np.ptp(ramp))


def _text(size: float, ink: int) -> Picture:
    page = np.full(_SHAPE, 255 - ink, np.uint8)
    step = round(34 * size)
    for line, top in enumerate(range(step, _SHAPE[0], step)):
        words = f"{line:03d} The quick brown fox jumps over the lazy dog. " * 6
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(page, words, (8, top), font, size, ink, 1, cv2.LINE_AA)
    return _rgb(page)


def _checkers(period: int) -> Picture:
    """Squares of which two, a light and a dark one, make a period, on a 512-px canonical grid."""
    rows, columns = np.mgrid[:512, :912]
    dark = (rows * 2 // period + columns * 2 // period) % 2
    return _rgb(np.where(dark, 40.0, 210.0))


def _periodic(period: int, *, strength: float, shape: tuple[int, int] = (512, 912)) -> Picture:
    """One random tile over the whole picture, as photo editors and watermarks leave it."""
    rng = np.random.default_rng(period)
    tile = np.asarray(cv2.GaussianBlur(rng.standard_normal((period, period)), (0, 0), 1.2))
    tile = tile / tile.std()
    times = (-(-shape[0] // period), -(-shape[1] // period))
    whole = np.tile(tile, times)[: shape[0], : shape[1]]
    ground = cv2.resize(rng.uniform(60, 200, (5, 9)), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return _rgb(ground + strength * whole)


_PERIODS = (64, 68, 128, DEFAULT.tile, 256, 2 * DEFAULT.tile)

TRICKS: dict[str, Callable[[], Picture]] = {
    "black": partial(_flat, 0),
    "white": partial(_flat, 255),
    **{f"flat grey: {value}": partial(_flat, value) for value in range(16, 255, 16)},
    **{
        f"gradient: {down:g} down, {right:g} right": partial(_gradient, down, right)
        for down, right in ((1, 0), (0, 1), (1, 1), (1, -1), (0.3, 1))
    },
    **{
        f"text: size {size:g}, ink {ink}": partial(_text, size, ink)
        for size in (0.4, 0.6, 1.0, 2.0)
        for ink in (0, 255)
    },
    **{f"checkerboard: period {n} px": partial(_checkers, n) for n in range(4, 257)},
    **{
        f"periodic pattern: {period} px, {strength:g} code values": partial(
            _periodic, period, strength=strength
        )
        for period in _PERIODS
        for strength in (1.0, 8.0, 40.0)
    },
}
