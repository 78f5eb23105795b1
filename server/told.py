"""What a person is told of one file, made from the row that scripts get.

The row is that of `watermark.record` with what the service adds to it.  One that was made for an
anonymous caller has no numbers; nothing here asks for more than is there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from server.answers import strictest
from server.messages import Messages
from watermark.record import BLANK

__all__ = ["Told", "bytes_told", "clock", "heads", "odds", "told"]

# What a template asks for, whether or not a row has it.
_EMPTY = BLANK | dict.fromkeys(("examined", "profile", "server", "sighting"))
_WORK = dict.fromkeys(("work", "title", "mark", "rights_holder", "training", "terms", "labels"))
_HEADS = math.log10(2)  # of the odds of a coin
_PLAIN = 6  # zeros of odds that are written out
_SILENT = -3.0  # log10 p above which nothing stands out


@dataclass(frozen=True, slots=True)
class Told:
    """One file's verdict in words.

    Parameters
    ----------
    row : dict
        What scripts get.
    kind : str
        ``still`` or ``film``.
    sentence : str
        Name of the message that says it in one sentence.
    works : tuple of dict
        Those of the row, each with its ``permission``.
    permission : str
        The strictest of them, or ``unknown``.
    coarse : bool
        Whether there are no numbers, since nobody signed in.
    """

    row: dict[str, Any]
    kind: str
    sentence: str
    works: tuple[dict[str, Any], ...]
    permission: str
    coarse: bool

    @property
    def verdict(self) -> str:
        """One of the four."""
        return str(self.row["verdict"])

    @property
    def named(self) -> tuple[dict[str, Any], ...]:
        """The works that may be named."""
        return tuple(each for each in self.works if each["title"])

    @property
    def different(self) -> int:
        """How many works they are marks of."""
        return len({each["work"] for each in self.works})

    @property
    def quiet(self) -> bool:
        """Whether nothing in the file stands out."""
        log10_p = self.row["log10_p"]
        return log10_p is None or log10_p > _SILENT


def told(row: dict[str, Any], kind: str) -> Told:
    """Return what a person is told."""
    row = _EMPTY | row
    works = tuple(
        _WORK | each | {"permission": each.get("training") or "unknown"} for each in row["works"]
    )
    coarse = row["z"] is None
    how = _how(works, coarse=coarse)
    sentence = ".".join(filter(None, (row["verdict"], how, kind)))
    permission = strictest(each["permission"] for each in works)
    return Told(row, kind, sentence, works, permission, coarse)


def _how(works: tuple[dict[str, Any], ...], *, coarse: bool) -> str:
    """Return which of the sentences of a verdict it is."""
    if len({each["work"] for each in works}) > 1:
        return "several"
    if not works or works[0]["title"]:
        return ""
    if coarse:
        return "some"
    # The number of a work that may not be named would name it.
    return "unnamed" if works[0]["mark"] is None else "unknown"


def odds(t: Messages, log10_p: float) -> Markup:
    """Return a small probability as ``1 in N`` and, where N is long, as a power of ten."""
    if log10_p > -_PLAIN:
        # Rounded down: the chance is at most what is told.
        return t("odds.one_in", number=f"{max(1, math.floor(10**-log10_p + 1e-9)):,}")
    power = Markup("<sup>{}</sup>").format(math.floor(-log10_p + 1e-9))
    return t("odds.power", exponent=power)


def heads(log10_p: float) -> str:
    """Return how many heads in a row are about as likely."""
    return f"{round(-log10_p / _HEADS):,}"


def clock(seconds: float) -> str:
    """Write a time as on a player, with tenths of a second."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clocked = f"{minutes:02}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
    return f"{hours}:{clocked}" if hours else clocked


def bytes_told(count: float) -> str:
    """Write a number of bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB" if count < 10 and count % 1 else f"{count:.0f} GiB"
