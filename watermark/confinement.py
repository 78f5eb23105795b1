"""What a process that decodes files from strangers takes away from itself."""

from __future__ import annotations

import resource

__all__ = ["confine"]


def confine(memory: int) -> None:
    """Lock this process in, once everything that it needs is loaded.

    It can open no other file or socket, write no file and leave no core.

    Parameters
    ----------
    memory : int
        Bytes of data that it may have.
    """
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_DATA", memory),
        # Descriptors are given out from the lowest: with those in use, none is left.
        ("RLIMIT_NOFILE", 0),
    ):
        number = getattr(resource, name, None)
        if number is not None:
            resource.setrlimit(number, (value, value))
