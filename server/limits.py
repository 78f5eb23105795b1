"""How many files somebody may send in a while."""

from __future__ import annotations

import time

from fastapi import Request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from server.auth import Caller
from server.problems import Problem
from server.settings import Settings

__all__ = ["Limiter"]


class Limiter:
    """Counts what callers send: by token, or by address where there is none.

    The counts are shared by all machines where the queue is a Redis server, and are those of one
    process otherwise, also while that server is down.
    """

    def __init__(self, settings: Settings) -> None:
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = self._own
        if settings.queue is not None and settings.queue.startswith(("redis://", "rediss://")):
            patience = {"socket_timeout": 1, "socket_connect_timeout": 1}
            storage = storage_from_string(settings.queue, wrap_exceptions=True, **patience)
            assert isinstance(storage, Storage)
            self._shared = SlidingWindowCounterRateLimiter(storage)
        self._anonymous = parse(settings.rate_anonymous)
        self._token = parse(settings.rate_token)

    def spend(self, caller: Caller, cost: int = 1) -> None:
        """Count `cost` files; a batch that is larger than all one may send counts as just that.

        Raises
        ------
        Problem
            429 if that is too many.
        """
        if not cost:
            return
        try:
            self._spend(self._shared, caller, cost)
        except StorageError:
            self._spend(self._own, caller, cost)

    def charge(self, request: Request, caller: Caller, cost: int = 1) -> None:
        """Count the files of a request, to be given back if it is told to come again.

        Raises
        ------
        Problem
            429 if that is too many.
        """
        self.spend(caller, cost)
        request.state.charged = (caller, cost)

    def give_back(self, request: Request, left: int = 0) -> None:
        """Count no more than `left` of the files for which a request was charged.

        Whoever is told that the service is busy, and comes again, has sent one file and not two.
        """
        caller, cost = getattr(request.state, "charged", (None, 0))
        if caller is None:
            return
        request.state.charged = (caller, left)
        limit, who = self._of(caller)
        over = min(cost, limit.amount) - min(left, limit.amount)
        if over <= 0:
            return
        try:
            self._shared.hit(limit, who, cost=-over)
        except StorageError:
            self._own.hit(limit, who, cost=-over)

    def _spend(self, window: SlidingWindowCounterRateLimiter, caller: Caller, cost: int) -> None:
        limit, who = self._of(caller)
        if not window.hit(limit, who, cost=min(cost, limit.amount)):
            over = window.get_window_stats(limit, who).reset_time - time.time()
            raise Problem.wait("too-many", f"No more than {limit}; send less, or wait.", over)

    def _of(self, caller: Caller) -> tuple[RateLimitItem, str]:
        if caller.known:
            return self._token, f"token:{caller.id}"
        return self._anonymous, f"address:{caller.address}"
