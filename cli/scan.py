"""``sukashi scan``: are our works in a pile of pictures and clips, and how much of it are they."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.files import NoPictures, max_pixels_option, named
from cli.pile import tell_summary
from cli.running import absolute, carry_out, engine_options, registry_of
from cli.text import echo_json, json_option, printable, registry_option

if TYPE_CHECKING:
    from watermark.detect import Search

__all__ = ["scan"]


@click.command()
@click.argument("sources", nargs=-1, metavar="SOURCE…")
@click.option("-o", "results", required=True, metavar="RESULTS", help="A folder for what is found.")
@click.option(
    "--key", "key_files", required=True, multiple=True, metavar="FILE", help="May be repeated."
)
@click.option("--blind", is_flag=True, help="Ask no registry: tell the numbers that were decoded.")
@click.option(
    "--list",
    "lists",
    multiple=True,
    metavar="FILE",
    help="A list of files, one a line; the same as @FILE among the sources.",
)
@click.option("--column", metavar="NAME", help="Of tables: the column that holds the pictures.")
@click.option(
    "--search",
    type=click.Choice(["fast", "full"]),
    default="full",
    help="'fast' looks at the whole frame, also mirrored and with borders of one tone taken off; "
    "'full', unless said otherwise, finds any crop, scale, rotation and perspective, and frames "
    "in frames.",
)
@click.option(
    "--keep-evidence",
    is_flag=True,
    help="Keep what was observed, 40 KB of each picture at most, for 'sukashi recheck'.",
)
@engine_options
@max_pixels_option
@registry_option
@json_option
def scan(
    sources: tuple[str, ...],
    *,
    results: str,
    key_files: tuple[str, ...],
    blind: bool,
    lists: tuple[str, ...],
    column: str | None,
    search: Search,
    keep_evidence: bool,
    engine: str,
    jobs: int | None,
    max_pixels: int | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Look for works in piles: training sets, crawls, archives.

    A SOURCE is a folder, a file, a tar shard as of WebDataset, a zip file, a Parquet, Arrow or
    Feather file with pictures in it, a data set of Hugging Face on disk, a list of files as @FILE,
    or a URL that fsspec opens.  Pictures and clips may be mixed.
    RESULTS gets a row for each picture and clip (rows/*.parquet), a summary (summary.json), and a
    sheet of what was found (examples.html).  Whatever ends the run, the same command goes on with
    it.  What cannot be read is a row with the reason.

    \b
    Example:
      sukashi scan marked -o found --key studio.key --keep-evidence
      sukashi scan marked film.mov -o found-fast --key studio.key --search fast
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.key import Key  # noqa: PLC0415
    from watermark.results import Results  # noqa: PLC0415
    from watermark.scan_setup import Setup  # noqa: PLC0415
    from watermark.stills import MAX_PIXELS  # noqa: PLC0415
    from watermark.units import list_units  # noqa: PLC0415

    piles = [absolute(each) for each in (*sources, *(f"@{each}" for each in lists))]
    if not piles:
        raise click.UsageError("name what is to be scanned: a folder, a shard, @LIST or a URL")
    if blind and registry is not None:
        raise click.UsageError("--blind asks no registry; leave out --registry")
    keep_freed_memory()
    where, identity = registry_of(registry, blind=blind)
    setup = Setup(
        tuple(dict.fromkeys(Key.read(file) for file in key_files)),
        where,
        search=search,
        keep_evidence=keep_evidence,
        max_pixels=named(max_pixels, MAX_PIXELS),
    )
    question: dict[str, Any] = {
        "version": 1,
        "sources": piles,
        "column": column,
        "keys": [key.fingerprint for key in setup.keys],
        "registry": identity,
        "search": search,
        "keep_evidence": keep_evidence,
        "max_pixels": setup.max_pixels,
    }
    with Results(results) as place:
        if place.begin(question, list_units(piles, column=column, leave_out=results)):
            click.echo("Going on with this scan.", err=True)
        summary = carry_out(place, setup, engine=engine, jobs=jobs)
    if as_json:
        echo_json({"results": results, **summary.as_json()})
    else:
        tell_summary(summary, results)
    if not summary.looked_at:
        why = "nothing here could be read" if summary.rows else "there is no picture or clip here"
        raise NoPictures(f"{', '.join(map(printable, piles))}: {why}")
