"""A peer's own code, run in the peer's own environment: ``worker.py PEER WEIGHTS``.

It imports nothing of this project, and is spoken to over its standard input and output.
A message is 4 bytes (the length of a header, highest byte first), the header as JSON, and as many
bytes of pixels as ``"bytes"`` in the header says: RGB of 8 bits, by rows, of ``"shape"``.
What the peer prints goes to standard error.

Requests are ``embed`` (pixels, ``bits`` as a string of 0 and 1, ``strength``) and ``decode``
(pixels, ``length``, ``strength``, ``original``: height and width of the picture as it was marked).
Answers have ``ok``, and pixels or ``bits`` (null where the peer says there are none), or ``error``.

A strength of 1 is the peer's default. It scales the quantiser's step of those that quantise, and
both sides must know it; of networks it scales what they add.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_LONGEST_HEADER = 1 << 20


class _InvisibleWatermark:
    """ShieldMnt/invisible-watermark: ``imwatermark/watermark.py``; colours as OpenCV has them."""

    def __init__(self, method: str, scales: tuple[float, ...]) -> None:
        self.package: Any = importlib.import_module("imwatermark")
        self.method = method
        self.scales = scales

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        encoder = self.package.WatermarkEncoder()
        encoder.set_by_bits(bits)
        steps = [scale * strength for scale in self.scales]
        return encoder.encode(_flipped(rgb), self.method, scales=steps)[..., ::-1]

    def decode(self, rgb: Any, length: int, strength: float, _: tuple[int, int]) -> Any:
        decoder = self.package.WatermarkDecoder("bits", length)
        steps = [scale * strength for scale in self.scales]
        return decoder.decode(_flipped(rgb), self.method, scales=steps)


class _RivaGan:
    """The network of the same package; its weights are in the wheel."""

    def __init__(self) -> None:
        self.package: Any = importlib.import_module("imwatermark")
        self.package.WatermarkEncoder.loadModel()

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        encoder = self.package.WatermarkEncoder()
        encoder.set_by_bits(bits)
        return _scaled(rgb, encoder.encode(_flipped(rgb), "rivaGan")[..., ::-1], strength)

    def decode(self, rgb: Any, length: int, *_: Any) -> Any:
        return self.package.WatermarkDecoder("bits", length).decode(_flipped(rgb), "rivaGan")


class _BlindWatermark:
    """guofei9987/blind_watermark, brought back to the size it was marked in, as its manual says."""

    def __init__(self) -> None:
        self.package: Any = importlib.import_module("blind_watermark")
        self.cv2: Any = importlib.import_module("cv2")

    def mark(self, strength: float) -> Any:
        mark = self.package.WaterMark(password_wm=1, password_img=1)
        mark.bwm_core.d1 *= strength
        mark.bwm_core.d2 *= strength
        return mark

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        mark = self.mark(strength)
        mark.read_img(img=_flipped(rgb))
        mark.read_wm(np.array(bits, bool), mode="bit")
        return _rounded(mark.embed())[..., ::-1]

    def decode(self, rgb: Any, length: int, strength: float, original: tuple[int, int]) -> Any:
        if rgb.shape[:2] != original:
            rgb = self.cv2.resize(rgb, dsize=original[::-1])  # as their att.py resizes
        return self.mark(strength).extract(embed_img=_flipped(rgb), wm_shape=length, mode="bit")


class _WmForge:
    """RevelryAge/wmforge: its whole pipeline, with the text it carries as base64 of the bits.

    The pipeline has no parameter for its strength, so the core's quantiser steps are set.
    """

    def __init__(self) -> None:
        self.pipeline: Any = importlib.import_module("wmforge.pipeline")
        self.core: Any = importlib.import_module("wmforge.core").BlindWmVectorCore
        self.begin = self.core.__init__
        self.cv2: Any = importlib.import_module("cv2")

    def set_strength(self, strength: float) -> None:
        def begin(core: Any, *arguments: Any, **named: Any) -> None:
            self.begin(core, *arguments, **named)
            core.d1, core.d2 = core.d1 * strength, core.d2 * strength

        self.core.__init__ = begin

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        self.set_strength(strength)
        text = base64.b64encode(np.packbits(bits).tobytes()).decode()
        code = self.pipeline.embed(_flipped(rgb), text)
        return self.cv2.imdecode(np.frombuffer(code, np.uint8), self.cv2.IMREAD_COLOR)[..., ::-1]

    def decode(self, rgb: Any, length: int, strength: float, _: tuple[int, int]) -> Any:
        self.set_strength(strength)
        done, code = self.cv2.imencode(".png", _flipped(rgb))
        assert done
        text = self.pipeline.extract(code.tobytes(), prealign=True)
        try:
            carried = base64.b64decode(text or "", validate=True)
        except ValueError:
            return None
        right = len(carried) * 8 == length
        return np.unpackbits(np.frombuffer(carried, np.uint8)) if right else None


class _ClawId:
    """hawky-ai/clawid, "resize-robust" algorithm: bits alone, without the record around them."""

    def __init__(self) -> None:
        self.package: Any = importlib.import_module("clawid.algorithms.fourier_mellin")
        self.image: Any = importlib.import_module("PIL.Image")

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        step = self.package.DELTA * strength
        return np.asarray(self.package.embed_bits(self.image.fromarray(rgb), bits, delta=step))

    def decode(self, rgb: Any, length: int, strength: float, _: tuple[int, int]) -> Any:
        step = self.package.DELTA * strength
        return np.array(self.package.extract_bits(self.image.fromarray(rgb), length, delta=step))


class _TrustMark:
    """adobe/trustmark, model Q, its 100 bits without the error correction (the test is ours)."""

    def __init__(self, weights: Path) -> None:
        package: Any = importlib.import_module("trustmark")
        models = Path(package.__file__).parent / "models"
        models.mkdir(exist_ok=True)
        for file in weights.iterdir():
            shutil.copyfile(file, models / file.name)
        self.image: Any = importlib.import_module("PIL.Image")
        self.mark = package.TrustMark(
            use_ECC=False, verbose=False, device="cpu", model_type="Q", loadRemover=False
        )

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        secret = "".join(map(str, bits))
        cover = self.image.fromarray(rgb)
        return np.asarray(self.mark.encode(cover, secret, MODE="binary", WM_STRENGTH=strength))

    def decode(self, rgb: Any, *_: Any) -> Any:
        text, _, _ = self.mark.decode(self.image.fromarray(rgb), MODE="binary")
        return np.array([int(bit) for bit in text])


class _VideoSeal:
    """facebookresearch/videoseal, its TorchScript file of 256 bits: ``docs/torchscript.md``."""

    def __init__(self, weights: Path) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.model = self.torch.jit.load(str(weights / "y_256b_img.jit"), map_location="cpu").eval()

    def planes(self, rgb: Any) -> Any:
        return self.torch.from_numpy(rgb.astype(np.float32) / 255).permute(2, 0, 1)[None]

    def embed(self, rgb: Any, bits: list[int], strength: float) -> Any:
        message = self.torch.tensor([bits], dtype=self.torch.float32)
        with self.torch.no_grad():
            marked = self.model.embed(self.planes(rgb), message)[0].permute(1, 2, 0).numpy()
        return _scaled(rgb, _rounded(marked * 255), strength)

    def decode(self, rgb: Any, *_: Any) -> Any:
        with self.torch.no_grad():
            return (self.model.detect(self.planes(rgb))[0, 1:] > 0).numpy()


PEERS: dict[str, Any] = {
    "invisible-watermark dwtDct": lambda _: _InvisibleWatermark("dwtDct", (0, 36, 36)),
    "invisible-watermark dwtDctSvd": lambda _: _InvisibleWatermark("dwtDctSvd", (0, 36, 0)),
    "invisible-watermark rivaGan": lambda _: _RivaGan(),
    "blind-watermark": lambda _: _BlindWatermark(),
    "wmforge": lambda _: _WmForge(),
    "clawid": lambda _: _ClawId(),
    "trustmark": _TrustMark,
    "videoseal": _VideoSeal,
}


def _flipped(rgb: Any) -> Any:
    """Return RGB as BGR, which OpenCV's programs expect."""
    return np.ascontiguousarray(rgb[..., ::-1])


def _rounded(values: Any) -> Any:
    """Return code values as they would be stored."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _scaled(host: Any, marked: Any, strength: float) -> Any:
    """Return the host with `strength` times what was added."""
    if strength == 1:
        return marked
    return _rounded(host + strength * (marked.astype(np.float32) - host))


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """Read so many bytes, or leave: the other side has gone."""
    data = stream.read(count)
    if len(data) < count:
        sys.exit(0)
    return data


def _answered(peer: Any, header: dict[str, Any], pixels: Any) -> tuple[dict[str, Any], bytes]:
    """Return header and pixels of the answer to one request."""
    strength = float(header["strength"])
    if header["op"] == "embed":
        marked = np.ascontiguousarray(peer.embed(pixels, [*map(int, header["bits"])], strength))
        return {"ok": True, "shape": marked.shape, "dtype": str(marked.dtype)}, marked.tobytes()
    height, width = header["original"]
    bits = peer.decode(pixels, int(header["length"]), strength, (height, width))
    text = None if bits is None else "".join("1" if bit else "0" for bit in bits)
    return {"ok": True, "bits": text}, b""


def main() -> None:
    """Load the peer, say so, and answer until the other side closes."""
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # peers print
    sys.stdout = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)

    def reply(header: dict[str, Any], data: bytes = b"") -> None:
        text = json.dumps(header | {"bytes": len(data)}).encode()
        replies.write(struct.pack(">I", len(text)) + text + data)
        replies.flush()

    peer = PEERS[sys.argv[1]](Path(sys.argv[2]))
    reply({"ok": True})
    while True:
        (length,) = struct.unpack(">I", _exactly(requests, 4))
        header = json.loads(_exactly(requests, min(length, _LONGEST_HEADER)))
        data = _exactly(requests, header["bytes"])
        pixels = np.frombuffer(data, np.uint8).reshape(header["shape"]).copy()
        try:
            answer = _answered(peer, header, pixels)
        except Exception as error:  # noqa: BLE001  whatever the peer's code throws is its answer
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}, b""
        reply(*answer)


if __name__ == "__main__":
    main()
