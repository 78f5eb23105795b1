"""Works and their marks: what a registry holds.

A *work* is a film, an episode or a picture series with a rights holder.
A *mark* is one 48-bit number embedded in copies of it: a work has one or several, perhaps one
for each recipient.

Silence about training means ``not-permitted``: permission is given in words or not at all.
Mark numbers are integers here and twelve lower-case hex digits wherever they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from watermark.errors import InvalidWork

__all__ = ["MARK_BITS", "TRAINING", "Mark", "Work", "format_mark", "parse_mark", "write_labels"]

MARK_BITS = 48
TRAINING = ("not-permitted", "allowed", "constrained")

_MARK = re.compile(r"[0-9a-f]{12}")
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Work:
    """One registered work.

    Parameters
    ----------
    id : str
        Short name, for example ``w-7k2m9q4xbd``.
    title, rights_holder, contact, url : str
        Free text; only `title` is never empty.
    training : {'not-permitted', 'allowed', 'constrained'}
        Whether the work may be used to train a model.
    terms : str
        The conditions, never empty when `training` is ``constrained``.
    labels : mapping of str to str
        Anything else, such as ``{"episode": "3"}``.  Not to be changed in place.
    created_at, updated_at : str
        UTC, ISO 8601, to the second.
    """

    id: str
    title: str
    rights_holder: str = ""
    contact: str = ""
    url: str = ""
    training: str = "not-permitted"
    terms: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    created_at: str = ""
    updated_at: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """One number that copies of a work carry; `labels` say which copies (recipient, cut).

    `created_at` is UTC, ISO 8601, to the microsecond: the first mark of a work is the default.
    """

    number: int
    work_id: str
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    created_at: str = ""

    def __str__(self) -> str:
        return format_mark(self.number)


def format_mark(number: int) -> str:
    """Write a mark number as twelve lower-case hex digits."""
    return f"{number:012x}"


def parse_mark(text: str) -> int:
    """Read a mark number from twelve lower-case hex digits.

    Raises
    ------
    InvalidWork
        If `text` is anything else.
    """
    if not isinstance(text, str) or not _MARK.fullmatch(text):
        raise InvalidWork(f"mark {text!r} is not 12 lower-case hex digits, such as 3f2a9c01b7de")
    return int(text, 16)


def write_labels(labels: Mapping[str, str]) -> str:
    """Write labels as a JSON object with sorted keys: equal labels give equal strings."""
    if not labels:
        return "{}"
    return _ENCODER.encode(dict(labels))
