"""What is told about a generator: whether its outputs carry a key's signal, and of which works.

These are the values; `watermark.tracing` comes to them.
That the outputs carry the keyed signal of a work is all that is ever said.  Whether a model was
trained on the work is a conclusion that people draw from it.  And where nothing is found nothing is
proved: a `Trace` says how strong a signal it could have seen.
Logs are to base 10, as in `watermark.identification`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from watermark.controls import Controls
from watermark.detection import Verdict
from watermark.growth import Growth
from watermark.identification import FoundMark
from watermark.sensitivity import Sensitivity
from watermark.work import Mark, Work

__all__ = ["Listed", "Look", "Outlook", "Signal", "Single", "Trace"]


@dataclass(frozen=True, slots=True)
class Look:
    """One decision on the outputs so far.

    Parameters
    ----------
    number : int
        Counted from 1 over all that ever looked; the p-value is charged number · (number + 1).
    outputs : int
    z, log10_p : float
        Of the strongest mark at that look; everything is charged.
    verdict : str
    """

    number: int
    outputs: int
    z: float
    log10_p: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Signal:
    """A mark that the outputs carry.

    Parameters
    ----------
    mark : FoundMark
        Its alignment says along which way the outputs were folded.
    amplitude, error : float or None
        How strong it is beside the others of this key, in units of z, and the standard error of
        that; None for marks of other keys than the strongest one's.
    share : float or None
        Its part of the amplitudes, 0–1.
    """

    mark: FoundMark
    amplitude: float | None = None
    error: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A registered work, and how its best mark scores.

    Parameters
    ----------
    work, mark : Work, Mark
    z, log10_p : float
        Over all ways of folding; everything is charged.
    told : bool
        Whether it is among the works that are named.
    z_without : float or None
        What is left of z when the marks that were found are taken out, where any were and this is
        none of them: a strong mark of one work scores for others of its key too.
    """

    work: Work
    mark: Mark
    z: float
    log10_p: float
    told: bool
    z_without: float | None = None


@dataclass(frozen=True, slots=True)
class Single:
    """An output that carries a mark by itself."""

    name: str
    mark: FoundMark


@dataclass(frozen=True, slots=True)
class Outlook:
    """What more outputs would do.

    Parameters
    ----------
    kind : str
        ``settled``: it is sure already; ``more``: so many more outputs would settle it, if the
        signal goes on growing as it did; ``never``: it does not grow enough; ``nothing``: no signal
        stands out of what wrong keys give, so there is nothing to go by.
    more : int or None
    """

    kind: Literal["settled", "more", "never", "nothing"]
    more: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """All that is told about the outputs of one generator.

    Parameters
    ----------
    verdict : str
        ``detected``, ``indicated``, ``not-found``, or ``inconclusive``: not even marks embedded in
        every output would have been seen.
    outputs, failed : int
        How many were added up, and how many could not be read.
    sizes : int
        How many sizes they have.
    z, log10_p : float
        Of the strongest mark, whatever the verdict; everything is charged.
    needed : float
        The z from which it would be called detected at this look.
    way : str
        Along which the outputs were folded for it.
    ways : int
        How many were decided on, over all keys.
    signals : tuple of Signal
        Strongest first; empty unless the verdict is ``detected`` or ``indicated``.
    listed : tuple of Listed
        The registered works that score highest, best first.
    marks : int or None
        Registered; None without a registry.
    looks : tuple of Look
    curve : tuple of (int, float)
        Outputs, and the z of the strongest mark at each look.
    growth : Growth or None
        Fitted to it, where the signal stands out.
    outlook : Outlook
    sensitivity : Sensitivity or None
    controls : Controls or None
        Wrong keys on the same sums.
    singles : tuple of Single
        Outputs that carry a mark by themselves, the surest first, 200 at most.
    fingerprint : str
        Of the key of the strongest mark.
    """

    verdict: Verdict
    outputs: int
    failed: int
    sizes: int
    z: float
    log10_p: float
    needed: float
    way: str
    ways: int
    signals: tuple[Signal, ...]
    listed: tuple[Listed, ...]
    marks: int | None
    looks: tuple[Look, ...]
    curve: tuple[tuple[int, float], ...]
    growth: Growth | None
    outlook: Outlook
    sensitivity: Sensitivity | None
    controls: Controls | None
    singles: tuple[Single, ...]
    fingerprint: str
