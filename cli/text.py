"""How results are shown: safe on a terminal, aligned, or as one JSON object a line."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from watermark.identification import Catalogue

__all__ = [
    "Real",
    "cells",
    "echo_json",
    "fit",
    "json_option",
    "opened_catalogue",
    "opened_registry",
    "printable",
    "registry_option",
    "wrapped",
]


class Real(click.FloatRange):
    """A number within a range.  NaN is in none, though no comparison says so."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number that a word stands for."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


# Controls, line separators and direction overrides: what would move the cursor, or make a line
# read otherwise than it is written.
_UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Command = Callable[..., Any]


def printable(text: str) -> str:
    r"""Return `text` with whatever could steer a terminal as an escape like ``\x1b``."""
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def echo_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line, readable where the terminal knows the letters."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    text = json.dumps(value, ensure_ascii=not utf8)
    click.echo(_UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes (Unicode annex 11)."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def fit(text: str, width: int) -> str:
    """Return `text` in exactly `width` columns: padded, or cut with an ellipsis."""
    text = printable(text)
    if cells(text) > width:
        room = width - 1
        kept = []
        for character in text:
            room -= _cells(character)
            if room < 0:
                break
            kept.append(character)
        text = "".join(kept) + "…"
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` columns, parted at blanks where there are any."""
    lines = [""]
    for word in printable(text).split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cells(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:  # of a word too long for a line, such as a path
            if lines[-1] and cells(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return lines


def registry_option(command: Command) -> Command:
    """Add ``--registry`` as the parameter `registry`, a string or None."""
    return click.option(
        "--registry",
        metavar="FILE|URL",
        help="The registry: an SQLite file or an SQLAlchemy URL.  By default SUKASHI_REGISTRY, "
        "or else a file in your data folder.",
    )(command)


def opened_registry(registry: str | None, *, read_only: bool = False) -> Any:
    """Open the registry named on the command line; see `watermark.registry.open_registry`."""
    from watermark.registry import open_registry  # noqa: PLC0415 - slow, and help needs none

    return open_registry(registry, read_only=read_only)


def opened_catalogue(registry: str | None, stack: ExitStack, *, blind: bool) -> Catalogue | None:
    """Return the marks that are asked about, or None where numbers are told instead of works.

    The registry is closed with `stack`.  Only the file in the data folder may be missing, which is
    said: what was named is to be there.
    """
    from watermark.identification import Catalogue  # noqa: PLC0415 - slow, and help needs none
    from watermark.registry import registry_exists  # noqa: PLC0415

    if blind:
        return None
    if registry is None and not os.environ.get("SUKASHI_REGISTRY") and not registry_exists():
        click.echo("No registry yet: marks are told by their numbers.", err=True)
        return None
    return Catalogue.load(stack.enter_context(opened_registry(registry, read_only=True)))


def json_option(command: Command) -> Command:
    """Add ``--json`` as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")(
        command
    )
