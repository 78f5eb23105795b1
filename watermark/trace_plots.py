"""Plots of a trace as SVG: how z grew, and wrong keys beside the true one.

The colours are classes of the page that they stand in (`watermark.trace_report`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from watermark.controls import Controls, quantiles
from watermark.trace import Trace

__all__ = ["growth_plot", "histogram", "quantile_plot"]

_WIDTH, _HEIGHT = 560, 320  # pixels, when it is not scaled
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 16, 44
_POINTS = 240  # of a quantile plot that are drawn; the outermost are among them
_CURVE = 64  # points of a fitted curve
_BARS = 30


@dataclass(frozen=True, slots=True)
class _Axes:
    """Linear axes over a range of x and of y, both with some width."""

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, value: float) -> float:
        low, high = self.x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, value: float) -> float:
        low, high = self.y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """Draw a line through points."""
        told = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        return f'<polyline class="{kind}" points="{told}"/>'

    def dots(self, points: Sequence[tuple[float, float]], kind: str, size: float = 3.5) -> str:
        """Draw points."""
        return "".join(
            f'<circle class="{kind}" cx="{self.across(x):.1f}" cy="{self.up(y):.1f}" r="{size}"/>'
            for x, y in points
        )

    def level(self, value: float, text: str) -> str:
        """Draw a horizontal line with a word on it."""
        y = self.up(value)
        return (
            f'<line class="level" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_WIDTH - _RIGHT - 4}" y="{y - 5:.1f}" text-anchor="end">'
            f"{escape(text)}</text>"
        )

    def post(self, value: float, text: str, kind: str) -> str:
        """Draw a vertical line with a word at its top, on the side with more room."""
        x = self.across(value)
        left = x > (_WIDTH + _LEFT) / 2
        place, anchor = (x - 6, "end") if left else (x + 6, "start")
        return (
            f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{place:.1f}" y="{_TOP + 12}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def drawn(
        self,
        inner: str,
        *,
        title: str,
        names: tuple[str, str],
        ticks: tuple[Sequence[float], Sequence[float]],
        written: Callable[[float], str] = "{:g}".format,
    ) -> str:
        """Return the whole picture: axes, their names and ticks, and what is inside."""
        parts = [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        ]
        parts.append(
            f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" '
            f'height="{_HEIGHT - _TOP - _BOTTOM}"/>'
        )
        for value in ticks[0]:
            x = self.across(value)
            parts.append(
                f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                f"{escape(written(value))}</text>"
            )
        for value in ticks[1]:
            y = self.up(value)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        middle = (_WIDTH + _LEFT - _RIGHT) / 2
        parts.append(
            f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(names[0])}</text>'
        )
        parts.append(
            f'<text transform="translate(13 {_HEIGHT / 2 - 10}) rotate(-90)" text-anchor="middle">'
            f"{escape(names[1])}</text>"
        )
        return "".join([*parts, inner, "</svg>"])


def growth_plot(trace: Trace, clean: Trace | None = None) -> str:
    """Draw the z of the strongest mark against the number of outputs.

    Parameters
    ----------
    trace, clean : Trace
        The second one is of a generator that is known to be clean.
    """
    curves = [trace.curve] + ([] if clean is None else [clean.curve])
    last = max(curve[-1][0] for curve in curves)
    highest = max(z for curve in curves for _, z in curve)
    top = 1.1 * max(highest, trace.needed)
    lowest = min(0.0, *(z for curve in curves for _, z in curve))
    axes = _Axes((0.0, max(1.0, math.log2(last))), (lowest, top))
    inner = axes.level(trace.needed, "detected")
    if clean is not None:
        points = [(math.log2(n), z) for n, z in clean.curve]
        inner += axes.path(points, "line clean") + axes.dots(points, "clean")
    if trace.growth is not None:
        places = np.linspace(0.0, math.log2(trace.curve[-1][0]), _CURVE)
        fit = [(float(x), trace.growth.z(2.0 ** float(x))) for x in places]
        inner += axes.path([point for point in fit if point[1] <= top], "line fit")
    points = [(math.log2(n), z) for n, z in trace.curve]
    inner += axes.path(points, "line true") + axes.dots(points, "true")
    step = 1 + int(math.log2(last)) // 10
    return axes.drawn(
        inner,
        title="z against the number of outputs",
        names=("outputs", "z"),
        ticks=(range(0, int(math.log2(last)) + 1, step), _ticks(lowest, top)),
        written=lambda value: f"{2**value:,.0f}",
    )


def quantile_plot(controls: Controls, clean: Controls | None = None) -> str:
    """Draw the sorted z of wrong keys against those of a standard normal."""
    series = ([] if clean is None else [("clean", clean)]) + [("wrong", controls)]
    reach = 3.5
    drawn = []
    for kind, each in series:
        normal, seen = quantiles(each.single)
        chosen = np.unique(np.linspace(0, len(seen) - 1, min(_POINTS, len(seen))).round())
        rows = chosen.astype(int)
        reach = max(reach, float(np.abs(seen).max()) * 1.05)
        drawn.append((kind, [(float(normal[row]), float(seen[row])) for row in rows]))
    axes = _Axes((-reach, reach), (-reach, reach))
    inner = axes.path([(-reach, -reach), (reach, reach)], "level")
    for kind, points in drawn:
        inner += axes.dots(points, kind, 2.2)
    ticks = [value for value in range(-5, 6) if abs(value) <= reach]
    return axes.drawn(
        inner,
        title="z of wrong keys against a standard normal",
        names=("standard normal", "z of wrong keys"),
        ticks=(ticks, ticks),
    )


def histogram(controls: Controls) -> str:
    """Draw how large the z of wrong keys gets over all ways, and where the true key is."""
    low = min(0.0, controls.true_largest, float(controls.largest.min()))
    high = 1.05 * max(controls.true_largest, float(controls.largest.max()))
    # As narrow as the wrong keys ask for, however far away the true one is.
    width = (float(controls.largest.max()) - float(controls.largest.min())) / _BARS or 0.1
    edges = np.arange(
        float(controls.largest.min()), float(controls.largest.max()) + 2 * width, width
    )
    counts, edges = np.histogram(controls.largest, edges)
    axes = _Axes((low, high), (0.0, 1.1 * float(counts.max())))
    inner = ""
    for count, left, right in zip(counts, edges, edges[1:], strict=False):
        x, y = axes.across(left), axes.up(float(count))
        wide = max(0.8, axes.across(right) - x)
        inner += (
            f'<rect class="wrong" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" '
            f'height="{_HEIGHT - _BOTTOM - y:.1f}"/>'
        )
    inner += axes.post(controls.true_largest, "the true key", "line true")
    return axes.drawn(
        inner,
        title="largest z of wrong keys and of the true one",
        names=("largest z over all ways of folding", "wrong keys"),
        ticks=(_ticks(low, high), _ticks(0.0, 1.1 * float(counts.max()))),
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return some six round numbers within a range."""
    step = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(step * each for each in (1, 2, 5, 10) if step * each * 6 >= high - low)
    first = math.ceil(low / step)
    return [step * each for each in range(first, math.floor(high / step) + 1)]
