"""Marking shots: image sequences, frame by frame, each read back before it stands.

All frames carry one mark at one place, and the mask follows the picture as in films
(`watermark.moving`), so nothing flickers; a cut inside a sequence changes nothing.
What counts is the shot: z is that of the sum over its frames, as a detector adds them up, and a
dark frame may hold next to nothing.

When something goes wrong, the frames that are complete stay and no other has its final name.
A later run with `resume` leaves those frames as they are; it lets the mask see those before the
first that is missing, so that nothing jumps there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from watermark.errors import MarkNotReadable, MediaError, OutputError, UnsupportedMedia
from watermark.files import AnyPath, atomic_write, shown
from watermark.frame import Luma
from watermark.key import Key
from watermark.marking import required_z
from watermark.moving import MovieMarker
from watermark.numbered import Numbered, Pattern, find
from watermark.planes import PlaneFormat, Shown
from watermark.profile import DEFAULT, Profile
from watermark.registry import Registry
from watermark.sequence import SequenceFrame, check_output, read, viewer_luma
from watermark.stills import MAX_PIXELS
from watermark.tally import Tally

__all__ = ["MarkedShot", "check_shot", "mark_shot"]

# Luma on its way through the marker: fine enough for any format, and what it is quickest with.
_FORMAT = PlaneFormat(bits=14, full=True)
_WARM_UP = 48  # frames after which hardly anything is left of where the mask began
_ALIKE = 0.25  # of the mark's root mean square, by which two ways to mark a frame may differ

Source = AnyPath | Pattern | Sequence[Numbered]
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MarkedShot:
    """How a marked shot came out.

    Parameters
    ----------
    frames : int
        How many it has.
    z : float
        Of the sum over all frames, as a detector gets it from the files.
    weakest_z : float
        Of the weakest single frame.
    weakest : int
        Number of that frame.
    written, skipped : int
        Frames that were marked now, and those that were there already.
    """

    frames: int
    z: float
    weakest_z: float
    weakest: int
    written: int
    skipped: int


class _Marker:
    """Gives each frame of a shot its delta; made by the first one."""

    def __init__(self, key: Key, number: int, profile: Profile, strength: float) -> None:
        self._key, self._number, self._profile = key, number, profile
        self._strength = strength
        self._marker: MovieMarker | None = None
        self._like: tuple[tuple[int, int], float] | None = None

    def delta(self, frame: SequenceFrame, name: str) -> Luma:
        """Return what is added to the luma of the next frame, code values."""
        like = (frame.shape, frame.aspect)
        if self._like is None:
            self._like = like
            self._marker = MovieMarker(
                self._key,
                self._number,
                shape=frame.shape,
                format=_FORMAT,
                shown=Shown(aspect=frame.aspect),
                profile=self._profile,
                strength=self._strength,
            )
        if like != self._like:
            (height, width), (before_high, before_wide) = frame.shape, self._like[0]
            raise UnsupportedMedia(
                f"{name}: {width} × {height} pixels, but the frames before it have "
                f"{before_wide} × {before_high} or pixels of another aspect; "
                "mark the two parts as two shots"
            )
        assert self._marker is not None
        steps = np.rint(np.clip(frame.plane(), 0, 255) * np.float32(_FORMAT.gain))
        plane = steps.astype(np.uint16)
        added = self._marker.mark(plane).astype(np.int32) - plane
        return np.asarray(added * np.float32(1 / _FORMAT.gain), np.float32)


def mark_shot(
    source: Source,
    output: AnyPath | Pattern,
    key: Key,
    number: int,
    *,
    first: int | None = None,
    last: int | None = None,
    gaps: bool = False,
    registry: Registry | None = None,
    required: float | None = None,
    profile: Profile = DEFAULT,
    strength: float = 1.0,
    replace: bool = False,
    resume: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_progress: OnProgress | None = None,
) -> MarkedShot:
    """Write a marked copy of an image sequence.

    Parameters
    ----------
    source : path, Pattern or sequence of Numbered
        A pattern such as ``shot_%05d.exr``, or files in their order.
    output : path or Pattern
        A pattern; results have the numbers of their sources.
    key : Key
    number : int
        Mark number of 48 bits, as the registry gives it.
    first, last : int, optional
        The range of frames, both included; by default all.
    gaps : bool
        Whether numbers may be missing.
    registry : Registry, optional
        Told of key and profile before the first file stands under its name.
    required : float, optional
        The z that the shot has to read back with; by default `required_z` for a million marks.
    profile : Profile
    strength : float
        Factor on the amplitude; 1 is the profile's own.
    replace : bool
        Whether files that stand at `output` may be replaced.
    resume : bool
        Whether frames whose output carries the mark already are left as they are.
    max_pixels : int
        Larger frames are refused before they are decoded.
    on_progress : callable, optional
        Called with the number of frames that are done, and of all.

    Returns
    -------
    MarkedShot

    Raises
    ------
    MediaError
        If a frame cannot be read, marked or written; the message says how far it came.
    MarkNotReadable
        If the whole shot reads back weaker than `required`; its frames stand.
    RegistryError
        If the registry could not be told.
    """
    frames = _frames(source, first, last, gaps=gaps)
    target = output if isinstance(output, Pattern) else Pattern.parse(output)
    outputs = [target.path(frame.number) for frame in frames]
    _check_outputs(frames, outputs, target, free=replace or resume)
    marker = _Marker(key, number, profile, strength)
    tally, skipped = Tally(key, number, profile), 0
    told = registry is None
    unseen: list[Numbered] = []  # left as they are, and not yet looked at by the mask
    for done, (frame, path) in enumerate(zip(frames, outputs, strict=True)):
        try:
            there = _there(path, max_pixels) if resume else None
            look = tally.look(viewer_luma(there)) if there is not None else None
            if look is not None and look.certain:
                unseen.append(frame)
                skipped += 1
            else:
                for each in unseen[-_WARM_UP:]:
                    marker.delta(read(each.path, max_pixels=max_pixels), shown(each.path))
                unseen.clear()
                decoded = read(frame.path, output=path, max_pixels=max_pixels)
                delta = marker.delta(decoded, shown(frame.path))
                data = decoded.marked(delta)
                written = read(data, name=path, max_pixels=max_pixels)
                if there is not None and _alike(there, written, delta):
                    skipped += 1  # too dark a frame to tell by its mark
                else:
                    look = tally.look(viewer_luma(written))
                    with atomic_write(path, replace=replace) as temporary:
                        temporary.write_bytes(data)
                        if not told and registry is not None:
                            registry.record_marking(number, key.fingerprint, str(profile))
                            told = True
            assert look is not None
            tally.add(frame.number, look)
        except MediaError as error:
            raise type(error)(
                f"{error} (frame {frame.number} of {frames[0].number} to {frames[-1].number} "
                f"was reached; the {done} before it are complete)"
            ) from error
        if on_progress is not None:
            on_progress(done + 1, len(frames))
    result = _result(tally, skipped)
    wanted = required_z(0) if required is None else required
    if result.z < wanted:
        raise MarkNotReadable(
            f"{shown(str(target))}: the mark would not be found in these {result.frames} frames "
            f"(z {result.z:.1f}, and {wanted:.1f} is needed); "
            "delete them, and raise --strength or leave this shot out"
        )
    return result


def check_shot(
    source: Source,
    key: Key,
    number: int,
    *,
    first: int | None = None,
    last: int | None = None,
    gaps: bool = False,
    profile: Profile = DEFAULT,
    max_pixels: int = MAX_PIXELS,
) -> MarkedShot:
    """Read a marked shot and return how strongly one known mark shows at its own place."""
    tally = Tally(key, number, profile)
    for frame in _frames(source, first, last, gaps=gaps):
        look = tally.look(viewer_luma(read(frame.path, max_pixels=max_pixels)))
        tally.add(frame.number, look)
    return _result(tally, tally.frames)


def _result(tally: Tally, skipped: int) -> MarkedShot:
    z, frame = tally.weakest
    return MarkedShot(tally.frames, tally.z, z, frame, tally.frames - skipped, skipped)


def _there(path: AnyPath, max_pixels: int) -> SequenceFrame | None:
    """Return the frame that stands at `path`, if one does and it can be read."""
    try:
        return read(path, max_pixels=max_pixels)
    except MediaError:
        return None


def _alike(there: SequenceFrame, written: SequenceFrame, delta: Luma) -> bool:
    """Tell whether two marked frames are one, but for what the mask had seen before them."""
    if (there.shape, there.aspect) != (written.shape, written.aspect):
        return False
    apart = np.square(there.seen() - written.seen()).mean()
    return bool(apart <= _ALIKE**2 * np.square(delta).mean())


def _frames(
    source: Source, first: int | None, last: int | None, *, gaps: bool
) -> Sequence[Numbered]:
    if isinstance(source, str | os.PathLike | Pattern):
        return find(source, first=first, last=last, gaps=gaps)
    if not source or first is not None or last is not None:
        raise ValueError("files are at least one, and a range goes with a pattern")
    return source


def _check_outputs(
    frames: Sequence[Numbered], outputs: Sequence[os.PathLike[str]], target: Pattern, *, free: bool
) -> None:
    """Refuse outputs that are inputs, of another format, or there already."""
    name = shown(str(target))
    inputs = {os.path.realpath(frame.path) for frame in frames}
    if len({*outputs}) < len(outputs):
        raise ValueError("two frames have one number")
    for frame, output in zip(frames, outputs, strict=True):
        check_output(frame.path, output)
        if os.path.realpath(output) in inputs:
            raise OutputError(f"{name}: the output is the input; name another output with -o")
    if free:
        return
    there = sum(os.path.lexists(each) for each in outputs)
    if there:
        raise OutputError(
            f"{name}: {there} of these {len(outputs)} outputs exist; go on with --resume, "
            "replace them with --force or name another output"
        )
