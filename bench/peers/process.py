"""A peer's worker as seen from here: asked over pipes, given up on when late, started anew after.

Whatever goes wrong with it is a `PeerError`, and the next question finds a fresh process.
"""

from __future__ import annotations

import json
import math
import os
import select
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Child",
    "PeerCrashed",
    "PeerError",
    "PeerGarbled",
    "PeerRefused",
    "PeerTimeout",
]

Pixels = NDArray[np.uint8]

_LONGEST_HEADER = 1 << 20  # bytes
_LARGEST_REPLY = 1 << 30  # bytes of pixels
_PIECE = 1 << 20  # bytes read or written at a time
_SHOWN = 300  # bytes of what a dead process said last
_STARTS = 3  # in a row without an answer, before it is left alone


class PeerError(Exception):
    """A peer gave no answer.

    ::

        PeerError
        ├── PeerRefused   its code raised an exception; the process lives on
        ├── PeerCrashed   its process ended
        ├── PeerTimeout   it took too long
        └── PeerGarbled   what it sent is no answer
    """


class PeerRefused(PeerError):
    """The peer's own code raised an exception."""


class PeerCrashed(PeerError):
    """The peer's process ended, or could not be started."""


class PeerTimeout(PeerError):
    """The peer took longer than it may."""


class PeerGarbled(PeerError):
    """The peer sent something that is no answer to what it was asked."""


class Child:
    """A worker process that is started when it is first asked something.

    Parameters
    ----------
    command : sequence of str
        A program that speaks as `bench.peers.worker` says.
    environment : mapping of str to str, optional
        Its environment variables; by default those of this process.
    seconds : float
        How long an answer may take.
    start_seconds : float
        How long it may take to load.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        seconds: float = 300.0,
        start_seconds: float = 300.0,
    ) -> None:
        self._command = list(command)
        self._environment = environment
        self._seconds = seconds
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._owner = os.getpid()
        self._failed_starts = 0

    def ask(
        self, header: dict[str, Any], pixels: Pixels | None = None
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request and return header and bytes of its answer.

        Raises
        ------
        PeerError
            If there is no answer; only after `PeerRefused` is the process the same as before.
        """
        try:
            self._start()
            deadline = time.monotonic() + self._seconds
            data = b"" if pixels is None else np.ascontiguousarray(pixels).tobytes()
            shape = [0] if pixels is None else list(pixels.shape)
            text = json.dumps(header | {"shape": shape, "bytes": len(data)}).encode()
            self._write(struct.pack(">I", len(text)) + text + data, deadline)
            answer, content = self._answer(deadline)
        except PeerError:
            self.close()
            raise
        if not answer.get("ok"):
            raise PeerRefused(str(answer.get("error", "no reason given")))
        return answer, content

    def close(self) -> None:
        """End the process, if there is one, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, self._said):
            assert pipe is not None
            pipe.close()
        if self._owner == os.getpid():
            process.kill()
            process.wait()
        else:
            process.returncode = 0  # another process waits for it; this one need not

    def _start(self) -> None:
        if self._process is not None and self._owner != os.getpid():
            self.close()  # of the process that this one was forked from, which goes on using it
        if self._process is not None:
            return
        if self._failed_starts >= _STARTS:
            raise PeerCrashed(f"it did not start {_STARTS} times in a row; left alone")
        self._failed_starts += 1
        self._owner = os.getpid()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=self._environment,
                bufsize=0,
            )
        except OSError as error:
            self._said.close()
            raise PeerCrashed(f"it cannot be started: {error}") from error
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self._answer(time.monotonic() + self._start_seconds)
        self._failed_starts = 0

    def _answer(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        (length,) = struct.unpack(">I", self._read(4, deadline))
        if length > _LONGEST_HEADER:
            raise PeerGarbled("it sent no message")
        try:
            header = json.loads(self._read(length, deadline))
            size = int(header["bytes"])
        except (ValueError, KeyError, TypeError) as error:
            raise PeerGarbled("it sent no header") from error
        if not 0 <= size <= _LARGEST_REPLY:
            raise PeerGarbled(f"it announced {size} bytes")
        return header, self._read(size, deadline)

    def _write(self, data: bytes, deadline: float) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        pipe, rest = self._process.stdin.fileno(), memoryview(data)
        while rest:
            self._wait(pipe, select.POLLOUT, deadline)
            try:
                rest = rest[os.write(pipe, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._gone() from None

    def _read(self, count: int, deadline: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        pipe, parts = self._process.stdout.fileno(), bytearray()
        while len(parts) < count:
            self._wait(pipe, select.POLLIN, deadline)
            part = os.read(pipe, min(_PIECE, count - len(parts)))
            if not part:
                raise self._gone()
            parts += part
        return bytes(parts)

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        watched = select.poll()
        watched.register(pipe, event)
        left = deadline - time.monotonic()
        if left <= 0 or not watched.poll(math.ceil(left * 1000)):
            raise PeerTimeout("it took too long")

    def _gone(self) -> PeerCrashed:
        """Return what to say of a process that has closed its pipes."""
        assert self._process is not None
        assert self._said is not None
        try:
            status = str(self._process.wait(timeout=1))
        except subprocess.TimeoutExpired:
            status = "none, though its pipes are closed"
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - _SHOWN))
        last = self._said.read().decode(errors="replace").strip().splitlines()
        return PeerCrashed(
            f"its process ended, status {status}" + (f": {last[-1]}" if last else "")
        )
