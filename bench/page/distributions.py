"""Plots of distributions: boxes of what marks cost, and p-values against the uniform law."""

from __future__ import annotations

from collections.abc import Sequence

from bench.page.plots import (
    MARKERS,
    SIZE,
    STANDS_FOR,
    Line,
    axes_into,
    drawn_in,
    name_ends,
    room_for,
)

__all__ = ["box", "qq"]


def box(rows: Sequence[tuple[str, int, Sequence[float]]], *, x_label: str) -> str:
    """Return the SVG of boxes, one a system, from 0, 5, 25, 50, 75, 95 and 100 % quantiles.

    The box holds the middle half, the line in it is the median, the thin line 5 to 95 %, and the
    dots are the ends.
    """
    svg: list[str] = []
    room = room_for(name for name, _, _ in rows)
    with axes_into((SIZE[0], 42 + 21 * len(rows)), svg, left=room, above=4) as axes:
        for height, (_, place, quantiles) in enumerate(reversed(rows)):
            low, five, quarter, middle, three, most, high = quantiles
            colour = drawn_in(place)
            axes.plot([five, most], [height] * 2, color=colour, linewidth=1.2)
            axes.barh(
                height,
                three - quarter,
                left=quarter,
                height=0.5,
                color=colour,
                alpha=0.35,
                linewidth=0,
            )
            axes.plot([middle] * 2, [height - 0.3, height + 0.3], color=colour, linewidth=2.2)
            axes.plot([low, high], [height] * 2, "o", color=colour, markersize=2.6, mew=0)
        axes.set_yticks(range(len(rows)), [name for name, _, _ in reversed(rows)])
        for label, (_, place, _) in zip(axes.get_yticklabels(), reversed(rows), strict=True):
            label.set_color(drawn_in(place))
            label.set_fontweight("bold" if place == 0 else "normal")
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="both", length=0)
        axes.set_xlabel(x_label)
        axes.locator_params(axis="x", nbins=4)
        axes.set_ylim(-0.6, len(rows) - 0.4)
    return svg[0]


def qq(
    drawn: Sequence[Line], bound: tuple[Sequence[float], Sequence[float]], *, bound_name: str
) -> str:
    """Return the SVG of observed against expected −log₁₀ p under the null.

    Parameters
    ----------
    drawn : sequence of Line
        x is what uniform p-values would give, y what was seen.
    bound : (x, y)
        What uniform p-values stay under at each place, 95 % of the time.
    """
    svg: list[str] = []
    with axes_into((SIZE[0], 230), svg, right=room_for(line.name for line in drawn)) as axes:
        soft = STANDS_FOR["soft"]
        most = max(*bound[0], *(max(line.x) for line in drawn))
        axes.fill_between(*bound, list(bound[0]), color=soft, alpha=0.12, linewidth=0)
        axes.plot(*bound, color=soft, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.plot([0, most], [0, most], color=soft, linewidth=0.9)
        axes.annotate(
            bound_name,
            (bound[0][0], bound[1][0]),
            (-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            color=soft,
            fontsize=8,
        )
        axes.annotate(
            "uniform",
            (most * 0.3, most * 0.3),
            (-7, 9),
            textcoords="offset points",
            ha="right",
            va="bottom",
            color=soft,
            fontsize=8,
        )
        for line in sorted(drawn, key=lambda each: -each.place):
            axes.plot(
                *(line.x, line.y),
                MARKERS[line.place % len(MARKERS)],
                color=drawn_in(line.place),
                markersize=3.4,
                markeredgewidth=0,
                clip_on=False,
                zorder=3,
            )
        axes.set_xlim(0, most * 1.02)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.tick_params(axis="both", length=0)
        axes.set_xlabel("expected −log₁₀ p")
        axes.set_title("observed −log₁₀ p", loc="left", fontsize=9, color=soft)
        ends = [Line(line.name, line.place, [line.x[0]], [line.y[0]]) for line in drawn]
        name_ends(axes, ends)
    return svg[0]
