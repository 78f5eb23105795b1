"""Films from anywhere, decoded behind a wall: the parent's side of `watermark.decoding`.

A film is decoded in a process of its own, which can open nothing, write nothing, and use only so
much memory and time.  Whatever becomes of it, killed, crashed or silent, is one error here and
leaves nothing behind.  What it sends is checked like any other input.

    with Gate(path) as gate:
        for frame in gate.frames(fps=2):
            plane = gate.info.shown(frame.plane)
"""

from __future__ import annotations

import json
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NoReturn, Self, cast

import numpy as np

from watermark.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from watermark.files import AnyPath, shown
from watermark.footage import ClipFrame, ClipInfo, Limits
from watermark.planes import PlaneFormat, Shown

__all__ = ["ClipFrame", "ClipInfo", "Gate", "Limits"]

_HEAD = 5  # bytes: a letter and the length of a header, as `watermark.decoding.HEAD`
_LONGEST_HEADER = 1 << 16  # bytes
_LARGEST_SIDE = 32768  # pixels
_ERRORS: dict[str, type[MediaError]] = {
    "unreadable": UnreadableMedia,
    "unsupported": UnsupportedMedia,
    "large": MediaTooLarge,
}


class Gate:
    """One film and the process that decodes it.

    Raises
    ------
    UnreadableMedia, UnsupportedMedia, MediaTooLarge
        From entering on, and while frames are read.
    """

    def __init__(self, path: AnyPath, *, limits: Limits | None = None) -> None:
        self._path, self._name = path, shown(path)
        self._limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._busy = False
        self.damaged = 0  # packets that could not be decoded and were passed over
        self.info: ClipInfo

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, at once."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            child.wait()

    def frames(
        self,
        *,
        fps: float = 2.0,
        key_frames: bool = False,
        start: float = 0.0,
        end: float | None = None,
    ) -> Iterator[ClipFrame]:
        """Decode the film once more.

        Parameters
        ----------
        fps : float
            Ticks a second: the frame of each is given of which most was coded anew.
        key_frames : bool
            Only those that were coded by themselves.
        start, end : float
            Seconds.
        """
        if not fps > 0:
            raise ValueError(f"frames a second are more than 0, not {fps}")
        if self._child is None or self._busy:
            self.close()
            self._start()
        child = cast("subprocess.Popen[bytes]", self._child)
        self._busy = True
        request = {"fps": fps, "key_frames": key_frames, "start": start, "end": end}
        with suppress(BrokenPipeError):  # reading tells why
            _pipe(child.stdin).write(json.dumps(request).encode() + b"\n")
        while True:
            kind, header = self._message(child)
            if kind == b"E":
                self._busy = False
                self.damaged = int(header.get("damaged", 0))
                return
            yield self._frame(child, kind, header)

    def _start(self) -> None:
        try:
            if stat.S_ISFIFO(Path(self._path).stat().st_mode):  # which could wait for ever
                raise UnreadableMedia(f"{self._name}: this is a pipe; name a film file")
            source = Path(self._path).open("rb")  # noqa: SIM115 - closed below
        except OSError as error:
            cure = "check the name and the rights"
            raise UnreadableMedia(
                f"{self._name}: cannot be opened ({error.strerror}); {cure}"
            ) from (error)
        with closing(source):
            here = str(Path(__file__).parent.parent)
            words = [sys.executable, "-B", "-P", "-m", "watermark.decoding"]
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [*words, str(source.fileno()), json.dumps(asdict(self._limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(source.fileno(),),
                bufsize=0,
                # Nothing of the parent's, secrets least of all, is given along.
                env={"PYTHONPATH": here, "PATH": "", "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # an interrupt is the parent's to handle
            )
        self._busy = False
        kind, header = self._message(self._child)
        if kind != b"I":
            self._broken()
        self.info = self._described(header)

    def _described(self, said: dict[str, Any]) -> ClipInfo:
        try:
            info = ClipInfo(
                duration=None if said["duration"] is None else max(0.0, float(said["duration"])),
                rate=float(said["rate"]),
                width=int(said["width"]),
                height=int(said["height"]),
                format=PlaneFormat(int(said["bits"]), bool(said["full"]), str(said["transfer"])),
                geometry=Shown(
                    int(said["rotation"]), bool(said["mirrored"]), float(said["aspect"])
                ),
                frames=None if said["frames"] is None else int(said["frames"]),
                kind=str(said["kind"]),
            )
            high, wide = info.shape
        except (KeyError, TypeError, ValueError, OverflowError):
            self._broken()
        if not 0 < high * wide <= 4 * self._limits.pixels or max(high, wide) > _LARGEST_SIDE:
            raise MediaTooLarge(
                f"{self._name}: {wide} × {high} pixels are too many to be looked at"
            )
        return info

    def _frame(
        self, child: subprocess.Popen[bytes], kind: bytes, header: dict[str, Any]
    ) -> ClipFrame:
        dtype = np.uint8 if self.info.format.bits <= 8 else np.dtype("<u2")
        shape = (self.info.height, self.info.width)
        time, share = header.get("time"), header.get("share")
        fits = header.get("shape") == [*shape] and header.get("size") == np.dtype(dtype).itemsize
        if kind != b"F" or not fits or not isinstance(time, float) or not np.isfinite(time):
            self._broken()
        if not isinstance(share, float) or not 0 < share <= 1:
            self._broken()
        plane = np.empty(shape, dtype)
        self._fill(child, plane.data.cast("B"))
        return ClipFrame(time, plane, bool(header.get("key")), share)

    def _message(self, child: subprocess.Popen[bytes]) -> tuple[bytes, dict[str, Any]]:
        head = bytearray(_HEAD)
        self._fill(child, memoryview(head))
        kind, length = bytes(head[:1]), int.from_bytes(head[1:], "little")
        if length > _LONGEST_HEADER:
            self._broken()
        text = bytearray(length)
        self._fill(child, memoryview(text))
        try:
            header = json.loads(text)
        except ValueError:
            self._broken()
        if not isinstance(header, dict):
            self._broken()
        if kind == b"X":
            if header.get("kind") == "memory":
                self._too_much_memory()
            error = _ERRORS.get(str(header.get("kind")), UnreadableMedia)
            raise error(f"{self._name}: {shown(str(header.get('text')))}")
        return kind, header

    def _fill(self, child: subprocess.Popen[bytes], buffer: memoryview) -> None:
        """Read until a buffer is full."""
        pipe = _pipe(child.stdout)
        left = buffer
        while left:
            ready, _, _ = select.select([pipe], [], [], self._limits.silence)
            if not ready:
                self.close()
                raise UnreadableMedia(
                    f"{self._name}: decoding came to a standstill; copy it again from its source"
                )
            count = os.readv(pipe.fileno(), [left])
            if count == 0:
                self._died(child)
            left = left[count:]

    def _died(self, child: subprocess.Popen[bytes]) -> NoReturn:
        code = child.wait()
        self.close()
        if code == -signal.SIGXCPU:
            raise MediaTooLarge(
                f"{self._name}: decoding took more than {self._limits.cpu:,} s of processor time"
            )
        if code == -signal.SIGKILL:  # what the kernel does when memory runs out
            self._too_much_memory()
        raise UnreadableMedia(
            f"{self._name}: decoding it broke down; copy it again from its source, or convert it"
        )

    def _too_much_memory(self) -> NoReturn:
        self.close()
        raise MediaTooLarge(
            f"{self._name}: decoding needs more than {self._limits.memory >> 20:,} MiB of memory"
        )

    def _broken(self) -> NoReturn:
        self.close()
        raise UnreadableMedia(f"{self._name}: decoding it gave nonsense; convert it and try again")


def _pipe(pipe: Any) -> BinaryIO:
    return cast("BinaryIO", pipe)
