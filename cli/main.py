"""The command ``sukashi``: the group, and how errors, interrupts and closed pipes end.

Commands are loaded when they are named, so that help appears at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from cli.interrupt import heeded, interrupted, stop_if_interrupted
from cli.text import printable
from watermark.errors import WatermarkError
from watermark.threads import one_for_algebra

__all__ = ["COMMANDS", "main", "sukashi"]

# Name of each command, in the module of that name, and its line in the group's help.
COMMANDS = {
    "key": "Make keys and show what names them.",
    "work": "Register works and their marks.",
    "embed": "Write marked copies of pictures and films.",
    "detect": "Say which pictures and films carry a mark, and whose.",
    "scan": "Look for works in piles: training sets, crawls, archives.",
    "recheck": "Decide anew on what a scan kept, without the pictures.",
    "trace": "Ask whether the outputs of a generator carry the signal of a work.",
    "serve": "Start the detect service: a page for people, and an interface for programs.",
    "worker": "Work on the jobs of the detect service, on any machine.",
    "token": "Make and revoke tokens for the detect service.",
}
_INTERRUPTED = 130  # 128 + SIGINT, as shells count
_CLOSED_PIPE = 141  # 128 + SIGPIPE
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class LazyGroup(click.Group):
    """A group that loads a command when it is named, and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load the command called `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever ends it early is told in one line."""
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # the shell closed it, as with ">&-"
                nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
                setattr(sys, name, nowhere)
            stream = getattr(sys, name)
            # A name that the terminal's encoding lacks is escaped instead of ending the run.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        with heeded():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            result = self._unless_interrupted(ctx)
            sys.stdout.flush()
        except WatermarkError as error:
            raise click.ClickException(printable(str(error))) from error
        except KeyboardInterrupt:
            click.echo("Interrupted; what was finished before stays.", err=True)
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            _drop_output()
            ctx.exit(_CLOSED_PIPE)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            _drop_output()
            raise click.ClickException(
                f"standard output cannot be written ({error.strerror}); free some space"
            ) from error
        return result

    def _unless_interrupted(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
        except BrokenPipeError:
            raise
        except Exception as error:
            # Such as the failure of an import in C that Ctrl-C broke off.
            if interrupted():
                raise KeyboardInterrupt from error
            raise
        stop_if_interrupted()
        return result


def _drop_output() -> None:
    """Let what is still buffered go nowhere, so that it does not raise once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely wanted

        click.echo(f"sukashi {version('sukashi')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and leave.",
)
def sukashi() -> None:
    """Mark the frames of films and pictures unseen, and find the marks again.

    A key is a secret file, a work is what you registered, and a mark is a number in copies of
    the work.  'sukashi COMMAND --help' explains each command with an example.

    \b
    Example:
      sukashi key new studio.key
      sukashi work add --title "Night Train" --rights-holder "Studio Kumo"
    """


def main() -> None:
    """Run the command line."""
    one_for_algebra()  # before a command is loaded, and numpy with it
    sukashi(prog_name="sukashi")
