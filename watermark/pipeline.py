"""Items handed on from thread to thread, in order, through short queues.

Whatever a thread raises is raised again where the items are taken out.  When the block is left,
for whatever reason, every thread has ended.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

__all__ = ["piped"]

_PATIENCE = 0.1  # seconds until a thread that waits looks whether it is still wanted
_END = object()


class _StoppedError(Exception):
    """Nobody wants the items any more."""


class _Failure:
    """What a thread raised, on its way to where the items are taken out."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Line:
    """A queue that those at both ends leave when they are told to stop."""

    def __init__(self, length: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(length)
        self._stop = stop

    def put(self, item: Any) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_PATIENCE)
                return
        raise _StoppedError

    def __iter__(self) -> Iterator[Any]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item
        raise _StoppedError


@contextlib.contextmanager
def piped(
    items: Iterable[Any], *steps: Callable[[Any], Any], length: int = 4
) -> Generator[Iterator[Any], None, None]:
    """Give an iterator over what becomes of `items`, each step and the source in its own thread.

    Parameters
    ----------
    items : iterable
        Iterated in a thread of its own.
    *steps : callable
        Each takes an item and returns another.
    length : int
        Items that wait between two threads, at most.
    """
    stop = threading.Event()
    line = _Line(length, stop)
    threads = [threading.Thread(target=_pump, args=(items, line), name="reader")]
    for step in steps:
        before, line = line, _Line(length, stop)
        threads.append(threading.Thread(target=_pump, args=(map(step, before), line)))
    try:
        for thread in threads:
            thread.start()
        yield iter(line)
    finally:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _pump(items: Iterable[Any], line: _Line) -> None:
    try:
        for item in items:
            line.put(item)
        line.put(_END)
    except _StoppedError:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken out
        with contextlib.suppress(_StoppedError):
            line.put(_Failure(error))
