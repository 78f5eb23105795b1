"""Evidence that a scan kept, and how often it was asked.

A scan with ``--keep-evidence`` leaves ``evidence/NAME.parquet`` beside ``rows/NAME.parquet`` of
each unit: what was observed in each sample that could be looked at, in the order of the rows, with
no key in it and no picture.

Whoever asks the same evidence again and again, each time works or keys were added, would find
something at last.  So the store counts: ``evidence/looks.json`` has one line for each run that
asked, written before it is told anything, and look k is charged k(k + 1)
(`watermark.rechecking`).  A run that goes on where it was interrupted is the same look, since it
decides on what it had not decided on.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watermark.errors import EvidenceError, MediaError, OutputError
from watermark.files import atomic_write, shown
from watermark.ids import random_id
from watermark.tables import read_rows

__all__ = ["KeptSample", "kept_samples", "kept_units", "take_look"]

_FOLDER = "evidence"
_LEDGER = "looks.json"
_TICKET = "look.json"  # in the folder of a run that asks: which look it is
_VERSION = 1
_LOST = (
    "{}: cannot be read ({}), so nobody knows how often this evidence was asked; "
    "bring the file back from a copy, or scan again"
)


@dataclass(frozen=True, slots=True, eq=False)
class KeptSample:
    """What a scan told of a sample, and what it kept.

    Parameters
    ----------
    cells : dict
        By the names of `watermark.tables.ROWS`.
    evidence : bytes or None
        From `watermark.compact.pack`; None where the sample could not be looked at, or is too long
        a strip to be kept.
    looks : int
        How often it was decided on when it was kept, at least 1.
    damaged : bool
        Whether what was kept of it and of all behind it cannot be read.
    """

    cells: dict[str, Any]
    evidence: bytes | None
    looks: int
    damaged: bool = False


def kept_units(results: Path) -> list[str]:
    """Return the names of the units whose rows stand, in order.

    Raises
    ------
    EvidenceError
        If this is no folder of results, or no evidence was kept there.
    """
    # A hidden one is what a kill left of a table that was being written.
    found = (results / "rows").glob("*.parquet")
    rows = sorted(each.stem for each in found if not each.name.startswith("."))
    if not rows:
        raise EvidenceError(
            f"{shown(results)}: no results of a scan here; name the folder that 'sukashi scan' "
            "wrote"
        )
    if not any((results / _FOLDER).glob("*.parquet")):
        raise EvidenceError(
            f"{shown(results)}: this scan kept no evidence; scan again with --keep-evidence"
        )
    return rows


def kept_samples(results: Path, unit: str) -> Iterator[KeptSample]:
    """Yield what was told and kept of each sample of a unit, in the order of its rows.

    Raises
    ------
    MediaError
        If the table of rows is damaged.
    EvidenceError
        If the two do not belong together.
    """
    kept = results / _FOLDER / f"{unit}.parquet"
    beside = _until_damage(kept) if kept.exists() else iter(())
    following = next(beside, None)
    for cells in read_rows(results / "rows" / f"{unit}.parquet"):
        if isinstance(following, MediaError):
            yield KeptSample(cells, None, 1, damaged=True)
        elif following is not None and _name(following) == _name(cells):
            yield KeptSample(cells, following["evidence"], int(following["looks"]))
            following = next(beside, None)
        else:
            yield KeptSample(cells, None, 1)
    if isinstance(following, dict):
        raise EvidenceError(
            f"{shown(kept)}: holds samples that the rows beside it do not have; scan again"
        )


def _until_damage(kept: Path) -> Iterator[dict[str, Any] | MediaError]:
    """Yield the rows of a table, and what is wrong with it where it breaks off."""
    try:
        yield from read_rows(kept)
    except MediaError as error:
        yield error


def _name(cells: dict[str, Any]) -> tuple[Any, ...]:
    return cells["source"], cells["key"], cells["sha256"]


def take_look(results: Path, asker: Path, question: dict[str, Any]) -> int:
    """Count a run that asks all of a store, before it does, and return how many asked before it.

    Parameters
    ----------
    results : Path
        The folder of the scan.
    asker : Path
        The folder of the run that asks.  It is told there that it has its look, so going on with
        it takes no other.
    question : dict
        What is noted of it, as which keys by their fingerprints; no secrets.

    Returns
    -------
    int
        0 for the first run after the scan itself.

    Raises
    ------
    EvidenceError
        If the list of looks is damaged: without it nobody knows what to charge.
    OutputError
        If it cannot be written.
    """
    ledger = results / _FOLDER / _LEDGER
    with _locked(ledger):
        looks = _looks(ledger)
        ids = [each["id"] for each in looks]
        mine = _id_of(asker / _TICKET)
        if mine in ids:
            return ids.index(mine)
        mine = random_id("l-")
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        _write(ledger, {"version": _VERSION, "looks": [*looks, {"id": mine, "at": at, **question}]})
        _write(asker / _TICKET, {"id": mine, "of": str(results.resolve())})
        return len(looks)


@contextmanager
def _locked(ledger: Path) -> Iterator[None]:
    """Let nobody else count at the same time."""
    try:
        handle = ledger.with_suffix(".lock").open("w")
    except OSError as error:
        raise OutputError(
            f"{shown(ledger)}: cannot be written ({error.strerror or error}), and looks that are "
            "not counted are not taken; give yourself the right to write there"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _looks(ledger: Path) -> list[dict[str, Any]]:
    try:
        told = json.loads(ledger.read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise EvidenceError(_LOST.format(shown(ledger), error)) from error
    looks = (
        told.get("looks") if isinstance(told, dict) and told.get("version") == _VERSION else None
    )
    if not isinstance(looks, list) or not all(_is_look(each) for each in looks):
        raise EvidenceError(_LOST.format(shown(ledger), "no list of a version known here"))
    return looks


def _is_look(each: Any) -> bool:
    return isinstance(each, dict) and isinstance(each.get("id"), str)


def _id_of(ticket: Path) -> str | None:
    try:
        return str(json.loads(ticket.read_text("utf-8"))["id"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(path: Path, told: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
