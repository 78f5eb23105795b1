"""How a verdict on a picture is told to people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cli.files import echo_row, shortened

if TYPE_CHECKING:
    from watermark.identification import FoundMark, Identification

__all__ = ["LABEL", "power", "tell"]

LABEL = 12  # columns of the words at the left
_WHOLE = 0.9  # of the picture's area: an outline of so much is about all of it


def tell(
    name: str, told: Identification, *, overlay: str | None = None, what: str = "picture"
) -> None:
    """Print a block of lines that no terminal is too narrow for; in a pipe nothing is cut.

    Parameters
    ----------
    name : str
        Of the file.
    told : Identification
    overlay : str, optional
        Where the marks were drawn with numbers, which are then told.
    what : str
        What the file is called.
    """
    click.echo(shortened(name))
    verdict = told.verdict.replace("-", " ")
    bold = told.verdict in {"detected", "indicated"}
    for place, (label, text) in enumerate(_lines(told, overlay, what)):
        first = label if place else verdict
        echo_row(first, text, width=LABEL, bold=None if place else bold)


def _lines(told: Identification, overlay: str | None, what: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of a label and a text; the first label is replaced by the verdict."""
    if not told.found:
        yield "", _inconclusive(told, what) if told.verdict == "inconclusive" else _presence(told)
        if overlay is not None:
            yield "overlay", f"{overlay} shows the picture alone"
        return
    for place, each in enumerate(told.found):
        work = each.work
        label = "and also" if place else ""
        if work is not None:
            yield label, work.title
            if work.rights_holder:
                yield "holder", work.rights_holder
            terms = f": {work.terms}" if work.terms else ""
            yield "training", work.training.replace("-", " ") + terms
            yield "mark", f"{each.number:012x}"
            for name, text in each.mark.labels.items() if each.mark is not None else ():
                yield "label", f"{name}={text}"
        elif each.registered:
            yield label, "a registered work, but which is not sure"
        else:
            yield label, f"mark {each.number:012x}"
        yield "presence", _presence(each)
        if each.model_based:
            yield "", "by a model, no bound"
        if each.log10_p_wrong_work is not None:
            yield "wrong work", f"p = {power(each.log10_p_wrong_work)}"
        outline = [] if overlay is None else [f"outline {place + 1}"]
        how = [] if each.alignment == "whole frame" else [each.alignment]
        if where := outline + how + _place(each, told.size):
            yield "picture", ", ".join(where)
    for place, rival in enumerate(told.candidates):
        yield "" if place else "candidates", f"z {rival.z:.1f}  {rival.work.title}"
    if told.runner_up is not None:
        yield "runner-up", f"z {told.runner_up.z:.1f}  {told.runner_up.work.title}"
    if overlay is not None:
        yield "overlay", overlay


def _inconclusive(told: Identification, what: str) -> str:
    text = f"this {what} could not show a mark"
    if told.enough_short is None:
        return text
    return f"{text}; at a short side of about {told.enough_short} pixels it would"


def _place(each: FoundMark, size: tuple[int, int]) -> list[str]:
    """Return where a mark is, in words; none where that is about the whole picture."""
    across, down = zip(*each.outline, strict=True)
    left, right = round(min(across)), round(max(across))
    top, bottom = round(min(down)), round(max(down))
    if (right - left) * (bottom - top) >= _WHOLE * size[0] * size[1]:
        return []
    return [f"at {left}, {top} to {right}, {bottom}"]


def _presence(each: FoundMark | Identification) -> str:
    return f"p = {power(each.log10_p)}, z {each.z:.1f}"


def power(log10: float) -> str:
    """Write a probability by its logarithm: 10^−57.3, and plainly where it is near 1."""
    return f"10^{log10:.1f}" if log10 <= -3 else f"{10**log10:.2g}"
