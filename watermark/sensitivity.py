"""How weak a signal could have been seen: a mark of another key, put into outputs and weighed.

A fresh mark is put into the first few outputs as it would be into a frame, and what it adds to
their residuals is taken to be in all of them, r times as strong.  With T the norm of what is there,
D that of what the mark adds to all outputs, and A its score, both over all outputs, the z of that
would be

    z(r) = r A / √(T² + r² D²)

in the mean, and the smallest r for a wanted z follows.  Whatever the outputs share is in T, so
nothing is assumed about how noise averages out.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from watermark.align import folded
from watermark.controls import chip_signs
from watermark.detect import observe_luma
from watermark.embed import delta
from watermark.frame import Luma
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.transform import analyse, levels

__all__ = ["Probes", "Sensitivity"]

_PROBES = 4  # outputs
_WEAK = 0.25  # of its strength: of a weaker mark a residual keeps a little more


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a pile could have shown.

    Parameters
    ----------
    needed : float
        The z that was wanted.
    strength : float or None
        How strong a signal gives it, in units of a mark embedded in every output; None where not
        even much more than that would.
    alone : float
        z of an embedded mark in one output, in the mean.
    """

    needed: float
    strength: float | None
    alone: float

    @property
    def enough(self) -> bool:
        """Whether marks that are embedded in all outputs would have been seen."""
        return self.strength is not None and self.strength <= 1


class Probes:
    """Marks that are put into the first few outputs; no key in question is used.

    Parameters
    ----------
    profile : Profile
    """

    def __init__(self, profile: Profile = DEFAULT) -> None:
        self.profile = profile
        self._key: Key | None = None
        self._number = 0
        self._added: list[NDArray[np.float64]] = []
        self._alone: list[float] = []

    @property
    def wanted(self) -> bool:
        """Whether another output is asked for."""
        return len(self._added) < _PROBES

    def add(self, plane: Luma) -> None:
        """Put a mark into an output.

        Parameters
        ----------
        plane : ndarray of float32, shape (H, W)
            Its luma in code values.
        """
        if self._key is None:
            # The same outputs get the same answer.
            digest = hashlib.sha256(b"sukashi probe" + np.ascontiguousarray(plane).tobytes())
            self._key = Key(digest.digest())
            self._number = int.from_bytes(digest.digest()[:6], "big")
        mark = delta(plane, self._key, self._number, profile=self.profile)
        without, weak, full = (self._chips(plane + part * mark) for part in (0.0, _WEAK, 1.0))
        size = float(np.linalg.norm(full))
        self._added.append((weak - without) / _WEAK)
        self._alone.append(float(full @ self._signs()) / size if size else 0.0)

    def sensitivity(
        self, tile: NDArray[np.float64], outputs: int, needed: float
    ) -> Sensitivity | None:
        """Say how strong a signal in all outputs would have given a z of `needed`.

        Parameters
        ----------
        tile : ndarray of float64, shape (T, T)
            What the outputs fold to as they are.
        outputs : int
        needed : float

        Returns
        -------
        Sensitivity or None
            None if no output was given.
        """
        if not self._added:
            return None
        adds = np.mean(self._added, axis=0)
        there = float(np.linalg.norm(self._weighed(tile)))
        size = outputs * float(np.linalg.norm(adds))
        score = outputs * float(adds @ self._signs())
        left = score * score - needed * needed * size * size
        strength = needed * there / math.sqrt(left) if score > 0 and left > 0 else None
        return Sensitivity(needed, strength, float(np.mean(self._alone)))

    def _chips(self, plane: Luma) -> NDArray[np.float64]:
        seen = observe_luma(plane, profile=self.profile)
        return self._weighed(folded(seen.canvas, self.profile.tile))

    def _weighed(self, tile: NDArray[np.float64]) -> NDArray[np.float64]:
        profile = self.profile
        weights = levels(profile, two=profile.weight2, three=profile.weight3)
        return np.asarray(analyse(tile, profile) * weights)

    def _signs(self) -> NDArray[np.float64]:
        assert self._key is not None, "a probe was added"
        return chip_signs(self._key, self._number, self.profile)
