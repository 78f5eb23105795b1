"""``sukashi token``: make, list and revoke the tokens of the detect service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from typing import Any

import click

from cli.text import cells, echo_json, fit, json_option, opened_registry, printable, registry_option
from watermark.access import SCOPES, Token

__all__ = ["token"]


def _tokens(registry: Any) -> Any:
    from watermark.tokens import Tokens  # noqa: PLC0415 - slow, and help needs none

    return Tokens(registry)


@click.group()
def token() -> None:
    """Make and revoke tokens for the detect service.

    A token is a secret word that a program sends with each request to a server.  The registry
    keeps only a keyed hash of it, so it is shown once: when it is made.

    \b
    Example:
      sukashi token new --name crawler --scope detect
    """


@token.command()
@click.option("--name", required=True, metavar="TEXT", help="Whose it is, in words.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do; may be repeated.  admin may do everything.",
)
@registry_option
@json_option
def new(name: str, *, scopes: tuple[str, ...], registry: str | None, as_json: bool) -> None:
    """Make a token and print it, this once.

    Standard output is the token alone, so that a script can keep it.  'detect' may send files
    and look up permissions, 'works:read' may also read works and sightings, 'works:write' may
    change works, and 'admin' may do everything.

    \b
    Example:
      sukashi token new --name crawler --scope detect
    """
    with opened_registry(registry) as opened:
        made, secret = _tokens(opened).new(name, scopes)
    if as_json:
        echo_json({**_record(made), "secret": secret})
        return
    click.echo(secret)
    told = f"token {made.id} for {printable(made.name)}; keep it, it is not shown again"
    click.echo(told, err=True)


@token.command(name="list")
@registry_option
@json_option
def list_tokens(*, registry: str | None, as_json: bool) -> None:
    """List tokens, oldest first, with their scopes and last use.

    Times are in UTC; the last use is told to the minute.  The tokens themselves are not known
    to the registry and cannot be shown.

    \b
    Example:
      sukashi token list
    """
    with opened_registry(registry, read_only=True) as opened:
        found = _tokens(opened).all()
    if as_json:
        for each in found:
            echo_json(_record(each))
        return
    for line in _table(found):
        click.echo(line)


def _table(found: list[Token]) -> Iterator[str]:
    if not found:
        return
    scopes = max(len(_scopes(each)) for each in found)
    wide = max(cells(printable(each.name)) for each in found)
    if sys.stdout.isatty():  # in a pipe nothing is cut
        wide = min(wide, max(8, get_terminal_size().columns - scopes - len(found[0].id) - 34))
    for each in found:
        state = f"used {each.last_used_at}" if each.last_used_at else "never used"
        if each.revoked_at:
            state = f"revoked {each.revoked_at}"
        yield f"{each.id}  {fit(each.name, wide)}  {_scopes(each):{scopes}}  {state}"


@token.command()
@click.argument("token_name", metavar="TOKEN")
@registry_option
@json_option
def revoke(token_name: str, *, registry: str | None, as_json: bool) -> None:
    """Let TOKEN do nothing from now on; name it by its id, or by a name that only one has.

    Servers notice within seconds.  It stays in the list, so that the log can be read later.

    \b
    Example:
      sukashi token revoke crawler
    """
    with opened_registry(registry) as opened:
        tokens = _tokens(opened)
        gone = tokens.revoke(tokens.find(token_name).id)
    if as_json:
        echo_json(_record(gone))
    else:
        click.echo(f"token {gone.id}  revoked  {printable(gone.name)}")


def _scopes(each: Token) -> str:
    return " ".join(scope for scope in SCOPES if scope in each.scopes)


def _record(each: Token) -> dict[str, Any]:
    return {
        "token": each.id,
        "name": each.name,
        "scopes": _scopes(each).split(),
        "created_at": each.created_at,
        "last_used_at": each.last_used_at,
        "revoked_at": each.revoked_at,
    }
