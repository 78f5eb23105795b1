"""``sukashi recheck``: decide anew on what a scan kept, without the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.pile import tell_summary
from cli.running import absolute, carry_out, engine_options, registry_of
from cli.text import echo_json, json_option, registry_option

if TYPE_CHECKING:
    from watermark.detect import Search

__all__ = ["recheck"]


@click.command()
@click.argument("kept", metavar="RESULTS")
@click.option("-o", "results", required=True, metavar="OUT", help="A folder for what is found.")
@click.option(
    "--key", "key_files", required=True, multiple=True, metavar="FILE", help="May be repeated."
)
@click.option("--blind", is_flag=True, help="Ask no registry: tell the numbers that were decoded.")
@click.option(
    "--search",
    type=click.Choice(["fast", "full"]),
    default="full",
    help="'fast' looks at the whole frame, also mirrored; 'full', unless said otherwise, finds any "
    "crop, scale, rotation and perspective that is not much smaller than the picture.",
)
@engine_options
@registry_option
@json_option
def recheck(
    kept: str,
    *,
    results: str,
    key_files: tuple[str, ...],
    blind: bool,
    search: Search,
    engine: str,
    jobs: int | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Decide anew on what a scan kept, without the pictures.

    RESULTS is the folder of a 'sukashi scan' with --keep-evidence.  Keys and works are found that
    did not exist then, and OUT gets the same rows and summary as from a scan.  Whatever ends the
    run, the same command goes on with it.  Who asks often enough finds something by chance, so
    RESULTS counts how often it was asked, and p-values are multiplied for it: by 6 the first time,
    then by 12, 20, 30 and so on.  All together err at most one and a half times as often as the
    scan alone.

    \b
    Example:
      sukashi recheck found -o found-again --key studio.key
      sukashi recheck found -o found-later --key studio.key --search fast
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.kept import take_look  # noqa: PLC0415
    from watermark.key import Key  # noqa: PLC0415
    from watermark.rescan import units_of  # noqa: PLC0415
    from watermark.results import Results  # noqa: PLC0415
    from watermark.scan_setup import Setup  # noqa: PLC0415

    if blind and registry is not None:
        raise click.UsageError("--blind asks no registry; leave out --registry")
    keep_freed_memory()
    where, identity = registry_of(registry, blind=blind)
    keys = tuple(dict.fromkeys(Key.read(file) for file in key_files))
    asked: dict[str, Any] = {
        "keys": [key.fingerprint for key in keys],
        "registry": identity,
        "search": search,
    }
    store = Path(absolute(kept))
    question = {"version": 1, "recheck": str(store), **asked}
    with Results(results) as place:
        if place.begin(question, units_of(store)):
            click.echo("Going on with this recheck.", err=True)
        before = take_look(store, place.folder, {**asked, "into": absolute(results)})
        setup = Setup(keys, where, search=search, asked=before)
        summary = carry_out(place, setup, engine=engine, jobs=jobs)
    if as_json:
        echo_json({"results": results, "look": before + 2, **summary.as_json()})
    else:
        tell_summary(summary, results)
        times = (before + 2) * (before + 3)
        click.echo(f"  {'look':12}  {before + 2} at this evidence; p-values are times {times:,}")
