"""Results as Parquet files: rows, evidence that is kept, and small pictures of what was found.

Each file's metadata have the version of the schema it was written by.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from watermark.errors import UnreadableMedia, UnsupportedMedia
from watermark.files import atomic_write, shown

__all__ = ["EVIDENCE", "ROWS", "THUMBNAILS", "VERSION", "TableWriter", "read_rows"]

VERSION = 1  # of the rows' schema: fields are added, and never change their meaning
_FLUSH = 512  # rows in memory
_FLUSH_BYTES = 16 << 20
_VERSION_NAME = b"sukashi-rows"

_POINTS = pa.list_(pa.list_(pa.float64()))
_MARK = pa.struct(
    [
        ("work", pa.string()),
        ("title", pa.string()),
        ("mark", pa.string()),
        ("training", pa.string()),
        ("terms", pa.string()),
        ("rights_holder", pa.string()),
        ("labels", pa.string()),
        ("log10_p", pa.float64()),
        ("log10_p_wrong_work", pa.float64()),
        ("z", pa.float64()),
        ("model_based", pa.bool_()),
        ("key", pa.string()),
        ("alignment", pa.string()),
        ("matrix", _POINTS),
        ("outline", _POINTS),
    ]
)
ROWS = pa.schema(
    [
        ("source", pa.string()),
        ("key", pa.string()),
        ("sha256", pa.string()),
        ("kind", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frames", pa.int32()),
        ("verdict", pa.string()),
        ("work", pa.string()),
        ("title", pa.string()),
        ("mark", pa.string()),
        ("training", pa.string()),
        ("log10_p", pa.float64()),
        ("log10_p_wrong_work", pa.float64()),
        ("z", pa.float64()),
        ("alignment", pa.string()),
        ("outline", _POINTS),
        ("works", pa.list_(_MARK)),
        ("reason", pa.string()),
        ("error", pa.string()),
    ]
)
EVIDENCE = pa.schema(
    [
        ("source", pa.string()),
        ("key", pa.string()),
        ("sha256", pa.string()),
        ("kind", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("looks", pa.int32()),
        ("evidence", pa.binary()),
    ]
)
THUMBNAILS = pa.schema(
    [
        ("source", pa.string()),
        ("key", pa.string()),
        ("work", pa.string()),
        ("title", pa.string()),
        ("mark", pa.string()),
        ("log10_p", pa.float64()),
        ("alignment", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("outline", _POINTS),
        ("thumbnail", pa.binary()),
    ]
)


class TableWriter:
    """Writes one Parquet file that stands under its name when it is complete, or not at all.

    Parameters
    ----------
    path : Path
    schema : pyarrow.Schema
        `ROWS`, `EVIDENCE` or `THUMBNAILS`.
    metadata : dict of str, optional
        Kept in the file.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, metadata: dict[str, str] | None = None
    ) -> None:
        told = {_VERSION_NAME: str(VERSION).encode()}
        told |= {name.encode(): value.encode() for name, value in (metadata or {}).items()}
        self._schema = schema.with_metadata(told)
        self._writing = atomic_write(path)
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        temporary = self._writing.__enter__()
        self._writer = pq.ParquetWriter(temporary, self._schema, compression="zstd")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._writer is not None
        try:
            if error is None:
                self._flush()
            self._writer.close()
        except BaseException as late:
            self._writing.__exit__(type(late), late, late.__traceback__)
            raise
        self._writing.__exit__(kind, error, trace)

    def add(self, cells: dict[str, Any]) -> None:
        """Add a row; fields that are missing are null."""
        self._rows.append(cells)
        self._bytes += sum(len(value) for value in cells.values() if isinstance(value, bytes))
        if len(self._rows) >= _FLUSH or self._bytes >= _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        assert self._writer is not None
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


def read_rows(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Read a table that `TableWriter` wrote, a few rows at a time.

    Raises
    ------
    UnreadableMedia
        If it is damaged, no such table, or of a later version.
    """
    try:
        with pq.ParquetFile(path) as table:
            found = (table.schema_arrow.metadata or {}).get(_VERSION_NAME)
            if found is None or not found.isdigit() or int(found) > VERSION:
                raise UnsupportedMedia(
                    f"{shown(path)}: no table of results that this version of sukashi reads"
                )
            for batch in table.iter_batches(_FLUSH, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        why = shown(" ".join(str(error).split()))
        raise UnreadableMedia(
            f"{shown(path)}: no whole table of results ({why}); scan its source again"
        ) from error
