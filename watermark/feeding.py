"""The ways in which training pipelines feed frames, and where the mark's grid lies after each.

A generator that learned from whole frames repeats the mark where its training pipeline had put it.
The usual pipelines are few: the frame is squashed to the output's shape, or scaled until it covers
that shape and cut at the middle; half of the frames may be mirrored.  None needs a search, only
the shape of the frames that were marked, and of those few are usual.  Whoever knows the shape of
their own frames adds it.

Cuts *anywhere* are not among them.  Where frames are scaled to the short side and cut anywhere
along the other, what the mark has in common along that side still adds up; but of 4,335 chips that
is some fifty, and without any noise their z is 6.3 in the mean of 40 keys (3.4 to 8.4), which is
hardly ever enough for a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from watermark.align import Alignment, folded, shifted

__all__ = [
    "ASPECTS",
    "Feed",
    "Placing",
    "alignments",
    "alike",
    "feeds",
    "laid_out",
    "names_of",
]

_SAME = 0.5  # pixels of the grid: two ways that are off by less are one

Tile = NDArray[np.float64]

# Width over height of frames.  Films of "2.39" are 2048 × 858 or 1920 × 800 pixels, and a squashed
# grid of the one is five pixels off that of the other at its right end.
ASPECTS: Mapping[str, float] = MappingProxyType(
    {
        "16:9": 16 / 9,
        "4:3": 4 / 3,
        "3:2": 3 / 2,
        "1.85:1": 1.85,
        "2.35:1": 2.35,
        "2.39:1": 2048 / 858,
        "2.40:1": 2.4,
        "1:1": 1.0,
        "3:4": 3 / 4,
        "2:3": 2 / 3,
        "9:16": 9 / 16,
    }
)

Kind = Literal["seen", "squash", "crop"]


class Placing(NamedTuple):
    """Canvas point (x, y) lies at (`across` · x + `right`, `along` · y + `down`) of the grid.

    `width` is that of the canvas, and `across` · (width − x) + `right` is where its mirror image
    lies.
    """

    across: float
    along: float
    right: float
    down: float
    width: float


@dataclass(frozen=True, slots=True)
class Feed:
    """One way in which frames of one shape become training pictures.

    Parameters
    ----------
    name : str
        For people.
    kind : str
        ``seen``: as they are; ``squash``: stretched to the picture's shape; ``crop``: scaled until
        they cover it, and cut at the middle.
    aspect : float
        Width over height of the frames; without meaning for ``seen``.
    """

    name: str
    kind: Kind
    aspect: float

    def placed(self, extent: tuple[float, float], short: int) -> Placing:
        """Return where the grid of the marked frames lies.

        Parameters
        ----------
        extent : (float, float)
            Canonical height and width of the pictures.
        short : int
            Short side of the canonical grid.
        """
        height, width = extent
        if self.kind == "seen":
            return Placing(1.0, 1.0, 0.0, 0.0, width)
        tall, wide = short / min(1.0, self.aspect), short * max(1.0, self.aspect)
        across, along = wide / width, tall / height
        if self.kind == "squash":
            return Placing(across, along, 0.0, 0.0, width)
        scale = min(across, along)
        right, down = (wide - scale * width) / 2, (tall - scale * height) / 2
        return Placing(scale, scale, right, down, width)


def feeds(aspects: Mapping[str, float] = ASPECTS) -> tuple[Feed, ...]:
    """Return every way for frames of some shapes, the picture as it is first.

    Parameters
    ----------
    aspects : mapping of str to float
        Names and widths over heights.

    Raises
    ------
    ValueError
        If a shape is longer than 16 : 1.
    """
    if not all(1 / 16 <= aspect <= 16 for aspect in aspects.values()):
        raise ValueError("a frame's width over its height lies between 1 : 16 and 16 : 1")
    result = [Feed("whole frame", "seen", 1.0)]
    for name, aspect in aspects.items():
        result.append(Feed(f"squashed from {name}", "squash", aspect))
        result.append(Feed(f"cut from the middle of {name}", "crop", aspect))
    return tuple(result)


def laid_out(canvas: NDArray[np.float32], place: Placing, side: int) -> tuple[Tile, Tile]:
    """Fold a sum along a placing, and its mirror image along the same."""
    if (place.across, place.along) != (1.0, 1.0):
        grown = max(place.across, place.along) > 1
        method = cv2.INTER_CUBIC if grown else cv2.INTER_AREA
        resized = cv2.resize(canvas, None, fx=place.across, fy=place.along, interpolation=method)
        canvas = np.asarray(resized, np.float32)
    tile = folded(canvas, side)
    wide = canvas.shape[1]
    mirrored = tile[:, (wide - 1 - np.arange(side)) % side]  # as the mirrored canvas folds
    reach = place.across * place.width + place.right - wide
    return shifted(tile, place.down, place.right), shifted(mirrored, place.down, reach)


def names_of(feed: Feed) -> tuple[str, str, str]:
    """Return what the three ways of one feed are called: as it is, mirrored, and both added up."""
    return feed.name, f"{feed.name}, mirrored", f"{feed.name}, some of them mirrored"


def alike(
    one: Iterable[Placing], other: Iterable[Placing], extents: Iterable[tuple[float, float]]
) -> bool:
    """Say whether two ways come to the same in pictures of all these sizes."""
    for a, b, (height, width) in zip(one, other, extents, strict=True):
        for x, y in ((0.0, 0.0), (width, height)):
            right = (a.across - b.across) * x + a.right - b.right
            down = (a.along - b.along) * y + a.down - b.down
            if max(abs(right), abs(down)) >= _SAME:
                return False
    return True


def alignments(feed: Feed, extent: tuple[float, float], short: int) -> dict[str, Alignment]:
    """Return the alignments of a canvas of one size along a way of feeding, by name."""
    height, width = extent
    across, along, right, down, _ = feed.placed(extent, short)
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    last = (0.0, along, down), (0.0, 0.0, 1.0)
    plain = Alignment(((across, 0.0, right), *last), "", corners)
    mirrored = Alignment(((-across, 0.0, across * width + right), *last), "", corners)
    return dict(zip(names_of(feed), (plain, mirrored, plain), strict=True))
