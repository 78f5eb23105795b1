"""What ``sukashi embed`` does with each file, here or on the nodes of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cli.marks import FilmSettings, Job, mark_one_film, mark_one_shot, mark_one_still
from cli.progress import Progress
from cli.text import printable
from watermark.errors import MediaError, RegistryError, WatermarkError

__all__ = ["Order", "Pair", "Told", "in_turn", "on_ray"]

Pair = tuple[Any, Any]  # a file or Pattern, and where its result goes
Told = tuple[Pair, dict[str, Any] | WatermarkError]  # a row, or why there is none
_FILM = 4  # processors of a worker that marks films, if machines have as many
_OPEN = ("number", "required", "strength", "force", "resume")  # of a `Job`: no secrets


@dataclass(frozen=True, slots=True)
class Order:
    """How the files of a run are marked, but for the key.

    Parameters
    ----------
    settings : FilmSettings
    quality : int or None
        Of pictures.
    frames : (int or None, int or None)
        The range of sequences.
    max_pixels : int
    """

    settings: FilmSettings
    quality: int | None
    frames: tuple[int | None, int | None]
    max_pixels: int


def in_turn(pairs: Sequence[Pair], job: Job, order: Order, progress: Progress) -> Iterator[Told]:
    """Mark one file after the other."""
    for pair in progress.over(pairs, lambda each: Path(str(each[0])).name):
        yield pair, _attempted(pair, job, order, progress)


def on_ray(
    pairs: Sequence[Pair], job: Job, order: Order, progress: Progress, *, workers: int | None
) -> Iterator[Told]:
    """Mark files on a Ray cluster, each by one worker, in the order in which they are done.

    Raises
    ------
    EngineError
        If there are no workers.
    RegistryError
        If the registry could not be told.
    """
    from watermark.crew import Crew, Lost  # noqa: PLC0415
    from watermark.profile import DEFAULT  # noqa: PLC0415 - slow, all of them

    if not pairs:
        return
    # Told before the first file stands, and by this process: no node needs to reach the registry.
    assert job.registry is not None
    job.registry.record_marking(job.number, job.key.fingerprint, str(DEFAULT))
    open_to_all = {name: getattr(job, name) for name in _OPEN}
    most = len(pairs) if workers is None else min(len(pairs), workers)
    # An encoder is better off with a few processors of its own.
    several = _FILM if any(_is_film(source) for source, _ in pairs) else 1
    order = replace(order, settings=replace(order.settings, threads=several))
    make = partial(_marker, open_to_all, order)
    with Crew(make, job.key.secret, size=most, processors=several) as crew:
        done = crew.done(pairs)
        for _ in progress.over(pairs, lambda _: f"{crew.ready} workers"):
            pair, row = next(done)
            if isinstance(row, Lost):
                row = MediaError(
                    f"{printable(str(pair[0]))}: marking it broke down {row.tries} times "
                    f"({row.reason}); leave it out, or mark it alone"
                )
            yield pair, row


def _marker(open_to_all: dict[str, Any], order: Order, secret: bytes) -> Any:
    """Return what marks a file in a worker."""
    from watermark.key import Key  # noqa: PLC0415 - slow

    job, progress = Job(key=Key(secret), registry=None, **open_to_all), Progress()
    return lambda pair: _attempted(pair, job, order, progress)


def _is_film(source: Any) -> bool:
    from watermark.formats import is_film  # noqa: PLC0415 - slow
    from watermark.numbered import Pattern  # noqa: PLC0415

    return not isinstance(source, Pattern) and is_film(source)


def _attempted(
    pair: Pair, job: Job, order: Order, progress: Progress
) -> dict[str, Any] | WatermarkError:
    from watermark.numbered import Pattern  # noqa: PLC0415 - slow

    source, target = pair
    try:
        if isinstance(source, Pattern):
            return mark_one_shot(
                source, target, job, progress, frames=order.frames, max_pixels=order.max_pixels
            )
        if _is_film(source):
            return mark_one_film(source, target, job, order.settings, progress)
        return mark_one_still(
            source, target, job, quality=order.quality, max_pixels=order.max_pixels
        )
    except RegistryError:
        raise
    except WatermarkError as error:
        return error
