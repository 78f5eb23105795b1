"""Scene-linear light and film density, judged and marked as a viewer will see them.

Light is 1 at diffuse white and may lie above it or below 0.  A viewer's code values are those of
sRGB (IEC 61966-2-1), channel by channel, 0–255.  Above white a view differs from film to film:
some cut the light off, some bend it over.  Here the curve goes on as a logarithm with the slope
that sRGB has at white, so what is added up there is seen no more strongly than at white under
either kind.

A mark is a gain, the same for R, G and B: hue, the sign of negative values, and zero stay.
Light is judged in half precision, so a table of 65,536 answers does; a twentieth of a code value
is lost at most.  What is gained is light as it is stored, in its own precision.

Film density (Cineon, DPX "printing density") is a logarithm of light, so there a gain is one
number added to R, G and B.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.frame import Luma

__all__ = ["DENSITY_LIFT", "DENSITY_STEPS", "gains", "light_of_density", "seen_luma", "shown_luma"]

Light = NDArray[np.floating]

_BT709 = (0.2126, 0.7152, 0.0722)  # as in `frame`
_TOE, _TOE_SLOPE = 0.0031308, 12.92  # of sRGB, in light and in signal per light
_GAIN, _OFFSET, _POWER = 1.055, 0.055, 1 / 2.4
_WHITE_SLOPE = 255 * _GAIN * _POWER  # code values for a factor of e in light, at white and above
_BRIGHTEST = 65504.0  # the largest half float
# What the mask looks at bends over from here to there, so that no highlight counts as pure white:
# that hides no mark.
_KNEE, _CEILING = 200.0, 250.0
_MOST = 0.4  # natural logarithm of the largest gain: it is black that would ask for more

# Kodak's Cineon, 10 bit: black and white, density per code value, and the negative's gamma
# (Kennel, "Conversion of 10-bit log film data to 8-bit linear or video data", 1995).
_DENSITY_BLACK, _DENSITY_WHITE = 95.0, 685.0
_DENSITY_STEP, _NEGATIVE_GAMMA = 0.002, 0.6
_PER_STEP = np.log(10) * _DENSITY_STEP / _NEGATIVE_GAMMA  # logarithm of light to a code value
_DENSITY_ZERO = float(np.exp(_PER_STEP * (_DENSITY_BLACK - _DENSITY_WHITE)))  # white is 1
DENSITY_STEPS = 255 / 1023 / _PER_STEP  # code values 0–255 of density that a factor of e is
DENSITY_LIFT = _DENSITY_ZERO / (1 - _DENSITY_ZERO)  # light that was taken away to have black at 0


class _Tables(NamedTuple):
    """What every half float is seen as, by its 16 bits.

    Parameters
    ----------
    code : ndarray of float32, shape (65536,)
        Code values.
    rise : ndarray of float32, shape (65536,)
        Code values for a factor of e.
    slope : ndarray of float32, shape (65536,)
        Code values for a unit of light.
    """

    code: NDArray[np.float32]
    rise: NDArray[np.float32]
    slope: NDArray[np.float32]


@lru_cache(maxsize=1)
def _tables() -> _Tables:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    light = np.clip(np.nan_to_num(halves, nan=0.0, posinf=_BRIGHTEST), 0, _BRIGHTEST)
    toe = light <= _TOE
    root = np.clip(light, _TOE, 1) ** _POWER
    below = np.where(toe, light * _TOE_SLOPE, _GAIN * root - _OFFSET)
    code = 255 * below + _WHITE_SLOPE * np.log(np.maximum(light, 1))
    rise = np.where(toe, 255 * _TOE_SLOPE * light, _WHITE_SLOPE * root)
    slope = np.where(toe, 255 * _TOE_SLOPE, rise / np.maximum(light, _TOE))
    return _Tables(*(each.astype(np.float32) for each in (code, rise, slope)))


def viewed(light: Light) -> NDArray[np.float32]:
    """Return the code values that light is seen as: sRGB, going on above 255 as a logarithm.

    Parameters
    ----------
    light : ndarray
        Negative values and NaN are seen as black, infinity as the most a half float holds.

    Returns
    -------
    ndarray of float32, of the same shape
    """
    return _tables().code[_halves(light)]


def shown_luma(light: Light) -> Luma:
    """Return the luma that the mask is to look at.

    Parameters
    ----------
    light : ndarray of shape (H, W) or (H, W, 3)

    Returns
    -------
    ndarray of float32, shape (H, W)
        Code values, sRGB up to 200 and bent over above, never more than 250.
    """
    luma = _weighted(viewed(light))
    room = np.float32(_CEILING - _KNEE)
    above = luma > _KNEE
    luma[above] = _KNEE - room * np.expm1((_KNEE - luma[above]) / room)
    return luma


def seen_luma(light: Light) -> Luma:
    """Return the luma of the ordinary view: sRGB, cut off at white.

    Parameters
    ----------
    light : ndarray of shape (H, W) or (H, W, 3)

    Returns
    -------
    ndarray of float32, shape (H, W)
        Code values 0–255.
    """
    return _weighted(np.minimum(viewed(light), np.float32(255)))


def gains(light: Light, delta: Luma, *, lift: float = 0.0) -> Luma:
    """Return the natural logarithm of the gain that raises the luma seen by `delta`.

    Parameters
    ----------
    light : ndarray of shape (H, W) or (H, W, 3)
    delta : ndarray of float32, shape (H, W)
        Code values.
    lift : float
        Light that is under the gain, but not seen.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Within ±0.4; 0 where there is no light, or a value that is not finite.
    """
    tables, halves = _tables(), _halves(light)
    rise = tables.rise[halves]
    if lift:
        rise += np.float32(lift) * tables.slope[halves]
    slope = _weighted(rise)  # code values of luma for a factor of e
    sound = np.isfinite(light) if light.ndim == 2 else np.isfinite(light).all(axis=2)
    wanted = np.zeros_like(slope)
    np.divide(delta, slope, out=wanted, where=sound & (slope > np.abs(delta) * 1e-3))
    return np.clip(wanted, -_MOST, _MOST)


def light_of_density(codes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the light of film density.

    Parameters
    ----------
    codes : ndarray
        Code values 0–255, which are 0–1023 in Cineon's 10 bits.

    Returns
    -------
    ndarray of float32, of the same shape
        1 at Cineon's white (685), 0 at its black (95), a little negative under it.
    """
    ten = np.asarray(codes, np.float32) * np.float32(1023 / 255)
    light = np.exp(np.float32(_PER_STEP) * (ten - np.float32(_DENSITY_WHITE)))
    return np.asarray((light - _DENSITY_ZERO) / (1 - _DENSITY_ZERO), np.float32)


def _halves(light: Light) -> NDArray[np.uint16]:
    """Return the bits of light in half precision."""
    with np.errstate(over="ignore"):  # to infinity, which is as bright as it gets
        return np.ascontiguousarray(light, np.float16).view(np.uint16)


def _weighted(channels: NDArray[np.float32]) -> Luma:
    if channels.ndim == 2:
        return channels
    return np.asarray(cv2.transform(channels, np.array([_BT709], np.float32)), np.float32)
