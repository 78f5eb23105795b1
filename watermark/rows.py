"""Rows: one mark with the details of its work, as a line of CSV or of JSON lines.

Reading what was written gives the same rows back, whatever the text in them.
Everything that enters a registry passes through a `Row` and is checked there.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from watermark.errors import InvalidWork
from watermark.work import MARK_BITS, TRAINING, format_mark, parse_mark, write_labels

__all__ = ["COLUMNS", "Row", "format_csv", "format_jsonl", "parse_csv", "parse_jsonl"]

_WORK_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
# Neither UTF-8 nor PostgreSQL can keep these.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# Characters.  500 of four bytes each still fit PostgreSQL's limit for an indexed title (2,704).
_LIMITS = {"title": 500, "rights_holder": 500, "contact": 2000, "url": 2000, "terms": 20_000}
_LABELS_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """One mark with the details of its work: a line of an import or export.

    An empty `work` asks for a new work, an absent `mark` for a new number.
    A row that names a `work` and leaves all its details empty refers to a work known already.

    Parameters
    ----------
    place : str
        Where the row was read, ``file:line``, for messages; not part of its value.

    Raises
    ------
    InvalidWork
        If a field is refused; the message begins with `place`.
    """

    work: str = ""
    mark: int | None = None
    title: str = ""
    rights_holder: str = ""
    contact: str = ""
    url: str = ""
    training: str = "not-permitted"
    terms: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    mark_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    place: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise InvalidWork(f"{self.place}: {problem}" if self.place else problem)

    @property
    def is_reference(self) -> bool:
        """Whether the row only names a work, leaving its details as they are registered."""
        return bool(self.work) and not (
            self.title or self.rights_holder or self.contact or self.url or self.terms
            or self.labels or self.training != "not-permitted"
        )  # fmt: skip

    def _problem(self) -> str:
        for name, limit in _LIMITS.items():
            text = getattr(self, name)
            if text == "":
                continue
            if not isinstance(text, str):
                return f"{name} must be text"
            if len(text) > limit:
                return f"{name} has {len(text):,} characters; shorten it to {limit:,}"
            if _UNSTORABLE.search(text):
                return f"{name} holds a NUL or half a surrogate pair; remove it"
        if self.training not in TRAINING:
            return f"training is {self.training!r}; write one of {', '.join(TRAINING)}"
        if self.training == "constrained" and not self.terms.strip():
            return "training is constrained but no terms are given; state them"
        if self.work and not _WORK_ID.fullmatch(self.work):
            return (
                f"work {self.work!r} is not an id; use 1 to 64 letters, digits, '.', '_' and '-', "
                "or leave it empty to have one drawn"
            )
        if self.mark is not None:
            if not self.work:
                return "a row with a mark must name its work too; fill in both or neither"
            if not 0 <= self.mark < 1 << MARK_BITS:
                return f"mark {self.mark} is outside {MARK_BITS} bits"
        if not self.title.strip() and not self.is_reference:
            return "the title is empty; every work needs one"
        return _labels_problem("labels", self.labels) or _labels_problem(
            "mark_labels", self.mark_labels
        )


COLUMNS = tuple(each.name for each in fields(Row) if each.name != "place")


def parse_csv(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Read rows from CSV in UTF-8, with or without a byte order mark; the first line is a header.

    Parameters
    ----------
    lines : iterable of bytes
        A file opened in binary mode.
    name : str
        Name of the file, for messages.

    Raises
    ------
    InvalidWork
        Naming file and line, at the first row that cannot be read.
    """
    reader = csv.reader(_decoded(lines, name), strict=True)
    header: list[str] | None = None
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            place = f"{name}:{max(line, reader.line_num)}"
            raise InvalidWork(f"{place}: not CSV ({error}); quote the cell or mend it") from error
        if cells is None:
            break
        place, line = f"{name}:{line}", reader.line_num + 1
        if not cells:
            continue
        if header is None:
            header = cells
            _check_columns(header, place)
            continue
        if len(cells) != len(header):
            raise InvalidWork(
                f"{place}: {len(cells)} cells under {len(header)} columns; quote cells with commas"
            )
        values: dict[str, Any] = dict(zip(header, cells, strict=True))
        for column in ("labels", "mark_labels"):
            if column in values:
                values[column] = _parse_labels(values[column], column, place)
        yield _row(values, place)
    if header is None:
        raise InvalidWork(f"{name}: this file is empty; begin it with the line {','.join(COLUMNS)}")


def parse_jsonl(lines: Iterable[bytes], name: str) -> Iterator[Row]:
    """Read rows from JSON lines, one object a line; arguments and errors as for `parse_csv`."""
    for line, text in enumerate(_decoded(lines, name), 1):
        if text.isspace() or not text:
            continue
        place = f"{name}:{line}"
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidWork(f"{place}: not JSON ({error}); write one object a line") from error
        if not isinstance(values, dict):
            raise InvalidWork(f"{place}: not a JSON object; write one object a line")
        _check_columns(values, place)
        values = {column: value for column, value in values.items() if value is not None}
        for column in ("labels", "mark_labels"):
            if not isinstance(values.get(column, {}), dict):
                raise InvalidWork(f"{place}: {column} must be an object of texts")
        yield _row(values, place)


def format_csv(rows: Iterable[Row]) -> Iterator[str]:
    """Write rows as CSV (RFC 4180), header first; `parse_csv` gives the same rows back."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in rows:
        record = _record(row)
        record["labels"] = write_labels(row.labels)
        record["mark_labels"] = write_labels(row.mark_labels)
        writer.writerow(record.values())
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def format_jsonl(rows: Iterable[Row]) -> Iterator[str]:
    """Write rows as JSON lines; `parse_jsonl` gives the same rows back."""
    for row in rows:
        yield json.dumps(_record(row), ensure_ascii=False) + "\n"


def _record(row: Row) -> dict[str, Any]:
    record = {column: getattr(row, column) for column in COLUMNS}
    record["mark"] = "" if row.mark is None else format_mark(row.mark)
    return record


def _row(values: dict[str, Any], place: str) -> Row:
    mark = values.pop("mark", "")
    work = values.get("work", "")
    if not isinstance(work, str):
        raise InvalidWork(f"{place}: work must be text")
    values["training"] = values.get("training") or "not-permitted"
    try:
        number = parse_mark(mark) if mark != "" else None
    except InvalidWork as error:
        raise InvalidWork(f"{place}: {error}") from error
    return Row(mark=number, place=place, **values)


def _parse_labels(cell: str, column: str, place: str) -> dict[str, str]:
    if cell in {"", "{}"}:
        return {}
    try:
        labels = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise InvalidWork(
            f'{place}: {column} is not JSON ({error}); write it like {{"episode": "3"}}'
        ) from error
    if not isinstance(labels, dict):
        raise InvalidWork(f"{place}: {column} must be a JSON object of texts")
    return labels


def _check_columns(names: Iterable[str], place: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name not in COLUMNS:
            raise InvalidWork(f"{place}: unknown column {name!r}; known are {', '.join(COLUMNS)}")
        if name in seen:
            raise InvalidWork(f"{place}: the column {name!r} stands twice; remove one")
        seen.add(name)


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Decode line by line, so that a message can say in which line UTF-8 ends."""
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidWork(f"{name}:{number}: not UTF-8; save the file as UTF-8") from error
        yield text.removeprefix("\ufeff") if number == 1 else text


def _labels_problem(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    size = 0
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            return f"{name} must map text to text; write the value of {key!r} in quotes"
        if not key:
            return f"{name} has a label without a name; name it"
        if _UNSTORABLE.search(key) or _UNSTORABLE.search(value):
            return f"{name} hold a NUL or half a surrogate pair; remove it"
        size += len(key) + len(value)
    if size > _LABELS_LIMIT:
        return f"{name} are longer than {_LABELS_LIMIT:,} characters together; shorten them"
    return ""
