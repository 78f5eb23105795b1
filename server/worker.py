"""The process that looks at uploads: ``python -m server.worker DESCRIPTOR``.

It holds the keys, the catalogue and a decoder, takes one task after the other from the engine, and
ends when the engine does.  Files from strangers are not decoded here but behind the gates, in
processes that know no secret.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2

from server.drawing import overlay_png
from server.secrecy import hide_memory
from server.wire import Wire
from watermark.allocator import keep_freed_memory
from watermark.clip_identification import Seen, identify_clip
from watermark.compact import pack
from watermark.detect import reduced
from watermark.errors import EvidenceError, ProfileError, WatermarkError
from watermark.evidence import Observation
from watermark.files import shown
from watermark.footage import Limits
from watermark.identification import Catalogue, identify_pixels
from watermark.key import KEY_BYTES, Key
from watermark.picture import SMALLEST_READ, check_size
from watermark.profile import DEFAULT
from watermark.rechecking import recheck
from watermark.record import film_record, record
from watermark.registry import open_registry
from watermark.stillgate import StillGate

__all__ = ["Worker", "main"]

_FRESH = 1.0  # seconds for which a catalogue is taken for the registry's present state
_SHARE = 0.05  # of the time may be spent on loading it, where it is large and always changing
_EVERY = 0.2  # seconds between two words about progress

Answer = tuple[dict[str, Any], list[bytes]]


class _Cancelled(Exception):
    """Nobody waits for the present task any more."""


class Worker:
    """What a worker has, and the tasks that it can do.

    Parameters
    ----------
    wire : Wire
        To the engine.
    setup : dict
        ``registry``, ``max_pixels``, ``max_duration``.
    keys : bytes
        Of all keys, one after the other.
    """

    def __init__(self, wire: Wire, setup: dict[str, Any], keys: bytes) -> None:
        self._wire = wire
        self._keys = [Key(keys[at : at + KEY_BYTES]) for at in range(0, len(keys), KEY_BYTES)]
        self._max_pixels = int(setup["max_pixels"])
        self._max_duration = float(setup["max_duration"])
        self._registry = open_registry(setup["registry"], read_only=True)
        self._revision = ""
        self._due = 0.0  # monotonic seconds at which the registry is asked again
        self._catalogue = self._fresh()
        self._gate = StillGate().__enter__()  # closed with the process
        self._broken = 0  # decoders that files have cost, as far as it was told

    def work(self) -> None:
        """Do one task after the other, until the engine closes its end."""
        tasks: dict[str, Callable[..., Answer]] = {
            "still": self._still,
            "film": self._film,
            "recheck": self._recheck,
        }
        self._wire.send({"say": "ready"})
        while True:
            try:
                said, blobs = self._wire.receive()
            except (EOFError, OSError):
                return
            if said["do"] not in tasks:  # a word to a task that is over
                continue
            self._wire.send({"say": "taken"})
            try:
                done, parts = tasks[said["do"]](said, *blobs)
                self._wire.send({"say": "done", "decoders": self._decoders(), **done}, *parts)
            except _Cancelled:
                self._wire.send({"say": "cancelled"})
            except WatermarkError as error:
                self._wire.send({"decoders": self._decoders(), **_error(error, said.get("path"))})

    def _decoders(self) -> int:
        """Return how many decoders broke down since this was last asked."""
        before, self._broken = self._broken, self._gate.broken
        return self._broken - before

    def _fresh(self) -> Catalogue:
        """Return the catalogue as the registry had it a second ago, or longer if it is large."""
        began = time.monotonic()
        if began >= self._due:
            revision = self._registry.revision()
            if revision != self._revision:
                self._catalogue = Catalogue.load(self._registry)
                self._revision = revision
            took = time.monotonic() - began
            self._due = began + max(_FRESH, took / _SHARE)
        return self._catalogue

    def _still(self, said: dict[str, Any]) -> Answer:
        clock = _Clock()
        path = Path(said["path"])
        catalogue = self._fresh()
        clock.lap("catalogue")
        pixels = self._gate.decode(path, max_pixels=self._max_pixels)
        check_size(pixels.shape, name=path, smallest=SMALLEST_READ)
        pixels, finer = reduced(pixels)
        clock.lap("decode")
        kept: list[Observation] = []
        told = identify_pixels(
            pixels,
            self._keys,
            catalogue,
            search=said["search"],
            finer=finer,
            keep=kept.append if said["evidence"] else None,
        )
        clock.lap("detect")
        parts = _packed(kept, clock)
        if said["overlay"] and told.found:
            parts["overlay"] = overlay_png(pixels, finer, told.found, self._keys)
            clock.lap("overlay")
        answer = {
            "record": record(told),
            "size": told.size,
            "frames": 1,
            "profile": str(DEFAULT),
            "seconds": clock.laps,
            "parts": list(parts),
        }
        return answer, list(parts.values())

    def _film(self, said: dict[str, Any]) -> Answer:
        clock = _Clock()
        catalogue = self._fresh()
        clock.lap("catalogue")
        kept: list[Observation] = []
        told = identify_clip(
            said["path"],
            self._keys,
            catalogue,
            all_frames=said["all_frames"],
            search=said["search"],
            on_progress=self._reporter(said["task"]),
            limits=Limits(
                # A decoder outlives a worker that was ended, at most by this much of its own time.
                cpu=math.ceil(2 * said["seconds"]),
                silence=min(Limits().silence, said["seconds"]),
                duration=self._max_duration,
            ),
            keep=kept.append if said["evidence"] else None,
        )
        clock.lap("film")
        parts = _packed(kept, clock)
        answer = {
            "record": film_record(told),
            "size": told.whole.size,
            "frames": told.frames,
            "profile": str(DEFAULT),
            "seconds": clock.laps,
            "parts": list(parts),
        }
        return answer, list(parts.values())

    def _recheck(self, said: dict[str, Any], *blobs: bytes) -> Answer:
        catalogue = self._fresh()
        told: list[dict[str, Any]] = []
        for (looks, size), blob in zip(said["items"], blobs, strict=True):
            try:
                again = recheck(blob, self._keys, catalogue, looks=looks, size=tuple(size))
                told.append({"record": record(again)})
            except (EvidenceError, ProfileError) as error:
                told.append(_error(error))
        return {"told": told, "parts": []}, []

    def _reporter(self, task: int) -> Callable[[Seen], None]:
        last = 0.0

        def report(seen: Seen) -> None:
            nonlocal last
            if time.monotonic() - last < _EVERY:
                return
            last = time.monotonic()
            while self._wire.waiting():
                said, _ = self._wire.receive()
                if said["do"] == "cancel" and said["task"] == task:
                    raise _Cancelled
            self._wire.send(
                {
                    "say": "progress",
                    "seconds": seen.seconds,
                    "duration": seen.duration,
                    "frames": seen.frames,
                }
            )

        return report


def _packed(kept: list[Observation], clock: _Clock) -> dict[str, bytes]:
    """Return the evidence that is kept, if any is."""
    if not kept:
        return {}
    try:
        return {"evidence": pack(kept[-1])}
    except EvidenceError:  # as of a strip too long to be kept: it was looked at all the same
        return {}
    finally:
        clock.lap("evidence")


def _error(error: WatermarkError, path: str | None = None) -> dict[str, Any]:
    """Return what is told of an error: nobody needs to know where a file lies."""
    text = str(error) if path is None else str(error).removeprefix(f"{shown(path)}: ")
    return {"say": "error", "kind": type(error).__name__, "text": text}


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage] = round(now - self._last, 6)
        self._last = now


def main() -> None:
    """Serve the engine at the other end of the descriptor that is named."""
    hide_memory()
    wire = Wire(Connection(int(sys.argv[1])))
    os.nice(int(sys.argv[2]))
    keep_freed_memory()
    cv2.setNumThreads(1)  # there is a worker for each core
    try:
        setup, (keys,) = wire.receive()
        Worker(wire, setup, keys).work()
    except WatermarkError as error:
        wire.send(_error(error))
    except Exception:
        wire.send({"say": "broken", "text": traceback.format_exc()})
        raise


if __name__ == "__main__":
    main()
