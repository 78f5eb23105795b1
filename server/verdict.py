"""What the template of a verdict is given, for a file of just now and for one of long ago."""

from __future__ import annotations

import base64
import json
from pathlib import PurePath
from typing import Any

from server.chart import chart
from server.told import told
from watermark.sighting import Sighting

__all__ = ["sighting_values", "verdict_values"]


def verdict_values(answer: dict[str, Any], kind: str, *, name: str = "") -> dict[str, Any]:
    """Return what the template needs.

    Parameters
    ----------
    answer : dict
        As the service answers, perhaps coarse.
    kind : str
        ``still`` or ``film``.
    name : str
        What the sender calls the file.
    """
    plain = {key: value for key, value in answer.items() if key != "overlay"}
    text = json.dumps(plain, ensure_ascii=False, indent=2).encode()
    stem = PurePath(name).stem or str(answer.get("sighting") or "verdict")
    return {
        "told": told(answer, kind),
        "chart": chart(answer),
        "name": name,
        "overlay": answer.get("overlay"),
        "download": {
            "href": "data:application/json;base64," + base64.b64encode(text).decode(),
            "name": f"{stem}.json",
        },
    }


def sighting_values(sighting: Sighting, *, again: str | None = None) -> dict[str, Any]:
    """Return what the template needs of a file that was seen, of which only the row is kept.

    Parameters
    ----------
    sighting : Sighting
    again : str, optional
        ``same`` or ``changed``: what a recheck of just now came to.
    """
    examined = {
        "sha256": sighting.sha256,
        "bytes": None,
        "kind": sighting.kind,
        "size": list(sighting.size),
        "frames": sighting.record.get("frames"),
    }
    answer = {**sighting.record, "examined": examined, "sighting": sighting.id}
    return {**verdict_values(answer, sighting.kind), "sighting": sighting, "again": again}
