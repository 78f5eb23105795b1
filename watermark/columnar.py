"""Pictures and films in the columns of Parquet and Arrow files, as crawled data sets are kept.

A column holds bytes, or structures of bytes and a path, as Hugging Face writes them.  It is named,
or else the first one whose values are pictures or films.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from watermark.errors import UnreadableMedia, UnsupportedMedia
from watermark.files import shown
from watermark.sample import kind_of

__all__ = ["Cell", "arrow_cells", "parquet_cells", "row_groups"]

_ARROW_FILE = b"ARROW1"  # how a file begins; a stream has no such sign
_BATCH = 16  # pictures read at a time
_LOOKED_AT = 16  # values of a column, to tell whether it holds pictures


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a column with pictures.

    Parameters
    ----------
    key : str
        Number of its row in the file, and behind a colon the path that is kept beside it.
    data : bytes or None
        None where the row has no picture.
    """

    key: str
    data: bytes | None


def row_groups(file: BinaryIO) -> list[int]:
    """Return how many rows each row group of a Parquet file has.

    Raises
    ------
    UnreadableMedia
        If it is none.
    """
    with _told("Parquet file"), pq.ParquetFile(file) as table:
        return [table.metadata.row_group(n).num_rows for n in range(table.num_row_groups)]


def parquet_cells(
    file: BinaryIO, *, start: int, stop: int | None, column: str | None
) -> Iterator[Cell]:
    """Yield the pictures of row groups of a Parquet file, a few at a time.

    Raises
    ------
    UnreadableMedia, UnsupportedMedia
        If it is none, or has no column with pictures.
    """
    # Without `pre_buffer`, which would hold a whole row group.
    with (
        _told("Parquet file"),
        pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20) as table,
    ):
        groups = range(table.num_row_groups)[start:stop]
        if not any(table.metadata.row_group(n).num_rows for n in groups):
            return
        row = sum(table.metadata.row_group(n).num_rows for n in range(start))

        def batches(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
            found: Iterator[pa.RecordBatch] = table.iter_batches(
                rows, row_groups=list(groups), columns=columns, use_threads=False
            )
            return found

        chosen = _column(table.schema_arrow, column, lambda name: next(batches([name], _LOOKED_AT)))
        for batch in batches([chosen.partition(".")[0]], _BATCH):
            yield from _cells(batch, chosen, row)
            row += batch.num_rows


def arrow_cells(file: BinaryIO, *, column: str | None) -> Iterator[Cell]:
    """Yield the pictures of an Arrow or Feather file, or of a stream.

    Raises
    ------
    UnreadableMedia, UnsupportedMedia
        If it is none, or has no column with pictures.
    """
    with _told("Arrow file"):
        chosen, row = "", 0
        for batch in _batches(file):
            if batch.num_rows:
                chosen = chosen or _column(batch.schema, column, _selecting(batch))
            for at in range(0, batch.num_rows, _BATCH):
                yield from _cells(batch.slice(at, _BATCH), chosen, row + at)
            row += batch.num_rows


def _selecting(batch: pa.RecordBatch) -> Callable[[str], pa.RecordBatch]:
    return lambda name: batch.select([name])


def _batches(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    random = file.read(len(_ARROW_FILE)) == _ARROW_FILE
    file.seek(0)
    # A file of this machine is not read but looked into: a batch may be large.
    source = pa.memory_map(file.name) if isinstance(file, io.BufferedReader) else file
    if not random:
        with pa.ipc.open_stream(source) as stream:
            yield from stream
        return
    with pa.ipc.open_file(source) as table:
        for number in range(table.num_record_batches):
            yield table.get_batch(number)


def _cells(batch: pa.RecordBatch, column: str, row: int) -> Iterator[Cell]:
    name, _, inner = column.partition(".")
    values = batch.column(name)
    for number, value in enumerate(values):
        told = value.as_py()
        beside = None
        if isinstance(told, dict):
            beside = told.get("path")
            told = told.get(inner or "bytes")
        key = (
            f"{row + number}:{beside}" if isinstance(beside, str) and beside else str(row + number)
        )
        yield Cell(key, told if isinstance(told, bytes) else None)


def _column(schema: pa.Schema, wanted: str | None, few: Callable[[str], pa.RecordBatch]) -> str:
    """Return the column with the pictures, like ``image`` or ``image.bytes``."""
    there = [name for each in schema for name in _binary(each)]
    if wanted is not None:
        chosen = next((name for name in there if name in {wanted, f"{wanted}.bytes"}), None)
        if chosen is None:
            raise UnsupportedMedia(
                f"no column {shown(wanted)} of bytes; it has {shown(', '.join(there)) or 'none'}"
            )
        return chosen
    for name in there:
        first = (cell.data for cell in _cells(few(name.partition(".")[0])[:_LOOKED_AT], name, 0))
        if any(data is not None and kind_of(data, "") for data in first):
            return name
    raise UnsupportedMedia(
        "no column begins with pictures or films; name the one that holds them with --column"
    )


def _binary(field: pa.Field) -> list[str]:
    """Return the name of a column of bytes, or of the bytes in a column of structures."""
    if pa.types.is_struct(field.type):
        return [f"{field.name}.{each.name}" for each in field.type if _is_bytes(each.type)]
    return [field.name] if _is_bytes(field.type) else []


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what Arrow says of a damaged file into an error of ours."""
    try:
        yield
    except (pa.ArrowException, OSError, EOFError) as error:
        raise UnreadableMedia(f"this {what} is damaged ({_line(error)}); copy it again") from error


def _line(error: Exception) -> str:
    return shown(" ".join(str(error).split()))[:200]
