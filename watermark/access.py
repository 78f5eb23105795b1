"""Who may do what in the detect service: a token and its scopes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SCOPES", "Token"]

SCOPES = ("detect", "works:read", "works:write", "admin")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; its secret is not.

    Parameters
    ----------
    id : str
        Ten letters that stand in the secret too, and in the log.
    name : str
        Whose it is, in words.
    scopes : frozenset of str
        Of `SCOPES`.
    created_at, last_used_at, revoked_at : str or None
        UTC, ISO 8601; the last use is told to the minute.
    """

    id: str
    name: str
    scopes: frozenset[str]
    created_at: str
    last_used_at: str | None = None
    revoked_at: str | None = None

    def allows(self, scope: str) -> bool:
        """Tell whether it may do what `scope` stands for; ``admin`` may do everything."""
        return scope in self.scopes or "admin" in self.scopes
