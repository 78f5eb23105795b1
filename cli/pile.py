"""How a pile is told of: a line of progress with rate and time left, and a summary at the end."""

from __future__ import annotations

import sys
import time
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from cli.files import echo_row
from cli.text import fit
from cli.verdict import power

if TYPE_CHECKING:
    from watermark.scan import Seen
    from watermark.scan_summary import FoundWork, Summary

__all__ = ["Gauge", "tell_summary"]

_SECONDS = 0.5  # between two drawings
_CLEAR = "\r\x1b[K"
_BAR = 20  # columns
_WORKS = 20  # told one by one
_LABEL = 12  # columns of the words at the left


class Gauge:
    """One line on a terminal's standard error that is redrawn in place; nothing in a pipe."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._began = time.monotonic()
        self._drawn = 0.0
        self._first = 0  # units that were done before
        self._units, self._done = 1, 0
        self._rows = 0
        self._found = 0

    def seen(self, seen: Seen) -> None:
        """Take how far the run has come."""
        if seen.outcome.rows == 0:
            self._first = seen.done
        self._units, self._done, self._found = seen.units, seen.done, seen.outcome.found
        self._rows = max(self._rows, seen.outcome.rows)
        self._draw()

    def rows(self, count: int) -> None:
        """Take rows that were made in units that are being done."""
        self._rows += count
        self._draw()

    def clear(self) -> None:
        """Take the line away."""
        if self._on:
            click.echo(_CLEAR, nl=False, err=True, color=True)

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._on or now - self._drawn < _SECONDS:
            return
        self._drawn = now
        passed = max(now - self._began, 1e-3)
        full = _BAR * self._done // max(1, self._units)
        told = f"{'█' * full}{'░' * (_BAR - full)} {self._done}/{self._units} units"
        told += f"  {self._rows:,} looked at, {self._found:,} marked"
        told += f"  {self._rows / passed:.1f}/s"
        finished = self._done - self._first
        if finished:
            left = passed / finished * (self._units - self._done)
            told += f"  {_time(left)} left"
        line = fit(told, get_terminal_size().columns - 1)
        click.echo(_CLEAR + line, nl=False, err=True, color=True)


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def tell_summary(summary: Summary, results: str) -> None:
    """Print what was found, a line a work."""
    looked_at = summary.looked_at
    kinds = [_counted(summary.kinds[each], each) for each in ("still", "clip")]
    kinds = kinds if min(summary.kinds["still"], summary.kinds["clip"]) else []
    _line("looked at", f"{looked_at:,}" + (f" ({', '.join(kinds)})" if kinds else ""))
    words = ("detected", "indicated", "not-found", "inconclusive")
    for place, verdict in enumerate(words):
        if summary.verdicts[verdict] or place == 0:
            text = f"{summary.verdicts[verdict]:,}"
            if verdict in {"detected", "indicated"} and looked_at:
                expected = summary.expected()[verdict]
                text += f"  (at most {expected:.1g} by chance, were nothing marked)"
            _line(verdict.replace("-", " "), text, bold=place < 2)
    for reason, count in summary.reasons.most_common():
        first = summary.told.get(reason)
        _line(reason.replace("-", " "), f"{count:,}" + (f"  (first: {first})" if first else ""))
    if looked_at:
        for each in summary.works[:_WORKS]:
            _work(each, looked_at)
    if len(summary.works) > _WORKS:
        _line("", f"and {len(summary.works) - _WORKS:,} more works, in summary.json")
    _line("results", results)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _work(each: FoundWork, of: int) -> None:
    from watermark.scan_summary import interval  # noqa: PLC0415 - slow, help needs none

    name = each.title or (f"mark {each.mark}" if each.mark else "a registered work, not sure which")
    low, high = (f"{100 * bound:.3g}" for bound in interval(each.rows, of))
    click.echo()
    _line("work", name, bold=True)
    _line("in", f"{each.rows:,}, {100 * each.rows / of:.3g} % (95 %: {low} to {high} %)")
    if each.training:
        _line("training", each.training.replace("-", " "))
    _line("surest", f"p = {power(each.best_log10_p)}")


def _line(label: str, text: str, *, bold: bool = False) -> None:
    echo_row(label, text, width=_LABEL, bold=bold)
