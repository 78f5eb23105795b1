"""The lines of a run as Markdown tables, and what in them must not be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.report import table

__all__ = ["failed", "summary"]

Line = dict[str, Any]

# What issue and README promise.
_RATE = 0.85  # of the library's
_P50 = 1.3  # of the library's
_P99 = 3.0  # of the p50
_GROWTH = 0.05

_HEADS = {
    "ratio": (
        *("search", "library, 1/s", "service, 1/s", f"ratio (≥ {_RATE})"),
        *("library p50, ms", "service p50, ms", f"ratio (≤ {_P50})", "stages, ms", "lost", "wrong"),
    ),
    "overload": (
        *("search", "sustained, 1/s", "offered, 1/s", "seconds", "accepted", "503", "lost"),
        *("wrong", "p50, s", "p99, s", f"p99/p50 (≤ {_P99:g})", "RSS start, MB", "RSS end, MB"),
    ),
    "memory": (
        *("search", "requests", "RSS, MB", f"growth (≤ {100 * _GROWTH:g} %)"),
        *("refused", "lost", "wrong", "p50, ms"),
    ),
    "fuzz": (
        *("search", "files", "statuses", "verdicts", "no answer", "server errors"),
        *("wrong", "alive and as before"),
    ),
}


def _ratio(line: Line) -> Sequence[object]:
    return (
        line["search"],
        *(f"{line[name]:.1f}" for name in ("library_rate", "service_rate")),
        f"{line['rate_ratio']:.3f}",
        *(f"{1e3 * line[name]:.1f}" for name in ("library_p50", "service_p50")),
        f"{line['p50_ratio']:.3f}",
        ", ".join(f"{stage} {1e3 * took:.1f}" for stage, took in line["stages"].items()),
        line["lost"],
        line["wrong"],
    )


def _overload(line: Line) -> Sequence[object]:
    return (
        line["search"],
        *(f"{line[name]:.1f}" for name in ("sustained", "offered", "seconds")),
        *(line[name] for name in ("accepted", "refused", "lost", "wrong")),
        *(f"{line[name]:.3f}" for name in ("p50", "p99")),
        f"{line['p99'] / line['p50']:.2f}",
        *(f"{line[name] / 1e6:.0f}" for name in ("rss_start", "rss_end")),
    )


def _memory(line: Line) -> Sequence[object]:
    return (
        line["search"],
        line["requests"],
        f"{line['rss'] / 1e6:.1f}",
        f"{100 * line['growth']:+.1f} %",
        *(line[name] for name in ("refused", "lost", "wrong")),
        f"{1e3 * line['p50']:.1f}",
    )


def _fuzz(line: Line) -> Sequence[object]:
    return (
        line["search"],
        line["count"],
        *(", ".join(f"{k}: {n}" for k, n in line[name].items()) for name in _COUNTED),
        *(line[name] for name in ("no_answer", "server_errors", "wrong")),
        "yes" if line["alive"] else "no",
    )


_COUNTED = ("statuses", "verdicts")
_ROWS: dict[str, Callable[[Line], Sequence[object]]] = {
    "ratio": _ratio,
    "overload": _overload,
    "memory": _memory,
    "fuzz": _fuzz,
}


def summary(lines: Sequence[Line]) -> str:
    """Return a table for each mode that was run."""
    return "\n\n".join(
        table(head, rows)
        for what, head in _HEADS.items()
        if (rows := [_ROWS[what](line) for line in lines if line["what"] == what])
    )


def failed(lines: Sequence[Line]) -> list[str]:
    """Return, in words, what must not be: anything lost or wrong, and a service that ended."""
    told = []
    for line in lines:
        if line["what"] == "fuzz case":
            told.append(f"file {line['number']} ({line['how']}): {line['status']} {line['told']}")
            continue
        told += [f"{line['what']}: {each}" for each in line.get("problems", ())]
        for name in ("lost", "wrong", "no_answer", "server_errors"):
            if line.get(name):
                told.append(f"{line['what']}: {line[name]} {name.replace('_', ' ')}")
        if not line.get("alive", True):
            told.append(f"{line['what']}: the service ended, or tells otherwise than before")
    return told
