"""What the service counts, in the words of Prometheus.

With several HTTP processes their counts are added up through the folder that
``PROMETHEUS_MULTIPROC_DIR`` names, which has to be set before this module is loaded.  What the
engine of each knows is then noted there every second, so that any of them can tell of all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["FOLDER", "Metrics"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # where several processes add up

# When a count began is nothing that anybody watches.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
_EVERY = 1.0  # seconds between two notes of what an engine knows, for other processes to tell
_SECONDS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30, 60, 120)
_GAUGES = {
    "workers": "Workers that are alive.",
    "busy": "Workers with a task.",
    "waiting": "Requests that wait for a worker.",
    "places": "Requests that are taken at most.",
    "taken": "Requests that were taken and are not answered yet.",
}
_COUNTS = {
    "refused": "Requests that were told to come again, since all places were taken.",
    "crashes": "Uploads on which a worker broke down.",
    "decoder_crashes": "Pictures on which a decoder broke down.",
    "timeouts": "Uploads that took too long.",
    "restarts": "Workers that were started anew.",
}


class Watched(Protocol):
    """Something with a state to watch, as the engine has."""

    def state(self) -> dict[str, Any]:
        """Return numbers by name."""
        ...


class Metrics:
    """The counts of one application.

    Parameters
    ----------
    engine : Watched
        Asked when the counts are.
    """

    def __init__(self, engine: Watched) -> None:
        self._own = CollectorRegistry()
        self._state = _State(engine, self._own)
        self.requests = Counter(
            "sukashi_requests",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self._own,
        )
        self.latency = Histogram(
            "sukashi_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._own,
        )
        self.stages = Histogram(
            "sukashi_stage_seconds",
            "Of each stage of a detection.",
            ("stage",),
            buckets=_SECONDS,
            registry=self._own,
        )
        self.verdicts = Counter(
            "sukashi_verdicts",
            "Files that were looked at.",
            ("kind", "verdict"),
            registry=self._own,
        )
        self.uploaded = Counter(
            "sukashi_uploaded_bytes", "Bytes of files that were looked at.", registry=self._own
        )

        self.forgotten = Counter(
            "sukashi_forgotten",
            "Sightings that were deleted, being older than they are kept.",
            registry=self._own,
        )
        if FOLDER in os.environ:
            threading.Thread(target=self._go_on_noting, name="metrics", daemon=True).start()

    def looked(self, kind: str, size: int, verdict: str, seconds: dict[str, float]) -> None:
        """Count a file that was looked at."""
        self.verdicts.labels(kind, verdict).inc()
        self.uploaded.inc(size)
        for stage, took in seconds.items():
            self.stages.labels(stage).observe(took)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests.labels(method, route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def text(self, jobs: Mapping[str, int]) -> bytes:
        """Return all counts as Prometheus reads them.

        Parameters
        ----------
        jobs : mapping of str to int
            How many are in each state: the registry knows of those of all processes and machines.
        """
        self._state.note()
        told = generate_latest(_Jobs(jobs))
        if FOLDER not in os.environ:
            return generate_latest(self._own) + told
        _bury(Path(os.environ[FOLDER]))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]  # it has no types
        return generate_latest(together) + told

    def _go_on_noting(self) -> None:
        while True:
            self._state.note()
            time.sleep(_EVERY)


class _Jobs:
    """Counts of jobs, in the form that Prometheus' client writes out."""

    def __init__(self, jobs: Mapping[str, int]) -> None:
        self._jobs = jobs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the one family there is."""
        family = GaugeMetricFamily("sukashi_jobs", "Jobs that are kept.", labels=["state"])
        for state, number in self._jobs.items():
            family.add_metric([state], number)
        yield family


class _State:
    """The engine's own numbers, as they were when they were noted last."""

    def __init__(self, engine: Watched, registry: CollectorRegistry) -> None:
        self._engine = engine
        self._gauges = {
            name: Gauge(f"sukashi_{name}", text, registry=registry, multiprocess_mode="livesum")
            for name, text in _GAUGES.items()
        }
        self._counts = {
            name: Counter(f"sukashi_{name}", text, registry=registry)
            for name, text in _COUNTS.items()
        }
        self._before = dict.fromkeys(_COUNTS, 0)
        self._lock = threading.Lock()

    def note(self) -> None:
        """Ask the engine."""
        with self._lock:
            state = self._engine.state()
            for name, gauge in self._gauges.items():
                gauge.set(state.get(name, 0))
            for name, counter in self._counts.items():
                now = state.get(name, 0)
                counter.inc(max(0, now - self._before[name]))
                self._before[name] = now


def _bury(folder: Path) -> None:
    """Leave out the workers of processes that have ended, such as one that was started anew."""
    for path in folder.glob("gauge_live*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has no types
