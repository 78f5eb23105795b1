"""What the experiments that fit a constant to pictures have in common: their command."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, TypeVar

from bench.corpus import Picture, cores, find, side_by_side

__all__ = ["fitted"]

T = TypeVar("T")


def fitted(
    about: str | None,
    measure: Callable[[Picture], T | None],
    fit: Callable[[list[T]], dict[str, Any]],
    missing: str | None,
) -> None:
    """Measure the pictures that the command line names and print the fit.

    Parameters
    ----------
    about : str, optional
        The experiment's docstring.
    measure : callable
        Returns None for a picture that is left out.
    fit : callable
    missing : str, optional
        Why nothing can be measured.

    Raises
    ------
    SystemExit
        If something is missing.
    """
    parser = argparse.ArgumentParser(description=(about or "").split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--min-short", type=int, default=480)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args()
    if missing:
        raise SystemExit(f"nothing can be measured: {missing}")
    pictures = find(
        options.folders, min_short=options.min_short, limit=options.limit, jobs=options.jobs
    )
    measured = side_by_side(measure, pictures, jobs=options.jobs)
    print(json.dumps(fit([each for each in measured if each is not None])))
