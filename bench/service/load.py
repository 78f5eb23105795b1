"""Sending: as many clients as one likes, each waiting for its answer, or at a rate, come what may.

Nothing is sent again.  A request that gets no answer, or one that is neither 200 nor a 503 with
``Retry-After``, is lost; one that is told otherwise than the library says is answered wrongly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, TypeVar

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from bench.service.files import Sample
from bench.service.library import Told, told_by
from bench.service.serving import Server
from watermark.detect import Search

__all__ = ["Client", "Reply", "Tally", "at_rate", "client", "in_turn", "quantiles"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_TIMEOUT = 180.0  # seconds; the service gives a picture up after 120
_THREADS = 96  # requests on their way at a time; the service takes far fewer


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Parameters
    ----------
    sample : Sample
    status : int
        Of HTTP; 0 where nothing came.
    seconds : float
        From sending to the whole of the answer.
    told : Told or None
        With a status of 200.
    retry : bool
        Whether it says when to come again.
    late : float
        Seconds by which it was sent after its time.
    problem : str
        What went wrong, in words.
    """

    sample: Sample
    status: int
    seconds: float
    told: Told | None = None
    retry: bool = False
    late: float = 0.0
    problem: str = ""


class Client:
    """Sends files to a service; made by `client`, and used by many threads."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def send(self, sample: Sample, search: Search, *, due: float | None = None) -> Reply:
        """Send a file and wait for the answer."""
        start = time.perf_counter()
        late = 0.0 if due is None else start - due
        try:
            answer = self.http.post(
                "/v1/detect",
                params={"search": search},
                content=sample.data,
                headers={"Content-Type": "application/octet-stream"},
            )
        except httpx.HTTPError as error:
            seconds = time.perf_counter() - start
            return Reply(sample, 0, seconds, late=late, problem=f"{type(error).__name__}: {error}")
        seconds = time.perf_counter() - start
        told, problem = None, ""
        if answer.status_code == httpx.codes.OK:
            told = told_by(answer.json())
        else:
            problem = answer.text[:300]
        retry = "Retry-After" in answer.headers
        return Reply(sample, answer.status_code, seconds, told, retry, late, problem)

    def counted(self) -> dict[str, float]:
        """Return the service's own metrics by name, that of the stage after a space."""
        families = text_string_to_metric_families(self.http.get("/metrics").text)
        return {
            " ".join(filter(None, (each.name, each.labels.get("stage")))): each.value
            for family in families
            for each in family.samples
        }


@contextmanager
def client(server: Server) -> Iterator[Client]:
    """Give a client with the token of the service's present run."""
    # A connection is given up before the service does so, so that no request meets a closed one.
    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.0
    )
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(
        base_url=server.address,
        headers=headers,
        timeout=_TIMEOUT,
        limits=limits,
        verify=False,  # noqa: S501 - nothing is encrypted here
        trust_env=False,
    ) as http:
        yield Client(http)


@dataclass(slots=True)
class Tally:
    """What became of requests.

    Parameters
    ----------
    expected : dict
        What the library tells of each file, by the name of its path.
    """

    expected: dict[str, Told]
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    late: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, reply: Reply) -> None:
        """Count one."""
        self.late = max(self.late, reply.late)
        name = reply.sample.path.name
        if reply.told is not None:
            self.seconds.append(reply.seconds)
            if reply.told != self.expected[name]:
                self.wrong += 1
                self._tell(f"{name}: {reply.told}, not {self.expected[name]}")
        elif reply.status == httpx.codes.SERVICE_UNAVAILABLE and reply.retry:
            self.refused += 1
        else:
            self.lost += 1
            self._tell(f"{name}: {reply.status} {reply.problem}")

    def _tell(self, problem: str) -> None:
        if len(self.problems) < 10:
            self.problems.append(problem)

    def line(self) -> dict[str, Any]:
        """Return what goes into a line of the run."""
        p50, p99 = quantiles(self.seconds)
        return {
            "accepted": len(self.seconds),
            "refused": self.refused,
            "lost": self.lost,
            "wrong": self.wrong,
            "p50": p50,
            "p99": p99,
            "late": self.late,
            "problems": self.problems,
        }


def quantiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, or nan of nothing."""
    if not seconds:
        return float("nan"), float("nan")
    return float(np.quantile(seconds, 0.5)), float(np.quantile(seconds, 0.99))


def in_turn(
    send: Callable[[Item], Result], items: Iterable[Item], *, clients: int
) -> Iterator[Result]:
    """Send files from so many clients, each of which waits for its answer before the next.

    Files are taken as clients are free, so `items` may be endless or end by the clock.
    """
    with ThreadPoolExecutor(clients) as pool:
        feed = iter(items)
        waiting = {pool.submit(send, each) for each in islice(feed, clients)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            waiting |= {pool.submit(send, each) for each in islice(feed, len(done))}
            yield from (each.result() for each in done)


def at_rate(
    send: Callable[[Sample, float], Reply],
    samples: Sequence[Sample],
    *,
    rate: float,
    seconds: float,
) -> Iterator[Reply]:
    """Send files at a rate, whether or not answers have come, and give all replies."""
    start = time.perf_counter()
    waiting: list[Future[Reply]] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, sample in enumerate(cycle(samples)):
            due = start + number / rate
            if due >= start + seconds:
                break
            time.sleep(max(0.0, due - time.perf_counter()))
            waiting.append(pool.submit(send, sample, due))
            if len(waiting) > 4 * _THREADS:
                done = {each for each in waiting if each.done()}
                waiting = [each for each in waiting if each not in done]
                yield from (each.result() for each in done)
        yield from (each.result() for each in waiting)
