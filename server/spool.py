"""Uploads on their way: files in a private folder, for as long as somebody works on them.

A file is named by chance, since what a stranger calls it is nobody else's business; only the ending
of a film's name is kept, as some of them cannot be told from their first bytes.  What is being
received has a hidden name, so that nobody takes half of it for all.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from watermark.files import FILM_SUFFIXES
from watermark.formats import is_film

__all__ = ["Incoming", "Spool", "TooMuch", "Upload"]

_PARTIAL = ".partial-"


class TooMuch(Exception):
    """An upload has more bytes than it may have.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit:,} bytes")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was received.

    Parameters
    ----------
    path : Path
        Where it lies.
    sha256 : str
        Of its content, in hexadecimal.
    bytes : int
        Its size.
    name : str
        What the sender calls it; never a path here.
    kind : str
        ``still`` or ``film``, by its content.
    """

    path: Path
    sha256: str
    bytes: int
    name: str
    kind: Literal["still", "film"]


class Incoming:
    """A file that is being received; a context manager that removes it unless it is done.

    Parameters
    ----------
    folder : Path
    limit : int
        Bytes, counted as they come.
    name : str
        What the sender calls it.
    """

    def __init__(self, folder: Path, limit: int, name: str) -> None:
        self._limit, self._name = limit, name
        self._digest, self._size = hashlib.sha256(), 0
        self._kept = False
        ending = Path(name).suffix.lower()
        self._final = folder / (secrets.token_hex(16) + (ending if ending in FILM_SUFFIXES else ""))
        self._path = folder / f"{_PARTIAL}{self._final.name}"
        self._file: BinaryIO = self._path.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Take in what came next.

        Raises
        ------
        TooMuch
            As soon as there are more bytes than the limit.
        """
        self._size += len(chunk)
        if self._size > self._limit:
            raise TooMuch(self._limit)
        self._digest.update(chunk)
        self._file.write(chunk)

    def kind(self) -> Literal["still", "film"]:
        """Tell what it is by what has come so far."""
        self._file.flush()
        return _kind(self._path)

    def done(self) -> Upload:
        """Say that this was all, and return what it is."""
        self._file.close()
        self._path.rename(self._final)
        self._kept = True
        return _described(self._final, self._digest.hexdigest(), self._size, self._name)


class Spool:
    """The folder of uploads.

    Parameters
    ----------
    folder : Path
        Made where it is missing, and closed to other users.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def incoming(self, limit: int, name: str = "") -> Incoming:
        """Begin to receive a file of at most `limit` bytes."""
        return Incoming(self.folder, limit, name)

    def write(self, chunks: Iterable[bytes], limit: int, name: str = "") -> Upload:
        """Receive a file.

        Raises
        ------
        TooMuch
            As soon as there are more bytes than the limit; nothing stays.
        """
        with self.incoming(limit, name) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            return incoming.done()

    def find(self, file: str, *, sha256: str, name: str = "") -> Upload:
        """Return an upload that an earlier process received, by the name of its file.

        Raises
        ------
        FileNotFoundError
            If it is gone.
        ValueError
            If this is no name of a file here.
        """
        if Path(file).name != file or file.startswith("."):
            raise ValueError(f"{file!r} is no upload")
        path = self.folder / file
        return _described(path, sha256, path.stat().st_size, name)

    def remove(self, upload: Upload | str) -> None:
        """Remove an upload, which may be gone already."""
        name = upload if isinstance(upload, str) else upload.path.name
        (self.folder / Path(name).name).unlink(missing_ok=True)

    def sweep(self, keep: Collection[str], *, older_than: float = 86400.0) -> int:
        """Remove what a process left that was killed, and return how many files.

        Parameters
        ----------
        keep : collection of str
            Names of files that are still to be worked on.
        older_than : float
            Seconds since anything was written to it.
        """
        gone = 0
        for path in self.folder.iterdir():
            try:
                old = time.time() - path.stat().st_mtime > older_than
            except FileNotFoundError:  # another process has just removed it
                continue
            if old and path.name not in keep and path.is_file() and _ours(path.name):
                path.unlink(missing_ok=True)
                gone += 1
        return gone


def _ours(name: str) -> bool:
    stem = name.removeprefix(_PARTIAL).partition(".")[0]
    return len(stem) == 32 and all(letter in "0123456789abcdef" for letter in stem)


def _described(path: Path, sha256: str, size: int, name: str) -> Upload:
    return Upload(path, sha256, size, name, _kind(path))


def _kind(path: Path) -> Literal["still", "film"]:
    return "film" if is_film(path) else "still"
