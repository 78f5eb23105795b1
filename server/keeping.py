"""Keeping no longer than one may: sightings that are too old are forgotten while the service runs.

Every HTTP process looks for them, so it happens wherever one runs; of two that look at the same
time one finds nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from anyio import to_thread
from fastapi import FastAPI

from server.metrics import Metrics
from watermark.errors import RegistryError
from watermark.forgetting import forget_before
from watermark.registry import Registry

__all__ = ["Keeping"]

_LOG = logging.getLogger("sukashi.keeping")
_EVERY = 600.0  # seconds between two looks


class Keeping:
    """Forgets sightings once they are too old.

    Parameters
    ----------
    registry : Registry
    days : float or None
        For which they are kept; None is for ever.
    metrics : Metrics
        Counts those that are gone.
    """

    def __init__(self, registry: Registry, days: float | None, metrics: Metrics) -> None:
        self._registry, self._metrics = registry, metrics
        self._age = None if days is None else timedelta(days=days)

    def sweep(self) -> int:
        """Forget what is too old now, and return how many sightings that were."""
        if self._age is None:
            return 0
        gone = forget_before(self._registry, datetime.now(UTC) - self._age)
        if gone:
            self._metrics.forgotten.inc(gone)
            _LOG.info("%d sightings were older than they are kept", gone)
        return gone

    @asynccontextmanager
    async def while_serving(self, _: FastAPI) -> AsyncIterator[None]:
        """Forget now and then, for as long as an application runs."""
        sweeping = asyncio.create_task(self._again_and_again())
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping

    async def _again_and_again(self) -> None:
        while self._age is not None:
            try:
                await to_thread.run_sync(self.sweep)
            except RegistryError as error:
                _LOG.warning("old sightings could not be forgotten (%s)", error)
            await asyncio.sleep(_EVERY)
