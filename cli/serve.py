"""``sukashi serve``: the detect service, with a page for people and an interface for programs."""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Callable
from typing import Any

import click

from cli.text import Real, printable, registry_option

__all__ = ["ServiceCommand", "checked", "key_option", "serve", "service"]

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - shown, not listened on
_HERE = {"127.0.0.1", "::1", "localhost"}

Command = Callable[..., Any]


class ServiceCommand(click.Command):
    """A command whose help ends with the settings that are read from the environment."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the table of settings, where the packages for it are installed."""
        try:
            settings = importlib.import_module("server.settings")
        except ImportError:
            return
        rows = [
            (name, f"{text} [{default}]" if default else text)
            for name, default, text in settings.table()
        ]
        with formatter.section("Settings by environment"):
            formatter.write_dl(rows)


def key_option(command: Command) -> Command:
    """Add ``--key`` as the parameter `keys`, a tuple of strings."""
    return click.option(
        "--key", "keys", multiple=True, metavar="FILE", help="Key to look with; may be repeated."
    )(command)


def service(module: str) -> Any:
    """Import a module of the service.

    Raises
    ------
    click.ClickException
        If the packages that it needs are not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise click.ClickException(
            f"the service needs packages that are not installed ({error.name}); "
            "pip install 'sukashi[server]'"
        ) from error


def checked(**named: Any) -> Any:
    """Return the settings of the environment and the command line, once all they name is there.

    Parameters
    ----------
    named : dict
        What the command line names; None and () are not named.

    Raises
    ------
    click.ClickException
        If a setting is refused, or there is no key.
    WatermarkError
        If a key or the registry cannot be read.
    """
    module = service("server.settings")
    from watermark.key import Key  # noqa: PLC0415 - slow, help needs none
    from watermark.registry import open_registry  # noqa: PLC0415

    if odd := module.strangers(os.environ):
        raise click.ClickException("; ".join(_unknown(*each) for each in odd.items()))
    given = {name: value for name, value in named.items() if value not in (None, ())}
    try:
        settings = module.Settings(**given)
    except ValueError as error:
        raise click.ClickException(_refused(error, module.PREFIX, given)) from error
    if not settings.keys:
        raise click.ClickException(
            "there is no key to look with; name one with --key FILE, "
            "or make one with 'sukashi key new FILE'"
        )
    for file in settings.keys:
        Key.read(file)
    with open_registry(settings.registry) as registry:
        if registry.name == ":memory:":
            raise click.ClickException(
                "a registry in memory cannot be shared by processes; name a file"
            )
    try:
        service("server.spool").Spool(settings.spool_folder)
    except OSError as error:
        raise click.ClickException(
            f"{printable(str(settings.spool_folder))}: uploads cannot be kept here "
            f"({error.strerror}); name a folder in SUKASHI_SPOOL"
        ) from error
    return settings


def _unknown(name: str, nearest: str | None) -> str:
    cure = f"did you mean {nearest}?" if nearest else "'sukashi serve --help' lists them"
    return f"{printable(name)}: there is no such setting; {cure}"


def _refused(error: ValueError, prefix: str, given: dict[str, Any]) -> str:
    """Return one line that says which settings are refused; values may be secret."""
    told = []
    for each in getattr(error, "errors", list)():
        name = str(each["loc"][0]) if each["loc"] else "settings"
        called = f"--{name}" if name in given else f"{prefix}{name.upper()}"
        told.append(f"{called}: {each['msg'][:1].lower()}{each['msg'][1:]}")
    return "; ".join(told) or "a setting cannot be read; see 'sukashi serve --help'"


@click.command(cls=ServiceCommand)
@key_option
@click.option("--host", metavar="ADDRESS", help="Where to listen; 127.0.0.1 unless said otherwise.")
@click.option("--port", type=click.IntRange(0, 65535), help="8000 unless said otherwise.")
@registry_option
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that detect; one a core.")
@click.option(
    "--processes", type=click.IntRange(1, 64), help="Processes that speak HTTP, each with workers."
)
@click.option(
    "--grace",
    type=Real(0),
    metavar="SECONDS",
    help="Time for what was taken to be finished at the end; 30 unless said otherwise.",
)
@click.option(
    "--sign-in-link", is_flag=True, help="Print the link that signs in also where no terminal is."
)
def serve(*, sign_in_link: bool, **named: Any) -> None:
    """Start the detect service: a page for people, and an interface for programs.

    It needs nothing but a key: works come from the registry, and files are looked at by processes
    beside it, one a core.  Whoever opens the page may drop a file on it and is told whether it is
    marked and what may be done with it; whoever has a token (see 'sukashi token') is told how sure
    that is.  In a terminal a link is printed that signs you in for as long as this run lasts.
    Ctrl-C or SIGTERM ends it when what was taken is finished.

    \b
    Example:
      sukashi serve --key studio.key
      sukashi serve --key studio.key --host 0.0.0.0 --port 8080
    """
    settings = checked(**named)
    serving = service("server.serving")
    try:
        listening = serving.bound(settings)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on port {settings.port} of {printable(settings.host)} "
            f"({error.strerror or error}); name another with --port or --host"
        ) from error
    token = f"sukashi_run_{secrets.token_urlsafe(32)}"
    host = _EVERYWHERE.get(settings.host, settings.host)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"

    def tell() -> None:
        click.echo(f"Serving on  {address}/  (for programs: {address}/docs)")
        if sign_in_link or sys.stdout.isatty():
            click.echo(f"Sign in at  {address}/sign-in?token={token}")
        else:  # whatever keeps this line shall not keep a token with it
            click.echo("To sign in, make a token: sukashi token new --name NAME --scope admin")
        if settings.host not in _HERE:
            click.echo("Tokens are sent as they are: put a proxy that speaks TLS before it.")
        click.echo("Ctrl-C ends it.")

    with listening:
        try:
            serving.serve(
                settings,
                listening,
                run_token=token,
                session_secret=secrets.token_bytes(32),
                on_ready=tell,
            )
        except RuntimeError as error:
            raise click.ClickException(printable(str(error))) from error
