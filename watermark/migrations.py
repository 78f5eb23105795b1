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


def _service(connection: sa.Connection) -> None:
    """Add what the detect service keeps: tokens, sightings with their evidence, and jobs."""
    postgresql = connection.dialect.name == "postgresql"
    blob = "BYTEA" if postgresql else "BLOB"
    # Ids begin with their time and are compared byte by byte, whatever the server's language.
    key = 'TEXT COLLATE "C"' if postgresql else "TEXT"
    for statement in (
        f"""CREATE TABLE tokens (
            id {key} NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            scopes TEXT NOT NULL,
            salt {blob} NOT NULL,
            digest {blob} NOT NULL,
            created_at TEXT NOT NULL,
            last_used_at TEXT,
            revoked_at TEXT
        )""",
        f"""CREATE TABLE sightings (
            id {key} NOT NULL PRIMARY KEY,
            at TEXT NOT NULL,
            sha256 {key} NOT NULL,
            kind TEXT NOT NULL CHECK (kind IN ('still', 'film')),
            width BIGINT NOT NULL,
            height BIGINT NOT NULL,
            verdict TEXT NOT NULL,
            log10_p DOUBLE PRECISION,
            marks TEXT NOT NULL,
            works TEXT NOT NULL,
            record TEXT NOT NULL,
            caller TEXT NOT NULL,
            looks BIGINT NOT NULL CHECK (looks >= 1)
        )""",
        "CREATE INDEX sightings_by_file ON sightings (sha256, id)",
        "CREATE INDEX sightings_by_verdict ON sightings (verdict, id)",
        # The works of a sighting once more, to look it up by them.
        f"""CREATE TABLE sighted (
            work_id {key} NOT NULL,
            sighting_id {key} NOT NULL REFERENCES sightings (id),
            PRIMARY KEY (work_id, sighting_id)
        )""",
        "CREATE INDEX sighted_by_sighting ON sighted (sighting_id)",
        # Apart from their rows, which are read far more often.
        f"""CREATE TABLE evidence (
            sighting_id {key} NOT NULL PRIMARY KEY REFERENCES sightings (id),
            blob {blob} NOT NULL
        )""",
        # What an earlier look at a sighting had told.
        f"""CREATE TABLE looks (
            sighting_id {key} NOT NULL REFERENCES sightings (id),
            look BIGINT NOT NULL,
            record TEXT NOT NULL,
            replaced_at TEXT NOT NULL,
            PRIMARY KEY (sighting_id, look)
        )""",
        f"""CREATE TABLE jobs (
            id {key} NOT NULL PRIMARY KEY,
            created_at TEXT NOT NULL,
            updated_at {key} NOT NULL,
            state TEXT NOT NULL
                CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
            attempts BIGINT NOT NULL,
            progress DOUBLE PRECISION,
            stage TEXT NOT NULL,
            options TEXT NOT NULL,
            result TEXT,
            problem TEXT,
            upload TEXT NOT NULL,
            caller TEXT NOT NULL
        )""",
        "CREATE INDEX jobs_by_state ON jobs (state, updated_at)",
    ):
        connection.exec_driver_sql(statement)


MIGRATIONS: tuple[Callable[[sa.Connection], None], ...] = (_works_and_marks, _service)


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
