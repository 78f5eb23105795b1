"""Pictures from anywhere, decoded behind a wall: the parent's side of `watermark.still_decoding`.

`watermark.stills.read` decodes in the process that calls it; a server that holds keys lets a
`StillGate` do it.  One child decodes picture after picture, so that none pays for the start of a
process.  It has none of the parent's memory, can open nothing and write nothing.  Whatever becomes
of it, killed, crashed or silent, costs the picture at hand, and the next one gets a new child.
What it sends is checked like any other input.

    with StillGate() as gate:
        pixels = gate.decode("frame.png")
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np

from watermark.errors import MediaError, MediaTooLarge, UnreadableMedia
from watermark.files import AnyPath, read_bytes, shown
from watermark.frame import Pixels
from watermark.still_decoding import ERRORS, HEAD
from watermark.stills import MAX_PIXELS, most_bytes

__all__ = ["StillGate", "StillLimits"]

_LONGEST_HEADER = 1 << 16  # bytes
_FILES = 2000  # decoded by one child: what a decoder leaks or hides does not last
_START = 60.0  # seconds that a child may take to start, on a machine that is busy


@dataclass(frozen=True, slots=True)
class StillLimits:
    """What decoding a picture may cost.

    Parameters
    ----------
    memory : int
        Bytes of memory of the decoding process.
    cpu : int
        Seconds of its processor time for a picture.
    silence : float
        Seconds without an answer after which it is given up.
    """

    memory: int = 3 << 30  # 100 million pixels of 16-bit RGBA take 1.7 GB
    cpu: int = 30
    silence: float = 20.0


class StillGate:
    """A process that decodes pictures, and is started anew when one has broken it.

    One call at a time.

    Parameters
    ----------
    limits : StillLimits, optional
    """

    def __init__(self, *, limits: StillLimits | None = None) -> None:
        self._limits = limits or StillLimits()
        self._child: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._decoded = 0  # files that this child was given
        self._owed = False  # whether it has not answered yet
        self.broken = 0  # children that a picture has cost so far

    def __enter__(self) -> Self:
        self._connected()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, at once; the next picture would start another."""
        child, self._child = self._child, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if child is not None:
            child.kill()
            child.wait()

    def decode(
        self,
        source: AnyPath | bytes,
        *,
        max_pixels: int = MAX_PIXELS,
        name: AnyPath | None = None,
    ) -> Pixels:
        """Return a picture as `watermark.stills.read` would, as it is shown.

        Parameters
        ----------
        source : path or bytes
            A file, or the content of one.
        max_pixels : int
            Checked against the header, before anything is decoded.
        name : path, optional
            What error messages call the picture; by default the path.

        Returns
        -------
        ndarray of shape (H, W) or (H, W, 3), uint8 or uint16

        Raises
        ------
        UnreadableMedia, UnsupportedMedia
            As `watermark.stills.read`, and where decoding broke down.
        MediaTooLarge
            If it has more than `max_pixels` pixels, or takes too much memory or time.
        """
        if isinstance(source, bytes):
            called, data = shown(name or "picture"), source
        else:
            called = shown(name or source)
            data = read_bytes(source, limit=most_bytes(max_pixels))
        if self._decoded >= _FILES:
            self.close()
        line = self._connected()
        self._decoded += 1
        try:
            return self._asked(line, data, called, max_pixels)
        except BaseException:
            # An answer that nobody waited for would be taken for that of the next picture.
            if self._line is not None and self._owed:
                self.close()
            raise

    def _asked(self, line: socket.socket, data: bytes, name: str, max_pixels: int) -> Pixels:
        self._owed = True
        request = {"bytes": len(data), "max_pixels": max_pixels, "name": name}
        text = json.dumps(request).encode()
        try:
            line.sendall(HEAD.pack(b"D", len(text)) + text)
            line.sendall(data)
        except TimeoutError:
            self._silent(name)
        except OSError:
            self._died(name)
        kind, header = self._message(name)
        if kind == b"X":
            self._owed = False
            if header.get("kind") == "memory":
                self._too_much_memory(name)
            raise ERRORS.get(str(header.get("kind")), UnreadableMedia)(
                shown(str(header.get("text")))
            )
        pixels = self._room(kind, header, name, max_pixels)
        self._fill(pixels.data.cast("B"), name)
        self._owed = False
        return pixels

    def _connected(self) -> socket.socket:
        """Return the line to a child that is ready.

        Raises
        ------
        RuntimeError
            If none can be started, which is no picture's fault.
        """
        if self._line is not None:
            return self._line
        ours, theirs = socket.socketpair()
        why = "the process that decodes pictures does not start; is there memory left for it?"
        try:
            here = str(Path(__file__).parent.parent)
            words = [sys.executable, "-B", "-P", "-m", "watermark.still_decoding"]
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [*words, str(os.getpid()), json.dumps(asdict(self._limits))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Nothing of the parent's, secrets least of all, is given along.
                env={
                    "PYTHONPATH": here,
                    "PATH": "",
                    "OPENBLAS_NUM_THREADS": "1",
                    "VIPS_CONCURRENCY": "1",
                    "VIPS_DISC_THRESHOLD": "1000g",  # in place of a file, which it may not open
                },
                start_new_session=True,  # an interrupt is the parent's to handle
            )
        except OSError as error:
            ours.close()
            raise RuntimeError(why) from error
        finally:
            theirs.close()
        self._line, self._decoded, self._owed = ours, 0, False
        ours.settimeout(_START)
        try:
            self._message("")
        except MediaError as error:
            raise RuntimeError(why) from error
        ours.settimeout(self._limits.silence)
        return ours

    def _room(self, kind: bytes, header: dict[str, Any], name: str, max_pixels: int) -> Pixels:
        """Return an empty picture of the size and type that was announced."""
        match header:
            case {"shape": [int(height), int(width), *bands], "size": 1 | 2 as size}:
                fits = min(height, width) > 0 and height * width <= max_pixels
                if kind == b"P" and fits and bands in ([], [3]):
                    return np.empty((height, width, *bands), np.uint8 if size == 1 else np.uint16)
        raise self._nonsense(name)

    def _message(self, name: str) -> tuple[bytes, dict[str, Any]]:
        head = bytearray(HEAD.size)
        self._fill(memoryview(head), name)
        kind, length = HEAD.unpack(head)
        if length > _LONGEST_HEADER:
            raise self._nonsense(name)
        text = bytearray(length)
        self._fill(memoryview(text), name)
        header = None
        with suppress(ValueError):
            header = json.loads(text)
        if not isinstance(header, dict):
            raise self._nonsense(name)
        return kind, header

    def _fill(self, left: memoryview, name: str) -> None:
        """Read until a buffer is full."""
        line = self._line
        while left and line is not None:
            try:
                count = line.recv_into(left)
            except TimeoutError:
                self._silent(name)
            except OSError:
                count = 0
            if count == 0:
                self._died(name)
            left = left[count:]

    def _silent(self, name: str) -> NoReturn:
        self._end()
        raise UnreadableMedia(
            f"{name}: decoding came to a standstill; copy it again from its source"
        )

    def _died(self, name: str) -> NoReturn:
        code = self._end(wait=1.0)  # it has closed its end: it is on its way out
        if code == -signal.SIGXCPU:
            raise MediaTooLarge(
                f"{name}: decoding took more than {self._limits.cpu:,} s of processor time"
            )
        if code == -signal.SIGKILL:  # what the kernel does when memory runs out
            self._too_much_memory(name)
        raise UnreadableMedia(
            f"{name}: decoding it broke down; copy it again from its source, or convert it"
        )

    def _nonsense(self, name: str) -> UnreadableMedia:
        self._end()
        return UnreadableMedia(f"{name}: decoding it gave nonsense; convert it and try again")

    def _too_much_memory(self, name: str) -> NoReturn:
        # What is left of a child that ran out of it is not trusted with another picture.
        self._end()
        raise MediaTooLarge(
            f"{name}: decoding needs more than {self._limits.memory >> 20:,} MiB of memory"
        )

    def _end(self, *, wait: float = 0.0) -> int | None:
        """Give the child up, and return how it had ended by itself."""
        code = None
        if self._child is not None:
            self.broken += 1
            with suppress(subprocess.TimeoutExpired):
                code = self._child.wait(wait)
        self.close()
        return code
