"""Marking files: read, mark, encode, read back, and only then write.

What is written is first decoded again from its own bytes and must be found there as surely as a
whole search of the registry would ask; a file that fails is never written.
PSNR and SSIM are those of luma between the source and that decoded result, so they hold what the
format lost as well.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from watermark.decide import needed_z
from watermark.detect import read_back
from watermark.embed import embed
from watermark.errors import MarkNotReadable, MediaError, OutputError
from watermark.files import AnyPath, atomic_write, shown
from watermark.formats import format_of
from watermark.frame import luma
from watermark.key import Key
from watermark.profile import DEFAULT, Profile
from watermark.quality import psnr, ssim
from watermark.registry import Registry
from watermark.stills import MAX_PIXELS, check_size, encode, read
from watermark.tally import Tally

__all__ = ["Marked", "check_free", "is_marked_still", "mark_still", "required_z"]

# A detector looks at the whole frame and at its mirror image, which share half of the error
# probability with what a search comes up with.
_CHARGED = 4
# A registry grows after a file has been marked; the mark has to stand among this many at least.
_FEWEST_MARKS = 1_000_000


@dataclass(frozen=True, slots=True)
class Marked:
    """How a marked file came out.

    Parameters
    ----------
    psnr : float
        Decibels, luma; infinity where nothing changed.
    ssim : float
        Luma.
    z : float
        What a detector gets from the file as written.
    """

    psnr: float
    ssim: float
    z: float


def required_z(marks: int) -> float:
    """Return the z that a file must read back with, for a registry of `marks` marks."""
    return needed_z(math.log(_CHARGED * max(marks, _FEWEST_MARKS)))


def mark_still(
    source: AnyPath,
    output: AnyPath,
    key: Key,
    number: int,
    *,
    registry: Registry | None = None,
    required: float | None = None,
    profile: Profile = DEFAULT,
    strength: float = 1.0,
    quality: int | None = None,
    max_pixels: int = MAX_PIXELS,
    replace: bool = False,
) -> Marked:
    """Write a marked copy of a picture file.

    Parameters
    ----------
    source, output : path
        The ending of `output` names its format.
    key : Key
    number : int
        Mark number of 48 bits, as the registry gives it.
    registry : Registry, optional
        Told of key and profile before the file stands under its name, so that no mark goes out
        that the registry does not know.
    required : float, optional
        The z to read back with; by default `required_z` for a registry of a million marks.
    profile : Profile
    strength : float
        Factor on the amplitude; 1 is the profile's own.
    quality : int, optional
        1 to 100, for JPEG, WebP and AVIF; by default that of the source or better.
    max_pixels : int
        Larger pictures are refused before they are decoded.
    replace : bool
        Whether a file that stands at `output` may be replaced.

    Returns
    -------
    Marked

    Raises
    ------
    MediaError
        If the source cannot be read or marked, or the output not written.
    MarkNotReadable
        If the mark is not found in what would be written; nothing is.
    RegistryError
        If the registry could not be told; nothing is written.
    """
    format_of(output)
    if not replace:
        check_free(source, output)
    still = read(source, max_pixels=max_pixels)
    check_size(still.pixels.shape, name=source)
    original = still.shown()
    marked = embed(original, key, number, profile=profile, strength=strength)
    data = encode(still.with_shown(marked), output, quality=quality)

    written = read(data, max_pixels=max_pixels, name=output).shown()
    z = read_back(written, key, number, profile=profile)
    wanted = required_z(0) if required is None else required
    if z < wanted:
        raise MarkNotReadable(
            f"{shown(source)}: the mark would not be found in what was to be written "
            f"(z {z:.1f}, and {wanted:.1f} is needed); raise --strength or --quality, "
            "or leave this picture out"
        )
    before, after = luma(original), luma(written)
    result = Marked(psnr(before, after), ssim(before, after), z)
    with atomic_write(output, replace=replace) as temporary:
        Path(temporary).write_bytes(data)
        if registry is not None:
            registry.record_marking(number, key.fingerprint, str(profile))
    return result


def is_marked_still(
    path: AnyPath,
    key: Key,
    number: int,
    required: float,
    *,
    profile: Profile = DEFAULT,
    max_pixels: int = MAX_PIXELS,
) -> bool:
    """Say whether a picture that stands there already is a whole one that shows its mark."""
    try:
        pixels = read(path, max_pixels=max_pixels).shown()
    except MediaError:
        return False
    look = Tally(key, number, profile).look(luma(pixels))
    return look.certain and look.z >= required


def check_free(source: AnyPath, output: AnyPath) -> None:
    """Refuse to replace what stands at `output`.

    Raises
    ------
    OutputError
        If something does.
    """
    if os.path.lexists(output):
        raise OutputError(
            f"{shown(source)}: its output exists ({shown(output)}); "
            "replace it with --force or name another output"
        )
