"""What was seen, as sums: observations without a key, evidence with one.

An `Observation` is the whitened residual of one or more frames on the canonical grid; no key has
touched it, so it may be stored and asked later.  Observations of one shape and profile add.
`Evidence` is an observation folded onto the tile of a key's profile; pieces of evidence of one key
and profile add, whatever shapes they came from.
Residuals are added, never scores: frames of a still scene are alike, so their scores are correlated
and their variances do not add.

Both have a byte form that is read by every later version: four letters, a version byte, the
CRC-32 of what follows, the length of a JSON header, the header, and the arrays as little-endian
numbers, compressed.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from watermark.errors import EvidenceError

__all__ = ["Evidence", "Observation"]

_VERSION = 1
_HEAD = struct.Struct("<4sBII")  # magic, version, CRC-32 of all that follows, length of the header


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """The whitened residual of frames of one shape, on the canonical grid.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
        Sum of the frames' residuals.
    weight : ndarray of float32, shape (h, w)
        How many frames are in that sum at each place.
    extent : tuple of float
        Canonical height and width as real numbers; ``(h, w)`` are these rounded.
    frames : int
        At least 1.
    profile : str
        The profile's string form.

    Raises
    ------
    EvidenceError
        If shapes differ or a value is not finite: one NaN would spoil every later sum.
    """

    canvas: NDArray[np.float32]
    weight: NDArray[np.float32]
    extent: tuple[float, float]
    frames: int
    profile: str

    def __post_init__(self) -> None:
        if self.canvas.ndim != 2 or self.canvas.shape != self.weight.shape:
            raise EvidenceError("an observation's canvas and weight are planes of one shape")
        if self.canvas.dtype != np.float32 or self.weight.dtype != np.float32:
            raise EvidenceError("an observation's canvas and weight are float32")
        if self.frames < 1:
            raise EvidenceError("an observation holds at least one frame")
        if not (np.isfinite(self.canvas).all() and np.isfinite(self.weight).all()):
            raise EvidenceError("an observation holds finite numbers only")

    def __add__(self, other: Self) -> Self:
        """Add the frames of two observations of one shape."""
        if self.profile != other.profile or self.extent != other.extent:
            raise EvidenceError(
                "two observations add only when they share a profile and a canonical size; "
                "fold them first"
            )
        return type(self)(
            self.canvas + other.canvas,
            self.weight + other.weight,
            self.extent,
            self.frames + other.frames,
            self.profile,
        )

    def to_bytes(self) -> bytes:
        """Return the byte form."""
        header = {"extent": self.extent, "frames": self.frames, "profile": self.profile}
        return _pack(b"SKOB", header, self.canvas, self.weight)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read the byte form.

        Raises
        ------
        EvidenceError
            If the bytes are not a whole observation of a known version.
        """
        header, (canvas, weight) = _unpack(b"SKOB", blob, count=2)
        try:
            height, width = header["extent"]
            return cls(canvas, weight, (height, width), header["frames"], header["profile"])
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError("these bytes are no observation (a field is missing)") from error


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Observations folded onto the tile of one key and profile.

    Parameters
    ----------
    tile : ndarray of float64, shape (T, T)
    frames : int
        At least 1.
    fingerprint : str
        The key's.
    profile : str
        The profile's string form.

    Raises
    ------
    EvidenceError
        If the tile is not a square of finite float64.
    """

    tile: NDArray[np.float64]
    frames: int
    fingerprint: str
    profile: str

    def __post_init__(self) -> None:
        if self.tile.ndim != 2 or self.tile.shape[0] != self.tile.shape[1]:
            raise EvidenceError("evidence is a square tile")
        if self.tile.dtype != np.float64 or not np.isfinite(self.tile).all():
            raise EvidenceError("evidence holds finite float64 numbers only")
        if self.frames < 1:
            raise EvidenceError("evidence holds at least one frame")

    def __add__(self, other: Self) -> Self:
        """Add evidence of the same key and profile."""
        if (self.fingerprint, self.profile) != (other.fingerprint, other.profile):
            raise EvidenceError("evidence adds only under one key and one profile")
        return type(self)(
            self.tile + other.tile, self.frames + other.frames, self.fingerprint, self.profile
        )

    def to_bytes(self) -> bytes:
        """Return the byte form."""
        header = {"frames": self.frames, "fingerprint": self.fingerprint, "profile": self.profile}
        return _pack(b"SKEV", header, self.tile)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read the byte form.

        Raises
        ------
        EvidenceError
            If the bytes are not whole evidence of a known version.
        """
        header, (tile,) = _unpack(b"SKEV", blob, count=1)
        try:
            return cls(tile, header["frames"], header["fingerprint"], header["profile"])
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError("these bytes are no evidence (a field is missing)") from error


def _pack(magic: bytes, header: dict[str, Any], *arrays: NDArray[Any]) -> bytes:
    little = [array.astype(array.dtype.newbyteorder("<")) for array in arrays]
    described = header | {"arrays": [[array.dtype.str, array.shape] for array in little]}
    text = json.dumps(described).encode()
    body = zlib.compress(b"".join(array.tobytes() for array in little), 1)
    return _HEAD.pack(magic, _VERSION, zlib.crc32(text + body), len(text)) + text + body


def _unpack(magic: bytes, blob: bytes, *, count: int) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    try:
        found, version, check, length = _HEAD.unpack_from(blob)
        if found != magic or version != _VERSION:
            raise EvidenceError("these bytes are no evidence that this version of sukashi reads")
        if zlib.crc32(blob[_HEAD.size :]) != check:
            raise EvidenceError("these bytes are no whole evidence (cut short or damaged)")
        header = json.loads(blob[_HEAD.size : _HEAD.size + length])
        body = zlib.decompress(blob[_HEAD.size + length :])
        arrays, start = [], 0
        for kind, shape in header.pop("arrays"):
            size = int(np.prod(shape))
            values = np.frombuffer(body, np.dtype(kind), size, start).reshape(shape)
            arrays.append(values.astype(values.dtype.newbyteorder("=")))
            start += values.nbytes
    except (ValueError, TypeError, KeyError, AttributeError, struct.error, zlib.error) as error:
        raise EvidenceError(f"these bytes are no whole evidence ({error})") from error
    if len(arrays) != count:
        raise EvidenceError("these bytes are no whole evidence (another number of arrays)")
    return header, arrays
