"""The database under a registry: where it lies, how it is opened, and its transactions.

SQLite is the default, PostgreSQL the choice when several machines share one registry.
Every change is one transaction that takes the write lock first, so that two processes wait for
each other instead of failing half-way.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from watermark.errors import RegistryBusy, RegistryError

__all__ = ["Database", "default_location", "instants", "now", "registry_exists"]

# One number shared by all processes that write one PostgreSQL registry: "suka" in ASCII.
_ADVISORY_LOCK = 0x73756B61
_CURES = {
    sqlite3.SQLITE_READONLY: "this account may not write it; ask its owner or name another",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore a copy",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the folder exists and may be used",
    sqlite3.SQLITE_NOTADB: "this file is not a registry; name another",
}
_PAGE = 1000  # rows a query returns, so that memory does not grow with the registry
_BUSY_SQLSTATES = {"55P03", "40P01"}  # lock_not_available, deadlock_detected


def now() -> str:
    """Return the present time as the registry writes it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def instants() -> Iterator[str]:
    """Yield times from now on, each a microsecond later: they give marks an order.

    Nothing is registered in less than a microsecond, so the next call begins behind the last one.
    """
    began = datetime.now(UTC)
    for passed in count():
        yield (began + timedelta(microseconds=passed)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def default_location(*, make_folder: bool = False) -> str:
    """Return ``SUKASHI_REGISTRY``, or else a file in the user's data folder.

    Raises
    ------
    RegistryError
        If that folder is to be made and cannot be.
    """
    chosen = os.environ.get("SUKASHI_REGISTRY")
    if chosen:
        return chosen
    folder = platformdirs.user_data_path("sukashi", appauthor=False)
    if make_folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"{folder}: cannot make this folder ({error.strerror}); use --registry FILE"
            ) from error
    return str(folder / "registry.sqlite")


def registry_exists(where: str | os.PathLike[str] | None = None) -> bool:
    """Tell whether a registry may be read at `where`; a server's URL counts as one."""
    location = os.fspath(default_location() if where is None else where)
    file = location.removeprefix("sqlite:///")
    return "://" in file or Path(file).exists()


class Database:
    """A database opened at `where`, a URL or the path of an SQLite file.

    Parameters
    ----------
    where : str or path
        ``postgresql+psycopg://…``, ``sqlite:///file``, a plain path, or ``sqlite://`` (in memory).
    read_only : bool
        Write nothing, not even a missing file or a migration.
    busy_timeout : float
        Seconds to wait for other processes that write.

    Raises
    ------
    RegistryError
        If there is no such database, or `where` is neither a path nor a usable URL.
    """

    def __init__(
        self, where: str | os.PathLike[str], *, read_only: bool, busy_timeout: float
    ) -> None:
        self.read_only = read_only
        self.file: Path | None = None
        self._timeout = busy_timeout
        # In memory all threads share one connection, so they take turns.
        self._turns: AbstractContextManager[object] = nullcontext()
        location = os.fspath(where)
        if not location:
            raise RegistryError("the registry's name is empty; name a file or a URL")
        try:
            url = sa.make_url(location) if "://" in location else None
        except ArgumentError as error:
            raise RegistryError(
                "the registry's URL cannot be read; write it like postgresql+psycopg://host/name"
            ) from error
        if url is None or url.get_backend_name() == "sqlite":
            path = location if url is None else url.database or ":memory:"
            if path != ":memory:":
                self.file = Path(path)
            self.name = path
            self._engine = self._sqlite()
        else:
            self.name = url.render_as_string(hide_password=True)
            self._engine = self._postgresql(url)

    def _sqlite(self) -> sa.Engine:
        target = ":memory:"
        if self.file is not None:
            if self.read_only and not self.file.exists():
                raise RegistryError(
                    f"{self.name}: no registry here yet; make one with 'sukashi work add'"
                )
            target = f"file:{quote(str(self.file.absolute()))}?mode={self._sqlite_mode(self.file)}"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                target, self._timeout, isolation_level=None, check_same_thread=False, uri=True
            )
            connection.execute("PRAGMA foreign_keys = ON")
            # KiB.  A million imported works touch four indices at random; 2 MiB would thrash.
            connection.execute("PRAGMA cache_size = -131072")
            return connection

        if self.file is None:
            self._turns = threading.RLock()
        pool = sa.StaticPool if self.file is None else sa.QueuePool
        engine = sa.create_engine("sqlite://", creator=connect, poolclass=pool)

        # The driver's own transactions begin late and deferred; ours say what they are for.
        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            writing = connection.get_execution_options().get("writing")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        return engine

    def _sqlite_mode(self, file: Path) -> str:
        if not self.read_only:
            return "rwc"
        # Beside a file in WAL mode SQLite wants to write its index, even to read; where that is
        # impossible nobody else can be writing either.
        journal = Path(f"{file}-wal")
        if not os.access(file.absolute().parent, os.W_OK) and not journal.exists():
            return "ro&immutable=1"
        return "ro"

    def _postgresql(self, url: sa.URL) -> sa.Engine:
        if url.drivername in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() != "postgresql":
            raise RegistryError(
                f"{self.name}: a registry lives in SQLite or PostgreSQL; name a file or a "
                "postgresql+psycopg:// URL"
            )
        try:
            return sa.create_engine(url, pool_pre_ping=True)
        except (ImportError, SQLAlchemyError) as error:
            raise RegistryError(
                f"{self.name}: PostgreSQL needs a driver; pip install 'sukashi[postgresql]'"
            ) from error

    def write_ahead(self) -> None:
        """Let readers and one writer work side by side.

        Another process may be doing the same at this moment: then there is nothing left to do.
        """
        if self.file is None:
            return
        with suppress(SQLAlchemyError), self._engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.close()

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads."""
        with self._transaction({}) as connection:
            yield connection

    @contextmanager
    def writing(self, *, alone: bool = True) -> Iterator[sa.Connection]:
        """Open a transaction that holds the write lock; it is undone if the block raises.

        Where rows do not depend on one another, `alone` may be False: PostgreSQL then lets many
        write side by side, also during a long import.  SQLite always lets one.
        """
        with self._transaction({"writing": True}) as connection:
            if connection.dialect.name == "postgresql":
                timeout = max(1, round(1000 * self._timeout))
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {timeout}")
                if alone:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection

    def pages(
        self,
        query: sa.Select[Any],
        position: sa.Tuple,
        last: tuple[Any, ...] | None,
        key: Callable[[Any], tuple[Any, ...]],
    ) -> Iterator[Any]:
        """Run a query page by page, so that no transaction stays open between two rows."""
        while True:
            page = query if last is None else query.where(position > last)
            with self.reading() as connection:
                found = connection.execute(page).all()
            yield from found
            if len(found) < _PAGE:
                return
            last = key(found[-1])

    @contextmanager
    def _transaction(self, options: dict[str, bool]) -> Iterator[sa.Connection]:
        try:
            with self._turns, self._engine.connect() as raw:
                connection = raw.execution_options(**options)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._translated(error) from error

    def _translated(self, error: SQLAlchemyError) -> RegistryError:
        cause = error.orig if isinstance(error, DBAPIError) else None
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if (
            code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            or getattr(cause, "sqlstate", None) in _BUSY_SQLSTATES
        ):
            return RegistryBusy(
                f"{self.name}: another process is writing this registry; try again in a while"
            )
        message = str(cause or error).strip().partition("\n")[0]
        cure = _CURES.get(code, "check its address and that it is a registry")
        return RegistryError(f"{self.name}: {message}; {cure}")
