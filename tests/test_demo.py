"""``make demo`` finds every marked picture, names its work, and finds nothing where nothing is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_demonstration_finds_what_was_marked_and_nothing_else(tmp_path):
    done = subprocess.run(
        [sys.executable, "samples/demo.py"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert done.stderr == ""
    table = done.stdout.partition("found in it")[2].splitlines()[1:]
    rows = {line.split()[0]: line for line in table if line.startswith("  ")}
    assert set(rows) == {path.stem for path in (ROOT / "samples").glob("*.jpg")}
    for name, line in rows.items():
        if name.startswith("thequestion-bg"):
            assert line.split()[1:] == ["nothing", "-", "-", "-", "-"]
            continue
        title = "Big Buck Bunny" if name.startswith("bbb") else "The Question"
        assert f"  {title}  " in line
        assert "/" not in line, "one work is named, whatever the damage"
        # Twice as small and JPEG 50 is a hard one: a miss is allowed there, a wrong name is not.
        assert line.count("10^-") >= 3
    assert max(map(len, done.stdout.splitlines())) <= 80
