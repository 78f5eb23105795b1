"""``sukashi detect --overlay``: a picture of where the marks are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.text import printable

if TYPE_CHECKING:
    from watermark.identification import Identification
    from watermark.key import Key

__all__ = ["check_overlay", "check_plot", "write_overlay"]


def check_overlay(output: str, files: Sequence[str], others: Sequence[str]) -> None:
    """Refuse what cannot be drawn, before any work is done.

    Parameters
    ----------
    output : str
        The file to draw into.
    files, others : sequence of str
        The pictures, and what else may not be overwritten.

    Raises
    ------
    click.UsageError
        If there is not one file, or it is a film.
    OutputError
        If no format is written for the ending, or `output` is one of the other files.
    """
    from watermark.errors import OutputError  # noqa: PLC0415 - slow, help needs none
    from watermark.formats import format_of, is_film  # noqa: PLC0415

    if len(files) != 1 or Path(files[0]).is_dir():
        raise click.UsageError("--overlay draws one picture; name one file")
    if is_film(files[0]):
        raise click.UsageError("--overlay draws a picture; --plot draws a film")
    format_of(output)
    if any(_same(output, each) for each in (*files, *others)):
        raise OutputError(f"{printable(output)}: the overlay is an input file; name another")


def check_plot(output: str, films: Sequence[str], others: Sequence[str]) -> None:
    """Refuse what cannot be the plot of one film, before anything is done.

    Raises
    ------
    click.UsageError
        If there is not one file, it is no film, or the ending is not .png.
    OutputError
        If `output` is one of the other files.
    """
    from watermark.errors import OutputError  # noqa: PLC0415 - slow, help needs none
    from watermark.formats import is_film  # noqa: PLC0415

    if len(films) != 1 or Path(films[0]).is_dir():
        raise click.UsageError("--plot draws one film; name one file")
    if not is_film(films[0]):
        raise click.UsageError("--plot draws a film; --overlay draws a picture")
    if Path(output).suffix.lower() != ".png":
        raise click.UsageError("--plot writes a PNG; let its name end in .png")
    if any(_same(output, each) for each in (*films, *others)):
        raise OutputError(f"{printable(output)}: the plot is an input file; name another")


def _same(one: str, two: str) -> bool:
    try:
        return Path(one).samefile(two)
    except OSError:
        return False


def write_overlay(
    output: str, source: Path, told: Identification, keys: Sequence[Key], *, max_pixels: int
) -> None:
    """Draw the marks that were found in `source`, numbered in the order in which they are told.

    Raises
    ------
    MediaError
        If the picture cannot be read again, or the overlay not be written.
    """
    from watermark.align import Alignment  # noqa: PLC0415 - slow, help needs none
    from watermark.frame import luma  # noqa: PLC0415
    from watermark.overlay import drawn, evidence_map  # noqa: PLC0415
    from watermark.profile import Profile  # noqa: PLC0415
    from watermark.stills import Still, read, write  # noqa: PLC0415

    pixels = read(source, max_pixels=max_pixels).shown()
    plane = luma(pixels)
    of = {key.fingerprint: key for key in keys}
    maps = [
        evidence_map(
            plane,
            Alignment(each.matrix, each.alignment, each.outline),
            of[each.fingerprint],
            each.number,
            Profile.parse(each.profile),
        )
        for each in told.found
    ]
    write(Still(drawn(pixels, [each.outline for each in told.found], maps)), output)
