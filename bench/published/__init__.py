"""The published lists of attacks on pictures, with their exact parameters, as one table.

So that our numbers can stand beside those of others: VideoSeal's 78, what omnisealbench adds to
them, and the distortions of WAVES.  Each row names the file it was taken from.  A row takes further
pictures like other attacks; where `Published.original` is set, that one picture is the unmarked
original of the same picture.
"""

from __future__ import annotations

import numpy as np

from bench.attacks import Picture
from bench.published.omniseal import ROWS as OMNISEAL
from bench.published.row import GROUPS, Published
from bench.published.videoseal import ROWS as VIDEOSEAL
from bench.published.waves import ROWS as WAVES

__all__ = ["GROUPS", "PUBLISHED", "Published", "apply"]

PUBLISHED: dict[str, Published] = {row.attack.name: row for row in VIDEOSEAL + OMNISEAL + WAVES}


def apply(name: str, pixels: Picture, rng: np.random.Generator, *others: Picture) -> Picture:
    """Return what an attack makes of a picture, together with the others that it takes.

    Raises
    ------
    KeyError
        If the table has no attack of this name.
    ValueError
        If it takes another number of further pictures.
    """
    attack = PUBLISHED[name].attack
    if len(others) != attack.others:
        raise ValueError(f"{name} takes {attack.others} further pictures, not {len(others)}")
    return attack.change(pixels, rng, *others)
