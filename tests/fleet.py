"""A detect service as it runs on several machines: servers, workers, PostgreSQL and Redis."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent
PATIENCE = 120  # seconds, on a machine that does other things too


def until(condition, seconds=PATIENCE):
    """Wait until something holds and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return found


class Redis:
    """A Redis server of our own, on one port, with nothing kept on disk."""

    def __init__(self, folder):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("no Redis is installed (on Debian: apt-get install redis-server)")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        place = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(folder)]
        self._words = [program, *place, "--save", ""]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self):
        """Start it and wait until it answers."""
        self._server = subprocess.Popen(self._words, stdout=subprocess.DEVNULL)
        until(lambda: _listens(self._port))

    def stop(self):
        """End it; what was queued is lost."""
        self._server.terminate()
        self._server.wait()


def _listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Fleet:
    """Processes of the service, all with the same settings."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.started = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if "SUKASHI" not in name},
            **{f"SUKASHI_{name.upper()}": str(value) for name, value in settings.items()},
            "PYTHONUTF8": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
        }

    def servers(self, count, token):
        """Start servers and return a client of each."""
        processes = [self._start("serve", "--port", "0") for _ in range(count)]
        found = [_told(process, r"Serving on +(http://[0-9.:]+)/") for process in processes]
        headers = {"Authorization": f"Bearer {token}"}
        return [httpx.Client(base_url=each[1], headers=headers, timeout=PATIENCE) for each in found]

    def workers(self, count):
        """Start workers and return their processes."""
        processes = [self._start("worker") for _ in range(count)]
        for process in processes:
            _told(process, "Waiting for jobs")
        return processes

    def _start(self, *words):
        code = "from cli.main import main; main()"
        with (self.folder / f"log-{len(self.started)}").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, *words],
                cwd=ROOT,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.started.append(process)
        return process

    def close(self):
        """End what still runs, and return the exit statuses of all."""
        for process in self.started:
            process.terminate()
        statuses = [process.wait(PATIENCE) for process in self.started]
        for process in self.started:
            process.stdout.close()
        return statuses

    @property
    def logs(self):
        """All that was logged."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("log-*")))


def _told(process, expected):
    """Wait until a process says what it says when it is ready."""
    for line in process.stdout:
        if match := re.search(expected, line):
            return match
    raise AssertionError(f"it ended with status {process.wait()} before it said {expected!r}")
