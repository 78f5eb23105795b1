"""Where keys are held nobody else of the same account reads the memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each place is entered with nothing to work on, so that it stops as soon as it needs something.
ENTERED = """
import ctypes, json
from server import serving, worker
from server.secrecy import hide_memory

GET, SET = 3, 4  # PR_GET_DUMPABLE, PR_SET_DUMPABLE
prctl = ctypes.CDLL(None).prctl
worker.sys.argv = ["worker", "0", "0"]
worker.Wire = worker.Connection = worker.keep_freed_memory = lambda *_: None
serving.set_up = serving.die_with_parent = serving.loaded = serving.Engine = lambda *_: None

def dumpable(enter, *given, **named):
    prctl(SET, 1, 0, 0, 0)
    try:
        enter(*given, **named)
    except AttributeError:
        pass
    return prctl(GET, 0, 0, 0, 0)

print(json.dumps({
    "nowhere": dumpable(lambda: None),
    "alone": dumpable(hide_memory),
    "worker": dumpable(worker.main),
    "jobs": dumpable(serving.work, None),
    "http": dumpable(serving.serve, None, None, run_token="", session_secret=b"", on_ready=None),
    "child": dumpable(serving._app, {}, "", b""),
}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can")
def test_memory_with_keys_is_hidden():
    words = [sys.executable, "-c", ENTERED]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    hidden = dict.fromkeys(("alone", "worker", "jobs", "http", "child"), 0)
    assert json.loads(run.stdout) == {"nowhere": 1} | hidden
