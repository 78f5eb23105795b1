"""Every stream but the marked one: whether the output can hold it, and how it gets there.

Packets go through with payload, times and side data as they are.  Cover pictures are streams in
MP4 and attachments in Matroska, so they are written as what the output knows.  Chapter and
timecode tracks of QuickTime are left to the muxer, which makes them again from the chapters and
from the timecode that the film's tags name; Matroska keeps the tag alone.  So are the empty
samples between two lines of 3GPP timed text.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av

from watermark.container import is_picture, open_film
from watermark.errors import UnsupportedMedia
from watermark.files import AnyPath, shown

__all__ = [
    "MUXERS",
    "carry",
    "check_holds",
    "copy_film_tags",
    "copy_tags",
    "is_gap",
    "kept_streams",
    "muxer_of",
    "muxer_options",
    "pictures",
]

MUXERS = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".webm": "webm",
    ".ts": "mpegts",
}
_MOV = {"mov", "mp4"}
# The muxer writes anything else as private data that nobody reads.
_TS = {
    *("h264", "hevc", "mpeg2video", "mpeg1video", "av1"),
    *("mp1", "mp2", "mp3", "aac", "aac_latm", "ac3", "eac3", "dts", "truehd", "opus"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle"),
}
# Packets wait for those of other streams, and subtitles can be minutes apart.
_INTERLEAVE = "3000000"  # µs
# Said of the old file; the muxer says its own.
_OLD_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
_OLD_STREAM_TAGS = {"encoder", "bps", "number_of_frames", "number_of_bytes", "source_id"} | {
    *("_statistics_writing_app", "_statistics_writing_date_utc", "_statistics_tags"),
}
_IMAGES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


def muxer_of(path: AnyPath) -> str:
    """Return libav's name of the format that the ending of `path` asks for.

    Raises
    ------
    UnsupportedMedia
        If it is none that is written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MUXERS:
        known = ", ".join(MUXERS)
        raise UnsupportedMedia(
            f"{shown(path)}: films are not written as {suffix or 'a file without an ending'}; "
            f"end the name with one of {known} (.mkv holds everything)"
        )
    return MUXERS[suffix]


def kept_streams(container: Any, marked: Any) -> list[Any]:
    """Return the streams that pass through as streams."""
    unread = av.stream.Discard.all  # tracks that the demuxer has made chapters of
    start = marked.metadata.get("timecode")
    return [
        item
        for item in container.streams
        if item.index != marked.index
        and (item.discard != unread or is_picture(item))
        and not (item.type == "data" and start and item.metadata.get("timecode") == start)
    ]


def pictures(path: AnyPath) -> dict[int, bytes]:
    """Read the cover pictures of a file, which its demuxer gives before anything else."""
    found: dict[int, bytes] = {}
    with open_film(path) as (container, _):
        wanted = [item for item in container.streams.video if is_picture(item)]
        if not wanted:
            return found
        for packet in container.demux(wanted):
            if packet.size:
                found.setdefault(packet.stream.index, bytes(packet))
            if len(found) == len(wanted):
                break
    return found


def check_holds(container: Any, kept: list[Any], muxer: str, name: str) -> None:
    """Refuse what the output's container cannot hold, before anything is encoded.

    Raises
    ------
    UnsupportedMedia
        With the first stream that does not fit, and a container that takes all of them.
    """
    chapters = bool(container.chapters())
    problem = _problem(kept, muxer, chapters=chapters)
    if problem is None:
        return
    others = [ending for ending, other in MUXERS.items() if other != muxer and ending != ".m4v"]
    fitting = [end for end in others if _problem(kept, MUXERS[end], chapters=chapters) is None]
    cure = f"name the output {fitting[0]}" if fitting else "take that stream out of the source"
    raise UnsupportedMedia(f"{name}: {muxer} cannot hold {problem}; {cure}")


def _problem(kept: list[Any], muxer: str, *, chapters: bool) -> str | None:
    if chapters and muxer == "mpegts":
        return "chapters"
    for item in kept:
        if not _holds(muxer, item):
            context = item.codec_context
            kind = context.codec.canonical_name if context is not None else item.name
            what = "a cover picture" if is_picture(item) else item.type
            return f"stream {item.index} ({what}, {kind or 'unknown codec'})"
    return None


def _holds(muxer: str, stream: Any) -> bool:
    """Tell whether a format takes a stream, by writing the header of a file with it alone."""
    if stream.type == "attachment" or is_picture(stream):
        if muxer == "matroska":
            return stream.type == "attachment" or stream.name in _IMAGES
        return muxer in _MOV and stream.type == "video"
    if stream.codec_context is None and stream.type != "data":
        return False
    if muxer == "mpegts":
        context = stream.codec_context
        return context is not None and context.codec.canonical_name in _TS
    trial = av.open(io.BytesIO(), "w", format=muxer)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    finally:
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            trial.close()
    return True


def carry(item: Any, output: Any, muxer: str, covers: Mapping[int, bytes]) -> Any | None:
    """Add one stream to an output; return where its packets go.

    None stands for a stream that is whole in the header: attachments, and covers in Matroska.
    """
    if is_picture(item) and muxer == "matroska":
        name, kind = _IMAGES[item.name]
        tags = item.metadata
        added = output.add_attachment(
            tags.get("filename", name), tags.get("mimetype", kind), covers[item.index]
        )
        copy_tags(item, added)
        return None
    added = output.add_stream_from_template(item, opaque=True)
    copy_tags(item, added)
    return None if item.type == "attachment" else added


def is_gap(packet: Any) -> bool:
    """Tell whether a packet is the silence between two lines of 3GPP timed text.

    The muxer of MP4 puts these in by itself, and beside them if they are there.
    """
    context = packet.stream.codec_context
    return (
        context is not None
        and context.codec.canonical_name == "mov_text"
        and bytes(packet) == b"\0\0"
    )


def copy_tags(source: Any, added: Any, *, encoded_anew: bool = False) -> None:
    """Copy language, title and the like, and what a stream is there for."""
    added.metadata.update(
        (key, value)
        for key, value in source.metadata.items()
        if not (encoded_anew and key.lower().split("-")[0] in _OLD_STREAM_TAGS)
        and key != "DURATION"  # Matroska's muxer writes it
    )
    if "name" in source.metadata and "title" not in source.metadata:
        added.metadata["title"] = added.metadata.pop("name")  # QuickTime's demuxer and muxer differ
    added.disposition = source.disposition


def muxer_options(container: Any, muxer: str) -> dict[str, str]:
    """Return what a muxer has to be told, for nothing of the source to be lost."""
    options = {"max_interleave_delta": _INTERLEAVE}
    if muxer in _MOV and any("." in key for key in container.metadata):
        options["movflags"] = "use_metadata_tags"  # com.apple.quicktime.make and the like
    return options


def copy_film_tags(container: Any, output: Any) -> None:
    """Copy chapters, title and the like of the whole file."""
    output.metadata.update(
        (key, value) for key, value in container.metadata.items() if key.lower() not in _OLD_TAGS
    )
    output.set_chapters(container.chapters())
