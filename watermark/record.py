"""What is told of a file as one row for scripts: the same words from the command and the server.

Logs are to base 10, numbers are rounded to three digits, and whatever would name a work that may
not be named is left out.
"""

from __future__ import annotations

from typing import Any

from watermark.clip_identification import ClipIdentification, Part
from watermark.identification import FoundMark, Identification, Rival

__all__ = ["BLANK", "film_record", "found_record", "record"]

# What is told of each work that was found, and of the first one beside the verdict.
_FIELDS = (
    *("work", "title", "mark", "training", "log10_p", "log10_p_wrong_work", "z"),
    *("rights_holder", "terms", "labels", "model_based", "key", "alignment", "matrix", "outline"),
)
# The row of a picture of which nothing is known.
BLANK: dict[str, Any] = {
    **dict.fromkeys(("verdict", *_FIELDS)),
    "works": [],
    "candidates": [],
    "runner_up": None,
    "enough_short": None,
}


def record(told: Identification) -> dict[str, Any]:
    """Return what is told of a picture as the row for scripts, its file left out."""
    works = [found_record(each) for each in told.found]
    best = {"log10_p": _number(told.log10_p), "z": _number(told.z)}
    return {
        "verdict": told.verdict,
        **(works[0] if works else dict.fromkeys(_FIELDS) | best),
        "works": works,
        "candidates": [_rival(each) for each in told.candidates],
        "runner_up": _rival(told.runner_up) if told.runner_up else None,
        "enough_short": told.enough_short,
    }


def found_record(each: FoundMark) -> dict[str, Any]:
    """Return what is told of one mark."""
    work = each.work
    wrong = each.log10_p_wrong_work
    unnamed = each.registered and work is None
    return {
        "work": work.id if work else None,
        "title": work.title if work else None,
        # The number of a work that may not be named would name it.
        "mark": None if unnamed else f"{each.number:012x}",
        "training": work.training if work else None,
        "log10_p": _number(each.log10_p),
        "log10_p_wrong_work": None if wrong is None else _number(wrong),
        "z": _number(each.z),
        "rights_holder": work.rights_holder if work else None,
        "terms": work.terms if work else None,
        "labels": dict(each.mark.labels) if each.mark else None,
        "model_based": each.model_based,
        "key": each.fingerprint,
        "alignment": each.alignment,
        # Nine digits: a thousandth of a pixel of the largest pictures.
        "matrix": [[float(f"{value:.9g}") + 0.0 for value in row] for row in each.matrix],
        "outline": [[round(x, 1) + 0.0, round(y, 1) + 0.0] for x, y in each.outline],
    }


def _rival(each: Rival) -> dict[str, Any]:
    return {
        "work": each.work.id,
        "title": each.work.title,
        "mark": str(each.mark),
        "z": _number(each.z),
    }


def _number(value: float) -> float:
    return round(value, 3) + 0.0  # −0.0 would be printed with its sign


def film_record(told: ClipIdentification) -> dict[str, Any]:
    """Return what is told of a film as the row for scripts, its file left out."""
    return {
        **record(told.whole),
        "duration": None if told.duration is None else round(told.duration, 3),
        "seconds": round(told.seconds, 3),
        "frames": told.frames,
        "looks": told.looks,
        "key_frames": told.key_frames,
        "damaged": told.damaged,
        "timeline": [_part(each) for each in told.parts],
        "points": [[round(time, 3), round(value, 3) + 0.0] for time, value in told.points],
    }


def _part(part: Part) -> dict[str, Any]:
    mark = part.mark
    work = mark.work if mark is not None else None
    # The number of a work that may not be named would name it.
    number = None if mark is None or (mark.registered and work is None) else mark.number
    return {
        "start": round(part.start, 3),
        "end": round(part.end, 3),
        "marked": mark is not None,
        "work": work.id if work else None,
        "title": work.title if work else None,
        "mark": None if number is None else f"{number:012x}",
        "log10_p": None if mark is None else round(mark.log10_p, 3) + 0.0,
        "z": None if mark is None else round(mark.z, 3) + 0.0,
        "alignment": None if mark is None else mark.alignment,
    }
