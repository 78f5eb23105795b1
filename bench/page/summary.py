"""Rows of the benchmark to a summary of counts, which is what is committed and drawn from.

A row is one trial, and says `system`, `visibility` ("default" or "equal"), `kind` ("image" or
"video"), `family`, `attack`, `strength`, `sha256`, `draw`, `found`, `z`, `log10_p` and `error`.
It may say `group`, its row of the short table, and `curve`, the line it lies on; without them the
family is the group, and the curve is the attack's name up to a number that is its strength.

Some families are told apart, since their rows are no attacks on a mark:

- ``null``: nothing was to be found, so `found` is a false alarm and `log10_p` a draw of the null;
- ``fidelity``: a picture's `jod`, `vmaf`, `ssimulacra2`, `ssim`, `psnr`, `flat_rms`, `flicker`;
- ``price``: `z` and `jod` of a picture marked with `strength`;
- ``forgery``: an unmarked picture given what `strength` marked frames have in common, and `found`
  says that it is taken for marked, which it should not be.

``scaling`` (size of the registry, crop area, clip length) and ``averaging`` (what `strength` frames
have in common, taken away) are attacks like others, in sections of their own.  A row
``{"system": …, "skipped": reason}`` says what was not run.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binom

from bench.page.names import MEASURES
from bench.score import Score

__all__ = ["Cell", "cells", "read_summary", "summarise", "write_summary"]

Row = Mapping[str, Any]
Spread = tuple[float | None, float | None, float | None]

_RUN = ("what", "profile", "commit", "corpus", "seed", "machine", "versions")
_PLACE = ("system", "visibility", "kind", "family", "group", "attack", "curve", "strength")
_NUMBER = re.compile(r"\s*[x×=+−-]?(\d+(?:\.\d+)?)\s*[°%]?$")
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_TAIL = 60  # places at which the order statistics of p are kept


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of one system's marks under one attack.

    Parameters
    ----------
    system, visibility, kind, family, group, attack, curve : str
    strength : float or None
    score : Score
        Trials with an error count as not found.
    errors : int
    z : (low, median, high)
        The median of z, and its 95 % interval from order statistics where 6 trials have a z.
    jod : float or None
        Median of what the mark costs, where rows say so.
    """

    system: str
    visibility: str
    kind: str
    family: str
    group: str
    attack: str
    curve: str
    strength: float | None
    score: Score
    errors: int
    z: Spread
    jod: float | None

    @property
    def name(self) -> str:
        """The attack with its strength, also where its own name does not say it."""
        told = any(letter.isdigit() for letter in self.attack)
        if told or self.strength is None or self.strength < 0:  # as lists write "none"
            return self.attack
        return f"{self.attack} {self.strength:g}"


def cells(summary: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Return the cells of a summary."""
    return tuple(
        Cell(
            **{name: each[name] for name in _PLACE},
            score=Score(each["found"], each["trials"]),
            errors=each["errors"],
            z=(each["z"][0], each["z"][1], each["z"][2]),
            jod=each["jod"],
        )
        for each in summary["cells"]
    )


def _spread(values: Sequence[float]) -> Spread:
    """Return a median between the ends of its 95 % interval (DOI 10.1002/0471722162)."""
    if not values:
        return None, None, None
    ordered = sorted(values)
    middle = float(np.median(ordered))
    first = int(binom.ppf(0.025, len(ordered), 0.5))
    if first < 1:
        return None, _short(middle), None
    return _short(ordered[first - 1]), _short(middle), _short(ordered[-first])


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _told(rows: Iterable[Row], field: str) -> list[float]:
    """Return what rows say under a name, without nulls and errors."""
    values = [row.get(field) for row in rows if not row.get("error")]
    return [float(each) for each in values if each is not None and math.isfinite(each)]


def _curve(attack: str, strength: float | None) -> str:
    found = _NUMBER.search(attack)
    if strength is None or found is None or float(found[1]) != abs(strength):
        return attack
    return attack[: found.start()] or attack


def _placed(row: Row, places: Mapping[str, tuple[str, str]]) -> Row:
    attack = row["attack"]
    group, curve = places.get(attack, (row["family"], _curve(attack, row.get("strength"))))
    return {
        **row,
        "visibility": row.get("visibility", "default"),
        "kind": row.get("kind", "image"),
        "group": row.get("group") or group,
        "curve": row.get("curve") or curve,
        "strength": row.get("strength"),
    }


def summarise(
    rows: Iterable[Row], *, date: str, places: Mapping[str, tuple[str, str]] | None = None
) -> dict[str, Any]:
    """Return the counts of a run.

    Parameters
    ----------
    rows : iterable of dict
        A trial that stands there twice (of one run in two files) counts once.
    date : str
        ISO 8601, of the run.
    places : mapping of attack to (group, curve), optional
        For rows that do not say theirs.

    Returns
    -------
    dict
        `format`, `date`, `runs`, `pictures`, `cells`, `fidelity`, `null` and `skipped`.
    """
    trials: dict[tuple[Any, ...], Row] = {}
    skipped: dict[str, str] = {}
    for row in rows:
        if "skipped" in row:
            skipped[row["system"]] = row["skipped"]
            continue
        names = ("system", "visibility", "kind", "family", "attack", "strength", "sha256", "draw")
        trials[tuple(row.get(name) for name in names)] = row
    runs = Counter(
        json.dumps({name: row[name] for name in _RUN if name in row}, sort_keys=True)
        for row in trials.values()
    )
    measured = [row for row in trials.values() if row["family"] == "fidelity"]
    nulls = [row for row in trials.values() if row["family"] == "null"]
    others = [
        _placed(row, places or {})
        for row in trials.values()
        if row["family"] not in {"fidelity", "null"}
    ]
    shown = [*measured, *others]
    kinds = {row.get("kind", "image") for row in shown}
    return {
        "format": 1,
        "date": date,
        "runs": [json.loads(run) | {"trials": count} for run, count in sorted(runs.items())],
        "pictures": {
            kind: len({row["sha256"] for row in shown if row.get("kind", "image") == kind})
            for kind in sorted(kinds)
        },
        "cells": _cells(others),
        "fidelity": _fidelity(measured),
        "null": _null(nulls),
        "skipped": [{"system": name, "reason": skipped[name]} for name in sorted(skipped)],
    }


def _grouped(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[tuple(row.get(name) for name in names)].append(row)
    return dict(sorted(found.items(), key=lambda item: tuple(map(_order, item[0]))))


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return number, float(value) if number else 0.0, "" if number or value is None else str(value)


def _cells(rows: Iterable[Row]) -> list[dict[str, Any]]:
    return [
        dict(zip(_PLACE, place, strict=True))
        | {
            "found": sum(bool(row["found"]) and not row.get("error") for row in mine),
            "trials": len(mine),
            "errors": sum(bool(row.get("error")) for row in mine),
            "z": _spread(_told(mine, "z")),
            "jod": _spread(_told(mine, "jod"))[1],
        }
        for place, mine in _grouped(rows, _PLACE).items()
    ]


def _fidelity(rows: Iterable[Row]) -> list[dict[str, Any]]:
    found = []
    for place, mine in _grouped(rows, ("system", "visibility", "kind")).items():
        for measure in MEASURES:
            values = _told(mine, measure)
            if values:
                system, visibility, kind = place
                found.append(
                    {
                        "system": system,
                        "visibility": visibility,
                        "kind": kind,
                        "measure": measure,
                        "trials": len(values),
                        "quantiles": [_short(q) for q in np.quantile(values, _QUANTILES)],
                    }
                )
    return found


def _null(rows: Iterable[Row]) -> list[dict[str, Any]]:
    found = []
    for (system, attack), mine in _grouped(rows, ("system", "attack")).items():
        ordered = sorted(_told(mine, "log10_p"))
        ranks = np.geomspace(1, max(1, len(ordered)), _TAIL).round().astype(int)
        found.append(
            {
                "system": system,
                "attack": attack,
                "alarms": sum(bool(row["found"]) for row in mine),
                "trials": len(mine),
                "tail_trials": len(ordered),
                "tail": [[int(rank), _short(ordered[rank - 1])] for rank in np.unique(ranks)]
                if ordered
                else [],
            }
        )
    return found


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write a summary as JSON, one line a cell, so that two of them can be told apart by `diff`."""
    parts = []
    for name, value in summary.items():
        if isinstance(value, list) and value:
            lines = ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in value)
            parts.append(f' "{name}": [\n  {lines}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(value, ensure_ascii=False)}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def read_summary(path: Path) -> dict[str, Any]:
    """Read a summary.

    Raises
    ------
    ValueError
        If the file is none, or of a format that this program does not know.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(summary, dict) or summary.get("format") != 1:
        raise ValueError(f"{path} is no summary of the benchmark in format 1")
    return summary
