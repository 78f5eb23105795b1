"""HDR10 from SDR and back: a master for the experiment, and what a converter makes of it.

Light is linear, in cd/m², RGB of shape (H, W, 3).  Limited range throughout; matrices of BT.709
and BT.2020 (non-constant luminance).  Curves are looked up in tables, in 16384 steps of the signal
or of the fourth root of light, which is finer than ten bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.video_media import SDR, Footage, Frame
from watermark.planes import PlaneFormat

__all__ = ["HDR10", "TEN_BITS", "eight_bits", "ten_bits", "to_hdr10", "tone_mapped"]

Values = NDArray[Any]

HDR10 = PlaneFormat(bits=10, full=False, transfer="pq")
TEN_BITS = PlaneFormat(bits=10, full=False)

_STEPS = 16383
_PEAK = 1000.0  # cd/m² of the master
_WHITE = 203.0  # cd/m² of SDR's white in it, ITU-R BT.2408, before highlights are raised
_NOMINAL = 100.0  # cd/m² that tone mapping leaves about where they are
_GAMMA = 2.4  # ITU-R BT.1886
_BT_709, _BT_2020 = (0.2126, 0.0722), (0.2627, 0.0593)  # Kr, Kb
_TO_2020 = np.array(  # ITU-R BT.2087-0, M2
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)
_TO_709 = np.linalg.inv(_TO_2020)
# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _table(curve: Callable[[Values], Values], most: float) -> NDArray[np.float32]:
    """Return a curve at the fourth powers of even steps, up to `most`."""
    return np.asarray(curve(most * np.linspace(0, 1, _STEPS + 1) ** 4), np.float32)


def _looked_up(table: NDArray[np.float32], signal: Values) -> Values:
    """Return what a table says of values of 0–1."""
    return np.asarray(table[np.rint(np.clip(signal, 0, 1) * _STEPS).astype(np.uint16)])


def _root(light: Values, most: float) -> Values:
    return np.sqrt(np.sqrt(np.maximum(light, 0) * np.float32(1 / most)))


def _hable(light: Values) -> Values:
    """Return John Hable's filmic curve (GDC 2010, "Uncharted 2: HDR Lighting")."""
    above = light * (0.15 * light + 0.05) + 0.004
    return np.asarray(above / (light * (0.15 * light + 0.5) + 0.06) - 0.02 / 0.3)


_even = np.linspace(0, 1, _STEPS + 1)
_FROM_GAMMA = np.asarray(_WHITE * _even**_GAMMA, np.float32)
_powers = _even ** (1 / _M2)
_FROM_PQ = np.asarray(
    10000.0 * (np.maximum(_powers - _C1, 0) / (_C2 - _C3 * _powers)) ** (1 / _M1), np.float32
)
_TO_PQ = _table(
    lambda light: (
        ((_C1 + _C2 * (light / 10000) ** _M1) / (1 + _C3 * (light / 10000) ** _M1)) ** _M2
    ),
    _PEAK,
)
_TO_GAMMA = _table(lambda light: light ** (1 / _GAMMA), 1.0)
# Factors on light, by how much of it there is: highlights up to the peak, and back down.
_RAISED = _table(lambda light: 1 + (_PEAK / _WHITE - 1) * (light / _WHITE) ** 4, _WHITE)
_MAPPED = _table(
    lambda light: (
        _hable(np.maximum(light, 1e-3) / _NOMINAL)
        / _hable(np.array(_PEAK / _NOMINAL))
        / np.maximum(light, 1e-3)
    ),
    _PEAK,
)


def ten_bits(footage: Footage, rng: np.random.Generator) -> Footage:
    """Return SDR of 10 bits, the two new ones random, as the grain of a real master is."""
    frames = tuple(_planes([_finer(p, rng) for p in frame]) for frame in footage.frames)
    return replace(footage, frames=frames, format=TEN_BITS)


def _finer(plane: Values, rng: np.random.Generator) -> Values:
    return np.asarray((plane.astype(np.uint16) << 2) | rng.integers(0, 4, plane.shape, np.uint16))


def eight_bits(footage: Footage) -> Footage:
    """Return 10 bits rounded to 8."""
    frames = tuple(
        _planes([np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in frame])
        for frame in footage.frames
    )
    return replace(footage, frames=frames, format=replace(footage.format, bits=8))


def to_hdr10(footage: Footage) -> Footage:
    """Return SDR of BT.709 as HDR10: BT.2020, PQ, 10 bits, highlights raised up to 1000 cd/m²."""
    return replace(footage, frames=tuple(map(_hdr_frame, footage.frames)), format=HDR10)


def tone_mapped(footage: Footage) -> Footage:
    """Return HDR10 as SDR of 8 bits and BT.709, by Hable's curve on the largest of R, G and B."""
    return replace(footage, frames=tuple(map(_sdr_frame, footage.frames)), format=SDR)


def _hdr_frame(frame: Frame) -> Frame:
    light = _looked_up(_FROM_GAMMA, _rgb(frame, 8, _BT_709))
    light = light * _looked_up(_RAISED, _root(light.max(axis=2, keepdims=True), _WHITE))
    light = cv2.transform(light, _TO_2020)
    return _yuv(_looked_up(_TO_PQ, _root(light, _PEAK)), 10, _BT_2020)


def _sdr_frame(frame: Frame) -> Frame:
    light = np.minimum(_looked_up(_FROM_PQ, _rgb(frame, 10, _BT_2020)), np.float32(_PEAK))
    light = light * _looked_up(_MAPPED, _root(light.max(axis=2, keepdims=True), _PEAK))
    light = cv2.transform(light, _TO_709)
    return _yuv(_looked_up(_TO_GAMMA, _root(light, 1.0)), 8, _BT_709)


def _rgb(frame: Frame, bits: int, matrix: tuple[float, float]) -> Values:
    """Return R'G'B' of 0–1 where the planes are in range."""
    kr, kb = matrix
    unit = 1 << (bits - 8)
    y = (frame[0].astype(np.float32) - 16 * unit) * np.float32(1 / (219 * unit))
    blue, red = (
        cv2.resize(
            (plane.astype(np.float32) - 128 * unit) * np.float32(1 / (224 * unit)),
            y.shape[::-1],
            interpolation=cv2.INTER_LINEAR,
        )
        for plane in frame[1:]
    )
    r, b = y + 2 * (1 - kr) * red, y + 2 * (1 - kb) * blue
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.asarray(cv2.merge((r, g, b)), np.float32)


def _yuv(rgb: Values, bits: int, matrix: tuple[float, float]) -> Frame:
    """Return the planes of R'G'B'."""
    kr, kb = matrix
    unit = 1 << (bits - 8)
    red, green, blue = cv2.split(rgb)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    half = (rgb.shape[1] // 2, rgb.shape[0] // 2)
    planes = [16 * unit + 219 * unit * y]
    for colour, share in ((blue, kb), (red, kr)):
        small = cv2.resize((colour - y) / (2 * (1 - share)), half, interpolation=cv2.INTER_AREA)
        planes.append(128 * unit + 224 * unit * small)
    kind = np.uint8 if bits == 8 else np.uint16
    most = (1 << bits) - 1
    return _planes([np.clip(np.rint(plane), 0, most).astype(kind) for plane in planes])


def _planes(planes: list[Values]) -> Frame:
    y, u, v = planes
    return y, u, v
