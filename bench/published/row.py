"""One row of a published list of attacks, and what makes rows of one function and its strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.attacks import Attack, Change

__all__ = ["GROUPS", "Published", "rows"]

# What a short table has one line for.
GROUPS = (
    "nothing",
    "mirror",
    "rotation",
    "crop",
    "resize",
    "perspective",
    "jpeg",
    "blur",
    "colour",
    "noise",
    "combined",
    "overlay",
    "erasing",
)


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a published list.

    Parameters
    ----------
    attack : Attack
        A pure function of (pixels, rng, *others); RGB, uint8, of any size in and out.
        Nothing was promised of it, so it has no target.
    family : str
        Whose list it is on: ``videoseal``, ``omniseal``, ``waves`` or ``removal``.
    group : str
        One of `GROUPS`.
    kind : str
        Rows of one family and kind lie on one curve.
    strength : float
        The parameter, as published; of several, the one that varies.
    source : str
        Repository and file that it was taken from.
    original : bool
        Whether the one further picture it takes is the unmarked original of the picture itself
        rather than any other.

    Raises
    ------
    ValueError
        If there is no such group, or the original is wanted and no further picture is taken.
    """

    attack: Attack
    family: str
    group: str
    kind: str
    strength: float
    source: str
    original: bool = False

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"{self.group} is none of the groups {', '.join(GROUPS)}")
        if self.original and self.attack.others != 1:
            raise ValueError(f"{self.attack.name} takes no original, and cannot want it")


def rows(
    family: str,
    kind: str,
    change: Callable[[float], Change],
    strengths: Sequence[float],
    *,
    group: str,
    about: str,
    source: str,
    others: int = 0,
    original: bool = False,
) -> tuple[Published, ...]:
    """Return one row for each strength, named ``family kind strength``.

    Parameters
    ----------
    family, kind, group, source, original
        As of `Published`.
    change : function of a strength
        Returns what is done at that strength.
    strengths : sequence of float
    about : str
        The parameter, with range and unit.
    others : int
        How many further pictures the attack takes.
    """
    return tuple(
        Published(
            Attack(f"{family} {kind} {value:g}", change(value), None, about, others=others),
            family,
            group,
            kind,
            value,
            source,
            original,
        )
        for value in strengths
    )
