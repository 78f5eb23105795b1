"""The engine of the service: uploads in, outcomes out, whatever happens on the way.

At most so many requests are taken as there are workers and places in the queue; one more is told to
come again.  A file on which a worker breaks down, or takes too long, costs that request alone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from server.outcome import Broken, Busy, Cancelled, Outcome, progress_of
from server.pool import Pool, Process, error_named
from server.settings import Settings
from server.spool import Upload
from watermark.errors import WatermarkError
from watermark.key import Key

__all__ = ["Broken", "Busy", "Cancelled", "Engine", "Outcome"]

_LOG = logging.getLogger("sukashi.engine")
_MOMENT = 0.2  # seconds between two looks at whether somebody still waits
_COUNTED = ("tasks", "refused", "crashes", "timeouts", "decoder_crashes")

OnProgress = Callable[[float | None, str], None]


class Engine:
    """Workers that detect, behind a bounded queue; safe to be called from many threads.

    Parameters
    ----------
    settings : Settings
    workers : int, optional
        How many, rather than as the settings say.
    nice : int
        By how much others on this machine go before them.

    Raises
    ------
    KeyFileError
        If a key file cannot be read.
    RegistryError
        If the workers cannot read the registry.
    RuntimeError
        If they do not start.
    """

    def __init__(self, settings: Settings, *, workers: int | None = None, nice: int = 0) -> None:
        keys = list(dict.fromkeys(Key.read(file) for file in settings.keys))
        self.fingerprints = tuple(key.fingerprint for key in keys)
        self._secrets = b"".join(key.secret for key in keys)
        self._setup = {
            "registry": settings.registry,
            "max_pixels": settings.max_pixels,
            "max_duration": settings.max_duration,
        }
        self._nice = nice
        self._task_seconds = settings.task_seconds
        size = workers or settings.workers
        self._places = size + settings.queue_length
        self._taken = 0
        self._changed = threading.Condition()
        self._closing = False
        self._counts = dict.fromkeys(_COUNTED, 0)
        self._mean = 0.5  # seconds of a task, lately
        self._number = 0
        self._pool = Pool(self._process, size)

    def _process(self) -> Process:
        return Process(self._setup, self._secrets, nice=self._nice)

    def detect(
        self,
        upload: Upload,
        *,
        search: Literal["fast", "full"] = "full",
        all_frames: bool = False,
        overlay: bool = False,
        evidence: bool = True,
        seconds: float | None = None,
        on_progress: OnProgress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Say which marks an upload carries.

        Parameters
        ----------
        upload : Upload
        search : str
            ``fast`` or ``full``, see `watermark.detect.searched`.
        all_frames : bool
            Whether a film is read to its end.
        overlay : bool
            Whether to draw what was found.
        evidence : bool
            Whether to pack the evidence.
        seconds : float, optional
            After which it is given up, rather than as the settings say.
        on_progress : callable, optional
            Told how far a film has come: a number from 0 to 1, or None, and words.
        cancelled : callable, optional
            Asked now and then whether to stop.

        Raises
        ------
        Busy
            If there is no room, or the engine is being closed.
        Broken
            If it cannot be done.
        Cancelled
            If `cancelled` said so.
        WatermarkError
            If the file or the registry cannot be read; no file is named in it.
        """
        ask = {
            "do": upload.kind,
            "path": str(upload.path),
            "search": search,
            "all_frames": all_frames,
            "overlay": overlay,
            "evidence": evidence,
        }
        said, parts, waited = self._ask(ask, seconds, on_progress, cancelled)
        width, height = said["size"]
        return Outcome(
            record=said["record"],
            size=(int(width), int(height)),
            frames=int(said["frames"]),
            evidence=parts.get("evidence"),
            overlay=parts.get("overlay"),
            profile=str(said["profile"]),
            seconds={"queue": waited, **said["seconds"]},
        )

    def recheck(
        self, items: Sequence[tuple[str, bytes, int, tuple[int, int]]]
    ) -> list[dict[str, Any] | WatermarkError]:
        """Decide anew on evidence that was kept.

        Parameters
        ----------
        items : sequence of (str, bytes, int, (int, int))
            Name, evidence, how often it was decided on, and width and height of the picture; as
            many as one worker can do in the time of one task.

        Returns
        -------
        list of dict or WatermarkError
            In order, what `watermark.record` says of it now, or why nothing can be said.

        Raises
        ------
        Busy, Broken
            As `detect`, for all of them.
        """
        ask = {"do": "recheck", "items": [[looks, size] for _, _, looks, size in items]}
        blobs = [blob for _, blob, _, _ in items]
        said, _, _ = self._ask(ask, None, None, None, *blobs)
        return [
            each["record"] if "record" in each else error_named(each["kind"], each["text"])
            for each in said["told"]
        ]

    def ready(self) -> bool:
        """Tell whether a worker is there, and requests are taken."""
        return not self._closing and self._pool.state()["workers"] > 0

    def state(self) -> dict[str, Any]:
        """Return numbers to watch: of workers, of requests that wait, and of what went wrong.

        ``workers`` ``idle`` ``busy`` ``waiting`` (for a worker), ``places`` (in all),
        ``taken`` (of them), and, counted since the start, ``tasks`` ``refused`` ``crashes``
        ``timeouts`` ``decoder_crashes`` ``restarts``.
        """
        return {**self._pool.state(), "places": self._places, "taken": self._taken, **self._counts}

    def pids(self) -> list[int]:
        """Return the numbers of the worker processes."""
        return self._pool.pids()

    def close(self, grace: float = 0.0) -> bool:
        """Take nothing more, wait for what was taken, and end the workers.

        Returns
        -------
        bool
            Whether all of it was finished within `grace` seconds.
        """
        with self._changed:
            self._closing = True
            finished = self._changed.wait_for(lambda: not self._taken, grace)
        self._pool.close()
        return finished

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._changed:
            if self._closing or self._taken >= self._places:
                self._counts["refused"] += 1
                ahead = max(1, self._taken - self._pool.size)
                raise Busy(min(60, max(1, math.ceil(self._mean * ahead / self._pool.size))))
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def _ask(
        self,
        ask: dict[str, Any],
        seconds: float | None,
        on_progress: OnProgress | None,
        cancelled: Callable[[], bool] | None,
        *blobs: bytes,
    ) -> tuple[dict[str, Any], dict[str, bytes], float]:
        """Give a task to a worker; return its answer, and the seconds until one was free."""
        limit = seconds or self._task_seconds
        stop = cancelled or (lambda: False)
        with self._place():
            began = time.monotonic()
            answer = None
            while answer is None:
                process = self._pool.take(lambda: not stop(), limit)
                waited = time.monotonic() - began
                if process is None:
                    if stop():
                        raise Cancelled
                    raise Busy(10)
                process.deadline = time.monotonic() + limit
                sound = False
                try:
                    answer = self._talk(process, ask | {"seconds": limit}, blobs, on_progress, stop)
                    sound = answer is not None
                except Broken:
                    self._count("timeouts" if process.overdue else "crashes")
                    raise
                finally:
                    self._pool.give(process, sound=sound)
            self._count("tasks")
            self._count("decoder_crashes", int(answer[0].get("decoders", 0)))
            self._mean += (time.monotonic() - began - waited - self._mean) / 16
        said, parts = answer
        if said["say"] == "cancelled":
            raise Cancelled
        if said["say"] == "error":
            raise error_named(said["kind"], said["text"])
        return said, dict(zip(said["parts"], parts, strict=True)), round(waited, 6)

    def _talk(
        self,
        process: Process,
        ask: dict[str, Any],
        blobs: tuple[bytes, ...],
        on_progress: OnProgress | None,
        stop: Callable[[], bool],
    ) -> tuple[dict[str, Any], list[bytes]] | None:
        """Have a worker do a task; None if it was gone before it took it."""
        with self._changed:
            self._number += 1
            task = self._number
        taken = told = False
        try:
            process.wire.send(ask | {"task": task}, *blobs)
            while True:
                if not process.wire.waiting(_MOMENT):
                    if stop() and not told:
                        process.wire.send({"do": "cancel", "task": task})
                        told = True
                    continue
                said, parts = process.wire.receive()
                if said["say"] == "taken":
                    taken = True
                elif said["say"] == "progress":
                    if on_progress is not None:
                        on_progress(*progress_of(said))
                elif said["say"] == "broken":
                    _LOG.error("a worker broke down: %s", said["text"])
                    raise Broken("this file cannot be worked on; convert it, or send another copy")
                else:
                    return said, parts
        except (EOFError, OSError, ValueError) as error:
            if process.overdue:
                raise Broken("this file takes too long; send a smaller part of it") from error
            if not taken:
                return None
            raise Broken("looking at this file broke down; send it again, or convert it") from error

    def _count(self, what: str, by: int = 1) -> None:
        with self._changed:
            self._counts[what] += by
