"""VMAF, as ffmpeg's libvmaf computes it, where the package that brings ffmpeg is installed.

100 is "the same"; studios ask for 95 of a master.  ``pip install imageio-ffmpeg``.

Z. Li et al., "Toward a practical perceptual video quality metric", Netflix, 2016.
https://github.com/Netflix/vmaf
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watermark.frame import Luma

__all__ = ["of_picture", "vmaf", "why_not"]

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]

_STILL = 3  # frames: the metric looks at motion, of which a still has none
_GREY = 128


@cache
def why_not() -> str | None:
    """Return why VMAF cannot be measured here, or None if it can."""
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return "imageio-ffmpeg is not installed (pip install imageio-ffmpeg)"
    try:
        said = subprocess.run(
            [_program(), "-v", "error", "-filters"], capture_output=True, text=True, check=True
        )
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        return f"ffmpeg does not run ({error})"
    return None if " libvmaf " in said.stdout else "this ffmpeg was built without libvmaf"


def vmaf(reference: Iterable[Planes], test: Iterable[Planes], *, rate: float = 24.0) -> list[float]:
    """Return the VMAF of each frame of a film.

    Parameters
    ----------
    reference, test : iterable of (Y, Cb, Cr)
        Of 4:2:0, uint8, limited range, and of even sides; all of one shape.
    rate : float
        Frames a second.

    Returns
    -------
    list of float
        0–100.
    """
    with tempfile.TemporaryDirectory() as folder:
        shape = _written(Path(folder, "reference"), reference)
        if _written(Path(folder, "test"), test) != shape:
            raise ValueError("the two films are not of one size")
        size = f"{shape[1]}x{shape[0]}"
        raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", f"{rate}"]
        graph = "[0][1]libvmaf=log_fmt=json:log_path=log.json"
        inputs = [*raw, "-i", "test", *raw, "-i", "reference"]
        subprocess.run(
            [_program(), "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"],
            check=True,
            cwd=folder,
        )
        told = json.loads(Path(folder, "log.json").read_text())
    return [float(frame["metrics"]["vmaf"]) for frame in told["frames"]]


def of_picture(reference: Luma, test: Luma) -> float:
    """Return the VMAF of a still, which hangs on luma alone.

    Parameters
    ----------
    reference, test : ndarray of float32, shape (H, W)
        Luma of full range, code values 0–255.
    """
    frames = [[_grey(plane)] * _STILL for plane in (reference, test)]
    return float(np.mean(vmaf(*frames)))


def _grey(plane: NDArray[Any]) -> Planes:
    """Return a luma plane as a frame of limited range; an odd row or column is left out."""
    height, width = (side // 2 * 2 for side in plane.shape)
    limited = np.rint(16 + plane[:height, :width].astype(np.float64) * (219 / 255))
    grey = np.full((height // 2, width // 2), _GREY, np.uint8)
    return np.clip(limited, 0, 255).astype(np.uint8), grey, grey


def _written(path: Path, frames: Iterable[Planes]) -> tuple[int, ...]:
    shapes: Sequence[tuple[int, ...]] = []
    with path.open("wb") as file:
        for planes in frames:
            shapes = [*shapes[:1], planes[0].shape]
            for plane in planes:
                file.write(np.ascontiguousarray(plane).tobytes())
    if not shapes or shapes[0] != shapes[-1]:
        raise ValueError("a film has frames, all of one size")
    return shapes[0]


def _program() -> str:
    return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
