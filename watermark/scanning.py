"""Looking at the samples of a unit: what one process of a scan holds and does.

A `Scanner` is made from what such a process is told, its `Setup`, and gives the rows of one unit
after the other.  Files from strangers are decoded behind the gates, in processes that know no
secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Self

import cv2

from watermark.attempts import Deadly
from watermark.clip_identification import identify_clip
from watermark.compact import pack
from watermark.detect import reduced
from watermark.errors import EvidenceError, MediaError, RegistryError
from watermark.evidence import Observation
from watermark.files import read_bytes, shown
from watermark.frame import Pixels
from watermark.identification import Catalogue
from watermark.picture import SMALLEST_READ, check_size
from watermark.registry import open_registry
from watermark.sample import Sample, Unit
from watermark.scan_rows import Row, failed_row, told_row
from watermark.scan_setup import Setup
from watermark.screening import identify_together
from watermark.sources import samples
from watermark.stillgate import StillGate
from watermark.stills import most_bytes
from watermark.thumbnails import Examples

__all__ = ["Note", "Scanner", "Setup"]

_TOGETHER = {"fast": 64, "full": 16}  # pictures that are looked at together
_PIXELS = 64 << 20  # and how many samples they have at most, but for the last

# Is told the number of the sample that comes next, and says whether to look at it.
Note = Callable[[int], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A picture that was decoded and waits to be looked at."""

    sample: Sample
    sha256: str
    pixels: Pixels
    finer: int


class Scanner:
    """What one process of a scan has: keys, the catalogue, and a decoder behind a wall.

    Parameters
    ----------
    setup : Setup

    Raises
    ------
    RegistryError
        If the registry cannot be read.
    """

    def __init__(self, setup: Setup) -> None:
        # OpenCV's own bilateral filter takes half the time of Intel's, and differs by 1e-4.
        cv2.ipp.setUseIPP(False)
        self.setup = setup
        self._registry = None
        self._catalogue = None
        if setup.registry is not None:
            self._registry = open_registry(setup.registry, read_only=True)
            self._catalogue = Catalogue.load(self._registry)
        self._gate = StillGate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder and let go of the registry."""
        self._gate.close()
        if self._registry is not None:
            self._registry.close()

    def rows(self, unit: Unit, *, note: Note | None = None) -> Iterator[Row]:
        """Yield the rows of a unit, in the order of its samples.

        Parameters
        ----------
        unit : Unit
        note : callable, optional
            Samples are then looked at one by one.  It is told the number of each before anything is
            done with it, and answers whether to look at it.

        Raises
        ------
        RegistryError
            If the registry cannot be asked.  Whatever is wrong with a sample is told in its row.
        """
        examples = Examples()
        waiting: list[Row | _Picture] = []
        several = 1 if note is not None else _TOGETHER[self.setup.search]
        try:
            for sample, wanted in _noted(samples(unit), note):
                waiting.append(self._read(sample, examples) if wanted else _deadly(sample))
                pictures = [each.pixels.size for each in waiting if isinstance(each, _Picture)]
                if len(pictures) >= several or sum(pictures) > _PIXELS:
                    yield from self._looked_at(waiting, examples)
                    waiting = []
        except Deadly:
            waiting.append(_unreadable(unit))
        yield from self._looked_at(waiting, examples)

    def _read(self, sample: Sample, examples: Examples) -> Row | _Picture:
        """Return a picture, decoded, and of anything else the row."""
        if sample.error is not None:
            return _failed(sample, sample.error, None)
        sha256 = None
        try:
            if sample.kind == "clip":
                return self._clip(sample, examples)
            data = sample.data
            if data is None:
                assert sample.path is not None
                data = read_bytes(sample.path, limit=most_bytes(self.setup.max_pixels))
            sha256 = hashlib.sha256(data).hexdigest()
            limit = self.setup.max_pixels
            pixels = self._gate.decode(data, max_pixels=limit, name=sample.name)
            check_size(pixels.shape, name=sample.name, smallest=SMALLEST_READ)
            return _Picture(sample, sha256, *reduced(pixels))
        except (RegistryError, RuntimeError):  # also of a decoder that does not start
            raise
        except Exception as error:  # noqa: BLE001 - one sample does not end a run of millions
            return _failed(sample, error, sha256)

    def _looked_at(self, waiting: list[Row | _Picture], examples: Examples) -> Iterator[Row]:
        pictures = [(each.pixels, each.finer) for each in waiting if isinstance(each, _Picture)]
        screened = iter(
            identify_together(
                pictures,
                self.setup.keys,
                self._catalogue,
                search=self.setup.search,
                keep=self.setup.keep_evidence,
            )
        )
        for each in waiting:
            if isinstance(each, Row):
                yield each
                continue
            seen = next(screened)
            sample = each.sample
            if isinstance(seen.told, Exception):
                yield _failed(sample, seen.told, each.sha256)
                continue
            yield told_row(
                sample.source,
                sample.key,
                "still",
                seen.told,
                sha256=each.sha256,
                evidence=_packed(seen.observation),
                thumbnail=examples.of(seen.told, each.pixels),
            )

    def _clip(self, sample: Sample, examples: Examples) -> Row:
        if sample.path is not None:
            return self._clip_at(sample.path, sample, examples)
        assert sample.data is not None
        with NamedTemporaryFile(prefix="sukashi-", suffix=Path(sample.key).suffix[:8]) as copy:
            copy.write(sample.data)
            copy.flush()
            return self._clip_at(Path(copy.name), sample, examples)

    def _clip_at(self, path: Path, sample: Sample, examples: Examples) -> Row:
        kept: list[Observation] = []
        sha256 = None
        try:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            told = identify_clip(
                path,
                self.setup.keys,
                self._catalogue,
                fps=self.setup.fps,
                until=self.setup.until,
                search=self.setup.search,
                keep=kept.append if self.setup.keep_evidence else None,
            )
        except MediaError as error:
            text = str(error).removeprefix(shown(path))
            return _failed(sample, type(error)(f"{sample.name}{text}"), sha256)
        return told_row(
            sample.source,
            sample.key,
            "clip",
            told,
            sha256=sha256,
            evidence=_packed(kept[-1] if kept else None),
            thumbnail=examples.of_clip(told, path),
        )


def _noted(found: Iterator[Sample], note: Note | None) -> Iterator[tuple[Sample, bool]]:
    """Yield samples and whether to look at them; a note is made before one is even read."""
    number = 0
    while True:
        wanted = note is None or note(number)
        sample = next(found, None)
        if sample is None:
            return
        yield sample, wanted
        number += 1


def _deadly(sample: Sample) -> Row:
    why = f"{sample.name}: looking at it broke down several times; convert it, or leave it out"
    return failed_row(sample.source, sample.key, why, kind=sample.kind, reason="broken")


def _unreadable(unit: Unit) -> Row:
    why = f"{shown(unit.source)}: reading on breaks down; copy it again, or leave it out"
    return failed_row(unit.source, "", why, reason="broken")


def _failed(sample: Sample, error: Exception, sha256: str | None) -> Row:
    """Return the row of a sample that an error kept from being looked at."""
    told: Exception | str = error
    if not isinstance(error, MediaError):  # nobody foresaw it, so it does not name the sample
        why = " ".join(str(error).split())
        told = f"{sample.name}: looking at it broke down ({type(error).__name__}: {shown(why)})"
    return failed_row(sample.source, sample.key, told, kind=sample.kind, sha256=sha256)


def _packed(observation: Observation | None) -> bytes | None:
    # What cannot be kept, as of a strip too long for it, was looked at all the same.
    with suppress(EvidenceError):
        return None if observation is None else pack(observation)
    return None
