"""What many marked frames of one work give away: averages, taken away again or put elsewhere.

After "Can Simple Averaging Defeat Modern Watermarks?" (arXiv:2406.09026; NeurIPS 2024;
``benchmark.py`` of https://github.com/showlab/watermark-steganalysis).  Of N marked frames with
different hosts and one mark, an estimate is made in one of these ways:

``mean``
    Their mean less that of as many unmarked pictures of others: the published black box.
``pairs``
    Their mean less that of their own originals: the published grey box, for whoever has these.
``residual``
    The mean of what a denoiser takes out of each, for whoever has nothing else.
``folded``
    The same, averaged also over the places at which the mark repeats: for whoever has read how.

The estimate is subtracted from a marked frame that was not among them (*removal*) or added to an
unmarked one (*forgery*).  The source does so with a factor of 1 (*as it is*).  An attacker may
choose: here also what takes the estimate out of the frame's residual altogether (*matched*), and
strengths that are seen more or less (*rms*, code values).  Shaping it by the activity of the
picture that it is put into, as in the copy attack (Kutter, Voloshynovskiy, Herrigel 2000, Proc.
SPIE 3971), was tried and helped neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import Picture
from bench.published.torchvision import rounded

__all__ = [
    "COUNTS",
    "FORGERY_GAINS",
    "GAINS",
    "METHODS",
    "REMOVAL_GAINS",
    "Sums",
    "forged",
    "host",
    "hosts",
    "removed",
    "residual",
]

Field = NDArray[np.float32]

COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)
METHODS = ("mean", "pairs", "residual", "folded")
GAINS = ("as it is", "matched", "rms 0.7", "rms 1", "rms 1.4", "rms 2", "rms 4")
REMOVAL_GAINS = GAINS
FORGERY_GAINS = tuple(gain for gain in GAINS if gain != "matched")  # there is nothing to match

_SMALLEST = 0.6  # of the largest part of a picture of the wanted proportions
_CLIP = 8.0  # code values: what is larger in a residual is an edge, not a mark
_PROBE = 2.0  # code values: how strong the estimate is made to see what a residual keeps of it


def host(pixels: Picture, shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Return a part of a picture, from anywhere, as a frame of (height, width)."""
    height, width = shape
    fit = min(pixels.shape[0] / height, pixels.shape[1] / width) * rng.uniform(_SMALLEST, 1.0)
    rows, columns = max(1, int(fit * height)), max(1, int(fit * width))
    top = int(rng.integers(pixels.shape[0] - rows + 1))
    left = int(rng.integers(pixels.shape[1] - columns + 1))
    part = pixels[top : top + rows, left : left + columns]
    method = cv2.INTER_AREA if fit > 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, (width, height), interpolation=method), np.uint8)


def hosts(
    pictures: Sequence[Picture], shape: tuple[int, int], count: int, rng: np.random.Generator
) -> Iterator[Picture]:
    """Yield `count` frames of one size from pictures of any: all of these in turn, by chance."""
    order = rng.permutation(len(pictures))
    for at in range(count):
        yield host(pictures[order[at % len(order)]], shape, rng)


def residual(pixels: Picture) -> Field:
    """Return what a bilateral filter takes out of a frame, clipped, in code values."""
    wide = pixels.astype(np.float32)
    smooth = cv2.bilateralFilter(wide, 5, 12.0, 2.0)
    return np.asarray(np.clip(wide - smooth, -_CLIP, _CLIP), np.float32)


def _folded(field: Field, period: int) -> Field:
    """Return the mean over all places at which a pattern of a period (pixels) repeats."""
    height, width, channels = field.shape
    down, across = -(-height // period), -(-width // period)
    padding = ((0, down * period - height), (0, across * period - width))

    def sums(values: Field) -> Field:
        padded = np.pad(values, (*padding, (0, 0)))
        tiles = padded.reshape(down, period, across, period, values.shape[2])
        return np.asarray(tiles.sum(axis=(0, 2)), np.float32)

    tile = sums(field) / sums(np.ones((height, width, 1), np.float32))
    return np.tile(tile, (down, across, 1))[:height, :width, :channels]


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums over marked frames, from which all estimates are derived.

    Parameters
    ----------
    frames : int
        How many.
    marked, others, originals, residuals : ndarray of shape (H, W, 3)
        Sums of marked frames, of unmarked ones of others, of the marked ones' own originals, and of
        the marked ones' residuals, in code values.
    """

    frames: int
    marked: NDArray[np.float64]
    others: NDArray[np.float64]
    originals: NDArray[np.float64]
    residuals: NDArray[np.float64]

    @classmethod
    def of(cls, marked: Picture, other: Picture, original: Picture) -> Sums:
        """Return the sums over one frame."""
        fields = (marked, other, original, residual(marked))
        return cls(1, *(each.astype(np.float64) for each in fields))

    def __add__(self, more: Sums) -> Sums:
        return Sums(
            self.frames + more.frames,
            self.marked + more.marked,
            self.others + more.others,
            self.originals + more.originals,
            self.residuals + more.residuals,
        )

    @classmethod
    def growing(cls, each: Iterable[Sums], counts: Sequence[int]) -> Iterator[Sums]:
        """Yield the sums over the first of them, for each of some counts."""
        total: Sums | None = None
        for one in each:
            total = one if total is None else total + one
            if total.frames in counts:
                yield total

    def estimate(self, method: str, *, period: int | None = None) -> Field:
        """Return what one of `METHODS` takes for the mark.

        Parameters
        ----------
        method : str
        period : int, optional
            Pixels after which the mark repeats, down and across; wanted for ``folded``.

        Raises
        ------
        ValueError
            If there is no such method, or a period is wanted.
        """
        if method == "mean":
            total = self.marked - self.others
        elif method == "pairs":
            total = self.marked - self.originals
        elif method in {"residual", "folded"}:
            total = self.residuals
        else:
            raise ValueError(f"{method} is none of {', '.join(METHODS)}")
        mean = np.asarray(total / self.frames, np.float32)
        # One level for the whole frame is no pattern, and would only make it darker or lighter.
        mean -= mean.mean(axis=(0, 1))
        if method != "folded":
            return mean
        if period is None:
            raise ValueError("folding takes the period after which the mark repeats")
        return _folded(mean, period)


def _rms(field: Field) -> float:
    return float(np.sqrt(np.mean(np.square(field), dtype=np.float64)))


def _strengthened(pixels: Picture, estimate: Field, gain: str) -> Field:
    """Return the estimate as strong as one of `GAINS` says, for a frame; zeros stay zeros.

    Raises
    ------
    ValueError
        If there is no such gain.
    """
    if gain not in GAINS:
        raise ValueError(f"{gain} is none of {', '.join(GAINS)}")
    power = _rms(estimate)
    if gain == "as it is" or power == 0:
        return estimate
    if gain == "matched":
        # As much as is in the residual, over as much as a residual keeps of the estimate itself.
        kept = residual(rounded(128 + estimate * (_PROBE / power))) * (power / _PROBE)
        share = np.vdot(residual(pixels), estimate) / np.vdot(kept, estimate)
        return estimate * np.float32(max(share, 0.0))
    return estimate * np.float32(float(gain.removeprefix("rms ")) / power)


def removed(pixels: Picture, estimate: Field, gain: str) -> Picture:
    """Return a marked frame less an estimate of the mark, as strong as one of `GAINS` says."""
    return rounded(pixels - _strengthened(pixels, estimate, gain))


def forged(pixels: Picture, estimate: Field, gain: str) -> Picture:
    """Return an unmarked frame with an estimate of a mark, as strong as one of `GAINS` says."""
    return rounded(pixels + _strengthened(pixels, estimate, gain))
