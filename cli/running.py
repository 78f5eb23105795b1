"""What the commands over piles share: where the registry is, and who does the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cli.pile import Gauge

if TYPE_CHECKING:
    from watermark.results import Results
    from watermark.scan import Engine
    from watermark.scan_setup import Setup
    from watermark.scan_summary import Summary

__all__ = ["absolute", "carry_out", "engine_options", "registry_of"]

Command = Callable[..., Any]


def engine_options(command: Command) -> Command:
    """Add ``--engine`` and ``--jobs`` as the parameters `engine` and `jobs`."""
    engine = click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="'local', unless said otherwise: processes of this machine; 'ray': a Ray cluster, "
        "each of whose machines sees the sources and RESULTS by the same names.",
    )
    jobs = click.option(
        "--jobs",
        type=click.IntRange(1, 4096),
        metavar="N",
        help="Processes; by default one a core.",
    )
    return engine(jobs(command))


def carry_out(place: Results, setup: Setup, *, engine: str, jobs: int | None) -> Summary:
    """Have all units of a run done that are not yet, and sum it up.

    Parameters
    ----------
    place : Results
        Open, its units listed.
    setup : Setup
    engine : str
        ``local`` or ``ray``.
    jobs : int or None
        How many processes; by default one a core.
    """
    from watermark.scan import run  # noqa: PLC0415 - slow, and help needs none
    from watermark.scan_report import report  # noqa: PLC0415

    gauge = Gauge()
    try:
        run(place, _engine_of(engine, setup, place, jobs, gauge), on_progress=gauge.seen)
    except KeyboardInterrupt:
        gauge.clear()
        click.echo("The same command goes on where this ended.", err=True)
        raise
    finally:
        gauge.clear()
    return report(place)


def absolute(source: str) -> str:
    """Return a source by a name that is the same from every folder, and on every machine."""
    if "://" in source or not source:
        return source
    if source.startswith("@") and not os.path.lexists(source):
        return "@" + os.path.abspath(source[1:])  # noqa: PTH100 - links are not followed
    return os.path.abspath(source)  # noqa: PTH100


def registry_of(registry: str | None, *, blind: bool) -> tuple[str | None, str | None]:
    """Return where the registry is, and what names it wherever it is; None without one."""
    from watermark.database import default_location  # noqa: PLC0415
    from watermark.registry import open_registry, registry_exists  # noqa: PLC0415

    # Only the file in the data folder may be missing: what was named is to be there.
    named_one = registry is not None or os.environ.get("SUKASHI_REGISTRY")
    if blind or not (named_one or registry_exists()):
        if not blind:
            click.echo("No registry yet: marks are told by their numbers.", err=True)
        return None, None
    where = absolute(registry or default_location())
    with open_registry(where, read_only=True) as opened:
        if opened.name == ":memory:":
            raise click.UsageError("a registry in memory cannot be shared by processes")
        return where, opened.revision().rpartition("-")[0]


def _engine_of(name: str, setup: Setup, results: Results, jobs: int | None, gauge: Gauge) -> Engine:
    if name == "ray":
        from watermark.raying import RayEngine  # noqa: PLC0415

        return RayEngine(setup, results.folder, jobs=jobs)
    from watermark.scan_workers import LocalEngine  # noqa: PLC0415

    cores = len(os.sched_getaffinity(0))
    return LocalEngine(setup, results.folder, jobs=jobs or cores, on_rows=gauge.rows)
