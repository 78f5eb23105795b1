"""Refusals that arrive: what is done with the rest of a body that nobody wants.

A server that goes on reading what it refused can be kept busy for ever; one that closes at once may
have its answer thrown away with the rest.  So a little more is read once the answer is on its way,
and then the connection closes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Draining"]

_BYTES = 4 << 20  # that are read of a body after it was refused
_SECONDS = 1.0  # for which they are waited for


class Draining:
    """Closes connections on which more comes than was wanted.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        complete = "transfer-encoding" not in headers and length in {"", "0"}
        closing = False

        async def receiving() -> Message:
            nonlocal complete
            message = await receive()
            complete = complete or _is_last(message)
            return message

        async def sending(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and not complete:
                closing = True
                MutableHeaders(scope=message)["Connection"] = "close"
            if closing and message["type"] == "http.response.body" and not message.get("more_body"):
                await send({**message, "more_body": True})
                await _drain(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self._app(scope, receiving, sending)


async def _drain(receive: Receive) -> None:
    """Read on for a moment, so that the answer is not lost with what nobody reads."""
    left = _BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            while left > 0:
                message = await receive()
                if _is_last(message):
                    return
                left -= len(message.get("body", b""))


def _is_last(message: Message) -> bool:
    return message["type"] != "http.request" or not message.get("more_body", False)
