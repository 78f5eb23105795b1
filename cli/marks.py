"""What ``sukashi embed`` does with one file, picture or film, and the options for films."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.interrupt import stop_if_interrupted
from cli.progress import Progress
from cli.text import printable

if TYPE_CHECKING:
    from watermark.codecs import Encoding
    from watermark.key import Key
    from watermark.registry import Registry

__all__ = ["FilmSettings", "Job", "clock", "film_options", "mark_one_film", "mark_one_still"]

# As `watermark.codecs.CODECS` has them, which is slow to import; a test compares the two.
CODECS = ("h264", "hevc", "av1", "vp9", "prores", "dnxhr", "ffv1", "mpeg2")

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Job:
    """What is done to every file of a run.

    Parameters
    ----------
    key : Key
    number : int
        Of the mark.
    registry : Registry
    required : float
        The z to read back with.
    strength : float
    force : bool
        Whether outputs that exist are replaced.
    resume : bool
        Whether outputs that exist and show the mark are left as they are.
    """

    key: Key
    number: int
    registry: Registry
    required: float
    strength: float
    force: bool
    resume: bool


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """How films are to be written; None is what suits the source."""

    codec: str | None
    crf: float | None
    preset: str | None
    lossless: bool
    partial: bool

    def encoding(self) -> Encoding:
        """Return them as the library takes them.

        Raises
        ------
        click.UsageError
            If they contradict each other.
        """
        from watermark.codecs import Encoding  # noqa: PLC0415 - slow

        try:
            return Encoding(self.codec, self.crf, self.preset, self.lossless)
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def film_options(command: Command) -> Command:
    """Add the options for films, as parameters called like the fields of `FilmSettings`."""
    for option in (
        click.option(
            "--partial",
            is_flag=True,
            help="Films: write one that breaks off as far as it goes, rather than refuse it.",
        ),
        click.option(
            "--lossless", is_flag=True, help="Films: code without loss (h264, hevc, vp9, ffv1)."
        ),
        click.option(
            "--preset",
            metavar="NAME",
            help="Films: the encoder's own preset, such as 'slow'; 'medium' unless said otherwise.",
        ),
        click.option(
            "--crf",
            type=click.FloatRange(0, 63),
            metavar="N",
            help="Films: constant quality; visually lossless unless said otherwise.",
        ),
        click.option(
            "--codec",
            type=click.Choice(CODECS),
            help="Films: the source's own unless said otherwise.",
        ),
    ):
        command = option(command)
    return command


def clock(seconds: float) -> str:
    """Write a time as on a player: 1:02:03, or 2:03."""
    whole = int(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def mark_one_still(
    source: Path, target: Path, job: Job, *, quality: int | None, max_pixels: int
) -> dict[str, Any]:
    """Mark a picture; return what is told of it."""
    from watermark.marking import is_marked_still, mark_still  # noqa: PLC0415 - slow

    if job.resume and is_marked_still(target, job.key, job.number, job.required):
        return {"skipped": True}
    marked = mark_still(
        source,
        target,
        job.key,
        job.number,
        registry=job.registry,
        required=job.required,
        strength=job.strength,
        quality=quality,
        max_pixels=max_pixels,
        replace=job.force,
    )
    return {
        "psnr": round(marked.psnr, 2) if math.isfinite(marked.psnr) else None,
        "ssim": round(marked.ssim, 5),
        "z": round(marked.z, 2),
        "skipped": False,
    }


def mark_one_film(
    source: Path, target: Path, job: Job, settings: FilmSettings, progress: Progress
) -> dict[str, Any]:
    """Mark a film; return what is told of it."""
    from watermark.codecs import plan  # noqa: PLC0415 - slow
    from watermark.container import probe  # noqa: PLC0415
    from watermark.errors import UnsupportedMedia  # noqa: PLC0415
    from watermark.filming import is_marked, mark_film  # noqa: PLC0415

    encoding = settings.encoding()
    try:
        plan(probe(source), encoding, suffix=target.suffix.lower())
    except ValueError as error:  # what suits one film's codec may not suit the next one's
        raise UnsupportedMedia(f"{printable(str(source))}: {error}") from error
    if job.resume and is_marked(target, job.key, job.number, job.required):
        return {"skipped": True}

    def told(what: str) -> Callable[[float, float | None], None]:
        def tell(seconds: float, whole: float | None) -> None:
            stop_if_interrupted()
            share = "" if not whole else f" {min(1.0, seconds / whole):.0%}"
            progress.tell(f"{what}{share} {clock(seconds)}")

        return tell

    marked = mark_film(
        source,
        target,
        job.key,
        job.number,
        registry=job.registry,
        required=job.required,
        strength=job.strength,
        encoding=encoding,
        partial=settings.partial,
        replace=job.force,
        on_progress=told("marking"),
        on_check=told("checking"),
    )
    return {
        "z": round(marked.seen.z, 2),
        "frames": marked.frames,
        "seconds": round(marked.seconds, 3),
        "weakest_z": round(marked.seen.weakest, 2),
        "weakest_start": round(marked.seen.start, 3),
        "encoder": marked.encoder,
        "damaged": marked.damaged,
        "skipped": False,
    }
