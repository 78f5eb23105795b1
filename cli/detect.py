"""``sukashi detect``: is a mark here, which work is it from, and how sure is that."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from cli.files import Failures, files_argument, finish, max_pixels_option, named
from cli.overlay import check_overlay, check_plot, write_overlay
from cli.progress import Progress
from cli.text import Real, echo_json, json_option, opened_catalogue, printable, registry_option
from cli.timeline import live, tell_film, write_timeline
from cli.verdict import tell
from watermark.errors import RegistryError, WatermarkError

if TYPE_CHECKING:
    from watermark.detect import Search

__all__ = ["detect"]


@click.command()
@files_argument
@click.option(
    "--key", "key_files", required=True, multiple=True, metavar="FILE", help="May be repeated."
)
@click.option("--blind", is_flag=True, help="Ask no registry: print the number that was decoded.")
@click.option(
    "--search",
    type=click.Choice(["fast", "full"]),
    default="full",
    help="'fast' looks at the whole frame, also mirrored and with borders of one tone taken off; "
    "'full', unless said otherwise, finds any crop, scale, rotation and perspective, and frames "
    "in frames.",
)
@click.option(
    "--overlay",
    metavar="OUT",
    help="Draw where the marks of one picture are, with a heat map of the evidence; the ending of "
    "OUT names the format, as .png does.",
)
@click.option(
    "--fps",
    type=Real(0, 1000, min_open=True),
    default=2.0,
    metavar="N",
    help="Films: look at N frames a second, 2 unless said otherwise; key frames come first.",
)
@click.option(
    "--until",
    type=Real(0, 1, min_open=True, max_open=True),
    default=1e-12,
    metavar="P",
    help="Films: stop as soon as the p-value is at most P, 1e-12 unless said otherwise.",
)
@click.option(
    "--all", "all_frames", is_flag=True, help="Films: read all, for every work and its times."
)
@click.option(
    "--plot", metavar="OUT.png", help="Draw the timeline of one film: log10 p, coloured by work."
)
@max_pixels_option
@registry_option
@json_option
def detect(
    files: tuple[str, ...],
    *,
    key_files: tuple[str, ...],
    blind: bool,
    search: Search,
    overlay: str | None,
    fps: float,
    until: float,
    all_frames: bool,
    plot: str | None,
    max_pixels: int | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Say which pictures and films carry a mark, and whose.

    The verdict is 'detected' (the chance of it without a mark is at most 1e-9), 'indicated'
    (1e-6), 'not found', or 'inconclusive' where the picture could not have shown a mark.  That a
    mark is there, and that it is of the work that is named, are two questions with a probability
    each.  Without a registry the number of the mark is printed.  Of a film some frames are looked
    at and added up, until that is enough or all are; what is told is the verdict on all of it, and
    which work is in it from when to when.

    \b
    Example:
      sukashi detect marked --key studio.key
      sukashi detect marked/bbb-frame-001.jpg --key studio.key --overlay where.png
      sukashi detect marked.mov --key studio.key --all --plot when.png
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.clip_identification import identify_clip  # noqa: PLC0415
    from watermark.files import (  # noqa: PLC0415
        ANIMATION_SUFFIXES,
        FILM_SUFFIXES,
        STILL_SUFFIXES,
        find_media,
    )
    from watermark.formats import is_film  # noqa: PLC0415
    from watermark.identification import identify_still  # noqa: PLC0415
    from watermark.key import Key  # noqa: PLC0415
    from watermark.record import BLANK, film_record, record  # noqa: PLC0415
    from watermark.stills import MAX_PIXELS  # noqa: PLC0415

    if blind and registry is not None:
        raise click.UsageError("--blind asks no registry; leave out --registry")
    if overlay is not None:
        check_overlay(overlay, files, key_files)
    if plot is not None:
        check_plot(plot, files, key_files)
    keep_freed_memory()
    keys = list(dict.fromkeys(Key.read(file) for file in key_files))
    with ExitStack() as stack:
        catalogue = opened_catalogue(registry, stack, blind=blind)
        progress = stack.enter_context(Progress())
        failures = Failures(progress, BLANK if as_json else None)
        endings = STILL_SUFFIXES | FILM_SUFFIXES | ANIMATION_SUFFIXES
        found = list(find_media(files, suffixes=endings, on_error=failures))
        if not found and not failures.count:
            click.echo(f"{printable(files[0])}: no pictures here", err=True)
        limit = named(max_pixels, MAX_PIXELS)
        for each in progress.over(found, lambda each: each.path.name):
            name = os.fspath(each.path)
            try:
                if is_film(each.path):
                    film = identify_clip(
                        each.path,
                        keys,
                        catalogue,
                        fps=fps,
                        until=until,
                        all_frames=all_frames,
                        search=search,
                        on_progress=live(progress),
                    )
                    if plot is not None:
                        write_timeline(plot, film)
                    progress.clear()
                    if as_json:
                        echo_json({"file": name, **film_record(film)})
                    else:
                        tell_film(name, film)
                    continue
                told = identify_still(each.path, keys, catalogue, search=search, max_pixels=limit)
                if overlay is not None:
                    write_overlay(overlay, each.path, told, keys, max_pixels=limit)
            except RegistryError:
                raise
            except WatermarkError as error:
                failures.add(name, error)
                continue
            progress.clear()
            if as_json:
                echo_json({"file": name, **record(told)})
            else:
                tell(name, told, overlay=overlay)
    finish(failures)
