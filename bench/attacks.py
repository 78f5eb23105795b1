"""What happens to pictures: a table of named pure functions (pixels, rng) -> pixels.

Pixels are RGB, uint8 of shape (H, W, 3); an attack may change the size or drop the colour.
Coding is done in memory: JPEG and WebP by OpenCV, with libjpeg's default of 4:2:0 chroma, and AVIF
by libvips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pyvips
from numpy.typing import NDArray

__all__ = ["ATTACKS", "Attack", "Change", "apply", "jpeg"]

Picture = NDArray[np.uint8]
Change = Callable[..., Picture]  # of (pixels, rng), and of the other pictures

_AVIF_EFFORT = 2  # of 9; a slower search spends no fewer bits here and takes ten times as long


@dataclass(frozen=True, slots=True)
class Attack:
    """One row of the table.

    Parameters
    ----------
    name : str
    change : function of (pixels, rng, *others)
        Pure: it returns a new array, and all its chance comes from `rng`.
    target : float or None
        Share of marks that must be found after it; None where nothing is promised.
    about : str
        Its parameter, with range and unit.
    others : int
        How many further pictures it takes.
    others_marked : bool
        Whether those carry marks of their own, which must be found as well.
    """

    name: str
    change: Change
    target: float | None
    about: str
    others: int = 0
    others_marked: bool = False


def _rounded(values: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _decoded(code: NDArray[np.uint8]) -> Picture:
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR_RGB), np.uint8)


def _coded(ending: str, parameters: list[int]) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        done, code = cv2.imencode(ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters)
        assert done, f"OpenCV was built without {ending}"
        return _decoded(np.asarray(code, np.uint8))

    return change


def jpeg(quality: int) -> Change:
    """Return the attack of libjpeg at a quality of 1–100."""
    return _coded(
        ".jpg",
        [
            *(cv2.IMWRITE_JPEG_QUALITY, quality),
            *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
        ],
    )


def _webp(quality: int) -> Change:
    return _coded(".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])


def _avif(quality: int) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation="srgb")
        code = image.heifsave_buffer(Q=quality, compression="av1", effort=_AVIF_EFFORT)
        return np.ascontiguousarray(pyvips.Image.new_from_buffer(code, "").numpy()[..., :3])

    return change


def _resize(short: int) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = pixels.shape[:2]
        scale = short / min(height, width)
        size = (round(width * scale), round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)

    return change


def _scaled(factor: float, about: float) -> Change:
    return lambda pixels, _: _rounded((pixels.astype(np.float32) - about) * factor + about)


def _gamma(exponent: float) -> Change:
    table = _rounded(255 * (np.arange(256) / 255) ** exponent)
    return lambda pixels, _: table[pixels]


def _hsv(*, turn: float = 0.0, saturation: float = 1.0) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        hsv = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + turn) % 360
        hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
        return _rounded(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255)

    return change


def _none(pixels: Picture, _: np.random.Generator) -> Picture:
    return pixels.copy()


def _mirrored(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.ascontiguousarray(pixels[:, ::-1])


def _grey(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _blur(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 2.0), np.uint8)


def _median(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.asarray(cv2.medianBlur(pixels, 5), np.uint8)


def _noise(pixels: Picture, rng: np.random.Generator) -> Picture:
    return _rounded(pixels + 10 * rng.standard_normal(pixels.shape, np.float32))


def _sharpen(pixels: Picture, _: np.random.Generator) -> Picture:
    wide = pixels.astype(np.float32)
    return _rounded(2 * wide - cv2.GaussianBlur(wide, (0, 0), 1.0))


def _posterise(pixels: Picture, _: np.random.Generator) -> Picture:
    return np.asarray((pixels >> 4) * np.uint8(17))


def _small_jpeg(pixels: Picture, rng: np.random.Generator) -> Picture:
    return jpeg(50)(_resize(256)(pixels, rng), rng)


_TABLE = (
    Attack("none", _none, 0.99, "the marked picture itself"),
    Attack("mirrored", _mirrored, 0.99, "left and right exchanged"),
    Attack("grey", _grey, 0.99, "luma of BT.601, one channel"),
    Attack("resize 256", _resize(256), 0.99, "short side, pixels; area average down"),
    Attack("jpeg 75", jpeg(75), 0.99, "libjpeg quality 1–100, 4:2:0"),
    Attack("jpeg 50", jpeg(50), 0.99, "libjpeg quality 1–100, 4:2:0"),
    Attack("brightness x0.5", _scaled(0.5, 0), 0.99, "factor on code values"),
    Attack("brightness x1.5", _scaled(1.5, 0), 0.99, "factor on code values"),
    Attack("contrast x0.5", _scaled(0.5, 128), 0.99, "factor about 128"),
    Attack("contrast x1.5", _scaled(1.5, 128), 0.99, "factor about 128"),
    Attack("gamma 0.7", _gamma(0.7), 0.99, "exponent on code values over 255"),
    Attack("gamma 1.4", _gamma(1.4), 0.99, "exponent on code values over 255"),
    Attack("hue +30", _hsv(turn=30), 0.99, "degrees, in HSV"),
    Attack("saturation x0.5", _hsv(saturation=0.5), 0.99, "factor, in HSV"),
    Attack("saturation x1.5", _hsv(saturation=1.5), 0.99, "factor, in HSV"),
    Attack("blur 2", _blur, 0.97, "Gaussian, standard deviation in pixels"),
    Attack("median 5", _median, 0.97, "side of the window, pixels"),
    Attack("noise 10", _noise, 0.97, "Gaussian, each channel, standard deviation"),
    Attack("jpeg 25", jpeg(25), 0.97, "libjpeg quality 1–100, 4:2:0"),
    Attack("webp 75", _webp(75), 0.97, "libwebp quality 0–100"),
    Attack("avif 40", _avif(40), 0.97, f"libvips Q 1–100, AV1, effort {_AVIF_EFFORT}"),
    Attack("sharpen", _sharpen, 0.97, "unsharp mask, amount 1, sigma 1 pixel"),
    Attack("webp 40", _webp(40), 0.93, "libwebp quality 0–100"),
    Attack("resize 128", _resize(128), 0.90, "short side, pixels; area average down"),
    Attack("posterise 4", _posterise, 0.80, "bits kept of each channel"),
    Attack("jpeg 10", jpeg(10), 0.60, "libjpeg quality 1–100, 4:2:0"),
    Attack("resize 256 jpeg 50", _small_jpeg, 0.55, "one after the other"),
)

ATTACKS = {attack.name: attack for attack in _TABLE}


def apply(name: str, pixels: Picture, rng: np.random.Generator) -> Picture:
    """Return what an attack makes of a picture.

    Raises
    ------
    KeyError
        If the table has no attack of this name.
    """
    return ATTACKS[name].change(pixels, rng)
