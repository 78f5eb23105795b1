"""What was seen of a clip: residuals of its frames, added up as finely as memory allows.

No key is used here.  Frames come in any order of time that a decoder gives; each is observed once,
on the canonical grid, and goes into the sum of all, into its *slot* as a canvas, and into a finer
slot as the tile that the whole frame folds to.  When there are too many slots, neighbours of one
shot are added up.  A few frames are kept as they are, for searches on other scales.

A *shot* ends where the picture changes at once, and after `_LONGEST` frames in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment, folded
from watermark.borders import Box, alike, inside_borders, usual_boxes
from watermark.detect import observe_luma
from watermark.evidence import Observation
from watermark.frame import Luma
from watermark.homography import affine, apply, scaling, warp
from watermark.profile import DEFAULT, Profile
from watermark.residual import canonical_scale, to_canonical, whiten

__all__ = ["Reel", "Slot"]

_TILES = 2048  # slots of the whole frame, 37 KB each
_CANVASES = 160 << 20  # bytes of the others
_PLANES = 96 << 20  # bytes of frames that are kept as they are
_FEWEST = 8  # of either, whatever their size
_LONGEST = 24  # frames: a shot is cut here, so that a slow change has its parts
_THUMB = (16, 9)  # pixels
_CUT = 14.0  # code values, mean absolute difference of thumbnails from one frame to the next
_CUT_AT_KEY = 8.0  # the same, where the frame was coded by itself
_BOXES = 2  # inside bars, that shots have
_LARGEST = 6_000_000  # pixels of the grid that are folded


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """The sum of the residuals of some neighbouring frames.

    Parameters
    ----------
    start, end : float
        Seconds, of the first frame and the last.
    shot : int
        Number of the shot that it begins in.
    frames : int
    total : ndarray of float16
        A canvas, or a tile.
    """

    start: float
    end: float
    shot: int
    frames: int
    total: NDArray[np.float16]

    def joined(self, other: Slot) -> Slot:
        """Return this slot and the next one as one."""
        total = self.total.astype(np.float32) + other.total
        frames = self.frames + other.frames
        return Slot(self.start, other.end, self.shot, frames, total.astype(np.float16))


def _thinned(slots: list[Slot], most: int) -> list[Slot]:
    """Add up neighbours, those of one shot first, until there are at most `most`."""
    for across in (False, True):
        if len(slots) <= most:
            break
        fewer: list[Slot] = []
        size = 2 * min(each.frames for each in slots)
        for slot in slots:
            last = fewer[-1] if fewer else None
            fits = last is not None and last.frames + slot.frames <= size
            if last is not None and fits and (across or last.shot == slot.shot):
                fewer[-1] = last.joined(slot)
            else:
                fewer.append(slot)
        slots = fewer
    return slots


class Reel:
    """All that was seen of a clip so far.

    Parameters
    ----------
    profile : Profile
    """

    def __init__(self, profile: Profile = DEFAULT) -> None:
        self.profile = profile
        self.frames = 0
        self.shape = (0, 0)
        self.tiles: list[Slot] = []
        self.canvases: list[Slot] = []
        self.planes: list[tuple[float, int, NDArray[np.uint8]]] = []
        self.cuts: set[int] = set()  # shots that begin with one
        self._every = 1  # of the frames is kept as it is
        self._shots = [0]  # how many frames each has
        self._thumb: NDArray[np.float32] | None = None

    @property
    def scale(self) -> float:
        """Canvas pixels to one of the shown frame."""
        return canonical_scale(self.shape, self.profile)

    @property
    def shots(self) -> int:
        """How many there are so far."""
        return len(self._shots)

    def add(self, time: float, plane: Luma, *, key: bool = False, share: float = 1.0) -> None:
        """Observe a frame as it is shown.

        Parameters
        ----------
        time : float
            Seconds.
        plane : ndarray of float32, shape (H, W)
        key : bool
            Whether it was coded by itself; encoders do that where a shot begins.
        share : float
            How much of it was coded anew, 0–1, and how much it counts: in the rest a codec moves
            what it has shown before along with the picture, and the mark does not move.
        """
        if not self.frames:
            self.shape = plane.shape[0], plane.shape[1]
            self._total = np.zeros((0, 0), np.float32)
            self._brightest = np.zeros(self.shape, np.uint8)
        elif plane.shape != self.shape:
            # A film whose size changes half-way is one whose geometry does.
            plane = np.asarray(cv2.resize(plane, self.shape[::-1]), np.float32)
        canvas = to_canonical(plane, self.profile)
        self._watch(canvas, key=key)
        residual = whiten(canvas, self.profile, grown=self.scale, coded=True)
        residual *= np.float32(share)
        rounded = _rounded(plane)
        np.maximum(self._brightest, rounded, out=self._brightest)
        self._total = residual if not self.frames else self._total + residual
        shot = len(self._shots) - 1
        if self.frames % self._every == 0:
            self.planes.append((time, shot, rounded))
            if len(self.planes) > max(_FEWEST, _PLANES // plane.size):
                self.planes, self._every = self.planes[::2], 2 * self._every
        self.frames += 1
        self._shots[shot] += 1
        self.canvases.append(Slot(time, time, shot, 1, residual.astype(np.float16)))
        self.canvases = _thinned(self.canvases, max(_FEWEST, _CANVASES // (2 * residual.size)))
        tile = folded(residual, self.profile.tile).astype(np.float16)
        self.tiles = _thinned([*self.tiles, Slot(time, time, shot, 1, tile)], _TILES)

    def _watch(self, canvas: Luma, *, key: bool) -> None:
        """Begin a new shot where the picture changes at once: encoders put key frames there."""
        thumb = np.asarray(cv2.resize(canvas, _THUMB, interpolation=cv2.INTER_AREA), np.float32)
        if self._thumb is not None:
            change = float(np.abs(thumb - self._thumb).mean())
            cut = change > (_CUT_AT_KEY if key else _CUT)
            if cut or self._shots[-1] >= _LONGEST:
                self._shots.append(0)
                self.cuts |= {len(self._shots) - 1} if cut else set()
        self._thumb = thumb

    def total(self) -> Observation:
        """Return the sum of all frames."""
        return self._observed(self._total, self.frames)

    def shot(self, number: int) -> Observation | None:
        """Return the sum of a shot's frames; None where they were added to another's."""
        slots = [each for each in self.canvases if each.shot == number]
        if not slots:
            return None
        canvas = slots[0].total.astype(np.float32)
        for each in slots[1:]:
            canvas += each.total
        return self._observed(canvas, sum(each.frames for each in slots))

    def scales(self, shot: int | None = None) -> Iterator[Observation]:
        """Yield sums an octave apart, as `watermark.detect.observe_scales`.

        Parameters
        ----------
        shot : int, optional
            Of this one alone.

        Notes
        -----
        The first is of all frames, the others of those that are kept.
        """
        base = self.total() if shot is None else self.shot(shot)
        if base is None:
            return
        yield base
        planes = [plane for _, of, plane in self.planes if shot in {None, of}]
        planes = planes[:: -(-len(planes) // _FEWEST)] if planes else planes
        factors = [0.5, 0.25]
        factors += [each for each in (2, 4) if min(self.shape) > 0.62 * each * self.profile.short]
        for factor in factors:
            seen = [
                observe_luma(
                    plane.astype(np.float32), profile=self.profile, factor=factor, coded=True
                )
                for plane in planes
            ]
            if seen:
                yield sum(seen[1:], seen[0])

    def borders(self, *, of_shots: bool = False) -> tuple[Alignment, ...]:
        """Return the hypotheses that the frame lies inside bars of one tone; none without bars.

        With `of_shots` in each shot as well: films of other shapes in this one have their own.
        """
        whole = inside_borders(self._brightest.astype(np.float32))
        boxes = [] if whole is None else [whole]
        if of_shots:
            brightest: dict[int, NDArray[np.uint8]] = {}
            for _, shot, plane in self.planes:
                brightest[shot] = np.maximum(plane, brightest.get(shot, plane))
            planes = (plane.astype(np.float32) for plane in brightest.values())
            usual = usual_boxes(planes, _BOXES)
            boxes += [each for each in usual if whole is None or not alike(each, whole)]
        return tuple(alignment for box in boxes for alignment in self._inside(box))

    def _inside(self, box: Box) -> Iterator[Alignment]:
        top, left, height, width = box
        # From the canvas to the picture, off the bars, and to the grid.
        inner = affine(np.eye(2), np.array([left, top]), (0, 0)) @ scaling(1 / self.scale)
        to_grid = scaling(canonical_scale((height, width), self.profile)) @ inner
        reach = canonical_scale((height, width), self.profile) * width
        mirror = np.array([[-1.0, 0, reach], [0, 1, 0], [0, 0, 1]])
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        placed = (corners + np.array([left, top])) * self.scale
        outline = tuple((float(x), float(y)) for x, y in placed)
        for name, matrix in (("whole frame", to_grid), ("mirrored", mirror @ to_grid)):
            yield Alignment(_rows(matrix), f"{name}, inside borders", outline)

    def along(self, alignment: Alignment) -> NDArray[np.float32]:
        """Fold every slot of `tiles` along an alignment of the canvas.

        Returns
        -------
        ndarray of float32, shape (n, T, T)
        """
        side, matrix = self.profile.tile, np.array(alignment.matrix)
        result = np.zeros((len(self.tiles), side, side), np.float32)
        if _is(matrix, np.eye(3)):
            for place, slot in enumerate(self.tiles):
                result[place] = slot.total
            return result
        if _is(matrix[:, :2], np.diag([-1.0, 1.0, 0.0])[:, :2]) and matrix[1, 2] == 0:
            return self._mirrored(float(matrix[0, 2]))
        starts = [each.start for each in self.tiles]
        for slot in self.canvases:
            middle = (slot.start + slot.end) / 2
            place = max(0, int(np.searchsorted(starts, middle, side="right")) - 1)
            result[place] += _fold(slot.total.astype(np.float32), alignment, side)
        return result

    def _mirrored(self, reach: float) -> NDArray[np.float32]:
        """Fold the mirror image, which the tiles hold as well."""
        side, width = self.profile.tile, self._total.shape[1]
        columns = (width - 1 - np.arange(side)) % side
        # The canvas is whole pixels wide and the frame is not (Fourier shift theorem).
        turn = np.exp(-2j * np.pi * (reach - width) * np.fft.rfftfreq(side))
        result = np.zeros((len(self.tiles), side, side), np.float32)
        for place, slot in enumerate(self.tiles):
            flipped = slot.total.astype(np.float32)[:, columns]
            result[place] = np.fft.irfft(np.fft.rfft(flipped) * turn, side)
        return result

    def along_total(self, alignment: Alignment) -> NDArray[np.float64]:
        """Fold the sum of all frames along an alignment of the canvas."""
        return _fold(self._total, alignment, self.profile.tile).astype(np.float64)

    def _observed(self, canvas: NDArray[np.float32], frames: int) -> Observation:
        extent = (self.shape[0] * self.scale, self.shape[1] * self.scale)
        weight = np.full(canvas.shape, frames, np.float32)
        return Observation(canvas, weight, extent, frames, str(self.profile))


def _rounded(plane: Luma) -> NDArray[np.uint8]:
    nothing: Any = 0.0  # OpenCV takes numbers too, which its types do not say
    return np.asarray(cv2.add(plane, nothing, dtype=cv2.CV_8U), np.uint8)  # saturates


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, float, float], ...]:
    return tuple((float(a), float(b), float(c)) for a, b, c in matrix)


def _is(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() < 1e-9)


def _fold(canvas: NDArray[np.float32], alignment: Alignment, side: int) -> NDArray[np.float32]:
    """Lay a canvas out on the grid, inside the outline alone, and fold it; zeros if too large."""
    matrix = np.array(alignment.matrix)
    outline = np.array(alignment.outline)
    mapped = apply(matrix, outline)
    none = np.zeros((side, side), np.float32)
    if not np.isfinite(mapped).all():
        return none
    low = np.floor(mapped.min(axis=0) / side).astype(int) * side
    wide, high = np.maximum(1, np.ceil(mapped.max(axis=0) - low)).astype(int).tolist()
    if high * wide > _LARGEST:
        return none
    height, width = canvas.shape
    inside = np.zeros(canvas.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(outline).astype(np.int32), 1)
    if not inside[:height, :width].all():
        canvas = canvas * inside
    flat = warp(canvas, np.linalg.inv(matrix), (int(low[0]), int(low[1])), (high, wide))
    return folded(flat, side).astype(np.float32)
