"""``sukashi key``: make a key, and show the fingerprint that names it."""

from __future__ import annotations

import click

from cli.text import echo_json, json_option, printable

__all__ = ["key"]


@click.group()
def key() -> None:
    """Make keys and show what names them.

    A key is a file of 32 random bytes.  Whoever holds it can read, erase and forge the marks
    made with it, so it stays with you; its fingerprint may be told to anybody.

    \b
    Example:
      sukashi key new studio.key
    """


@key.command()
@click.argument("file")
@json_option
def new(file: str, *, as_json: bool) -> None:
    """Make a new key in FILE.

    The file is readable by you alone, and an existing file is never replaced.  Keep a copy in a
    safe place: without the key no mark made with it can ever be found.

    \b
    Example:
      sukashi key new studio.key
    """
    from watermark.key import Key  # noqa: PLC0415 - numpy is slow to load, and help needs none

    made = Key.generate()
    made.write(file)
    _show(file, made.fingerprint, as_json=as_json)


@key.command()
@click.argument("file")
@json_option
def show(file: str, *, as_json: bool) -> None:
    """Show the fingerprint of the key in FILE.

    The fingerprint tells keys apart and tells nothing about their bytes, which are never shown.
    A key file that other users may read is refused.

    \b
    Example:
      sukashi key show studio.key
    """
    from watermark.key import Key  # noqa: PLC0415 - numpy is slow to load, and help needs none

    _show(file, Key.read(file).fingerprint, as_json=as_json)


def _show(file: str, fingerprint: str, *, as_json: bool) -> None:
    if as_json:
        echo_json({"file": file, "fingerprint": fingerprint})
    else:
        click.echo(f"{printable(file)}  {fingerprint}")
