"""Intel Open Image Denoise, the network that renderers clean their frames with.

Its weights are inside the library.  Pictures are given to it as they are: colour alone, coded as
sRGB, of 8 bits (parameters ``hdr`` false and ``srgb`` true of its filter ``RT``).

A. T. Áfra, "Intel Open Image Denoise", 2.5; github RenderKit/oidn, ``README.md``, "RT".
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["denoised", "why_not"]


def why_not() -> str | None:
    """Return why it cannot be run here, or None if it can."""
    if importlib.util.find_spec("pyoidn") is None:
        return "pyoidn is not installed (pip install pyoidn)"
    return _tried()


@cache
def _tried() -> str | None:
    """Load the library in a process of its own.

    Its threads do not survive a fork: a process that was forked from one with a device waits for
    them for ever.
    """
    words = [sys.executable, "-c", f"from {__name__} import _device; _device()"]
    here = str(Path(__file__).parent.parent.parent)
    tried = subprocess.run(words, capture_output=True, text=True, check=False, cwd=here)
    if tried.returncode == 0:
        return None
    why = tried.stderr.strip().splitlines() or [f"status {tried.returncode}"]
    return f"pyoidn does not load ({why[-1]})"


def denoised(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture without what the network takes for noise.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
        RGB.

    Raises
    ------
    RuntimeError
        If the library reports an error.
    """
    library, device = importlib.import_module("pyoidn"), _device()
    colour = pixels.astype(np.float32) / np.float32(255)
    result = np.zeros_like(colour)
    with library.Filter(device, library.OIDN_FILTER_TYPE_RT) as work:
        work.set_image(library.OIDN_IMAGE_COLOR, colour, library.OIDN_FORMAT_FLOAT3)
        work.set_image(library.OIDN_IMAGE_OUTPUT, result, library.OIDN_FORMAT_FLOAT3)
        work.set_bool("hdr", False)
        work.set_bool("srgb", True)
        work.set_quality(library.OIDN_QUALITY_HIGH)
        work.commit()
        work.execute()
    _raise(device)
    return np.clip(np.rint(result * np.float32(255)), 0, 255).astype(np.uint8)


@cache
def _device() -> Any:
    library = importlib.import_module("pyoidn")
    device = library.Device(library.OIDN_DEVICE_TYPE_CPU)
    device.set_int("numThreads", 1)  # the benchmark runs processes side by side
    device.set_bool("setAffinity", False)
    device.commit()
    _raise(device)
    return device


def _raise(device: Any) -> None:
    if error := device.get_error():
        raise RuntimeError(f"Open Image Denoise: {error}")
