"""Threads of ordinary priority, whatever an encoder thinks of itself."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["ordinary_threads"]

_REAL_TIME = {
    getattr(os, name) for name in ("SCHED_FIFO", "SCHED_RR") if hasattr(os, name)
}  # Linux alone has them


def ordinary_threads() -> None:
    """Take all threads of this process out of the real-time classes.

    SVT-AV1, where root starts it, puts its threads and the one that calls it at the highest
    real-time priority there is.  Processes that are begun later inherit that, and nothing else on
    the machine runs any more.
    """
    if not _REAL_TIME:
        return
    for each in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # one that ended in the meantime
            if os.sched_getscheduler(int(each.name)) in _REAL_TIME:
                os.sched_setscheduler(int(each.name), os.SCHED_OTHER, os.sched_param(0))
