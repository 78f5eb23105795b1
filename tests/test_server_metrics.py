"""What several processes count is told as one, also of those that ended."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROCESS = """
import sys
from server.metrics import Metrics

class Engine:
    def state(self):
        return {"workers": 3, "busy": 1, "refused": 5, "crashes": told}

told = 1
metrics = Metrics(Engine())
metrics.looked("still", 100, "detected", {"decode": 0.2})
metrics.text({})
for line in sys.stdin:
    told += 1
    sys.stdout.write(metrics.text({}).decode() + "# END\\n")
    sys.stdout.flush()
"""


@contextmanager
def process(folder):
    """Start a process that counts; give a function that asks it what there is."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)},
    )

    def told():
        started.stdin.write("\n")
        started.stdin.flush()
        text = "".join(iter(started.stdout.readline, "# END\n"))
        return {
            name: float(value)
            for name, value in re.findall(r"^(sukashi\S+) (\S+)$", text, re.MULTILINE)
        }

    try:
        yield told
    finally:
        started.kill()
        started.wait()
        started.stdin.close()
        started.stdout.close()


@pytest.mark.timeout(60)
def test_two_processes_add_up_and_one_that_ended_leaves_its_counts_but_no_workers(tmp_path):
    verdicts = 'sukashi_verdicts_total{kind="still",verdict="detected"}'
    with process(tmp_path) as first:
        alone = first()
        assert (alone["sukashi_workers"], alone[verdicts]) == (3, 1)
        with process(tmp_path) as second:
            second()
            both = first()
            assert (both["sukashi_workers"], both["sukashi_busy"]) == (6, 2)
            assert (both[verdicts], both["sukashi_refused_total"]) == (2, 10)
            assert both["sukashi_crashes_total"] == 3 + 2
        left = first()
        assert (left["sukashi_workers"], left[verdicts]) == (3, 2)
        assert left["sukashi_refused_total"] == 10
