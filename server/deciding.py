"""Deciding anew on what was seen: for works and keys that were added since, without the files.

Each further look is charged and counted (`watermark.rechecking`), so that looking often finds
nothing by chance.
"""

from __future__ import annotations

from typing import Any

from server.problems import Problem, problem_of
from watermark.errors import WatermarkError
from watermark.sightings import Sighting, Sightings

__all__ = ["decided_anew", "no_sighting", "undecided"]

_STRENGTH = ("not-found", "inconclusive", "indicated", "detected")


def decided_anew(state: Any, chosen: list[tuple[str, Sighting | None]]) -> list[dict[str, Any]]:
    """Decide anew on a few sightings, and store what is said now.

    Parameters
    ----------
    state : State
        Of the application.
    chosen : list of (str, Sighting or None)
        Ids, and what is stored under them.

    Returns
    -------
    list of dict
        For each, as the API tells it: what was said before and is said now, or a problem.

    Raises
    ------
    Busy, Broken
        As the engine does; nothing is stored then.
    """
    sightings: Sightings = state.sightings
    kept = {
        each.id: (each, blob)
        for _, each in chosen
        if each is not None and (blob := sightings.evidence(each.id)) is not None
    }
    items = [(name, blob, each.looks, each.size) for name, (each, blob) in kept.items()]
    again = state.engine.recheck(items) if items else []
    told = dict(zip(kept, again, strict=True))
    return [_stored(sightings, name, each, told.get(name)) for name, each in chosen]


def undecided(name: str, before: Sighting | None) -> dict[str, Any]:
    """Return what is told of a sighting on which nothing was decided."""
    return {
        "sighting": name,
        "before": before.verdict if before else None,
        "now": None,
        "works": [],
        "looks": before.looks if before else None,
        "problem": None,
    }


def _stored(
    sightings: Sightings,
    name: str,
    before: Sighting | None,
    told: dict[str, Any] | WatermarkError | None,
) -> dict[str, Any]:
    """Store what is told now, and return what is said of it."""
    item = undecided(name, before)
    if before is None:
        return item | {"problem": no_sighting().document()}
    if told is None:
        refused = Problem("invalid", "No evidence was kept of this sighting.")
        return item | {"problem": refused.document()}
    if isinstance(told, Exception):
        return item | {"problem": problem_of(told)}
    now = sightings.looked_again(name, _better(before, told), look=before.looks + 1)
    if now is None:
        raced = Problem("ended", "Somebody else decided it anew at the same time; ask again.")
        return item | {"problem": raced.document()}
    return item | {"now": now.verdict, "works": list(now.works), "looks": now.looks}


def _better(before: Sighting, told: dict[str, Any]) -> dict[str, Any]:
    """Return what is told from now on.

    What was found in the file itself is not undone by what is left of it: a weaker verdict, or one
    that names less, changes nothing.
    """
    named = {each["work"] for each in told["works"]}
    weaker = _STRENGTH.index(told["verdict"]) < _STRENGTH.index(before.verdict)
    if weaker or not named.issuperset(before.works):
        return before.record
    return before.record | told  # times of a film stay as they were


def no_sighting() -> Problem:
    """Make the problem of a sighting that there is not."""
    return Problem("not-found", "There is no such sighting.")
