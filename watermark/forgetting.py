"""Forgetting sightings: one that nobody was told of, or all that are too old to be kept."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from watermark.ids import earliest_id
from watermark.registry import Registry
from watermark.sightings import EVIDENCE, LOOKS, SIGHTED, SIGHTINGS

__all__ = ["forget", "forget_before"]

_AT_A_TIME = 500  # sightings of one transaction, so that others can write in between
_BELOW = (EVIDENCE, LOOKS, SIGHTED)  # name the sighting that they belong to


def forget(registry: Registry, sighting_id: str) -> bool:
    """Remove a sighting with its evidence and its history; False if there is none."""
    with registry.database.writing(alone=False) as connection:
        return _removed(connection, [sighting_id]) > 0


def forget_before(registry: Registry, before: datetime) -> int:
    """Remove all sightings of an earlier time, and return how many they were.

    Each goes with its evidence and with what earlier looks had told; several processes may do this
    at the same time.
    """
    query = sa.select(SIGHTINGS.c.id).where(SIGHTINGS.c.id < earliest_id("s-", before))
    query = query.order_by(SIGHTINGS.c.id).limit(_AT_A_TIME).with_for_update()
    gone = 0
    while True:
        with registry.database.writing(alone=False) as connection:
            found = list(connection.scalars(query))
            gone += _removed(connection, found)
        if len(found) < _AT_A_TIME:
            return gone


def _removed(connection: sa.Connection, ids: list[str]) -> int:
    for table in _BELOW:
        connection.execute(sa.delete(table).where(table.c.sighting_id.in_(ids)))
    return connection.execute(sa.delete(SIGHTINGS).where(SIGHTINGS.c.id.in_(ids))).rowcount
