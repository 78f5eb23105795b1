"""Masters that are files: marked by the product from file to file, and transcoded with their times.

Planes in memory say nothing of what happens to a ProRes master of ten bits and 4:2:2, or to a film
whose frames come at odd times; these two go the way a studio's files go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from bench.video_attacks import VideoAttack
from bench.video_media import Coding, Footage, opened, video_frame
from watermark.filming import mark_film
from watermark.key import Key

__all__ = ["FILES", "delivered", "prores", "variable_rate"]

Chance = np.random.Generator

_GONE = 1 / 3  # of the frames of a film of variable rate, at random
_TICKS = 1000  # a second, which is what Matroska has
_PRORES = Coding("prores_ks", {"profile": "3"}, ".mov")
_LOSSLESS = Coding("libx264", {"crf": "0", "preset": "veryfast"}, ".mkv")


def prores(path: Path, footage: Footage, _: np.random.Generator) -> None:
    """Write a film of ten bits as ProRes 422 HQ."""
    _write(path, _PRORES, footage, range(len(footage.frames)), ("yuv420p10le", "yuv422p10le"))


def variable_rate(path: Path, footage: Footage, rng: Chance) -> None:
    """Write a film without a third of its frames; the others keep their times."""
    kept = [at for at in range(len(footage.frames)) if at == 0 or rng.random() >= _GONE]
    _write(path, _LOSSLESS, footage, kept, ("yuv420p", "yuv420p"))


# How each is written, and the ending of its file.
FILES: Mapping[str, tuple[Callable[[Path, Footage, Chance], None], str]] = {
    "prores": (prores, _PRORES.ending),
    "variable rate": (variable_rate, _LOSSLESS.ending),
}


def _write(
    path: Path, coding: Coding, footage: Footage, kept: Iterable[int], formats: tuple[str, str]
) -> None:
    given, pixels = formats
    with av.open(str(path), "w") as file:
        stream = opened(file, coding, footage.rate, footage.shape, pixels)
        stream.codec_context.time_base = Fraction(1, _TICKS)
        for at in kept:
            frame = video_frame(footage.frames[at], given, at, footage.rate)
            if given != pixels:
                frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = round(_TICKS * at / footage.rate), Fraction(1, _TICKS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def delivered(
    path: Path, attack: VideoAttack, footage: Footage, mark: tuple[Key, int] | None, chance: Chance
) -> None:
    """Write a master, mark the file as ``sukashi embed`` does, and transcode it to `path`.

    Parameters
    ----------
    path : Path
        Of the file to be written.
    attack : VideoAttack
        Of one of `FILES`.
    footage : Footage
        Ten bits for ProRes, eight for the other.
    mark : (Key, int), optional
        None leaves the file unmarked.
    chance : Generator

    Raises
    ------
    MediaError, MarkNotReadable
        As of `watermark.filming.mark_film`.
    """
    make, ending = FILES[attack.master]
    source = path.with_name(f"master{ending}")
    make(source, footage, chance)
    if mark is not None:
        marked = path.with_name(f"marked{ending}")
        mark_film(source, marked, *mark)
        source = marked
    with av.open(str(source)) as read, av.open(str(path), "w") as file:
        film = read.streams.video[0]
        size = film.codec_context.height, film.codec_context.width
        stream = opened(file, attack.coding, footage.rate, size, "yuv420p")
        stream.codec_context.time_base = film.time_base
        for frame in read.decode(film):
            plain = frame.reformat(format="yuv420p")
            plain.pts, plain.time_base = frame.pts, frame.time_base
            file.mux(stream.encode(plain))
        file.mux(stream.encode())
