"""A detect service for tests: a studio, real workers, and applications behind a real socket."""

import logging
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import uvicorn
from studio import Studio

from server.app import create_app
from server.engine import Engine
from server.settings import Settings
from server.spool import Spool
from watermark.registry import open_registry
from watermark.tokens import SCOPES, Tokens

RUN_TOKEN = "sukashi_run_" + "x" * 43


class Queue:
    """A queue that nobody takes from."""

    def __init__(self):
        self.jobs = []

    def put(self, job_id):
        self.jobs.append(job_id)

    def length(self):
        return len(self.jobs)


class Service:
    """A studio with workers, and as many applications on them as the tests need."""

    def __init__(self, folder):
        self.studio = Studio(folder)
        self.folder = folder
        self.settings = {
            "registry": str(self.studio.registry),
            "keys": (self.studio.key,),
            "spool": folder / "spool",
            "workers": 1,
            "queue_length": 3,
            "rate_anonymous": "10000/minute",
            "rate_token": "10000/minute",
        }
        self.engine = Engine(Settings(**self.settings))
        self.registry = open_registry(self.studio.registry)
        self.tokens = Tokens(self.registry)
        self.secrets = {scope: self.tokens.new(scope, [scope])[1] for scope in SCOPES}

    def close(self):
        self.engine.close()
        self.registry.close()

    @property
    def marked(self):
        """A marked picture, as bytes."""
        return (self.studio.marked / "a 1.png").read_bytes()

    @property
    def plain(self):
        """The same picture before it was marked."""
        return (self.studio.frames / "a 1.png").read_bytes()

    def app(self, *, engine=None, queue=None, **settings):
        """Make an application with some settings of its own."""
        chosen = Settings(**(self.settings | settings))
        return create_app(
            self.registry,
            engine or self.engine,
            chosen,
            spool=Spool(chosen.spool_folder),
            queue=queue or Queue(),
            run_token=RUN_TOKEN,
        )

    @contextmanager
    def listening(self, **settings):
        """Serve an application on a socket, and give a client factory by scope."""
        app = self.app(**settings)
        with served(app) as address:
            yield Clients(address, self.secrets, app)

    def spooled(self):
        """Return the names of all files that lie in the spool."""
        return [each.name for each in (self.folder / "spool").glob("*")]


class Clients:
    """Makes clients of one address; they are closed with it."""

    def __init__(self, address, secrets, app):
        self.address, self.app = address, app
        self._secrets = secrets

    def __call__(self, scope=None, *, headers=None):
        """Make a client with a token of this scope, or with none."""
        if scope is not None:
            headers = {"Authorization": f"Bearer {self._secrets[scope]}"}
        # Nothing is encrypted here, and reading the certificates of the world takes a while.
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, verify=False)


@contextmanager
def served(app):
    """Serve an application on a free port of this machine, and give its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else answers come 40 ms late
    config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@contextmanager
def logged():
    """Give the records that are logged meanwhile."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    root = logging.getLogger("sukashi")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
