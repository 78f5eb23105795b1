"""Jobs: files too large to be looked at within one request.

The state of a job lies here and not in the queue, so it outlives a restart and any machine may
ask for it.
Each change is one statement that names the state it starts from: of two workers that want the
same job one gets it, and a cancelled job stays cancelled.

    queued → running → done
       ↑        │    ↘ failed
       └────────┘         (a worker that gave no sign of life for a while)
    queued, running → cancelled
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from watermark.ids import timed_id
from watermark.registry import Registry

__all__ = ["ENDED", "STATES", "Job", "Jobs"]

STATES = ("queued", "running", "done", "failed", "cancelled")
ENDED = ("done", "failed", "cancelled")

_JOBS = sa.table(
    "jobs",
    *(sa.column(name, sa.Text) for name in ("id", "created_at", "updated_at", "state")),
    sa.column("attempts", sa.BigInteger),
    sa.column("progress", sa.Float),
    *(
        sa.column(name, sa.Text)
        for name in ("stage", "options", "result", "problem", "upload", "caller")
    ),
)
_SILENT = 60.0  # seconds; a running worker gives a sign of life every few


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Parameters
    ----------
    id : str
        Sorts by time, and cannot be guessed.
    created_at, updated_at : str
        UTC, ISO 8601, to the microsecond; a worker's signs of life are updates.
    state : {'queued', 'running', 'done', 'failed', 'cancelled'}
    attempts : int
        How many workers took it up.
    progress : float or None
        Share that is done, 0 to 1, where it is known.
    text : str
        What is being done, in a few words.
    options : dict
        How to look at the file.
    result, problem : dict or None
        What was found, or why it failed.
    upload : str
        Name of the file in the spool.
    by : str
        Id of a token, or ``anonymous``.
    """

    id: str
    created_at: str
    updated_at: str
    state: str
    attempts: int
    progress: float | None
    text: str
    options: dict[str, Any]
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    upload: str
    by: str

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


class Jobs:
    """The jobs in a registry; every method is one short transaction."""

    def __init__(self, registry: Registry) -> None:
        self._database = registry.database

    def add(self, upload: str, options: dict[str, Any], by: str) -> Job:
        """Write down a job that waits for a worker."""
        at = datetime.now(UTC)
        values = {
            "id": timed_id("j-", at),
            "created_at": _written(at),
            "updated_at": _written(at),
            "state": "queued",
            "attempts": 0,
            "progress": None,
            "stage": "",
            "options": json.dumps(options),
            "result": None,
            "problem": None,
            "upload": upload,
            "caller": by,
        }
        with self._database.writing(alone=False) as connection:
            row = connection.execute(sa.insert(_JOBS).values(**values).returning(*_JOBS.c)).one()
        return _to_job(row)

    def get(self, job_id: str) -> Job | None:
        """Return the job with this id, if there is one."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(_JOBS).where(_JOBS.c.id == job_id)).first()
        return _to_job(row) if row else None

    def claim(self, job_id: str) -> Job | None:
        """Take up a queued job; None if it is not queued, as when another worker was first."""
        return self._change(
            job_id, ("queued",), state="running", attempts=_JOBS.c.attempts + 1, progress=None
        )

    def progress(self, job_id: str, value: float | None, text: str = "") -> bool:
        """Note how far a job is, which is also a sign of life; False means: stop."""
        return self._change(job_id, ("running",), progress=value, stage=text) is not None

    def finish(self, job_id: str, result: dict[str, Any]) -> Job | None:
        """End a running job with what was found; None if it was cancelled meanwhile."""
        told = json.dumps(result)
        return self._change(job_id, ("running",), state="done", progress=1.0, result=told)

    def fail(self, job_id: str, problem: dict[str, Any]) -> Job | None:
        """End a job with the reason why it failed; None if it had ended already."""
        told = json.dumps(problem)
        return self._change(job_id, ("queued", "running"), state="failed", problem=told)

    def cancel(self, job_id: str) -> Job | None:
        """End a job unless it has ended, and return it as it is now; None if there is none.

        Its worker notices at its next `progress`.
        """
        return self._change(job_id, ("queued", "running"), state="cancelled") or self.get(job_id)

    def count(self) -> dict[str, int]:
        """Return how many jobs are in each state; those that were forgotten are not counted."""
        with self._database.reading() as connection:
            asked = sa.select(_JOBS.c.state, sa.func.count()).group_by(_JOBS.c.state)
            found = {str(state): int(number) for state, number in connection.execute(asked)}
        return {state: found.get(state, 0) for state in STATES}

    def unfinished(self, *, silent: float = _SILENT) -> list[Job]:
        """Return, oldest first, the jobs that need a worker.

        These are the queued ones, and the running ones whose worker gave no sign of life for
        `silent` seconds; after a restart of the only worker, 0 is right.
        """
        silence = _written(datetime.now(UTC) - timedelta(seconds=silent))
        lost = (_JOBS.c.state == "running") & (_JOBS.c.updated_at <= silence)
        query = sa.select(_JOBS).where((_JOBS.c.state == "queued") | lost).order_by(_JOBS.c.id)
        with self._database.reading() as connection:
            return [_to_job(row) for row in connection.execute(query)]

    def requeue(self, job: Job) -> Job | None:
        """Let another worker take up a job whose worker is gone; None if it is not gone."""
        unchanged = _JOBS.c.updated_at == job.updated_at
        return self._change(job.id, ("running",), unchanged, state="queued", progress=None)

    def forget(self, older_than: timedelta) -> list[Job]:
        """Remove the jobs that ended longer ago than this, and return them."""
        before = _written(datetime.now(UTC) - older_than)
        old = _JOBS.c.state.in_(ENDED) & (_JOBS.c.updated_at < before)
        with self._database.writing(alone=False) as connection:
            rows = connection.execute(sa.delete(_JOBS).where(old).returning(*_JOBS.c))
            return [_to_job(row) for row in rows]

    def _change(
        self,
        job_id: str,
        states: tuple[str, ...],
        condition: sa.ColumnElement[bool] | None = None,
        **values: Any,
    ) -> Job | None:
        """Change a job that is in one of `states`, in one statement."""
        this = (_JOBS.c.id == job_id) & _JOBS.c.state.in_(states)
        if condition is not None:
            this &= condition
        values["updated_at"] = _written(datetime.now(UTC))
        change = sa.update(_JOBS).where(this).values(**values).returning(*_JOBS.c)
        with self._database.writing(alone=False) as connection:
            row = connection.execute(change).first()
        return _to_job(row) if row else None


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _to_job(row: Any) -> Job:
    return Job(
        id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        state=row.state,
        attempts=row.attempts,
        progress=row.progress,
        text=row.stage,
        options=json.loads(row.options),
        result=None if row.result is None else json.loads(row.result),
        problem=None if row.problem is None else json.loads(row.problem),
        upload=row.upload,
        by=row.caller,
    )
