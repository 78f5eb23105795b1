"""Marked clips for tests, drawn and coded on the spot."""

from fractions import Fraction

import av
import cv2
import numpy as np

from watermark.embed import delta
from watermark.key import Key

KEY = Key(bytes(range(32)))
STRANGER = Key(bytes(range(1, 33)))
FIRST, SECOND = 0x123456789ABC, 0xB00B00000001
SIZE = (640, 360)  # width and height


def scene(seed, size=SIZE):
    """Return luma (H, W) in 0 to 255 of soft shapes with texture."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(50, 200, (6, 10)).astype(np.float32)
    luma = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 6, (size[1] // 2, size[0] // 2)).astype(np.float32)
    return np.clip(luma + cv2.resize(grain, size), 20, 235).astype(np.float32)


def shot(seed, count, number=None, *, key=KEY, size=SIZE, strength=1.0):
    """Yield luma planes of a scene with a little noise, marked or not."""
    rng = np.random.default_rng(seed + 1000)
    luma = scene(seed, size)
    if number is not None:
        luma = luma + delta(luma, key, number, strength=strength)
    for _ in range(count):
        yield np.clip(luma + rng.normal(0, 1, luma.shape), 0, 255).astype(np.float32)


def encode(path, planes, *, rate=8, codec="libx264", pixels="yuv420p", options=None):
    """Write luma planes as a film in limited range, and return its path."""
    options = options or {"crf": "23", "preset": "veryfast"}
    with av.open(str(path), "w") as container:
        stream = None
        for number, plane in enumerate(planes):
            height, width = plane.shape
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, pixels
            grey = np.rint(16 + plane * (219 / 255)).astype(np.uint8)
            chroma = np.full((height // 2, width), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.vstack([grey, chroma]), format="yuv420p")
            if pixels != "yuv420p":
                frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
