"""The folder of a run: what was asked, what there is to do, and what was found.

- ``run.json``: what the run was asked, without secrets; a run of other questions is refused;
- ``units.jsonl``: every unit, listed before any is done, so that going on with a run that was
  killed does the same ones;
- ``rows/NAME.parquet``: the rows of a unit, there as a whole or not at all;
- ``evidence/`` and ``thumbnails/``: beside them and as whole, where there are any;
- ``attempts/``: units that are being done, see `watermark.attempts`;
- ``summary.json`` and ``examples.html``: at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from watermark.attempts import FOLDER
from watermark.errors import OutputError
from watermark.files import atomic_write, shown
from watermark.sample import Unit
from watermark.tables import read_rows

__all__ = ["Results"]

_RUN, _UNITS, _LOCK = "run.json", "units.jsonl", ".lock"
_ROWS, _EVIDENCE, _THUMBNAILS = "rows", "evidence", "thumbnails"
# What the questions of a run are called where one differs.
_WORDS = {
    "sources": "of other sources",
    "folder": "from another folder",
    "column": "of another column",
    "keys": "with other keys",
    "registry": "with another registry",
    "search": "with another --search",
    "keep_evidence": "with or without --keep-evidence, unlike this",
}


class Results:
    """The folder of a run; a context manager while somebody writes to it.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._lock: int | None = None
        self._new = False

    def __enter__(self) -> Self:
        name = shown(self.folder)
        try:
            self._new = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._unlock()
            raise OutputError(
                f"{name}: another scan is at work here; wait for it, or name another folder"
            ) from error
        except OSError as error:
            self._unlock()
            raise OutputError(
                f"{name}: cannot be written to ({error.strerror}); name another folder"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # as where somebody else removed it
            if self._new and [each.name for each in self.folder.iterdir()] == [_LOCK]:
                # What was asked was refused, and nothing was begun.
                (self.folder / _LOCK).unlink()
                self.folder.rmdir()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def rows(self, unit: Unit) -> Path:
        """Return where the rows of a unit are."""
        return self.folder / _ROWS / f"{unit.name}.parquet"

    def evidence(self, unit: Unit) -> Path:
        """Return where the evidence of a unit is, if any was kept."""
        return self.folder / _EVIDENCE / f"{unit.name}.parquet"

    def thumbnails(self, unit: Unit) -> Path:
        """Return where the thumbnails of a unit are, if there are any."""
        return self.folder / _THUMBNAILS / f"{unit.name}.parquet"

    def begin(self, question: dict[str, Any], units: Iterable[Unit]) -> bool:
        """Begin a run, or go on with the same one; return whether it was there already.

        Parameters
        ----------
        question : dict
            What is asked, without secrets, as JSON has it.
        units : iterable of Unit
            Listed only where a run begins.

        Raises
        ------
        OutputError
            If the folder holds another run, or something else.
        """
        known = self.question()
        if known is not None:
            self._check(known, json.loads(json.dumps(question)))
            self._tidy()
            return True
        # Where a run was killed while it was listed, it is listed anew.
        mine = {_LOCK, _UNITS}
        names = {each.name for each in self.folder.iterdir()}
        if any(name not in mine and not name.startswith(".sukashi-") for name in names):
            raise OutputError(
                f"{shown(self.folder)}: this folder holds something else than a scan; "
                "name a new one with -o"
            )
        self._tidy()
        with atomic_write(self.folder / _UNITS) as path, path.open("w", encoding="utf-8") as file:
            for unit in units:
                file.write(json.dumps(unit.as_json()) + "\n")
        with atomic_write(self.folder / _RUN) as path:
            path.write_text(json.dumps(question, indent=2) + "\n", encoding="utf-8")
        return False

    def question(self) -> dict[str, Any] | None:
        """Return what the run was asked, or None where there is none.

        Raises
        ------
        OutputError
            If that cannot be read.
        """
        try:
            told = json.loads((self.folder / _RUN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{shown(self.folder / _RUN)}: cannot be read; name another folder with -o"
            ) from error
        return dict(told)

    def _check(self, known: dict[str, Any], question: dict[str, Any]) -> None:
        other = [name for name in known | question if known.get(name) != question.get(name)]
        if other:
            words = _WORDS.get(other[0], f"with another {other[0].replace('_', ' ')}")
            raise OutputError(
                f"{shown(self.folder)}: holds a scan {words}; "
                "ask as it was asked to go on with it, or name another folder with -o"
            )

    def _tidy(self) -> None:
        """Remove what a kill left half-done; nobody else is at work here."""
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        for below in ("", _ROWS, _EVIDENCE, _THUMBNAILS):
            for left in (self.folder / below).glob(".sukashi-*"):
                with suppress(OSError):
                    left.unlink()

    def units(self) -> Iterator[Unit]:
        """Yield every unit of the run, in order."""
        with (self.folder / _UNITS).open(encoding="utf-8") as file:
            for line in file:
                yield Unit.from_json(json.loads(line))

    def left(self) -> Iterator[Unit]:
        """Yield the units that are not done yet."""
        return (unit for unit in self.units() if not self.rows(unit).exists())

    def count_units(self) -> int:
        """Return how many units the run has."""
        with (self.folder / _UNITS).open("rb") as file:
            return sum(1 for _ in file)

    def count_left(self) -> int:
        """Return how many units are not done yet."""
        return sum(1 for _ in self.left())

    def all_rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield all rows there are, in the order of the sources.

        Raises
        ------
        UnreadableMedia
            If a table is damaged.
        """
        for unit in self.units():
            if self.rows(unit).exists():
                yield from read_rows(self.rows(unit), columns)

    def all_thumbnails(self) -> Iterator[dict[str, Any]]:
        """Yield all thumbnails of units that are done, in the order of the sources."""
        for unit in self.units():
            if self.rows(unit).exists() and self.thumbnails(unit).exists():
                yield from read_rows(self.thumbnails(unit))
