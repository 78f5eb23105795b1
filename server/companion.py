"""The process beside HTTP that works on jobs, and how settings get to it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from server.settings import Settings

__all__ = ["LEAVE", "Companion", "dumped", "loaded"]

LEAVE = 5.0  # seconds for a job to be put back
_LOG = logging.getLogger("sukashi.serving")


def dumped(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values, to be sent to another process."""
    return dict(json.loads(settings.model_dump_json()))


def loaded(values: dict[str, Any]) -> Settings:
    """Return the settings that `dumped` made these values of."""
    return Settings(**values)


class Companion:
    """The process that works on jobs, started again should it end; a context manager.

    Parameters
    ----------
    settings : Settings
    """

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
            process.wait(self._grace + 2 * LEAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
