"""What a picture of 50 megapixels costs in memory: a process of its own, from file to verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPE", "peak_of_large"]

SHAPE = (5774, 8660)  # 50.0 megapixels at 3:2

_CHILD = """
import json, sys
from pathlib import Path
from watermark.allocator import keep_freed_memory
from watermark.identification import identify_still
from watermark.key import Key
keep_freed_memory()
told = identify_still(sys.argv[1], [Key(bytes.fromhex(sys.argv[2]))])
# Not what the system counts for a process: that begins with its parent's.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
most = int(status["VmHWM"].split()[0]) * 1024
print(json.dumps([told.verdict, most]))
"""


def peak_of_large(pixels: NDArray[np.uint8], key: bytes) -> tuple[str, int]:
    """Enlarge a picture, and identify it from a JPEG file as the command does.

    Returns
    -------
    verdict : str
    peak : int
        Resident bytes of the whole process at their most.
    """
    large = cv2.resize(pixels, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.jpg"
        path.write_bytes(cv2.imencode(".jpg", cv2.cvtColor(large, cv2.COLOR_RGB2BGR))[1].tobytes())
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(path), key.hex()],
            check=True,
            capture_output=True,
            text=True,
        )
    verdict, most = json.loads(done.stdout)
    return str(verdict), int(most)
