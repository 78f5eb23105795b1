"""Systems that mark pictures, all of one shape: this project's and each peer's.

::

    identities = system.identities(1_000_000, seed)
    marked = system.embed(pixels, identities[index], strength)
    outcome = system.decide(changed, pixels.shape[:2], identities, index, strength)
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.identities import REGISTERED, Bits, Identities, Outcome, limits
from bench.peers.catalogue import PEERS, Peer
from bench.peers.environments import home_of, missing, python_of, weights_of
from bench.peers.process import Child, PeerError, PeerGarbled
from bench.stills import bench_key, registry
from watermark.detect import detect
from watermark.embed import embed
from watermark.identify import Codebook

__all__ = ["PeerSystem", "Pixels", "Sukashi", "System", "available", "opened"]

Pixels = NDArray[np.uint8]

_WORKER = Path(__file__).with_name("worker.py")
_NUMBER_BITS = 48


class System(Protocol):
    """What marks a picture with an identity, and tells afterwards which it is.

    Attributes
    ----------
    name : str
    bits : int
        Length of its payload.
    note : str
        What a reader of its figures must know.
    """

    name: str
    bits: int
    note: str

    def identities(self, count: int, seed: int) -> Identities:
        """Return a registry of random identities, the same for the same seed."""

    def embed(self, pixels: Pixels, identity: Bits, strength: float = 1.0) -> Pixels:
        """Return a marked copy of a picture, uint8 of shape (H, W, 3); 1 is its default strength.

        Raises
        ------
        PeerError
            If there is none.
        """

    def decode(
        self, pixels: Pixels, shape_of_original: tuple[int, int], strength: float = 1.0
    ) -> Bits | None:
        """Return the bits it reads in a picture, None where it says that there are none.

        Raises
        ------
        PeerError
            If it gives no answer.
        """

    def decide(
        self,
        pixels: Pixels,
        shape_of_original: tuple[int, int],
        identities: Identities,
        index: int,
        strength: float = 1.0,
    ) -> Outcome:
        """Say whether the identity at `index` is found; a failure is an outcome with `error`."""

    def close(self) -> None:
        """End its process, if it has one."""


class PeerSystem:
    """A peer, run by its own code in its own process.

    Parameters
    ----------
    name : str
    bits : int
    note : str
    child : Child
        Speaks as `bench.peers.worker` says.
    """

    def __init__(self, name: str, bits: int, note: str, child: Child) -> None:
        self.name = name
        self.bits = bits
        self.note = "; ".join(filter(None, (note, limits(bits, REGISTERED))))
        self._child = child

    def identities(self, count: int, seed: int) -> Identities:
        """Return random words of as many bits as the payload has."""
        return Identities.draw(count, self.bits, seed)

    def embed(self, pixels: Pixels, identity: Bits, strength: float = 1.0) -> Pixels:
        """Return a marked copy; see `System.embed`."""
        text = "".join("1" if bit else "0" for bit in identity)
        request = {"op": "embed", "bits": text, "strength": strength}
        answer, data = self._child.ask(request, _rgb(pixels))
        if answer.get("shape") != list(pixels.shape) or answer.get("dtype") != "uint8":
            raise PeerGarbled(f"it made {answer.get('dtype')} of shape {answer.get('shape')}")
        if len(data) != pixels.size:
            raise PeerGarbled(f"it sent {len(data)} bytes for {pixels.size}")
        return np.frombuffer(data, np.uint8).reshape(pixels.shape).copy()

    def decode(
        self, pixels: Pixels, shape_of_original: tuple[int, int], strength: float = 1.0
    ) -> Bits | None:
        """Return the bits it reads; see `System.decode`."""
        original = [int(side) for side in shape_of_original]
        request = {"op": "decode", "length": self.bits, "strength": strength, "original": original}
        answer, _ = self._child.ask(request, _rgb(pixels))
        text = answer.get("bits")
        if text is None:
            return None
        if not isinstance(text, str) or len(text) != self.bits or set(text) - {"0", "1"}:
            raise PeerGarbled(f"it sent {text!r:.40} for {self.bits} bits")
        return np.array([bit == "1" for bit in text])

    def decide(
        self,
        pixels: Pixels,
        shape_of_original: tuple[int, int],
        identities: Identities,
        index: int,
        strength: float = 1.0,
    ) -> Outcome:
        """Compare the bits it reads with all identities; see `System.decide`."""
        try:
            decoded = self.decode(pixels, shape_of_original, strength)
        except PeerError as error:
            return Outcome(error=f"{type(error).__name__}: {error}")
        return identities.decide(decoded, index)

    def close(self) -> None:
        """End its process."""
        self._child.close()


class Sukashi:
    """What this project makes: its identities are registered marks, and its p-values its own."""

    name = "sukashi"
    bits = _NUMBER_BITS
    note = "48 bits in a code of 256, decided on without rounding them"

    def __init__(self, seed: int = 1) -> None:
        self._key = bench_key(seed)
        self._codebook: tuple[Identities, Codebook] | None = None

    def identities(self, count: int, seed: int) -> Identities:
        """Return the marks of `bench.stills.registry`."""
        codebook = registry(count, seed)
        bytes_of = codebook.numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
        identities = Identities.of(np.unpackbits(bytes_of, axis=1)[:, -_NUMBER_BITS:] > 0)
        self._codebook = identities, codebook
        return identities

    def embed(self, pixels: Pixels, identity: Bits, strength: float = 1.0) -> Pixels:
        """Return a marked copy; see `System.embed`."""
        marked = embed(_rgb(pixels), self._key, _number(identity), strength=strength)
        return np.asarray(marked, np.uint8)

    def decode(self, pixels: Pixels, *_: Any) -> Bits | None:
        """Return the number that is read without any registry, None where no mark is found."""
        detection = detect(pixels, [self._key])
        if detection.verdict != "detected":
            return None
        return np.array([bit == "1" for bit in f"{detection.best.number:0{_NUMBER_BITS}b}"])

    def decide(
        self,
        pixels: Pixels,
        shape_of_original: tuple[int, int],  # noqa: ARG002  it is not told
        identities: Identities,
        index: int,
        strength: float = 1.0,  # noqa: ARG002  nor this
    ) -> Outcome:
        """Look for all registered marks at once; see `System.decide`."""
        if self._codebook is None or self._codebook[0] is not identities:
            self._codebook = identities, Codebook(identities.leading())
        detection = detect(pixels, [self._key], self._codebook[1])
        best = detection.best
        right = best.number == _number(identities[index])
        found = detection.verdict == "detected" and best.named and right
        return Outcome(found, right, min(0.0, best.log_p / math.log(10)), z=best.z)

    def close(self) -> None:
        """Do nothing: it has no process."""


def _number(identity: Bits) -> int:
    return int("".join("1" if bit else "0" for bit in identity), 2)


def _rgb(pixels: NDArray[np.uint8]) -> Pixels:
    """Return a picture with three channels, as an attack on colour may not leave it."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def available(home: str | Path | None = None, *, seconds: float = 300.0) -> dict[str, System | str]:
    """Return every system by name, or why it is skipped.

    Parameters
    ----------
    home : path, optional
        The folder of the peers' environments.
    seconds : float
        How long a peer may take over one picture.
    """
    place = home_of(home)
    found: dict[str, System | str] = {Sukashi.name: Sukashi()}
    for peer in PEERS.values():
        found[peer.name] = missing(peer, place) or opened(peer, place, seconds=seconds)
    return found


def opened(
    peer: Peer, home: Path, *, bits: int | None = None, seconds: float = 300.0
) -> PeerSystem:
    """Return a peer that is installed, with its own payload length or another that it takes."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [str(python_of(peer, home)), "-I", str(_WORKER), peer.name]
    child = Child(
        [*command, str(weights_of(peer, home))],
        environment=os.environ | one_thread,
        seconds=seconds,
    )
    return PeerSystem(peer.name, peer.bits if bits is None else bits, peer.note, child)
