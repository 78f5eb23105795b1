"""How many threads the libraries below may start.

The products of matrices in a mask or a search are small.  OpenBLAS would share each one out all
the same, and let its threads spin afterwards in wait of the next, on processors that decode and
encode meanwhile.  The number is read from the environment when numpy is loaded.
"""

from __future__ import annotations

import os

__all__ = ["ALONE", "one_for_algebra"]

_ALGEBRA = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

# The environment of a worker that has a processor to itself, with others beside it.
ALONE = dict.fromkeys((*_ALGEBRA, "OMP_NUM_THREADS", "VIPS_CONCURRENCY"), "1")


def one_for_algebra() -> None:
    """Let linear algebra have one thread, unless the user said otherwise.

    A program calls it before it loads numpy; afterwards it has no effect.
    """
    for name in _ALGEBRA:
        os.environ.setdefault(name, "1")
