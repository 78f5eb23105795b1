"""What is measured: speed beside the library, overload, and memory over many requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice, takewhile
from typing import Any

import numpy as np

from bench.service.files import Sample
from bench.service.library import Library, Told
from bench.service.load import Client, Tally, at_rate, in_turn, quantiles
from bench.service.serving import Server
from watermark.detect import Search

__all__ = ["House", "grown", "overload", "ratio"]

Line = dict[str, Any]

_SETTLE = 2.0  # seconds after the last answer, before memory is read
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """What a measurement has: a service, a client, the library, and files.

    Parameters
    ----------
    server : Server
    client : Client
    library : Library
    samples : sequence of Sample
    workers : int
        Of the service and of the library each.
    """

    server: Server
    client: Client
    library: Library
    samples: Sequence[Sample]
    workers: int

    def expected(self, search: Search) -> dict[str, Told]:
        """Return what the library tells of each file, by its name."""
        told = self.library.loop([each.path for each in self.samples], search)[2]
        return {path.name: each for path, each in told.items()}

    def many(self, count: int) -> list[Sample]:
        """Return so many files, each in its turn."""
        return list(islice(cycle(self.samples), count))


def ratio(house: House, *, search: Search, requests: int, rounds: int) -> Line:
    """Let library and service look at the same files in turn, and compare them.

    What is compared is the median over the rounds, since other programs on the machine slow some.
    """
    tally = Tally(house.expected(search))
    files = house.many(requests)
    send = partial(house.client.send, search=search)
    list(in_turn(send, house.many(2 * house.workers), clients=house.workers))  # to warm up
    before = house.client.counted()
    rates: list[tuple[float, float]] = []
    medians: list[tuple[float, float]] = []
    for _ in range(rounds):
        whole, each, _ = house.library.loop([file.path for file in files], search)
        start = time.perf_counter()
        replies = list(in_turn(send, files, clients=house.workers))
        over = time.perf_counter() - start
        for reply in replies:
            tally.add(reply)
        rates.append((requests / whole, requests / over))
        medians.append((quantiles(each)[0], quantiles([reply.seconds for reply in replies])[0]))
    library, service = np.median(rates, axis=0)
    p50_library, p50_service = np.median(medians, axis=0)
    return {
        "what": "ratio",
        "search": search,
        "requests": requests,
        "rounds": rounds,
        "library_rate": float(library),
        "service_rate": float(service),
        "rate_ratio": float(np.median([there / here for here, there in rates])),
        "library_p50": float(p50_library),
        "service_p50": float(p50_service),
        "p50_ratio": float(np.median([there / here for here, there in medians])),
        "stages": _stages(before, house.client.counted()),
        "lost": tally.lost + tally.refused,
        "wrong": tally.wrong,
        "problems": tally.problems,
    }


def _stages(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return the mean seconds of each stage of a detection between two looks at the metrics."""
    name = "sukashi_stage_seconds"
    stages = [each.rpartition(" ")[2] for each in after if each.startswith(f"{name}_sum ")]

    def grown_by(what: str, stage: str) -> float:
        full = f"{name}_{what} {stage}"
        return after[full] - before.get(full, 0.0)

    return {stage: grown_by("sum", stage) / max(1, grown_by("count", stage)) for stage in stages}


def overload(
    house: House, *, search: Search, seconds: float, calibration: float, factor: float = 2.0
) -> Line:
    """Find the rate that can be kept up, then send at twice that rate."""
    tally = Tally(house.expected(search))
    sustained = _sustained(house, search, calibration)
    time.sleep(_SETTLE)
    before = house.server.memory()
    marks: list[int] = []
    again = time.perf_counter() + _MINUTE

    def send(sample: Sample, due: float) -> Any:
        return house.client.send(sample, search, due=due)

    start = time.perf_counter()
    for reply in at_rate(send, house.samples, rate=factor * sustained, seconds=seconds):
        tally.add(reply)
        if time.perf_counter() > again:
            marks.append(house.server.memory())
            again += _MINUTE
    over = time.perf_counter() - start
    time.sleep(_SETTLE)
    return {
        "what": "overload",
        "search": search,
        "seconds": over,
        "sustained": sustained,
        "offered": factor * sustained,
        "served": len(tally.seconds) / over,
        "rss_start": before,
        "rss_each_minute": marks,
        "rss_end": house.server.memory(),
        "alive": house.server.alive(),
        **tally.line(),
    }


def _sustained(house: House, search: Search, seconds: float) -> float:
    """Return the requests a second while every worker always has the next one waiting."""
    end = time.perf_counter() + seconds
    clients = house.workers + 1
    files = takewhile(lambda _: time.perf_counter() < end, cycle(house.samples))
    send = partial(house.client.send, search=search)
    start = time.perf_counter()
    replies = in_turn(send, files, clients=clients)
    done = sum(reply.told is not None for reply in replies)
    if not done:
        raise RuntimeError("the service answered nothing while its speed was measured")
    return done / (time.perf_counter() - start)


def grown(house: House, *, search: Search, counts: Sequence[int]) -> list[Line]:
    """Send requests, and read the service's memory after so many of them."""
    tally = Tally(house.expected(search))
    send = partial(house.client.send, search=search)
    lines: list[Line] = []
    sent = 0
    for count in sorted(counts):
        files = islice(cycle(house.samples), sent, count)
        for reply in in_turn(send, files, clients=house.workers):
            tally.add(reply)
        sent = count
        time.sleep(_SETTLE)
        rss = house.server.memory()
        first = lines[0]["rss"] if lines else rss
        lines.append(
            {
                "what": "memory",
                "search": search,
                "requests": count,
                "rss": rss,
                "growth": rss / first - 1,
                "alive": house.server.alive(),
                **tally.line(),
            }
        )
    return lines
