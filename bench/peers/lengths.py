"""Which payload length suits a peer that takes any: ``python -m bench.peers.lengths FOLDER``.

A short word is repeated more often and a long one may have more bits wrong, so neither is fair as
such: what counts is what is found among a million identities, see `bench.identities`.
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.attacks import apply
from bench.corpus import Picture, find, load
from bench.identities import REGISTERED, Identities
from bench.peers.catalogue import PEERS
from bench.peers.environments import home_of
from bench.peers.process import PeerError
from bench.peers.systems import PeerSystem, opened
from bench.report import table

__all__ = ["FREE", "LENGTHS", "main", "spread"]

FREE = ("invisible-watermark dwtDct", "invisible-watermark dwtDctSvd", "blind-watermark", "clawid")
LENGTHS = (64, 96, 128)  # fewer than 50 bits are never found, see `bench.identities`
_ATTACK = "jpeg 75"


def spread(pictures: tuple[Picture, ...], count: int) -> tuple[Picture, ...]:
    """Return `count` pictures, evenly spread over the list, first and last included."""
    places = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
    return tuple(pictures[place] for place in places)


def measure(
    system: PeerSystem, pictures: tuple[Picture, ...], identities: Identities, seed: int
) -> tuple[int, float]:
    """Return how many pictures are found after JPEG of quality 75, and the mean share of bits."""
    found, shares = 0, []
    for picture in pictures:
        host = load(picture)
        index = int(picture.rng(seed, "identity").integers(len(identities)))
        try:
            marked = system.embed(host, identities[index])
        except PeerError as error:
            print(f"{system.name}, {picture.name}: {error}")
            continue
        seen = apply(_ATTACK, marked, picture.rng(seed, _ATTACK))
        outcome = system.decide(seen, host.shape[:2], identities, index)
        found += outcome.found
        shares.append(outcome.bits or 0.0)
    return found, float(np.mean(shares)) if shares else 0.0


def main() -> None:
    """Try every length on every peer that takes any, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--home", help="folder of the peers")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pictures = spread(find(options.folder, min_short=480), options.pictures)
    home, rows = home_of(options.home), []
    registries = {bits: Identities.draw(REGISTERED, bits, options.seed) for bits in LENGTHS}
    for name in FREE:
        cells = []
        for bits in LENGTHS:
            system = opened(PEERS[name], home, bits=bits)
            found, share = measure(system, pictures, registries[bits], options.seed)
            system.close()
            cells.append(f"{found}, {share:.2f}")
            print(f"{name}, {bits} bits: {cells[-1]}", flush=True)
        rows.append((name, *cells))
    print(f"found of {len(pictures)} after {_ATTACK}, and the mean share of right bits\n")
    print(table(("peer", *(f"{bits} bits" for bits in LENGTHS)), rows))


if __name__ == "__main__":
    main()
