"""How strongly one known mark shows in frames, one by one and all together."""

from __future__ import annotations

from dataclasses import dataclass

from watermark.align import fold, whole_frame
from watermark.coding import codeword, decode
from watermark.decide import needed_z, soft_word
from watermark.detect import observe_luma
from watermark.evidence import Evidence
from watermark.frame import Luma
from watermark.key import Key
from watermark.profile import DEFAULT, Profile

__all__ = ["Look", "Tally"]

_OWN = needed_z(0.0)  # z of one mark that is looked for at one place


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What was seen of the mark in one frame.

    Parameters
    ----------
    evidence : Evidence
    z : float
        Of the mark at its own place.
    certain : bool
        Whether it is this mark and no other that the frame carries.  Other marks of the key show
        a z as well, since their code words have bits in common.
    """

    evidence: Evidence
    z: float
    certain: bool


class Tally:
    """Adds up the frames of a shot.

    Parameters
    ----------
    key : Key
    number : int
        Mark number of 48 bits.
    profile : Profile
    """

    def __init__(self, key: Key, number: int, profile: Profile = DEFAULT) -> None:
        self._key, self._number, self._profile = key, number, profile
        self._word = codeword(number)
        self._sum: Evidence | None = None
        self._weakest = (float("inf"), 0)
        self.frames = 0

    def look(self, plane: Luma) -> Look:
        """Look for the mark in a frame, without adding it.

        Parameters
        ----------
        plane : ndarray of float32, shape (H, W)
            Luma as shown, in square pixels, code values 0–255.
        """
        seen = observe_luma(plane, profile=self._profile)
        upright, _ = whole_frame(seen)
        evidence = fold(seen, upright, self._key, self._profile)
        soft = soft_word(evidence, self._key, self._profile)
        z = float(soft @ self._word)
        return Look(evidence, z, z >= _OWN and int(decode(soft)[0]) == self._number)

    def add(self, frame: int, look: Look) -> None:
        """Add what was seen of the frame of this number."""
        self._sum = look.evidence if self._sum is None else self._sum + look.evidence
        self._weakest = min(self._weakest, (look.z, frame))
        self.frames += 1

    @property
    def z(self) -> float:
        """Of the sum of the frames; 0 before there is any."""
        if self._sum is None:
            return 0.0
        return float(soft_word(self._sum, self._key, self._profile) @ self._word)

    @property
    def weakest(self) -> tuple[float, int]:
        """Z and number of the weakest frame."""
        return self._weakest
