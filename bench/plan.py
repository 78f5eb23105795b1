"""What the benchmark does to pictures: every table of attacks as steps of one shape.

A *step* is one attack at one strength.  Families are whole lists, as they were published or as
this project has them; groups are the lines of the short table, across all families.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import attacks, curves, geometry_attacks
from bench.attacks import Attack
from bench.networks import NETWORKS
from bench.published import PUBLISHED, Published
from bench.removal import REMOVAL

__all__ = ["FAMILIES", "QUICK", "Step", "skipped", "steps"]

_GROUPS = {  # by the beginning of the name of this project's own attacks, the longest first
    "resize 256 jpeg 50": "combined",
    "rotate 5 jpeg 50": "combined",
    "rotate 10 crop 70 bright jpeg 60": "combined",
    "crop 50 jpeg 50": "combined",
    "crop 70 256 jpeg 70": "combined",
    "crop 70 square": "combined",
    "none": "nothing",
    "mirror": "mirror",
    "rotat": "rotation",
    "crop": "crop",
    "area": "crop",
    "resize": "resize",
    "scale": "resize",
    "aspect": "resize",
    "perspective": "perspective",
    "non-rigid": "perspective",
    "jpeg": "jpeg",
    "webp": "jpeg",
    "avif": "jpeg",
    "blur": "blur",
    "median": "blur",
    "sharpen": "blur",
    "noise": "noise",
    "letterbox": "overlay",
    "pillarbox": "overlay",
    "reframe": "crop",
    "pip": "overlay",
    "screenshot": "overlay",
}
_OTHERWISE = "colour"
_AI = "AI processing"
# What tells whether everything works: (family, attack).
QUICK = (
    ("ours", "none"),
    ("ours", "jpeg 50"),
    ("ours", "resize 256"),
    ("geometry", "crop 50"),
    ("geometry", "rotate fill"),
    ("videoseal", "videoseal rotation 10"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One attack in its place.

    Parameters
    ----------
    attack : Attack
    family : str
        One of `FAMILIES`.
    group : str
        Its line of the short table.
    curve : str
        Steps of one family and curve differ in strength alone.
    strength : float or None
    original : bool
        Whether the one further picture that it takes is the unmarked original.
    """

    attack: Attack
    family: str
    group: str
    curve: str
    strength: float | None = None
    original: bool = False


def _group(name: str) -> str:
    fitting = [start for start in _GROUPS if name.startswith(start)]
    return _GROUPS[max(fitting, key=len)] if fitting else _OTHERWISE


def _own(family: str, table: dict[str, Attack]) -> list[Step]:
    # Where others are marked as well a picture has several works: an experiment of its own.
    return [
        Step(attack, family, _group(name), name)
        for name, attack in table.items()
        if not attack.others_marked
    ]


def _published(table: dict[str, Published], group: str = "") -> list[Step]:
    return [
        Step(row.attack, row.family, group or row.group, row.kind, row.strength, row.original)
        for row in table.values()
    ]


def _curves() -> list[Step]:
    return [
        Step(attack, "curves", _group(kind), kind, strength)
        for kind in curves.CURVES
        for strength, attack in curves.attacks(kind)
    ]


def _networks() -> list[Step]:
    return [
        Step(row.attack, "networks", _AI, row.group, row.strength)
        for row in NETWORKS.values()
        if row.why_not() is None and not row.film
    ]


FAMILIES = (
    "ours",
    "geometry",
    "videoseal",
    "omniseal",
    "waves",
    "networks",
    "removal",
    "curves",
)


def steps(families: Sequence[str] = FAMILIES) -> tuple[Step, ...]:
    """Return the steps of some families, those that cannot be run here left out."""
    every = [
        *_own("ours", attacks.ATTACKS),
        *_own("geometry", geometry_attacks.ATTACKS),
        *_published(PUBLISHED),
        *(_networks() if "networks" in families else ()),
        *_published(REMOVAL, "removal"),
        *_curves(),
    ]
    return tuple(step for step in every if step.family in families)


def skipped() -> dict[str, str]:
    """Return the steps that cannot be run here, and why."""
    return {name: reason for name, row in NETWORKS.items() if (reason := row.why_not())}
