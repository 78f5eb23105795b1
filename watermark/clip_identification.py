"""Identifying films: a verdict, what the registry says of the marks, and from when to when.

Key frames come first, since they are decoded many times as fast as all of a film; where they do
not tell enough, the film is read again, at `fps` frames a second, unless it has so many of them
that it would have told by then.  A short part of a long film is found for sure only where all of it
is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from watermark.clip import Judgement, Watch
from watermark.detect import Search
from watermark.errors import UnreadableMedia
from watermark.evidence import Observation
from watermark.files import AnyPath, shown
from watermark.footage import ClipFrame, ClipInfo, Limits
from watermark.gate import Gate
from watermark.identification import (
    Catalogue,
    FoundMark,
    Identification,
    found_mark,
    joined,
)
from watermark.key import Key
from watermark.picture import SMALLEST_READ, check_size
from watermark.profile import DEFAULT, Profile
from watermark.timeline import Stretch
from watermark.work import Mark, Work

__all__ = ["DEFAULT_FPS", "UNTIL", "ClipIdentification", "Part", "Seen", "identify_clip"]

DEFAULT_FPS = 2.0
UNTIL = 1e-12  # p-value at which a film is sure enough
_LEAST = 16  # frames that are sampled of the shortest clip, if it has them
_MANY = 32  # key frames, which are enough for a film

Known = dict[int, tuple[Work, Mark]]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far it has come.

    Parameters
    ----------
    seconds : float
        Of the film that were read.
    duration : float or None
        Of all of it.
    frames : int
        That were looked at.
    z, log10_p : float
        Of the strongest mark at the last look.
    """

    seconds: float
    duration: float | None
    frames: int
    z: float
    log10_p: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a film, and the mark in it.

    Parameters
    ----------
    start, end : float
        Seconds.
    mark : FoundMark or None
        None where no mark was found.
    """

    start: float
    end: float
    mark: FoundMark | None


@dataclass(frozen=True, slots=True)
class ClipIdentification:
    """What is told about one film.

    Parameters
    ----------
    whole : Identification
        The verdict on all of it, and the marks that were found anywhere in it.
    duration : float or None
        Seconds, as the film says.
    seconds : float
        Time of the last frame that was looked at.
    frames, looks : int
        How many frames were added up and how often they were decided on.
    key_frames : bool
        Whether only frames were looked at that were coded by themselves.
    damaged : int
        Packets that could not be decoded.
    parts : tuple of Part
        In order and without gaps, as far as it was read.
    points : tuple of tuples of two floats
        Seconds, and the log10 of the p-value of what is within a second of them.
    """

    whole: Identification
    duration: float | None
    seconds: float
    frames: int
    looks: int
    key_frames: bool
    damaged: int
    parts: tuple[Part, ...]
    points: tuple[tuple[float, float], ...]


def identify_clip(
    path: AnyPath,
    keys: Sequence[Key],
    catalogue: Catalogue | None = None,
    *,
    fps: float = DEFAULT_FPS,
    until: float = UNTIL,
    all_frames: bool = False,
    search: Search = "full",
    on_progress: Callable[[Seen], None] | None = None,
    limits: Limits | None = None,
    keep: Callable[[Observation], None] | None = None,
    profile: Profile = DEFAULT,
) -> ClipIdentification:
    """Say which marks a film carries, whose they are, and from when to when.

    Parameters
    ----------
    path : path
    keys : sequence of Key
        At least one.
    catalogue : Catalogue, optional
        Without one numbers are decoded and no work is named.
    fps : float
        Frames a second to look at, at most.
    until : float
        P-value at which to stop.
    all_frames : bool
        Whether to go on to the end all the same, for all works and all of the timeline.
    search : str
        ``fast`` or ``full``, see `watermark.clip.Watch`.
    on_progress : callable, optional
        Called after each frame.
    limits : Limits, optional
        What decoding may cost.
    keep : callable, optional
        Is given the sum of what was observed in all frames, as `identify_pixels` does.
    profile : Profile

    Raises
    ------
    MediaError
        If it cannot be read, or not within the limits.
    RegistryError
        If the registry cannot be asked.
    """
    if not 0 < until < 1:
        raise ValueError(f"a p-value to stop at is between 0 and 1, not {until}")
    codebook = None if catalogue is None else catalogue.codebook
    works = None if catalogue is None else catalogue.work_index
    enough = None if all_frames else math.log(until)
    with Gate(path, limits=limits) as gate:
        check_size(gate.info.shape, name=path, smallest=SMALLEST_READ)
        length = gate.info.duration
        short = length is not None and length * fps <= _LEAST
        watch = Watch(keys, codebook, work_index=works, search=search, profile=profile, short=short)
        reading = _Reading(gate.info, watch, enough, on_progress)
        key_frames = not all_frames and gate.info.kind == "film"
        judgement = None
        if key_frames:
            judgement = reading.read(gate.frames(fps=fps, key_frames=True), enough=_MANY)
        if judgement is None:
            key_frames = False
            watch.again()
            # Of a short clip looks on the way save little, and each makes the next one dearer.
            sampled = gate.frames(fps=_rate(gate.info, fps))
            judgement = reading.read(sampled, enough=1, patient=short)
        damaged = gate.damaged
        if judgement is None:
            raise UnreadableMedia(f"{shown(path)}: no frame can be decoded; copy it again")
        if keep is not None:
            keep(watch.reel.total())
        return _told(judgement, catalogue, reading, key_frames=key_frames, damaged=damaged)


def _rate(info: ClipInfo, fps: float) -> float:
    """Return how many frames a second are looked at: of a short clip more."""
    if not info.duration:
        return fps
    return max(fps, min(info.rate, _LEAST / info.duration))


class _Reading:
    """Reads frames into a watch, and looks when it is time to."""

    def __init__(
        self,
        info: ClipInfo,
        watch: Watch,
        enough: float | None,
        on_progress: Callable[[Seen], None] | None,
    ) -> None:
        self.info, self.watch, self.enough = info, watch, enough
        self.on_progress = on_progress
        self.seconds, self.z, self.log_p = 0.0, 0.0, 0.0

    def read(
        self, frames: Iterator[ClipFrame], *, enough: int, patient: bool = False
    ) -> Judgement | None:
        """Return the verdict once it is sure, or at the end if there were `enough` frames.

        With patience only at the end.
        """
        for frame in frames:
            self.seconds = frame.time
            plane = self.info.shown(frame.plane)
            due = self.watch.add(frame.time, plane, key=frame.key, share=frame.share)
            if due and not patient:
                judgement = self._look(last=False)
                if self._sure(judgement):
                    return judgement
            self._report()
        if self.watch.reel.frames < enough:
            return None
        judgement = self._look(last=True)
        self._report()
        return judgement

    def _look(self, *, last: bool) -> Judgement:
        judgement = self.watch.look(last=last, until=self.enough)
        best = judgement.detection.best
        self.z, self.log_p = best.z, best.log_p
        return judgement

    def _sure(self, judgement: Judgement) -> bool:
        return self.enough is not None and judgement.detection.best.log_p <= self.enough

    def _report(self) -> None:
        if self.on_progress is not None:
            frames = self.watch.reel.frames
            log10_p = _log10(self.log_p)
            self.on_progress(Seen(self.seconds, self.info.duration, frames, self.z, log10_p))


def _told(
    judgement: Judgement,
    catalogue: Catalogue | None,
    reading: _Reading,
    *,
    key_frames: bool,
    damaged: int,
) -> ClipIdentification:
    detection, info = judgement.detection, reading.info
    numbers = {each.number for each in detection.found}
    numbers |= {each.found.number for each in judgement.parts if each.found is not None}
    known: Known = {}
    if catalogue is not None and numbers:
        numbers |= {each.number for each in detection.candidates}
        known = catalogue.registry.lookup(sorted(numbers))
    height, width = info.shape
    return ClipIdentification(
        whole=joined(detection, known, (width, height)),
        duration=info.duration,
        seconds=reading.seconds,
        frames=judgement.frames,
        looks=judgement.looks,
        key_frames=key_frames,
        damaged=damaged,
        parts=tuple(_part(each, known, info.duration) for each in judgement.parts),
        points=tuple((time, _log10(value)) for time, value in judgement.points),
    )


def _part(each: Stretch, known: Known, duration: float | None) -> Part:
    mark = None if each.found is None else found_mark(each.found, known)
    end = each.end if duration is None else max(each.start, min(each.end, duration))
    return Part(each.start, end, mark)


def _log10(natural: float) -> float:
    return float(natural) / math.log(10.0) + 0.0  # −0.0 would be printed with its sign
