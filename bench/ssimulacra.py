"""SSIMULACRA2 of a still, where its package is installed: 100 is "the same", 90 hardly seen.

J. Sneyers, "SSIMULACRA 2", Cloudinary, 2022.  https://github.com/cloudinary/ssimulacra2
The package is a translation of it into NumPy: ``pip install ssimulacra2``.
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ssimulacra2", "why_not"]


def why_not() -> str | None:
    """Return why it cannot be measured here, or None if it can."""
    for package in ("ssimulacra2", "PIL"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed (pip install ssimulacra2)"
    return None


def ssimulacra2(reference: NDArray[np.uint8], test: NDArray[np.uint8]) -> float:
    """Return the score of a picture against its original.

    Parameters
    ----------
    reference, test : ndarray of uint8, shape (H, W, 3)
        RGB, sRGB coded.

    Returns
    -------
    float
        At most 100; under 0 for pictures that have little to do with each other.
    """
    package = importlib.import_module("ssimulacra2")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("reference.png", "test.png")]
        for path, pixels in zip(paths, (reference, test), strict=True):
            _, coded = cv2.imencode(".png", pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            path.write_bytes(coded.tobytes())
        return float(package.compute_ssimulacra2(*map(str, paths)))
