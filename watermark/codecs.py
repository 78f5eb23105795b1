"""Which encoder writes a marked stream, and how it is set: the source's family, seen as lossless.

Pixel formats are kept as they are; where an encoder does not take one, the stream is refused with
the name of an encoder that does.  The one exception is ProRes 4444: decoders give its samples 12
bits, its encoder takes 10, and the two lower ones are rounded away.

Colour description goes into every bitstream that has room for it.  Mastering display and content
light level (SMPTE ST 2086, CTA-861.3) are written into the bitstream by H.264, HEVC and AV1
encoders; other codecs keep them in the container, which is possible only within one family.
Dolby Vision and HDR10+ describe each scene anew and cannot be written again: they are refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction

import av

from watermark.errors import UnsupportedMedia
from watermark.hdr10 import integers, mastering, reals
from watermark.videoinfo import VideoInfo

__all__ = ["CODECS", "EncoderPlan", "Encoding", "plan"]

# Names on the command line -> encoder of libav, codec as decoders name it.
CODECS = {
    "h264": ("libx264", "h264"),
    "hevc": ("libx265", "hevc"),
    "av1": ("libsvtav1", "av1"),
    "vp9": ("libvpx-vp9", "vp9"),
    "prores": ("prores_ks", "prores"),
    "dnxhr": ("dnxhd", "dnxhd"),
    "ffv1": ("ffv1", "ffv1"),
    "mpeg2": ("mpeg2video", "mpeg2video"),
}
_FAMILY = {codec: name for name, (_, codec) in CODECS.items()}
# They lose nothing, and neither does FFV1.
_LOSSLESS_SOURCES = {"rawvideo", "v210", "huffyuv", "ffvhuff", "utvideo", "v410", "magicyuv"}
# FFmpeg's guide to x264 calls 17 and 18 "visually lossless or nearly so"; the others follow it.
_CRF = {"h264": 17.0, "hevc": 18.0, "av1": 20.0, "vp9": 18.0}
_CRF_MOST = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
_PRESETS = {"h264": "medium", "hevc": "medium", "av1": "6", "vp9": "2"}
_X26X = ["ultrafast", "superfast", "veryfast", "faster", "fast"]
_X26X += ["medium", "slow", "slower", "veryslow", "placebo"]
_KNOWN_PRESETS = {"h264": _X26X, "hevc": _X26X} | {
    family: [str(step) for step in range(count)] for family, count in (("av1", 14), ("vp9", 9))
}
_HOLDS_LIGHT = {"h264", "hevc", "av1"}  # mastering display and light level in the bitstream
_HOLDS_CAPTIONS = {"h264", "hevc", "mpeg2"}  # CTA-708 beside the pictures
_HOLDS_ASPECT = {"h264", "hevc"}  # any width over height of a pixel
_MPEG2_SHAPES = (Fraction(4, 3), Fraction(16, 9), Fraction(221, 100))  # ITU-T H.262, table 6-3
_PRORES = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444"}
_PRORES |= {"XQ": "4444xq", "4444 XQ": "4444xq"}
_DNXHR = {"DNXHR LB": "dnxhr_lb", "DNXHR SQ": "dnxhr_sq", "DNXHR HQ": "dnxhr_hq"}
_DNXHR |= {"DNXHR HQX": "dnxhr_hqx", "DNXHR 444": "dnxhr_444"}
_ROUNDED = {("prores", "yuv444p12le"): "yuv444p10le", ("prores", "yuva444p12le"): "yuva444p10le"}
_MPEG2_RATES = (  # ITU-T H.262, table 6-4
    *(Fraction(number, 1001) for number in (24_000, 30_000, 60_000)),
    *(Fraction(number) for number in (24, 25, 30, 50, 60)),
)
_MOST_THREADS = 16  # each holds a frame or more
_MPEG2_BITS = 0.25  # a pixel: 12 Mb/s at 1080p24, where a source says less or nothing


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the marked stream is to be written.

    Parameters
    ----------
    codec : str, optional
        A name in `CODECS`; by default the source's family.
    crf : float, optional
        Constant rate factor of H.264, HEVC (0 to 51), AV1 and VP9 (0 to 63).
    preset : str, optional
        ``ultrafast`` to ``placebo`` for H.264 and HEVC, 0 to 13 for AV1, 0 to 8 for VP9.
    lossless : bool
        H.264, HEVC, VP9 and FFV1 only.
    threads : int, optional
        Of the encoder.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    lossless: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.codec is not None and self.codec not in CODECS:
            raise ValueError(f"a codec is one of {', '.join(CODECS)}, not {self.codec!r}")
        if self.lossless and self.crf is not None:
            raise ValueError("lossless has no rate factor; give one of the two")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"a number of threads is at least 1, not {self.threads}")


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """An encoder and its settings, checked against the source.

    Parameters
    ----------
    family : str
        A name in `CODECS`.
    encoder : str
        libav's name.
    pixel_format : str
        What the encoder is fed.
    options : dict
        Of the encoder.
    bit_rate : int
        Bits a second; 0 where quality is constant.
    tag : str
        Four characters that a QuickTime or MP4 file calls the codec; empty for the usual ones.
    clock : Fraction, optional
        Frames a second of an encoder that knows only a few rates, and counts frames for times.
    from_template : bool
        Whether stream parameters are copied from the source, for the data only they hold.
    """

    family: str
    encoder: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)
    bit_rate: int = 0
    tag: str = ""
    clock: Fraction | None = None
    from_template: bool = False


def plan(info: VideoInfo, encoding: Encoding, *, suffix: str) -> EncoderPlan:
    """Choose encoder and settings for a stream.

    Parameters
    ----------
    info : VideoInfo
    encoding : Encoding
    suffix : str
        Of the output's name, in lower case, with its dot.

    Raises
    ------
    UnsupportedMedia
        If the stream cannot be written this way, or a rate factor, preset or ``lossless`` does not
        belong to its codec; the message names a way that works.
    """
    _check_source(info)
    family = encoding.codec or _family(info, suffix)
    encoder, codec = CODECS[family]
    pixels = _pixel_format(info, family, encoder)
    same = codec == info.codec
    light = bool(info.colour.mastering or info.colour.light)
    only_there = bool(info.side_data & {"SPHERICAL", "STEREO3D"})
    only_there |= light and family not in _HOLDS_LIGHT
    if only_there and not same:
        raise UnsupportedMedia(
            f"{info.name}: {family} cannot take over its HDR10, stereo or spherical data; "
            f"choose --codec {_FAMILY.get(info.codec, 'hevc')}"
        )
    _check_aspect(info, family, suffix)
    if "A53_CC" in info.side_data and family not in _HOLDS_CAPTIONS:
        raise UnsupportedMedia(
            f"{info.name}: {family} cannot take over its closed captions; choose --codec h264"
        )
    bit_rate, clock = 0, None
    if family == "mpeg2":
        clock = min(_MPEG2_RATES, key=lambda known: abs(known - (info.rate or 25)))
        floor = _MPEG2_BITS * info.width * info.height * float(info.rate or 25)
        bit_rate = round(max(1.25 * (info.bit_rate or 0) * same, floor))
    elif family == "dnxhr" and info.profile == "DNXHD" and same:
        bit_rate = info.bit_rate or 0
    tag = ""
    if suffix in {".mp4", ".m4v", ".mov"} and family == "hevc":
        # What Apple's players want, and what a source that says otherwise was made with.
        tag = info.tag if same and info.tag in {"hev1", "hvc1"} else "hvc1"
    options = {**_quality(info, family, encoding), **_colour(info, family)}
    if family == "hevc" and encoding.lossless:
        options["x265-params"] += ":lossless=1"
    cores = os.cpu_count() or 1
    if family == "hevc":
        options["x265-params"] += f":pools={encoding.threads or min(cores, _MOST_THREADS)}"
    else:
        options["threads"] = str(encoding.threads or min(3 * cores // 2, _MOST_THREADS))
    return EncoderPlan(family, encoder, pixels, options, bit_rate, tag, clock, only_there)


def _check_source(info: VideoInfo) -> None:
    if info.interlaced:
        raise UnsupportedMedia(
            f"{info.name}: interlaced video is not marked, since a mark on frames would break its "
            "fields; deinterlace it first (with bwdif, say), or mark the progressive master"
        )
    dynamic = info.side_data & {"DOVI_RPU_BUFFER", "DOVI_METADATA", "DYNAMIC_HDR_PLUS"}
    if dynamic:
        kind = "HDR10+" if dynamic == {"DYNAMIC_HDR_PLUS"} else "Dolby Vision"
        raise UnsupportedMedia(
            f"{info.name}: its {kind} data would be lost; "
            "mark the master that it was made from, and make it again"
        )


def _check_aspect(info: VideoInfo, family: str, suffix: str) -> None:
    """Refuse pixels that are not square where neither bitstream nor PyAV's Matroska can say so."""
    if info.aspect in {None, 1} or suffix in {".mp4", ".m4v", ".mov"} or family in _HOLDS_ASPECT:
        return
    shape = (info.aspect or 1) * Fraction(info.width, info.height)
    if family == "mpeg2" and min(abs(shape / known - 1) for known in _MPEG2_SHAPES) < 0.005:
        return
    cure = "choose --codec hevc with --lossless" if family == "ffv1" else "name the output .mov"
    raise UnsupportedMedia(
        f"{info.name}: its pixels are not square ({info.aspect}), which {family} in {suffix} "
        f"would lose; {'name the output .mp4' if family in {'av1', 'vp9'} else cure}"
    )


def _family(info: VideoInfo, suffix: str) -> str:
    if info.codec in _FAMILY:
        return _FAMILY[info.codec]
    if info.codec in _LOSSLESS_SOURCES and suffix == ".mkv":
        return "ffv1"
    hint = " (or name the output .mkv for FFV1)" if info.codec in _LOSSLESS_SOURCES else ""
    raise UnsupportedMedia(
        f"{info.name}: nothing here writes {info.codec}; "
        f"choose one of --codec {', '.join(CODECS)}{hint}"
    )


def _taken(encoder: str) -> set[str]:
    """Return the pixel formats that an encoder takes; none if it is not there."""
    try:
        return {item.name for item in av.codec.Codec(encoder, "w").video_formats or ()}
    except av.codec.codec.UnknownCodecError:
        return set()


def _pixel_format(info: VideoInfo, family: str, encoder: str) -> str:
    """Return what to feed the encoder: the source's own format, or the same under another name."""
    wanted = info.pixel_format
    taken = _taken(encoder)
    # yuvj420p is yuv420p in full range, which is said elsewhere.
    for name in (wanted, wanted.replace("yuvj", "yuv"), _ROUNDED.get((family, wanted))):
        if name in taken and not (family == "vp9" and "a4" in wanted):
            return str(name)
    others = [name for name, (other, _) in CODECS.items() if wanted in _taken(other)]
    cure = f"choose --codec {' or '.join(others)}" if others else "convert it to yuv420p10le"
    raise UnsupportedMedia(
        f"{info.name}: {'no encoder here writes' if not taken else 'the encoder of'} {family}"
        f"{'' if not taken else ' does not take'} {wanted}; {cure}"
    )


def _quality(info: VideoInfo, family: str, encoding: Encoding) -> dict[str, str]:
    """Return what sets rate, speed and memory."""
    if encoding.lossless and family not in {"h264", "hevc", "vp9", "ffv1"}:
        raise UnsupportedMedia(
            f"{info.name}: {family} has no lossless mode here; choose h264, hevc, vp9 or ffv1"
        )
    if encoding.crf is not None and not (family in _CRF and 0 <= encoding.crf <= _CRF_MOST[family]):
        most = _CRF_MOST.get(family)
        allowed = f"has a rate factor of 0 to {most}" if most else "has no rate factor"
        raise UnsupportedMedia(
            f"{info.name}: {family} {allowed}, so {encoding.crf:g} cannot be set"
        )
    known = _KNOWN_PRESETS.get(family, [])
    if encoding.preset is not None and encoding.preset not in known:
        allowed = f"presets {', '.join(known)}" if known else "no presets"
        raise UnsupportedMedia(
            f"{info.name}: {family} has {allowed}, so {encoding.preset!r} cannot be set"
        )
    crf = f"{_CRF.get(family, 0) if encoding.crf is None else encoding.crf:g}"
    preset = encoding.preset or _PRESETS.get(family, "")
    if family == "h264":
        # What is looked ahead is held in memory: 20 frames of 1080p are 170 MB.
        rate = {"qp": "0"} if encoding.lossless else {"crf": crf}
        return {"preset": preset, "rc-lookahead": "20", **rate}
    if family in {"hevc", "av1"}:
        return {"preset": preset, "crf": crf}
    if family == "vp9":
        rate = {"lossless": "1"} if encoding.lossless else {"crf": crf}
        return {"deadline": "good", "cpu-used": preset, "row-mt": "1", "b": "0", **rate}
    if family == "prores":
        deep = "444" in info.pixel_format
        return {"profile": _PRORES.get(info.profile, "4444" if deep else "hq"), "vendor": "apl0"}
    if family == "dnxhr":
        if info.profile == "DNXHD":
            return {"profile": "dnxhd"}
        usual = "dnxhr_hqx" if info.bits > 8 else "dnxhr_hq"
        if "444" in info.pixel_format:
            usual = "dnxhr_444"
        return {"profile": _DNXHR.get(info.profile, usual)}
    if family == "ffv1":
        return {"level": "3", "slicecrc": "1", "g": "1", "context": "0"}
    return {"g": "15", "bf": "2", "qmin": "1"}


def _colour(info: VideoInfo, family: str) -> dict[str, str]:
    """Return what says where chroma lies, and the HDR10 data that the bitstream can hold."""
    options = {}
    if info.colour.location:
        options["chroma_sample_location"] = info.colour.location
    display, light = mastering(info.colour.mastering), info.colour.light
    if family == "h264":
        parts = [f"mastering-display={integers(display)}"] if display else []
        parts += [f"cll={light[0]},{light[1]}"] if light else []
        if parts:
            options["x264-params"] = ":".join(parts)
    elif family == "hevc":
        parts = ["log-level=none", "frame-threads=2"]
        parts += [f"master-display={integers(display)}"] if display else []
        parts += [f"max-cll={light[0]},{light[1]}"] if light else []
        options["x265-params"] = ":".join(parts)
    elif family == "av1":
        parts = [f"mastering-display={reals(display)}"] if display else []
        parts += [f"content-light={light[0]},{light[1]}"] if light else []
        if parts:
            options["svtav1-params"] = ":".join(parts)
    return options
