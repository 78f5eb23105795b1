"""Requests are what they seem: no parameter is passed over, and HEAD is GET without the body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from server.problems import Problem

__all__ = ["Heads", "StrictRoute"]

_NAME = 60  # characters of a name that are told

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that refuses parameters it does not know: a misspelt one must not be passed over."""

    def get_route_handler(self) -> Handler:
        """Return what answers a request here."""
        handle = super().get_route_handler()
        known = set(_parameters(self.dependant))

        async def strict(request: Request) -> Response:
            for name in request.query_params:
                if name not in known:
                    told = ", ".join(sorted(known))
                    has = f"this has only {told}" if told else "this has none"
                    raise Problem(
                        "invalid",
                        f"There is no parameter {name[:_NAME]!r}; {has}.",
                        more={"errors": [{"where": f"query.{name[:_NAME]}", "what": "unknown"}]},
                    )
            return await handle(request)

        return strict


def _parameters(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for each in dependant.dependencies:
        yield from _parameters(each)


class Heads:
    """Lets HEAD be asked wherever GET can be; the server leaves the body out.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, send)
        finally:
            if "route" in inner:  # for the log and the counts
                scope["route"] = inner["route"]
