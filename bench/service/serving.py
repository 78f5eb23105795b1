"""A real ``sukashi serve`` in processes of its own, and what it takes of memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "memory", "processes", "serving"]

_ROOT = Path(__file__).parent.parent.parent
_LINK = re.compile(r"(http://\S+)/sign-in\?token=(\S+)")
_READY = "Ctrl-C"  # begins the last line that is printed before it serves
_END = 90.0  # seconds to finish what was taken
_SETTINGS = {
    "SUKASHI_RATE_TOKEN": "1000000/second",
    "SUKASHI_RATE_ANONYMOUS": "1000000/second",
    "SUKASHI_JOB_WORKERS": "0",
    "SUKASHI_INLINE_FILM_BYTES": "64MiB",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A service that runs.

    Parameters
    ----------
    process : Popen
    address, token : str
    log : Path
        What it wrote to standard error.
    """

    process: subprocess.Popen[str]
    address: str
    token: str
    log: Path

    def alive(self) -> bool:
        """Tell whether its first process still runs."""
        return self.process.poll() is None

    def memory(self) -> int:
        """Return the bytes that all its processes hold; see `memory`."""
        return memory(self.process.pid)


def processes(pid: int) -> list[int]:
    """Return the numbers of a process and of all below it."""
    found = [pid]
    with suppress(OSError):  # one that has just ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += processes(int(child))
    return found


def memory(pid: int) -> int:
    """Return the resident bytes of a process and all below it; what they share counts each time."""
    total = 0
    for each in processes(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{each}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
    return total


@contextmanager
def serving(
    folder: Path, key: Path, registry: Path, *, workers: int, settings: Mapping[str, str]
) -> Iterator[Server]:
    """Start the service on a free port, with a spool and a log in a folder, and end it.

    `settings` are by their names in the environment, without ``SUKASHI_``.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SUKASHI_")}
    ours |= _SETTINGS | {
        "SUKASHI_SPOOL": str(folder / "spool"),
        "PYTHONPATH": str(_ROOT),
        "PYTHONUTF8": "1",
    }
    ours |= {f"SUKASHI_{name.upper()}": value for name, value in settings.items()}
    code = "from cli.main import main; main()"
    words = ["serve", "--key", key, "--registry", registry, "--port", 0, "--workers", workers]
    words.append("--sign-in-link")
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=ours,
        )
    assert process.stdout is not None
    try:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith(_READY):
                break
        link = _LINK.search(said)
        if link is None:
            raise RuntimeError(f"the service did not start: {said}{log.read_text()}")
        yield Server(process, link[1], link[2], log)
    finally:
        process.terminate()
        try:
            process.wait(_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
