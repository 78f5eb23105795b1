"""How far each place of a frame may move unseen: a just-noticeable-difference mask.

Activity is measured with a sliding 8 × 8 DCT on the canonical grid: the energy of all coefficients
but the mean and the two first harmonics, so that shading does not count as texture
(contrast masking after Watson 1993, "DCTune", and Legge & Foley 1980, DOI 10.1364/JOSA.70.001458).
Two things are made of it, every `STEP` pixels:

- the *shape* of the mask follows the least activity around a place, so that nothing bleeds from an
  ink line into the flat beside it, where one would see it as a halo;
- the *threshold* J, a regression on what ColorVideoVDP (arXiv 2401.11485) says of marked pictures,
  says how visible an amplitude is: it falls with the size of the frame, since the same canonical
  pattern is then shown at lower spatial frequencies.

The shape is scaled until the visibility that J predicts for the frame, √mean((a/J)^4.5), reaches
the profile's target, which leans towards flat pictures.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.frame import Luma
from watermark.profile import Profile
from watermark.residual import blur

__all__ = [
    "BESIDE",
    "REFERENCE_SHORT",
    "ROUNDS",
    "STEP",
    "Activity",
    "activity",
    "aim",
    "amplitude",
    "from_pure",
    "mask",
    "threshold",
    "visibility",
]

_SIDE = 8  # pixels of the DCT's window
STEP = 4  # pixels between two windows
BESIDE = np.ones((5, 5), np.uint8)  # pixels
_NEAR = np.ones((3, 3), np.uint8)  # windows among which the least activity is taken
_SOFT = 0.75  # windows: blur of the least activity, so that the mask has no steps
REFERENCE_SHORT = 720  # pixels: short side of most frames that J was measured on
_SMALLEST_SHORT = 360  # pixels
_LARGEST_SHORT = 1200  # pixels: beyond it, the pattern is past the peak of contrast sensitivity

# log J = weights · features; bench/visibility.py fits them.  The features are, in this order:
# log(texture + 0.5), log(structure + 0.5), log(short / 720), log(mean + 10), its square,
# exp(−texture / _BLANK), which tells drawn flats from smooth photographs, and 1.
_J_WEIGHTS = (0.351, 0.122, -0.894, -1.797, 0.196, 0.416, 4.489)
_BLANK = 0.1  # code values
_J_EXPONENT = 2.26  # of ColorVideoVDP's masking model; it pools squares over space

_QUIET = 0.5  # code values of least activity, under which a place counts as flat
ROUNDS = 6  # of scaling; three are enough unless most of a frame sits at its limit
_STRONGEST = 4.0  # times the shape
# Code values over which the mark fades out towards pure black and pure white, which stay pure.
_TO_BLACK, _TO_WHITE = 8.0, 4.0

_FIRST = np.cos(np.pi * (np.arange(_SIDE) + 0.5) / _SIDE) * np.sqrt(2) / _SIDE
# What a block of 4 samples gives to the mean, and to the first harmonic of a window of 8 whose
# first or second half it is.
_WEIGHTS = np.stack([np.ones(STEP), _FIRST[:STEP], _FIRST[STEP:]], axis=1).astype(np.float32)


class Activity(NamedTuple):
    """Local activity of a canonical luma canvas, on a grid of every fourth pixel.

    Parameters
    ----------
    least : ndarray of float32, shape (h/4, w/4)
        The least root mean square of DCT coefficients around a place, code values.
    texture : ndarray of float32, shape (h/4, w/4)
        The same without taking the least.
    structure : ndarray of float32, shape (h/4, w/4)
        Contrast at 16 to 64 pixels.
    mean : ndarray of float32, shape (h/4, w/4)
        Local mean luma.
    """

    least: Luma
    texture: Luma
    structure: Luma
    mean: Luma


def activity(canvas: Luma) -> Activity:
    """Measure the local activity of a canonical canvas of at least 8 × 8 pixels."""
    height, width = canvas.shape
    # Around zero, float32 resolves the activity of a flat to under a tenth of a code value.
    framed = cv2.copyMakeBorder(
        canvas - np.float32(128),
        STEP,
        STEP + -height % STEP,
        STEP,
        STEP + -width % STEP,
        cv2.BORDER_REFLECT_101,
    )
    # A window is 2 × 2 blocks of 4 × 4, so sums over blocks serve four windows.
    rows, columns = framed.shape[0] // STEP, framed.shape[1] // STEP
    lines = (framed.reshape(-1, STEP) @ _WEIGHTS).reshape(rows, STEP, columns, 3)
    plain = lines.sum(axis=1)  # the block's sum, and its sums weighted along the line
    down = np.einsum("rkc,kw->rcw", lines[..., 0], _WEIGHTS[:, 1:], optimize=True)
    squares = (framed * framed).reshape(-1, STEP) @ _WEIGHTS[:, :1]
    energy = _windows(squares.reshape(rows, STEP, columns).sum(axis=1))
    total = _windows(plain[..., 0]) / _SIDE
    across = _pairs(plain[..., 1], plain[..., 2], axis=1)
    upright = _pairs(down[..., 0], down[..., 1], axis=0)
    for harmonic in (total, across[:-1] + across[1:], upright[:, :-1] + upright[:, 1:]):
        energy -= harmonic * harmonic
    local = np.sqrt(np.maximum(energy, 0) / (_SIDE * _SIDE)).astype(np.float32)
    eroded = np.asarray(cv2.erode(local, _NEAR), np.float32)
    least = np.minimum(eroded, blur(eroded, _SOFT))  # a blur alone would bleed into the flat
    mean = np.asarray(cv2.blur(total / _SIDE + np.float32(128), (3, 3)), np.float32)
    contrast = blur(mean, 1.0) - blur(mean, 2.0)
    structure = np.sqrt(blur(contrast * contrast, 1.5))
    texture = np.sqrt(blur(local * local, 1.0))
    return Activity(least, texture, np.asarray(structure, np.float32), mean)


def _windows(blocks: NDArray[np.float32]) -> Luma:
    """Return the sums over 2 × 2 blocks."""
    across = blocks[:, :-1] + blocks[:, 1:]
    return np.asarray(across[:-1] + across[1:], np.float32)


def _pairs(first: Luma, second: Luma, *, axis: int) -> Luma:
    """Return a window's weighted sum from that of its first and that of its second block."""
    if axis == 0:
        return np.asarray(first[:-1] + second[1:], np.float32)
    return np.asarray(first[:, :-1] + second[:, 1:], np.float32)


def features(seen: Activity, short: int) -> NDArray[np.float32]:
    """Return the features of log J, shape (7, h/4, w/4), the last one constant."""
    bright = np.log(np.maximum(seen.mean, 0) + 10)  # films go below black
    size = np.full_like(bright, np.log(min(short, _LARGEST_SHORT) / REFERENCE_SHORT))
    texture, structure = np.log(seen.texture + 0.5), np.log(seen.structure + 0.5)
    blank = np.exp(seen.texture * np.float32(-1 / _BLANK))
    return np.stack(
        [texture, structure, size, bright, bright * bright, blank, np.ones_like(bright)]
    )


def threshold(seen: Activity, short: int) -> Luma:
    """Return J, the amplitude of equal visibility, in a frame with a short side of `short` px."""
    weights = np.array(_J_WEIGHTS, np.float32)
    return np.asarray(np.exp(np.tensordot(weights, features(seen, short), axes=1)), np.float32)


def visibility(amplitude: Luma, limit: Luma) -> float:
    """Return the visibility predicted for an amplitude, both on the grid of `activity`."""
    ratio = amplitude[::2, ::2] / limit[::2, ::2]
    return float(np.sqrt(np.mean(ratio ** (2 * _J_EXPONENT))))


def aim(seen: Activity, short: int, profile: Profile) -> float:
    """Return the visibility that a frame's mark is to have."""
    # Flat art keeps little of a mark through a codec, busy pictures more than they need: so the
    # first may cost more of the fidelity that is to be had on average, the second less.
    still = float(np.mean(seen.least < _QUIET))
    # So do small frames: a codec's blocks hold more of the canonical grid there.
    bounded = min(max(short, _SMALLEST_SHORT), _LARGEST_SHORT)
    small = (REFERENCE_SHORT / bounded) ** profile.small
    return float(profile.target * (1 + profile.lean * (still - 0.5)) * small)


def amplitude(
    seen: Activity,
    short: int,
    target: float,
    profile: Profile,
    *,
    start: float = 1.0,
    rounds: int = ROUNDS,
) -> tuple[Luma, float]:
    """Return the amplitude that has a visibility of `target`, as far as its limits let it.

    Parameters
    ----------
    seen : Activity
    short : int
        Short side of the frame itself, pixels.
    target : float
        See `aim`.
    profile : Profile
    start : float
        Factor of the mask's shape to begin with.
    rounds : int
        Of coming nearer; with none the factor stays as it is.

    Returns
    -------
    ndarray of float32, on the grid of `activity`
        Code values.
    float
        The factor of the mask's shape.
    """
    just = threshold(seen, short) if rounds else seen.mean
    grown = (seen.least + profile.offset) / (1 + profile.offset)
    shape = np.maximum(np.float32(profile.floor), grown ** np.float32(profile.power))
    most = np.minimum(profile.flat + profile.rise * np.maximum(0, seen.least - 0.25), profile.cap)
    scale, strongest = start, np.minimum(start * shape, most)
    for _ in range(rounds):
        now = max(visibility(strongest, just), 1e-9)
        scale *= float(np.clip((target / now) ** (1 / _J_EXPONENT), 0.5, 2))
        scale = min(scale, _STRONGEST)
        strongest = np.minimum(scale * shape, most)
    return np.asarray(strongest, np.float32), scale


def mask(canvas: Luma, short: int, profile: Profile) -> Luma:
    """Return how strong the mark is at each place.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
        Luma on the canonical grid, code values.
    short : int
        Short side of the frame itself, pixels.
    profile : Profile

    Returns
    -------
    ndarray of float32, shape (h, w)
        Root mean square of the mark, code values.
    """
    seen = activity(canvas)
    strongest, scale = amplitude(seen, short, aim(seen, short, profile), profile)
    coarse = (strongest * from_pure(seen.mean)).astype(np.float32)
    # The grid's windows have their centres at pixel 4k; linear interpolation between them.
    height, width = canvas.shape
    spread = np.array([[STEP, 0, 0], [0, STEP, 0]], np.float64)
    smooth = cv2.warpAffine(
        coarse,
        spread,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Windows are wider than an ink line: past `BESIDE` pixels from anything that hides a mark,
    # it is back to what flats get.
    span = cv2.dilate(canvas, BESIDE) - cv2.erode(canvas, BESIDE)
    blank = min(scale * profile.floor, profile.flat)
    strength = np.minimum(smooth, blank + profile.beside * span)
    # A line of pure black, or the white of an eye, hides no more than a flat does.
    quiet = np.minimum(strength, np.float32(profile.flat))
    return np.asarray(quiet + from_pure(canvas) * (strength - quiet), np.float32)


def from_pure(values: Luma) -> Luma:
    """Return 0 at pure black and pure white, rising to 1 a few code values from them."""
    nearest = np.minimum(
        values * np.float32(1 / _TO_BLACK), (255 - values) * np.float32(1 / _TO_WHITE)
    )
    return np.asarray(np.clip(nearest, 0, 1), np.float32)
