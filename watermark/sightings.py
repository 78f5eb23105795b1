"""Sightings: what the detect service found, when, in which file, and for whom.

A sighting is named by the SHA-256 of the file; the file itself is not kept.
Its evidence may be, so that it can be decided anew when a work or a key was added since.
Lists are newest first and paged by the last id of the page before, since ids sort by time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from watermark.database import now
from watermark.ids import earliest_id, parse_time, timed_id
from watermark.registry import Registry
from watermark.sighting import KINDS, Sighting, named_in

__all__ = ["EVIDENCE", "LOOKS", "SIGHTED", "SIGHTINGS", "Sighting", "Sightings"]

SIGHTINGS = sa.table(
    "sightings",
    *(sa.column(name, sa.Text) for name in ("id", "at", "sha256", "kind")),
    *(sa.column(name, sa.BigInteger) for name in ("width", "height")),
    sa.column("verdict", sa.Text),
    sa.column("log10_p", sa.Float),
    *(sa.column(name, sa.Text) for name in ("marks", "works", "record", "caller")),
    sa.column("looks", sa.BigInteger),
)
SIGHTED = sa.table("sighted", *(sa.column(name, sa.Text) for name in ("work_id", "sighting_id")))
EVIDENCE = sa.table(
    "evidence", sa.column("sighting_id", sa.Text), sa.column("blob", sa.LargeBinary)
)
LOOKS = sa.table(
    "looks",
    sa.column("sighting_id", sa.Text),
    sa.column("look", sa.BigInteger),
    *(sa.column(name, sa.Text) for name in ("record", "replaced_at")),
)
_KEPT = sa.exists().where(EVIDENCE.c.sighting_id == SIGHTINGS.c.id).label("kept")
_CHUNK = 1000  # hashes looked up by one query
_PAGE = 100  # blobs of 40 KB in memory at a time
_SHA256 = re.compile("[0-9a-f]{64}")


_Page = list[Sighting]  # "list" is a method of the class below


class Sightings:
    """The sightings in a registry; every method is one transaction."""

    def __init__(self, registry: Registry) -> None:
        self._database = registry.database

    def add(
        self,
        *,
        sha256: str,
        kind: str,
        size: tuple[int, int],
        record: dict[str, Any],
        by: str,
        evidence: bytes | None = None,
        at: datetime | None = None,
    ) -> Sighting:
        """Write down what was told of a file; verdict, marks and works are those of `record`."""
        if not _SHA256.fullmatch(sha256) or kind not in KINDS:
            raise ValueError(f"{sha256!r} of kind {kind!r}: 64 hex digits, and one of {KINDS}")
        at = datetime.now(UTC) if at is None else at.astimezone(UTC)
        marks, works = named_in(record)
        sighting = Sighting(
            id=timed_id("s-", at),
            at=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            sha256=sha256,
            kind=kind,
            size=size,
            verdict=record["verdict"],
            log10_p=record.get("log10_p"),
            marks=marks,
            works=works,
            record=record,
            by=by,
            looks=1,
            evidence=evidence is not None,
        )
        values = {
            "id": sighting.id,
            "at": sighting.at,
            "sha256": sha256,
            "kind": kind,
            "width": size[0],
            "height": size[1],
            "caller": by,
            "looks": 1,
            **_told(sighting),
        }
        with self._database.writing(alone=False) as connection:
            connection.execute(sa.insert(SIGHTINGS).values(**values))
            _link(connection, sighting)
            if evidence is not None:
                row = {"sighting_id": sighting.id, "blob": evidence}
                connection.execute(sa.insert(EVIDENCE).values(**row))
        return sighting

    def get(self, sighting_id: str) -> Sighting | None:
        """Return the sighting with this id, if there is one."""
        query = sa.select(SIGHTINGS, _KEPT).where(SIGHTINGS.c.id == sighting_id)
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return _to_sighting(row) if row else None

    def list(
        self,
        *,
        work: str | None = None,
        sha256: str | None = None,
        verdict: str | None = None,
        since: datetime | str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> _Page:
        """Return sightings, newest first.

        Parameters
        ----------
        work, sha256, verdict : str, optional
            Only those of this work, this file or this verdict.
        since : datetime or str, optional
            Only those of this time or later; a text is ISO 8601.
        after : str, optional
            Id of the sighting to start behind: the last one of the page before.
        limit : int
            How many at most.
        """
        query = sa.select(SIGHTINGS, _KEPT).limit(limit)
        position = SIGHTINGS.c.id
        if work is not None:
            position = SIGHTED.c.sighting_id  # the same id, in the order of this index
            query = query.join_from(SIGHTED, SIGHTINGS, position == SIGHTINGS.c.id)
            query = query.where(SIGHTED.c.work_id == work)
        if sha256 is not None:
            query = query.where(SIGHTINGS.c.sha256 == sha256)
        if verdict is not None:
            query = query.where(SIGHTINGS.c.verdict == verdict)
        if since is not None:
            began = parse_time(since) if isinstance(since, str) else since
            query = query.where(position >= earliest_id("s-", began))
        if after is not None:
            query = query.where(position < after)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(position.desc()))
            return [_to_sighting(row) for row in found]

    def evidence(self, sighting_id: str) -> bytes | None:
        """Return the evidence of a sighting, if it was kept."""
        query = sa.select(EVIDENCE.c.blob).where(EVIDENCE.c.sighting_id == sighting_id)
        with self._database.reading() as connection:
            return connection.scalar(query)

    def with_evidence(self, *, after: str | None = None) -> Iterator[tuple[Sighting, bytes]]:
        """Iterate over all sightings whose evidence was kept, newest first, from behind `after`."""
        query = sa.select(SIGHTINGS, sa.true().label("kept"), EVIDENCE.c.blob)
        query = query.join_from(SIGHTINGS, EVIDENCE, EVIDENCE.c.sighting_id == SIGHTINGS.c.id)
        query = query.order_by(SIGHTINGS.c.id.desc()).limit(_PAGE)
        while True:
            page = query if after is None else query.where(SIGHTINGS.c.id < after)
            with self._database.reading() as connection:
                found = connection.execute(page).all()
            yield from ((_to_sighting(row), row.blob) for row in found)
            if len(found) < _PAGE:
                return
            after = found[-1].id

    def looked_again(
        self, sighting_id: str, record: dict[str, Any], *, look: int
    ) -> Sighting | None:
        """Replace what is told of a sighting after a recheck; the old row goes to its history.

        Parameters
        ----------
        sighting_id : str
        record : dict
            What is told now.
        look : int
            How many looks the recheck was charged for: one more than the sighting had.

        Returns
        -------
        sighting : Sighting or None
            As it is now; None if there is none, or if another recheck came first, since a look
            that was paid for as the second may not count as the third.
        """
        query = sa.select(SIGHTINGS, _KEPT).where(SIGHTINGS.c.id == sighting_id)
        with self._database.writing(alone=False) as connection:
            row = connection.execute(query.with_for_update(of=SIGHTINGS)).first()
            if row is None or row.looks != look - 1:
                return None
            marks, works = named_in(record)
            sighting = replace(
                _to_sighting(row),
                verdict=record["verdict"],
                log10_p=record.get("log10_p"),
                marks=marks,
                works=works,
                record=record,
                looks=look,
            )
            connection.execute(
                sa.insert(LOOKS).values(
                    sighting_id=sighting_id, look=row.looks, record=row.record, replaced_at=now()
                )
            )
            this = SIGHTINGS.c.id == sighting_id
            connection.execute(
                sa.update(SIGHTINGS).where(this).values(**_told(sighting), looks=look)
            )
            connection.execute(sa.delete(SIGHTED).where(SIGHTED.c.sighting_id == sighting_id))
            _link(connection, sighting)
        return sighting

    def history(self, sighting_id: str) -> tuple[dict[str, Any], ...]:
        """Return what earlier looks had told, first look first."""
        query = sa.select(LOOKS.c.record).where(LOOKS.c.sighting_id == sighting_id)
        with self._database.reading() as connection:
            found = connection.scalars(query.order_by(LOOKS.c.look))
            return tuple(json.loads(record) for record in found)

    def latest(self, sha256s: Iterable[str]) -> dict[str, Sighting]:
        """Return the sighting that says most of each file that was seen: many files at once.

        That is the newest one that names a work, or else the newest: a quick look that finds
        nothing does not undo a thorough one that did.
        """
        wanted = list(dict.fromkeys(sha256s))
        named = sa.func.max(sa.case((SIGHTINGS.c.works != "[]", SIGHTINGS.c.id)))
        best = sa.func.coalesce(named, sa.func.max(SIGHTINGS.c.id))
        answer: dict[str, Sighting] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chosen = SIGHTINGS.c.sha256.in_(wanted[start : start + _CHUNK])
                ids = sa.select(best).where(chosen).group_by(SIGHTINGS.c.sha256)
                query = sa.select(SIGHTINGS, _KEPT).where(SIGHTINGS.c.id.in_(ids))
                for row in connection.execute(query):
                    answer[row.sha256] = _to_sighting(row)
        return answer


def _told(sighting: Sighting) -> dict[str, Any]:
    """Return the columns that a recheck replaces."""
    return {
        "verdict": sighting.verdict,
        "log10_p": sighting.log10_p,
        "marks": json.dumps(sighting.marks),
        "works": json.dumps(sighting.works),
        "record": json.dumps(sighting.record),
    }


def _link(connection: sa.Connection, sighting: Sighting) -> None:
    rows = [{"work_id": work, "sighting_id": sighting.id} for work in sighting.works]
    if rows:
        connection.execute(sa.insert(SIGHTED), rows)


def _to_sighting(row: Any) -> Sighting:
    return Sighting(
        id=row.id,
        at=row.at,
        sha256=row.sha256,
        kind=row.kind,
        size=(row.width, row.height),
        verdict=row.verdict,
        log10_p=row.log10_p,
        marks=tuple(json.loads(row.marks)),
        works=tuple(json.loads(row.works)),
        record=json.loads(row.record),
        by=row.caller,
        looks=row.looks,
        evidence=bool(row.kept),
    )
