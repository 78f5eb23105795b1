"""What comes into a registry: rows are checked against it, missing names drawn, the new written.

One added work and a million imported ones take the same way, in batches that memory can hold.
The caller holds the write lock, so nothing changes between the check and the writing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa

from watermark.database import instants, now
from watermark.errors import InvalidWork, UnknownWork
from watermark.rows import Row
from watermark.work import MARK_BITS, Mark, Work, format_mark, write_labels

__all__ = [
    "DETAILS",
    "MARKINGS",
    "MARKS",
    "REVISION",
    "WORKS",
    "Imported",
    "details_of",
    "store",
    "store_all",
    "to_mark",
    "to_work",
]

DETAILS = ("title", "rights_holder", "contact", "url", "training", "terms", "labels")
WORKS = sa.table(
    "works",
    *(sa.column(name, sa.Text) for name in ("id", *DETAILS, "created_at", "updated_at")),
)
MARKS = sa.table(
    "marks",
    sa.column("number", sa.BigInteger),
    *(sa.column(name, sa.Text) for name in ("work_id", "labels", "created_at")),
)
MARKINGS = sa.table(
    "markings",
    sa.column("mark_number", sa.BigInteger),
    *(sa.column(name, sa.Text) for name in ("fingerprint", "profile", "first_at")),
)
REVISION = sa.table("revision", sa.column("identity", sa.Text), sa.column("number", sa.BigInteger))
_BATCH = 10_000  # rows checked and written together
_CHUNK = 1000  # values in one IN (…), far below what either database allows
_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz" * 8  # Crockford's base 32, one entry a byte


def to_work(row: Any) -> Work:
    """Make a `Work` of a result row with the columns of `WORKS`, in their order."""
    texts = dict(zip(WORKS.c.keys(), row, strict=True))
    return Work(**texts | {"labels": json.loads(texts["labels"])})


def to_mark(row: Any) -> Mark:
    """Make a `Mark` of a result row with the columns of `MARKS`, in their order."""
    number, work_id, labels, created_at = row
    return Mark(number, work_id, json.loads(labels), created_at)


def details_of(row: Row) -> tuple[str, ...]:
    """Return the values of the columns `DETAILS` that an import row stands for."""
    return (
        row.title,
        row.rights_holder,
        row.contact,
        row.url,
        row.training,
        row.terms,
        write_labels(row.labels),
    )


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: `rows` read, `works` and `marks` added, `skipped` rows already known."""

    rows: int
    works: int
    marks: int
    skipped: int


def store_all(connection: sa.Connection, rows: Iterable[Row]) -> Imported:
    """Store any number of rows, batch by batch; errors as for `store`."""
    read = works = marks = skipped = 0
    source = iter(rows)
    while batch := list(islice(source, _BATCH)):
        new_works, new_marks, known = store(connection, batch)
        read, skipped = read + len(batch), skipped + known
        works, marks = works + new_works, marks + len(new_marks)
    return Imported(read, works, marks, skipped)


def store(connection: sa.Connection, batch: list[Row]) -> tuple[int, list[int], int]:
    """Check a batch against the registry and itself, and write what is new.

    Returns
    -------
    works : int
        How many works were added.
    marks : list of int
        The numbers of the marks added.
    known : int
        How many rows were registered already, just as they are.

    Raises
    ------
    InvalidWork
        If a row contradicts the registry or an earlier row.
    UnknownWork
        If a row refers to a work that is not registered.
    """
    at, mark_times = now(), instants()
    named = {row.work for row in batch if row.work}
    numbered = {row.mark for row in batch if row.mark is not None}
    works = {row[0]: tuple(row[1:8]) for row in _matching(connection, WORKS, named)}
    marks = {row[0]: (row[1], row[2]) for row in _matching(connection, MARKS, numbered)}
    ids = _draw(connection, WORKS, _random_ids, sum(not row.work for row in batch), named)
    unnumbered = sum(row.mark is None for row in batch)
    numbers = _draw(connection, MARKS, _random_numbers, unnumbered, numbered)
    new_works: list[tuple[Any, ...]] = []
    new_marks: list[tuple[Any, ...]] = []
    for row in batch:
        place = f"{row.place}: " if row.place else ""
        work_id = row.work or next(ids)
        known = works.get(work_id)
        if row.is_reference:
            if known is None:
                raise UnknownWork(f"{place}{work_id!r} is no work here; see 'sukashi work list'")
        else:
            details = details_of(row)
            if known is None:
                works[work_id] = details
                new_works.append((work_id, *details, at, at))
            elif known != details:
                pairs = zip(DETAILS, known, details, strict=True)
                differing = ", ".join(name for name, old, new in pairs if old != new)
                raise InvalidWork(
                    f"{place}work {work_id} is registered with another {differing}; "
                    "change it with 'sukashi work edit' or mend the row"
                )
        mark = (work_id, write_labels(row.mark_labels))
        number = next(numbers) if row.mark is None else row.mark
        if number not in marks:
            marks[number] = mark
            new_marks.append((number, *mark, next(mark_times)))
        elif marks[number] != mark:
            what = "another work" if marks[number][0] != work_id else "other mark_labels"
            raise InvalidWork(
                f"{place}mark {format_mark(number)} is registered with {what}; mend the row, "
                "or leave its mark empty to have one drawn"
            )
    if new_marks:
        connection.execute(sa.update(REVISION).values(number=REVISION.c.number + 1))
    _insert(connection, WORKS, new_works)
    _insert(connection, MARKS, new_marks)
    return len(new_works), [values[0] for values in new_marks], len(batch) - len(new_marks)


# Statements for many values go to the driver as text: compiling them anew for each batch costs
# more than the database does.  Only names of our own tables are put into the text.


def _insert(connection: sa.Connection, table: sa.TableClause, values: list[Any]) -> None:
    if not values:
        return
    into = f"INSERT INTO {table.name} ({', '.join(table.c.keys())})"
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(table.c))
        connection.exec_driver_sql(f"{into} VALUES ({places})", values)
    else:  # one array for each column: one journey to the server, not one for each row
        arrays = ", ".join(f"%s::{column.type.compile()}[]" for column in table.c)
        columns = tuple(map(list, zip(*values, strict=True)))
        connection.exec_driver_sql(f"{into} SELECT * FROM unnest({arrays})", columns)


def _matching(
    connection: sa.Connection, table: sa.TableClause, keys: AbstractSet[Any]
) -> Iterator[Any]:
    """Return the rows of `table` whose first column is one of `keys`."""
    key, *_ = names = table.c.keys()
    select = f"SELECT {', '.join(names)} FROM {table.name} WHERE {key}"
    wanted = sorted(keys)
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        if connection.dialect.name == "sqlite":
            places = ", ".join("?" * len(part))
            yield from connection.exec_driver_sql(f"{select} IN ({places})", tuple(part))
        else:
            yield from connection.exec_driver_sql(f"{select} = ANY(%s)", (part,))


def _draw(
    connection: sa.Connection,
    table: sa.TableClause,
    make: Callable[[int], Iterable[Any]],
    count: int,
    used: AbstractSet[Any],
) -> Iterator[Any]:
    """Draw `count` different keys that neither `used` nor the first column of `table` holds."""
    drawn: set[Any] = set()
    while len(drawn) < count:
        fresh = set(make(count - len(drawn))) - used - drawn
        drawn |= fresh - {row[0] for row in _matching(connection, table, fresh)}
    return iter(drawn)


def _random_ids(count: int) -> list[str]:
    letters = secrets.token_bytes(10 * count).translate(_ALPHABET).decode()
    return [f"w-{letters[start : start + 10]}" for start in range(0, 10 * count, 10)]


def _random_numbers(count: int) -> list[int]:
    size = MARK_BITS // 8
    noise = secrets.token_bytes(size * count)
    return [
        int.from_bytes(noise[start : start + size], "big") for start in range(0, size * count, size)
    ]
