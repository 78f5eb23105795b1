"""The outputs of a generator, one after the other, observed; no key in sight.

Files come in an order drawn from their names, so that the first few are no special ones, and
shards one after the other as they lie.  Either way the order is settled before any key is used.
What cannot be read is told and left out.  Pictures and films are decoded behind the gates.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from watermark.detect import observe_luma, reduced
from watermark.errors import UnreadableMedia, WatermarkError
from watermark.evidence import Observation
from watermark.files import AnyPath, shown
from watermark.frame import Luma, luma
from watermark.gate import Gate
from watermark.picture import SMALLEST_READ, check_size
from watermark.profile import DEFAULT, Profile
from watermark.sample import Sample, Unit
from watermark.sources import list_units, samples
from watermark.stillgate import StillGate
from watermark.stills import MAX_PIXELS

__all__ = ["Output", "in_order", "observed"]

_FRAMES = 16  # of a film that are looked at
_FPS = 2.0  # where a film does not say how long it is


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output, or why there is none.

    Parameters
    ----------
    name : str
        For people; on one line.
    observation : Observation or None
        Of one frame; that of a film is scaled so that it counts as √n frames.
    plane : ndarray of float32, shape (H, W), or None
        Luma of the picture, or of a film's first frame.
    error : WatermarkError or None
    """

    name: str
    observation: Observation | None = None
    plane: Luma | None = None
    error: WatermarkError | None = None


def in_order(sources: Sequence[str], *, column: str | None = None) -> list[Unit]:
    """Return the units of sources, files one by one, in an order drawn from their names.

    Raises
    ------
    MediaError
        If a source is not there.
    """
    single: list[Unit] = []
    for unit in list_units(sources, column=column):
        if unit.kind == "files" and unit.items:
            single += [replace(unit, items=(item,)) for item in unit.items]
        else:
            single.append(unit)
    return sorted(single, key=_drawn)


def _drawn(unit: Unit) -> bytes:
    name = unit.items[0] if unit.items else f"{Path(unit.source).name} {unit.start}"
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def observed(
    units: Sequence[Unit], gate: StillGate, *, profile: Profile = DEFAULT
) -> Iterator[Output]:
    """Yield what is seen in each output, or why it cannot be read.

    Parameters
    ----------
    units : sequence of Unit
        From `in_order`.
    gate : StillGate
    profile : Profile
    """
    for unit in units:
        for sample in samples(unit):
            try:
                yield _observed(sample, gate, profile)
            except WatermarkError as error:
                yield Output(sample.name, error=error)


def _observed(sample: Sample, gate: StillGate, profile: Profile) -> Output:
    if sample.error is not None:
        return Output(sample.name, error=sample.error)
    source = sample.path if sample.data is None else sample.data
    if source is None:
        raise UnreadableMedia(f"{sample.name}: there is nothing in it")
    if sample.kind != "clip":
        pixels = gate.decode(source, max_pixels=MAX_PIXELS, name=sample.name)
        check_size(pixels.shape, name=sample.name, smallest=SMALLEST_READ)
        plane = luma(reduced(pixels, profile=profile)[0])
        return Output(sample.name, observe_luma(plane, profile=profile), plane)
    if isinstance(source, Path):
        return _film(source, sample.name, profile)
    with tempfile.TemporaryDirectory(prefix="sukashi-") as folder:  # nobody else may look
        path = Path(folder) / "film"
        path.write_bytes(source)
        return _film(path, sample.name, profile)


def _film(path: AnyPath, name: str, profile: Profile) -> Output:
    """Add up frames of a film that are far from each other."""
    total: Observation | None = None
    first: Luma | None = None
    try:
        with Gate(path) as gate:
            check_size(gate.info.shape, name=name, smallest=SMALLEST_READ)
            length = gate.info.duration
            rate = _FPS if not length else min(gate.info.rate, _FRAMES / length)
            for frame in gate.frames(fps=rate):
                plane = gate.info.shown(frame.plane)
                seen = observe_luma(plane, profile=profile, coded=True)
                total = seen if total is None else total + seen
                first = plane if first is None else first
                if total.frames >= 2 * _FRAMES:
                    break
    except WatermarkError as error:
        text = str(error)
        here = shown(path)
        raise type(error)(
            text.replace(here, name) if here in text else f"{name}: {text}"
        ) from error
    if total is None or first is None:
        raise UnreadableMedia(f"{name}: no frame can be decoded; copy it again")
    # Frames of a film are alike: they count for more than one, and for less than all.
    canvas = total.canvas / np.float32(np.sqrt(total.frames))
    weight = np.broadcast_to(np.float32(1), canvas.shape)
    return Output(name, Observation(canvas, weight, total.extent, 1, total.profile), first)
