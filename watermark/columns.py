"""All marks of a registry at once, as arrays: what a detector loads when it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from watermark.intake import MARKS

__all__ = ["Indices", "Numbers", "marks_by_work"]

Numbers = NDArray[np.uint64]
Indices = NDArray[np.int64]


def marks_by_work(connection: sa.Connection) -> tuple[Numbers, Indices]:
    """Return all mark numbers in rising order, and for each an index of its work.

    A million take little more than a second: the rows come straight from the driver, since a
    result row costs more than what is in it, and from an index that has them sorted by work.

    Returns
    -------
    numbers : ndarray of uint64, shape (M,)
    works : ndarray of int64, shape (M,)
        Equal for marks of one work, and says nothing else.
    """
    query = sa.select(MARKS.c.work_id, MARKS.c.number)
    rows = connection.execute(query.order_by(*query.selected_columns)).cursor
    assert rows is not None
    flat = np.fromiter(_numbered(iter(rows.fetchone, None)), np.int64).reshape(-1, 2)
    works, numbers = flat[np.argsort(flat[:, 1])].T
    return numbers.astype(np.uint64), works.copy()


def _numbered(rows: Iterable[tuple[str, int]]) -> Iterator[int]:
    """Yield for each row how many works came before its own, and its number."""
    index, last = -1, None
    for work_id, number in rows:
        index, last = index + (work_id != last), work_id
        yield index
        yield number
