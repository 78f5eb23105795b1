"""Processes that hold secrets show their memory to nobody else of the same account."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["hide_memory"]

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def hide_memory() -> None:
    """Write no core file, and let no other process but root's read this one's memory.

    Only Linux can.  It holds until another program is started in place of this one, so each
    process says it for itself.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
