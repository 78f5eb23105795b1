"""A virtual environment for each peer: what one needs would break another.

They lie in the user's cache folder, or where ``SUKASHI_PEERS`` or ``--home`` says::

    HOME/environments/NAME/            the environment, shared by peers of the same packages
    HOME/environments/NAME/peer.json   what was asked for and what was installed; written last
    HOME/weights/NAME/                 where the weights are looked for that no registry has
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs

from bench.peers.catalogue import Peer

__all__ = ["environment_of", "home_of", "install", "missing", "python_of", "weights_of"]

_MANIFEST = "peer.json"


def home_of(given: str | Path | None = None) -> Path:
    """Return the folder of all peers."""
    chosen = given or os.environ.get("SUKASHI_PEERS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("sukashi") / "peers"


def environment_of(peer: Peer, home: Path) -> Path:
    """Return the folder of its environment, named by its first word and its packages."""
    asked = " ".join(_asked(peer))
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    return home / "environments" / f"{peer.name.split()[0]}-{digest}"


def python_of(peer: Peer, home: Path) -> Path:
    """Return the interpreter of its environment."""
    return environment_of(peer, home) / "bin" / "python"


def weights_of(peer: Peer, home: Path) -> Path:
    """Return the folder in which its weights are looked for."""
    return home / "weights" / peer.name


def missing(peer: Peer, home: Path) -> str | None:
    """Return why a peer cannot run, or None if it can."""
    return _without_weights(peer, home) or _not_installed(peer, home)


def _without_weights(peer: Peer, home: Path) -> str | None:
    folder = weights_of(peer, home)
    absent = [name for name in peer.weights if not (folder / name).is_file()]
    if not absent:
        return None
    return (
        f"its weights are in no registry, and not on disk: put {', '.join(absent)} "
        f"({peer.source}) into HOME/weights/{peer.name}"
    )


def _not_installed(peer: Peer, home: Path) -> str | None:
    manifest = _manifest(peer, home)
    if manifest.get("asked") != _asked(peer):
        return "not installed: python -m bench peers --setup"
    return None


def _asked(peer: Peer) -> list[str]:
    return [*peer.needs, *peer.lean]


def _manifest(peer: Peer, home: Path) -> dict[str, Any]:
    try:
        told = json.loads((environment_of(peer, home) / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def install(peer: Peer, home: Path) -> str | None:
    """Make a peer's environment unless it is there, and return why that failed, or None.

    One without its weights is not installed.
    """
    reason = _without_weights(peer, home)
    if reason is not None or _not_installed(peer, home) is None:
        return reason
    folder = environment_of(peer, home)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = str(python_of(peer, home))
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    steps = [[sys.executable, "-m", "venv", str(folder)], [*pip, "install", *peer.needs]]
    if peer.lean:
        steps.append([*pip, "install", "--no-deps", *peer.lean])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return f"not installed: {last[-1] if last else f'status {done.returncode}'}"
    frozen = subprocess.run(
        [*pip, "freeze", "--all"], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    manifest = {
        "asked": _asked(peer),
        "installed": sorted(line for line in frozen if line),
        "python": platform.python_version(),
    }
    text = json.dumps(manifest, indent=1) + "\n"
    (folder / _MANIFEST).write_text(text, encoding="utf-8")
    return None
