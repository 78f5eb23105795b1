"""What happens to films: a table of named changes, each with the encoder that the result goes to.

What is changed is in `bench.video_changes`; what is marked is the film itself, or its version of
ten bits or HDR10.  Presets: x264 medium, x265 fast, SVT-AV1 8, libvpx cpu-used 4, MPEG-2 as libav
has it.  "Code values × 0.5" are those of R'G'B'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from bench.video_changes import (
    VideoChange,
    bright,
    chain,
    crop,
    logo,
    mirrored,
    pip,
    reframed,
    repeated,
    reversed_order,
    rotate,
    same,
    short_side,
    speed,
    subtitled,
    thinned,
)
from bench.video_light import eight_bits, ten_bits, to_hdr10, tone_mapped
from bench.video_media import Coding, Footage, write, write_gif

__all__ = ["ATTACKS", "MASTERS", "MINUTE", "UNMARKED", "VideoAttack", "apply", "x264"]

Master = Literal["sdr", "10 bit", "hdr10", "prores", "variable rate"]

MINUTE = "5 s in a minute"


@dataclass(frozen=True, slots=True)
class VideoAttack:
    """One row of the table.

    Parameters
    ----------
    name : str
    target : float
        Share of marks that must be found after it.
    about : str
        Its parameters, with units, where the name does not say them.
    coding : Coding
        What the result is written with.
    change : function of (footage, rng, *others)
        Pure; all its chance comes from `rng`.
    others : int
        How many further, unmarked films it takes.
    master : str
        What is marked: the film of 8 bits, or a version of it; some are files (`video_masters`).
    one_frame : bool
        Whether one frame of the result is all that is left, as JPEG of quality 75.
    """

    name: str
    target: float
    about: str
    coding: Coding
    change: VideoChange = same
    others: int = 0
    master: Master = "sdr"
    one_frame: bool = False


def x264(crf: int, preset: str = "medium") -> Coding:
    """Return H.264 of a quality, 0–51, lower is better."""
    return Coding("libx264", {"crf": f"{crf}", "preset": preset})


def _x265(crf: int) -> Coding:
    return Coding("libx265", {"crf": f"{crf}", "preset": "fast"})


def _av1(crf: int) -> Coding:
    return Coding("libsvtav1", {"crf": f"{crf}", "preset": "8"}, ".mkv")


def _vp9(crf: int) -> Coding:
    options = {"crf": f"{crf}", "deadline": "good", "cpu-used": "4"}
    return Coding("libvpx-vp9", options, ".webm")


def _to_eight(footage: Footage, _: np.random.Generator) -> Footage:
    return eight_bits(footage)


def _to_sdr(footage: Footage, _: np.random.Generator) -> Footage:
    return tone_mapped(footage)


def _to_hdr10(footage: Footage, _: np.random.Generator) -> Footage:
    return to_hdr10(footage)


# What is marked, made from a film of 8 bits.
MASTERS: Mapping[Master, VideoChange] = {
    "sdr": same,
    "10 bit": ten_bits,
    "hdr10": _to_hdr10,
    "prores": ten_bits,
    "variable rate": same,
}

_MPEG2 = Coding("mpeg2video", {}, ".mpg", 4_000_000)
_GIF = Coding("gif", {"width": "320", "colours": "64", "rate": "10"}, ".gif")
_crop_70, _crop_71 = (partial(crop, share=share) for share in (0.70, 0.71))
_5_4, _5_2 = Fraction(5, 4), Fraction(5, 2)
_faster = "frames repeated as by ffmpeg's fps; x264 CRF 23"

_TABLE = (
    VideoAttack("x264 18", 0.99, "CRF 0–51", x264(18)),
    VideoAttack("x264 23", 0.99, "CRF 0–51", x264(23)),
    VideoAttack("x264 28", 0.99, "CRF 0–51", x264(28)),
    VideoAttack("x265 28", 0.99, "CRF 0–51", _x265(28)),
    VideoAttack("av1 35", 0.99, "CRF 1–63", _av1(35)),
    VideoAttack("vp9 33", 0.99, "CRF 0–63", _vp9(33)),
    VideoAttack("mpeg2", 0.99, "4 Mb/s", _MPEG2),
    VideoAttack("x264 33", 0.97, "CRF 0–51", x264(33)),
    VideoAttack("x264 38", 0.92, "CRF 0–51", x264(38)),
    VideoAttack("x264 42", 0.75, "CRF 0–51", x264(42)),
    VideoAttack("x265 33", 0.97, "CRF 0–51", _x265(33)),
    VideoAttack("x265 38", 0.88, "CRF 0–51", _x265(38)),
    VideoAttack("av1 50", 0.85, "CRF 1–63", _av1(50)),
    VideoAttack("360p", 0.95, "x264 CRF 28", x264(28), partial(short_side, pixels=360)),
    VideoAttack("240p", 0.80, "x264 CRF 30", x264(30), partial(short_side, pixels=240)),
    VideoAttack("24 to 30", 0.98, _faster, x264(23), partial(repeated, times=_5_4)),
    VideoAttack("24 to 60", 0.98, _faster, x264(23), partial(repeated, times=_5_2)),
    VideoAttack("every third", 0.98, "x264 CRF 23", x264(23), partial(thinned, every=3)),
    VideoAttack("speed", 0.98, "± 4 %, x264 CRF 23", x264(23), partial(speed, by=Fraction(1, 25))),
    VideoAttack("reversed", 0.98, "x264 CRF 23", x264(23), reversed_order),
    VideoAttack("crop 70", 0.95, "% of each side, x264 CRF 28", x264(28), _crop_70),
    VideoAttack("mirrored", 0.95, "x264 CRF 30", x264(30), mirrored),
    VideoAttack("rotate 5", 0.95, "± degrees, x264 CRF 28", x264(28), partial(rotate, degrees=5)),
    VideoAttack("9:16", 0.95, "whole, on black or blurred, x264 CRF 28", x264(28), reframed),
    VideoAttack("subtitles", 0.95, "two lines, x264 CRF 28", x264(28), subtitled),
    VideoAttack("logo", 0.95, "1/8 of the height, x264 CRF 28", x264(28), logo),
    VideoAttack(
        "pip 50", 0.85, "% of the width, x264 CRF 28", x264(28), partial(pip, share=0.5), others=1
    ),
    VideoAttack(
        "crop 71 dark",
        0.93,
        "% of each side, code values × 0.5, x264 CRF 30",
        x264(30),
        chain(_crop_71, partial(bright, factor=0.5)),
    ),
    VideoAttack(
        "one frame", 0.90, "of x264 CRF 28, at random, as JPEG 75", x264(28), one_frame=True
    ),
    VideoAttack("hdr10 to sdr", 0.97, "Hable, x264 CRF 18", x264(18), _to_sdr, master="hdr10"),
    VideoAttack("10 to 8 bit", 0.99, "x264 CRF 18", x264(18), _to_eight, master="10 bit"),
    VideoAttack("prores", 0.99, "422 HQ, x264 CRF 28", x264(28), _to_eight, master="prores"),
    VideoAttack(
        "variable rate",
        0.99,
        "every third frame missing at random, x264 CRF 28",
        Coding("libx264", {"crf": "28", "preset": "medium"}, ".mkv"),
        master="variable rate",
    ),
    VideoAttack("gif", 0.70, "320 px wide, 64 colours, 10 a second", _GIF),
    VideoAttack(
        MINUTE, 0.90, "others marked or not, x264 CRF 23 veryfast, ± 1 s", x264(23, "veryfast")
    ),
)

ATTACKS = {attack.name: attack for attack in _TABLE}
UNMARKED = {f"unmarked {name}": name for name in ("x264 28", "240p", "crop 70", "gif")}


def apply(
    attack: VideoAttack, path: Path, footage: Footage, rng: np.random.Generator, *others: Footage
) -> Footage:
    """Write what an attack makes of footage, and return what was encoded.

    Parameters
    ----------
    attack : VideoAttack
    path : Path
        Of the file to be written, with the ending of the attack's coding.
    footage : Footage
        Of its master.
    rng : Generator
    *others : Footage
        As many as it takes.

    Raises
    ------
    ValueError
        If it takes another number of further films.
    """
    if len(others) != attack.others:
        raise ValueError(f"{attack.name} takes {attack.others} further films, not {len(others)}")
    changed = attack.change(footage, rng, *others)
    if attack.coding.codec == "gif":
        options = attack.coding.options
        width, colours, rate = (int(options[name]) for name in ("width", "colours", "rate"))
        write_gif(path, changed, width=width, colours=colours, rate=rate)
    else:
        write(path, changed.frames, rate=changed.rate, coding=attack.coding)
    return changed
