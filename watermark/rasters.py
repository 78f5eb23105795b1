"""Luma planes of what a decoder gives, whatever its pixel format; animated WebP.

Used by `watermark.decoding` alone, in its own process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pictures", "RefusedError", "header", "is_webp", "luma_plane", "turn"]

_BT709 = np.array([0.2126, 0.7152, 0.0722], np.float32)  # as in `watermark.frame`


class RefusedError(Exception):
    """A film that is not read, with the kind of error and what to say."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


def is_webp(start: bytes) -> bool:
    """Say whether a file that starts so is a WebP."""
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP"


class Pictures:
    """An animated WebP, which libav does not read."""

    def __init__(self, source: BinaryIO, limits: dict[str, Any]) -> None:
        import cv2  # noqa: PLC0415 - loaded by `main` already

        data = np.frombuffer(source.read(limits["memory"] // 8), np.uint8)
        width = 1 + int.from_bytes(data[24:27].tobytes(), "little")
        height = 1 + int.from_bytes(data[27:30].tobytes(), "little")
        if bytes(data[12:16]) == b"VP8X" and width * height > limits["pixels"]:
            text = f"{width} × {height} pixels are more than the limit of {limits['pixels']:,}"
            raise RefusedError("large", text)
        try:
            done, film = cv2.imdecodeanimation(data)
        except (AttributeError, cv2.error) as error:
            raise RefusedError("unreadable", "cannot be decoded as WebP") from error
        if not done or len(film.frames) < 2:
            raise RefusedError("unsupported", "this WebP is a picture and does not move")
        self.planes = [_weighted(each[..., 2::-1]) for each in film.frames]
        ends = np.cumsum(np.maximum(np.asarray(film.durations, np.float64) / 1000, 0.01))
        self.times = np.concatenate([[0.0], ends[:-1]]).tolist()
        self.damaged = 0
        described = {"bits": 16, "full": True, "transfer": "sdr", "rotation": 0, "mirrored": False}
        self.info: dict[str, Any] = {
            **described,
            "duration": float(ends[-1]),
            "rate": len(ends) / float(ends[-1]),
            "width": self.planes[0].shape[1],
            "height": self.planes[0].shape[0],
            "aspect": 1.0,
            "frames": len(ends),
            "kind": "animation",
        }

    def frames(
        self, *, fps: float, key_frames: bool, start: float, end: float | None
    ) -> Iterator[tuple[dict[str, Any], NDArray[Any]]]:
        """Yield the frames that are asked for; all are key frames."""
        following = start
        for time, plane in zip(self.times, self.planes, strict=True):
            if time >= following - 1e-6 and (end is None or time < end):
                following = start + (np.floor((time - start) * fps + 1e-6) + 1) / fps
                yield header(time, key_frames or True, plane), plane


def header(
    time: float,
    key: bool,  # noqa: FBT001
    plane: NDArray[Any],
    share: float = 1.0,
) -> dict[str, Any]:
    """Return what is said of a frame before its plane is sent."""
    size = plane.itemsize
    return {"time": time, "key": key, "share": share, "shape": plane.shape, "size": size}


def _weighted(rgb: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the luma of `watermark.frame.luma` in 16 bits."""
    scale = 257 if rgb.dtype == np.uint8 else 1
    luma = np.rint(rgb.astype(np.float32) @ _BT709 * np.float32(scale))
    return np.asarray(luma, np.uint16)


def luma_plane(frame: Any) -> tuple[NDArray[Any], int, bool]:
    """Return the luma plane of a frame, the bits of its values, and whether they are full range."""
    kind = frame.format
    if kind.is_rgb or kind.has_palette or kind.components[0].bits > 16:
        deep = not kind.has_palette and kind.components[0].bits > 8
        rgb = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
        return _weighted(rgb), 16, True
    grey = kind.name.startswith("gray") and not frame.color_range
    full = int(frame.color_range or 0) == 2 or kind.name.startswith("yuvj") or grey
    bits = kind.components[0].bits
    shift = 16 - bits if kind.name.startswith(("p01", "p21", "p41")) else 0
    packed = kind.components[0].plane != 0 or (
        len(kind.components) > 1 and kind.components[1].plane == 0
    )
    if packed:
        frame, shift = frame.reformat(format="yuv444p" if bits <= 8 else "yuv444p16le"), 0
        bits = 8 if bits <= 8 else 16
    plane = frame.planes[0]
    order = ">u2" if frame.format.name.endswith("be") else "<u2"
    samples = np.frombuffer(plane, np.uint8 if bits <= 8 else np.dtype(order))
    samples = samples.reshape(-1, plane.line_size // samples.itemsize)
    samples = samples[: frame.height, : frame.width]
    return (
        np.ascontiguousarray(samples >> shift if shift else samples).astype(
            np.uint8 if bits <= 8 else np.uint16, copy=False
        ),
        bits,
        full,
    )


def turn(frame: Any) -> tuple[int, bool]:
    """Return by how much a frame is turned clockwise to be shown, and whether mirrored then."""
    found = frame.side_data.get("DISPLAYMATRIX")
    # 3 × 3 numbers, the first four that matter in 16.16 fixed point.
    a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist() if found else (1, 0, 0, 0, 1)
    return round(np.degrees(np.arctan2(b, d)) / 90) * 90 % 360, a * d - b * c < 0
