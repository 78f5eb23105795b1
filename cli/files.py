"""What the commands over files share: their options, and how a file that failed is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from shutil import get_terminal_size
from typing import Any, NoReturn

import click

from cli.progress import Progress
from cli.text import cells, echo_json, fit, printable, wrapped
from watermark.errors import WatermarkError

__all__ = [
    "Failures",
    "NoPictures",
    "echo_row",
    "files_argument",
    "finish",
    "max_pixels_option",
    "named",
    "shortened",
    "terminal_width",
]

Command = Callable[..., Any]

_NARROWEST = 8  # columns that are left to what is said
_LINES = 6  # for one thing that is said, at most


class NoPictures(WatermarkError):
    """The folders that were named hold no picture."""


def files_argument(command: Command) -> Command:
    """Add the argument `files`, one or more."""
    return click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER…")(command)


def max_pixels_option(command: Command) -> Command:
    """Add ``--max-pixels`` as the parameter `max_pixels`, an int or None."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        metavar="N",
        help="Refuse larger pictures; 100,000,000 unless said otherwise.",
    )(command)


def named(value: Any, default: Any) -> Any:
    """Return `value`, or `default` where an option was not given."""
    return default if value is None else value


def terminal_width() -> int:
    """Return the columns of the terminal that results go to; in a pipe there is no end."""
    return get_terminal_size().columns if sys.stdout.isatty() else 10**6


def shortened(path: str) -> str:
    """Return a path on one line of the terminal: too long a one loses its beginning."""
    text = printable(path)
    width = terminal_width()
    while cells(text) > width:
        text = "…" + text[1 + (text[0] == "…") :]
    return text


def echo_row(label: str, text: str, *, width: int, bold: bool | None = None) -> None:
    """Print a label and what it says, in further lines below where one is too narrow.

    Parameters
    ----------
    label, text : str
    width : int
        Columns of the label.
    bold : bool, optional
        Whether the label stands out; None for one that is not to be styled.
    """
    room = max(_NARROWEST, terminal_width() - width - 4)
    first = f"{label:{width}}"
    lines = wrapped(text, room)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], fit(" ".join(lines[_LINES - 1 :]), room)]
    shown = f"\n{' ' * (width + 4)}".join(line.rstrip() for line in lines)
    click.echo(f"  {first if bold is None else click.style(first, bold=bold)}  {shown}".rstrip())


class Failures:
    """Tells of every file that failed, in one line on standard error, and counts them.

    Parameters
    ----------
    progress : Progress
        Its bar makes room.
    blank : dict, optional
        What stands in the row of a file that failed, between its name and its error; no rows are
        printed without it.
    """

    def __init__(self, progress: Progress, blank: dict[str, Any] | None) -> None:
        self._progress = progress
        self._blank = blank
        self.count = 0

    def __call__(self, error: WatermarkError) -> None:
        """Tell of an error whose message begins with the file's name, as all of ours do."""
        self.add(_named_in(str(error)), error)

    def add(self, file: str, error: WatermarkError) -> None:
        """Tell of `error` in `file`."""
        self.count += 1
        self._progress.clear()
        if self._blank is not None:
            echo_json({"file": file, **self._blank, "error": str(error)})
        click.echo(f"Error: {printable(str(error))}", err=True)


def _named_in(message: str) -> str:
    """Return the file that a message begins with; a name may hold a colon itself."""
    parts = message.split(": ")
    names = [": ".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    return next((name for name in names if os.path.lexists(name)), parts[0])


def finish(failures: Failures) -> None:
    """Leave with exit code 1 if any file failed."""
    if failures.count:
        _leave(1)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()  # a closed pipe shows itself here, not after the end
    click.get_current_context().exit(code)
