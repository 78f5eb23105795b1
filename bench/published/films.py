"""The 36 attacks on films that VideoSeal is evaluated with (arXiv:2412.09492).

The list is `get_validation_augs(is_video=True)` in ``videoseal/augmentation/__init__.py`` of
https://github.com/facebookresearch/videoseal, commit 8ae4343c8d13.  Encoding and decoding follow
``src/omnisealbench/attacks/video.py`` of https://github.com/facebookresearch/omnisealbench, commit
6b6bd06794f1, where VideoSeal's class lives on: PyAV, MP4 in memory, 24 frames a second, the
encoder's own preset, and no option but the CRF; VP9 gets a CRF of −1, which leaves it to libvpx.

Frames are RGB, uint8 of shape (T, H, W, 3), the first 72 of a film.  What is drawn by chance is
drawn once for all frames.  Encoders of 4:2:0 want even sides: an odd last row or column is cut off.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from bench.attacks import Change, Picture
from bench.published.row import GROUPS
from bench.published.torchvision import hue_turned, saturated
from bench.published.videoseal import ROWS as PICTURES
from bench.published.videoseal import then_crop_and_darken
from bench.video_media import Coding, Footage, Frame

__all__ = [
    "FRAMES",
    "LOSSLESS",
    "VIDEO",
    "Frames",
    "VideoPublished",
    "apply",
    "coded",
    "footage_of",
    "per_frame",
    "rgb_of",
]

Frames = NDArray[np.uint8]
FrameChange = Callable[[Frames, np.random.Generator], Frames]

FRAMES = 24 * 3  # num_frames in videoseal/evals/full.py
LOSSLESS = Coding("libx264", {"qp": "0"})  # for detectors that read files
_RATE = 24
_LIST = "facebookresearch/videoseal, videoseal/augmentation/"
_CODECS = "facebookresearch/omnisealbench, src/omnisealbench/attacks/video.py"
_CRFS = (23, 30, 40, 50)
_ONE_THREAD = {"libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"}}


@dataclass(frozen=True, slots=True)
class VideoPublished:
    """One row of the list.

    Parameters
    ----------
    name : str
    change : function of (frames, rng)
        Pure; frames of shape (T, H, W, 3), uint8, in and out.
    group : str
        As of `bench.published.row`, or ``codec``.
    kind : str
        Rows of one kind lie on one curve.
    strength : float
        The parameter, as published.
    about : str
        The parameter, with its unit.
    source : str
    """

    name: str
    change: FrameChange
    group: str
    kind: str
    strength: float
    about: str
    source: str

    def __post_init__(self) -> None:
        if self.group not in {*GROUPS, "codec"}:
            raise ValueError(f"{self.group} is no group of attacks")


def rgb_of(footage: Footage, count: int = FRAMES) -> Frames:
    """Return the first frames of a film in RGB, as libswscale makes them from 8 bits."""
    return np.stack(
        [_frame(planes).to_ndarray(format="rgb24") for planes in footage.frames[:count]]
    )


def footage_of(frames: Frames, rate: Fraction = Fraction(_RATE)) -> Footage:
    """Return RGB frames as planes in 4:2:0, of even sides."""
    return Footage(tuple(_planes(each) for each in _even(frames)), rate)


def _even(frames: Frames) -> Frames:
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    return np.ascontiguousarray(frames[:, :height, :width])


def _frame(planes: Frame) -> Any:
    height, width = planes[0].shape
    return av.VideoFrame.from_ndarray(
        np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width),
        format="yuv420p",
    )


def _planes(pixels: NDArray[np.uint8]) -> Frame:
    height, width = pixels.shape[:2]
    flat = av.VideoFrame.from_ndarray(pixels, format="rgb24").to_ndarray(format="yuv420p").ravel()
    luma, chroma = height * width, height * width // 4
    halves = height // 2, width // 2
    u, v = (flat[luma + at * chroma :][:chroma].reshape(halves) for at in (0, 1))
    return flat[:luma].reshape(height, width), u, v


def coded(codec: str, crf: int) -> FrameChange:
    """Return the attack of encoding into an MP4 in memory and decoding it again.

    Parameters
    ----------
    codec : str
        libav's name of the encoder; ``libx264rgb`` keeps RGB, the others get 4:2:0.
    crf : int
    """

    def change(frames: Frames, _: np.random.Generator) -> Frames:
        file = io.BytesIO()
        with av.open(file, "w", format="mp4") as container:
            stream: Any = container.add_stream(codec, rate=_RATE)
            even = frames if codec == "libx264rgb" else _even(frames)
            stream.height, stream.width = even.shape[1:3]
            stream.pix_fmt = "rgb24" if codec == "libx264rgb" else "yuv420p"
            stream.thread_count = 1
            stream.options = {"crf": str(crf)} | _ONE_THREAD.get(codec, {})
            for pixels in even:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode())
        file.seek(0)
        with av.open(file, "r") as container:
            container.streams.video[0].thread_count = 1
            decoded = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
        return np.stack(decoded)

    return change


def per_frame(change: Change) -> FrameChange:
    """Return an attack on pictures as one on frames, with the same chance in each of them."""

    def changed(frames: Frames, rng: np.random.Generator) -> Frames:
        seed = int(rng.integers(1 << 62))
        return np.stack([change(each, np.random.default_rng(seed)) for each in frames])

    return changed


def _then_crop_and_darken(first: FrameChange) -> FrameChange:
    after = per_frame(then_crop_and_darken(lambda pixels, _: pixels))
    return lambda frames, rng: after(first(frames, rng), rng)


def _pictures(kind: str, strengths: Sequence[float]) -> tuple[VideoPublished, ...]:
    """Return rows of the list of pictures, some of which have strengths of their own for films."""
    mine = {row.strength: row for row in PICTURES if row.kind == kind}
    return tuple(
        VideoPublished(
            f"videoseal film {row.attack.name.removeprefix('videoseal ')}",
            per_frame(row.attack.change),
            row.group,
            kind,
            value,
            row.attack.about,
            row.source,
        )
        for value, row in ((value, mine[value]) for value in strengths)
    )


def _encoded(kind: str, codec: str, crfs: Sequence[int], about: str) -> tuple[VideoPublished, ...]:
    return tuple(
        VideoPublished(
            f"videoseal film {kind} {crf}", coded(codec, crf), "codec", kind, crf, about, _CODECS
        )
        for crf in crfs
    )


def _saturated(pixels: Picture, _: np.random.Generator, *, factor: float) -> Picture:
    return saturated(pixels, factor)


def _colour(kind: str, change: Change, value: float, about: str) -> VideoPublished:
    return VideoPublished(
        f"videoseal film {kind} {value:g}",
        per_frame(change),
        "colour",
        kind,
        value,
        about,
        f"{_LIST}valuemetric.py",
    )


_TABLE = (
    *_pictures("identity", (-1,)),
    *_pictures("flip", (-1,)),
    *_pictures("rotation", (10, 90)),
    *_pictures("resize", (0.55, 0.71)),
    *_pictures("crop", (0.55, 0.71)),
    *_pictures("perspective", (0.5,)),
    *_pictures("brightness", (0.5, 1.5)),
    *_pictures("contrast", (0.5, 1.5)),
    *(
        _colour("saturation", partial(_saturated, factor=factor), factor, "factor about grey")
        for factor in (0.5, 1.5)
    ),
    _colour("hue", lambda pixels, _: hue_turned(pixels, 0.25), 0.25, "share of the circle, in HSV"),
    *_pictures("grey", (-1,)),
    *_pictures("jpeg", (40,)),
    *_pictures("blur", (9,)),
    *_encoded("h264", "libx264", _CRFS, "CRF 0–51"),
    *_encoded("h264 rgb", "libx264rgb", _CRFS, "CRF 0–51, RGB"),
    *_encoded("h265", "libx265", _CRFS, "CRF 0–51"),
    *_encoded("vp9", "libvpx-vp9", (-1,), "quality left to libvpx"),
    *(
        VideoPublished(
            f"videoseal film h264 crop dark {crf}",
            _then_crop_and_darken(coded("libx264", crf)),
            "combined",
            "h264 crop dark",
            crf,
            "CRF 0–51, then 0.71 of each side anywhere, then code values × 0.5",
            f"{_LIST}sequential.py",
        )
        for crf in _CRFS
    ),
)

VIDEO = {row.name: row for row in _TABLE}


def apply(name: str, frames: Frames, rng: np.random.Generator) -> Frames:
    """Return what an attack makes of the first 72 frames of a film.

    Raises
    ------
    KeyError
        If the table has no attack of this name.
    """
    return VIDEO[name].change(frames[:FRAMES], rng)
