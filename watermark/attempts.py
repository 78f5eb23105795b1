"""How often a unit was begun, and at which sample it ended each time.

Whoever does a unit notes that in a small file of the run's folder and removes it at the end, so the
next one to try knows how many died, wherever they were.  From the third try on each sample is noted
before anything is done with it; one at which a worker died then is not looked at again, and where
even reading it is deadly, what is left of the unit is given up.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from watermark.errors import OutputError
from watermark.files import shown
from watermark.sample import Unit

__all__ = ["FOLDER", "Attempts", "Deadly"]

FOLDER = "attempts"
_CARELESS = 2  # tries before samples are looked at one by one
_BEGIN = "begin"


class Deadly(Exception):
    """Nothing more of a unit can be read."""


class Attempts:
    """The tries at one unit; a context manager around one.

    Parameters
    ----------
    results : Path
        The run's folder.
    unit : Unit
    """

    def __init__(self, results: Path, unit: Unit) -> None:
        self._path = results / FOLDER / unit.name
        self._file: IO[str] | None = None
        self._deaths: Counter[int] = Counter()
        self.careful = False

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(exist_ok=True)
            before = self._path.read_text().split() if self._path.exists() else []
            self._file = self._path.open("a")
            self._write(_BEGIN)
        except OSError as error:
            raise OutputError(
                f"{shown(self._path)}: cannot be written ({error.strerror}); free some space"
            ) from error
        self.careful = before.count(_BEGIN) >= _CARELESS
        # The last number before each beginning, and at the end, is where a worker died.
        for word, after in pairwise([*before, _BEGIN]):
            if after == _BEGIN and word != _BEGIN:
                self._deaths[int(word)] += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._file is not None
        self._file.close()
        # Only a death leaves it there: an error that is raised is told, and ends the run.
        with suppress(OSError):
            self._path.unlink()

    def note(self, number: int) -> bool:
        """Note that a sample comes next, and return whether it is to be looked at.

        Raises
        ------
        Deadly
            If not even reading it, without looking at it, is survived.
        """
        if self._deaths[number] >= 2:
            raise Deadly
        self._write(str(number))
        return not self._deaths[number]

    def _write(self, word: str) -> None:
        assert self._file is not None
        self._file.write(f"{word}\n")
        self._file.flush()
