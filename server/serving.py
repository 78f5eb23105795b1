"""The service as processes: HTTP on one port, and one that works on jobs.

One HTTP process runs in this very process; of several each is a child with workers of its own, and
all share the socket, the registry, the spool and the queue.  Jobs are worked on by a process beside
them, whose workers let those of HTTP go before.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from server.answers import Answers
from server.app import create_app
from server.companion import LEAVE, Companion, dumped, loaded
from server.endings import die_with_parent
from server.engine import Engine
from server.logs import set_up
from server.metrics import FOLDER
from server.queueing import Queue, Taker
from server.secrecy import hide_memory
from server.settings import Settings
from server.spool import Spool
from watermark.jobs import Jobs
from watermark.registry import open_registry

__all__ = ["bound", "serve", "work"]

_NICE = 10  # by how much workers of HTTP go before those of jobs
_TIDY = 10.0  # seconds between two looks at what was left lying
_BACKLOG = 2048  # connections that wait to be accepted
_LOOK = 0.1  # seconds between two looks at whether children are ready
_READY = ".ready"  # ending of the file that a child leaves which is
_RUN = "sukashi-run-"  # how folders of runs begin; the process that made one follows
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
    hide_memory()
    build = partial(_app, dumped(settings), run_token, session_secret)
    with ExitStack() as stack:
        # Nobody waits for the start of the one while the other starts.
        if settings.job_workers:
            stack.enter_context(Companion(settings))
        if settings.processes == 1:
            engine = Engine(settings)
            stack.callback(engine.close)
            app = build(engine=engine)
            noted = stack.enter_context(_signals_noted())
            on_ready()
            _Server(_config(settings, app), noted).run(sockets=[listening])
        else:
            folder = stack.enter_context(_run_folder())
            build = partial(build, ready=folder)
            config = _config(settings, build, factory=True, workers=settings.processes)
            children = uvicorn.supervisors.Multiprocess(config, sockets=[listening])
            with _told_when(settings.processes, folder, on_ready):
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
    ready: Path | None = None,
) -> FastAPI:
    """Make the application of one process; a child leaves a file in the folder `ready`."""
    settings = loaded(values)
    set_up(settings)
    if engine is None:  # in a child
        die_with_parent()
        hide_memory()
        engine = Engine(settings)
    app = create_app(
        open_registry(settings.registry),
        engine,
        settings,
        spool=Spool(settings.spool_folder),
        queue=Queue(settings),
        run_token=run_token,
        session_secret=session_secret,
    )
    if ready is not None:
        (ready / f"{os.getpid()}{_READY}").touch()
    return app


@contextmanager
def _run_folder() -> Iterator[Path]:
    """Make a private folder in which the processes of one run add up what they count."""
    _tidy(Path(gettempdir()))
    with TemporaryDirectory(prefix=f"{_RUN}{os.getpid()}-") as folder:
        os.environ[FOLDER] = folder  # children read it as they start
        try:
            yield Path(folder)
        finally:
            del os.environ[FOLDER]


def _tidy(place: Path) -> None:
    """Remove what runs left behind that were killed and could not."""
    for folder in place.glob(f"{_RUN}*-*"):
        owner = folder.name.removeprefix(_RUN).partition("-")[0]
        with suppress(OSError, ValueError):
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                continue
            try:
                os.kill(int(owner), 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told_when(count: int, folder: Path, on_ready: Callable[[], None]) -> Iterator[None]:
    """Call `on_ready` as soon as so many children are ready, unless it is over before that."""
    over = threading.Event()

    def watch() -> None:
        while len(list(folder.glob(f"*{_READY}"))) < count:
            if over.wait(_LOOK):
                return
        on_ready()

    watching = threading.Thread(target=watch, name="ready", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


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


def work(settings: Settings, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Work on jobs until SIGINT or SIGTERM; what is not finished in time is put back.

    Raises
    ------
    WatermarkError
        If a key or the registry cannot be read.
    RuntimeError
        If the workers do not start.
    """
    hide_memory()
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
            answers=Answers(registry, settings),
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
                thread.join(LEAVE)
