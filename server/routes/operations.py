"""``/healthz``, ``/readyz``, ``/metrics``, ``/openapi.json``, ``/docs``: for those who run it."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from server.documentation import docs_page
from server.problems import Problem, documented
from watermark.errors import RegistryError

__all__ = ["router"]

router = APIRouter(tags=["operations"])

_FORWARDING = {"x-forwarded-for", "x-real-ip", "forwarded"}


class Health(BaseModel):
    """That it is alive."""

    status: str


class Readiness(BaseModel):
    """That it can detect, and how busy it is."""

    status: str
    workers: int
    waiting: int
    jobs: int


def _reader(request: Request) -> None:
    """Let this machine and admins read the counts, or everybody, as the settings say."""
    host = request.client.host if request.client else ""
    # A proxy on this machine that no setting names speaks for somebody else.
    passed_on = not _FORWARDING.isdisjoint(request.headers)
    here = _is_loopback(host) and (
        bool(request.app.state.settings.trusted_proxies) or not passed_on
    )
    if request.app.state.settings.metrics == "all" or here:
        return
    request.app.state.auth.admit(request, "admin")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@router.get("/healthz", summary="Is the process alive")
def healthz() -> Health:
    """Say that the process answers."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it detect", responses=documented(503))
def readyz(request: Request) -> Readiness:
    """Say that workers are there, the registry can be asked, and uploads can be received."""
    state = request.app.state
    if not state.engine.ready():
        raise Problem.wait("busy", "No worker is ready.", 5)
    state.grounds.check()
    now = state.engine.state()
    return Readiness(
        status="ok",
        workers=now["workers"],
        waiting=now["waiting"],
        jobs=state.queue.length(),
    )


@router.get(
    "/metrics",
    summary="Counts for Prometheus",
    response_class=Response,
    dependencies=[Depends(_reader)],
    responses={
        200: {
            "description": "The counts.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **documented(401, 403),
    },
)
def metrics(request: Request) -> Response:
    """Return what was counted, for this machine and admins unless set otherwise."""
    jobs: dict[str, int] = {}
    # Whoever watches must hear of the rest when the registry is gone.
    with suppress(RegistryError):
        jobs = request.app.state.jobs.count()
    return Response(request.app.state.metrics.text(jobs), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> JSONResponse:
    """Return the OpenAPI document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> HTMLResponse:
    """Show the OpenAPI document to a person, without a script and without a third party."""
    return docs_page(request.app.openapi())
