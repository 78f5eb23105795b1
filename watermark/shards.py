"""Archives with pictures in them: tar shards, as WebDataset keeps them, and zip files.

Members are read one at a time, in their order; an archive is never unpacked.
The key of a tar sample is its member's name up to the first dot, and the whole name where the
member before was of the same sample.  A member of a zip file has its name as its key.
Members that are neither pictures nor clips, such as captions, are passed over.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from watermark.errors import MediaError, UnreadableMedia, UnsupportedMedia
from watermark.files import shown
from watermark.formats import HEAD
from watermark.sample import Sample, kind_of, loaded

__all__ = ["tar_parts", "tar_samples", "zip_members", "zip_samples"]

_BAD_TAR = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)
_BAD_ZIP = (
    *(zipfile.BadZipFile, EOFError, OSError, zlib.error, lzma.LZMAError),
    *(RuntimeError, NotImplementedError, ValueError),
)


def tar_samples(
    file: BinaryIO, source: str, *, start: int = 0, stop: int | None = None
) -> Iterator[Sample]:
    """Yield the pictures and clips of a tar file, compressed or not, as it is read.

    Parameters
    ----------
    file : binary file
        At the header of member number `start`.
    source : str
    start, stop : int and int or None
        Members, counted from the beginning of the archive.
    """
    seen = _Names()
    number = start
    try:
        # As a stream, so that nothing is sought in what cannot seek; gzip is told by its bytes.
        with tarfile.open(fileobj=file, mode="r|*" if start == 0 else "r|") as archive:
            while stop is None or number < stop:
                member = archive.next()
                if member is None:
                    return
                # Python keeps all headers it has read, and a shard may have millions.
                archive.members = []  # type: ignore[attr-defined]
                number += 1
                if member.isreg():
                    yield from _of_tar(archive, member, source, seen)
    except _BAD_TAR as error:
        yield Sample(source, "", error=_broken(source, "tar file", error))


def _of_tar(
    archive: tarfile.TarFile, member: tarfile.TarInfo, source: str, seen: _Names
) -> Iterator[Sample]:
    if member.issparse():
        error = UnsupportedMedia(f"{shown(source)}: {shown(member.name)}: this file has holes")
        yield Sample(source, member.name, error=error)
        return
    content = archive.extractfile(member)
    assert content is not None
    yield from _sample(content, member.size, source, member.name, seen)


def tar_parts(file: BinaryIO, *, every: int) -> Iterator[tuple[int, int]]:
    """Yield the number and the place of the first member of each part of an uncompressed tar file.

    Parameters
    ----------
    file : binary file
        That can seek; members are skipped, not read.
    every : int
        Bytes of a part, at least.  A sample is never parted.

    Raises
    ------
    UnreadableMedia
        If it breaks off or is no tar file.
    """
    yield 0, 0
    begun, before = 0, ""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            number = 0
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]
                stem = _stem(member.name)
                if member.offset - begun >= every and stem != before:
                    begun = member.offset
                    yield number, begun
                before = stem
                number += 1
    except _BAD_TAR as error:
        raise UnreadableMedia(str(error)) from error


def zip_members(file: BinaryIO) -> int:
    """Return how many members a zip file has.

    Raises
    ------
    UnreadableMedia
        If it is none.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return len(archive.infolist())
    except _BAD_ZIP as error:
        raise UnreadableMedia(str(error)) from error


def zip_samples(
    file: BinaryIO, source: str, *, start: int = 0, stop: int | None = None
) -> Iterator[Sample]:
    """Yield the pictures and clips of a zip file, in the order of its directory."""
    try:
        archive = zipfile.ZipFile(file)
    except _BAD_ZIP as error:
        yield Sample(source, "", error=_broken(source, "zip file", error))
        return
    with archive:
        for member in archive.infolist()[start:stop]:
            if member.is_dir():
                continue
            try:
                with archive.open(member) as content:
                    yield from _sample(content, member.file_size, source, member.filename)
            except _BAD_ZIP as error:
                name = f"{source}: {member.filename}"
                yield Sample(
                    source, member.filename, error=_broken(name, "member of a zip file", error)
                )


class _Names:
    """Gives samples their keys: only the one before can be of the same sample."""

    def __init__(self) -> None:
        self._last = ""

    def key(self, name: str) -> str:
        stem = _stem(name)
        again, self._last = stem == self._last, stem
        return name if again else stem


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    first, dot, _ = path.name.partition(".")
    return str(path.with_name(first)) if first and dot else name


def _sample(
    content: IO[bytes], size: int, source: str, name: str, seen: _Names | None = None
) -> Iterator[Sample]:
    head = content.read(HEAD)
    kind = kind_of(head, name)
    if kind is not None:
        key = name if seen is None else seen.key(name)
        yield from loaded(content, head, source, key, kind, size=size)


def _broken(name: str, what: str, error: Exception) -> MediaError:
    why = " ".join(str(error).split()) or type(error).__name__
    return UnreadableMedia(
        f"{shown(name)}: this {what} breaks off or is damaged ({shown(why)}); copy it again"
    )
