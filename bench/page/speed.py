"""What marking and finding cost in time and memory: the lines of ``python -m bench speed-sizes``.

They are no trials on pictures, so they stand in a summary by themselves, under ``speed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.page.names import OURS
from bench.page.tables import Entry, Grid

__all__ = ["is_speed", "speed", "speed_grids"]

Line = Mapping[str, Any]

_KINDS = ("size", "registry", "cores", "memory")
_FIELDS = ("what", "system", "of", "megapixels", "s", "ratio", "marks", "jobs", "a_s", "MB")
_RUN = ("commit", "machine")


def is_speed(line: Line) -> bool:
    """Return whether a line of results is one of time or memory rather than a trial."""
    return "family" not in line and line.get("what") in _KINDS


def speed(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Return what a summary keeps of such lines; those that ended in an error are left out."""
    kept = _FIELDS + _RUN
    return [{name: line[name] for name in kept if name in line} for line in lines if "of" in line]


def speed_grids(summary: Mapping[str, Any]) -> tuple[Grid, ...]:
    """Return the tables of time against size, and of everything else; none without lines."""
    lines: Sequence[Line] = summary.get("speed", ())
    sizes = [line for line in lines if line["what"] == "size"]
    others = [entry for line in lines if (entry := _other(line))]
    found = []
    if sizes:
        found.append(_by_size(sizes))
    if others:
        rows = tuple((Entry(name), Entry(value)) for name, value in others)
        found.append(Grid("More works, more cores, more pixels", ("what", "measured"), rows))
    return tuple(found)


def _by_size(lines: Sequence[Line]) -> Grid:
    columns = sorted({line["megapixels"] for line in lines})
    names = sorted(
        {(line["system"], line["of"]) for line in lines},
        key=lambda name: (name[0] != "libvips", name[0] != OURS, name),
    )
    by = {(line["system"], line["of"], line["megapixels"]): line for line in lines}
    return Grid(
        "Time against size, and as a ratio to decoding the same picture's JPEG",
        ("system", "what", *(f"{size:.1f} megapixels" for size in columns)),
        tuple(
            (Entry(name[0]), Entry(name[1]), *(_time(by.get((*name, size))) for size in columns))
            for name in names
        ),
    )


def _time(line: Line | None) -> Entry:
    if line is None:
        return Entry("not run")
    ratio = (f"{line['ratio']:.1f} × decoding",) if "ratio" in line else ()
    return Entry(f"{1000 * line['s']:.0f} ms", ratio)


def _other(line: Line) -> tuple[str, str] | None:
    match line["what"]:
        case "registry":
            return f"{line['of']}, {line['marks']:,} marks", f"{1000 * line['s']:.0f} ms"
        case "cores":
            return f"{line['of']}, {line['jobs']} processes", f"{line['a_s']:.1f} a second"
        case "memory":
            return line["of"], f"{line['MB']:.0f} MB at most"
    return None
