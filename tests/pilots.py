"""Residuals of which everything is known: a key's pilot, laid through any map, in noise."""

import cv2
import numpy as np

from watermark.homography import apply
from watermark.key import Key
from watermark.pattern import pilot
from watermark.polar import lines_of
from watermark.profile import DEFAULT

KEY = Key(bytes(range(32)))
TILE = DEFAULT.tile
LINES = lines_of(KEY, DEFAULT)


def linear(turn, scale, *, mirror=False, stretch=1.0):
    """Return a linear map (2, 2) from the mark's grid to a canvas: stretched along x, then turned.

    Angles are in degrees, `scale` in pixels of the canvas per pixel of the grid.
    """
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    shape = np.diag([(-scale if mirror else scale) * stretch, scale])
    return np.array([[cos, -sin], [sin, cos]]) @ shape


def centres(shape):
    """Return the pixels' middles (h, w, 2) of a canvas."""
    height, width = shape
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def noise(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def seen(matrix, shape, *, strength=0.3, seed=0, bend=None):
    """Return a residual of a pilot of root mean square `strength` in noise of 1.

    `matrix` goes from the mark's grid to the canvas; `bend` is a function of places on the canvas
    that gives the shift (x, y) in pixels by which what is seen there was moved.
    """
    places = centres(shape)
    if bend is not None:
        places = places - bend(places)
    grid = apply(np.linalg.inv(matrix), places)
    tile = pilot(KEY, DEFAULT).astype(np.float32)
    around = np.pad(tile, 2, mode="wrap")
    where = (np.mod(grid - 0.5, TILE) + 2).astype(np.float32)
    wave = cv2.remap(around, where[..., 0], where[..., 1], cv2.INTER_CUBIC)
    return np.asarray(strength * wave + noise(shape, seed), np.float32)


def off_grid(places):
    """Return how far (x, y) on the mark's grid are from the nearest whole tile, in pixels."""
    return np.abs(places - TILE * np.rint(places / TILE))
