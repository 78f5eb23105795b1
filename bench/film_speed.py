"""How long films take, as ratios measured in one run: ``python -m bench.film_speed FILM``.

Marking: the same transcode with and without the mark, in turn.  Looking: the whole of `detect`
beside the decoding of the frames that it samples, for the marked film and for the film itself.
All cores are used, as by the command.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import table
from bench.stills import bench_key
from watermark.clip_identification import identify_clip
from watermark.codecs import Encoding
from watermark.gate import Gate
from watermark.moving import MovieMarker
from watermark.remux import transcode
from watermark.videoinfo import VideoInfo

__all__ = ["main", "measure"]

_NUMBER = 0x3F2A9C01B7DE
_ENCODING = Encoding(codec="h264", crf=20, preset="medium")


def _marker(info: VideoInfo) -> Callable[[Any], Any]:
    return MovieMarker(
        bench_key(1),
        _NUMBER,
        shape=(info.height, info.width),
        format=info.format,
        shown=info.shown,
    ).mark


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(film: Path, folder: Path, *, rounds: int) -> dict[str, list[float]]:
    """Return wall seconds of each round."""
    plain, marked = folder / "plain.mkv", folder / "marked.mkv"
    times: dict[str, list[float]] = {
        name: [] for name in ("transcode", "transcode and mark", "decode", "detect", "unmarked")
    }
    times["decode all"] = []
    for _ in range(rounds):
        times["transcode"].append(
            _seconds(lambda: transcode(film, plain, None, encoding=_ENCODING))
        )
        times["transcode and mark"].append(
            _seconds(lambda: transcode(film, marked, _marker, encoding=_ENCODING))
        )

    def decoded(*, key_frames: bool) -> None:
        with Gate(plain) as gate:
            for _ in gate.frames(fps=2, key_frames=key_frames):
                pass

    for _ in range(rounds):
        times["decode"].append(_seconds(lambda: decoded(key_frames=True)))
        times["decode all"].append(_seconds(lambda: decoded(key_frames=False)))
        times["detect"].append(_seconds(lambda: identify_clip(marked, [bench_key(1)])))
        times["unmarked"].append(_seconds(lambda: identify_clip(plain, [bench_key(1)])))
    with Gate(plain) as gate:
        times["length"] = [gate.info.duration or 0.0]
    return times


def main() -> None:
    """Time everything, print the table, and one line of JSON last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = measure(options.film, Path(folder), rounds=options.rounds)
    middle = {name: statistics.median(each) for name, each in times.items()}
    length = middle["length"]
    beside = middle["unmarked"] / (middle["decode"] + middle["decode all"])
    rows = [
        ("transcode, x264 medium CRF 20", "", middle["transcode"], ""),
        (
            "the same and mark",
            "1.15 × the first",
            middle["transcode and mark"],
            f"{middle['transcode and mark'] / middle['transcode']:.2f} ×",
        ),
        ("decode key frames", "", middle["decode"], f"{length / middle['decode']:.0f} × real time"),
        (
            "detect, marked",
            "15 × real time",
            middle["detect"],
            f"{length / middle['detect']:.1f} × real time",
        ),
        ("decode all, two a second", "", middle["decode all"], ""),
        (
            "detect, unmarked",
            "1.2 × decoding; 15 × real time",
            middle["unmarked"],
            f"{beside:.2f} × decoding, {length / middle['unmarked']:.1f} × real time",
        ),
    ]
    shown = [(what, wanted, f"{seconds:.2f}", ratio) for what, wanted, seconds, ratio in rows]
    print(f"{options.film.name}, {length:.1f} s, {options.rounds} rounds\n")
    print(table(("what", "asked", "median, s", ""), shown))
    json.dump({"what": "film speed", "film": options.film.name, "seconds": times}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
