"""What runs in a worker far away: it is told a secret so that only its own memory ever has it.

A worker makes a pair of keys of its own, and what it needs to know, such as a detector's key, is
sealed to the public half of it (libsodium's sealed box: X25519, XSalsa20-Poly1305).
Whatever carries it, keeps it or writes it down has nothing but a box that this worker can open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["Do", "Make", "Seat", "sealed"]

Do = Callable[[Any], Any]
Make = Callable[[bytes], Do]


def sealed(secret: bytes, public: bytes) -> bytes:
    """Return a secret for the worker with this public key alone."""
    from nacl.public import PublicKey, SealedBox  # noqa: PLC0415 - an extra

    return bytes(SealedBox(PublicKey(public)).encrypt(secret))


class Seat:
    """What runs in a worker: it makes its pair of keys, opens what is sealed, and does tasks.

    Parameters
    ----------
    make : callable
        Takes the opened set-up and returns what does a task.
    folder : str
        The working folder of whoever gives the tasks, so that relative names mean the same.
    processors : int
        That are this worker's own.
    """

    def __init__(self, make: Make, folder: str, processors: int = 1) -> None:
        from nacl.public import PrivateKey  # noqa: PLC0415 - an extra

        with suppress(OSError):  # where nodes share no files, nothing will be found anyhow
            os.chdir(folder)
        self._make, self._processors = make, processors
        self._own = PrivateKey.generate()
        self._do: Do | None = None

    def public(self) -> bytes:
        """Return the public half of this worker's pair of keys."""
        return bytes(self._own.public_key)

    def open(self, sealed: bytes) -> None:
        """Take the set-up, and get ready for tasks."""
        import resource  # noqa: PLC0415 - where there are actors, there is Unix

        import cv2  # noqa: PLC0415 - slow
        from nacl.public import SealedBox  # noqa: PLC0415

        from watermark.allocator import keep_freed_memory  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no secret on the disk
        cv2.setNumThreads(self._processors)  # others have their own
        keep_freed_memory()
        self._do = self._make(SealedBox(self._own).decrypt(sealed))

    def do(self, task: Any) -> Any:
        """Do a task."""
        assert self._do is not None
        return self._do(task)
