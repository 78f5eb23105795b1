"""The registry: works, their marks, and which mark was embedded with which key and profile.

Keys are known here by their fingerprints only.
Every mark number is drawn at random from 48 bits and is unique in the registry.
Nothing is ever removed: a mark in the world outlives the wish to have made it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from typing import Any

import sqlalchemy as sa

from watermark.columns import Indices, Numbers, marks_by_work
from watermark.database import Database, default_location, now, registry_exists
from watermark.errors import UnknownWork
from watermark.intake import (
    DETAILS,
    MARKINGS,
    MARKS,
    REVISION,
    WORKS,
    Imported,
    details_of,
    store,
    store_all,
    to_mark,
    to_work,
)
from watermark.migrations import migrate
from watermark.rows import Row
from watermark.work import Mark, Work, format_mark

__all__ = ["Imported", "Registry", "open_registry", "registry_exists"]

_CHUNK = 1000  # numbers looked up by one query


def open_registry(
    where: str | os.PathLike[str] | None = None,
    *,
    read_only: bool = False,
    busy_timeout: float = 10.0,
) -> Registry:
    """Open a registry, making it or bringing its schema up to date where that is needed.

    Parameters
    ----------
    where : str or path, optional
        A path or an SQLAlchemy URL.  By default ``SUKASHI_REGISTRY``, or else a file in the
        user's data folder.
    read_only : bool
        Make and change nothing.
    busy_timeout : float
        Seconds to wait for another process that writes.

    Raises
    ------
    RegistryVersion
        If the schema is newer than this program, or older and `read_only` is set.
    RegistryBusy
        If another process held the registry for longer than `busy_timeout`.
    RegistryError
        If it cannot be reached, or is not a registry.
    """
    location = default_location(make_folder=not read_only) if where is None else where
    database = Database(location, read_only=read_only, busy_timeout=busy_timeout)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Registry(database)


class Registry(AbstractContextManager["Registry"]):
    """An open registry; a context manager.  Made by `open_registry`.

    Every method is one transaction; the iterators read page by page, and may or may not show
    what is written meanwhile.  Tokens, sightings and jobs lie in the same `database`.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Path or URL, without its password."""
        return self.database.name

    def close(self) -> None:
        """Give every connection back."""
        self.database.close()

    def add_work(
        self,
        title: str,
        *,
        rights_holder: str = "",
        contact: str = "",
        url: str = "",
        training: str = "not-permitted",
        terms: str = "",
        labels: Mapping[str, str] | None = None,
        mark_labels: Mapping[str, str] | None = None,
    ) -> tuple[Work, Mark]:
        """Register a work and draw its first mark.

        Raises
        ------
        InvalidWork
            If a field is refused.
        """
        row = Row(
            title=title,
            rights_holder=rights_holder,
            contact=contact,
            url=url,
            training=training,
            terms=terms,
            labels=dict(labels or {}),
            mark_labels=dict(mark_labels or {}),
        )
        return self._add(row)

    def add_mark(self, work_id: str, labels: Mapping[str, str] | None = None) -> Mark:
        """Draw another mark for a work, with `labels` that say which copies will carry it."""
        return self._add(Row(work=work_id, mark_labels=dict(labels or {})))[1]

    def _add(self, row: Row) -> tuple[Work, Mark]:
        with self.database.writing() as connection:
            _, marks, _ = store(connection, [row])
        return self.lookup(marks)[marks[0]]

    def work(self, name: str) -> Work:
        """Return the work with this id, or else the only one with this title.

        Raises
        ------
        UnknownWork
            If there is none, or several have this title; the message lists them.
        """
        query = sa.select(WORKS)
        with self.database.reading() as connection:
            found = connection.execute(query.where(WORKS.c.id == name)).all()
            if not found:
                titled = query.where(WORKS.c.title == name).order_by(WORKS.c.id).limit(6)
                found = connection.execute(titled).all()
        if not found:
            raise UnknownWork(
                f"{name!r} is no work in {self.name}; look for it with 'sukashi work list'"
            )
        if len(found) > 1:
            ids = ", ".join(row.id for row in found[:5]) + (", …" if len(found) > 5 else "")
            raise UnknownWork(f"{name!r} is the title of several works; name one by its id: {ids}")
        return to_work(found[0])

    def works(self, *, find: str = "", after: str = "", limit: int | None = None) -> Iterator[Work]:
        """Iterate over works by title.

        Parameters
        ----------
        find : str
            Only works with this text in title or rights holder, in any case.
        after : str
            Id of the work to start behind: the last one of the page before.
        limit : int, optional
            How many at most.

        Raises
        ------
        UnknownWork
            If `after` is not the id of a work.
        """
        query = sa.select(WORKS).order_by(WORKS.c.title, WORKS.c.id).limit(_CHUNK)
        if find:
            columns = (WORKS.c.title, WORKS.c.rights_holder)
            query = query.where(sa.or_(*(c.icontains(find, autoescape=True) for c in columns)))
        last = (self.work(after).title, after) if after else None
        position = sa.tuple_(WORKS.c.title, WORKS.c.id)
        pages = self.database.pages(query, position, last, lambda row: (row.title, row.id))
        yield from islice(map(to_work, pages), limit)

    def marks(self, work_id: str) -> list[Mark]:
        """Return the marks of a work, oldest first."""
        query = sa.select(MARKS).where(MARKS.c.work_id == work_id)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(MARKS.c.created_at, MARKS.c.number))
            return [to_mark(row) for row in found]

    def edit_work(self, work_id: str, **changes: Any) -> Work:
        """Change details of a work: any keyword of `add_work` but `mark_labels`.

        Raises
        ------
        InvalidWork
            If a new value is refused.
        UnknownWork
            If there is no such work.
        """
        strange = changes.keys() - set(DETAILS)
        if strange:
            raise TypeError(f"a work has no {', '.join(sorted(strange))}")
        with self.database.writing() as connection:
            this = WORKS.c.id == work_id
            found = connection.execute(sa.select(WORKS).where(this)).one_or_none()
            if found is None:
                raise UnknownWork(f"{work_id!r} is no work in {self.name}; see 'sukashi work list'")
            old = to_work(found)
            row = Row(**{name: getattr(old, name) for name in DETAILS} | changes)
            values = dict(zip(DETAILS, details_of(row), strict=True)) | {"updated_at": now()}
            connection.execute(sa.update(WORKS).where(this).values(values))
        return replace(old, **changes, updated_at=values["updated_at"])

    def mark_numbers(self) -> Numbers:
        """Return all mark numbers in rising order, a uint64 array."""
        return self.mark_works()[0]

    def mark_works(self) -> tuple[Numbers, Indices]:
        """Return all mark numbers and an index of their works, as `marks_by_work` does."""
        with self.database.reading() as connection:
            return marks_by_work(connection)

    def count_marks(self) -> int:
        """Return how many marks are registered."""
        with self.database.reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(MARKS)) or 0)

    def lookup(self, numbers: Iterable[int]) -> dict[int, tuple[Work, Mark]]:
        """Return work and mark of every number that is registered."""
        answer: dict[int, tuple[Work, Mark]] = {}
        wanted = [int(number) for number in numbers]
        query = sa.select(*WORKS.c, *(column.label(f"mark_{column.name}") for column in MARKS.c))
        query = query.join_from(MARKS, WORKS, MARKS.c.work_id == WORKS.c.id)
        with self.database.reading() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chosen = MARKS.c.number.in_(wanted[start : start + _CHUNK])
                for row in connection.execute(query.where(chosen)):
                    answer[row.mark_number] = (to_work(row[:10]), to_mark(row[10:]))
        return answer

    def record_marking(self, number: int, fingerprint: str, profile: str) -> None:
        """Note that mark `number` was embedded with this key and profile; once is enough.

        Raises
        ------
        UnknownWork
            If the mark is not registered.
        """
        values = {"mark_number": number, "fingerprint": fingerprint, "profile": profile}
        known = sa.select(sa.exists().where(*(MARKINGS.c[k] == v for k, v in values.items())))
        with self.database.reading() as connection:
            if connection.scalar(known):
                return
        with self.database.writing() as connection:
            if not connection.scalar(sa.select(sa.exists().where(MARKS.c.number == number))):
                raise UnknownWork(
                    f"mark {format_mark(number)} is not in {self.name}; see 'sukashi work list'"
                )
            if not connection.scalar(known):
                connection.execute(sa.insert(MARKINGS).values(**values, first_at=now()))

    def markings(self, number: int) -> list[tuple[str, str]]:
        """Return fingerprint and profile of every way mark `number` was embedded."""
        return self._distinct(
            MARKINGS.c.fingerprint, MARKINGS.c.profile, where=MARKINGS.c.mark_number == number
        )

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of all keys in use."""
        return [fingerprint for (fingerprint,) in self._distinct(MARKINGS.c.fingerprint)]

    def profiles(self) -> list[str]:
        """Return all profile strings in use."""
        return [profile for (profile,) in self._distinct(MARKINGS.c.profile)]

    def _distinct(self, *columns: sa.ColumnElement[str], where: Any = True) -> list[Any]:
        query = sa.select(*columns).where(where).distinct().order_by(*columns)
        with self.database.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def import_rows(self, rows: Iterable[Row]) -> Imported:
        """Take in rows, all of them or none.

        A row registered already is skipped; `work` and `mark` are drawn where a row has none.

        Raises
        ------
        InvalidWork
            If a row contradicts the registry or an earlier row; the message begins with its place.
        """
        with self.database.writing() as connection:
            return store_all(connection, rows)

    def export_rows(self) -> Iterator[Row]:
        """Iterate over all marks with their works for `import_rows`, those of a work by age."""
        order = (MARKS.c.work_id, MARKS.c.created_at, MARKS.c.number)
        query = sa.select(*order, MARKS.c.labels, *WORKS.c).order_by(*order).limit(_CHUNK)
        query = query.join_from(MARKS, WORKS, MARKS.c.work_id == WORKS.c.id)
        pages = self.database.pages(query, sa.tuple_(*order), None, lambda row: tuple(row[:3]))
        for work, _, number, mark_labels, _, *details, _, _ in pages:
            texts = dict(zip(DETAILS, details, strict=True))
            texts["labels"] = json.loads(texts["labels"])
            yield Row(work=work, mark=number, mark_labels=json.loads(mark_labels), **texts)

    def revision(self) -> str:
        """Return a value that changes whenever marks do, and differs between registries."""
        with self.database.reading() as connection:
            identity, number = connection.execute(sa.select(REVISION)).one()
        return f"{identity}-{number}"
