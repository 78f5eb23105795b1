"""``sukashi trace``: do the outputs of a generator carry the signal of a work."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.files import Failures, NoPictures, echo_row, shortened
from cli.progress import Progress
from cli.text import (
    echo_json,
    json_option,
    opened_catalogue,
    printable,
    registry_option,
)
from cli.verdict import LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watermark.detect import Search
    from watermark.sample import Unit
    from watermark.stillgate import StillGate
    from watermark.trace import Trace
    from watermark.tracing import Tracer

__all__ = ["trace"]

_SINGLES = 5  # outputs that are named
_LISTED = 3  # works that are listed where none was found


def _frame_sizes(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    values: tuple[str, ...],
) -> dict[str, float]:
    """Return the widths over heights of sizes like 1920x804, by those names."""
    result = {}
    for value in values:
        match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", value)
        width, height = (int(side) for side in match.groups()) if match else (0, 0)
        if not (width and height and 1 / 16 <= width / height <= 16):
            raise click.BadParameter(f"{value!r} is no size of a frame; write it like 1920x804")
        result[f"{width} × {height}"] = width / height
    return result


@click.command()
@click.argument("outputs", nargs=-1, required=True, metavar="FILE|FOLDER…")
@click.option(
    "--key", "key_files", required=True, multiple=True, metavar="FILE", help="May be repeated."
)
@click.option("--blind", is_flag=True, help="Ask no registry: print the number that was decoded.")
@click.option(
    "--control",
    "clean",
    metavar="FOLDER",
    help="Outputs of a generator that is known to be clean, asked in the same way.",
)
@click.option(
    "-o", "--out", metavar="REPORT.html", help="Write a page with plots, tables and explanations."
)
@click.option("-f", "--force", is_flag=True, help="Replace REPORT.html if it exists.")
@click.option(
    "--search",
    type=click.Choice(["fast", "full"]),
    default="full",
    help="'fast' folds along the usual ways of feeding frames alone; 'full', unless said "
    "otherwise, besides looks for the mark in the sum wherever it lies.",
)
@click.option(
    "--frame-size",
    "frame_sizes",
    multiple=True,
    callback=_frame_sizes,
    metavar="WxH",
    help="Size of the frames that were marked, if it is none of the usual ones; may be repeated.",
)
@click.option(
    "--draws",
    type=click.IntRange(0, 100_000),
    default=2000,
    metavar="N",
    help="Wrong keys to compare with, 2000 unless said otherwise.",
)
@click.option(
    "--looks-before",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="How often this generator was asked about before; each look is charged.",
)
@click.option(
    "--sum-only",
    is_flag=True,
    help="Do not look at each output by itself as well, which takes most of the time.",
)
@click.option(
    "--column", metavar="NAME", help="Tables: the column with the pictures, like 'image'."
)
@registry_option
@json_option
def trace(
    outputs: tuple[str, ...],
    *,
    key_files: tuple[str, ...],
    blind: bool,
    clean: str | None,
    out: str | None,
    force: bool,
    search: Search,
    frame_sizes: dict[str, float],
    draws: int,
    looks_before: int,
    sum_only: bool,
    column: str | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Ask whether the outputs of a generator carry the signal of a work.

    Give a folder, a tar file or a table of one generator's outputs.  What is seen in all of them
    is added up before the key is used, so a signal that is far too weak to be found in one output
    is found in many; an output that cannot be read is left out.  What is told is that the outputs
    carry the keyed signal of a work, how sure that is, how it grew with their number, and what
    wrong keys show on the same outputs.  Where nothing is found nothing is proved.

    \b
    Example:
      sukashi trace marked --key studio.key
      sukashi trace marked --key studio.key --control frames -o report.html
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.errors import OutputError  # noqa: PLC0415
    from watermark.feeding import ASPECTS  # noqa: PLC0415
    from watermark.key import Key  # noqa: PLC0415
    from watermark.stillgate import StillGate  # noqa: PLC0415
    from watermark.trace_report import page, write_page  # noqa: PLC0415
    from watermark.trace_words import trace_record  # noqa: PLC0415
    from watermark.tracing import Tracer  # noqa: PLC0415

    if blind and registry is not None:
        raise click.UsageError("--blind asks no registry; leave out --registry")
    if out is not None and os.path.lexists(out) and (not force or Path(out).is_dir()):
        cure = "choose another name" if Path(out).is_dir() else "replace it with --force"
        raise OutputError(f"{printable(out)}: this name is taken; {cure}")
    keep_freed_memory()
    keys = list(dict.fromkeys(Key.read(file) for file in key_files))
    with ExitStack() as stack:
        catalogue = opened_catalogue(registry, stack, blind=blind)
        progress = stack.enter_context(Progress())
        gate = stack.enter_context(StillGate())
        aspects = {**ASPECTS, **frame_sizes}
        asked = Tracer(
            keys,
            catalogue,
            search=search,
            aspects=aspects,
            looks_before=looks_before,
            singly=not sum_only,
        )
        _read(asked, outputs, column, gate, progress)
        told = asked.trace(draws=draws)
        name = ", ".join(map(printable, outputs))
        against = None
        if clean is not None:
            control = Tracer(keys, catalogue, search=search, aspects=aspects, singly=False)
            _read(control, (clean,), column, gate, progress)
            against = control.trace(draws=draws)
        progress.clear()
        if out is not None:
            clean_name = "" if clean is None else printable(clean)
            write_page(
                out, page(told, name=name, clean=against, clean_name=clean_name), replace=force
            )
        if as_json:
            record = trace_record(told)
            record["control"] = None if against is None else trace_record(against)
            echo_json({"outputs_of": name, **record})
        else:
            _tell(name, told, against, out)


def _read(
    asked: Tracer,
    sources: Sequence[str],
    column: str | None,
    gate: StillGate,
    progress: Progress,
) -> None:
    """Give a tracer all outputs; those that cannot be read are told and left out."""
    from watermark.outputs import in_order, observed  # noqa: PLC0415

    failures = Failures(progress, None)
    units = in_order(sources, column=column)
    for unit in progress.over(units, _unit_name):
        for output in observed([unit], gate):
            if output.error is not None or output.observation is None or output.plane is None:
                failures.add(output.name, output.error or NoPictures(output.name))
                continue
            look = asked.add(output.name, output.observation, output.plane)
            if look is not None:
                progress.tell(f"z {look.z:.1f} at {look.outputs:,}")
    asked.failed += failures.count
    if not asked.pile.outputs:
        raise NoPictures(f"{printable(sources[0])}: no picture here can be read")


def _unit_name(unit: Unit) -> str:
    return Path(unit.items[0] if unit.items else unit.source).name


def _tell(name: str, told: Trace, clean: Trace | None, out: str | None) -> None:
    """Print a block of lines that no terminal is too narrow for; in a pipe nothing is cut."""
    click.echo(shortened(name))
    found = told.verdict.replace("-", " ")
    bold = told.verdict in {"detected", "indicated"}
    for place, (label, text) in enumerate(_lines(told, clean, out)):
        first = label if place else found
        echo_row(first, text, width=LABEL, bold=None if place else bold)


def _lines(told: Trace, clean: Trace | None, out: str | None) -> Iterator[tuple[str, str]]:
    """Yield pairs of a label and a text; the first label is replaced by the verdict."""
    from watermark.trace_words import (  # noqa: PLC0415
        CONTROL_FOUND,
        again,
        counted,
        grown,
        power,
        seen,
        verdict,
    )

    yield "", verdict(told)
    yield "presence", f"p = {power(told.log10_p)}, z {told.z:.1f}, {told.way}"
    several = len(told.signals) > 1
    for each in told.signals:
        work = each.mark.work
        title = work.title if work else f"mark {each.mark.number:012x}"
        part = f", {each.share:.0%} of the signal" if several and each.share is not None else ""
        yield "work", f"{title}: p = {power(each.mark.log10_p)}, z {each.mark.z:.1f}{part}"
        if each.mark.model_based:
            yield "", "by a model, no bound"
        if each.mark.log10_p_wrong_work is not None:
            yield "wrong work", f"p = {power(each.mark.log10_p_wrong_work)}"
    if not told.signals:
        for place, listed in enumerate(told.listed[:_LISTED]):
            yield "" if place else "highest", f"z {listed.z:.1f}  {listed.work.title}"
    failed = f", {told.failed:,} could not be read" if told.failed else ""
    yield "outputs", f"{told.outputs:,} added up{failed}"
    grew = told.curve[-6:]
    yield "growth", ", ".join(f"z {z:.1f} at {outputs:,}" for outputs, z in grew)
    yield "", grown(told)
    if told.controls is not None:
        wrong = told.controls
        text = f"of {len(wrong.largest):,} the largest z is {wrong.largest.max():.1f}"
        yield "wrong keys", f"{text}, of the true key {wrong.true_largest:.1f}"
    if clean is not None:
        word = clean.verdict.replace("-", " ")
        yield "control", f"{word}, p = {power(clean.log10_p)}, z {clean.z:.1f}"
        if clean.signals:
            yield "", CONTROL_FOUND
    if told.singles:
        names = ", ".join(each.name for each in told.singles[:_SINGLES])
        more = ", …" if len(told.singles) > _SINGLES else ""
        verb = "carries" if len(told.singles) == 1 else "carry"
        alone = f"{counted(len(told.singles), 'output')} {verb} a mark alone"
        yield "by itself", f"{alone}: {names}{more}"
    yield "could see", seen(told)
    yield "looks", again(told)
    if out is not None:
        yield "report", out
