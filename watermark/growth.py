"""How the signal of a mark grows with the number of outputs, and how many would settle it.

Of a signal that is in every output alike, and noise that is new in each, z grows as √n.  Where
outputs share more than the mark, as every generator's do, the shared part does not average out
and z comes to an end:

    z(n) = a √n / √(1 + c n),        with the end a/√c

Both numbers are fitted to the z that were seen at 1, 2, 4, 8 … outputs.  This describes and
extrapolates; no verdict rests on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Growth", "fitted", "within_reach"]

_NOISE = 4.0  # z under which what was seen may be noise, which is left out of the fit
_BENDS = np.concatenate([[0.0], np.geomspace(1e-7, 1.0, 281)])  # values of c that are tried
_FEW = 2  # points: with fewer no bend is seen
_FAR = 1000  # times the outputs there are: farther nothing is foretold


@dataclass(frozen=True, slots=True)
class Growth:
    """A fit of z(n) = `rate` √n / √(1 + `bend` n).

    Parameters
    ----------
    rate : float
        z of one output.
    bend : float
        0 where z goes on growing as √n.
    """

    rate: float
    bend: float

    def z(self, outputs: float) -> float:
        """Return the z that is foretold for so many outputs."""
        return self.rate * math.sqrt(outputs / (1 + self.bend * outputs))

    @property
    def end(self) -> float:
        """The largest z there can be, infinite without a bend."""
        return self.rate / math.sqrt(self.bend) if self.bend else math.inf

    def outputs_for(self, z: float) -> float:
        """Return how many outputs are foretold to give z; infinite where none do."""
        if self.rate <= 0 or z >= self.end:
            return math.inf
        return z * z / (self.rate**2 - self.bend * z * z)


def fitted(points: Sequence[tuple[int, float]]) -> Growth | None:
    """Fit the growth to the looks so far.

    Parameters
    ----------
    points : sequence of (int, float)
        Outputs and z, in order; those of too little z are left out.

    Returns
    -------
    Growth or None
        None where nothing stands out of the noise at the end.
    """
    used = [(n, z) for n, z in points if z >= _NOISE]
    if not used or not points or points[-1][1] < _NOISE:
        return None
    counts = np.array([n for n, _ in used], np.float64)
    seen = np.array([z for _, z in used])
    bends = _BENDS if len(used) >= _FEW else _BENDS[:1]
    best: tuple[float, Growth] | None = None
    for bend in bends:
        shape = np.sqrt(counts / (1 + bend * counts))
        rate = float(shape @ seen / (shape @ shape))
        off = float(np.square(seen - rate * shape).sum())
        # A bend is believed only where it explains more than noise would, z having variance 1.
        off += 2.0 if bend else 0.0
        if best is None or off < best[0]:
            best = off, Growth(rate, float(bend))
    return None if best is None else best[1]


def within_reach(growth: Growth, z: float, outputs: int) -> int | None:
    """Return how many more outputs would give z, rounded to two digits; None if none would."""
    needed = growth.outputs_for(z) - outputs
    if needed > _FAR * outputs:
        return None
    if needed <= 0:
        return 0
    step = int(10 ** max(0, math.floor(math.log10(needed)) - 1))
    return math.ceil(needed / step) * step
