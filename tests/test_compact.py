"""What is kept of an observation is small, close, read by every later version, and checked."""

import base64
import json
import math
import random
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.fft import dctn

from watermark import compact
from watermark.coding import codeword
from watermark.compact import LARGEST, pack, unpack
from watermark.decide import soft_word
from watermark.detect import hypotheses, observe, observe_luma
from watermark.embed import embed
from watermark.errors import EvidenceError
from watermark.evidence import Observation
from watermark.key import Key
from watermark.profile import DEFAULT

KEY, NUMBER = Key(bytes(range(32))), 0x3F2A9C01B7DE
GOLDEN = Path(__file__).parent / "golden" / "compact.json"


def noise(height, width, seed=1, frames=1):
    """Observe what looks like a residual."""
    canvas = np.random.default_rng(seed).normal(0, frames, (height, width)).astype(np.float32)
    weight = np.full(canvas.shape, frames, np.float32)
    extent = (float(height), width - 0.25)
    return Observation(canvas, weight, extent, frames, str(DEFAULT))


def drawn():
    """Observe a small picture of whole numbers, the same on every machine."""
    rows, columns = np.mgrid[:96, :160].astype(np.int64)
    canvas = ((rows * 37 + columns * 101 + rows * columns * 7) % 61 - 30).astype(np.float32) / 8
    return Observation(canvas, np.ones_like(canvas), (96.0, 160.25), 1, str(DEFAULT))


def z_of(observation):
    """Score the mark at its own place."""
    upright, _ = hypotheses(observation, [KEY])
    return float(soft_word(upright.evidence, KEY, DEFAULT) @ codeword(NUMBER))


@pytest.fixture(scope="module")
def marked():
    """Give marked pictures with what pictures have: soft shapes, lines and grain."""
    from studio import picture

    return [embed(picture(seed, 360, 600), KEY, NUMBER) for seed in range(5)]


@pytest.mark.parametrize(
    "shape", [(512, 512), (512, 910), (910, 512), (512, 8192), (512, 16), (3, 5), (1, 1)]
)
def test_any_picture_fits_and_keeps_what_is_said_of_it(shape):
    observation = noise(*shape, frames=3)
    blob = pack(observation)
    again = unpack(blob)
    assert len(blob) <= LARGEST == 40_000
    assert again.canvas.shape == shape
    assert again.canvas.dtype == np.float32
    for name in ("extent", "frames", "profile"):
        assert getattr(again, name) == getattr(observation, name)
    assert np.array_equal(again.weight, observation.weight)


def test_the_room_is_filled_after_a_few_tries(marked, monkeypatch):
    """Each try costs as much as a good part of the rest, and the service packs every picture."""
    tries = []
    real = compact._closed
    monkeypatch.setattr(compact, "_closed", lambda *given: tries.append(1) or real(*given))
    for each in (*marked, *(cv2.resize(each, None, fx=0.5, fy=0.5) for each in marked)):
        for pixels in (each, each[:, : each.shape[0]], jpeg(each, 40)):
            tries.clear()
            assert 0.97 * LARGEST <= len(pack(observe([pixels]))) <= LARGEST
            assert len(tries) <= 3


def jpeg(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [1, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e12])
def test_its_unit_does_not_matter(scale):
    observation = noise(256, 300)
    once = unpack(pack(observation)).canvas
    scaled = unpack(pack(replace(observation, canvas=observation.canvas * np.float32(scale))))
    assert np.allclose(scaled.canvas / np.float32(scale), once, atol=1e-3 * np.abs(once).max())


def test_cosines_below_the_limit_are_near_and_those_above_are_left_out():
    observation = noise(256, 300)
    before, after = (
        dctn(each.canvas, norm="ortho") for each in (observation, unpack(pack(observation)))
    )
    far = np.hypot(np.arange(256)[:, None] / 512, np.arange(300) / 600)
    middle, above = (far > 0.06) & (far < 0.3), far > 0.401
    assert np.abs((after - before)[middle]).max() < 0.1
    assert np.abs(after[above]).max() < 1e-4


def test_nothing_stays_nothing():
    empty = Observation(*np.zeros((2, 40, 60), np.float32), (40.0, 60.0), 1, str(DEFAULT))
    ones = np.ones_like(empty.canvas)
    blob = pack(replace(empty, weight=ones))
    assert not unpack(blob).canvas.any()
    assert len(blob) < 1000


def test_loud_lines_are_kept_as_they_are():
    line = np.cos(np.arange(512)[:, None] * 0.9 + np.arange(700) * 0.6).astype(np.float32)
    observation = replace(noise(512, 700), canvas=30 * line + noise(512, 700).canvas)
    kept = unpack(pack(observation)).canvas
    assert np.vdot(kept, line) == pytest.approx(np.vdot(observation.canvas, line), rel=0.05)


def test_little_of_z_is_lost(marked):
    lost = {"nothing": [], "JPEG 50": [], "256 pixels": []}
    for pixels in marked:
        jpeg = cv2.imdecode(cv2.imencode(".jpg", pixels, [1, 50])[1], cv2.IMREAD_COLOR)
        small = cv2.resize(pixels, None, fx=0.71, fy=0.71, interpolation=cv2.INTER_AREA)
        for name, each in zip(lost, (pixels, jpeg, small), strict=True):
            seen = observe([each])
            lost[name].append(1 - z_of(unpack(pack(seen))) / z_of(seen))
    for name, values in lost.items():
        assert np.mean(values) < 0.03, (name, values)


def test_what_was_kept_adds(marked):
    seen = [observe_luma(each[..., 1].astype(np.float32), coded=True) for each in marked[:3]]
    total = sum(seen[1:], seen[0])
    kept = [unpack(pack(each)) for each in seen]
    assert z_of(sum(kept[1:], kept[0])) > 0.95 * z_of(total)


def test_what_does_not_fit_the_form_is_not_kept():
    observation = noise(40, 60)
    uneven = observation.weight.copy()
    uneven[3, 3] = 2
    with pytest.raises(EvidenceError, match="cover all of it"):
        pack(replace(observation, weight=uneven))
    with pytest.raises(EvidenceError, match="too large"):
        pack(noise(2049, 2048))


def test_the_form_of_the_first_release_is_read():
    # $ PYTHONPATH=. python tests/test_compact.py > tests/golden/compact.json
    golden = json.loads(GOLDEN.read_text())
    again = unpack(base64.b64decode(golden["blob"]))
    assert again.canvas.shape == (96, 160)
    assert (again.extent, again.frames, again.profile) == ((96.0, 160.25), 1, golden["profile"])
    rows = np.array(golden["canvas"], np.float32)
    assert np.allclose(again.canvas[::16, ::16], rows, atol=2e-4)


def test_damaged_bytes_are_refused():
    blob = pack(noise(96, 160))
    draw = random.Random(3)
    for cut in (*range(12), *(draw.randrange(len(blob)) for _ in range(40))):
        with pytest.raises(EvidenceError, match="no whole kept observation"):
            unpack(blob[:cut])
    for _ in range(200):
        bad = bytearray(blob)
        bad[draw.randrange(len(bad))] ^= 1 << draw.randrange(8)
        with pytest.raises(EvidenceError, match="no whole kept observation"):
            unpack(bytes(bad))
    with pytest.raises(EvidenceError):
        unpack(noise(40, 60).to_bytes())
    with pytest.raises(EvidenceError):
        unpack(blob + b"more")


def forged(blob, change=None, *, text=None, body=None):
    """Give a blob with another header or body and a check sum that is right."""
    magic, version, _, length = compact._HEAD.unpack_from(blob)
    rest = blob[compact._HEAD.size :]
    header = json.loads(zlib.decompress(rest[:length])) | (change or {})
    text = zlib.compress(text or json.dumps(header).encode())
    rest = text + (rest[length:] if body is None else body(header, rest[length:]))
    return compact._HEAD.pack(magic, version, zlib.crc32(rest), len(text)) + rest


WRONG = [
    *({"shape": value} for value in ([96], [96, 161], [0, 160], [1 << 30, 1 << 30], [96, 160.0])),
    *({"shape": value, "extent": value} for value in ([-96, 160], [2048, 2049], [True, True])),
    *({"extent": value} for value in ([96], [96.0, math.nan], [math.inf, 160], ["a", "b"], None)),
    *({"frames": value} for value in (0, -1, 1.5, None, 1 << 80, True)),
    *({"step": value} for value in (0, -1, math.nan, math.inf, 10**400, "x", None)),
    *({"weight": value} for value in (0, -1, math.nan, math.inf, [])),
    *({"loud": value} for value in ([], [0] * 1000, [64] * 214, None, "loud", {"a": 1})),
    *({"parts": value} for value in ([], [1, 2, 3], [0, 0], [-1, 5], [10**9, 0], None)),
    {"profile": 3},
]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: json.dumps(change)[:40])
def test_forged_headers_are_refused(change):
    with pytest.raises(EvidenceError, match="no whole kept observation"):
        unpack(forged(pack(noise(96, 160)), change))


@pytest.mark.parametrize("text", [b"[" * 8000, b"{", b"[]", b"3", b'"a"', b"1" * 5000, b" " * 9000])
def test_headers_that_are_no_table_are_refused(text):
    with pytest.raises(EvidenceError, match="no whole kept observation"):
        unpack(forged(pack(noise(96, 160)), text=text))


def test_a_body_that_would_grow_is_not_laid_out():
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = coder.compress(bytes(30 << 20)) + coder.flush()
    assert len(bomb) < LARGEST
    for parts, body in (
        ([len(bomb), 0], bomb),
        ([3, 3], b"abcdef"),
        ([0, len(bomb)], bomb),
    ):
        blob = forged(pack(noise(96, 160)), {"parts": parts}, body=lambda *_: body)  # noqa: B023
        tracemalloc.start()
        with pytest.raises(EvidenceError):
            unpack(blob)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_magnitudes_that_no_writer_gives_are_refused():
    def body(header, rest):
        coder = zlib.compressobj(9, zlib.DEFLATED, -15)
        count = len(compact._places(96, 160).flat)
        high = coder.compress(bytes([255]) * -(-count // 3)) + coder.flush()
        header["parts"] = [len(high), 0]
        return high

    blob = pack(noise(96, 160))
    made = body({}, b"")
    with pytest.raises(EvidenceError, match="magnitude"):
        unpack(forged(blob, {"parts": [len(made), 0]}, body=body))


if __name__ == "__main__":
    kept = pack(drawn())
    told = {
        "command": "PYTHONPATH=. python tests/test_compact.py > tests/golden/compact.json",
        "profile": str(DEFAULT),
        "blob": base64.b64encode(kept).decode(),
        "canvas": unpack(kept).canvas[::16, ::16].round(4).tolist(),
    }
    json.dump(told, sys.stdout, indent=1)
    sys.stdout.write("\n")
