"""Marking moving pictures: the same tile at the same place of every frame, as each frame allows.

The mask is that of stills, in whole numbers where that saves time, with four things added:

- Where the picture moves, the mark is weaker.  An encoder predicts a frame from where its parts
  were before, and a mark that stands still has to be coded anew there: that is most of its cost,
  and what survives coarse quantisation lies where nothing moves.
- Flats get less of it, for the same reason.
- What the visibility of the whole frame and VMAF say about strength follows slowly, so that a place
  that does not change does not pump because of what happens elsewhere.
- A frame that is the same as the one before is marked the same, to the bit, from a shot's second
  frame on; of the first it is not known yet what will move, and VMAF has no say.

A hard cut forgets all that was before it, but where all changes all the time.  Frames come in the
order in which they are shown.  HDR is judged as the SDR picture that shows the same light.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.detail_loss import EXPONENT, Motion, affordable, detail_loss
from watermark.frame import Luma
from watermark.key import Key
from watermark.mask import (
    BESIDE,
    ROUNDS,
    STEP,
    Activity,
    activity,
    aim,
    amplitude,
    from_pure,
)
from watermark.pattern import mark_tile, repeat
from watermark.planes import Plane, PlaneFormat, Shown, sdr_luma
from watermark.profile import DEFAULT, Profile
from watermark.residual import canonical_scale

__all__ = ["MovieMarker"]

_MARGIN = 3  # canonical pixels beyond the frame, so that resampling reads pattern up to its edge
_UNIT = 40  # of strength to a code value: a profile's cap of 6 code values is 240 in a uint8
_CARRIER_UNIT = 2048  # of the carrier, whose root mean square is 1, in an int16
_SMALLEST_SIDE = 16  # pixels of a frame, so that the mask's windows have something to stand on

_BLOCK = 8  # canonical pixels: side of the squares whose means are compared between frames
# Code values by which the means change where nothing moves, and where something surely does.
_STILL, _MOVING = 0.4, 1.2
_SPREAD = np.ones((3, 3), np.uint8)  # blocks around one that moves, which it may move into
_WEAKEST = 0.6  # times the mask, where everything moves
# Of the way to the new factor, a frame: what has begun to move hides the change, what has come to
# rest does not.
_FALL, _RISE = 0.3, 0.1
# Of the way to the new scale of the whole mask, each time it is measured.  Down is more urgent: the
# old scale may be too strong for what has just appeared.
_LOWER, _HIGHER = 0.3, 0.1
# Flats cost an encoder most and keep least; what they lose, the rest may have.
_FLAT = 0.3  # code values, root mean square
_MORE, _LEAN = 1.2, 0.7  # times the visibility of a still; how much it leans towards flats
# Large frames are seen smaller than they are coded, and have more to give: times the strength from
# the second of these short sides on, rising from the first, in pixels.
_LARGE, _RISES = 1.08, (480, 720)
_EVERY = 2  # frames for which activity is measured once; it is what takes longest
_REFINED = 2  # rounds of scaling, from the scale of the frame before
_LEAST_VMAF = 95.4  # of every frame but a shot's first, on which codecs build all others
# A cut changes the means by this share of what two unrelated frames differ by, and by so much.
_CUT_SHARE, _CUT_LEAST = 0.45, 2.0
_SDR_MOST = 250.0  # luma: HDR that is brighter than SDR's white is no pure white


class MovieMarker:
    """Marks the luma planes of one film, frame by frame.

    Parameters
    ----------
    key : Key
    number : int
        Mark number of 48 bits.
    shape : (int, int)
        Height and width of the stored planes, each at least 16 pixels.
    format : PlaneFormat
    shown : Shown
        The mark lies on the canonical grid of the frame as it is shown.
    profile : Profile
    strength : float
        Factor on the amplitude; 0 gives planes back as they are.

    Notes
    -----
    Memory is that of a few planes, however long the film is.
    """

    def __init__(
        self,
        key: Key,
        number: int,
        *,
        shape: tuple[int, int],
        format: PlaneFormat,  # noqa: A002 - what it is called everywhere else
        shown: Shown = Shown(),  # noqa: B008 - frozen
        profile: Profile = DEFAULT,
        strength: float = 1.0,
    ) -> None:
        if min(shape) < _SMALLEST_SIDE:
            raise ValueError(f"a frame has sides of at least {_SMALLEST_SIDE} pixels, not {shape}")
        self._shape, self._format = shape, format
        self._profile = replace(
            profile,
            flat=min(profile.flat, _FLAT),
            floor=min(profile.floor, _FLAT),
            target=profile.target * _MORE,
            lean=_LEAN,
        )
        square = shown.size(*shape)
        self._short = min(square)
        self._larger = float(np.interp(self._short, _RISES, (1, _LARGE)))
        self._strength = strength * self._larger
        scale = canonical_scale(square, profile)
        high, wide = (max(_BLOCK, round(side * scale)) for side in square)
        if shown.rotation % 180:
            high, wide = wide, high
        self._grid = (wide, high)  # the canonical grid as the frame is stored, for OpenCV
        self._carrier = _carrier(mark_tile(key, number, profile), shape, shown, scale)
        values = np.linspace(0, 255, 1024)
        lights = np.clip(sdr_luma(values, format.transfer), 0, _SDR_MOST)
        self._lights = None if format.transfer == "sdr" else (values, lights)
        self._before: Plane = np.empty((0, 0), format.dtype)
        self._steps = np.empty((0, 0), np.int16)  # that were added to it
        self._means: Luma | None = None  # of blocks
        self._factor: Luma | None = None  # a block's, because of motion
        self._scale = 1.0  # of the whole mask
        self._coarse = np.zeros((1, 1), np.uint8)  # amplitude on the grid of `activity`
        self._age = 0  # frames since it was measured
        self._motion = Motion()

    def mark(self, plane: Plane) -> Plane:
        """Return the next frame's stored plane, marked.

        Parameters
        ----------
        plane : ndarray of uint8 or uint16, shape (H, W)
            Is not changed, and may be changed by the caller afterwards.

        Returns
        -------
        ndarray like `plane`
        """
        self._format.check(plane)
        if plane.shape != self._shape:
            raise ValueError(f"the frames of this film are {self._shape}, not {plane.shape}")
        if self._strength == 0:
            return plane.copy()
        same = np.array_equal(plane, self._before)
        if not same or self._motion.unknown:
            strength = self._mask(self._canvas(plane))
            grown = cv2.resize(strength, self._shape[::-1], interpolation=cv2.INTER_LINEAR)
            unit = self._strength * self._format.gain / (_UNIT * _CARRIER_UNIT)
            self._steps = np.asarray(cv2.multiply(grown, self._carrier, scale=unit), np.int16)
            self._before = plane.copy()
        if same:
            self._motion.held()
        return self._format.add_steps(plane, self._steps)

    def _canvas(self, plane: Plane) -> Luma:
        """Return a stored plane's luma on the canonical grid, 0–255, as SDR."""
        high, wide = self._shape
        fine = 8 - min(8, self._format.bits - 8)  # bits under those of the plane, for averages
        whole = max(1, int(min(wide / self._grid[0], high / self._grid[1])))
        deep = np.left_shift(plane, fine, dtype=np.uint16)
        if whole > 1:
            inner = deep[: high // whole * whole, : wide // whole * whole]
            deep = cv2.resize(inner, (wide // whole, high // whole), interpolation=cv2.INTER_AREA)
        canvas = cv2.resize(deep, self._grid, interpolation=cv2.INTER_LINEAR).astype(np.float32)
        canvas -= np.float32(self._format.black << fine)
        canvas *= np.float32(1 / (self._format.gain * (1 << fine)))
        np.clip(canvas, 0, 255, out=canvas)
        if self._lights is not None:
            canvas = np.interp(canvas, *self._lights).astype(np.float32)
        return np.asarray(canvas, np.float32)

    def _mask(self, canvas: Luma) -> NDArray[np.int16]:
        """Return how strong the mark is at each place of the canonical grid, in `_UNIT`."""
        profile = self._profile
        second = self._motion.unknown
        factor, cut = self._moved(canvas)
        if cut or second or self._age >= _EVERY:
            self._coarse, self._age = self._amplitude(activity(canvas), cut=cut, second=second), 0
        self._age += 1
        smooth = _spread(self._coarse)[: canvas.shape[0], : canvas.shape[1]]
        # From here on as in `mask`, in uint8.
        levels = cv2.convertScaleAbs(canvas)
        span = cv2.dilate(levels, BESIDE) - cv2.erode(levels, BESIDE)
        blank = min(self._scale * profile.floor, profile.flat)
        most = cv2.convertScaleAbs(span, alpha=profile.beside * _UNIT, beta=blank * _UNIT)
        strength = cv2.min(smooth, most)
        flat: Any = round(profile.flat * _UNIT)  # a number, which OpenCV's types do not know
        quiet = cv2.min(strength, flat)
        pure = np.rint(255 * from_pure(np.arange(256, dtype=np.float32))).astype(np.uint8)
        extra = cv2.multiply(strength - quiet, cv2.LUT(levels, pure), scale=1 / 255)
        strength = quiet + extra
        if factor is not None:
            less = cv2.resize(factor, self._grid, interpolation=cv2.INTER_LINEAR)
            strength = cv2.multiply(strength, less, scale=1 / 255)
        return np.asarray(strength, np.uint8).astype(np.int16)

    def _amplitude(self, seen: Activity, *, cut: bool, second: bool) -> NDArray[np.uint8]:
        """Return the amplitude on the grid of `activity`, as `mask` has it, in `_UNIT`."""
        target = aim(seen, self._short, self._profile)
        start, rounds = (1.0, ROUNDS) if cut else (self._scale, _REFINED)
        strongest, scale = amplitude(
            seen, self._short, target, self._profile, start=start, rounds=rounds
        )
        # Where it moves the mark is weaker than this amplitude.
        shown = np.float32(self._larger * (1 if self._factor is None else self._factor.mean()))
        most = affordable(self._motion.now, _LEAST_VMAF)
        for _ in range(rounds):
            lost = detail_loss(strongest * shown, seen, self._short)
            if lost <= most:
                break
            scale *= (most / lost) ** (1 / EXPONENT)
            strongest = self._scaled(seen, scale)
        if not cut and (scale > start or not second):
            follow = _LOWER if scale < start else _HIGHER
            scale = start * (scale / start) ** follow
            strongest = self._scaled(seen, scale)
        self._scale = scale
        strongest = strongest * from_pure(seen.mean)
        return np.asarray(np.rint(np.minimum(strongest * _UNIT, 255)), np.uint8)

    def _scaled(self, seen: Activity, scale: float) -> Luma:
        return amplitude(seen, self._short, 0.0, self._profile, start=scale, rounds=0)[0]

    def _moved(self, canvas: Luma) -> tuple[NDArray[np.uint8] | None, bool]:
        """Compare with the frame before.

        Returns
        -------
        ndarray of uint8, optional
            Factor of each block, 255 for 1; None where all are 1.
        bool
            Whether this is the first frame of a shot.
        """
        size = (self._grid[0] // _BLOCK, self._grid[1] // _BLOCK)
        whole = canvas[: size[1] * _BLOCK, : size[0] * _BLOCK]
        means = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.float32)
        before, self._means = self._means, means
        cut = before is None
        if before is not None:
            change = np.abs(means - before)
            mean = float(change.mean())
            apart = float(np.hypot(means.std(), before.std()))
            cut = mean > max(_CUT_SHARE * apart, _CUT_LEAST)
        light = self._light(means)
        if before is None or cut:
            self._motion.cut()
            self._factor = np.ones_like(means)
            return light, True
        self._motion.moved(mean)
        near = cv2.dilate(cv2.blur(change, (3, 3)), _SPREAD)
        share = np.clip((near - _STILL) / (_MOVING - _STILL), 0, 1)
        wanted = 1 - (1 - _WEAKEST) * share
        factor = self._factor
        assert factor is not None
        self._factor = factor + np.where(wanted < factor, _FALL, _RISE).astype(np.float32) * (
            wanted - factor
        )
        moved = np.rint(255 * self._factor).astype(np.uint8)
        if light is not None:
            moved = np.asarray(cv2.multiply(moved, light, scale=1 / 255), np.uint8)
        return moved, False

    def _light(self, means: Luma) -> NDArray[np.uint8] | None:
        """Return how many code values of HDR do what one of SDR does, 255 for 1."""
        if self._lights is None:
            return None
        values, lights = self._lights
        slopes = np.minimum(np.gradient(values) / np.maximum(np.gradient(lights), 1e-3), 1)
        inside = lights < _SDR_MOST
        return np.rint(255 * np.interp(means, lights[inside], slopes[inside])).astype(np.uint8)


def _spread(coarse: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Interpolate what stands at every fourth pixel, from the first on, to half a pixel."""
    grown = cv2.resize(coarse, None, fx=STEP, fy=STEP, interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown[STEP // 2 :, STEP // 2 :], np.uint8)


def _carrier(
    tile: NDArray[np.floating], shape: tuple[int, int], shown: Shown, scale: float
) -> NDArray[np.int16]:
    """Return the mark of strength 1 at the pixels of a stored frame, in `_CARRIER_UNIT`."""
    square = shown.size(*shape)
    upright = shape[::-1] if shown.rotation % 180 else shape
    size = [int(np.ceil(side * scale)) + _MARGIN for side in square]
    across = upright[1] / (square[1] * scale)
    down = upright[0] / (square[0] * scale)
    canvas = np.asarray(repeat(tile, (size[0], size[1])), np.float32)
    if (across, down) != (1, 1):
        # Averaging serves only where both sides shrink.
        method = cv2.INTER_AREA if max(across, down) <= 1 else cv2.INTER_CUBIC
        grown = cv2.resize(canvas, None, fx=across, fy=down, interpolation=method)
        canvas = np.asarray(grown, np.float32)
    steps = np.rint(canvas[: upright[0], : upright[1]] * _CARRIER_UNIT)
    limit = np.iinfo(np.int16).max
    return np.ascontiguousarray(shown.stored(np.clip(steps, -limit, limit).astype(np.int16)))
