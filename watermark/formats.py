"""Picture formats: told from a file's bytes, named by its ending, and what each can hold.

Bytes are looked at before any decoder sees them, so that only known decoders ever do.
"""

from __future__ import annotations

from pathlib import Path

from watermark.errors import OutputError, UnreadableMedia, UnsupportedMedia
from watermark.files import FILM_SUFFIXES, AnyPath, shown

__all__ = [
    "HEAD",
    "check_fits",
    "format_of",
    "is_animated_png",
    "is_film",
    "is_film_by",
    "is_lossless",
    "sniff",
]

_ENDINGS = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
}
_DEPTH = {"png": 16, "jpeg": 8, "webp": 8, "tiff": 16, "avif": 12}  # most bits a format holds

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
)
HEAD = 4096  # bytes: in a PNG that moves, acTL comes before them
_WEBP_ANIMATED = 0x02
# Matroska, MXF, ASF, Ogg, FLV, AVI, MPEG programme streams.
_FILMS = (
    *(b"\x1a\x45\xdf\xa3", b"\x06\x0e\x2b\x34", b"\x30\x26\xb2\x75"),
    *(b"OggS", b"FLV\1", b"RIFF", b"\0\0\x01\xba"),
)
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip")
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def sniff(data: bytes, name: str) -> str:
    """Tell the format from the first bytes.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What error messages call it.

    Returns
    -------
    kind : str
        ``png``, ``jpeg``, ``webp``, ``tiff``, ``avif`` or ``heic``.

    Raises
    ------
    UnsupportedMedia
        If it is a GIF.
    UnreadableMedia
        If it is anything else.
    """
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in range(8, min(int.from_bytes(data[:4]), 64), 4)}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIC_BRANDS:
            return "heic"
    if data[:4] == b"GIF8":
        raise UnsupportedMedia(f"{name}: GIF has too few colours for a mark; convert it to PNG")
    raise UnreadableMedia(
        f"{name}: this is no picture in PNG, JPEG, WebP, TIFF or AVIF; "
        "convert it to PNG, or leave it out"
    )


def is_film(path: AnyPath) -> bool:
    """Tell whether a file is to be read as a film: by its first bytes, else by its ending.

    GIF, and WebP and PNG that move, count as films.
    """
    try:
        if not Path(path).is_file():  # opening a pipe could wait for ever
            return Path(path).suffix.lower() in FILM_SUFFIXES
        with Path(path).open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        head = b""
    return is_film_by(head, Path(path).suffix)


def is_film_by(head: bytes, ending: str) -> bool:
    """Tell whether a file is to be read as a film, by its first `HEAD` bytes or else its ending."""
    if head[:3] == b"GIF":
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return head[12:16] == b"VP8X" and bool(head[20:21] and head[20] & _WEBP_ANIMATED)
    if head.startswith(_SIGNATURES[0][0]):
        return is_animated_png(head)
    if any(head.startswith(signature) for signature, _ in _SIGNATURES):
        return False
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in range(8, min(int.from_bytes(head[:4]), 64), 4)}
        return not brands & (_AVIF_BRANDS | _HEIC_BRANDS)
    if head.startswith(_FILMS) or head[4:8] in _QUICKTIME:
        return True
    return ending.lower() in FILM_SUFFIXES


def is_animated_png(data: bytes) -> bool:
    """Tell whether a PNG file is animated: the chunk acTL stands before the first IDAT."""
    at = 8
    while at + 8 <= len(data) and data[at + 4 : at + 8] != b"IDAT":
        if data[at + 4 : at + 8] == b"acTL":
            return True
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return False


def is_lossless(data: bytes, kind: str) -> bool:
    """Tell whether a file of format `kind` was coded without loss, as far as can be told."""
    if kind == "webp":
        return b"VP8L" in _riff_chunks(data)
    if kind == "avif":
        # Lossless coding needs the identity matrix (0, ITU-T H.273), which nothing else uses.
        at = data.find(b"colrnclx")
        return at >= 0 and data[at + 12 : at + 14] == b"\0\0"
    return kind in {"png", "tiff"}


def _riff_chunks(data: bytes) -> set[bytes]:
    names, at = set(), 12
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return names


def format_of(path: AnyPath) -> str:
    """Return the format that the ending of `path` names.

    Raises
    ------
    OutputError
        If it names none that can be written.
    """
    kind = _ENDINGS.get(Path(path).suffix.lower())
    if kind is None:
        raise OutputError(
            f"{shown(path)}: no format is written for this ending; "
            "end the output in .png, .jpg, .webp, .tif or .avif"
        )
    return kind


def check_fits(kind: str, *, bits: int, alpha: bool, name: str) -> None:
    """Refuse a format that cannot hold samples of `bits` bits, or transparency.

    Raises
    ------
    UnsupportedMedia
        Nothing is ever rounded or dropped to make a picture fit.
    """
    if bits > _DEPTH[kind]:
        raise UnsupportedMedia(
            f"{name}: {bits} bits do not fit into {kind.upper()}, which holds {_DEPTH[kind]}; "
            "write PNG or TIFF"
        )
    if kind == "jpeg" and alpha:
        raise UnsupportedMedia(f"{name}: JPEG holds no transparency; write PNG, WebP, TIFF or AVIF")
