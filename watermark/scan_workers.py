"""Processes of this machine that do units: ``python -m watermark.scan_workers DESCRIPTOR``.

Each has a connection of its own, so that one which dies leaves nothing half-said for the others.
Keys go through the connection and nowhere else.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from watermark import errors
from watermark.errors import EngineError, WatermarkError
from watermark.sample import Unit
from watermark.scan import MOST_TRIES, Outcome, unit_given_up, worker
from watermark.scan_setup import Setup
from watermark.threads import ALONE

__all__ = ["LocalEngine", "main"]

_EVERY = 0.5  # seconds between two words of a worker about its rows
_DEATHS = 3  # of workers in a row, before any has begun to work, that are no accident
_COMMAND = [sys.executable, "-P", "-m", "watermark.scan_workers"]


class LocalEngine:
    """Processes of this machine, one for each job.

    Parameters
    ----------
    setup : Setup
    results : Path
        The run's folder.
    jobs : int
        How many processes.
    on_rows : callable, optional
        Is told now and then how many rows were made since.
    """

    def __init__(
        self,
        setup: Setup,
        results: Path,
        *,
        jobs: int,
        on_rows: Callable[[int], None] | None = None,
    ) -> None:
        self._secret, self._results = setup.to_bytes(), results
        self._jobs, self._on_rows = jobs, on_rows

    def done(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Have units done, and yield each with its outcome.

        Raises
        ------
        WatermarkError
            As of a registry that cannot be opened, or results that cannot be written.
        EngineError
            If workers do not start, or one meets an error that nobody foresaw.
        """
        todo = _Todo(units)
        members: list[_Member] = []
        stillborn = 0
        try:
            while True:
                idle = sum(1 for each in members if each.unit is None)
                # No more processes than there is work for.
                while len(members) < self._jobs and idle < todo.ahead(self._jobs):
                    members.append(_Member(self._secret, self._results))
                    idle += 1
                for each in members:
                    if each.ready and each.unit is None:
                        each.give(todo.next())
                if not any(each.unit for each in members) and not todo.ahead(1):
                    return
                for each in _spoken(members):
                    said = each.heard()
                    match said:
                        case {"ready": True}:
                            each.ready, stillborn = True, 0
                        case {"rows": int(count)}:
                            if self._on_rows is not None:
                                self._on_rows(count)
                        case {"done": [int(rows), int(found), int(failed)]}:
                            unit, each.unit = each.unit, None
                            assert unit is not None
                            yield unit, Outcome(rows, found, failed)
                        case {"error": str(kind), "text": str(text)}:
                            raise _error_named(kind, text)
                        case _:
                            members.remove(each)
                            each.end()
                            stillborn += not each.ready
                            if stillborn >= _DEATHS:
                                raise EngineError(
                                    "processes that scan do not start; is there memory for them?"
                                )
                            if each.unit is not None and todo.again(each.unit):
                                yield each.unit, unit_given_up(each.unit, self._results)
        finally:
            for each in members:
                each.end()


class _Todo:
    """Units that are to be done, those that cost a worker first."""

    def __init__(self, units: Iterable[Unit]) -> None:
        self._units = iter(units)
        self._waiting: deque[Unit] = deque()
        self._cost: dict[str, int] = {}

    def ahead(self, most: int) -> int:
        """Return how many there are, `most` at most."""
        while len(self._waiting) < most and (unit := next(self._units, None)) is not None:
            self._waiting.append(unit)
        return min(most, len(self._waiting))

    def next(self) -> Unit | None:
        """Return one, if there is any."""
        return self._waiting.popleft() if self.ahead(1) else None

    def again(self, unit: Unit) -> bool:
        """Take a unit back that has cost a worker; return whether it is to be given up."""
        cost = self._cost.pop(unit.name, 0) + 1
        if cost < MOST_TRIES:
            self._cost[unit.name] = cost
            self._waiting.appendleft(unit)
        return cost >= MOST_TRIES


class _Member:
    """A worker process and the unit that it is on."""

    def __init__(self, secret: bytes, results: Path) -> None:
        self.line, theirs = Pipe()
        self.unit: Unit | None = None
        self.ready = False
        here = str(Path(__file__).parent.parent)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [*_COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=os.environ | ALONE | {"PYTHONPATH": here},
                start_new_session=True,  # an interrupt is the engine's to handle
            )
        with suppress(OSError):  # that it is gone shows itself when it is listened to
            self.line.send_bytes(secret)
            self.line.send_bytes(os.fsencode(results))

    def give(self, unit: Unit | None) -> None:
        """Have it do a unit."""
        self.unit = unit
        if unit is not None:
            with suppress(OSError):
                self.line.send_bytes(json.dumps(unit.as_json()).encode())

    def heard(self) -> dict[str, Any] | None:
        """Return what it says; None once it is gone."""
        try:
            said = json.loads(self.line.recv_bytes())
        except (EOFError, OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        self.line.close()


def _spoken(members: list[_Member]) -> list[_Member]:
    """Wait until a worker says something or is gone, and return those."""
    lines = {each.line: each for each in members}
    return [lines[line] for line in wait(list(lines)) if isinstance(line, Connection)]


def _error_named(kind: str, text: str) -> Exception:
    made = getattr(errors, kind, None)
    if isinstance(made, type) and issubclass(made, WatermarkError):
        return made(text)
    last = text.strip().rpartition("\n")[2]
    error = EngineError(f"a process that scans broke down ({last}); please report it")
    error.__cause__ = RuntimeError(text)
    return error


class _Rows:
    """Tells of rows, now and then."""

    def __init__(self, line: Connection) -> None:
        self._line, self._count, self._last = line, 0, 0.0

    def __call__(self) -> None:
        self._count += 1
        now = time.monotonic()
        if now - self._last >= _EVERY:
            _say(self._line, {"rows": self._count})
            self._count, self._last = 0, now

    def rest(self) -> None:
        """Tell of what was not told yet."""
        if self._count:
            _say(self._line, {"rows": self._count})
            self._count = 0


def _say(line: Connection, said: dict[str, Any]) -> None:
    line.send_bytes(json.dumps(said).encode())


def _work(line: Connection) -> None:
    rows = _Rows(line)
    do = worker(line.recv_bytes(), Path(os.fsdecode(line.recv_bytes())), on_row=rows)
    _say(line, {"ready": True})
    while True:
        unit = Unit.from_json(json.loads(line.recv_bytes()))
        outcome = do(unit)
        rows.rest()
        _say(line, {"done": [outcome.rows, outcome.found, outcome.failed]})


def main() -> None:
    """Serve the engine at the other end of the descriptor that is named, until it ends."""
    import cv2  # noqa: PLC0415 - slow, and the engine needs none

    from watermark.allocator import keep_freed_memory  # noqa: PLC0415

    line = Connection(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no secret on the disk
    keep_freed_memory()
    cv2.setNumThreads(1)
    try:
        _work(line)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody waits any more
    except WatermarkError as error:
        _say(line, {"error": type(error).__name__, "text": str(error)})
    except Exception:  # noqa: BLE001 - the engine tells of it
        _say(line, {"error": "", "text": traceback.format_exc()})


if __name__ == "__main__":
    main()
