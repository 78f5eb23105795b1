"""``sukashi embed``: files in, marked files out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.files import (
    Failures,
    NoPictures,
    files_argument,
    finish,
    max_pixels_option,
    named,
    shortened,
    terminal_width,
)
from cli.marks import FilmSettings, Job, clock, film_options, plan_shots
from cli.progress import Progress
from cli.spreading import Order, in_turn, on_ray
from cli.text import cells, echo_json, json_option, opened_registry, printable, registry_option
from watermark.errors import UnknownWork, WatermarkError
from watermark.work import format_mark, parse_mark

if TYPE_CHECKING:
    from watermark.numbered import Pattern

__all__ = ["embed"]

# Of a row, behind its file; the last ones of films only.
_FIELDS = (
    *("output", "work", "mark", "psnr", "ssim", "z"),
    *("frames", "seconds", "weakest_z", "weakest_start", "weakest_frame"),
    *("encoder", "damaged", "skipped"),
)
_WEAKEST, _STRONGEST = 0.25, 2.0


def _strength(_: click.Context, __: click.Parameter, value: float) -> float:
    if not _WEAKEST <= value <= _STRONGEST:  # says no to NaN too
        raise click.BadParameter(f"{value:g} is not between {_WEAKEST:g} and {_STRONGEST:g}")
    return value


def _frame_range(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[int | None, int | None]:
    if value is None:
        return None, None
    found = re.fullmatch(r"(\d+)-(\d+)", value)
    if not found or int(found[1]) > int(found[2]):
        raise click.BadParameter(f"{value!r} is not a range such as 1001-1120")
    return int(found[1]), int(found[2])


@click.command()
@files_argument
@click.option("--work", "work_name", required=True, metavar="WORK", help="Its id or title.")
@click.option("--key", "key_file", required=True, metavar="FILE", help="Your key file.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="A file, or a folder that mirrors what was named.",
)
@click.option(
    "--mark",
    "mark_text",
    metavar="HEX",
    help="Which mark of the work, 12 hex digits; its first one unless said otherwise.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    metavar="Q",
    help="For JPEG, WebP and AVIF, 1 to 100; that of the source or better unless said otherwise.",
)
@click.option(
    "--strength",
    type=float,
    default=1.0,
    callback=_strength,
    metavar="S",
    help="Amplitude, 0.25 to 2; 1 is what the mark was tuned for, and more may be seen.",
)
@film_options
@click.option(
    "--frames",
    "frame_range",
    callback=_frame_range,
    metavar="A-B",
    help="Sequences: only these numbers, such as 1001-1120; all unless said otherwise.",
)
@click.option(
    "--shots",
    is_flag=True,
    help="Numbered PNG and TIFF files in folders are sequences, as EXR and DPX always are.",
)
@click.option("-f", "--force", is_flag=True, help="Replace outputs that exist.")
@click.option(
    "--resume",
    is_flag=True,
    help="Skip what is done already: outputs that exist and show this mark.",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="'ray' gives each film, shot or picture to a worker of the Ray cluster that RAY_ADDRESS "
    "names, or of one that is started here; all nodes have to see the files.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --engine ray: how many workers at most; one a processor unless said otherwise.",
)
@max_pixels_option
@registry_option
@json_option
def embed(
    files: tuple[str, ...],
    *,
    work_name: str,
    key_file: str,
    output: str,
    mark_text: str | None,
    quality: int | None,
    strength: float,
    codec: str | None,
    crf: float | None,
    preset: str | None,
    lossless: bool,
    partial: bool,
    frame_range: tuple[int | None, int | None],
    shots: bool,
    force: bool,
    resume: bool,
    engine: str,
    jobs: int | None,
    max_pixels: int | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Write marked copies of pictures and films.

    PNG, JPEG, WebP, TIFF and AVIF, films in MP4, MOV, MKV, WebM, MXF and more, and image sequences
    in PNG, TIFF, EXR and DPX; single files, patterns or whole folders.  Of a film only the luma of
    its video is changed: sound, subtitles, chapters and all else go through as they are.  Each
    result is read back before it gets its name, and a file whose own mark cannot be read is an
    error.  What is printed for a picture compares it with its source: PSNR and SSIM of luma, and z,
    the strength of the mark in standard deviations as a detector will see it; for a film, z of all
    of it and of its weakest ten seconds, for a sequence that of its weakest frame.

    \b
    Example:
      sukashi embed frames --work "Night Train" --key studio.key -o marked
      sukashi embed film.mov --work "Night Train" --key studio.key -o marked.mov
      sukashi embed shot_%05d.exr --work "Night Train" --key studio.key -o marked_%05d.exr
    """
    from watermark.allocator import keep_freed_memory  # noqa: PLC0415 - slow, help needs none
    from watermark.files import plan_outputs  # noqa: PLC0415
    from watermark.key import Key  # noqa: PLC0415
    from watermark.marking import required_z  # noqa: PLC0415
    from watermark.stills import MAX_PIXELS  # noqa: PLC0415

    if jobs is not None and engine != "ray":
        raise click.UsageError("--jobs goes with --engine ray; here one file follows the other")
    settings = FilmSettings(codec, crf, preset, lossless=lossless, partial=partial)
    settings.encoding()
    keep_freed_memory()
    key = Key.read(key_file)
    # Looking comes first: a registry that is missing or older is not made or changed in passing.
    with opened_registry(registry, read_only=True) as opened:
        known = opened.work(work_name)
        number = _chosen([each.number for each in opened.marks(known.id)], mark_text, known.id)
        required = required_z(opened.count_marks())
    with opened_registry(registry) as opened, Progress() as progress:
        failures = Failures(progress, dict.fromkeys(_FIELDS) if as_json else None)
        sequences, rest = plan_shots(files, output, stills=shots)
        if frame_range != (None, None) and not sequences:
            raise click.UsageError("--frames goes with a sequence, such as shot_%05d.exr")
        pairs: list[tuple[Any, Any]] = [*sequences]
        if rest:
            pairs += [
                (source, target)
                for source, target in plan_outputs(rest, output, on_error=failures)
                if not any(
                    source.parent == each.folder and each.number(source.name) is not None
                    for each, _ in sequences
                )
            ]
        if not pairs and not failures.count:
            raise NoPictures(f"{printable(files[0])}: no pictures here; name files or a folder")
        job = Job(key, number, opened, required, strength, force=force, resume=resume)
        order = Order(settings, quality, frame_range, named(max_pixels, MAX_PIXELS))
        if engine == "ray":
            told = on_ray(pairs, job, order, progress, workers=jobs)
        else:
            told = in_turn(pairs, job, order, progress)
        for (source, target), figures in told:
            if isinstance(figures, WatermarkError):
                failures.add(str(source), figures)
                continue
            progress.clear()
            whose = {"output": str(target), "work": known.id, "mark": format_mark(number)}
            row = {"file": str(source)} | dict.fromkeys(_FIELDS) | whose | figures
            if as_json:
                echo_json(row)
            else:
                _tell(target, row)
    finish(failures)


def _chosen(numbers: list[int], text: str | None, work_id: str) -> int:
    """Return the mark number that is asked for: one of the work's, by default the first."""
    if text is None:
        return numbers[0]
    number = parse_mark(text.lower())
    if number not in numbers:
        raise UnknownWork(
            f"mark {format_mark(number)} is none of {work_id}; see 'sukashi work show {work_id}'"
        )
    return number


def _tell(target: Path | Pattern, row: dict[str, Any]) -> None:
    name = shortened(str(target))
    if row["skipped"]:
        figures = "done already"
    elif row["frames"] is not None:
        where = row["weakest_frame"]
        place = f"in {where}" if where is not None else f"from {clock(row['weakest_start'])}"
        weakest = f"weakest {row['weakest_z']:.1f} {place}"
        frames = "1 frame" if row["frames"] == 1 else f"{row['frames']:,} frames"
        figures = f"{frames}  z {row['z']:.1f}  {weakest}"
        if row["damaged"]:
            figures += f"  {row['damaged']:,} damaged"
    else:
        psnr = "identical" if row["psnr"] is None else f"PSNR {row['psnr']:.1f} dB"
        figures = f"{psnr}  SSIM {row['ssim']:.4f}  z {row['z']:.1f}"
    fits = cells(name) + 2 + len(figures) <= terminal_width()
    click.echo(f"{name}  {figures}" if fits else f"{name}\n{figures}")
