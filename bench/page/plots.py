"""Plots as SVG that stands in a page: they take its colours and its font, light or dark.

matplotlib draws with colours that stand for names, and each is replaced by a variable of the page's
style sheet.  Systems are told apart by colour, by marker and by
a name at the line itself.  The colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/),
darker on white and lighter on black so that names can be read in them.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "COLOURS",
    "MARKERS",
    "SIZE",
    "STANDS_FOR",
    "Line",
    "axes_into",
    "drawn_in",
    "lines",
    "name_ends",
    "room_for",
    "why_not",
]

# Variable of the style sheet: (on white, on black).
COLOURS = {
    "ink": ("#1c1b19", "#ecebe7"),
    "soft": ("#66635c", "#a7a49b"),
    "rule": ("#dedbd3", "#3a3935"),
    "paper": ("#fdfcfa", "#171614"),
    "s0": ("#0062a3", "#5db7f0"),
    "s1": ("#b84c00", "#f2955a"),
    "s2": ("#007a59", "#35c79d"),
    "s3": ("#a2477f", "#e59ac6"),
    "s4": ("#7d6200", "#e3c04c"),
    "s5": ("#4b5bb5", "#a3aef5"),
    "s6": ("#2a7583", "#7accdb"),
    "s7": ("#77706a", "#b9b2aa"),
}
STANDS_FOR = {name: f"#0{index:x}fa0{index:x}" for index, name in enumerate(COLOURS)}
MARKERS = "osD^vPXp"
SIZE = (310.0, 200.0)  # points
_BELOW = 33.0  # points under the axes
_TICKS = 8  # at most, along an axis
_LINE = 10.5  # points, of text
_LETTER = 4.9  # points, mean width at 8.5 points in common fonts
_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sukashi",  # the same file from the same counts
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": STANDS_FOR["ink"],
    "axes.labelcolor": STANDS_FOR["soft"],
    "axes.edgecolor": STANDS_FOR["rule"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": STANDS_FOR["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": STANDS_FOR["rule"],
    "ytick.color": STANDS_FOR["rule"],
    "xtick.labelcolor": STANDS_FOR["soft"],
    "ytick.labelcolor": STANDS_FOR["soft"],
    "xtick.minor.size": 0.0,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One system's line.

    Parameters
    ----------
    name : str
    place : int
        Which of the colours and markers is its own; 0 is sukashi's.
    x, y : sequence of float, of one length
    low, high : sequence of float or None
        The ends of the interval at each point, where there is one.
    """

    name: str
    place: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = field(default=())
    high: Sequence[float | None] = field(default=())


def why_not() -> str | None:
    """Return why nothing can be drawn, None if it can."""
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed (pip install 'sukashi[bench]')"
    return None


def drawn_in(place: int) -> str:
    """Return a system's colour to draw with; the eighth and all later ones share one."""
    return STANDS_FOR[f"s{min(place, 7)}"]


@contextmanager
def axes_into(
    size: tuple[float, float],
    svg: list[str],
    *,
    left: float = 34.0,
    right: float = 10.0,
    above: float = 20.0,
) -> Iterator[Any]:
    """Lend axes, and add the drawing to `svg` in the end.

    Parameters
    ----------
    size : (width, height)
        Points; 310 are about a telephone's screen.
    svg : list of str
    left, right, above : float
        Points around the axes.
    """
    matplotlib = importlib.import_module("matplotlib")
    figures = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(_RC):
        width, height = size
        # 72 pixels an inch, so that a pixel is a point.
        figure = figures.Figure(figsize=(width / 72, height / 72), dpi=72)
        axes = figure.add_axes(
            (
                *(left / width, _BELOW / height),
                *((width - left - right) / width, (height - _BELOW - above) / height),
            )
        )
        yield axes
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    svg.append(_in_page(text[text.index("<svg") :]))


def _in_page(text: str) -> str:
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    for name, stand_in in STANDS_FOR.items():
        text = text.replace(stand_in, f"var(--{name})")
    return re.sub(r">\s+<", "><", text)


def room_for(names: Iterable[str]) -> float:
    """Return how many points names take beside the axes."""
    return 18 + _LETTER * max(map(len, names))


def name_ends(axes: Any, drawn: Sequence[Line]) -> None:
    """Write each line's name beside its right end, moved up or down until no two touch."""
    axes.get_xlim(), axes.get_ylim()  # settles the limits, which are found when they are asked for
    ends = [axes.transData.transform((line.x[-1], line.y[-1]))[1] for line in drawn]
    (right, floor), (_, ceiling) = axes.transAxes.transform([(1, 0), (1, 1)])
    order = sorted(range(len(drawn)), key=lambda i: (ends[i], -drawn[i].place))
    heights = _apart([max(floor, ends[index]) for index in order], ceiling)
    for index, height in zip(order, heights, strict=True):
        line = drawn[index]
        colour = drawn_in(line.place)
        thread = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4}
        thread["relpos"] = (0.0, 0.5)
        axes.annotate(
            line.name,
            xy=(line.x[-1], line.y[-1]),
            xytext=(right + 14, height),
            textcoords="figure pixels",
            va="center",
            color=colour,
            fontsize=8.5,
            fontweight="bold" if line.place == 0 else "normal",
            annotation_clip=False,
            arrowprops=thread,
        )


def _apart(heights: Sequence[float], ceiling: float) -> list[float]:
    """Return rising heights with a line of text between them, none over the ceiling."""
    apart: list[float] = []
    for height in heights:
        apart.append(max([height, *(last + _LINE for last in apart[-1:])]))
    for place in reversed(range(len(apart))):
        apart[place] = min(apart[place], ceiling - _LINE * (len(apart) - 1 - place))
    return apart


def _spaced(values: Iterable[float], *, log: bool) -> list[float]:
    """Return those of the values that leave each other room on an axis."""
    ordered = sorted(values)
    at = np.log(ordered) if log else np.array(ordered)
    room = (at[-1] - at[0]) / _TICKS
    kept = [0]
    for place in range(1, len(ordered)):
        # The last one is always told, so those beside it give way.
        if min(at[place] - at[kept[-1]], at[-1] - at[place]) >= room:
            kept.append(place)
    return [ordered[place] for place in (*kept, len(ordered) - 1)]


def _figure(value: float) -> str:
    """Return a short figure: ``0.71``, ``10 k``, ``1 M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size or value == size:
            return f"{value / size:g} {letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:g}"


def lines(
    drawn: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    share: bool = False,
    log_x: bool = False,
    falling: bool = False,
    at_points: bool = True,
) -> str:
    """Return the SVG of lines with bands, each named at its end.

    Parameters
    ----------
    share : bool
        Whether y is a share of 0 to 1, shown in per cent.
    log_x : bool
        Whether x is shown as its logarithm.
    falling : bool
        Whether x falls to the right, since less of it is the stronger attack.
    at_points : bool
        Whether the figures along the axis are those of the points.
    """
    svg: list[str] = []
    with axes_into(SIZE, svg, right=room_for(line.name for line in drawn)) as axes:
        if log_x:
            axes.set_xscale("log")
        if at_points:
            values = _spaced({x for line in drawn for x in line.x}, log=log_x)
            axes.set_xticks(values, [_figure(value) for value in values], minor=False)
        if falling:
            axes.xaxis.set_inverted(True)
            drawn = [
                Line(
                    *(line.name, line.place, line.x[::-1], line.y[::-1]),
                    *(line.low[::-1], line.high[::-1]),
                )
                for line in drawn
            ]
        for line in sorted(drawn, key=lambda each: -each.place):
            colour = drawn_in(line.place)
            if line.low:
                low = np.array([np.nan if end is None else end for end in line.low])
                high = np.array([np.nan if end is None else end for end in line.high])
                axes.fill_between(line.x, low, high, color=colour, alpha=0.13, linewidth=0)
            axes.plot(
                *(line.x, line.y),
                color=colour,
                linewidth=2.2 if line.place == 0 else 1.3,
                marker=MARKERS[line.place % len(MARKERS)],
                markersize=4.2 if line.place == 0 else 3.4,
                markeredgewidth=0,
                clip_on=False,
                zorder=3,
            )
        axes.grid(axis="y")
        axes.set_xlabel(x_label)
        axes.set_title(y_label, loc="left", fontsize=9, color=STANDS_FOR["soft"])
        if share:
            axes.set_ylim(0, 1)
            axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        else:
            axes.set_ylim(bottom=min(0.0, *(end for line in drawn for end in line.y)))
        axes.tick_params(axis="y", length=0)
        name_ends(axes, drawn)
    return svg[0]
