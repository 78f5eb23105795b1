"""What VMAF will say of a film's marked frame, before it is marked.

VMAF compares what is left of a frame's detail with what was there (Li et al. 2016, "Toward A
Practical Perceptual Video Quality Metric"; its measure of detail loss is that of Li et al. 2011,
DOI 10.1109/TMM.2011.2156774).  Noise takes from detail in proportion to its own amplitude, cubes of
contrast are pooled, and motion hides it.  What is here was fitted on stills, of which each stands
for a film that does not move, and on pans over them (`bench/detail_loss.py`).
"""

from __future__ import annotations

import numpy as np

from watermark.frame import Luma
from watermark.mask import REFERENCE_SHORT, Activity

__all__ = ["EXPONENT", "Motion", "affordable", "detail_loss"]

_LOSS = 33.4  # VMAF
_SIZE = 1.83  # power of the short side
_LARGEST = 1080  # pixels: what VMAF's model was made for
_STRUCTURE = 2.0  # weight of contrast at 16 to 64 pixels beside texture
_STRENGTH = 0.45  # power of the whole mark's strength, beside that of each place
EXPONENT = 1 + _STRENGTH  # of the amplitude, in the loss
_LEAST_CONTRAST = 0.05  # code values; an empty frame has no detail to lose

_STILL_VMAF = 97.43  # of a film that does not move and to which nothing happened
_MOTION = 1.5  # VMAF a code value of motion
_UNKNOWN = float("inf")
_QUICKENS = 0.5  # of the way to more motion, a frame; to less at once
_SHOT = 12  # frames that a shot has at least, or it is no shot
_ANY = 3.0  # code values of motion from which on VMAF hardly sees noise


def detail_loss(amplitude: Luma, seen: Activity, short: int) -> float:
    """Return by how much VMAF falls for a mark in a frame that stands still.

    Parameters
    ----------
    amplitude : ndarray of float32, shape (h/4, w/4)
        Root mean square of the mark at each place of the grid of `activity`, code values.
    seen : Activity
        Of the frame.
    short : int
        Short side of the frame itself, pixels.

    Returns
    -------
    float
        Points of VMAF.
    """
    mark = amplitude[::2, ::2]
    texture, structure = seen.texture[::2, ::2], seen.structure[::2, ::2]
    energy = texture * texture + np.float32(_STRUCTURE) * structure * structure
    detail = np.mean(energy * np.sqrt(energy)) + _LEAST_CONTRAST**3
    masked = float(np.mean(energy * mark) / detail)
    overall = float(np.sqrt(np.mean(mark * mark)))
    size = min(short, _LARGEST) / REFERENCE_SHORT
    return float(_LOSS * size**_SIZE * masked * overall**_STRENGTH)


def affordable(motion: float, least: float) -> float:
    """Return how many points of VMAF a frame may lose.

    Parameters
    ----------
    motion : float
        Mean change from one frame to the next of the means of blocks of 8 canonical pixels, code
        values.
    least : float
        VMAF that is to be left.

    Returns
    -------
    float
        Infinite where enough moves.
    """
    return float("inf") if motion >= _ANY else _STILL_VMAF + _MOTION * motion - least


class Motion:
    """What VMAF takes for the motion of a film, frame by frame; code values as in `affordable`."""

    def __init__(self) -> None:
        self._change, self._motion = _UNKNOWN, _UNKNOWN  # from the frame before; of the shot
        self._shown = 0  # changed frames since a cut

    @property
    def now(self) -> float:
        """What moves; infinite at a shot's first frame, where nobody knows yet."""
        return self._motion

    @property
    def unknown(self) -> bool:
        """Whether the frame before was a shot's first."""
        return self._motion == _UNKNOWN

    def held(self) -> None:
        """Note a frame that is the same as the one before."""
        self._change = self._motion = 0.0

    def moved(self, change: float) -> None:
        """Note a frame that differs by `change` from the one before."""
        motion = min(change, self._change)  # what lies before and behind: the lesser counts
        if self._motion < motion < _UNKNOWN:
            motion = self._motion + _QUICKENS * (motion - self._motion)
        self._motion, self._change = motion, change
        self._shown += 1

    def cut(self) -> None:
        """Note a frame that has nothing to do with the one before."""
        # Codecs build a shot on its first frame; where all changes every other frame there is none.
        if self._shown >= _SHOT:
            self._motion = _UNKNOWN
        self._change, self._shown = _UNKNOWN, 0
