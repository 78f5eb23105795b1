"""Who asks, and what they may do: bearer tokens, sessions of the page, and strangers.

A token is checked against the registry once in a few seconds, not at every request; a revoked one
is out after that.  The memory of it holds hashes, not secrets.
A session is a signed cookie that names a token and dies with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from itsdangerous import BadSignature, URLSafeTimedSerializer

from server.problems import Problem
from server.settings import Settings
from watermark.tokens import SCOPES, Token, Tokens

__all__ = ["COOKIE", "CSRF_HEADER", "SESSION", "Auth", "Caller", "asking", "unknown"]

COOKIE = "sukashi_session"
CSRF_HEADER = "X-CSRF-Token"
SESSION = 12 * 3600  # seconds until one signs in again
_FRESH = 5.0  # seconds for which a checked token is believed
_MOST = 4096  # tokens that are remembered
_SAFE = {"GET", "HEAD", "OPTIONS"}
_RUN = "run"  # id of the token that is made for one run; no id in the registry is so short
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token made with 'sukashi token new'. Scopes: " + ", ".join(SCOPES) + ".",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks.

    Parameters
    ----------
    id : str
        Of the token, or ``anonymous``.
    name : str
        What the token is called.
    scopes : frozenset of str
    address : str
        Where they are; of IPv6 the network, since one house has many addresses.
    """

    id: str
    name: str
    scopes: frozenset[str]
    address: str

    @property
    def known(self) -> bool:
        """Whether they showed a token."""
        return bool(self.scopes)

    def may(self, scope: str) -> bool:
        """Tell whether a token lets them do what `scope` stands for."""
        return scope in self.scopes or "admin" in self.scopes


class Auth:
    """The doorkeeper.

    Parameters
    ----------
    tokens : Tokens
    settings : Settings
    run_token : str, optional
        A token with every scope for as long as this run lasts, which is in no registry.
    session_secret : bytes, optional
        What signs sessions: the same in all processes of one run.
    """

    def __init__(
        self,
        tokens: Tokens,
        settings: Settings,
        *,
        run_token: str | None = None,
        session_secret: bytes | None = None,
    ) -> None:
        self._tokens, self._settings = tokens, settings
        self._run_token = run_token
        secret = session_secret or secrets.token_bytes(32)
        self._sessions = URLSafeTimedSerializer(secret, salt="session")
        self._forms = URLSafeTimedSerializer(secret, salt="form")
        self._known: dict[bytes, tuple[float, Token]] = {}
        self._live: tuple[float, dict[str, Token]] = (-_FRESH, {})
        self._lock = threading.Lock()

    def caller(self, request: Request) -> Caller:
        """Say who asks.

        Raises
        ------
        Problem
            401 if they show a token that is none, or one that was revoked.
        """
        address = _address(request)
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, secret = header.partition(" ")
            token = self._token(secret.strip()) if scheme.lower() == "bearer" else None
            if token is None:
                raise unknown("This token is not known, or was revoked.")
            return Caller(token.id, token.name, token.scopes, address)
        session = self._session(request)
        if session is not None:
            return Caller(session.id, session.name, session.scopes, address)
        return Caller("anonymous", "", frozenset(), address)

    def sign_in(self, secret: str, *, by_link: bool = False) -> str | None:
        """Return the value of the cookie for a token, or None if it is none.

        Addresses end up in histories and logs, so a link (`by_link`) signs in with nothing that
        outlives this run.
        """
        token = self._of_this_run(secret) if by_link else self._token(secret)
        return (
            None if token is None else str(self._sessions.dumps([token.id, secrets.token_hex(8)]))
        )

    def csrf(self, request: Request) -> str:
        """Return what a form of this session carries along, so that no other site can send it."""
        return str(self._forms.dumps(_fingerprint(request.cookies.get(COOKIE, ""))))

    def check_csrf(self, request: Request, token: str) -> None:
        """Refuse a form that this session was not given.

        Raises
        ------
        Problem
            403.
        """
        try:
            mine = self._forms.loads(token, max_age=SESSION)
        except BadSignature:
            mine = ""
        cookie = request.cookies.get(COOKIE, "")
        if not isinstance(mine, str) or not hmac.compare_digest(mine, _fingerprint(cookie)):
            raise Problem("form", "It is too old, or of another session; load the page again.")

    def admit(self, request: Request, scope: str) -> Caller:
        """Say who asks, and refuse whoever may not do what `scope` stands for.

        Strangers may do what is coarse, if the settings let them, and nothing else.

        Raises
        ------
        Problem
            401 or 403.
        """
        caller = self.caller(request)
        by_cookie = caller.known and "authorization" not in request.headers
        if by_cookie and request.method not in _SAFE:
            self.check_csrf(request, request.headers.get(CSRF_HEADER, ""))
        if caller.may(scope):
            return caller
        if caller.known:
            raise Problem("forbidden", f"This token lacks the scope {scope}.")
        if scope == "detect" and self._settings.anonymous != "none":
            return caller
        raise unknown("Send a token: Authorization: Bearer sukashi_…")

    def _of_this_run(self, secret: str) -> Token | None:
        if self._run_token is None:
            return None
        same = hmac.compare_digest(secret.encode(), self._run_token.encode())
        return Token(_RUN, "this run", frozenset(SCOPES), "") if same else None

    def _token(self, secret: str) -> Token | None:
        if (ours := self._of_this_run(secret)) is not None:
            return ours
        digest = hashlib.blake2b(secret.encode()).digest()
        now = time.monotonic()
        with self._lock:
            checked, token = self._known.get(digest, (-_FRESH, None))
        if token is None or now - checked >= _FRESH:
            token = self._tokens.check(secret)
            with self._lock:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known.pop(digest, None)
                if token is not None:
                    self._known[digest] = (now, token)
        if token is not None:
            self._tokens.used(token.id)
        return token

    def _session(self, request: Request) -> Token | None:
        try:
            token_id, _ = self._sessions.loads(request.cookies.get(COOKIE, ""), max_age=SESSION)
        except BadSignature:
            return None
        if token_id == _RUN:
            return self._of_this_run(self._run_token or "")
        now = time.monotonic()
        with self._lock:
            read, live = self._live
        if now - read >= _FRESH:
            live = {each.id: each for each in self._tokens.all() if each.revoked_at is None}
            with self._lock:
                self._live = (now, live)
        return live.get(token_id)


def asking(scope: str, *, cost: int = 1) -> Callable[..., Caller]:
    """Make a dependency that says who asks, counts it, and refuses what they may not do."""

    def caller(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Caller:
        state = request.app.state
        try:
            found: Caller = state.auth.admit(request, scope)
        except Problem:
            state.limiter.spend(Caller("anonymous", "", frozenset(), _address(request)))
            raise
        request.state.caller = found.id
        state.limiter.charge(request, found, cost)
        return found

    return caller


def unknown(detail: str) -> Problem:
    """Make the problem of a caller who is to show a token."""
    return Problem("sign-in", detail, headers={"WWW-Authenticate": "Bearer"})


def _fingerprint(cookie: str) -> str:
    return hashlib.blake2b(cookie.encode(), digest_size=16).hexdigest()


def _address(request: Request) -> str:
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
