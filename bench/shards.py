"""Splitting a run, going on with one, and saying beforehand how long it will take.

A picture belongs to a shard by its SHA-256 alone, so shards are disjoint and together complete
whatever else is in the folder, and a picture that is added moves no other one.  The parts of a run
are files of JSON lines, which ``python -m bench report`` reads together.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from scipy.stats import t as student

__all__ = [
    "QUICK",
    "WHOLE",
    "Estimate",
    "Hashed",
    "Quick",
    "Shard",
    "Timings",
    "add_options",
    "finished",
    "left",
    "mine",
    "spoken",
]

_TRIAL = ("system", "visibility", "kind", "family", "attack", "strength", "sha256", "draw")


class Hashed(Protocol):
    """Something that is named by the SHA-256 of its contents, as `bench.corpus.Picture` is."""

    @property
    def sha256(self) -> str:
        """64 hex digits."""


Item = TypeVar("Item", bound=Hashed)


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of a run.

    Parameters
    ----------
    index : int
        From 1.
    count : int

    Raises
    ------
    ValueError
        If there is no such part.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"there is no shard {self.index} of {self.count}; they count from 1")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/5``.

        Raises
        ------
        ValueError
            If it is not of that form.
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise ValueError(f"{text!r} is no shard; the second of five is 2/5")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def holds(self, sha256: str) -> bool:
        """Whether a picture is in it."""
        return int(sha256, 16) % self.count == self.index - 1


WHOLE = Shard(1, 1)


def mine(items: Iterable[Item], shard: Shard) -> tuple[Item, ...]:
    """Return those of a shard, in their order."""
    return tuple(item for item in items if shard.holds(item.sha256))


def finished(rows: Iterable[Mapping[str, Any]]) -> frozenset[tuple[Any, ...]]:
    """Return which trials stand in rows already, those that ended in an error among them.

    A trial is (system, visibility, kind, family, attack, strength, sha256, draw), with None for
    what the row does not say.
    """
    return frozenset(tuple(row.get(name) for name in _TRIAL) for row in rows)


def left(
    trials: Sequence[Mapping[str, Any]], done: frozenset[tuple[Any, ...]]
) -> tuple[Mapping[str, Any], ...]:
    """Return the trials, given as the names of their rows, that are not finished."""
    return tuple(each for each in trials if tuple(each.get(n) for n in _TRIAL) not in done)


@dataclass(frozen=True, slots=True)
class Quick:
    """A run to see that everything works; its figures are not to be published.

    Parameters
    ----------
    pictures : int
        How many, those with the smallest hashes: the same in every quick run.
    draws : int
    seconds : float
        What it must end within, on two cores.
    """

    pictures: int = 1
    draws: int = 1
    seconds: float = 300.0

    def of(self, items: Iterable[Item]) -> tuple[Item, ...]:
        """Return the few items, in their order."""
        every = tuple(items)
        smallest = sorted({item.sha256 for item in every})[: self.pictures]
        return tuple(item for item in every if item.sha256 in smallest)


QUICK = Quick()


@dataclass(slots=True)
class Timings:
    """Seconds that timed trials of each kind took; a kind is whatever costs about the same.

    Parameters
    ----------
    clock : function
        Seconds, from any moment on.
    """

    clock: Callable[[], float] = time.perf_counter
    _seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, kind: str, seconds: float) -> None:
        """Count one more trial."""
        self._seconds.setdefault(kind, []).append(seconds)

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Time one trial; one that raises is not counted."""
        start = self.clock()
        yield
        self.add(kind, self.clock() - start)

    def of(self, kind: str) -> tuple[float, ...]:
        """Return the seconds of a kind."""
        return tuple(self._seconds.get(kind, ()))


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long what is left will take.

    Parameters
    ----------
    seconds : float
        The mean of each kind's timed trials, times how many are left, over the processes.
    reach : float
        Half the 95 % interval of it, seconds, by Student's t with as many degrees of freedom as the
        least timed kind has; infinite if one was timed once only.
    trials : int
        What is left.
    untimed : tuple of str
        Kinds with trials left of which none was timed; they are not in `seconds`.
    """

    seconds: float
    reach: float
    trials: int
    untimed: tuple[str, ...] = ()

    @classmethod
    def of(cls, left: Mapping[str, int], timings: Timings, *, jobs: int = 1) -> Estimate:
        """Estimate from timed trials.

        Parameters
        ----------
        left : mapping of kind to number of trials
        timings : Timings
        jobs : int
            Processes side by side, each as fast as the one that was timed.
        """
        seconds, variance, freedom, untimed = 0.0, 0.0, math.inf, []
        for kind, trials in left.items():
            timed = timings.of(kind)
            if trials <= 0:
                continue
            if not timed:
                untimed.append(kind)
                continue
            mean = math.fsum(timed) / len(timed)
            seconds += trials * mean
            freedom = min(freedom, len(timed) - 1)
            if len(timed) == 1:
                continue
            spread = math.fsum((each - mean) ** 2 for each in timed) / (len(timed) - 1)
            # That of the mean, and that of the trials that are still to come.
            variance += spread * (trials**2 / len(timed) + trials)
        return cls(
            seconds / jobs,
            _student(freedom) * math.sqrt(variance) / jobs if freedom else math.inf,
            sum(max(0, trials) for trials in left.values()),
            tuple(untimed),
        )

    def __str__(self) -> str:
        text = f"{self.trials:,} trials, about {spoken(self.seconds)}"
        if math.isfinite(self.reach):
            low, high = max(0.0, self.seconds - self.reach), self.seconds + self.reach
            text += f" ({spoken(low)} to {spoken(high)})"
        if self.untimed:
            text += f", and what {', '.join(self.untimed)} takes, of which none was timed"
        return text


def _student(freedom: float) -> float:
    return float(student.ppf(0.975, freedom)) if math.isfinite(freedom) else 0.0


def spoken(seconds: float) -> str:
    """Return a duration for people: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command ``--shard``, ``--quick`` and ``--resume``."""
    parser.add_argument(
        "--shard",
        type=Shard.parse,
        default=WHOLE,
        metavar="I/N",
        help="only the i-th of n parts of the pictures",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one picture, to see that everything works; not for figures",
    )
    parser.add_argument("--resume", action="store_true", help="keep what --out holds of this run")
