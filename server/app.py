"""The application: what the service needs, put together."""

from __future__ import annotations

from typing import Protocol

from anyio import CapacityLimiter
from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from server import pages, problems
from server.answers import Answers
from server.auth import Auth
from server.bounds import Bounds
from server.documentation import describe
from server.draining import Draining
from server.engine import Engine
from server.grounds import Grounds
from server.keeping import Keeping
from server.limits import Limiter
from server.logs import Requests
from server.metrics import Metrics
from server.routes import detect, jobs, operations, permissions, sightings, works
from server.settings import Settings
from server.spool import Spool
from server.strict import Heads
from watermark.jobs import Jobs
from watermark.registry import Registry
from watermark.sightings import Sightings
from watermark.tokens import Tokens

__all__ = ["JobQueue", "create_app"]

_SPARE = 4  # threads beyond the places of the engine: whoever finds none is told so at once


class JobQueue(Protocol):
    """Where jobs wait."""

    def put(self, job_id: str) -> None:
        """Add a job."""
        ...

    def length(self) -> int:
        """Return how many wait."""
        ...


def create_app(
    registry: Registry,
    engine: Engine,
    settings: Settings,
    *,
    spool: Spool,
    queue: JobQueue,
    run_token: str | None = None,
    session_secret: bytes | None = None,
) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    registry : Registry
        Open for writing.
    engine : Engine
        Ready to detect.
    settings : Settings
    spool : Spool
    queue : JobQueue
    run_token : str, optional
        A token with every scope that is in no registry.
    session_secret : bytes, optional
        What signs the sessions of the page: the same in all processes of one run.
    """
    metrics = Metrics(engine)
    keeping = Keeping(registry, settings.keep_days, metrics)
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=keeping.while_serving,
    )
    state = app.state
    state.registry, state.engine, state.settings = registry, engine, settings
    state.spool, state.queue = spool, queue
    state.grounds = Grounds(registry, spool)
    state.tokens, state.sightings, state.jobs = (
        Tokens(registry),
        Sightings(registry),
        Jobs(registry),
    )
    state.answers = Answers(registry, settings)
    state.auth = Auth(state.tokens, settings, run_token=run_token, session_secret=session_secret)
    state.limiter = Limiter(settings)
    state.metrics = metrics
    state.threads = CapacityLimiter(settings.workers + settings.queue_length + _SPARE)
    state.problem_page = pages.problem_page
    problems.install(app)
    describe(app, strangers=settings.anonymous != "none")
    nouns = (detect, jobs, permissions, works, sightings, operations, pages)
    for each in nouns:
        app.include_router(each.router)
    state.addresses = [route for each in nouns for route in each.router.routes]
    app.add_middleware(Heads)
    app.add_middleware(Bounds)
    app.add_middleware(Draining)
    app.add_middleware(Requests, metrics=metrics)
    if settings.trusted_proxies:
        trusted = [str(each) for each in settings.trusted_proxies]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    return app
