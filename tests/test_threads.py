"""The command leaves processors to those who decode and encode."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = """
import os, sys
from cli.main import main
assert "numpy" not in sys.modules
sys.argv = ["sukashi", "--version"]
try:
    main()
except SystemExit:
    pass
import numpy as np
square = np.ones((800, 800))
square @ square
print(len(os.listdir("/proc/self/task")))
"""


def threads(**environment):
    kept = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    words = [sys.executable, "-c", COUNT]
    done = subprocess.run(words, env=kept | environment, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux does")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one processor")
def test_linear_algebra_has_one_thread_unless_the_user_says_otherwise():
    assert threads() == 1
    assert threads(OPENBLAS_NUM_THREADS="2") == 2
