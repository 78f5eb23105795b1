"""From pictures to a verdict: observe without a key, align and fold with it, decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from watermark.align import fold, whole_frame
from watermark.coding import codeword
from watermark.decide import Hypothesis, decide, needed_z, soft_word
from watermark.detection import Detection
from watermark.embed import embed
from watermark.evidence import Observation
from watermark.frame import Luma, Pixels, luma
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.residual import canonical_scale, to_canonical, whiten

__all__ = ["detect", "hypotheses", "observe", "observe_luma", "read_back", "showable_z"]

_SAFETY = 2.0  # z: a mark that would come out this much over the threshold would hardly be missed


def observe_luma(plane: Luma, *, profile: Profile = DEFAULT) -> Observation:
    """Observe one luma plane.

    Parameters
    ----------
    plane : ndarray of float32, shape (H, W)
        Luma in code values 0–255.
    profile : Profile

    Returns
    -------
    Observation
        Of one frame.
    """
    scale = canonical_scale(plane.shape, profile)
    canvas = whiten(to_canonical(plane, profile), profile)
    extent = (plane.shape[0] * scale, plane.shape[1] * scale)
    return Observation(canvas, np.ones_like(canvas), extent, 1, str(profile))


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


def hypotheses(
    observation: Observation, keys: Sequence[Key], *, profile: Profile = DEFAULT
) -> list[Hypothesis]:
    """Fold an observation along every alignment under every key."""
    return [
        Hypothesis(fold(observation, alignment, key, profile), alignment, key, profile)
        for key in keys
        for alignment in whole_frame(observation)
    ]


def detect(
    pixels: Pixels,
    keys: Sequence[Key],
    codebook: Codebook | None = None,
    *,
    work_index: NDArray[np.integer] | None = None,
    profile: Profile = DEFAULT,
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
    profile : Profile

    Returns
    -------
    Detection
    """
    observation = observe((pixels,), profile=profile)
    tried = hypotheses(observation, keys, profile=profile)
    detection = decide(tried, codebook, work_index=work_index)
    if detection.verdict == "not-found":
        needed = needed_z(detection.log_trials) + _SAFETY
        if showable_z(pixels, profile=profile) < needed:
            return replace(detection, verdict="inconclusive")
    return detection


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
    digest = hashlib.sha256(b"sukashi probe" + np.ascontiguousarray(pixels).tobytes())
    probe = Key(digest.digest())
    number = int.from_bytes(digest.digest()[:6], "big")
    return read_back(embed(pixels, probe, number, profile=profile), probe, number, profile=profile)
