"""What the service counts, in the words of Prometheus.

With several HTTP processes their counts are added up through the folder that
``PROMETHEUS_MULTIPROC_DIR`` names, which has to be set before this module is loaded; the gauges of
the engine are then those of the process that answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

# When a count began is nothing that anybody watches.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
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
    queue : Watched, optional
        Of jobs; its ``length`` is told.
    """

    def __init__(self, engine: Watched) -> None:
        self._own = CollectorRegistry()
        self._state = CollectorRegistry()
        self._state.register(_State(engine))
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

    def text(self) -> bytes:
        """Return all counts as Prometheus reads them."""
        own = self._own
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            own = CollectorRegistry()
            MultiProcessCollector(own)  # type: ignore[no-untyped-call]  # it has no types
        return generate_latest(own) + generate_latest(self._state)


class _State(Collector):
    """The engine's own numbers, as they are when somebody asks."""

    def __init__(self, engine: Watched) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """Yield a family for each number."""
        state = self._engine.state()
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"sukashi_{name}", text, value=state.get(name, 0))
        for name, text in _COUNTS.items():
            yield CounterMetricFamily(f"sukashi_{name}", text, value=state.get(name, 0))
