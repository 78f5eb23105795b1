"""Which units a pile has: folders, shards, tables and lists of files, here or behind a URL.

A source is a folder, a file, a list of files (``@list.txt``), or a URL that fsspec opens.
Folders are walked as `watermark.files.find_media` does; what lies in them as a shard, a tar or zip
file or a table, is read as one.  So a data set of Hugging Face is a folder like any other, whether
it was saved as Arrow files or lies there as Parquet.

Units come in the order of the sources, and the same sources give the same units.  What is named
twice, or lies in a folder that is named as well, is looked at once.  A shard that
cannot be read is a unit all the same, and what is wrong with it is told where it is read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from watermark.columnar import row_groups
from watermark.errors import MediaError, UnreadableMedia, UnsupportedMedia
from watermark.files import (
    ANIMATION_SUFFIXES,
    FILM_SUFFIXES,
    STILL_SUFFIXES,
    AnyPath,
    find_media,
    shown,
)
from watermark.holdings import among_results, is_media, is_results, is_saved
from watermark.sample import Unit, UnitKind, below, filesystem, is_url, opened
from watermark.shards import tar_parts, zip_members

__all__ = ["list_units"]

_FILES = 256  # of a folder in one unit
_ROWS = 256  # of a table in one unit, at least
_MEMBERS = 4096  # of a zip file
_PART = 1 << 30  # bytes of a tar file, at least

_PACKED = {".gz", ".bz2", ".xz"}  # of which tar shards alone are read
_MEDIA = STILL_SUFFIXES | FILM_SUFFIXES | ANIMATION_SUFFIXES
_SHARDS: dict[str, UnitKind] = {
    ".tar": "tar",
    ".tar.gz": "tar",
    ".tgz": "tar",
    ".tar.bz2": "tar",
    ".tbz2": "tar",
    ".tar.xz": "tar",
    ".txz": "tar",
    ".zip": "zip",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_SIGNATURES: tuple[tuple[bytes, int, UnitKind], ...] = (
    (b"ustar", 257, "tar"),
    (b"\x1f\x8b", 0, "tar"),
    (b"BZh", 0, "tar"),
    (b"\xfd7zXZ\0", 0, "tar"),
    (b"PK\3\4", 0, "zip"),
    (b"PAR1", 0, "parquet"),
    (b"ARROW1", 0, "arrow"),
)


def list_units(
    sources: Sequence[str], *, column: str | None = None, leave_out: AnyPath | None = None
) -> Iterator[Unit]:
    """List the units of sources, in order; little more than names is read.

    Parameters
    ----------
    sources : sequence of str
        Folders, files, lists of files with an ``@`` before their name, URLs.
    column : str, optional
        Of tables: the one that holds the pictures, like ``image`` or ``image.bytes``.
    leave_out : path, optional
        A folder that is not entered, as for results that lie beside pictures.

    Raises
    ------
    UnreadableMedia
        If a source that is named is not there.
    UnsupportedMedia
        If it is a URL of a kind that cannot be opened here, or has a password in it.
    """
    for number, unit in enumerate(_units(_once(sources, leave_out), column, leave_out)):
        last = (unit.items or (unit.source,))[0] if unit.kind == "files" else unit.source
        word = re.sub(r"[^A-Za-z0-9_]+", "-", Path(last).name or "source").strip("-")[:40]
        yield replace(unit, name=f"{number:07d}-{word}".rstrip("-"))


def _units(sources: Sequence[str], column: str | None, leave_out: AnyPath | None) -> Iterator[Unit]:
    """Yield units that have no name yet."""
    for source in sources:
        if source.startswith("@") and not Path(source).exists():
            yield from _together(source, _lines(source), lambda line: line, column)
        elif is_url(source):
            yield from _of_url(source, column)
        elif Path(source).is_dir():
            yield from _of_folder(source, column, leave_out)
        elif Path(source).exists():
            kind = _shard(source) or _shard_by_content(source)
            if kind:
                yield from _of_shard(source, kind, column)
            else:
                path = Path(source)
                yield Unit("", "files", str(path.parent), (path.name,))
        else:
            raise UnreadableMedia(f"{shown(source) or repr('')}: there is no such file or folder")


def _once(sources: Sequence[str], leave_out: AnyPath | None) -> list[str]:
    """Return sources without those that are named before, or lie in a folder that is."""
    here = {
        source: Path(source).resolve()
        for source in sources
        if not is_url(source) and Path(source).exists()
    }
    folders = {place for place in here.values() if place.is_dir()}
    out = None if leave_out is None else Path(leave_out).resolve()

    def walked(place: Path) -> bool:
        """Tell whether the walk through another folder comes by."""
        if out is not None and out in {place, *place.parents}:
            return False
        if not place.is_dir() and not (place.suffix.lower() in _MEDIA or _shard(place.name)):
            return False
        return any(
            not any(part.startswith(".") for part in place.relative_to(above).parts)
            for above in folders.intersection(place.parents)
        )

    kept: dict[str | Path, str] = {}
    for source in sources:
        place = here.get(source)
        if place is None or not walked(place):
            kept.setdefault(place or source, source)
    return list(kept.values())


def _of_folder(source: str, column: str | None, leave_out: AnyPath | None) -> Iterator[Unit]:
    problems: list[MediaError] = []
    folder = Path(source)
    if is_results(folder):
        raise UnsupportedMedia(
            f"{shown(source)}: holds the results of a scan and no pictures; name what was scanned"
        )
    found = find_media(
        [folder],
        suffixes=_MEDIA | _SHARDS.keys() | _PACKED | {""},
        leave_out=leave_out,
        on_error=problems.append,
    )
    here = (
        str(each.path.relative_to(folder))
        for each in found
        if each.path.suffix.lower() not in _PACKED or _shard(each.path.name)
        if each.path.suffix or is_media(each.path)
        if each.path.suffix.lower() != ".arrow" or is_saved(each.path)
        if not among_results(each.path.parent, folder)
    )
    yield from _together(source, here, lambda item: str(folder / item), column)
    for error in problems:
        yield Unit("", "files", source, problem=str(error))


def _of_url(source: str, column: str | None) -> Iterator[Unit]:
    if re.match(r"[^/]*://[^/]*@", source):
        raise UnsupportedMedia(
            f"{shown(source.partition('://')[0])}://…@…: this address has a name or password in "
            "it, which would stand in every row; configure fsspec with it instead"
        )
    system, path = filesystem(source)
    try:
        if not system.isdir(path):
            if not system.exists(path):
                raise UnreadableMedia(f"{shown(source)}: there is no such file or folder")
            kind = _shard(path)
            if kind:
                yield from _of_shard(source, kind, column)
            else:
                above, _, name = source.rpartition("/")
                yield Unit("", "files", above, (name,))
            return
        root = path.rstrip("/") + "/"
        names = sorted(str(each).removeprefix(root) for each in system.find(path))
    except OSError as error:
        raise UnreadableMedia(f"{shown(source)}: cannot be listed ({error})") from error
    wanted = (
        name
        for name in names
        if _shard(name) or Path(name).suffix.lower() in _MEDIA
        if not any(part.startswith(".") for part in Path(name).parts)
    )
    yield from _together(source, wanted, lambda item: below(source, item), column)


def _together(
    source: str, items: Iterable[str], whole: Callable[[str], str], column: str | None
) -> Iterator[Unit]:
    """Yield units of files that follow each other, and between them those of shards."""
    waiting: list[str] = []
    for item in items:
        kind = _shard(item)
        if kind is None:
            waiting.append(item)
        if waiting and (kind or len(waiting) == _FILES):
            yield Unit("", "files", source, tuple(waiting))
            waiting = []
        if kind:
            yield from _of_shard(whole(item), kind, column)
    if waiting:
        yield Unit("", "files", source, tuple(waiting))


def _of_shard(source: str, kind: UnitKind, column: str | None) -> Iterator[Unit]:
    unit = Unit("", kind, source, column=column if kind in {"parquet", "arrow"} else None)
    parts: list[tuple[int, int]] = []  # number of the first member, and its place
    # What is wrong with a shard is told where it is read.
    with suppress(MediaError, OSError):
        if kind == "tar":
            if not is_url(source) and _is_large_tar(source):
                with opened(source) as file:
                    parts += tar_parts(file, every=_PART)
        elif kind != "arrow":  # which does not tell where its rows are
            with opened(source) as file:
                parts = [(start, 0) for start in _starts(file, kind)]
    ends = [start for start, _ in parts[1:]]
    for (start, offset), stop in zip(parts or [(0, 0)], [*ends, None], strict=True):
        yield replace(unit, start=start, stop=stop, offset=offset)


def _starts(file: BinaryIO, kind: UnitKind) -> list[int]:
    """Return where each unit of a zip file or of Parquet starts."""
    if kind == "zip":
        return list(range(0, zip_members(file), _MEMBERS))
    starts, rows = [0], 0
    for number, size in enumerate(row_groups(file)):
        if rows >= _ROWS:
            starts.append(number)
            rows = 0
        rows += size
    return starts


def _is_large_tar(source: str) -> bool:
    path = Path(source)
    if path.stat().st_size < 2 * _PART:
        return False
    with path.open("rb") as file:
        return file.read(2) != b"\x1f\x8b"


def _shard(name: str) -> UnitKind | None:
    """Return what kind of shard a name's ending tells of."""
    low = name.lower()
    return next((kind for ending, kind in _SHARDS.items() if low.endswith(ending)), None)


def _shard_by_content(source: str) -> UnitKind | None:
    try:
        if not Path(source).is_file():
            return None
        with Path(source).open("rb") as file:
            head = file.read(512)
    except OSError:
        return None
    signs = (kind for sign, at, kind in _SIGNATURES if head[at : at + len(sign)] == sign)
    return next(signs, None)


def _lines(source: str) -> Iterator[str]:
    """Yield the names in a list of files, each from the present folder on."""
    try:
        with Path(source[1:]).open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                name = line.rstrip("\r\n")
                if name:
                    yield name if is_url(name) else os.path.abspath(name)  # noqa: PTH100
    except OSError as error:
        raise UnreadableMedia(
            f"{shown(source[1:])}: this list cannot be read ({error.strerror}); check its name"
        ) from error
