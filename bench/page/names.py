"""The names on the page: families of attacks, measures of fidelity, systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["APART", "FAMILIES", "MEASURES", "OURS", "VISIBILITIES", "brief", "called", "systems_of"]

OURS = "sukashi"
_NO_WORD = 4  # letters, of a version or a variant
VISIBILITIES = {"equal": "equal visibility", "default": "default strength"}
# Families whose rows are not in the short table.
APART = frozenset({"null", "fidelity", "price", "scaling", "averaging", "forgery"})
FAMILIES = {  # what the page calls them
    "ours": "our own list",
    "videoseal": "VideoSeal's list",
    "omniseal": "omnisealbench's list",
    "waves": "WAVES' list",
    "networks": "neural networks",
    "scaling": "registry, area and length",
    "averaging": "averaging frames",
    "forgery": "forgeries (fewer found is better)",
}
MEASURES = {  # field: (name, unit, whether more is better)
    "jod": ("JOD, ColorVideoVDP", "10 is the same", True),
    "ssimulacra2": ("SSIMULACRA2", "100 is the same", True),
    "ssim": ("SSIM", "1 is the same", True),
    "psnr": ("PSNR", "dB", True),
    "vmaf": ("VMAF", "100 is the same", True),
    "flat_rms": ("Worst flat block", "code values, root mean square", False),
    "flicker": ("Flicker", "code values, root mean square", False),
}


def systems_of(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the systems that were run, ours first."""
    names = {each["system"] for part in ("cells", "fidelity") for each in summary[part]}
    return tuple(sorted(names, key=lambda name: (name != OURS, name.lower())))


def brief(systems: Sequence[str]) -> dict[str, str]:
    """Return names short enough for a plot: the last word where it is one and no other's."""
    last = [name.split()[-1] for name in systems]
    return {
        name: word if len(word) > _NO_WORD and last.count(word) == 1 else name
        for name, word in zip(systems, last, strict=True)
    }


def called(visibility: str) -> str:
    """Return what a visibility is called."""
    return VISIBILITIES.get(visibility, visibility)
