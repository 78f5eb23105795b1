"""Being connected to a Ray cluster: the only file that imports Ray."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

from watermark.errors import EngineError

__all__ = ["connected"]

_KNOCK = 10.0  # seconds for an answer of a cluster that is named
_CURE = "pip install 'sukashi[scale]'"


def connected(address: str | None) -> tuple[Any, bool]:
    """Return Ray, connected, and whether it was this that connected it.

    Parameters
    ----------
    address : str or None
        Of the cluster.  By default the one that ``RAY_ADDRESS`` names, or that was started on this
        machine, or else one is started that ends with this process.

    Raises
    ------
    EngineError
        If Ray is not installed, or the cluster cannot be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns, without a GPU
    try:
        import nacl.public  # noqa: F401, PLC0415 - extras, and slow
        import ray  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise EngineError(f"the engine 'ray' needs Ray and PyNaCl: {_CURE}") from error
    # It prints the death of a worker to standard output, where results go; who dies is told anyhow.
    # And it tells all machines the command line, which may hold the password of a registry.
    with suppress(AttributeError):  # there is no public way
        ray._private.worker.print_to_stdstream = _unheard  # noqa: SLF001
        ray._private.utils.get_entrypoint_name = _unnamed  # noqa: SLF001
    if ray.is_initialized():
        return ray, False
    quiet: dict[str, Any] = {
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    try:
        _knock(address or os.environ.get("RAY_ADDRESS", ""))
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise EngineError(
            f"the Ray cluster cannot be reached ({why}); "
            "name it with RAY_ADDRESS, or start one with 'ray start --head'"
        ) from error
    return ray, True


def _knock(address: str) -> None:
    """Fail at once where nobody is at home; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()


def _unheard(*_: Any, **__: Any) -> None:
    """Take what Ray would print."""


def _unnamed() -> str:
    """Return what Ray tells of the command that runs."""
    return "sukashi"
