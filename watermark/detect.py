"""From pictures to a verdict: observe without a key, align and fold with it, decide."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import described, fold, same_as, whole_frame
from watermark.blind import aligned
from watermark.borders import inside_borders
from watermark.coding import codeword
from watermark.decide import Hypothesis, decide, needed_z, soft_word
from watermark.detection import Detection
from watermark.embed import embed
from watermark.evidence import Observation
from watermark.frame import Luma, Pixels, luma
from watermark.homography import Matrix, affine, scaling
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.residual import canonical_scale, to_canonical, whiten

__all__ = [
    "Search",
    "concluded",
    "detect",
    "enough_short",
    "hypotheses",
    "observe",
    "observe_luma",
    "observe_scales",
    "read_back",
    "reduced",
    "searched",
    "showable_z",
]

Search = Literal["fast", "full"]

_WORTHWHILE = 0.62  # of a larger scale's short side that a picture must have, to gain from it
_LARGEST_HELP = 512  # pixels: beyond it, more of them add nothing to a mark on a canonical grid
_FINEST = 4  # times the canonical grid: the largest scale that is searched
_SAFETY = 2.0  # z: a mark that would come out this much over the threshold would hardly be missed


def observe_luma(
    plane: Luma, *, profile: Profile = DEFAULT, factor: float = 1.0, coded: bool = False
) -> Observation:
    """Observe one luma plane.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values 0–255.
    profile : Profile
    factor : float
        How many times as large as the canonical grid the canvas is.
    coded : bool
        Whether it is a frame of a film, see `watermark.residual.whiten`.

    Returns
    -------
    Observation
        Of one frame.
    """
    name = str(profile)
    profile = replace(profile, short=round(profile.short * factor))
    scale = canonical_scale(plane.shape, profile)
    canvas = whiten(
        to_canonical(plane, profile), profile, grown=scale, finer=factor > 1, coded=coded
    )
    extent = (plane.shape[0] * scale, plane.shape[1] * scale)
    ones = np.broadcast_to(np.float32(1), canvas.shape)  # takes no room
    return Observation(canvas, ones, extent, 1, name)


def observe(frames: Iterable[Pixels], *, profile: Profile = DEFAULT) -> Observation:
    """Observe pictures of one shape and add them up.

    Parameters
    ----------
    frames : iterable of ndarray, shape (H, W) or (H, W, 3), uint8 or uint16
        At least one, all of one canonical size, as shown.
    profile : Profile

    Raises
    ------
    EvidenceError
        If the frames' sizes differ.
    ValueError
        If there is no frame.
    """
    total: Observation | None = None
    for pixels in frames:
        seen = observe_luma(luma(pixels), profile=profile)
        total = seen if total is None else total + seen
    if total is None:
        raise ValueError("there is no frame to observe")
    return total


def observe_scales(plane: Luma, *, profile: Profile = DEFAULT) -> Iterator[Observation]:
    """Observe one luma plane an octave apart, as far as its resolution carries, one at a time.

    Yields
    ------
    Observation
        First that of `observe_luma`, then the smaller ones, then the larger.
    """
    short = min(plane.shape)
    for factor in (1, 2, 4):
        yield observe_luma(plane, profile=profile, factor=1 / factor)
    for factor in (_FINEST // 2, _FINEST):
        if short > _WORTHWHILE * factor * profile.short:
            yield observe_luma(plane, profile=profile, factor=factor)


def reduced(pixels: Pixels, *, profile: Profile = DEFAULT) -> tuple[Pixels, int]:
    """Average a very large picture over squares of whole pixels, finer than which none is searched.

    Returns
    -------
    pixels : ndarray
        The picture itself where it is no larger than that.
    finer : int
        Side of the squares, pixels.
    """
    finer = max(1, min(pixels.shape[:2]) // (_FINEST * profile.short))
    if finer == 1:
        return pixels, 1
    height, width = (side // finer for side in pixels.shape[:2])
    inner = pixels[: height * finer, : width * finer]
    return np.asarray(cv2.resize(inner, (width, height), interpolation=cv2.INTER_AREA)), finer


def hypotheses(
    observation: Observation, keys: Sequence[Key], *, profile: Profile = DEFAULT
) -> list[Hypothesis]:
    """Fold an observation along the alignments that need no search, under every key."""
    return [
        Hypothesis(fold(observation, alignment, key, profile), alignment, key, profile, plain=True)
        for key in keys
        for alignment in whole_frame(observation)
    ]


def searched(
    plane: Luma,
    keys: Sequence[Key],
    *,
    search: Search = "full",
    profile: Profile = DEFAULT,
    finer: int = 1,
    keep: Callable[[Observation], None] | None = None,
) -> list[Hypothesis]:
    """Fold a picture along every alignment that a search comes up with, under every key.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values 0–255.
    keys : sequence of Key
    search : str
        ``fast``: the whole frame, as it is and mirrored, also with borders of one tone taken off.
        ``full``: besides, wherever the pilot shows.
    profile : Profile
    finer : int
        Pixels of the picture, along a side, that were averaged to one of the plane.
    keep : callable, optional
        Is given what was observed on the canonical grid, before any key is used.

    Returns
    -------
    list of Hypothesis
        Their alignments are in the picture's own pixels.
    """
    own = scaling(1 / finer)
    size = (plane.shape[1] * finer, plane.shape[0] * finer)
    whole = scaling(canonical_scale(plane.shape, profile)) @ own
    scales = observe_scales(plane, profile=profile)
    base = next(scales)
    if keep is not None:
        keep(base)
    found = _in_pixels(hypotheses(base, keys, profile=profile), whole, size)
    box = inside_borders(plane)
    if box is not None:
        top, left, height, width = box
        inner = np.ascontiguousarray(plane[top : top + height, left : left + width])
        to_canvas = scaling(canonical_scale(inner.shape, profile))
        to_canvas = to_canvas @ affine(np.eye(2), np.array([left, top]), (0, 0))
        tried = hypotheses(observe_luma(inner, profile=profile), keys, profile=profile)
        found += _in_pixels(tried, to_canvas @ own, size, inside="inside borders")
    if search == "full":
        plain = whole_frame(base)
        for key, seen in zip(keys, aligned(chain([base], scales), keys, profile), strict=True):
            for alignment, evidence in seen:
                known = same_as(alignment, plain, profile.tile)
                tried = [Hypothesis(evidence, alignment, key, profile)]
                (each,) = _in_pixels(tried, whole, size)
                name = known.name if known else described(each.alignment)
                found.append(replace(each, alignment=replace(each.alignment, name=name)))
    return found


def _in_pixels(
    tried: Sequence[Hypothesis], to_canvas: Matrix, size: tuple[int, int], *, inside: str = ""
) -> list[Hypothesis]:
    """Return hypotheses with alignments of the picture's pixels rather than a canvas."""
    result = []
    for each in tried:
        alignment = each.alignment.seen_from(to_canvas, size)
        name = f"{alignment.name}, {inside}" if inside else alignment.name
        result.append(replace(each, alignment=replace(alignment, name=name)))
    return result


def detect(
    pixels: Pixels,
    keys: Sequence[Key],
    codebook: Codebook | None = None,
    *,
    work_index: NDArray[np.integer] | None = None,
    search: Search = "full",
    profile: Profile = DEFAULT,
    finer: int = 1,
    keep: Callable[[Observation], None] | None = None,
) -> Detection:
    """Say whether a picture carries a mark of one of the keys, which, and how sure that is.

    Parameters
    ----------
    pixels : ndarray of shape (H, W) or (H, W, 3), uint8 or uint16
        The picture as it is shown.
    keys : sequence of Key
        At least one; each is paid for in the p-value.
    codebook : Codebook, optional
        The registered marks; without one the decoded number is returned.
    work_index : ndarray of int, shape (M,), optional
        Equal for marks of one work.
    search : str
        How far to look for the mark: ``fast`` or ``full``, see `searched`.
    profile : Profile
    finer : int
        Side of the squares over which `pixels` were averaged already, see `reduced`.
    keep : callable, optional
        Is given what was observed, see `searched`.

    Returns
    -------
    Detection
    """
    pixels, more = reduced(pixels, profile=profile)
    finer *= more
    # A large picture's plane is not kept while it is tried what the picture could have shown.
    tried = searched(luma(pixels), keys, search=search, profile=profile, finer=finer, keep=keep)
    detection = decide(tried, codebook, work_index=work_index)
    return concluded(detection, pixels, finer=finer, profile=profile)


def concluded(
    detection: Detection, pixels: Pixels, *, finer: int = 1, profile: Profile = DEFAULT
) -> Detection:
    """Return what was decided, as ``inconclusive`` where the picture could not have shown a mark.

    `pixels` and `finer` are what `reduced` gave.
    """
    if detection.verdict == "not-found":
        needed = needed_z(detection.log_trials) + _SAFETY
        shown = showable_z(pixels, profile=profile)
        if shown < needed:
            size = enough_short(min(pixels.shape[:2]) * finer, shown, needed)
            return replace(detection, verdict="inconclusive", enough_short=size)
    return detection


def enough_short(short: int, shown: float, needed: float) -> int | None:
    """Return the short side at which a picture like this would have shown a mark, roughly.

    The z of a mark grows about in proportion to the side of the picture that it is seen in
    (`python -m bench stills` has the figures); None where nothing of it is seen, or where
    the content and not the size is what is in the way.
    """
    if shown <= 1:
        return None
    size = int(np.ceil(short * needed / shown / 8)) * 8
    return size if size <= _LARGEST_HELP else None


def read_back(pixels: Pixels, key: Key, number: int, *, profile: Profile = DEFAULT) -> float:
    """Return the z of one known mark at its own place, the whole frame."""
    observation = observe((pixels,), profile=profile)
    upright, _ = whole_frame(observation)
    evidence = fold(observation, upright, key, profile)
    return float(soft_word(evidence, key, profile) @ codeword(number))


def showable_z(pixels: Pixels, *, profile: Profile = DEFAULT) -> float:
    """Return the z that a fresh mark would have in this picture: what it could show at best.

    The mark's key is drawn from the picture, so that the same picture gets the same answer.
    """
    digest = hashlib.sha256(b"sukashi probe")
    digest.update(np.ascontiguousarray(pixels).data)
    probe = Key(digest.digest())
    number = int.from_bytes(digest.digest()[:6], "big")
    return read_back(embed(pixels, probe, number, profile=profile), probe, number, profile=profile)
