"""Marking films: decode, mark and encode, read the result back, and only then give it its name.

What was written is read again frame by frame and must show its mark as surely as a whole search of
the registry would ask; a film that does not is never put in place.  Two frames a second are added
up, since neighbours say the same, into sums of ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from watermark.align import fold, whole_frame
from watermark.codecs import Encoding
from watermark.coding import codeword, decode
from watermark.container import frames, probe
from watermark.decide import soft_word
from watermark.detect import observe_luma
from watermark.errors import MarkNotReadable, MediaError, OutputError
from watermark.evidence import Evidence
from watermark.files import AnyPath, atomic_write, shown
from watermark.footage import as_shown
from watermark.key import Key
from watermark.marking import check_free, required_z
from watermark.moving import MovieMarker
from watermark.profile import DEFAULT, Profile
from watermark.registry import Registry
from watermark.remux import transcode
from watermark.videoinfo import VideoInfo

__all__ = ["MarkedFilm", "ReadBack", "is_marked", "mark_film", "read_back_film"]

_EVERY = 0.5  # seconds between frames that are read back
_STRETCH = 10.0  # seconds
_ENOUGH = 1.5  # times the z that is required: a film that shows as much need not be read on

Plane = NDArray[np.uint8] | NDArray[np.uint16]
OnProgress = Callable[[float, float | None], None]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What a film shows of one known mark.

    Parameters
    ----------
    z : float
        Of all that was read, in standard deviations of the null.
    weakest : float
        Of the ten seconds that show least of it.
    start : float
        When those begin, seconds.
    frames : int
        That were looked at.
    number : int
        The mark number that all of it decodes to: a strong mark scores high for others as well.
    """

    z: float
    weakest: float
    start: float
    frames: int
    number: int


@dataclass(frozen=True, slots=True)
class MarkedFilm:
    """How a marked film came out.

    Parameters
    ----------
    frames : int
        That were marked.
    seconds : float
        Their length.
    damaged : int
        Frames of the source that its decoder had to make up in part; they were passed on as it
        gave them.
    encoder : str
    seen : ReadBack
        Of the file as written.
    """

    frames: int
    seconds: float
    damaged: int
    encoder: str
    seen: ReadBack


def mark_film(
    source: AnyPath,
    output: AnyPath,
    key: Key,
    number: int,
    *,
    registry: Registry | None = None,
    required: float | None = None,
    profile: Profile = DEFAULT,
    strength: float = 1.0,
    encoding: Encoding | None = None,
    partial: bool = False,
    replace: bool = False,
    on_progress: OnProgress | None = None,
    on_check: OnProgress | None = None,
) -> MarkedFilm:
    """Write a marked copy of a film; every other stream goes through untouched.

    Parameters
    ----------
    source, output : path
        The ending of `output` names its container.
    key : Key
    number : int
        Mark number of 48 bits, as the registry gives it.
    registry : Registry, optional
        Told of key and profile before the film stands under its name.
    required : float, optional
        The z to read back with; by default `watermark.marking.required_z` for a million marks.
    profile : Profile
    strength : float
        Factor on the amplitude; 1 is the profile's own.
    encoding : Encoding, optional
        By default the source's codec at visually lossless quality.
    partial : bool
        Whether a source that breaks off is written as far as it goes, rather than refused.
    replace : bool
        Whether a file that stands at `output` may be replaced.
    on_progress, on_check : callable, optional
        Take the seconds that were written, or read back, and the whole length if it is known.

    Raises
    ------
    MediaError
        If the source cannot be read or marked, or the output not written; it says which second was
        reached, and nothing is left behind.
    MarkNotReadable
        If the mark is not found in what was written; it is removed.
    RegistryError
        If the registry could not be told; nothing is left behind.
    """
    if not replace:
        check_free(source, output)

    def marker(info: VideoInfo) -> Callable[[Plane], Plane]:
        return MovieMarker(
            key,
            number,
            shape=(info.height, info.width),
            format=info.format,
            shown=info.shown,
            profile=profile,
            strength=strength,
        ).mark

    with atomic_write(output, replace=replace) as temporary:
        done = transcode(
            source,
            temporary,
            marker,
            encoding=encoding,
            partial=partial,
            name=output,
            on_progress=on_progress,
        )
        try:
            seen = read_back_film(temporary, key, number, profile=profile, on_progress=on_check)
        except MediaError as error:
            raise OutputError(
                f"{shown(source)}: what was written could not be read back ({error}); "
                "choose another --codec, and tell us"
            ) from error
        wanted = required_z(0) if required is None else required
        if seen.z < wanted:
            raise MarkNotReadable(
                f"{shown(source)}: the mark would not be found in what was written "
                f"(z {seen.z:.1f}, and {wanted:.1f} is needed); raise --strength, lower --crf, "
                "or leave this film out"
            )
        if registry is not None:
            registry.record_marking(number, key.fingerprint, str(profile))
    return MarkedFilm(done.frames, done.seconds, done.damaged, done.encoder, seen)


def read_back_film(
    path: AnyPath,
    key: Key,
    number: int,
    *,
    profile: Profile = DEFAULT,
    enough: float | None = None,
    on_progress: OnProgress | None = None,
) -> ReadBack:
    """Return what a film shows of one known mark at its own place, the whole frame.

    Parameters
    ----------
    path : path
    key : Key
    number : int
    profile : Profile
    enough : float, optional
        The z at which the rest need not be read.
    on_progress : callable, optional
        Takes the seconds read and the whole length, if that is known.

    Raises
    ------
    MediaError
        If the film cannot be read to its end.
    """
    word = codeword(number)

    def z_of(evidence: Evidence) -> float:
        return float(soft_word(evidence, key, profile) @ word)

    total: Evidence | None = None
    weakest, start, looked = np.inf, 0.0, 0
    for begin, evidence in _stretches(path, key, profile, on_progress):
        total = evidence if total is None else total + evidence
        looked += evidence.frames
        z = z_of(evidence)
        if z < weakest:
            weakest, start = z, begin
        if enough is not None and z_of(total) >= enough:
            break
    if total is None:
        raise OutputError(f"{shown(path)}: there is no frame in this film; copy it again")
    decoded = int(decode(soft_word(total, key, profile))[0])
    return ReadBack(z_of(total), weakest, start, looked, decoded)


def is_marked(
    path: AnyPath, key: Key, number: int, required: float, *, profile: Profile = DEFAULT
) -> bool:
    """Say whether a film that stands there already is a whole one that shows its mark."""
    if not Path(path).is_file():
        return False
    try:
        seen = read_back_film(path, key, number, profile=profile, enough=_ENOUGH * required)
    except MediaError:
        return False
    return seen.z >= required and seen.number == number


def _stretches(
    path: AnyPath, key: Key, profile: Profile, on_progress: OnProgress | None
) -> Iterator[tuple[float, Evidence]]:
    """Yield when each ten seconds begin, and their evidence; what is left at the end is longer."""
    info = probe(path)
    due, begin, first = -np.inf, 0.0, True
    evidence: Evidence | None = None
    held: tuple[float, Evidence] | None = None
    for _, time, plane in frames(path):
        if time < due:
            continue
        due = time + _EVERY * (1 - 1e-3)  # times of frames are rounded
        if on_progress is not None:
            on_progress(time, info.duration)
        if first:
            begin, first = time, False
        seen = observe_luma(as_shown(plane, info.format, info.shown), profile=profile)
        folded = fold(seen, whole_frame(seen)[0], key, profile)
        if evidence is not None and time >= begin + _STRETCH:
            if held is not None:
                yield held
            held, evidence, begin = (begin, evidence), None, time
        evidence = folded if evidence is None else evidence + folded
    # A rest of less than ten seconds says less of the mark than of its length.
    if held is not None and evidence is not None:
        yield held[0], held[1] + evidence
    elif evidence is not None:
        yield begin, evidence
