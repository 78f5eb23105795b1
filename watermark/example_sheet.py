"""A sheet of what a scan found: one HTML file with small pictures, which needs nothing else.

Names come from strangers' archives, so all of them are escaped, and the page may load and run
nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from watermark.files import atomic_write, shown
from watermark.scan_summary import Summary, interval

__all__ = ["write_sheet"]

_OF_A_WORK = 12  # pictures
_WORKS = 200  # on one sheet
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What was found</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
  color: #1c1c1c; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .2rem }
p { margin: .2rem 0 } .small { color: #555; font-size: .85rem }
.sheet { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: .8rem }
figure { margin: 0; width: 15rem } figure svg { width: 100%; height: auto; background: #eee }
figcaption { font-size: .8rem; overflow-wrap: anywhere; color: #333 }
polygon { fill: none; stroke: #d55e00; stroke-width: 3; vector-effect: non-scaling-stroke }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #161616 }
  .small, figcaption { color: #bbb } figure svg { background: #333 } }
</style></head><body>
"""


@dataclass(slots=True)
class _Group:
    """The pictures of one work."""

    name: tuple[str | None, str | None]
    pictures: list[dict[str, Any]] = field(default_factory=list)


def write_sheet(path: Path, summary: Summary, thumbnails: Iterable[dict[str, Any]]) -> None:
    """Write the sheet.

    Parameters
    ----------
    path : Path
    summary : Summary
    thumbnails : iterable of dict
        As `watermark.tables.THUMBNAILS` has them; the first few of each work are taken.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    wanted = {(each.work, each.mark) for each in summary.works[:_WORKS]}
    groups: dict[tuple[str | None, str | None], _Group] = {}
    for each in thumbnails:
        name = (each["work"], None if each["work"] else each["mark"])
        if name in wanted:
            group = groups.setdefault(name, _Group(name))
            if len(group.pictures) < _OF_A_WORK:
                group.pictures.append(each)
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(_lines(summary, groups))


def _lines(summary: Summary, groups: dict[tuple[str | None, str | None], _Group]) -> Iterator[str]:
    yield _HEAD
    yield "<h1>What was found</h1>\n"
    yield f"<p>A mark in {summary.found:,} of {summary.looked_at:,} pictures and clips.</p>\n"
    if not summary.works:
        yield "<p>No mark was found, which does not prove that there is none.</p>\n"
    for each in summary.works[:_WORKS]:
        named = each.title or (f"mark {each.mark}" if each.mark else "a work that is not sure")
        low, high = interval(each.rows, summary.looked_at)
        permission = f", training {each.training.replace('-', ' ')}" if each.training else ""
        yield f"<h2>{_text(named)}</h2>\n"
        yield (
            f"<p>in {each.rows:,}: {_percent(each.rows / summary.looked_at)} "
            f"({_percent(low)} to {_percent(high)}){_text(permission)}</p>\n"
        )
        if each.work:
            yield f'<p class="small">{_text(each.work)}</p>\n'
        group = groups.get((each.work, each.mark))
        if group is None:
            yield '<p class="small">No pictures of it to show.</p>\n'
            continue
        yield '<div class="sheet">\n'
        yield from map(_figure, group.pictures)
        yield "</div>\n"
    if len(summary.works) > _WORKS:
        yield f"<p>And {len(summary.works) - _WORKS:,} more works; summary.json has them all.</p>\n"
    yield "</body></html>\n"


def _figure(each: dict[str, Any]) -> str:
    width, height = int(each["width"]), int(each["height"])
    data = base64.b64encode(each["thumbnail"]).decode("ascii")
    points = " ".join(f"{float(x):g},{float(y):g}" for x, y in each["outline"] or ())
    drawn = f'<polygon points="{points}"/>' if points else ""
    name = _text(f"{each['key']}")
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">'
        f'<image href="data:image/jpeg;base64,{data}" width="{width}" height="{height}"/>'
        f"{drawn}</svg><figcaption>{name}<br>{_text(each['source'])}<br>"
        f"p = 10^{float(each['log10_p']):.1f}, {_text(each['alignment'] or '')}"
        "</figcaption></figure>\n"
    )


def _text(value: str) -> str:
    return escape(shown(value))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
