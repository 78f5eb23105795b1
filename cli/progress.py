"""How far a run has come: one line on a terminal's standard error, nothing in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from shutil import get_terminal_size
from typing import Any, Self, TypeVar

import click

from cli.interrupt import stop_if_interrupted
from cli.text import fit

__all__ = ["Progress"]

_BAR = 20  # columns at most
_SECONDS = 0.2  # between two drawings of one item
_CLEAR = "\r\x1b[K"

Item = TypeVar("Item")


class Progress:
    """A bar that is redrawn in place; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._place = (0, 1, "")  # done, total, name
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def over(self, items: Sequence[Item], name: Any = str) -> Iterator[Item]:
        """Yield the items; `name` gives the text beside the bar while one is worked on.

        Raises KeyboardInterrupt between two items if Ctrl-C was pressed meanwhile.
        """
        for done, item in enumerate(items):
            self._place = (done, len(items), name(item))
            self._draw()
            yield item
            stop_if_interrupted()
        self.clear()

    def tell(self, text: str) -> None:
        """Redraw with what is to be said of the present item, a few times a second at most."""
        now = time.monotonic()
        if now - self._drawn >= _SECONDS:
            self._drawn = now
            self._draw(text)

    def clear(self) -> None:
        """Take the bar away, so that something else can be printed there."""
        if self._on:
            click.echo(_CLEAR, nl=False, err=True, color=True)

    def _draw(self, text: str = "") -> None:
        if not self._on:
            return
        done, total, name = self._place
        width = get_terminal_size().columns
        counts = f" {done + 1}/{total} "
        bar = min(_BAR, width // 3)
        full = bar * done // total
        told = f"{text}  {name}" if text else name  # a long name is cut, and not what changes
        line = fit("█" * full + "░" * (bar - full) + counts + told, width - 1)
        click.echo(_CLEAR + line, nl=False, err=True, color=True)
