"""Encoding takes nobody else's turn."""

import os
from pathlib import Path

import pytest
from clips import encode, scene

from watermark.codecs import Encoding
from watermark.remux import transcode
from watermark.scheduling import ordinary_threads

REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


def policies():
    return [os.sched_getscheduler(int(each.name)) for each in Path("/proc/self/task").iterdir()]


@pytest.mark.parametrize("codec", ["av1", "hevc"])
def test_a_film_is_encoded_at_ordinary_priority(tmp_path, codec):
    """SVT-AV1, run by root, would take the highest real-time priority and keep it."""
    source = encode(tmp_path / "source.mp4", [scene(1)] * 6)
    encoding = Encoding(codec=codec, preset="12" if codec == "av1" else "ultrafast")
    seen = []
    transcode(
        source,
        tmp_path / "out.mkv",
        None,
        encoding=encoding,
        on_progress=lambda *_: seen.extend(policies()),
    )
    assert seen
    assert not set(seen + policies()) & set(REAL_TIME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask for real-time priority")
def test_real_time_is_taken_back():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    ordinary_threads()
    assert not set(policies()) & set(REAL_TIME)
