"""Identifying files: a verdict, and what the registry says about the marks that were found.

A `Catalogue` is what is loaded once from a registry; an `Identification` is what is told about one
file.  Logs are to base 10 here, since this is what people and scripts read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watermark.detect import Search, detect, reduced
from watermark.detection import Detection, Found, Verdict
from watermark.evidence import Observation
from watermark.files import AnyPath
from watermark.frame import Pixels
from watermark.identify import Codebook
from watermark.key import Key
from watermark.picture import SMALLEST_READ
from watermark.profile import DEFAULT, Profile
from watermark.registry import Registry
from watermark.stills import MAX_PIXELS, check_size, read
from watermark.work import Mark, Work

__all__ = [
    "Catalogue",
    "FoundMark",
    "Identification",
    "Rival",
    "found_mark",
    "identify_pixels",
    "identify_still",
    "joined",
    "looked_up",
]


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """The registered marks, loaded once and asked for every file.

    Parameters
    ----------
    registry : Registry
        Open for as long as the catalogue is used.
    codebook : Codebook of M marks
    work_index : ndarray of int, shape (M,)
        Equal for marks of one work.
    """

    registry: Registry
    codebook: Codebook
    work_index: NDArray[np.int64]

    @classmethod
    def load(cls, registry: Registry) -> Catalogue:
        """Read all marks of a registry."""
        numbers, works = registry.mark_works()
        return cls(registry, Codebook(numbers), works)


@dataclass(frozen=True, slots=True)
class Rival:
    """A registered mark that scores high, and whether or not it is the one."""

    work: Work
    mark: Mark
    z: float


@dataclass(frozen=True, slots=True)
class FoundMark:
    """One mark that was found.

    Parameters
    ----------
    number : int
        Mark number; decoded, where no registered mark was found.
    work, mark : Work, Mark or None
        None where the number is not registered, or the chance of naming the wrong work is over
        1e-3.
    registered : bool
        Whether the number is in the registry.
    log10_p : float
        Of the presence p-value, at most 0.
    log10_p_wrong_work : float or None
        Of the probability that the work is another one; None where no work is in question.
    z : float
        Score in standard deviations of the null.
    model_based : bool
        True for further works in one picture, whose p-value rests on a model.
    fingerprint, profile : str
        Of the key and the profile under which it was found.
    alignment : str
        How the picture lies to the frame that was marked: ``whole frame``, ``mirrored``, or words.
    matrix : tuple of three tuples of three floats
        The same as a projective map from the picture's pixels to the mark's grid.
    outline : tuple of tuples of two floats
        Corners (x, y) of the part of the picture that shows the mark.
    """

    number: int
    work: Work | None
    mark: Mark | None
    registered: bool
    log10_p: float
    log10_p_wrong_work: float | None
    z: float
    model_based: bool
    fingerprint: str
    profile: str
    alignment: str
    matrix: tuple[tuple[float, float, float], ...]
    outline: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Identification:
    """What is told about one picture.

    Parameters
    ----------
    verdict : str
        ``detected``, ``indicated``, ``not-found`` or ``inconclusive``.
    log10_p, z : float
        Of the strongest mark, whatever the verdict.
    found : tuple of FoundMark
        Strongest first; empty unless the verdict is ``detected`` or ``indicated``.
    candidates : tuple of Rival
        Those among which no work could be named, best first; empty if one was.
    runner_up : Rival or None
        The best mark of any work that was not named, where one was.
    size : tuple of int
        Width and height of the picture as it is shown, in pixels.
    enough_short : int or None
        Where it is ``inconclusive`` because of its size: the short side at which a picture like
        this would have shown a mark.
    """

    verdict: Verdict
    log10_p: float
    z: float
    found: tuple[FoundMark, ...]
    candidates: tuple[Rival, ...]
    runner_up: Rival | None
    size: tuple[int, int]
    enough_short: int | None


def identify_still(
    path: AnyPath,
    keys: Sequence[Key],
    catalogue: Catalogue | None = None,
    *,
    search: Search = "full",
    profile: Profile = DEFAULT,
    max_pixels: int = MAX_PIXELS,
) -> Identification:
    """Identify a picture file; see `identify_pixels`.

    Raises
    ------
    MediaError
        If it cannot be read, or is too small or too long a strip to be looked at.
    RegistryError
        If the registry cannot be asked.
    """
    still = read(path, max_pixels=max_pixels)
    check_size(still.pixels.shape, name=path, smallest=SMALLEST_READ)
    pixels, finer = reduced(still.shown(), profile=profile)
    del still  # a very large one is not needed any more, and the search needs the room
    return identify_pixels(pixels, keys, catalogue, search=search, profile=profile, finer=finer)


def identify_pixels(
    pixels: Pixels,
    keys: Sequence[Key],
    catalogue: Catalogue | None = None,
    *,
    search: Search = "full",
    profile: Profile = DEFAULT,
    finer: int = 1,
    keep: Callable[[Observation], None] | None = None,
) -> Identification:
    """Say what mark a picture carries and whose it is.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        The picture as it is shown.
    keys : sequence of Key
        At least one.
    catalogue : Catalogue, optional
        Without one the number is decoded and no work is named.
    search : str
        How far to look for marks, ``fast`` or ``full``: see `watermark.detect.searched`.
    profile : Profile
    finer : int
        Side of the squares over which `pixels` were averaged already: what is told is in pixels of
        the picture before that.
    keep : callable, optional
        Is given what was observed, without a key, so that it can be decided on again
        (`watermark.compact`, `watermark.rechecking`).

    Returns
    -------
    Identification
    """
    size = (pixels.shape[1] * finer, pixels.shape[0] * finer)
    detection = detect(
        pixels,
        keys,
        catalogue.codebook if catalogue else None,
        work_index=catalogue.work_index if catalogue else None,
        search=search,
        profile=profile,
        finer=finer,
        keep=keep,
    )
    return looked_up(detection, catalogue, size)


def looked_up(
    detection: Detection, catalogue: Catalogue | None, size: tuple[int, int]
) -> Identification:
    """Return what was decided, and what the registry, where there is one, knows of it."""
    # Nothing is asked about a picture in which nothing was found.
    if catalogue is None or not detection.found:
        return joined(detection, {}, size)
    numbers = {each.number for each in detection.found}
    numbers |= {each.number for each in detection.candidates}
    return joined(detection, catalogue.registry.lookup(sorted(numbers)), size)


def joined(
    detection: Detection, known: dict[int, tuple[Work, Mark]], size: tuple[int, int]
) -> Identification:
    """Return what was decided, with what the registry knows of it.

    Parameters
    ----------
    detection : Detection
    known : dict
        Work and mark of each registered number.
    size : (int, int)
        Width and height of the picture, pixels.
    """
    found = tuple(found_mark(each, known) for each in detection.found)
    rivals = tuple(
        Rival(*known[each.number], each.z) for each in detection.candidates if each.number in known
    )
    first = found[0] if found else None
    unnamed = first is not None and first.registered and first.work is None
    told = {each.work.id for each in found if each.work is not None}
    others = (each for each in rivals if told and each.work.id not in told)
    return Identification(
        verdict=detection.verdict,
        log10_p=_log10(detection.best.log_p),
        z=detection.best.z,
        found=found,
        candidates=rivals if unnamed else (),
        runner_up=next(others, None),
        size=size,
        enough_short=detection.enough_short,
    )


def found_mark(each: Found, known: dict[int, tuple[Work, Mark]]) -> FoundMark:
    """Return what is told of one mark; its work is named only if that is sure."""
    work, mark = known.get(each.number, (None, None)) if each.named else (None, None)
    wrong = each.log_p_wrong_work
    return FoundMark(
        number=each.number,
        work=work,
        mark=mark,
        registered=each.registered,
        log10_p=_log10(each.log_p),
        log10_p_wrong_work=_log10(wrong) if math.isfinite(wrong) else None,
        z=each.z,
        model_based=each.model_based,
        fingerprint=each.fingerprint,
        profile=each.profile,
        alignment=each.alignment.name,
        matrix=each.alignment.matrix,
        outline=each.alignment.outline,
    )


def _log10(natural: float) -> float:
    return natural / math.log(10.0) + 0.0  # −0.0 would be printed with its sign
