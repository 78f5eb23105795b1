"""``sukashi worker``: a process that works on the jobs of the detect service."""

from __future__ import annotations

from typing import Any

import click

from cli.serve import ServiceCommand, checked, key_option, service
from cli.text import Real, printable, registry_option

__all__ = ["worker"]


@click.command(cls=ServiceCommand)
@key_option
@registry_option
@click.option("--jobs", "job_workers", type=click.IntRange(1, 64), help="Jobs worked on at a time.")
@click.option(
    "--grace",
    type=Real(0),
    metavar="SECONDS",
    help="Time for jobs to be finished at the end; 30 unless said otherwise.",
)
def worker(**named: Any) -> None:
    """Work on the jobs of the detect service, on any machine.

    A job is a film too large to be looked at within one request.  'sukashi serve' works on them by
    itself; where that is not enough, start this on as many machines as you like, with the same
    registry (PostgreSQL), spool folder and queue (Redis), and the same keys.  Ctrl-C or SIGTERM
    ends it; a job that is not finished by then is taken up by another worker.

    \b
    Example:
      sukashi worker --key studio.key --jobs 4
    """
    settings = checked(**named)
    serving = service("server.serving")
    try:
        serving.work(settings, on_ready=lambda: click.echo("Waiting for jobs.  Ctrl-C ends it."))
    except RuntimeError as error:
        raise click.ClickException(printable(str(error))) from error
