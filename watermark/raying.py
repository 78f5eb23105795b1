"""A scan on a Ray cluster: the same units and rows, done by a crew on its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from watermark.crew import Crew, Lost
from watermark.errors import EngineError
from watermark.files import shown
from watermark.sample import Unit
from watermark.scan import MOST_TRIES, Outcome, unit_given_up, worker
from watermark.scan_setup import Setup
from watermark.seat import Do

__all__ = ["RayEngine"]


class RayEngine:
    """Has the units of a scan done on a Ray cluster; its nodes have to see RESULTS and sources.

    Parameters
    ----------
    setup : Setup
    results : Path
        The run's folder.
    jobs : int, optional
        How many workers at most; by default one for each processor of the cluster.
    address : str, optional
        Of the cluster; see `Crew`.
    """

    def __init__(
        self,
        setup: Setup,
        results: Path,
        *,
        jobs: int | None = None,
        address: str | None = None,
    ) -> None:
        self._secret, self._results = setup.to_bytes(), results.absolute()
        self._jobs, self._address = jobs, address

    def done(self, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Have units done, and yield each with its outcome, in the order in which they are done."""
        make = partial(_scanning, self._results)
        options: dict[str, Any] = {"size": self._jobs, "address": self._address}
        with Crew(make, self._secret, tries=MOST_TRIES, **options) as crew:
            for unit, outcome in crew.done(units):
                if isinstance(outcome, Lost):
                    yield unit, unit_given_up(unit, self._results)
                else:
                    yield unit, outcome


def _scanning(results: Path, secret: bytes) -> Do:
    """Return what does a unit in a worker, where that sees the run's folder."""
    if not (results / "run.json").exists():
        raise EngineError(
            f"{shown(results)}: a node of the Ray cluster does not see this folder; "
            "put results where all nodes do"
        )
    return worker(secret, results)
