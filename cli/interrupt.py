"""Ctrl-C that is not lost.

Python tells of the signal by an exception in whatever runs at that moment, and where C has called
back into Python that exception goes no further.  So it is noted as well, and asked for between
files and at the end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["heeded", "interrupted", "stop_if_interrupted"]

_noted = threading.Event()


@contextmanager
def heeded() -> Iterator[None]:
    """Note every Ctrl-C inside the block, beside raising KeyboardInterrupt as usual."""
    _noted.clear()
    ours = threading.current_thread() is threading.main_thread()
    # Whoever started this process may have it ignore Ctrl-C, as shells do in the background.
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted() -> bool:
    """Tell whether Ctrl-C was pressed in the present or the last `heeded` block."""
    return _noted.is_set()


def stop_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed and something swallowed it."""
    if interrupted():
        raise KeyboardInterrupt


def _note(_: int, __: FrameType | None) -> None:
    _noted.set()
    raise KeyboardInterrupt
