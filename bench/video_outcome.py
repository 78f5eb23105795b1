"""What counts as found in films, and the table of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.report import rated, table
from bench.score import Score
from bench.video_attacks import ATTACKS, UNMARKED
from watermark.clip_identification import ClipIdentification
from watermark.decide import DETECTED
from watermark.detection import Detection

__all__ = ["of_film", "of_still", "summary"]

Line = dict[str, Any]

_CLOSE = 1.0  # seconds by which the ends of a part in a minute of others may be missed
_POSITIVE = frozenset({"detected", "indicated"})


def of_still(detection: Detection, number: int | None) -> Line:
    """Say what a detection made of a still, given its mark if it has one."""
    best = detection.best
    right = best.number == number
    return {
        "found": detection.verdict == "detected" and best.named and right,
        "verdict": detection.verdict,
        "wrong": int(detection.verdict in _POSITIVE and best.named and not right),
        "z": best.z,
        "log10_p": best.log_p / math.log(10),
        "alignment": best.alignment.name,
    }


def of_film(
    told: ClipIdentification,
    number: int | None,
    known: set[int | None],
    place: tuple[float, float] | None,
) -> Line:
    """Say what the detector made of a film.

    Parameters
    ----------
    told : ClipIdentification
    number : int or None
        The mark that is looked for.
    known : set
        All marks that are in it.
    place : (float, float), optional
        The seconds between which it stands, where the ends count.
    """
    whole = told.whole
    mine = [each for each in whole.found if each.number == number]
    named = [each for each in mine if each.work is not None]
    found = any(each.log10_p * math.log(10) <= DETECTED for each in named)
    best = mine[0] if mine else None
    line: Line = {
        "found": found,
        "verdict": whole.verdict,
        "wrong": sum(each.work is not None and each.number not in known for each in whole.found),
        "z": whole.z if best is None else best.z,
        "log10_p": whole.log10_p if best is None else best.log10_p,
        "alignment": "" if best is None else best.alignment,
        "frames": told.frames,
        "looks": told.looks,
        "key_frames": told.key_frames,
    }
    if place is not None:
        parts = [each for each in told.parts if each.mark and each.mark.number == number]
        off = [parts[0].start - place[0], parts[-1].end - place[1]] if parts else None
        close = off is not None and max(map(abs, off)) <= _CLOSE
        line |= {"found": found and close, "named": found, "place": place, "off": off}
    return line


def summary(lines: Sequence[Line]) -> str:
    """Return the table, the misses, and what must not have happened, in Markdown."""
    rows, misses = [], []
    for name, attack in ATTACKS.items():
        mine = [line for line in lines if line["attack"] == name]
        if not mine:
            continue
        score = Score(sum(line["found"] for line in mine), len(mine))
        enough = "" if score.rate >= attack.target else "short"
        wanted, z = f"{100 * attack.target:.0f} %", [line["z"] for line in mine]
        scores = f"{np.median(z):.1f}", f"{min(z):.1f}"
        times = (f"{np.median([line[n] for line in mine]):.1f}" for n in ("made_s", "detected_s"))
        rows.append((name, attack.about, wanted, rated(score), enough, *scores, *times))
        misses += [
            (name, line["film"], line["excerpt"], f"{line['z']:.2f}", line["verdict"], _off(line))
            for line in mine
            if not line["found"]
        ]
    head = ("attack", "what", "at least", "found, 95 %", "", "median z", "least z")
    parts = [table((*head, "made, s", "detected, s"), rows), f"\nMisses: {len(misses)}\n"]
    if misses:
        parts.append(table(("attack", "film", "excerpt", "best z", "verdict", ""), misses))
    parts.append(f"\nWrong works named: {sum(line['wrong'] for line in lines)}")
    clean = [line for line in lines if line["attack"] in UNMARKED]
    if clean:
        alarms = Score(sum(line["verdict"] in _POSITIVE for line in clean), len(clean))
        largest = max(line["z"] for line in clean)
        parts.append(f"Unmarked excerpts called marked: {rated(alarms)}; largest z {largest:.2f}")
    return "\n".join(parts)


def _off(line: Line) -> str:
    """Return by how many seconds the ends of a part were missed."""
    if "off" not in line:
        return ""
    return (
        "not on the timeline"
        if line["off"] is None
        else "off by {:+.2f}, {:+.2f} s".format(*line["off"])
    )
