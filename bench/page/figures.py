"""What is drawn of a summary: curves against strength, scaling, price, fidelity, false alarms."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
from scipy.stats import beta

from bench.page.distributions import box, qq
from bench.page.names import APART, FAMILIES, MEASURES, OURS, brief, systems_of
from bench.page.plots import Line, lines
from bench.page.summary import Cell, cells

__all__ = [
    "FAMILIES",
    "Figure",
    "alarm_figures",
    "curve_figures",
    "fidelity_figures",
    "price_figures",
]


@dataclass(frozen=True, slots=True)
class Figure:
    """Plots of one matter, one above the other, with a title and what has to be said of them."""

    title: str
    svgs: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Axis:
    label: str
    falling: bool = False
    log: bool = False


# By the first word of a curve that is found in its name; what gets less as it gets worse falls.
_AXES = {
    "registry": _Axis("identities registered", log=True),
    "crop area": _Axis("share of the area kept", falling=True, log=True),
    "centre crop": _Axis("share of the area kept", falling=True, log=True),
    "resized crop": _Axis("share of the area kept", falling=True, log=True),
    "proportion": _Axis("share of the area marked", falling=True, log=True),
    "collage": _Axis("share of the area marked", falling=True, log=True),
    "area": _Axis("share of the area kept", falling=True, log=True),
    "clip length": _Axis("seconds of the clip", falling=True, log=True),
    "length": _Axis("seconds of the clip", falling=True, log=True),
    "rotat": _Axis("degrees"),
    "resize": _Axis("share of each side", falling=True),
    "crop": _Axis("share of each side kept", falling=True),
    "perspective": _Axis("distortion scale"),
    "jpeg": _Axis("JPEG quality", falling=True),
    "webp": _Axis("WebP quality", falling=True),
    "avif": _Axis("AVIF quality", falling=True),
    "brightness": _Axis("factor", log=True),
    "contrast": _Axis("factor", log=True),
    "saturation": _Axis("factor"),
    "sharp": _Axis("factor"),
    "hue": _Axis("turns of the colour circle"),
    "blur": _Axis("pixels"),
    "median": _Axis("window, pixels"),
    "noise": _Axis("standard deviation"),
    "eras": _Axis("share of the area"),
    "crf": _Axis("CRF"),
    "h264": _Axis("CRF"),
    "h265": _Axis("CRF"),
}
_FRAMES = _Axis("frames that were averaged", log=True)
_OF_FRAMES = frozenset({"averaging", "forgery"})
_WITNESSES = 2  # strengths that make a line


def _axis(curve: str, most: float) -> _Axis:
    for word, axis in _AXES.items():
        if word in curve.lower():
            if axis.label.startswith("share") and most > 1:
                return replace(axis, label="short side, pixels" if word == "resize" else "%")
            return axis
    return _Axis("strength")


def _places(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the colour of each system: ours is 0 also where it was not run."""
    others = [name for name in systems_of(summary) if name != OURS]
    return {OURS: 0} | {name: place for place, name in enumerate(others, 1)}


def _lines(
    mine: Iterable[Cell], summary: Mapping[str, Any]
) -> tuple[list[Line], list[Line], Sequence[float]]:
    """Return the lines of the found-rate and of the median z, and all strengths."""
    places, short = _places(summary), brief(systems_of(summary))
    by: dict[str, list[tuple[float, Cell]]] = {}
    for cell in mine:
        if cell.strength is not None:
            by.setdefault(cell.system, []).append((cell.strength, cell))
    rates, scores, strengths = [], [], set()
    for name in sorted(by, key=lambda each: places[each]):
        points = sorted(by[name], key=lambda each: each[0])
        x = [strength for strength, _ in points]
        ends = [cell.score.interval() for _, cell in points]
        strengths |= set(x)
        rates.append(
            Line(
                short[name],
                places[name],
                x,
                [cell.score.rate for _, cell in points],
                [end[0] for end in ends],
                [end[1] for end in ends],
            )
        )
        told = [(strength, cell.z) for strength, cell in points if cell.z[1] is not None]
        if told:
            scores.append(
                Line(
                    short[name],
                    places[name],
                    [strength for strength, _ in told],
                    [z[1] or 0.0 for _, z in told],
                    [z[0] for _, z in told],
                    [z[2] for _, z in told],
                )
            )
    return rates, scores, sorted(strengths)


def curve_figures(
    summary: Mapping[str, Any], visibility: str, families: Container[str] | None = None
) -> list[Figure]:
    """Return the figures of all families: found-rate and median z along each curve.

    Parameters
    ----------
    visibility : str
    families : container of str, optional
        All that are in the short table by default.
    """
    curves: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells(summary):
        wanted = cell.family in families if families else cell.family not in APART
        if cell.visibility == visibility and wanted:
            curves.setdefault((cell.family, cell.kind, cell.curve), []).append(cell)
    figures = []
    for (family, kind, curve), mine in sorted(curves.items()):
        rates, scores, strengths = _lines(mine, summary)
        if len(strengths) < _WITNESSES:
            continue
        axis = _axis(curve, max(strengths)) if family not in _OF_FRAMES else _FRAMES
        log = axis.log and min(strengths) > 0
        draw = partial(lines, x_label=axis.label, log_x=log, falling=axis.falling)
        title = f"{curve} (films)" if kind == "video" else curve
        trials = sorted({cell.score.trials for cell in mine if cell.strength is not None})
        counted = f"{trials[0]}" if len(trials) == 1 else f"{trials[0]} to {trials[-1]}"
        svgs = [draw(rates, y_label="found", share=True)]
        if any(len(line.x) >= _WITNESSES for line in scores):
            svgs.append(draw(scores, y_label="median z"))
        listed = "" if families else f"{FAMILIES.get(family, family)}, "
        figures.append(Figure(title, tuple(svgs), f"{listed}{counted} trials a point"))
    return figures


def price_figures(summary: Mapping[str, Any]) -> list[Figure]:
    """Return the median z against the median JOD, a point for each strength of embedding."""
    places, short = _places(summary), brief(systems_of(summary))
    curves: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells(summary):
        if cell.family == "price" and cell.jod is not None and cell.z[1] is not None:
            curves.setdefault((cell.attack, cell.system), []).append(cell)
    figures = []
    for attack in sorted({attack for attack, _ in curves}):
        drawn, trials = [], set()
        for (of, name), mine in curves.items():
            if of == attack:
                points = sorted(((cell.jod or 0.0, cell) for cell in mine), key=itemgetter(0))
                trials |= {cell.score.trials for cell in mine}
                drawn.append(
                    Line(
                        short[name],
                        places[name],
                        [jod for jod, _ in points],
                        [cell.z[1] or 0.0 for _, cell in points],
                        [cell.z[0] for _, cell in points],
                        [cell.z[2] for _, cell in points],
                    )
                )
        drawn.sort(key=lambda line: line.place)
        counted = " or ".join(map(str, sorted(trials)))
        svg = lines(
            drawn, x_label="JOD (10 is the same)", y_label="median z", falling=True, at_points=False
        )
        figures.append(Figure(f"after {attack}", (svg,), f"{counted} pictures a point"))
    return figures


def fidelity_figures(summary: Mapping[str, Any], visibility: str) -> list[Figure]:
    """Return the boxes of each measure at a visibility."""
    places, short = _places(summary), brief(systems_of(summary))
    figures = []
    for measure, (name, unit, _) in MEASURES.items():
        mine = [
            each
            for each in summary["fidelity"]
            if each["measure"] == measure and each["visibility"] == visibility
        ]
        mine.sort(key=lambda each: (each["kind"], places[each["system"]]))
        rows = [
            (
                short[each["system"]] + (" (films)" if each["kind"] == "video" else ""),
                places[each["system"]],
                each["quantiles"],
            )
            for each in mine
        ]
        if rows:
            trials = " or ".join(map(str, sorted({each["trials"] for each in mine})))
            figures.append(Figure(name, (box(rows, x_label=unit),), f"{trials} pictures each"))
    return figures


def alarm_figures(summary: Mapping[str, Any]) -> list[Figure]:
    """Return the QQ plots of p-values where nothing was to be found, with an upper bound."""
    figures = []
    for each in summary["null"]:
        total = each["tail_trials"]
        if total < 2:
            continue
        rank = np.array([place for place, _ in each["tail"]], float)
        seen = -np.array([p for _, p in each["tail"]])
        expected = -np.log10(rank / (total + 1))
        # The smallest p of each rank under the uniform law is Beta-distributed.
        bound = -np.log10(beta.ppf(0.05, rank, total - rank + 1))
        places = _places(summary)
        line = Line(
            f"{total:,} decisions",
            places.get(each["system"], 7),
            expected.tolist(),
            np.maximum(seen, 0).tolist(),
        )
        svg = qq([line], (expected.tolist(), bound.tolist()), bound_name="95 % of uniform")
        figures.append(Figure(f"{each['attack']}, {each['system']}", (svg,)))
    return figures
