"""Work spread over a Ray cluster, with a set-up that Ray never gets to read.

Ray keeps what it passes on: the arguments of an actor stand in its control store, large values in
shared memory and on disk, and its connections are open unless somebody set up TLS.
So what workers need to know, such as a detector's key, is sealed to each of them
(`watermark.seat`), and Ray carries what only that worker's memory can open.

A worker has one task at a time, and no task is given out before somebody has taken what was done,
so what is under way is bounded by the number of workers.
There is one for each processor of the cluster, also of nodes that come later.
A worker that dies, with its node or by its task, is replaced, and its task is given to another.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from watermark.cluster import connected
from watermark.errors import EngineError, WatermarkError
from watermark.seat import Make, Seat, sealed

__all__ = ["Crew", "Lost"]

_TRIES = 3  # workers that a task may cost
_DEATHS = 6  # of workers in a row, without a task done in between, that are no accident
_PATIENCE = 600.0  # seconds without any worker: a cluster may have to start machines
_GROWTH = 5.0  # seconds between two looks at how large the cluster is
_MOMENT = 1.0  # seconds after which Ctrl-C is heeded, and the cluster looked at
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_END: Any = object()  # behind the last task

Task = TypeVar("Task")


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in the place of an answer where a task has cost several workers their lives.

    Parameters
    ----------
    tries : int
        How many.
    reason : str
        Of the last death, in one line.
    """

    tries: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Job:
    """A task, and how many workers it has cost so far."""

    task: Any
    cost: int = 0


@dataclass(slots=True, eq=False)
class _Member:
    """A worker, what it was asked last, and the job it is on."""

    actor: Any
    asked: Any  # None while it has nothing to do
    ready: bool = False  # whether it has the set-up
    job: _Job | None = None


class _Death(Exception):
    """A worker is there no more."""


class Crew:
    """Workers on a Ray cluster; a context manager.

    The cluster is the one that ``RAY_ADDRESS`` names, or that was started on this machine, or else
    one is started for as long as this runs.

    Parameters
    ----------
    make : callable
        A function of a module that all nodes have: it takes `secret` and returns what does a task.
    secret : bytes
        What workers need to know.
    size : int, optional
        How many workers at most; by default one for each processor of the cluster.
    tries : int
        How many workers a task may cost before it is given up as `Lost`.
    processors : int
        Of a worker, if machines have as many.
    address : str, optional
        Of the cluster.

    Raises
    ------
    EngineError
        If Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(
        self,
        make: Make,
        secret: bytes,
        *,
        size: int | None = None,
        tries: int = _TRIES,
        processors: int = 1,
        address: str | None = None,
    ) -> None:
        self._ray, self._ours = connected(address)
        self._seat = self._ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(
            Seat
        )
        self._make, self._secret = make, secret
        self._most, self._tries, self._processors = size, tries, processors
        self._members: list[_Member] = []
        self._room, self._due = 0, 0.0  # for workers, and when to look again
        self._each = 1  # processors of a worker
        self._deaths = 0  # since a task was done
        self._heard = time.monotonic()  # when a worker last answered

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def ready(self) -> int:
        """How many workers are ready or at work."""
        return sum(member.ready for member in self._members)

    def close(self) -> None:
        """Send all workers home, and leave the cluster."""
        for member in self._members:
            self._ray.kill(member.actor)
        self._members.clear()
        if self._ours:
            self._ray.shutdown()

    def done(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """Yield each task with its answer or `Lost`, in the order in which they are done.

        Raises
        ------
        WatermarkError
            What a task or setting up a worker raised; nothing more is done then.
        EngineError
            If there is no worker, or each new one dies.
        """
        source = iter(tasks)
        following = next(source, _END)
        again: deque[_Job] = deque()
        self._heard = time.monotonic()
        while again or following is not _END or any(each.job for each in self._members):
            self._grow()
            for member in self._members:
                if not member.ready or member.job is not None:
                    continue
                if again:
                    self._ask(member, again.popleft())
                elif following is not _END:
                    self._ask(member, _Job(following))
                    following = next(source, _END)
                else:
                    break
            for member in self._answered():
                job, member.job = member.job, None
                try:
                    answer = self._answer_of(member)
                except _Death as death:
                    self._mourn(member, death)
                    if job is None:
                        continue
                    if job.cost + 1 < self._tries:
                        again.append(_Job(job.task, job.cost + 1))
                        continue
                    answer = Lost(job.cost + 1, str(death))
                else:
                    if job is None:
                        self._welcome(member, answer)
                        continue
                    self._deaths = 0
                yield job.task, answer

    def _grow(self) -> None:
        """Have as many workers as the cluster has processors for now."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _GROWTH
            nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            sizes = [int(resources.get("CPU", 0)) for resources in nodes]
            self._each = max(1, min(self._processors, max(sizes, default=1)))
            self._room = sum(size // self._each for size in sizes)
        # One is asked for even where there is no room: that is what makes a cluster grow.
        wanted = max(1, self._room if self._most is None else min(self._room, self._most))
        while len(self._members) < wanted:
            seat = self._seat.options(num_cpus=self._each)
            actor = seat.remote(self._make, str(Path.cwd()), self._each)
            self._members.append(_Member(actor, actor.public.remote()))

    def _ask(self, member: _Member, job: _Job) -> None:
        member.job = job
        member.asked = member.actor.do.remote(job.task)

    def _answered(self) -> Iterator[_Member]:
        """Yield the workers that have answered since this was last asked; wait a moment for one."""
        asked = {each.asked: each for each in self._members if each.asked is not None}
        done, _ = self._ray.wait([*asked], num_returns=1, timeout=_MOMENT)
        if done:
            done, _ = self._ray.wait([*asked], num_returns=len(asked), timeout=0)
            self._heard = time.monotonic()
        elif not self.ready and time.monotonic() - self._heard > _PATIENCE:
            raise EngineError(
                "no worker of the Ray cluster came up; see with 'ray status' whether it has a "
                "free processor"
            )
        yield from (asked[each] for each in done)

    def _answer_of(self, member: _Member) -> Any:
        asked, member.asked = member.asked, None
        errors = self._ray.exceptions
        try:
            return self._ray.get(asked)
        except errors.RayTaskError as error:
            if isinstance(error.cause, WatermarkError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            raise _Death(_reason(str(error))) from error

    def _welcome(self, member: _Member, answer: bytes | None) -> None:
        """Take the next step with a worker that is new: give it the set-up, or work."""
        if answer is None:
            member.ready = True
            return
        member.asked = member.actor.open.remote(sealed(self._secret, answer))

    def _mourn(self, member: _Member, death: _Death) -> None:
        self._members.remove(member)
        self._due = 0.0  # its node may be gone
        self._deaths += 1
        if self._deaths >= max(_DEATHS, 2 * len(self._members)):
            raise EngineError(
                f"workers of the Ray cluster die one after the other ({death}); "
                "see their logs, and that all nodes have this version of sukashi"
            )


def _reason(text: str) -> str:
    """Return in one line why a worker died."""
    lines = [line for line in _COLOUR.sub("", text).splitlines() if line.strip()] or ["it is gone"]
    # Behind its first line, the death of a worker has numbers; an error of Python ends with it.
    return lines[-1 if "creation task" in lines[0] else 0].strip()
