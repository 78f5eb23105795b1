"""Other people's watermarks beside this one: ``python -m bench peers --setup``.

Each is embedded and decoded by its own code, in an environment and a process of its own, on the
same pictures in the same run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.peers.catalogue import PEERS, WITHOUT_RUN, Peer
from bench.peers.environments import home_of, install, missing
from bench.peers.process import PeerError
from bench.peers.systems import PeerSystem, Sukashi, System, available
from bench.report import table

__all__ = [
    "PEERS",
    "Peer",
    "PeerError",
    "PeerSystem",
    "Sukashi",
    "System",
    "available",
    "main",
]


def main() -> None:
    """Install the peers, or say which can run and why the others cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setup", action="store_true", help="install what is not there")
    parser.add_argument("--home", type=Path, help="folder of their environments and weights")
    parser.add_argument("--only", help="names, separated by commas; all by default")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(PEERS)
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    home = home_of(options.home)
    rows = []
    for name in wanted:
        peer = PEERS[name]
        reason = install(peer, home) if options.setup else missing(peer, home)
        rows.append((name, peer.bits, reason or "ready", peer.note))
    print(f"HOME is {home}\n")
    print(table(("peer", "bits", "", "note"), rows))
    print("\nNot run:\n")
    print(table(("package", "why"), WITHOUT_RUN.items()))
