"""Jobs that outlive a request and a restart: the queue, and those who take from it.

The queue carries the id of a job and nothing else; what a job is and how far it has come lies in
the registry (`watermark.jobs`).  So an entry that is lost, or is there twice, does no harm: jobs
that wait although the queue is empty are put into it again, and of two that take a job one gets it.
"""

from __future__ import annotations

import json
import logging
import math
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from huey import RedisHuey, SqliteHuey
from huey.api import Huey
from huey.exceptions import HueyException
from huey.registry import Message
from redis.exceptions import RedisError

from server.answers import Answers
from server.engine import Broken, Busy, Cancelled, Engine
from server.problems import problem_of
from server.settings import Settings
from server.spool import Spool
from watermark.errors import RegistryError
from watermark.jobs import Job, Jobs

__all__ = ["Queue", "Taker"]

_LOG = logging.getLogger("sukashi.jobs")
_TASK = "detect"  # what the entries are called, in every version
_DOWN = (HueyException, RedisError, sqlite3.Error, OSError)
_SIGN = 2.0  # seconds between two signs of life of a job
_SILENT = 20.0  # seconds without one after which the worker of a job is taken to be gone
_ATTEMPTS = 3  # times a job is taken up whose worker goes


class _Plain:
    """Writes entries as JSON: whoever can write to the queue gives ids of jobs and no program."""

    def serialize(self, data: Message) -> bytes:
        """Return the entry of a job."""
        (job_id,) = data.args
        return json.dumps([data.id, data.name, str(job_id)]).encode()

    def deserialize(self, data: bytes) -> Message:
        """Return what `serialize` was given."""
        entry, name, job_id = map(str, json.loads(data))
        return Message(entry, name, retries=0, retry_delay=0, args=(job_id,), kwargs={})


_OPTIONS: dict[str, Any] = {"name": "sukashi", "results": False, "serializer": _Plain()}


class Queue:
    """The queue of jobs.

    Parameters
    ----------
    settings : Settings
        A Redis server, or else a file in the spool, which is on the machine that uses it alone.
    """

    def __init__(self, settings: Settings) -> None:
        self.huey: Huey
        if settings.queue:
            self.huey = RedisHuey(url=settings.queue, read_timeout=1, **_OPTIONS)
        else:
            settings.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = settings.spool_folder / "queue.sqlite"
            self.huey = SqliteHuey(filename=str(file), strict_fifo=True, **_OPTIONS)
        self._work: Callable[[str], None] = _nobody
        self._entry = self.huey.task(name=_TASK)(self._do)

    def put(self, job_id: str) -> None:
        """Add a job; where the queue is down, that is made up for when it is up again."""
        try:
            self._entry(job_id)
        except _DOWN as error:
            _LOG.warning("the queue cannot be reached (%s); %s waits for it", error, job_id)

    def length(self) -> int:
        """Return how many entries wait; none, as far as is known, where the queue is down."""
        try:
            return int(self.huey.pending_count())
        except _DOWN:
            return 0

    def serve(self, work: Callable[[str], None], workers: int, patience: float) -> Any:
        """Return a consumer that calls `work` with the id of each job.

        Parameters
        ----------
        work : callable
        workers : int
            Jobs worked on at a time, each in a thread.
        patience : float
            Seconds for which stopping waits for them.
        """
        self._work = work
        return self.huey.create_consumer(
            workers=workers, periodic=False, max_delay=1.0, shutdown_timeout=patience
        )

    def _do(self, job_id: str) -> None:
        self._work(job_id)


def _nobody(job_id: str) -> None:
    raise RuntimeError(f"nobody works on {job_id} in this process")


class Taker:
    """Takes jobs up and brings them to an end.

    Parameters
    ----------
    jobs : Jobs
    engine : Engine
    spool : Spool
    answers : Answers
    settings : Settings
    queue : Queue
    """

    def __init__(
        self,
        jobs: Jobs,
        engine: Engine,
        *,
        spool: Spool,
        answers: Answers,
        settings: Settings,
        queue: Queue,
    ) -> None:
        self._jobs, self._engine, self._spool = jobs, engine, spool
        self._answers, self._settings, self._queue = answers, settings, queue
        self._leaving = threading.Event()

    def take(self, job_id: str) -> None:
        """Work on a job, unless it has been taken, cancelled or forgotten."""
        try:
            job = self._jobs.claim(job_id)
            if job is not None:
                self._work(job)
        except RegistryError as error:
            # It stays as it is, and is taken up again when the registry is back.
            _LOG.warning("%s: %s", job_id, error)

    def leave(self) -> None:
        """Stop what is being worked on; others, or this one after a restart, take it up again."""
        self._leaving.set()

    def tidy(self) -> None:
        """Take up what was left lying, and remove what nobody asks for any more."""
        for job in self._jobs.unfinished(silent=_SILENT):
            if job.state != "running":
                continue
            if job.attempts >= _ATTEMPTS:
                gone = Broken(f"this file broke {_ATTEMPTS} workers; convert it, or send a part")
                if self._jobs.fail(job.id, problem_of(gone)) is not None:
                    self._spool.remove(job.upload)
            else:
                self._jobs.requeue(job)
        waiting = self._jobs.unfinished(silent=_SILENT)
        if not self._queue.length():
            for job in waiting:
                self._queue.put(job.id)
        kept = min(self._settings.job_days, self._settings.keep_days or math.inf)
        for job in self._jobs.forget(timedelta(days=kept)):
            self._spool.remove(job.upload)
        # A film that is worked on for days is still written down as a job.
        oldest = self._settings.job_seconds + 86400
        self._spool.sweep([job.upload for job in waiting], older_than=oldest)

    def _work(self, job: Job) -> None:
        options = job.options
        with _Signs(self._jobs, job.id, self._leaving) as signs:
            try:
                upload = self._spool.find(
                    job.upload, sha256=options["sha256"], name=options.get("name", "")
                )
                outcome = self._engine.detect(
                    upload,
                    search=options.get("search", "full"),
                    all_frames=bool(options.get("all")),
                    overlay=bool(options.get("overlay")),
                    evidence=self._answers.wants_evidence(job.by),
                    seconds=self._settings.job_seconds,
                    on_progress=signs.note,
                    cancelled=signs.unwanted,
                )
                if not signs.unwanted():
                    answer = self._answers.finish(outcome, upload, by=job.by)
                    if self._jobs.finish(job.id, answer) is None:  # cancelled in the last moment
                        self._answers.withdraw(answer)
            except (Cancelled, Busy):
                pass  # put back below, unless it was the caller who cancelled it
            except FileNotFoundError:
                gone = Broken("the upload is gone; send it again")
                self._jobs.fail(job.id, problem_of(gone))
            except RegistryError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
                _LOG.info("%s failed: %s", job.id, type(error).__name__)
                self._jobs.fail(job.id, problem_of(error))
        left = self._jobs.get(job.id)
        if left is not None and left.state == "running":
            self._jobs.requeue(left)
        elif left is None or left.ended:
            self._spool.remove(job.upload)


class _Signs:
    """Signs of life of one job, given by a thread of its own: a look at a film may take minutes."""

    def __init__(self, jobs: Jobs, job_id: str, leaving: threading.Event) -> None:
        self._jobs, self._id, self._leaving = jobs, job_id, leaving
        self._at: tuple[float | None, str] = (None, "")
        self._over, self._cancelled = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._give, name=job_id, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def note(self, value: float | None, text: str) -> None:
        """Note how far it is; the next sign tells."""
        self._at = (value, text)

    def unwanted(self) -> bool:
        """Tell whether to stop."""
        return self._cancelled.is_set() or self._leaving.is_set()

    def _give(self) -> None:
        while not self._over.wait(_SIGN):
            try:
                if not self._jobs.progress(self._id, *self._at):
                    self._cancelled.set()
                    return
            except RegistryError as error:
                _LOG.warning("%s: no sign of life (%s)", self._id, error)
