"""Messages between the engine and its workers: a JSON object, and blobs behind it.

Nothing is unpickled, so that a worker which a hostile picture has taken over can tell lies and no
more.
"""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Wire"]

_LONGEST = 1 << 30  # bytes of a message; none comes near it


class Wire:
    """One end of a connection, used by one thread at a time.

    Parameters
    ----------
    connection : Connection
        Of `multiprocessing`, open in both directions.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection

    def send(self, said: dict[str, Any], *blobs: bytes) -> None:
        """Send an object, and bytes with it.

        Raises
        ------
        OSError
            If the other end is gone.
        """
        self._connection.send_bytes(json.dumps([said, len(blobs)]).encode())
        for blob in blobs:
            self._connection.send_bytes(blob)

    def receive(self) -> tuple[dict[str, Any], list[bytes]]:
        """Wait for the next message.

        Raises
        ------
        EOFError, OSError
            If the other end is gone.
        ValueError
            If this is none.
        """
        said, blobs = json.loads(self._connection.recv_bytes(_LONGEST))
        return dict(said), [self._connection.recv_bytes(_LONGEST) for _ in range(int(blobs))]

    def waiting(self, seconds: float = 0.0) -> bool:
        """Tell whether something comes within `seconds`, be it the end."""
        return self._connection.poll(seconds)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
