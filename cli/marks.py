"""What ``sukashi embed`` does with one file, picture or film, and the options for films."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.interrupt import stop_if_interrupted
from cli.progress import Progress
from cli.text import Real, printable
from watermark.errors import WatermarkError

if TYPE_CHECKING:
    from watermark.codecs import Encoding
    from watermark.key import Key
    from watermark.numbered import Pattern
    from watermark.registry import Registry

__all__ = [
    "FilmSettings",
    "Job",
    "clock",
    "film_options",
    "mark_one_film",
    "mark_one_shot",
    "mark_one_still",
    "plan_shots",
]

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
    registry : Registry or None
        None where it was told already.
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
    registry: Registry | None
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
    threads: int | None = None  # of the encoder

    def encoding(self) -> Encoding:
        """Return them as the library takes them.

        Raises
        ------
        click.UsageError
            If they contradict each other.
        """
        from watermark.codecs import Encoding  # noqa: PLC0415 - slow

        try:
            return Encoding(self.codec, self.crf, self.preset, self.lossless, self.threads)
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
            type=Real(0, 63),
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

    if job.resume and is_marked_still(
        target, job.key, job.number, job.required, max_pixels=max_pixels
    ):
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
    from watermark.filming import is_marked, mark_film  # noqa: PLC0415 - slow

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
        encoding=settings.encoding(),
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


def plan_shots(
    files: Sequence[str], output: str, *, stills: bool
) -> tuple[list[tuple[Pattern, Pattern]], list[str]]:
    """Find the image sequences that were named, and where their frames go.

    Parameters
    ----------
    files : sequence of str
        Patterns, files and folders.
    output : str
        A pattern where one sequence is named, else a folder.
    stills : bool
        Whether numbered PNG and TIFF files in folders are sequences too, as EXR and DPX are.

    Returns
    -------
    pairs : list of (Pattern, Pattern)
    rest : list of str
        What is left of `files`: no pattern.
    """
    from watermark.errors import OutputError  # noqa: PLC0415 - slow
    from watermark.numbered import (  # noqa: PLC0415
        SEQUENCE_SUFFIXES,
        Pattern,
        group,
        is_pattern,
    )

    patterns = [Pattern.parse(file) for file in files if is_pattern(file)]
    rest = [file for file in files if not is_pattern(file)]
    if is_pattern(output):
        if len(patterns) != 1 or rest:
            raise OutputError(
                f"{printable(output)}: a pattern takes the frames of one sequence; "
                "name a folder with -o"
            )
        return [(patterns[0], Pattern.parse(output))], rest
    target = Path(output)
    if patterns and target.suffix.lower() in SEQUENCE_SUFFIXES and not target.is_dir():
        raise OutputError(
            f"{printable(output)}: one name for all frames of a sequence; give a pattern such as "
            f"{printable(target.stem)}_%05d{target.suffix}, or a folder"
        )
    pairs = [(each, replace(each, folder=target)) for each in patterns]
    for folder in (Path(file) for file in rest if Path(file).is_dir()):
        try:
            below = group(folder)[0]
        except WatermarkError:
            continue  # told by whoever lists the folder for pictures and films
        name = Path(os.path.abspath(folder)).name if len(files) > 1 else ""  # noqa: PTH100
        for each in below:
            if stills or each.suffix.lower() in {".exr", ".dpx"}:
                place = target / name / each.folder.relative_to(folder)
                if not each.folder.is_relative_to(target) or target == folder:
                    pairs.append((each, replace(each, folder=place)))
    return pairs, rest


def mark_one_shot(
    source: Pattern,
    target: Pattern,
    job: Job,
    progress: Progress,
    *,
    frames: tuple[int | None, int | None],
    max_pixels: int,
) -> dict[str, Any]:
    """Mark an image sequence; return what is told of it."""
    from watermark.shots import mark_shot  # noqa: PLC0415 - slow

    def told(done: int, whole: int) -> None:
        stop_if_interrupted()
        progress.tell(f"frame {done:,} of {whole:,}")

    marked = mark_shot(
        source,
        target,
        job.key,
        job.number,
        first=frames[0],
        last=frames[1],
        registry=job.registry,
        required=job.required,
        strength=job.strength,
        replace=job.force,
        resume=job.resume,
        max_pixels=max_pixels,
        on_progress=told,
    )
    return {
        "z": round(marked.z, 2),
        "frames": marked.frames,
        "weakest_z": round(marked.weakest_z, 2),
        "weakest_frame": marked.weakest,
        "skipped": marked.written == 0,
    }
