"""The tables of the benchmark, as a grid that is written in HTML and in Markdown alike."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from bench.page.names import APART, FAMILIES, MEASURES, OURS, called, systems_of
from bench.page.summary import Cell, cells
from bench.published.row import GROUPS
from bench.report import rated, table
from bench.score import Score

__all__ = [
    "Entry",
    "Grid",
    "alarms_grid",
    "family_grids",
    "fidelity_grid",
    "published_grid",
    "shares",
    "short_grid",
]

# Strengths from nothing to ruin would weigh as the curve happens to be sampled.
_NOT_IN_SHORT = APART | {"curves"}

_FILMS = " (films)"
_CHANCE = 0.05  # a difference with a larger p is said to be within chance


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a table: what it says, smaller lines under it, and whether it is the best."""

    text: str
    details: tuple[str, ...] = ()
    best: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a caption; the first column names the rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]

    def markdown(self) -> str:
        """Return the table in Markdown, the best of a row in bold."""
        return table(self.head, ([_marked(each) for each in row] for row in self.rows))

    def page(self) -> str:
        """Return the table in HTML, in a frame that scrolls by itself and can be reached by key."""
        label = html.escape(self.caption, quote=True)
        head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in self.head)
        body = "".join(
            "<tr>"
            + "".join(_cell(each, first=not place) for place, each in enumerate(row))
            + "</tr>"
            for row in self.rows
        )
        return (
            f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>'
            f"<caption>{html.escape(self.caption)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )


def _marked(entry: Entry) -> str:
    text = f"[{entry.text}]({entry.link})" if entry.link else entry.text
    text = f"**{text}**" if entry.best else text
    details = ", ".join(entry.details)
    return (f"{text} ({details})" if details else text).replace("|", "\\|")


def _cell(entry: Entry, *, first: bool) -> str:
    text = html.escape(entry.text)
    if entry.link:
        text = f'<a href="{html.escape(entry.link, quote=True)}">{text}</a>'
    if entry.best:
        text = f'<strong>{text}</strong><span class="best"> best</span>'
    text += "".join(f"<small>{html.escape(each)}</small>" for each in entry.details)
    tag = 'th scope="row"' if first else f"td{' class=top' if entry.best else ''}"
    return f"<{tag}>{text}</{tag.split(maxsplit=1)[0]}>"


def _total(mine: Iterable[Cell]) -> Score:
    return reduce(lambda total, cell: total + cell.score, mine, Score())


def _comparable(mine: Mapping[str, Sequence[Cell]]) -> set[str]:
    """Return the systems that went through every trial of the row that any of them did."""
    trials = {
        name: {(cell.family, cell.name): cell.score.trials for cell in each}
        for name, each in mine.items()
    }
    most: dict[tuple[str, str], int] = {}
    for each in trials.values():
        for attack, count in each.items():
            most[attack] = max(count, most.get(attack, 0))
    return {name for name, each in trials.items() if each == most}


def _entries(
    mine: Mapping[str, Sequence[Cell]], systems: Sequence[str], *, bad: bool
) -> list[Entry]:
    """Return a row's cells and its words; `bad` is what should not be found, and has no best."""
    fair = _comparable(mine)
    scores = {name: _total(each) for name, each in mine.items()}
    best = max((scores[name].found for name in fair), default=0)
    entries = []
    for name in systems:
        if name not in mine:
            entries.append(Entry("not run"))
            continue
        errors = sum(cell.errors for cell in mine[name])
        text, *told = shares(scores[name])
        told += [f"{errors} with errors"] * bool(errors)
        told += ["on other trials"] * (name not in fair)
        top = not bad and name in fair and len(mine) > 1 and 0 < best == scores[name].found
        entries.append(Entry(text, tuple(told), best=top))
    return [*entries, Entry("" if bad else _words(scores, fair))]


@cache
def shares(score: Score) -> tuple[str, str, str]:
    """Return a score as its share, interval and counts: ``92.3 %, 64.0 to 99.8 %, 12/13``."""
    low, high = (100 * end for end in score.interval())
    counts = f"{score.found}/{score.trials}"
    if score.found == 0:
        return "0 %", f"≤ {high:.2g} %", counts
    return f"{100 * score.rate:.1f} %", f"{low:.1f} to {high:.1f} %", counts


@cache
def _p_of_difference(one: Score, other: Score) -> float:
    counts = np.array([[each.found, each.trials - each.found] for each in (one, other)])
    return float(fisher_exact(counts).pvalue)


def _words(scores: Mapping[str, Score], fair: set[str]) -> str:
    """Say which peers found more than sukashi, and whether that may be chance."""
    if OURS not in scores:
        return f"{OURS} was not run"
    ours, said = scores[OURS], []
    for name in sorted(scores, key=lambda each: (-scores[each].rate, each)):
        if scores[name].rate > ours.rate:
            notes = ["on other trials"] * (not {name, OURS} <= fair)
            notes += ["within chance"] * (_p_of_difference(scores[name], ours) > _CHANCE)
            said.append(f"{name} is better" + f" ({', '.join(notes)})" * bool(notes))
    return "; ".join(said)


def _rows(
    chosen: Iterable[Cell],
    systems: Sequence[str],
    row_of: Callable[[Cell], Entry],
    *,
    bad: bool = False,
) -> tuple[tuple[Entry, ...], ...]:
    rows: dict[Entry, dict[str, list[Cell]]] = {}
    for cell in chosen:
        rows.setdefault(row_of(cell), {}).setdefault(cell.system, []).append(cell)
    ordered = sorted(rows.items(), key=lambda item: _usual(item[0].text))
    return tuple((row, *_entries(mine, systems, bad=bad)) for row, mine in ordered)


def _usual(group: str) -> tuple[bool, int, str]:
    """Return a group's place in a table: pictures before films, as in the published lists."""
    name = group.removesuffix(_FILMS)
    return name != group, GROUPS.index(name) if name in GROUPS else len(GROUPS), group


def _present(chosen: Sequence[Cell], summary: Mapping[str, Any]) -> tuple[str, ...]:
    there = {cell.system for cell in chosen}
    return tuple(name for name in systems_of(summary) if name in there)


def short_grid(summary: Mapping[str, Any], visibility: str) -> Grid | None:
    """Return the short table, system × group of attacks; None if nothing was run so."""
    chosen = [
        cell
        for cell in cells(summary)
        if cell.visibility == visibility and cell.family not in _NOT_IN_SHORT
    ]
    if not chosen:
        return None
    systems = _present(chosen, summary)
    attacks: dict[str, set[tuple[str, str, float | None]]] = {}
    for cell in chosen:
        attacks.setdefault(_group(cell), set()).add((cell.family, cell.attack, cell.strength))
    rows = _rows(
        chosen,
        systems,
        lambda cell: Entry(_group(cell), _counted(len(attacks[_group(cell)]))),
    )
    return Grid(
        f"Found, at {called(visibility)}", ("attacks", *systems, "where a peer is better"), rows
    )


def _counted(attacks: int) -> tuple[str]:
    return ("1 attack" if attacks == 1 else f"{attacks} attacks",)


def _group(cell: Cell) -> str:
    return f"{cell.group}{_FILMS}" if cell.kind == "video" else cell.group


def family_grids(summary: Mapping[str, Any], visibility: str) -> list[Grid]:
    """Return a table of all attacks for each family, with the median z where there is one."""
    every = [cell for cell in cells(summary) if cell.visibility == visibility]
    found = []
    for family in sorted({cell.family for cell in every} - {"price"}):
        bad = family == "forgery"
        chosen = [cell for cell in every if cell.family == family]
        systems = _present(chosen, summary)
        medians = {(c.system, _name(c)): c.z[1] for c in chosen}
        order = _in_order(chosen)
        grid_rows = _rows(chosen, systems, lambda cell: Entry(_name(cell)), bad=bad)
        by_name = {row[0].text: row for row in grid_rows}
        rows = []
        for row in (by_name[name] for name in order):
            z = medians.get((OURS, row[0].text))
            rows.append((*row[:-1], Entry("" if z is None else f"{z:.1f}"), row[-1]))
        head = ("attack", *systems, f"median z, {OURS}", "where a peer is better")
        name = FAMILIES.get(family, family)
        caption = f"{name[:1].upper()}{name[1:]}, at {called(visibility)}"
        found.append(Grid(caption, head, tuple(rows)))
    return found


def _name(cell: Cell) -> str:
    return f"{cell.name}{_FILMS}" if cell.kind == "video" else cell.name


def _in_order(chosen: Iterable[Cell]) -> list[str]:
    """Return the names of attacks by group and curve, each curve by strength."""
    places = {
        _name(cell): (cell.group, cell.curve, cell.strength if cell.strength is not None else 0.0)
        for cell in chosen
    }
    return sorted(places, key=lambda name: (places[name], name))


def fidelity_grid(summary: Mapping[str, Any]) -> Grid | None:
    """Return the quantiles of every measure; None if none was taken."""
    rows = []
    for measure, (name, unit, more) in MEASURES.items():
        for each in summary["fidelity"]:
            if each["measure"] == measure:
                q = [f"{value:.4g}" for value in each["quantiles"]]
                where = f"{each['system']}, {called(each['visibility'])}"
                where += _FILMS if each["kind"] == "video" else ""
                five, worst = (q[1], q[0]) if more else (q[5], q[6])
                shown = (q[3], f"{q[2]} to {q[4]}", five, worst, str(each["trials"]))
                rows.append((Entry(name, (unit,)), Entry(where), *map(Entry, shown)))
    head = ("measure", "system", "median", "middle half", "worst 5 %", "worst", "pictures")
    return Grid("What the marks cost", head, tuple(rows)) if rows else None


def alarms_grid(summary: Mapping[str, Any]) -> Grid | None:
    """Return the false alarms and their upper bounds; None if nothing was looked at."""
    rows = []
    for each in summary["null"]:
        least = each["tail"][0][1] if each["tail"] else None
        text = rated(Score(each["alarms"], each["trials"]))
        smallest = "" if least is None else f"10^{least:.1f}"
        rows.append((Entry(each["attack"]), Entry(each["system"]), Entry(text), Entry(smallest)))
    head = ("looked at", "system", "called marked", "smallest p")
    return (
        Grid("False alarms: decisions where no mark of the key was", head, tuple(rows))
        if (rows)
        else None
    )


def published_grid(figures: Sequence[Mapping[str, str]]) -> Grid:
    """Return what others published of their own systems, with the sources."""
    rows = tuple(
        (
            *map(Entry, (each["system"], each["what"], each["figure"], each["conditions"])),
            Entry(each["source"], link=each["url"]),
        )
        for each in figures
    )
    head = ("system", "what", "figure", "conditions", "source")
    return Grid("Published by others, not measured here", head, rows)
