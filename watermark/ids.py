"""Names of rows: random ones, and ones that sort by their time.

They are written in Crockford's base 32, lower case: no letter that reads like a digit, and an
order of texts that is the order of times.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

__all__ = ["earliest_id", "parse_time", "random_id", "timed_id"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME = 10  # letters of 5 bits: milliseconds since 1970 for 35,000 years
_RANDOM = 14  # letters, 70 bits: nobody guesses the id of somebody else's job


def random_id(prefix: str, length: int = 10) -> str:
    """Return `prefix` and `length` random letters."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def timed_id(prefix: str, at: datetime) -> str:
    """Return a random id that sorts behind those of earlier times, to the millisecond."""
    return random_id(earliest_id(prefix, at), _RANDOM)


def earliest_id(prefix: str, at: datetime) -> str:
    """Return what no `timed_id` of this or a later time sorts before."""
    since = max(0, int(1000 * at.timestamp()))
    letters = [_ALPHABET[since >> 5 * place & 31] for place in reversed(range(_TIME))]
    return prefix + "".join(letters)


def parse_time(text: str) -> datetime:
    """Read a time in ISO 8601; one without a zone is in UTC.

    Raises
    ------
    ValueError
        If `text` is no time.
    """
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
