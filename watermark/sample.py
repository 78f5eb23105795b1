"""What a pile is made of: units, which are each done as one, and the samples in them.

A `Unit` is a piece of one source that says by itself where its samples are: so many files of a
folder, a tar shard or a part of one, a row group of a Parquet file.  It is a few hundred bytes of
plain text and numbers, holds no secret, and may go to another machine.
A `Sample` is one picture or clip of a unit, or the reason why it could not be had.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile, gettempdir
from typing import IO, Any, BinaryIO, Literal, Self, cast

from watermark.errors import (
    MediaError,
    MediaTooLarge,
    OutputError,
    UnreadableMedia,
    UnsupportedMedia,
)
from watermark.files import ANIMATION_SUFFIXES, FILM_SUFFIXES, STILL_SUFFIXES, shown
from watermark.formats import is_film_by, sniff
from watermark.stills import MAX_PIXELS, most_bytes

__all__ = [
    "Kind",
    "Sample",
    "Unit",
    "UnitKind",
    "below",
    "filesystem",
    "is_url",
    "kind_of",
    "loaded",
    "opened",
]

Kind = Literal["still", "clip"]
UnitKind = Literal["files", "tar", "zip", "parquet", "arrow"]

_ENDINGS = STILL_SUFFIXES | FILM_SUFFIXES | ANIMATION_SUFFIXES
_IN_MEMORY = 64 << 20  # bytes; larger files that are no file yet go through a temporary one
# Bytes: what is longer is refused, as is a bomb.
_LARGEST: dict[Kind, int] = {"clip": 64 << 30, "still": most_bytes(MAX_PIXELS)}
_COPIED = 1 << 20  # bytes at a time


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of one source that is done as one.

    Parameters
    ----------
    name : str
        Its number in the run and a word of its source; also that of the file with its rows.
    kind : str
        ``files``, ``tar``, ``zip``, ``parquet`` or ``arrow``.
    source : str
        Path or URL of the folder or the shard, as its rows tell it.
    items : tuple of str
        Of ``files``: paths below the source, or whole ones where the source is a list of files.
    start, stop : int and int or None
        Which members of a tar or zip file, or row groups of Parquet; to the end without a stop.
    offset : int
        Of a tar: bytes before the header of member `start`.
    column : str or None
        Of Parquet and Arrow: the column with the pictures, found by content if it is not named.
    problem : str
        Why there is nothing to read, as of a folder that may not be listed.
    """

    name: str
    kind: UnitKind
    source: str
    items: tuple[str, ...] = ()
    start: int = 0
    stop: int | None = None
    offset: int = 0
    column: str | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return what differs from the defaults, for one line of a list of units."""
        told = asdict(self)
        defaults = {each.name: each.default for each in fields(self)}
        return {name: value for name, value in told.items() if value != defaults[name]}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """Read what `as_json` gave."""
        return cls(**{**told, "items": tuple(told.get("items", ()))})


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture or clip of a pile, or why it could not be had.

    Exactly one of `data`, `path` and `error` is there.

    Parameters
    ----------
    source : str
        Where it comes from: a folder, a list of files, or a shard.
    key : str
        What names it there: the path below the folder, the name of a tar sample, the number of a
        row.  Empty for an error of the whole source.
    kind : str or None
        ``still`` or ``clip``, by its first bytes.
    data : bytes or None
        The file's content.
    path : Path or None
        A file on this machine with the content; a temporary one lasts until the next sample.
    error : MediaError or None
    """

    source: str
    key: str
    kind: Kind | None = None
    data: bytes | None = None
    path: Path | None = None
    error: MediaError | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return shown(f"{self.source}: {self.key}" if self.key else self.source)


def kind_of(head: bytes, name: str) -> Kind | None:
    """Return what a member of an archive is: by its first bytes, else by its name's ending.

    None for what is neither, such as the captions that lie beside pictures.
    """
    ending = Path(name).suffix.lower()
    if is_film_by(head, ending):
        return "clip"
    try:
        sniff(head, name)
    except UnreadableMedia:
        return "still" if ending in _ENDINGS else None
    except UnsupportedMedia:
        return "still"
    return "still"


def loaded(
    content: IO[bytes], head: bytes, source: str, key: str, kind: Kind, *, size: int | None = None
) -> Iterator[Sample]:
    """Yield the sample whose first bytes, `head`, were read already.

    A large one is copied to a private file that lasts until the next sample.  Its `size`, where it
    is told, spares the room for more; it may be a lie.

    Raises
    ------
    OutputError
        If there is no room for the copy, which is no fault of the sample.
    """
    most = _LARGEST[kind]
    told = most if size is None else size
    data = head
    if told <= most:
        data += content.read(max(0, min(told, _IN_MEMORY) + 1 - len(head)))
        if len(data) <= _IN_MEMORY:
            yield Sample(source, key, kind, data=data)
            return
        # Without a buffer: one that cannot be emptied would hide why when it is closed.
        suffix = PurePosixPath(key).suffix[:8]
        with NamedTemporaryFile(prefix="sukashi-", suffix=suffix, buffering=0) as copy:
            copied = _copied(content, data, copy, most)
            del data
            if copied <= most:
                yield Sample(source, key, kind, path=Path(copy.name))
                return
    error = MediaTooLarge(
        f"{shown(source)}: {shown(key)}: longer than the {most / 2**30:.3g} GiB that a {kind} may "
        "have; take it out and look at it by itself"
    )
    yield Sample(source, key, kind, error=error)


def _copied(content: IO[bytes], data: bytes, copy: IO[bytes], most: int) -> int:
    """Copy what was read and all that follows, up to a little more than `most` bytes."""
    size = 0
    while data and size <= most:
        left = memoryview(data)
        try:
            while left:
                left = left[copy.write(left) :]
        except OSError as error:
            raise OutputError(
                f"{shown(gettempdir())}: no room for a copy of a large file ({error.strerror}); "
                "make room there, or name another folder with TMPDIR, and go on"
            ) from error
        size += len(data)
        data = content.read(_COPIED)
    return size


def is_url(source: str) -> bool:
    """Tell whether a source is opened through fsspec."""
    return "://" in source


def below(source: str, item: str) -> str:
    """Return the path or URL of what lies below a source."""
    return f"{source.rstrip('/')}/{item}" if is_url(source) else str(Path(source) / item)


def opened(source: str) -> BinaryIO:
    """Open a file on this machine, or anything that fsspec opens where it is installed.

    Raises
    ------
    UnreadableMedia
        If it cannot be opened.
    """
    try:
        if not is_url(source):
            return Path(source).open("rb")
        system, path = filesystem(source)
        return cast("BinaryIO", system.open(path, "rb"))
    except OSError as error:
        raise UnreadableMedia(
            f"{shown(source)}: cannot be opened ({error.strerror or error}); "
            "check the name and that you may read it"
        ) from error


def filesystem(url: str) -> tuple[Any, str]:
    """Return the file system that a URL names, and the path in it.

    Raises
    ------
    UnsupportedMedia
        If fsspec, or what it needs for this kind of URL, is not installed.
    """
    try:
        import fsspec  # noqa: PLC0415 - an extra

        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise UnsupportedMedia(
            f"{shown(url)}: needs a package that is not installed ({error.name or error}); "
            "pip install 'sukashi[scale]'"
        ) from error
    except ValueError as error:  # a protocol that nobody knows
        raise UnsupportedMedia(f"{shown(url)}: {error}") from error
    return system, str(path)
