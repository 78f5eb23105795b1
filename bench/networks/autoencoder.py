"""The autoencoder of a diffusion model: a picture as a latent-diffusion pipeline hands it back.

TAEF2, the small autoencoder distilled from that of FLUX.2: github madebyollin/taesd, ``taesd.py``
at 5cccb12.  Its weights are no part of this project; the environment variable SUKASHI_AUTOENCODER
names the folder with ``taef2_encoder.pth`` and ``taef2_decoder.pth``.

Every convolution is 3 × 3 with padding 1; layers are numbered in the files of weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLDER", "autoencoded", "decoder", "encoder", "why_not"]

FOLDER = "SUKASHI_AUTOENCODER"

_SHA256 = {
    "taef2_encoder.pth": "10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6",
    "taef2_decoder.pth": "0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5",
}
Tensor = Any  # torch's, which is seldom there
Weights = dict[str, Tensor]

_MULTIPLE = 16  # pixels: sides that the network is made for
_GROUPS = 4  # of the group norm


def why_not() -> str | None:
    """Return why it cannot be run here, or None if it can."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install torch)"
    folder = os.environ.get(FOLDER)
    if not folder:
        return f"{FOLDER} names no folder with the weights of TAEF2"
    return next(filter(None, (_wrong(Path(folder) / name) for name in _SHA256)), None)


def _wrong(path: Path) -> str | None:
    if not path.is_file():
        return f"{path} is no file"
    if hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256[path.name]:
        return f"{path} is not the published {path.name}"
    return None


def autoencoded(
    pixels: NDArray[np.uint8], rng: np.random.Generator | None = None, *, noise: float = 0.0
) -> NDArray[np.uint8]:
    """Return a picture encoded and decoded again.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        RGB.
    rng : Generator, optional
        Needed for noise only.
    noise : float
        Standard deviation of what is added to the latents, in standard deviations of these.
    """
    import torch  # noqa: PLC0415

    height, width = pixels.shape[:2]
    edges = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
    image = np.pad(pixels, edges, mode="symmetric").astype(np.float32) / np.float32(255)
    with torch.inference_mode():
        latents = encoder(torch.from_numpy(image).permute(2, 0, 1)[None])
        if noise:
            assert rng is not None, "noise needs a generator"
            drawn = torch.from_numpy(rng.standard_normal(tuple(latents.shape), np.float32))
            latents = latents + noise * latents.std() * drawn
        decoded = decoder(latents)[0].permute(1, 2, 0).numpy()
    whole = np.rint(decoded * np.float32(255)).astype(np.uint8)
    return np.ascontiguousarray(whole[:height, :width])


def encoder(image: Tensor) -> Tensor:
    """Return latents of shape (1, 32, H/8, W/8) of RGB in 0 to 1."""
    conv, weights = _layers("taef2_encoder.pth")
    x = image
    for layer in range(15):
        if f"{layer}.conv.0.weight" in weights:
            x = _block(x, layer, conv, weights)
        else:
            x = conv(x, str(layer), stride=1 if f"{layer}.bias" in weights else 2)
    return x


def decoder(latents: Tensor) -> Tensor:
    """Return RGB in 0 to 1 of latents."""
    from torch.nn.functional import interpolate  # noqa: PLC0415

    conv, weights = _layers("taef2_decoder.pth")
    x = conv((latents / 3).tanh() * 3, "1").relu()
    for layer in range(3, 20):
        if f"{layer}.conv.0.weight" in weights:
            x = _block(x, layer, conv, weights)
        elif f"{layer}.bias" in weights:
            x = conv(x, str(layer))
        elif f"{layer}.weight" in weights:
            x = conv(interpolate(x, scale_factor=2, mode="nearest"), str(layer))
    return x.clamp(0, 1)


def _block(x: Tensor, layer: int, conv: Callable[..., Tensor], weights: Weights) -> Tensor:
    from torch.nn.functional import conv2d, group_norm  # noqa: PLC0415

    if (pool := f"{layer}.pool") + ".0.weight" in weights:
        norm = weights[f"{pool}.1.weight"], weights[f"{pool}.1.bias"]
        wide = group_norm(conv2d(x, weights[f"{pool}.0.weight"]), _GROUPS, *norm).relu()
        x = x + conv2d(wide, weights[f"{pool}.3.weight"])
    y = conv(x, f"{layer}.conv.0").relu()
    y = conv(y, f"{layer}.conv.2").relu()
    return (conv(y, f"{layer}.conv.4") + x).relu()


def _layers(name: str) -> tuple[Callable[..., Tensor], Weights]:
    """Return a function that applies a convolution by its name, and the weights by theirs."""
    from torch.nn.functional import conv2d  # noqa: PLC0415

    weights = _weights(Path(os.environ[FOLDER]) / name)

    def conv(x: Tensor, layer: str, *, stride: int = 1) -> Tensor:
        bias = weights.get(f"{layer}.bias")
        return conv2d(x, weights[f"{layer}.weight"], bias, stride=stride, padding=1)

    return conv, weights


@cache
def _weights(path: Path) -> Weights:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)  # the benchmark runs processes side by side
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {name: weight.float() for name, weight in loaded.items()}
