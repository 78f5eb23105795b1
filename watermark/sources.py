"""Piles of pictures and clips, wherever they are kept: their units, and the samples of each.

    for unit in list_units(["crawl/"]):
        for sample in samples(unit):
            ...

Which units there are is said in `watermark.units`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from watermark.columnar import Cell, arrow_cells, parquet_cells
from watermark.errors import MediaError, OutputError, UnreadableMedia
from watermark.files import shown
from watermark.formats import HEAD, is_film
from watermark.sample import Sample, Unit, below, is_url, kind_of, loaded, opened
from watermark.shards import tar_samples, zip_samples
from watermark.units import list_units

__all__ = ["Sample", "Unit", "list_units", "samples"]


def samples(unit: Unit) -> Iterator[Sample]:
    """Yield the samples of a unit, always in the same order; one is in memory at a time.

    Whatever is wrong with a source is told by a sample with an error, and never raised.

    Raises
    ------
    OutputError
        If there is no room for a copy of a large file.
    """
    if unit.problem:
        yield Sample(unit.source, "", error=UnreadableMedia(unit.problem))
        return
    if unit.kind == "files":
        for item in unit.items:
            yield from _file(unit.source, item)
        return
    try:
        with opened(unit.source) as file:
            if unit.kind == "tar":
                file.seek(unit.offset)
                yield from tar_samples(file, unit.source, start=unit.start, stop=unit.stop)
            elif unit.kind == "zip":
                yield from zip_samples(file, unit.source, start=unit.start, stop=unit.stop)
            else:
                yield from (_of_cell(unit.source, cell) for cell in _cells(file, unit))
    except OutputError:  # no room for a copy is no fault of the source
        raise
    except MediaError as error:
        yield Sample(unit.source, "", error=_named(unit.source, error))
    except OSError as error:  # as of a network that fails while a shard is read
        why = UnreadableMedia(f"reading breaks off ({error.strerror or error}); try again")
        yield Sample(unit.source, "", error=_named(unit.source, why))


def _named(source: str, error: MediaError) -> MediaError:
    name = shown(source)
    text = str(error)
    return error if text.startswith(name) else type(error)(f"{name}: {text}")


def _cells(file: BinaryIO, unit: Unit) -> Iterator[Cell]:
    if unit.kind == "parquet":
        return parquet_cells(file, start=unit.start, stop=unit.stop, column=unit.column)
    return arrow_cells(file, column=unit.column)


def _of_cell(source: str, cell: Cell) -> Sample:
    if cell.data is None:
        error = UnreadableMedia(f"{shown(source)}: row {shown(cell.key)}: has no picture in it")
        return Sample(source, cell.key, error=error)
    return Sample(source, cell.key, kind_of(cell.data[:HEAD], "") or "still", data=cell.data)


def _file(source: str, item: str) -> Iterator[Sample]:
    whole = item if source.startswith("@") else below(source, item)
    if not is_url(whole):
        path = Path(whole)
        yield Sample(source, item, "clip" if is_film(path) else "still", path=path)
        return
    try:
        with opened(whole) as file:
            head = file.read(HEAD)
            yield from loaded(file, head, source, item, kind_of(head, item) or "still")
    except OutputError:
        raise
    except MediaError as error:
        yield Sample(source, item, error=error)
    except OSError as error:
        why = UnreadableMedia(f"{shown(whole)}: cannot be read ({error.strerror or error})")
        yield Sample(source, item, error=why)
