"""``sukashi detect``: is a mark here, which work is it from, and how sure is that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from cli.files import (
    Failures,
    files_argument,
    finish,
    max_pixels_option,
    named,
    shortened,
    terminal_width,
)
from cli.progress import Progress
from cli.text import cells, echo_json, fit, json_option, opened_registry, printable, registry_option
from watermark.errors import RegistryError, WatermarkError

if TYPE_CHECKING:
    from watermark.identification import FoundMark, Identification, Rival

__all__ = ["detect"]

_LABEL = 12  # columns of the words at the left
# What is told of each work that was found, and of the first one beside the verdict.
_FIELDS = (
    *("work", "title", "mark", "training", "log10_p", "log10_p_wrong_work", "z"),
    *("rights_holder", "terms", "labels", "model_based", "key", "alignment"),
)

_NO_WORKS: dict[str, Any] = {"works": [], "candidates": [], "runner_up": None}


@click.command()
@files_argument
@click.option(
    "--key", "key_files", required=True, multiple=True, metavar="FILE", help="May be repeated."
)
@click.option("--blind", is_flag=True, help="Ask no registry: print the number that was decoded.")
@max_pixels_option
@registry_option
@json_option
def detect(
    files: tuple[str, ...],
    *,
    key_files: tuple[str, ...],
    blind: bool,
    max_pixels: int | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Say which pictures carry a mark, and whose.

    The verdict is 'detected' (the chance of it without a mark is at most 1e-9), 'indicated'
    (1e-6), 'not found', or 'inconclusive' where the picture could not have shown a mark.  That a
    mark is there, and that it is of the work that is named, are two questions with a probability
    each.  Without a registry the number of the mark is printed.

    \b
    Example:
      sukashi detect marked --key studio.key
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.files import find_stills  # noqa: PLC0415
    from watermark.identification import Catalogue, identify_still  # noqa: PLC0415
    from watermark.key import Key  # noqa: PLC0415
    from watermark.registry import registry_exists  # noqa: PLC0415
    from watermark.stills import MAX_PIXELS  # noqa: PLC0415

    if blind and registry is not None:
        raise click.UsageError("--blind asks no registry; leave out --registry")
    keep_freed_memory()
    keys = list(dict.fromkeys(Key.read(file) for file in key_files))
    blank = dict.fromkeys(("verdict", *_FIELDS)) | _NO_WORKS
    with ExitStack() as stack:
        catalogue = None
        # Only the file in the data folder may be missing: what was named is to be there.
        named_one = registry is not None or os.environ.get("SUKASHI_REGISTRY")
        if not blind and (named_one or registry_exists()):
            opened = stack.enter_context(opened_registry(registry, read_only=True))
            catalogue = Catalogue.load(opened)
        elif not blind:
            click.echo("No registry yet: marks are told by their numbers.", err=True)
        progress = stack.enter_context(Progress())
        failures = Failures(progress, blank if as_json else None)
        found = list(find_stills(files, on_error=failures))
        if not found and not failures.count:
            click.echo(f"{printable(files[0])}: no pictures here", err=True)
        for each in progress.over(found, lambda each: each.path.name):
            name = os.fspath(each.path)
            try:
                told = identify_still(
                    each.path, keys, catalogue, max_pixels=named(max_pixels, MAX_PIXELS)
                )
            except RegistryError:
                raise
            except WatermarkError as error:
                failures.add(name, error)
                continue
            progress.clear()
            if as_json:
                echo_json({"file": name, **_record(told)})
            else:
                _tell(name, told)
    finish(failures)


def _record(told: Identification) -> dict[str, Any]:
    works = [_found(each) for each in told.found]
    best = {"log10_p": _number(told.log10_p), "z": _number(told.z)}
    return {
        "verdict": told.verdict,
        **(works[0] if works else dict.fromkeys(_FIELDS) | best),
        "works": works,
        "candidates": [_rival(each) for each in told.candidates],
        "runner_up": _rival(told.runner_up) if told.runner_up else None,
    }


def _found(each: FoundMark) -> dict[str, Any]:
    work = each.work
    wrong = each.log10_p_wrong_work
    unnamed = each.registered and work is None
    return {
        "work": work.id if work else None,
        "title": work.title if work else None,
        # The number of a work that may not be named would name it.
        "mark": None if unnamed else f"{each.number:012x}",
        "training": work.training if work else None,
        "log10_p": _number(each.log10_p),
        "log10_p_wrong_work": None if wrong is None else _number(wrong),
        "z": _number(each.z),
        "rights_holder": work.rights_holder if work else None,
        "terms": work.terms if work else None,
        "labels": dict(each.mark.labels) if each.mark else None,
        "model_based": each.model_based,
        "key": each.fingerprint,
        "alignment": each.alignment,
    }


def _rival(each: Rival) -> dict[str, Any]:
    return {
        "work": each.work.id,
        "title": each.work.title,
        "mark": str(each.mark),
        "z": _number(each.z),
    }


def _number(value: float) -> float:
    return round(value, 3) + 0.0  # −0.0 would be printed with its sign


def _tell(name: str, told: Identification) -> None:
    """Print a block of lines that no terminal is too narrow for; in a pipe nothing is cut."""
    width = terminal_width()
    click.echo(shortened(name))
    verdict = f"{told.verdict.replace('-', ' '):{_LABEL}}"
    bold = told.verdict in {"detected", "indicated"}
    for place, (label, text) in enumerate(_lines(told)):
        first = click.style(verdict, bold=bold) if place == 0 else f"{label:{_LABEL}}"
        click.echo(f"  {first}  {_cut(text, width - _LABEL - 4)}".rstrip())


def _cut(text: str, width: int) -> str:
    return fit(text, width).rstrip(" ") if cells(printable(text)) > width else printable(text)


def _lines(told: Identification) -> Iterator[tuple[str, str]]:
    """Yield pairs of a label and a text; the first label is replaced by the verdict."""
    if not told.found:
        inconclusive = told.verdict == "inconclusive"
        yield "", "this picture could not show a mark" if inconclusive else _presence(told)
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
            yield "wrong work", f"p = {_power(each.log10_p_wrong_work)}"
        if each.alignment != "whole frame":
            yield "picture", each.alignment
    for place, rival in enumerate(told.candidates):
        yield "" if place else "candidates", f"z {rival.z:.1f}  {rival.work.title}"
    if told.runner_up is not None:
        yield "runner-up", f"z {told.runner_up.z:.1f}  {told.runner_up.work.title}"


def _presence(each: FoundMark | Identification) -> str:
    return f"p = {_power(each.log10_p)}, z {each.z:.1f}"


def _power(log10: float) -> str:
    """Write a probability by its logarithm: 10^−57.3, and plainly where it is near 1."""
    return f"10^{log10:.1f}" if log10 <= -3 else f"{10**log10:.2g}"
