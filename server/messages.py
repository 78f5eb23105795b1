"""What the page says, in the languages it speaks: one JSON file each in ``pages/messages``.

A message may hold ``{names}`` in braces; whatever is put there is escaped for HTML unless it is
HTML already.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from markupsafe import Markup, escape

__all__ = ["LANGUAGES", "Messages", "chosen_language", "messages"]

LANGUAGES = ("en", "ja")
_FOLDER = Path(__file__).parent / "pages" / "messages"


class Messages:
    """The messages of one language; called with a name and the values in it."""

    def __init__(self, language: str, texts: dict[str, str]) -> None:
        self.language = language
        self.texts = texts

    def __call__(self, name: str, /, **values: object) -> Markup:
        """Return a message as HTML.

        Raises
        ------
        KeyError
            If there is no such message, or a value of it is missing.
        """
        return Markup(escape(self.texts[name])).format(**values)  # noqa: S704 - escaped

    def __contains__(self, name: str) -> bool:
        return name in self.texts


@cache
def messages(language: str) -> Messages:
    """Return the messages of a language."""
    return Messages(language, json.loads((_FOLDER / f"{language}.json").read_text("utf-8")))


def chosen_language(wanted: str | None, accepted: str) -> str:
    """Return the language of a page.

    Parameters
    ----------
    wanted : str or None
        What was chosen by hand, if it is one of ours.
    accepted : str
        ``Accept-Language`` (RFC 9110): tags with weights, such as ``ja,en;q=0.8``.
    """
    if wanted in LANGUAGES:
        return wanted
    best, weight = LANGUAGES[0], 0.0
    for each in accepted.split(","):
        tag, _, rest = each.partition(";")
        language = tag.strip().lower().partition("-")[0]
        own = _weight(rest)
        if language in LANGUAGES and own > weight:
            best, weight = language, own
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
