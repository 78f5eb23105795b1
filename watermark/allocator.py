"""Keep freed memory for the next frame.

Planes of a frame are a few megabytes, which glibc gives back to the system when they are freed and
asks for again, zeroed and page by page, for the next one; on 1080p frames that cost as much time as
the mask.  A program that works on many frames says once that it wants to keep them.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 256 << 20  # bytes at the top of the heap that are not given back
_MAPPED = 32 << 20  # bytes: larger blocks are still mapped one by one; glibc allows no more


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory, and say whether it will (only glibc does)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MAPPED)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
