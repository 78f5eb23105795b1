"""Fit what the marker of films expects VMAF to say (`watermark.detail_loss`) to what it says.

Each picture stands for a film that does not move, and with pans over it for films that do.  It is
marked with flats as weak as in films, with three strengths; then

    log(97.43 − VMAF) = log c + p · log(short / 720) + log(Σ s²a / Σ s³) + 0.45 · log(rms a)

is solved for c and p, with a the mark's amplitude and s the contrast around each place.  What is
printed is both, how far a picture is from the fit, and by how much VMAF rises for each code value
by which the means of blocks of 8 canonical pixels change from one frame to the next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from bench import vmaf
from bench.corpus import Picture, load
from bench.fitting import fitted
from bench.stills import bench_key
from bench.video_media import SDR
from watermark import detail_loss
from watermark.embed import delta
from watermark.frame import luma
from watermark.mask import REFERENCE_SHORT, activity, aim, amplitude
from watermark.profile import DEFAULT
from watermark.residual import to_canonical

__all__ = ["Measured", "fit", "main", "measure"]

_SHORTS = (480, 720, 1080)  # pixels; each picture is brought to one of them, never enlarged
_STRENGTHS = (0.7, 1.0, 1.4)
_PACES = (0.3, 0.7, 1.5, 3.0)  # pixels a frame
_STILL = detail_loss.affordable(0.0, 0.0)  # VMAF of a film that does not move
_BLOCK = 8  # canonical pixels
_FLAT = replace(DEFAULT, flat=0.3, floor=0.3)


class Measured(NamedTuple):
    """One picture: its short side, (expected, measured) losses, (change, VMAF gained) of pans."""

    name: str
    short: int
    losses: list[tuple[float, float]]
    pans: list[tuple[float, float]]


def measure(picture: Picture) -> Measured | None:
    """Mark a picture as a film's frame and ask VMAF; None where it is too long and narrow."""
    whole = luma(load(picture))
    wanted = _SHORTS[int(picture.sha256[:8], 16) % len(_SHORTS)]
    if min(whole.shape) < wanted:
        wanted = _SHORTS[0]
    share = wanted / min(whole.shape)
    small = cv2.resize(whole, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    small = small[: small.shape[0] // 2 * 2, : small.shape[1] // 2 * 2]
    if max(small.shape) > 3 * min(small.shape):
        return None
    plane = np.rint(small * SDR.gain + SDR.black).astype(np.uint8)
    light, short = SDR.to_luma(plane), min(plane.shape)
    seen = activity(to_canonical(light, DEFAULT))
    target = aim(seen, short, _FLAT)
    strongest, _ = amplitude(seen, short, target, _FLAT)
    added = SDR.gain * delta(light, bench_key(1), int(picture.sha256[:12], 16), profile=_FLAT)
    losses, pans = [], []
    for strength in _STRENGTHS:
        steps = np.rint(strength * added).astype(np.int16)
        expected = detail_loss.detail_loss(np.float32(strength) * strongest, seen, short)
        still = _vmaf([plane] * 2, steps)
        losses.append((expected, _STILL - still))
        if strength == 1:
            for pace in _PACES:
                frames = [_moved(plane, pace * count) for count in range(3)]
                pans.append((_change(frames[:2]), _vmaf(frames, steps) - still))
    return Measured(picture.name, short, losses, pans)


def _vmaf(frames: list[NDArray[np.uint8]], steps: NDArray[np.int16]) -> float:
    """Return the VMAF of the second frame."""
    grey = np.full((frames[0].shape[0] // 2, frames[0].shape[1] // 2), 128, np.uint8)
    marked = [np.clip(frame + steps, 0, 255).astype(np.uint8) for frame in frames]
    plain, after = ([(frame, grey, grey) for frame in film] for film in (frames, marked))
    return vmaf.vmaf(plain, after)[1]


def _moved(plane: NDArray[np.uint8], pixels: float) -> NDArray[np.uint8]:
    shift = np.array([[1, 0, pixels], [0, 1, 0]], np.float32)
    size = plane.shape[::-1]
    moved = cv2.warpAffine(plane, shift, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _change(frames: list[NDArray[np.uint8]]) -> float:
    """Return the mean change of blocks' means, code values of full range."""
    means = []
    for frame in frames:
        canvas = to_canonical(SDR.to_luma(frame), DEFAULT)
        size = canvas.shape[1] // _BLOCK, canvas.shape[0] // _BLOCK
        means.append(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA))
    return float(np.abs(means[1] - means[0]).mean())


def fit(measured: list[Measured]) -> dict[str, Any]:
    """Return the constants by least squares, and how well they tell the loss."""
    told = [
        (np.log(each.short / REFERENCE_SHORT), np.log(loss / expected))
        for each in measured
        for expected, loss in each.losses
        if loss > 0 and expected > 0
    ]
    sizes, wrong = np.array(told).T
    slope, constant = np.polyfit(sizes, wrong, 1)
    rest = wrong - slope * sizes - constant
    changes, gains = np.array([pan for each in measured for pan in each.pans]).T
    slow = changes < 2  # faster ones are at VMAF's end
    return {
        "pictures": len(measured),
        "marks": len(told),
        "loss_times": round(float(np.exp(constant)), 3),
        "size_power_plus": round(float(slope), 3),
        "deviation": round(float(np.std(rest)), 3),
        "motion": round(float(np.sum(changes[slow] * gains[slow]) / np.sum(changes[slow] ** 2)), 3),
        "motion_pans": int(slow.sum()),
    }


def main() -> None:
    """Measure and fit: ``python -m bench detail-loss FOLDER``."""
    fitted(__doc__, measure, fit, vmaf.why_not())
