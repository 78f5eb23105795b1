"""Tokens of the detect service: who may do what.

A token is a word that a program sends with each request.
The registry keeps a keyed hash of it, so that a copy of the registry lets nobody in; the word
itself is shown once, when it is made.
It is 32 random bytes, so nothing slow is needed against guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from watermark.access import SCOPES, Token
from watermark.database import now
from watermark.errors import RegistryBusy, RegistryError, UnknownToken
from watermark.ids import random_id
from watermark.registry import Registry

__all__ = ["SCOPES", "Token", "Tokens"]

_TOKENS = sa.table(
    "tokens",
    *(sa.column(name, sa.Text) for name in ("id", "name", "scopes")),
    *(sa.column(name, sa.LargeBinary) for name in ("salt", "digest")),
    *(sa.column(name, sa.Text) for name in ("created_at", "last_used_at", "revoked_at")),
)
_SHOWN = [column for column in _TOKENS.c if column.name not in {"salt", "digest"}]
_SECRET = re.compile(r"sukashi_([0-9a-z]{10})_[0-9A-Za-z_-]{43}")
_BYTES = 32  # of the secret, its salt and its digest
_LONGEST = 200  # characters of a name


class Tokens:
    """The tokens in a registry; every method is one transaction."""

    def __init__(self, registry: Registry) -> None:
        self._database = registry.database
        self._used: dict[str, str] = {}
        # An unknown id is hashed like a known one, so that time tells nothing.
        self._nobody = secrets.token_bytes(_BYTES)

    def new(self, name: str, scopes: Iterable[str]) -> tuple[Token, str]:
        """Make a token and return it with its secret, which is never shown again.

        Raises
        ------
        RegistryError
            If the name is empty, longer than 200 characters, or not printable.
        ValueError
            If `scopes` is empty, or names one that is not in `SCOPES`.
        """
        wanted = frozenset(scopes)
        if not wanted or not wanted <= set(SCOPES):
            raise ValueError(f"scopes are some of {', '.join(SCOPES)}; not {sorted(wanted)}")
        name = name.strip()
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise RegistryError(
                f"a token's name is 1 to {_LONGEST} printable characters; say whose it is"
            )
        token = Token(random_id(""), name, wanted, now())
        secret = f"sukashi_{token.id}_{secrets.token_urlsafe(_BYTES)}"
        salt = secrets.token_bytes(_BYTES)
        values = {
            "id": token.id,
            "name": name,
            "scopes": " ".join(scope for scope in SCOPES if scope in wanted),
            "salt": salt,
            "digest": _digest(secret, salt),
            "created_at": token.created_at,
        }
        with self._database.writing(alone=False) as connection:
            connection.execute(sa.insert(_TOKENS).values(**values))
        return token, secret

    def check(self, secret: str) -> Token | None:
        """Return the token with this secret, or None if it is unknown or revoked."""
        match = _SECRET.fullmatch(secret)
        if match is None:
            return None
        with self._database.reading() as connection:
            row = connection.execute(sa.select(_TOKENS).where(_TOKENS.c.id == match[1])).first()
        salt, digest = (row.salt, row.digest) if row else (self._nobody, self._nobody)
        same = hmac.compare_digest(_digest(secret, salt), digest)
        if row is None or not same or row.revoked_at is not None:
            return None
        return _to_token(row)

    def used(self, token_id: str) -> None:
        """Note that a token was used now; once a minute is enough to write it down.

        While another process holds the registry it is not written down, which stops nobody.
        """
        minute = datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ")
        if self._used.get(token_id) == minute:
            return
        self._used[token_id] = minute
        this = (_TOKENS.c.id == token_id) & (
            _TOKENS.c.last_used_at.is_(None) | (_TOKENS.c.last_used_at < minute)
        )
        with self._database.reading() as connection:
            if not connection.scalar(sa.select(sa.exists().where(this))):
                return
        with suppress(RegistryBusy), self._database.writing(alone=False) as connection:
            connection.execute(sa.update(_TOKENS).where(this).values(last_used_at=minute))

    def all(self) -> list[Token]:
        """Return all tokens, also revoked ones, oldest first."""
        query = sa.select(*_SHOWN).order_by(_TOKENS.c.created_at, _TOKENS.c.id)
        with self._database.reading() as connection:
            return [_to_token(row) for row in connection.execute(query)]

    def find(self, name: str) -> Token:
        """Return the token with this id, or else the only one in force with this name.

        Raises
        ------
        UnknownToken
            If there is none, or several have this name.
        """
        everything = self.all()
        found = [token for token in everything if token.id == name]
        found = found or [
            token for token in everything if token.name == name and token.revoked_at is None
        ]
        if not found:
            raise UnknownToken(f"there is no token {name!r}; see 'sukashi token list'")
        if len(found) > 1:
            ids = ", ".join(token.id for token in found)
            raise UnknownToken(f"{name!r} names several tokens; name one by its id: {ids}")
        return found[0]

    def revoke(self, token_id: str) -> Token:
        """Let a token do nothing from now on, and return it; once is enough.

        Raises
        ------
        UnknownToken
            If there is none with this id.
        """
        this = _TOKENS.c.id == token_id
        with self._database.writing(alone=False) as connection:
            row = connection.execute(sa.select(*_SHOWN).where(this).with_for_update()).first()
            if row is None:
                raise UnknownToken(f"there is no token {token_id!r}; see 'sukashi token list'")
            token = _to_token(row)
            if token.revoked_at is None:
                token = replace(token, revoked_at=now())
                connection.execute(
                    sa.update(_TOKENS).where(this).values(revoked_at=token.revoked_at)
                )
        return token


def _digest(secret: str, salt: bytes) -> bytes:
    keyed = hashlib.blake2b(secret.encode(), digest_size=_BYTES, key=salt, person=b"sukashi token")
    return keyed.digest()


def _to_token(row: Any) -> Token:
    return Token(
        row.id,
        row.name,
        frozenset(row.scopes.split()),
        row.created_at,
        row.last_used_at,
        row.revoked_at,
    )
