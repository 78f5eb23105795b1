"""A summary as a page and as tables: what stands where, and what is said of it."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.page.document import Ids, figures, folded, page, pictures
from bench.page.figures import (
    Figure,
    alarm_figures,
    curve_figures,
    fidelity_figures,
    price_figures,
)
from bench.page.names import APART, OURS, VISIBILITIES, systems_of
from bench.page.pictures import Sample
from bench.page.plots import why_not
from bench.page.speed import speed_grids
from bench.page.summary import cells
from bench.page.tables import (
    Grid,
    alarms_grid,
    family_grids,
    fidelity_grid,
    published_grid,
    short_grid,
)

__all__ = ["FIGURES", "markdown", "report"]

FIGURES = Path(__file__).parent / "published_figures.json"
_LEAD = {
    "equal": "Each system's strength was scaled until the marked pictures cost the same JOD "
    "(ColorVideoVDP), so nobody wins by being seen.",
    "default": "Each system as its makers ship it; what that costs to look at stands under Cost.",
}


def _published() -> Grid:
    return published_grid(json.loads(FIGURES.read_text(encoding="utf-8")))


def _counts(summary: Mapping[str, Any]) -> dict[str, str]:
    every = cells(summary)
    attacks = {(c.kind, c.attack, c.strength) for c in every if c.family not in APART}
    runs = summary["runs"]
    trials = sum(run["trials"] for run in runs)
    unlike = {name: ", ".join(sorted({str(r.get(name, "?")) for r in runs})) for name in _NAMED}
    return {
        "trials": f"{trials:,}",
        **{
            {"image": "pictures", "video": "films"}[kind]: f"{count:,}"
            for kind, count in summary["pictures"].items()
        },
        "systems": str(len(systems_of(summary))),
        "attacks": str(len(attacks)),
        **unlike,
        "date": summary["date"],
    }


_NAMED = ("commit", "corpus", "machine")


def _top(summary: Mapping[str, Any]) -> str:
    entries = "".join(
        f"<div><dt>{name}</dt><dd{'' if name not in {*_NAMED, 'date'} else ' class=small'}>"
        f"{html.escape(value)}</dd></div>"
        for name, value in _counts(summary).items()
    )
    commits = {run.get("commit") for run in summary["runs"]}
    mixed = (
        "<p><strong>These results are of more than one commit, so rows of different runs cannot "
        "be compared strictly.</strong></p>"
        if len(commits) > 1
        else ""
    )
    return f'<p class="lead">{_INTRODUCTION}</p>{mixed}<dl>{entries}</dl>'


_INTRODUCTION = (
    "An invisible mark was put into pictures and films, these were damaged in every way below, and "
    "what was left was asked whose mark it carries. "
    "A mark counts as found if the right one of 1,000,000 registered identities is named, with a "
    "chance of at most one in a billion that anything unmarked would be called marked at all."
)
_PRICE = "z against JOD, a point for each strength of embedding: up and to the left is better."
_METHOD = """
<ul>
<li>All systems marked the same pictures, and went through the same attacks with the same random
draws. Each runs its own published code.</li>
<li>A detector with bits is decided by the exact binomial tail of the bits that agree, against all
1,000,000 identities, so that systems of unequal payload stand on one scale: a family-wise false
positive rate of 1e-9.</li>
<li>Every share is a count, with the exact 95 % interval of Clopper and Pearson. Intervals take
trials as independent; where one picture went through several attacks of a group, the true interval
of the group is wider.</li>
<li>A trial that ended in an error counts as not found. <em>Best</em> is the highest share of a row
among the systems that went through all its trials. A peer that found more than sukashi is named in
the last column, with <em>within chance</em> where Fisher's exact test gives more than 0.05.</li>
<li>z is the score of the detector in standard deviations of what it gives where no mark is; bands
are the 95 % interval of the share, and of the median of z from order statistics.</li>
</ul>
"""


def _short(summary: Mapping[str, Any]) -> str:
    parts = []
    for visibility in VISIBILITIES:
        grid = short_grid(summary, visibility)
        if grid:
            parts.append(
                f"<h3>At {VISIBILITIES[visibility]}</h3><p>{_LEAD[visibility]}</p>{grid.page()}"
            )
    return "".join(parts)


def _plots(summary: Mapping[str, Any], ids: Ids, families: frozenset[str] | None = None) -> str:
    if why_not() is not None:
        return ""
    parts: list[str] = []
    for visibility in VISIBILITIES:
        inner = figures(curve_figures(summary, visibility, families), ids)
        if inner:
            first = not parts
            parts.append(folded(f"At {VISIBILITIES[visibility]}", inner, opened=first))
    return "".join(parts)


def _tables(summary: Mapping[str, Any]) -> str:
    return "".join(
        folded(grid.caption, grid.page())
        for visibility in VISIBILITIES
        for grid in family_grids(summary, visibility)
    )


def _runs(summary: Mapping[str, Any]) -> str:
    parts = []
    if summary["skipped"]:
        items = "".join(
            f"<li>{html.escape(each['system'])}: {html.escape(each['reason'])}</li>"
            for each in summary["skipped"]
        )
        parts.append(f"<h3>Not run</h3><ul>{items}</ul>")
    for run in summary["runs"]:
        text = html.escape(json.dumps(run, ensure_ascii=False))
        parts.append(f"<p><code>{text}</code></p>")
    return "".join(parts)


def _with(drawn: Sequence[Figure], ids: Ids, text: str, grid: Grid | None = None) -> str:
    if not drawn and grid is None:
        return ""
    return f"<p>{text}</p>" + figures(drawn, ids) + (grid.page() if grid else "")


def _cost(summary: Mapping[str, Any], ids: Ids) -> str:
    grid = fidelity_grid(summary)
    if grid is None:
        return ""
    parts = []
    for visibility in VISIBILITIES if why_not() is None else ():
        drawn = figures(fidelity_figures(summary, visibility), ids)
        parts.append(f"<h3>At {VISIBILITIES[visibility]}</h3>{drawn}" if drawn else "")
    said = (
        "Boxes hold the middle half of the pictures with the median in them; lines reach from 5 to "
        "95 %, and dots are the best and the worst."
    )
    return f"<p>{said}</p>{''.join(parts)}{folded('All figures', grid.page())}"


def report(summary: Mapping[str, Any], samples: Sequence[Sample] = ()) -> str:
    """Return the page of a summary, in HTML; what was not measured has no section."""
    ids, missing = Ids(), why_not()
    drawn = missing is None
    left_out = f"<p>Plots were left out: {html.escape(missing or '')}.</p>"
    found = [
        ("short", "What is found", _short(summary)),
        ("method", "How it was measured", _METHOD + ("" if drawn else left_out)),
        ("curves", "As the attack gets stronger", _plots(summary, ids)),
        (
            "scaling",
            "More identities, smaller parts, shorter clips",
            _plots(summary, ids, frozenset({"scaling"})),
        ),
        (
            "averaging",
            "Many frames of one work",
            _plots(summary, ids, frozenset({"averaging", "forgery"})),
        ),
        (
            "price",
            "What visibility buys",
            _with(price_figures(summary) if drawn else [], ids, _PRICE),
        ),
        ("cost", "Cost", _cost(summary, ids)),
        (
            "alarms",
            "False alarms",
            _with(
                alarm_figures(summary) if drawn else [],
                ids,
                "P-values where no mark of the key was. Points on or under the line keep what is "
                "promised; the dashed line is what uniform p-values exceed in 5 % of cases, "
                "place by place.",
                alarms_grid(summary),
            ),
        ),
        ("speed", "Speed", "".join(grid.page() for grid in speed_grids(summary))),
        ("pictures", "To look at", pictures(samples)),
        ("tables", "Every attack", _tables(summary)),
        (
            "published",
            "What others published",
            "<p>Figures of the makers' own papers and pages, on other pictures, by other measures. "
            "They were not measured here and cannot be compared with the tables above.</p>"
            + _published().page(),
        ),
        ("runs", "The runs", _runs(summary)),
    ]
    others = len([name for name in systems_of(summary) if name != OURS])
    beside = f": {OURS} beside {others} other systems" if others > 1 else ""
    bottom = "Made by <code>python -m bench report</code>; this page asks nothing of any server."
    return page(
        f"What invisible marks survive{beside}",
        _top(summary),
        [each for each in found if each[2]],
        bottom,
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """Return all tables in Markdown."""
    grids: list[Grid | None] = [short_grid(summary, each) for each in VISIBILITIES]
    grids += [grid for each in VISIBILITIES for grid in family_grids(summary, each)]
    grids += [fidelity_grid(summary), alarms_grid(summary), *speed_grids(summary), _published()]
    counts = "; ".join(f"{name} {value}" for name, value in _counts(summary).items())
    parts = ["# The benchmark", counts]
    parts += [f"## {grid.caption}\n\n{grid.markdown()}" for grid in grids if grid]
    if summary["skipped"]:
        parts.append(
            "## Not run\n\n"
            + "\n".join(f"- {each['system']}: {each['reason']}" for each in summary["skipped"])
        )
    return "\n\n".join(parts) + "\n"
