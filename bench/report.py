"""JSON lines out and in, what a run needs to be repeated, and tables in Markdown."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pywt
import scipy

from bench.score import Score

__all__ = ["lines_of", "provenance", "rated", "resumed", "table", "write_lines"]

_HERE = Path(__file__).parent


def provenance(*, seed: int, profile: str, corpus: str) -> dict[str, Any]:
    """Return what stands in every line: what was run, on what, with which versions."""
    return {
        "profile": profile,
        "commit": _commit(),
        "corpus": corpus,
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "opencv": cv2.__version__,
            "pywavelets": pywt.__version__,
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _commit() -> str:
    """Return the commit, followed by ``-dirty`` where files have changed since."""
    shown = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=_HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip() if shown.returncode == 0 else "unknown"


def write_lines(path: Path, lines: Iterable[dict[str, Any]], *, append: bool = False) -> None:
    """Write objects as JSON lines; folders are made, infinities become null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if append else "w", encoding="utf-8") as file:
        for line in lines:
            told = json.dumps(_finite(line), allow_nan=False, default=_plain)
            file.write(told + "\n")
            file.flush()


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines; a last line that was cut off is left out.

    Raises
    ------
    ValueError
        If another line is broken, or the file holds no text: what comes after it would be lost.
    """
    if not path.exists():
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: this is no text; name a file of JSON lines") from error
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise ValueError(
                f"{path}: line {number} of {len(lines)} is broken; mend it or take it out"
            ) from error


def resumed(path: Path, run: dict[str, Any], same: Sequence[str], *, keep: bool) -> list[Any]:
    """Start a file of lines anew with those of the same run, and return them.

    Where others stand in it, it is kept as it was under another name.

    Parameters
    ----------
    path : Path
    run : dict
        What stands in every line of this run.
    same : sequence of str
        The names in it by which a run is the same.
    keep : bool
        Whether to keep any.
    """
    try:
        every = list(lines_of(path))
    except ValueError as error:
        raise SystemExit(str(error)) from error
    kept = [line for line in every if keep and all(line.get(name) == run[name] for name in same)]
    if len(kept) < len(every):
        names = (path.with_name(f"{path.name}.before{number or ''}") for number in count())
        aside = next(name for name in names if not name.exists())
        path.replace(aside)
        print(f"{len(every) - len(kept)} rows of another run are in {aside}", file=sys.stderr)
    # Written anew also when resumed: a line that was cut off must not stay in the middle.
    write_lines(path, kept)
    return kept


def rated(score: Score) -> str:
    """Return a score for people: ``12/13, 92.3 % (64.0 to 99.8)``, or ``0/1000 (≤ 0.37 %)``."""
    low, high = (100 * end for end in score.interval())
    if score.found == 0:
        return f"0/{score.trials} (≤ {high:.2g} %)"
    return f"{score.found}/{score.trials}, {100 * score.rate:.1f} % ({low:.1f} to {high:.1f})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, its columns in line also where it is read as plain text."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    ruled = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in ruled
    )
