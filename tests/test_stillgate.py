"""The still gate gives what `stills.read` gives, and nothing a file does outlasts its own call."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import pyvips
from studio import ROOT, picture

from watermark import stillgate
from watermark.errors import MediaError, MediaTooLarge, UnreadableMedia
from watermark.still_decoding import HEAD
from watermark.stillgate import StillGate, StillLimits
from watermark.stills import Still, encode, read

COLOUR = picture(1, 120, 180)
DEEP = COLOUR.astype(np.uint16) * np.uint16(257)
IMAGE = pyvips.Image.new_from_memory(COLOUR.tobytes(), 180, 120, 3, "uchar")
TURNED = IMAGE.copy()
TURNED.set_type(pyvips.GValue.gint_type, "orientation", 6)
FILES = {
    "png": encode(Still(COLOUR), "a.png"),
    "grey png": encode(Still(COLOUR[..., 0].copy()), "a.png"),
    "deep png": encode(Still(DEEP, bits=16), "a.png"),
    "clear png": encode(Still(COLOUR, alpha=COLOUR[..., 0].copy()), "a.png"),
    "interlaced png": IMAGE.pngsave_buffer(interlace=True),
    "palette": IMAGE.pngsave_buffer(palette=True),
    "jpeg": encode(Still(COLOUR), "a.jpg"),
    "turned jpeg": TURNED.jpegsave_buffer(),
    "progressive jpeg": IMAGE.jpegsave_buffer(interlace=True),
    "webp": encode(Still(COLOUR), "a.webp"),
    "tiff": encode(Still(COLOUR), "a.tif"),
    "deep tiff": encode(Still(DEEP, bits=16), "a.tif"),
    "tiled tiff": IMAGE.tiffsave_buffer(compression="jpeg", tile=True),
    "avif": encode(Still(COLOUR), "a.avif"),
}
REFUSED = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "cut short": FILES["jpeg"][:2000],
    "header alone": FILES["png"][:33],
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF",
    "gif": IMAGE.gifsave_buffer(),
    "cmyk": IMAGE.colourspace("cmyk").jpegsave_buffer(),
    "float tiff": IMAGE.cast("float").tiffsave_buffer(),
    "pages": IMAGE.tiffsave_buffer(pyramid=True, tile=True),
    "vips": b"\xb6\xa6\xf2\x08" + bytes(200),
    "exr": b"\x76\x2f\x31\x01" + bytes(200),
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 9 +X 9\n" + bytes(400),
    "ppm": b"P6 9 9 255\n" + bytes(243),
    "jxl": b"\xff\x0a" + bytes(200),
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
}


@pytest.fixture(scope="module")
def gate():
    with StillGate(limits=StillLimits(silence=60)) as opened:
        yield opened


def outcome(step):
    """Give what a step returns or raises."""
    try:
        return step()
    except MediaError as error:
        return error


def gone(number):
    """Say whether a process has ended, within a few seconds."""
    for _ in range(100):
        status = Path(f"/proc/{number}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("kind", FILES)
def test_pictures_come_bit_for_bit(gate, kind):
    wanted = read(FILES[kind]).shown()
    pixels = gate.decode(FILES[kind])
    assert (pixels.dtype, pixels.shape) == (wanted.dtype, wanted.shape)
    assert np.array_equal(pixels, wanted)
    assert (pixels.shape[:2] == (180, 120)) == (kind == "turned jpeg")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_is_refused_in_the_same_words(gate, kind):
    wanted = outcome(lambda: read(REFUSED[kind], name="a\nb"))
    got = outcome(lambda: gate.decode(REFUSED[kind], name="a\nb"))
    assert isinstance(wanted, MediaError)
    assert (type(got), str(got)) == (type(wanted), str(wanted))
    assert gate.broken == 0


def test_a_file_is_read_by_its_name(gate, tmp_path):
    path = tmp_path / "夜.png"
    path.write_bytes(FILES["png"])
    assert np.array_equal(gate.decode(path), COLOUR)
    for place in (tmp_path, tmp_path / "none.png", Path("/dev/null")):
        wanted, got = (outcome(lambda: step(place)) for step in (read, gate.decode))  # noqa: B023
        assert (type(got), str(got)) == (type(wanted), str(wanted))


def test_the_header_is_believed_before_anything_is_decoded(gate):
    chunk = b"IHDR" + (20_000).to_bytes(4) * 2 + FILES["png"][24:29]
    bomb = FILES["png"][:12] + chunk + zlib.crc32(chunk).to_bytes(4) + FILES["png"][33:]
    started = time.monotonic()
    with pytest.raises(MediaTooLarge, match="20000 × 20000 pixels are more than the limit"):
        gate.decode(bomb)
    with pytest.raises(MediaTooLarge, match="180 × 120"):
        gate.decode(FILES["jpeg"], max_pixels=180 * 120 - 1)
    assert time.monotonic() - started < 5
    assert gate.decode(FILES["jpeg"], max_pixels=180 * 120).shape == (120, 180, 3)


def test_mutated_files_are_read_alike_and_break_nothing(gate):
    draw = random.Random(7)
    kinds = sorted(FILES)
    good = 0
    for _ in range(250):
        data = bytearray(FILES[draw.choice(kinds)])
        for _ in range(draw.choice((1, 3, 20))):
            data[draw.randrange(min(len(data), draw.choice((64, 1 << 20))))] = draw.randrange(256)
        data = bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])
        wanted, got = (
            outcome(lambda: read(data, max_pixels=10**6).shown()),  # noqa: B023
            outcome(lambda: gate.decode(data, max_pixels=10**6)),  # noqa: B023
        )
        assert type(got) is type(wanted), data[:40]
        if isinstance(got, np.ndarray):
            assert np.array_equal(got, wanted)
            good += 1
    assert good > 20
    assert gate.broken == 0


def test_the_child_is_locked_in_and_holds_nothing_of_its_parent(monkeypatch):
    monkeypatch.setenv("SUKASHI_SECRET", "0123456789abcdef")
    read_end, write_end = os.pipe()
    os.set_inheritable(read_end, True)
    try:
        with StillGate() as gate:
            own = Path(f"/proc/{gate._child.pid}")
            limits = own.joinpath("limits").read_text()
            for name in ("Max open files", "Max file size", "Max core file size"):
                (line,) = (each for each in limits.splitlines() if each.startswith(name))
                assert line[len("Max core file size") :].split()[:2] == ["0", "0"], line
            assert "SUKASHI" not in own.joinpath("environ").read_text()
            assert "SUKASHI" not in own.joinpath("cmdline").read_text()
            assert {each.name for each in (own / "fd").iterdir()} == {"0", "1", "2"}
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
def test_a_child_that_dies_costs_one_picture(number):
    said = {
        signal.SIGKILL: (MediaTooLarge, "needs more than 3,072 MiB of memory"),
        signal.SIGSEGV: (UnreadableMedia, "decoding it broke down"),
        signal.SIGXCPU: (MediaTooLarge, "more than 30 s of processor time"),
    }
    with StillGate() as gate:
        first = gate._child.pid
        os.kill(first, number)
        assert gone(first)
        error, words = said[number]
        with pytest.raises(error, match=f"^bad.png: .*{words}"):
            gate.decode(FILES["png"], name="bad.png")
        assert gate.broken == 1
        assert np.array_equal(gate.decode(FILES["png"]), COLOUR)
        second = gate._child.pid
        assert second != first
    assert gone(second)


def test_a_child_that_hangs_is_given_up():
    with StillGate(limits=StillLimits(silence=0.5)) as gate:
        os.kill(gate._child.pid, signal.SIGSTOP)
        hung = gate._child.pid
        # More than the socket takes: sending must not wait for ever either.
        for data in (FILES["png"], FILES["png"] + bytes(1 << 24)):
            with pytest.raises(UnreadableMedia, match="came to a standstill"):
                gate.decode(data)
            assert gone(hung)
            gate._connected()
            hung = gate._child.pid
            os.kill(hung, signal.SIGSTOP)


def test_a_picture_that_takes_too_much_memory_costs_itself_alone():
    large = pyvips.Image.black(6000, 6000, bands=3).pngsave_buffer(interlace=True, compression=1)
    with StillGate(limits=StillLimits(memory=160 << 20, silence=60)) as gate:
        with pytest.raises(MediaTooLarge, match="more than 160 MiB of memory"):
            gate.decode(large)
        assert np.array_equal(gate.decode(FILES["jpeg"]), read(FILES["jpeg"]).shown())


@pytest.mark.parametrize(
    "answer",
    [
        HEAD.pack(b"P", 1 << 31),
        HEAD.pack(b"P", 3) + b"abc",
        HEAD.pack(b"P", 2) + b"[]",
        *(
            HEAD.pack(kind, len(text)) + text
            for kind, header in (
                (b"P", {}),
                (b"R", {"shape": [4, 4], "size": 1}),
                (b"P", {"shape": [4, 4], "size": 8}),
                (b"P", {"shape": [4, -4], "size": 1}),
                (b"P", {"shape": [0, 4], "size": 1}),
                (b"P", {"shape": [4, 4, 4], "size": 1}),
                (b"P", {"shape": [4.0, 4], "size": 1}),
                (b"P", {"shape": [1 << 40, 1 << 40, 3], "size": 2}),
                (b"P", {"shape": [10_000, 10_001], "size": 1}),
            )
            if (text := json.dumps(header).encode())
        ),
    ],
)
def test_a_child_that_talks_nonsense_is_not_believed(answer):
    gate = StillGate()
    gate._line, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(answer)
        with pytest.raises(UnreadableMedia, match="gave nonsense"):
            gate.decode(FILES["png"])
    assert gate._line is None


def test_what_a_child_says_is_one_line():
    gate = StillGate()
    gate._line, theirs = socket.socketpair()
    text = json.dumps({"kind": "other", "text": "two\nlines \x1b[31m"}).encode()
    with theirs:
        theirs.sendall(HEAD.pack(b"X", len(text)) + text)
        with pytest.raises(UnreadableMedia) as caught:
            gate.decode(FILES["png"])
    gate.close()
    assert str(caught.value) == r"two\nlines \x1b[31m"


def test_an_interrupted_answer_is_not_taken_for_the_next(monkeypatch):
    with StillGate() as gate:
        with monkeypatch.context() as patch:

            def interrupt(*_):
                raise KeyboardInterrupt

            patch.setattr(gate, "_message", interrupt)
            with pytest.raises(KeyboardInterrupt):
                gate.decode(FILES["grey png"])
        assert np.array_equal(gate.decode(FILES["png"]), COLOUR)


def test_a_child_is_replaced_before_it_is_old(monkeypatch):
    monkeypatch.setattr(stillgate, "_FILES", 2)
    with StillGate() as gate:
        seen = []
        for _ in range(4):
            gate.decode(FILES["png"])
            seen.append(gate._child.pid)
        assert seen[0] == seen[1] != seen[2] == seen[3]
        assert gate.broken == 0


def test_the_child_ends_with_its_parent():
    code = (
        "import os, signal; from watermark.stillgate import StillGate\n"
        "gate = StillGate().__enter__(); print(gate._child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    assert gone(int(parent.stdout))


@pytest.mark.parametrize("program", ["/bin/false", "/nowhere/python"])
def test_a_child_that_cannot_start_is_no_fault_of_the_picture(monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    gate = StillGate()
    with pytest.raises(RuntimeError, match="does not start"):
        gate.decode(FILES["png"])
    gate.close()
