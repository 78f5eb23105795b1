"""``sukashi work``: register works and their marks, look at them, and change them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from shutil import get_terminal_size
from typing import Any

import click

from cli.text import (
    cells,
    echo_json,
    fit,
    json_option,
    opened_registry,
    printable,
    registry_option,
)
from cli.transfer import export, import_works
from watermark.work import TRAINING, Mark, Work

__all__ = ["work"]

_PAGE = 1000  # works shown in one table, whose columns are as wide as its longest title
_NARROW = 72  # columns of a terminal below which a work takes two lines


class _Labels(click.ParamType[dict[str, str]]):
    name = "NAME=TEXT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        name, separator, text = str(value).partition("=")
        if not separator or not name:
            self.fail(f"{value!r} is not a label; write it like episode=3", param, ctx)
        return {name: text}


def _details(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the details of a work."""
    for name, explanation in (
        ("--terms", "Conditions of a constrained permission."),
        ("--url", "Web address of the work or its owner."),
        ("--contact", "How to reach the rights holder."),
        ("--rights-holder", "Who holds the rights."),
    ):
        command = click.option(name, metavar="TEXT", help=explanation)(command)
    command = click.option(
        "--training",
        type=click.Choice(TRAINING),
        help="Whether models may be trained on it; not-permitted unless said otherwise.",
    )(command)
    return click.option(
        "--label", "labels", type=_Labels(), multiple=True, help="Free label; may be repeated."
    )(command)


def _merged(labels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {name: text for each in labels for name, text in each.items()}


def _given(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if value is not None}


@click.group()
def work() -> None:
    """Register works and their marks.

    A work is a film, an episode or a series of pictures with a rights holder.  Each of its marks
    is a random number of 48 bits that no other mark in the registry has.

    \b
    Example:
      sukashi work add --title "Night Train" --rights-holder "Studio Kumo"
    """


@work.command()
@click.option("--title", required=True, metavar="TEXT", help="Title of the work.")
@_details
@click.option(
    "--mark-label",
    "mark_labels",
    type=_Labels(),
    multiple=True,
    help="Label of the first mark, such as recipient=press; may be repeated.",
)
@registry_option
@json_option
def add(
    *,
    title: str,
    labels: tuple[dict[str, str], ...],
    mark_labels: tuple[dict[str, str], ...],
    registry: str | None,
    as_json: bool,
    **details: str | None,
) -> None:
    """Register a work and draw its first mark.

    Prints the id of the work, which the other commands take, and the number of the mark.
    Training on the work is not permitted unless you say otherwise.

    \b
    Example:
      sukashi work add --title "Night Train" --rights-holder "Studio Kumo" --label episode=3
    """
    with opened_registry(registry) as opened:
        made, mark = opened.add_work(
            title, labels=_merged(labels), mark_labels=_merged(mark_labels), **_given(details)
        )
    _tell(made, mark, as_json=as_json)


@work.command()
@click.argument("work_name", metavar="WORK")
@click.option(
    "--mark-label", "labels", type=_Labels(), multiple=True, help="Label; may be repeated."
)
@registry_option
@json_option
def mark(
    work_name: str, *, labels: tuple[dict[str, str], ...], registry: str | None, as_json: bool
) -> None:
    """Draw another mark for WORK, an id or a title that only one work has.

    Give each recipient's copy a mark of its own, and a leaked picture says whose copy it was.

    \b
    Example:
      sukashi work mark "Night Train" --mark-label recipient=press
    """
    with opened_registry(registry) as opened:
        known = opened.work(work_name)
        made = opened.add_mark(known.id, _merged(labels))
    _tell(known, made, as_json=as_json)


def _tell(known: Work, mark: Mark, *, as_json: bool) -> None:
    if as_json:
        echo_json({"work": known.id, "mark": str(mark)})
    else:
        click.echo(f"work {known.id}  mark {mark}  {printable(known.title)}")


@work.command(name="list")
@click.option("--find", default="", metavar="TEXT", help="Only titles and holders with this text.")
@click.option("--after", default="", metavar="ID", help="Start behind this work.")
@click.option("--limit", type=click.IntRange(min=1), help="How many works at most.")
@registry_option
@json_option
def list_works(
    *, find: str, after: str, limit: int | None, registry: str | None, as_json: bool
) -> None:
    """List works by title.

    In a large registry look for a text with --find, or turn pages with --limit and --after.
    On a terminal long titles are cut; with --json nothing is.

    \b
    Example:
      sukashi work list --find train --limit 20
    """
    with opened_registry(registry, read_only=True) as opened:
        found = opened.works(find=find, after=after, limit=limit)
        if as_json:
            for each in found:
                echo_json(_record(each))
            return
        while page := list(islice(found, _PAGE)):
            for line in _table(page):
                click.echo(line.rstrip())


def _table(works: list[Work]) -> Iterator[str]:
    wide = max(cells(printable(each.title)) for each in works)
    # In a pipe nothing is cut.
    width = get_terminal_size().columns if sys.stdout.isatty() else 10**6
    ids = max(len(each.id) for each in works)
    if width < _NARROW:
        for each in works:
            yield fit(each.title, width)
            yield fit(f"  {each.id}  {each.training}", width)
        return
    holders = max(cells(printable(each.rights_holder)) for each in works)
    room = width - ids - len("not-permitted") - 6
    titles = min(wide, max(room - holders, room // 2))
    for each in works:
        holder = fit(each.rights_holder, min(holders, room - titles))
        yield f"{each.id:{ids}}  {fit(each.title, titles)}  {each.training:13}  {holder}"


@work.command()
@click.argument("work_name", metavar="WORK")
@registry_option
@json_option
def show(work_name: str, *, registry: str | None, as_json: bool) -> None:
    """Show all that is known about WORK, an id or a title that only one work has.

    Lists its marks with their labels, and with which key and profile each was embedded.

    \b
    Example:
      sukashi work show "Night Train"
    """
    with opened_registry(registry, read_only=True) as opened:
        known = opened.work(work_name)
        marks = [(each, opened.markings(each.number)) for each in opened.marks(known.id)]
    record = _record(known)
    if as_json:
        record["marks"] = [
            {
                "mark": str(each),
                "labels": dict(each.labels),
                "created_at": each.created_at,
                "embedded": [{"key": key, "profile": profile} for key, profile in embedded],
            }
            for each, embedded in marks
        ]
        echo_json(record)
        return
    labels = record.pop("labels")
    for name, text in record.items():
        if text:
            click.echo(f"{name.replace('_', ' '):14} {printable(text)}")
    for name, text in labels.items():
        click.echo(f"{'label':14} {printable(f'{name}={text}')}")
    for each, embedded in marks:
        told = "  ".join(printable(f"{name}={text}") for name, text in each.labels.items())
        click.echo(f"{'mark':14} {each}  {told}".rstrip())
        for key, profile in embedded:
            click.echo(f"{'':14} key {printable(key)}  {printable(profile)}")


def _record(known: Work) -> dict[str, Any]:
    return {
        "work": known.id,
        "title": known.title,
        "rights_holder": known.rights_holder,
        "contact": known.contact,
        "url": known.url,
        "training": known.training,
        "terms": known.terms,
        "labels": dict(known.labels),
        "created_at": known.created_at,
        "updated_at": known.updated_at,
    }


@work.command()
@click.argument("work_name", metavar="WORK")
@click.option("--title", metavar="TEXT", help="New title.")
@_details
@registry_option
@json_option
def edit(
    work_name: str,
    *,
    labels: tuple[dict[str, str], ...],
    registry: str | None,
    as_json: bool,
    **details: str | None,
) -> None:
    """Change details of WORK, an id or a title that only one work has.

    What you do not name stays as it is.  A label with an empty text is removed.

    \b
    Example:
      sukashi work edit "Night Train" --training constrained --terms "Research only, no sale"
    """
    changes = _given(details)
    if not changes and not labels:
        raise click.UsageError("nothing to change; name an option such as --title")
    if details["terms"] and details["training"] not in {None, "constrained"}:
        raise click.UsageError("--terms are those of --training constrained; leave out one of them")
    with opened_registry(registry) as opened:
        known = opened.work(work_name)
        if labels:
            merged = {**known.labels, **_merged(labels)}
            changes["labels"] = {name: text for name, text in merged.items() if text}
        if changes.get("training", "constrained") != "constrained":
            changes["terms"] = ""  # the conditions go with the permission they belonged to
        known = opened.edit_work(known.id, **changes)
    if as_json:
        echo_json(_record(known))
    else:
        click.echo(f"work {known.id}  changed  {printable(known.title)}")


@work.command()
@registry_option
@json_option
def upgrade(*, registry: str | None, as_json: bool) -> None:
    """Bring a registry made by an older sukashi up to date.

    Commands that write do this by themselves; those that only read leave an old registry as it
    is and ask for this.  Older programs cannot open it afterwards, so keep a copy.

    \b
    Example:
      sukashi work upgrade
    """
    with opened_registry(registry) as opened:
        if as_json:
            echo_json({"registry": opened.name})
        else:
            click.echo(f"{printable(opened.name)} is up to date")


work.add_command(import_works)
work.add_command(export)
