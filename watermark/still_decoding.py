"""The child process that decodes still pictures for `watermark.stillgate`, one after the other.

It holds no secret, and locks itself in before the first picture comes: it can open no file or
socket, write no file, leave no core, and use only so much memory, and so much processor time a
picture.  Everything a picture may need is loaded before that, by reading one of each kind.

It talks through a socket, its standard input.  A message is a letter, the length of a JSON header,
the header, and what the header tells the length of.  ``D`` asks for a picture and brings its file;
the answer is ``P`` and its samples, or ``X`` and an error.  The child says ``R`` once, when it is
locked in.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import struct
import sys
import time
from typing import Any, BinaryIO

import numpy as np

from watermark.confinement import confine
from watermark.errors import MediaError, MediaTooLarge, UnreadableMedia, UnsupportedMedia
from watermark.frame import Pixels
from watermark.stills import Still, encode, read

__all__ = ["ERRORS", "HEAD", "main"]

HEAD = struct.Struct("<cI")
ERRORS: dict[str, type[MediaError]] = {
    "unreadable": UnreadableMedia,
    "unsupported": UnsupportedMedia,
    "large": MediaTooLarge,
}

_KINDS = ("png", "jpg", "webp", "tif", "avif")
_LOOK_UP = 10.0  # seconds after which an idle child looks whether its parent is still there
_AT_ONCE = 1 << 20  # bytes that need not wait for the parent to take them: 512 × 512 pixels of RGB
# What libvips and its decoders say when an allocation failed.
_NO_ROOM = ("out of memory", "memory allocation", "not enough memory", "insufficient memory")


def main() -> None:
    """Serve one parent: its process number and the limits are the arguments."""
    parent, limits = int(sys.argv[1]), json.loads(sys.argv[2])
    line = socket.socket(fileno=0)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _AT_ONCE)
    requests = line.makefile("rb")
    _warm_up()
    confine(limits["memory"])
    _send(line, b"R", {})
    while _waited(line, parent):
        head = requests.read(HEAD.size)
        if len(head) < HEAD.size:
            break
        header = json.loads(requests.read(HEAD.unpack(head)[1]))
        _limit_time(limits["cpu"])
        _answer(line, requests, header)
    os._exit(0)  # the decoders' threads are not waited for


def _waited(line: socket.socket, parent: int) -> bool:
    """Wait for a request; False when nobody is left who could send one."""
    while os.getppid() == parent:
        # `select`, since Linux refuses `poll` to a process that may have no descriptor.
        ready, _, _ = select.select([line], [], [], _LOOK_UP)
        if ready:
            return True
    return False


def _answer(line: socket.socket, requests: BinaryIO, header: dict[str, Any]) -> None:
    try:
        data = requests.read(header["bytes"])
        pixels = read(data, max_pixels=header["max_pixels"], name=header["name"]).shown()
        pixels = np.ascontiguousarray(pixels)
    except MediaError as error:
        kind = next(name for name, each in ERRORS.items() if isinstance(error, each))
        _send(line, b"X", {"kind": "memory" if _is_no_room(error) else kind, "text": str(error)})
    except MemoryError:
        _send(line, b"X", {"kind": "memory", "text": ""})
    else:
        _send(line, b"P", {"shape": pixels.shape, "size": pixels.itemsize}, pixels)


def _is_no_room(error: MediaError) -> bool:
    cause = str(error.__cause__).lower()
    # A file that asks for more than a decoder's own limits is another matter.
    return any(words in cause for words in _NO_ROOM) and "security limit" not in cause


def _send(
    line: socket.socket, kind: bytes, header: dict[str, Any], pixels: Pixels | None = None
) -> None:
    text = json.dumps(header).encode()
    line.sendall(HEAD.pack(kind, len(text)) + text)
    if pixels is not None:
        line.sendall(pixels.data.cast("B"))


def _warm_up() -> None:
    """Read a picture of each kind, whole and cut short, so that nothing is left to be loaded."""
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * np.uint16(16)
    for kind in _KINDS:
        pixels = grey if kind in {"png", "tif"} else (grey >> 8).astype(np.uint8)
        for each in (pixels, np.dstack([pixels] * 3)):
            data = encode(Still(each, bits=8 * each.itemsize), f"warm.{kind}")
            for part in (data, data[: len(data) * 3 // 4]):
                with contextlib.suppress(MediaError):
                    read(part)


def _limit_time(seconds: int) -> None:
    """Let the signal that ends this process come after so much more processor time."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, most))


if __name__ == "__main__":
    main()
