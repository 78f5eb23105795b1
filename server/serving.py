"""The service as processes: HTTP on one port, and one that works on jobs.

One HTTP process runs in this very process; of several each is a child with workers of its own, and
all share the socket, the registry, the spool and the queue.  Jobs are worked on by a process beside
them, whose workers let those of HTTP go before.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from server.answers import Answers
from server.app import create_app
from server.endings import die_with_parent
from server.engine import Engine
from server.logs import set_up
from server.queueing import Queue, Taker
from server.settings import Settings
from server.spool import Spool
from watermark.jobs import Jobs
from watermark.registry import open_registry
from watermark.sightings import Sightings

__all__ = ["bound", "dumped", "loaded", "serve", "work"]

_LOG = logging.getLogger("sukashi.serving")
_NICE = 10  # by how much workers of HTTP go before those of jobs
_TIDY = 10.0  # seconds between two looks at what was left lying
_LEAVE = 5.0  # seconds for a job to be put back
_BACKLOG = 2048  # connections that wait to be accepted
_START = 120  # seconds until a child answers, on a machine that is busy


def bound(settings: Settings) -> socket.socket:
    """Return a socket that listens on the host and port of the settings.

    Raises
    ------
    OSError
        If that cannot be.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.create_server(
        (settings.host, settings.port), family=family, backlog=_BACKLOG
    )
    # Answers go out in two pieces, of which the second would wait for an acknowledgement of 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def dumped(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values, to be sent to another process."""
    return dict(json.loads(settings.model_dump_json()))


def loaded(values: dict[str, Any]) -> Settings:
    """Return the settings that `dumped` made these values of."""
    return Settings(**values)


def serve(
    settings: Settings,
    listening: socket.socket,
    *,
    run_token: str,
    session_secret: bytes,
    on_ready: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM, and finish what was taken.

    Parameters
    ----------
    settings : Settings
    listening : socket
        See `bound`.
    run_token : str
        A token with every scope for this run.
    session_secret : bytes
        What signs the sessions of the page.
    on_ready : callable
        Called when requests are about to be answered.

    Raises
    ------
    WatermarkError
        If a key or the registry cannot be read.
    RuntimeError
        If the workers do not start.
    """
    build = partial(_app, dumped(settings), run_token, session_secret)
    with ExitStack() as stack:
        # Nobody waits for the start of the one while the other starts.
        if settings.job_workers:
            stack.enter_context(_Companion(settings))
        if settings.processes == 1:
            engine = Engine(settings)
            stack.callback(engine.close)
            app = build(engine=engine)
            noted = stack.enter_context(_signals_noted())
            on_ready()
            _Server(_config(settings, app), noted).run(sockets=[listening])
        else:
            config = _config(settings, build, factory=True, workers=settings.processes)
            children = uvicorn.supervisors.Multiprocess(config, sockets=[listening])
            on_ready()
            children.run()


class _Server(uvicorn.Server):
    """A server that also ends on a signal that came before it listened to signals."""

    def __init__(self, config: uvicorn.Config, noted: threading.Event) -> None:
        super().__init__(config)
        self._noted = noted

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, unless it is over already."""
        await super().startup(sockets)
        self.should_exit = self.should_exit or self._noted.is_set()


def _config(settings: Settings, app: Any, **others: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.grace)),
        timeout_worker_healthcheck=_START,
        **others,
    )


def _app(
    values: dict[str, Any],
    run_token: str,
    session_secret: bytes,
    *,
    engine: Engine | None = None,
) -> FastAPI:
    """Make the application of one process."""
    settings = loaded(values)
    set_up(settings)
    if engine is None:  # in a child
        die_with_parent()
        engine = Engine(settings)
    return create_app(
        open_registry(settings.registry),
        engine,
        settings,
        spool=Spool(settings.spool_folder),
        queue=Queue(settings),
        run_token=run_token,
        session_secret=session_secret,
    )


@contextmanager
def _signals_noted() -> Iterator[threading.Event]:
    """Let SIGINT and SIGTERM be noted and no more, since uvicorn raises them again at its end."""
    noted = threading.Event()

    def note(_: int, __: FrameType | None) -> None:
        noted.set()

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Companion:
    """The process beside HTTP that works on jobs, started again should it end."""

    def __init__(self, settings: Settings) -> None:
        self._setup = json.dumps(dumped(settings)).encode()
        self._grace = settings.grace
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="companion", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        pause = 1.0
        while not self._over.is_set():
            began = time.monotonic()
            process = self._started()
            while process.poll() is None and not self._over.wait(0.1):
                pass
            if self._over.is_set():
                self._end(process)
                return
            pause = 1.0 if time.monotonic() - began > 60 else min(60.0, 2 * pause)
            _LOG.error("the process for jobs ended with status %s", process.returncode)
            self._over.wait(pause)

    def _started(self) -> subprocess.Popen[bytes]:
        here = str(Path(__file__).parent.parent)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": here},
            start_new_session=True,  # an interrupt is this process's to handle
        )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(self._setup)
        return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(self._grace + 2 * _LEAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def work(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Work on jobs until SIGINT or SIGTERM; what is not finished in time is put back.

    Raises
    ------
    WatermarkError
        If a key or the registry cannot be read.
    RuntimeError
        If the workers do not start.
    """
    set_up(settings)
    workers = max(1, settings.job_workers)
    with open_registry(settings.registry) as registry, ExitStack() as stack:
        engine = Engine(settings, workers=workers, nice=_NICE)
        stack.callback(engine.close)
        logging.getLogger("huey").setLevel(logging.WARNING)
        queue = Queue(settings)
        taker = Taker(
            Jobs(registry),
            engine,
            spool=Spool(settings.spool_folder),
            answers=Answers(Sightings(registry), settings),
            settings=settings,
            queue=queue,
        )
        consumer = queue.serve(taker.take, workers, settings.grace)
        consumer.start()
        with _signals_noted() as noted:
            on_ready()
            while not noted.is_set():
                taker.tidy()
                consumer.check_worker_health()
                noted.wait(_TIDY)
            consumer.stop(graceful=True)
            taker.leave()
            for _, thread in consumer.worker_threads:
                thread.join(_LEAVE)
