"""The schema of a registry, in numbered steps.

Each step is one function, and all that are missing run in one transaction.
A step is never edited after release; the next one is appended to `MIGRATIONS`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import sqlalchemy as sa

from watermark.database import Database, now
from watermark.errors import RegistryError, RegistryVersion

__all__ = ["MIGRATIONS", "migrate"]


def _works_and_marks(connection: sa.Connection) -> None:
    for statement in (
        """CREATE TABLE works (
            id TEXT NOT NULL PRIMARY KEY,
            title TEXT NOT NULL,
            rights_holder TEXT NOT NULL,
            contact TEXT NOT NULL,
            url TEXT NOT NULL,
            training TEXT NOT NULL CHECK (training IN ('not-permitted', 'allowed', 'constrained')),
            terms TEXT NOT NULL,
            labels TEXT NOT NULL,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL
        )""",
        "CREATE INDEX works_by_title ON works (title, id)",
        """CREATE TABLE marks (
            number BIGINT NOT NULL PRIMARY KEY CHECK (number >= 0 AND number < 281474976710656),
            work_id TEXT NOT NULL REFERENCES works (id),
            labels TEXT NOT NULL,
            created_at TEXT NOT NULL
        )""",
        "CREATE INDEX marks_by_work ON marks (work_id, number)",
        """CREATE TABLE markings (
            mark_number BIGINT NOT NULL REFERENCES marks (number),
            fingerprint TEXT NOT NULL,
            profile TEXT NOT NULL,
            first_at TEXT NOT NULL,
            PRIMARY KEY (mark_number, fingerprint, profile)
        )""",
        "CREATE INDEX markings_by_key ON markings (fingerprint, profile)",
        # One row: the identity tells two registries apart, the number counts changes of marks.
        "CREATE TABLE revision (identity TEXT NOT NULL, number BIGINT NOT NULL)",
    ):
        connection.exec_driver_sql(statement)
    connection.execute(
        sa.text("INSERT INTO revision (identity, number) VALUES (:identity, 0)"),
        {"identity": secrets.token_hex(8)},
    )


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_works_and_marks,)


def migrate(database: Database) -> None:
    """Bring the schema up to date, or say why this program cannot use it.

    Raises
    ------
    RegistryVersion
        If the schema is newer than this program, or older and only to be read.
    RegistryError
        If the database holds something else.
    """
    with database.reading() as connection:
        version = _version(database, connection)
    if version > len(MIGRATIONS):
        raise RegistryVersion(
            f"{database.name}: this registry has schema {version}, this program knows "
            f"{len(MIGRATIONS)}; upgrade sukashi"
        )
    if version == len(MIGRATIONS):
        return
    if database.read_only:
        raise RegistryVersion(
            f"{database.name}: this registry has the older schema {version}, this program reads "
            f"{len(MIGRATIONS)}; keep a copy, then run 'sukashi work upgrade'"
        )
    database.write_ahead()
    with database.writing() as connection:
        # Another process may have been here since; count again behind the lock.
        version = _version(database, connection)
        if version == 0:
            connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS schema_version "
                "(version INTEGER NOT NULL PRIMARY KEY, applied_at TEXT NOT NULL)"
            )
        for number, migration in enumerate(MIGRATIONS[version:], version + 1):
            migration(connection)
            connection.execute(
                sa.text("INSERT INTO schema_version VALUES (:number, :at)"),
                {"number": number, "at": now()},
            )


def _version(database: Database, connection: sa.Connection) -> int:
    tables = sa.inspect(connection).get_table_names()
    if "schema_version" in tables:
        return connection.scalar(sa.text("SELECT max(version) FROM schema_version")) or 0
    if tables:
        raise RegistryError(
            f"{database.name}: this database holds something else; give the registry its own"
        )
    return 0
