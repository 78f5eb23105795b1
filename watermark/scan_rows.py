"""What is told of one sample of a pile, as one row: the words of `watermark.record`, and its names.

The same row comes from a scan, from deciding anew on what was kept, on one machine or on many.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from watermark.clip_identification import ClipIdentification
from watermark.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia, WatermarkError
from watermark.identification import Identification
from watermark.record import record
from watermark.sample import Kind

__all__ = ["Row", "failed_row", "told_row"]

# Why a sample could not be looked at, in one word.
_REASONS: tuple[tuple[type[WatermarkError], str], ...] = (
    (UnreadableMedia, "unreadable"),
    (UnsupportedMedia, "unsupported"),
    (MediaTooLarge, "too-large"),
)
# Of each mark that is told; its labels are JSON text, since every mark has others.
_OF_A_MARK = (
    *("work", "title", "mark", "training", "terms", "rights_holder", "log10_p"),
    *("log10_p_wrong_work", "z", "model_based", "key", "alignment", "matrix", "outline"),
)
_FIRST = (
    *("work", "title", "mark", "training", "log10_p", "log10_p_wrong_work", "z"),
    *("alignment", "outline"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What is told of one sample.

    Parameters
    ----------
    cells : dict
        By the names of `watermark.tables.ROWS`; those that are missing are null.
    evidence : bytes or None
        What was observed, from `watermark.compact.pack`, where it is kept.
    thumbnail : bytes or None
        A small JPEG of what a mark was found in.
    """

    cells: dict[str, Any]
    evidence: bytes | None = None
    thumbnail: bytes | None = None


def told_row(
    source: str,
    key: str,
    kind: Kind,
    told: Identification | ClipIdentification,
    *,
    sha256: str | None,
    evidence: bytes | None = None,
    thumbnail: bytes | None = None,
) -> Row:
    """Return the row of a sample that was looked at.

    Parameters
    ----------
    source, key : str
        As in `watermark.sample.Sample`.
    kind : str
        ``still`` or ``clip``.
    told : Identification or ClipIdentification
    sha256 : str or None
        Of its file, hexadecimal.
    """
    clip = told if isinstance(told, ClipIdentification) else None
    whole = clip.whole if clip is not None else told
    assert isinstance(whole, Identification)
    row = record(whole)
    cells = {
        **_named(source, key),
        "sha256": sha256,
        "kind": kind,
        "width": whole.size[0],
        "height": whole.size[1],
        "frames": 1 if clip is None else clip.frames,
        "verdict": row["verdict"],
        **{name: row[name] for name in _FIRST},
        "works": [
            {**{name: each[name] for name in _OF_A_MARK}, "labels": _labels(each["labels"])}
            for each in row["works"]
        ],
    }
    return Row(cells, evidence, thumbnail)


def failed_row(
    source: str,
    key: str,
    error: Exception | str,
    *,
    kind: Kind | None = None,
    sha256: str | None = None,
    reason: str | None = None,
) -> Row:
    """Return the row of a sample, or of a whole source, that could not be looked at.

    `reason` is one word; by default it is told by the kind of error.
    """
    classes = (word for made, word in _REASONS if isinstance(error, made))
    cells: dict[str, Any] = {
        **_named(source, key),
        "sha256": sha256,
        "kind": kind,
        "works": [],
        "reason": reason or next(classes, "broken"),
        "error": text(str(error)),
    }
    return Row(cells)


def text(value: str) -> str:
    """Return text that every table can hold: bytes that are no text are escaped."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _named(source: str, key: str) -> dict[str, str]:
    return {"source": text(source), "key": text(key)}


def _labels(labels: dict[str, str] | None) -> str | None:
    return None if not labels else json.dumps(labels, ensure_ascii=False, sort_keys=True)
