"""Worker processes, and callers who wait for one of them, first come first served.

Each worker has a connection of its own, so that one which is killed while it speaks leaves nothing
half-said for the others, and no lock held: what is lost with it is the task it had.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from itertools import chain, repeat
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from server.wire import Wire
from watermark import errors
from watermark.errors import WatermarkError
from watermark.threads import ALONE

__all__ = ["Pool", "Process", "error_named"]

_LOG = logging.getLogger("sukashi.engine")
_START = 60.0  # seconds until a worker has loaded everything
_WATCH = 0.2  # seconds between two looks at who is alive and within the time
_AGAIN = (0.0, 1.0, 3.0, 10.0, 30.0)  # seconds to wait before a start that failed is tried again


def error_named(kind: str, text: str) -> WatermarkError:
    """Return the error that a worker tells of."""
    made = getattr(errors, kind, None)
    if isinstance(made, type) and issubclass(made, WatermarkError):
        return made(text)
    return WatermarkError(text)


class Process:
    """One worker process.

    Parameters
    ----------
    setup : dict
        What it is told first.
    keys : bytes
        Of all keys; they go through the connection and nowhere else.
    nice : int
        By how much others go before it.
    """

    def __init__(self, setup: dict[str, Any], keys: bytes, *, nice: int = 0) -> None:
        ours, theirs = Pipe()
        with theirs:
            here = str(Path(__file__).parent.parent)
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "server.worker", str(theirs.fileno()), str(nice)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=os.environ | ALONE | {"PYTHONPATH": here},
                start_new_session=True,  # an interrupt is the engine's to handle
            )
        self.wire = Wire(ours)
        self.deadline = float("inf")  # monotonic seconds at which it is ended
        self.overdue = False
        with suppress(OSError):  # waiting until it is ready tells why
            self.wire.send(setup, keys)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def until_ready(self, seconds: float) -> None:
        """Wait until it has loaded everything.

        Raises
        ------
        WatermarkError
            If it cannot, such as for a registry that cannot be opened.
        RuntimeError
            If it broke down or takes too long.
        """
        try:
            said = self.wire.receive()[0] if self.wire.waiting(seconds) else {"say": "nothing"}
        except (EOFError, OSError, ValueError):
            said = {"say": "end"}
        if said["say"] == "ready":
            return
        self.end()
        if said["say"] == "error":
            raise error_named(said["kind"], said["text"])
        raise RuntimeError(f"a worker did not start: {said.get('text', said['say'])}")

    def kill_if_overdue(self) -> None:
        """End it if its time is over; whoever waits for its answer sees that it is gone."""
        if time.monotonic() > self.deadline:
            self.overdue = True
            self._process.kill()

    def kill(self) -> None:
        """End it at once, without closing the connection that another thread may be reading."""
        self._process.kill()

    def end(self, *, patience: float = 0.0) -> int:
        """End it, at once or after some seconds, and return its exit status."""
        self.wire.close()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Pool:
    """A number of workers, each replaced when it ends.

    Parameters
    ----------
    make : callable
        Starts a worker.
    size : int
    """

    def __init__(self, make: Callable[[], Process], size: int) -> None:
        self._make, self.size = make, size
        self._lock = threading.Lock()
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._waiting: deque[Future[Process]] = deque()
        self._closed = threading.Event()
        self.restarts = 0
        started = [make() for _ in range(size)]
        try:
            for each in started:
                each.until_ready(_START)
        except BaseException:
            for each in started:
                each.end()
            raise
        self._idle += started
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._watcher.start()

    def take(self, wanted: Callable[[], bool], seconds: float) -> Process | None:
        """Wait for a worker, and return None once it is not wanted or after some seconds."""
        with self._lock:
            if self._closed.is_set():
                return None
            while self._idle:
                process = self._idle.pop()
                if process.alive():
                    self._busy.add(process)
                    return process
                self._replace(process)
            place: Future[Process] = Future()
            self._waiting.append(place)
        end = time.monotonic() + seconds
        while wanted() and time.monotonic() < end:
            with suppress(TimeoutError, CancelledError):
                return place.result(_WATCH)
            if place.cancelled():
                return None
        if not place.cancel():  # somebody has just given it one
            self.give(place.result())
        return None

    def give(self, process: Process, *, sound: bool = True) -> None:
        """Give a worker back; one that is not sound is ended and replaced."""
        process.deadline = float("inf")
        with self._lock:
            self._busy.discard(process)
            if not sound or process.overdue or not process.alive():
                self._replace(process)
            else:
                self._hand(process)

    def state(self) -> dict[str, int]:
        """Return how many workers there are, and how many callers wait."""
        with self._lock:
            return {
                "workers": len(self._idle) + len(self._busy),
                "idle": len(self._idle),
                "busy": len(self._busy),
                "waiting": sum(not place.cancelled() for place in self._waiting),
                "restarts": self.restarts,
            }

    def pids(self) -> list[int]:
        """Return the numbers of all processes."""
        with self._lock:
            return [each.pid for each in (*self._idle, *self._busy)]

    def close(self) -> None:
        """End every worker, and let nobody wait any more."""
        self._closed.set()
        with self._lock:
            for place in self._waiting:
                place.cancel()
            for process in self._busy:
                process.kill()
            idle, self._idle = self._idle, []
        for process in idle:
            process.end(patience=1.0)
        self._watcher.join()

    def _hand(self, process: Process) -> None:
        """Give a worker to who waits longest; the lock is held."""
        if self._closed.is_set():
            process.end()
            return
        while self._waiting:
            place = self._waiting.popleft()
            if place.set_running_or_notify_cancel():
                self._busy.add(process)
                place.set_result(process)
                return
        self._idle.append(process)

    def _replace(self, process: Process) -> None:
        """End a worker and start another one in its place; the lock is held."""
        status = process.end()
        if self._closed.is_set():
            return
        self.restarts += 1
        _LOG.warning("worker %d ended with status %d and is replaced", process.pid, status)
        threading.Thread(target=self._start, name="start worker", daemon=True).start()

    def _start(self) -> None:
        for seconds in chain(_AGAIN, repeat(_AGAIN[-1])):
            if self._closed.wait(seconds):
                return
            try:
                process = self._make()
                process.until_ready(_START)
            except (WatermarkError, RuntimeError, OSError) as error:
                _LOG.error("a worker cannot be started: %s", error)
                continue
            with self._lock:
                self._hand(process)
            return

    def _watch(self) -> None:
        """End workers that are overdue, and replace those that ended while they were idle."""
        while not self._closed.wait(_WATCH):
            with self._lock:
                for process in self._busy:
                    process.kill_if_overdue()
                for process in [each for each in self._idle if not each.alive()]:
                    self._idle.remove(process)
                    self._replace(process)
