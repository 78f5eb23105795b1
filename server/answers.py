"""What is told of an upload: all of it to those with a token, the coarse of it to strangers.

A permission is ``not-permitted``, ``constrained``, ``allowed`` or ``unknown``.
Of several works in one picture the strictest counts, and ``unknown`` is to be read as no: that
nothing is known is no permission.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from server.engine import Outcome
from server.settings import Settings
from server.spool import Upload
from watermark.forgetting import forget
from watermark.registry import Registry
from watermark.sightings import Sightings

__all__ = ["PERMISSIONS", "Answers", "coarse", "server_version", "strictest"]

# The strictest first.
PERMISSIONS = ("not-permitted", "unknown", "constrained", "allowed")
_WORK = ("work", "title", "rights_holder", "training", "terms", "permission")
_COARSE = ("verdict", "permission", "examined", "server")


def server_version() -> str:
    """Return the version of the program."""
    try:
        return version("sukashi")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"


class Answers:
    """Makes answers, and keeps what was seen.

    Parameters
    ----------
    registry : Registry
        Where sightings are stored.
    settings : Settings
    """

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry, self._settings = registry, settings
        self._sightings = Sightings(registry)
        self._server = server_version()

    def keeps(self, by: str) -> bool:
        """Tell whether the detections of a caller are stored."""
        kept = self._settings.sightings
        return kept == "all" or (kept == "known" and by != "anonymous")

    def wants_evidence(self, by: str) -> bool:
        """Tell whether the evidence of a caller's upload may have to be stored."""
        return self._settings.evidence != "none" and self.keeps(by)

    def finish(self, outcome: Outcome, upload: Upload, *, by: str) -> dict[str, Any]:
        """Store a sighting as the settings say, and return all that is told.

        Parameters
        ----------
        outcome : Outcome
        upload : Upload
        by : str
            Id of a token, or ``anonymous``.
        """
        sighting = None
        if self.keeps(by):
            found = outcome.record["verdict"] in {"detected", "indicated"}
            wanted = self._settings.evidence == "all" or (
                self._settings.evidence == "found" and found
            )
            sighting = self._sightings.add(
                sha256=upload.sha256,
                kind=upload.kind,
                size=outcome.size,
                record=outcome.record,
                by=by,
                evidence=outcome.evidence if wanted else None,
            )
        works = [
            {**each, "permission": each["training"] or "unknown"}
            for each in outcome.record["works"]
        ]
        overlay = outcome.overlay
        return {
            **outcome.record,
            "works": works,
            "permission": strictest(each["permission"] for each in works),
            "examined": {
                "sha256": upload.sha256,
                "bytes": upload.bytes,
                "kind": upload.kind,
                "size": list(outcome.size),
                "frames": outcome.frames,
            },
            "profile": outcome.profile,
            "server": self._server,
            "sighting": sighting.id if sighting else None,
            "overlay": _data_url(overlay) if overlay else None,
            "coarse": False,
        }

    def withdraw(self, answer: dict[str, Any]) -> None:
        """Forget the sighting of an answer that nobody is given."""
        if answer["sighting"] is not None:
            forget(self._registry, answer["sighting"])


def coarse(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what a stranger is told: no number by which a mark could be worn away bit by bit."""
    works = [{name: each[name] for name in _WORK} for each in answer["works"]]
    return {**{name: answer[name] for name in _COARSE}, "works": works, "coarse": True}


def strictest(permissions: Iterable[str]) -> str:
    """Return the strictest of several permissions; nothing found is ``unknown``."""
    return min(permissions, key=PERMISSIONS.index, default="unknown")


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
