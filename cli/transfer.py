"""``sukashi work import`` and ``export``: a registry as CSV or JSON lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import click

from cli.text import echo_json, json_option, opened_registry, printable, registry_option
from watermark.errors import InvalidWork, OutputError
from watermark.files import atomic_write, shown
from watermark.rows import Row, format_csv, format_jsonl, parse_csv, parse_jsonl

__all__ = ["export", "import_works"]

_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


@click.command(name="import")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="If no suffix says it.")
@registry_option
@json_option
def import_works(
    files: tuple[str, ...], *, form: str | None, registry: str | None, as_json: bool
) -> None:
    """Register the works and marks in CSV or JSON-lines files.

    All rows of all files are taken in, or none: an error names the file and the line, and the
    registry stays as it was.  The columns are work, mark, title, rights_holder, contact, url,
    training, terms, labels and mark_labels, of which only title is needed.  Without a work or
    a mark new ones are drawn; rows with the same work are its marks; a row that is registered
    already, just as it is, is skipped.  Labels are a JSON object.  '-' is standard input.

    \b
    Example:
      sukashi work import works.csv
    """
    with ExitStack() as stack:
        parts: list[Iterator[Row]] = []
        for file in files:
            chosen = _form(file, form)
            try:
                handle = stack.enter_context(click.open_file(file, "rb"))
            except OSError as error:
                raise InvalidWork(
                    f"{file}: cannot be read ({error.strerror}); name a CSV or JSON-lines file"
                ) from error
            parts.append(parse_csv(handle, file) if chosen == "csv" else parse_jsonl(handle, file))
        with opened_registry(registry) as opened:
            done = opened.import_rows(chain.from_iterable(parts))
    if as_json:
        counts = {"works": done.works, "marks": done.marks, "skipped": done.skipped}
        echo_json({"files": list(files), "rows": done.rows, **counts})
    else:
        click.echo(
            f"{done.rows:,} rows: {done.works:,} works and {done.marks:,} marks added, "
            f"{done.skipped:,} known already"
        )


@click.command()
@click.argument("file", default="-")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="If no suffix says it.")
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@registry_option
def export(file: str, *, form: str | None, force: bool, registry: str | None) -> None:
    """Write all works and marks to FILE, as CSV or JSON lines by its suffix.

    Importing the file gives the same works and marks again.  Without FILE, JSON lines go to
    standard output.  FILE appears under its name only when it is complete, and one that exists
    is replaced only with --force.

    \b
    Example:
      sukashi work export works.csv
    """
    chosen = "jsonl" if file == "-" and form is None else _form(file, form)
    with opened_registry(registry, read_only=True) as opened:
        if file != "-":
            _check_output(file, opened.name, force=force)
        rows = opened.export_rows()
        lines = format_csv(rows) if chosen == "csv" else format_jsonl(rows)
        if file != "-":
            with (
                atomic_write(file, replace=force) as temporary,
                temporary.open("wb") as handle,
            ):
                handle.writelines(line.encode() for line in lines)
        elif sys.stdout.isatty():
            for line in lines:
                click.echo(printable(line.rstrip("\r\n")))
        else:
            stream = sys.stdout.buffer
            for line in lines:
                stream.write(line.encode())


def _check_output(file: str, registry: str, *, force: bool) -> None:
    """Refuse to replace what is no export, or what nobody said may be replaced."""
    if not os.path.lexists(file):
        return
    path = Path(file)
    for suffix in ("", "-wal", "-shm"):  # SQLite keeps up to three files
        own = Path(registry + suffix)
        if path.exists() and own.exists() and path.samefile(own):
            raise OutputError(f"{shown(file)}: this is the registry itself; choose another name")
    if path.exists() and not path.is_file():
        raise OutputError(
            f"{shown(file)}: this is no regular file; choose another name, or '-' for "
            "standard output"
        )
    if not force:
        raise OutputError(
            f"{shown(file)}: this file exists; replace it with --force or choose another name"
        )


def _form(file: str, form: str | None) -> str:
    chosen = form or _SUFFIXES.get(Path(file).suffix.lower())
    if chosen is None:
        raise click.UsageError(f"{printable(file)}: is this CSV or JSON lines? name it by --format")
    return chosen
