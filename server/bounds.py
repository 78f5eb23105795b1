"""Bodies that are no files are small: whatever reads them whole need not hold more than that."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SMALL", "Bounds"]

SMALL = 1 << 20  # bytes
_FILES = {"/", "/v1/detect", "/v1/detect/batch"}  # these count for themselves, see `server.bodies`


class Bounds:
    """Refuses bodies over `SMALL` bytes, while they come, where no file is asked for.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in _FILES:
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        seen = int(length) if length.isdecimal() and int(length) > SMALL else 0

        async def receiving() -> Message:
            nonlocal seen
            if seen <= SMALL:
                message = await receive()
                seen += len(message.get("body", b""))
            if seen > SMALL:
                raise HTTPException(413, f"This takes {SMALL:,} bytes at most.")
            return message

        await self._app(scope, receiving, send)
