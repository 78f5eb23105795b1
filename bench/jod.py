"""Visibility as ColorVideoVDP predicts it, where its package is installed.

Its unit is the JOD: 10 is "the same", and a loss of 0.1 is far below what people notice side by
side.  The package is no dependency of this project: ``pip install cvvdp``.

R. K. Mantiuk et al., "ColorVideoVDP", 2024.  DOI 10.1145/3658144
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["jod", "loss_by_cell", "why_not"]


@cache
def why_not() -> str | None:
    """Return why visibility cannot be measured here, or None if it can."""
    for package in ("torch", "pycvvdp"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed (pip install cvvdp)"
    try:
        _metric()
    except (ImportError, OSError) as error:
        return f"ColorVideoVDP does not load ({error})"
    return None


def jod(reference: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """Return the JOD of a picture against its original, on a 4K monitor at normal distance.

    Parameters
    ----------
    reference, image : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB coded.
    """
    loss = _metric().predict(image, reference, dim_order="HWC")
    return float(loss[0])


def loss_by_cell(
    reference: NDArray[np.uint8],
    added: NDArray[np.float32],
    cells: tuple[NDArray[np.integer], NDArray[np.integer]],
    shape: tuple[int, int],
) -> tuple[float, NDArray[np.float64]]:
    """Return the loss of a marked picture, and how it grows with the mark's strength in each cell.

    Parameters
    ----------
    reference : ndarray of uint8, shape (H, W, 3)
    added : ndarray of float32, shape (H, W)
        What is added to R, G and B, code values.
    cells : pair of ndarray of int, shapes (H,) and (W,)
        The cell's row of each row, and its column of each column.
    shape : tuple of int
        Number of rows and columns of cells.

    Returns
    -------
    float
        10 less the JOD.
    ndarray of float64, of `shape`
        Derivative of the loss with respect to a factor on the mark in each cell, at 1.
    """
    import torch  # noqa: PLC0415

    factors = torch.ones(shape, requires_grad=True)
    rows, columns = (torch.as_tensor(index) for index in cells)
    host = torch.as_tensor(reference.astype(np.float32) / 255)
    mark = torch.as_tensor(added / np.float32(255))
    marked = host + (factors[rows][:, columns] * mark)[..., None]
    value = _metric().predict(marked.clamp(0, 1), host, dim_order="HWC")[0]
    value.backward()
    assert factors.grad is not None
    return 10 - float(value.detach()), -factors.grad.numpy().astype(np.float64)


@cache
def _metric() -> Any:
    if importlib.util.find_spec("torchvision") is None:
        _stand_in_for_torchvision()
    import torch  # noqa: PLC0415

    # By name, since it has no types and is seldom there.
    package = importlib.import_module("pycvvdp")
    return package.cvvdp(display_name="standard_4k", device=torch.device("cpu"), quiet=True)


def _stand_in_for_torchvision() -> None:
    """Give ColorVideoVDP the one Gaussian blur it wants from a large package."""
    from torch import Tensor, arange, exp, outer  # noqa: PLC0415
    from torch.nn import functional  # noqa: PLC0415

    def line(size: int, sigma: float) -> Tensor:
        places = arange(size) - (size - 1) / 2
        weights = exp(-places * places / (2 * sigma * sigma))
        return weights / weights.sum()

    class GaussianBlur:
        def __init__(self, kernel_size: Any, sigma: Any) -> None:
            self.size = _pair(kernel_size)
            self.sigma = _pair(sigma)

        def __call__(self, image: Tensor) -> Tensor:
            rows, columns = line(self.size[1], self.sigma[1]), line(self.size[0], self.sigma[0])
            kernel = outer(rows, columns).to(image)
            edges = (self.size[0] // 2,) * 2 + (self.size[1] // 2,) * 2
            planes = image.reshape(-1, 1, *image.shape[-2:])
            padded = functional.pad(planes, edges, mode="reflect")
            return functional.conv2d(padded, kernel[None, None]).reshape(image.shape)

        forward = __call__

    transforms = _module("torchvision.transforms", GaussianBlur=GaussianBlur)
    _module("torchvision.transforms.functional")
    _module("torchvision.ops", MLP=object)
    _module("torchvision", transforms=transforms)
    # Its learned metrics, which are not used, want more.
    unused = {"cvvdp_ml_saliency": object, "cvvdp_ml_transformer": object}
    _module("pycvvdp.cvvdp_ml_metric", **unused)


def _pair(value: Any) -> tuple[Any, Any]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__path__ = []
    vars(module).update(members)
    sys.modules[name] = module
    return module
