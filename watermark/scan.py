"""Scanning piles: units in, rows out, on one machine or many, whatever happens on the way.

An `Engine` has workers do units, anywhere that sees the run's folder (`watermark.results`).
A kill at any moment costs the units that were being done, and no row is lost or there twice.
A worker that dies costs its unit one more try, then the samples are looked at one by one, and the
one at which a worker dies again becomes a row with an error: `unit_done` sees to all that by
itself, an engine only gives the unit out again, until it is done or `MOST_TRIES` are spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from watermark.attempts import Attempts
from watermark.rescan import Rechecker
from watermark.results import Results
from watermark.sample import Unit
from watermark.scan_rows import Row, failed_row
from watermark.scanning import Scanner, Setup
from watermark.tables import EVIDENCE, ROWS, THUMBNAILS, TableWriter, read_rows

__all__ = ["MOST_TRIES", "Engine", "Outcome", "Seen", "run", "unit_done", "unit_given_up", "worker"]

MOST_TRIES = 24  # workers that one unit may cost


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many rows units have, and of which kinds.  Outcomes add.

    Parameters
    ----------
    rows : int
    found : int
        With a mark.
    failed : int
        With an error.
    """

    rows: int = 0
    found: int = 0
    failed: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.rows + other.rows, self.found + other.found, self.failed + other.failed
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a run has come.

    Parameters
    ----------
    units : int
        In all.
    done : int
        Of them, also before this run was gone on with.
    outcome : Outcome
        Of the units that were done since it was begun or gone on with.
    """

    units: int
    done: int
    outcome: Outcome


class Engine(Protocol):
    """Whoever has units done: processes of this machine (`LocalEngine`), or a cluster."""

    def done(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Have units done, and yield each with its outcome, in any order.

        Units are asked for as there are workers for them, since they may be millions.
        Where a unit has cost `MOST_TRIES` workers, `unit_given_up` writes its one row, with an
        error, and gives its outcome.
        """
        ...


def run(
    results: Results, engine: Engine, *, on_progress: Callable[[Seen], None] | None = None
) -> Outcome:
    """Have the units of a run done that are not yet, and return what came of those.

    Parameters
    ----------
    results : Results
        Open, its units listed.
    engine : Engine
    on_progress : callable, optional
        Called at the beginning and after each unit.

    Raises
    ------
    RegistryError
        If the registry cannot be asked.
    OutputError
        If the results cannot be written.
    """
    count = results.count_units()
    left = results.count_left()
    done, total = count - left, Outcome()
    if on_progress is not None:
        on_progress(Seen(count, done, total))
    for _, outcome in engine.done(results.left()):
        done += 1
        total += outcome
        if on_progress is not None:
            on_progress(Seen(count, done, total))
    return total


def worker(
    secret: bytes, results: Path, *, on_row: Callable[[], None] | None = None
) -> Callable[[Unit], Outcome]:
    """Return what does a unit, for a process of an engine.

    Parameters
    ----------
    secret : bytes
        From `Setup.to_bytes`: it holds the keys, so it is sent and never written.
    results : Path
        The run's folder, as this process sees it.
    on_row : callable, optional
        Called after each row.
    """
    setup = Setup.from_bytes(secret)
    scanner = Scanner(setup) if setup.asked is None else Rechecker(setup)
    return lambda unit: unit_done(scanner, unit, results, on_row=on_row)


def unit_done(
    scanner: Scanner | Rechecker,
    unit: Unit,
    results: Path,
    *,
    on_row: Callable[[], None] | None = None,
) -> Outcome:
    """Look at the samples of a unit, and write its rows; or leave them, if they stand already."""
    here = Results(results)
    total = Outcome()
    if here.rows(unit).exists():  # whoever wrote them died before it could say so
        for cells in read_rows(here.rows(unit), ["works", "error"]):
            total += _counted(Row(cells))
        return total
    with Attempts(results, unit) as attempts:
        note = attempts.note if attempts.careful else None
        with _Writers(here, unit) as writers:
            for row in scanner.rows(unit, note=note):
                writers.add(row)
                total += _counted(row)
                if on_row is not None:
                    on_row()
    return total


def unit_given_up(unit: Unit, results: Path) -> Outcome:
    """Write one row for a unit that no worker survives."""
    why = f"{unit.source}: reading it broke down {MOST_TRIES} times; copy it again, or leave it out"
    row = failed_row(unit.source, "", why, reason="broken")
    with _Writers(Results(results), unit) as writers:
        writers.add(row)
    return _counted(row)


def _counted(row: Row) -> Outcome:
    return Outcome(1, int(bool(row.cells["works"])), int(row.cells.get("error") is not None))


class _Writers:
    """The tables of one unit; that of the rows gets its name last, which makes the unit done."""

    def __init__(self, results: Results, unit: Unit) -> None:
        self._results, self._unit = results, unit
        self._stack = ExitStack()
        self._rows = TableWriter(results.rows(unit), ROWS)
        self._evidence: TableWriter | None = None
        self._thumbnails: TableWriter | None = None

    def __enter__(self) -> Self:
        # What a try left that died before its rows had their name may not lie beside others.
        for left in (self._results.evidence(self._unit), self._results.thumbnails(self._unit)):
            left.unlink(missing_ok=True)
        self._stack.enter_context(self._rows)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.__exit__(*exception)  # type: ignore[arg-type]

    def add(self, row: Row) -> None:
        """Add a row, and what lies beside it."""
        cells = row.cells
        self._rows.add(cells)
        if row.evidence is not None:
            if self._evidence is None:
                writer = TableWriter(self._results.evidence(self._unit), EVIDENCE)
                self._evidence = self._stack.enter_context(writer)
            named = {name: cells[name] for name in EVIDENCE.names if name in cells}
            self._evidence.add({**named, "looks": 1, "evidence": row.evidence})
        if row.thumbnail is not None:
            if self._thumbnails is None:
                writer = TableWriter(self._results.thumbnails(self._unit), THUMBNAILS)
                self._thumbnails = self._stack.enter_context(writer)
            named = {name: cells[name] for name in THUMBNAILS.names if name in cells}
            self._thumbnails.add({**named, "thumbnail": row.thumbnail})
