"""Deciding anew on all that a scan kept, for keys and works that did not exist then.

A `Rechecker` gives the rows of the units of a store as `watermark.scanning.Scanner` gives those of
a source, so all else is the same: engines, results, and going on after a kill.
What could not be looked at then keeps its row.  What was inconclusive stays so, unless a mark is
found: what was kept does not tell whether a mark could have been seen in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from watermark.attempts import Deadly
from watermark.errors import EvidenceError, MediaError
from watermark.identification import Catalogue, Identification
from watermark.kept import KeptSample, kept_samples, kept_units
from watermark.rechecking import Asked, recheck_together
from watermark.registry import open_registry
from watermark.sample import Unit
from watermark.scan_rows import Row, failed_row, told_row
from watermark.scan_setup import Setup
from watermark.scanning import Note

__all__ = ["Rechecker", "units_of"]

_TOGETHER = {"fast": 64, "full": 8}  # samples that are decided on together


def units_of(results: Path) -> Iterator[Unit]:
    """Yield the units of a store: those of the scan, by their names.

    Raises
    ------
    EvidenceError
        If no evidence was kept there.
    """
    for name in kept_units(results):
        yield Unit(name, "parquet", str(results.absolute()))


class Rechecker:
    """Decides anew on the samples of one unit after the other.

    Parameters
    ----------
    setup : Setup
        Keys, registry and search, and how many runs asked before, who are charged for; the rest of
        it is about files.

    Raises
    ------
    RegistryError
        If the registry cannot be read.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._registry = None
        self._catalogue = None
        if setup.registry is not None:
            self._registry = open_registry(setup.registry, read_only=True)
            self._catalogue = Catalogue.load(self._registry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the registry."""
        if self._registry is not None:
            self._registry.close()

    def rows(self, unit: Unit, *, note: Note | None = None) -> Iterator[Row]:
        """Yield the rows of a unit, in the order of its samples.

        Parameters
        ----------
        unit : Unit
            From `units_of`.
        note : callable, optional
            As in `watermark.scanning.Scanner.rows`.

        Raises
        ------
        RegistryError
            If the registry cannot be asked.
        """
        waiting: list[Row | KeptSample] = []
        several = 1 if note is not None else _TOGETHER[self.setup.search]
        for each in _read(unit, note):
            waiting.append(each)
            if sum(isinstance(each, KeptSample) for each in waiting) >= several:
                yield from self._asked(waiting)
                waiting = []
        yield from self._asked(waiting)

    def _asked(self, waiting: list[Row | KeptSample]) -> Iterator[Row]:
        """Yield the rows of some samples, and those that are there already."""
        assert self.setup.asked is not None
        asked = [
            Asked(each.evidence, each.looks + self.setup.asked, _size(each.cells))
            for each in waiting
            if isinstance(each, KeptSample) and each.evidence is not None
        ]
        found = iter(
            recheck_together(asked, self.setup.keys, self._catalogue, search=self.setup.search)
        )
        for each in waiting:
            yield each if isinstance(each, Row) else _told(each, next(found))


def _read(unit: Unit, note: Note | None) -> Iterator[Row | KeptSample]:
    """Yield what is to be asked, and rows of what cannot be; one bad table does not end a run."""
    try:
        for number, sample in enumerate(kept_samples(Path(unit.source), unit.name)):
            yield _without_asking(sample, wanted=note is None or note(number)) or sample
    except (MediaError, EvidenceError) as error:
        yield failed_row(unit.source, "", error, reason="damaged")
    except Deadly:
        why = f"{unit.source}: reading what was kept in {unit.name} breaks down; scan again"
        yield failed_row(unit.source, "", why, reason="broken")


def _size(cells: dict[str, Any]) -> tuple[int, int] | None:
    return (cells["width"], cells["height"]) if cells["width"] and cells["height"] else None


def _without_asking(sample: KeptSample, *, wanted: bool) -> Row | None:
    """Return the row of a sample that cannot be decided on; None for others."""
    if sample.cells["error"] is not None:
        return Row(sample.cells)
    if sample.damaged:
        return _failed(sample, "what was kept of it is damaged; scan it again", "damaged")
    if sample.evidence is None:
        return _failed(sample, "nothing was kept of it; scan it again", "not-kept")
    if not wanted:
        return _failed(sample, "deciding on it broke down several times", "broken")
    return None


def _told(sample: KeptSample, told: Identification | EvidenceError) -> Row:
    cells = sample.cells
    if isinstance(told, EvidenceError):
        return _failed(sample, f"{told}; scan it again", "damaged")
    named = cells["source"], cells["key"], cells["kind"]
    row = told_row(*named, told, sha256=cells["sha256"])
    row.cells["frames"] = cells["frames"]
    if told.verdict == "not-found" and cells["verdict"] == "inconclusive":
        row.cells["verdict"] = "inconclusive"
    return row


def _failed(sample: KeptSample, why: str, reason: str) -> Row:
    cells: dict[str, Any] = sample.cells
    named = cells["source"], cells["key"]
    text = f"{cells['source']}: {cells['key']}: {why}"
    return failed_row(*named, text, kind=cells["kind"], sha256=cells["sha256"], reason=reason)
