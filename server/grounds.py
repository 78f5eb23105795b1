"""What the service stands on, and whether it is still there: its registry and its spool.

A file that is removed while a process has it open can still be read and written, and all of that is
lost with the process.  So a registry in a file is asked for by its name, too.
"""

from __future__ import annotations

import os

from server.problems import Problem
from server.spool import Spool
from watermark.registry import Registry

__all__ = ["Grounds"]


class Grounds:
    """The registry and the spool of one application, as they were when it began.

    Parameters
    ----------
    registry : Registry
    spool : Spool
    """

    def __init__(self, registry: Registry, spool: Spool) -> None:
        self._registry, self._spool = registry, spool
        self._file = registry.database.file
        self._began = self._identity()

    def check(self) -> None:
        """Make sure that the registry can be asked, and that uploads can be received.

        Raises
        ------
        Problem
            503, with what is missing.
        RegistryError
            If the registry does not answer.
        """
        now = self._identity()
        if now is None and self._began is not None:
            raise Problem.wait(
                "registry", "The registry's file is gone; put it back and start again.", 30
            )
        if now != self._began:
            raise Problem.wait("registry", "The registry is another file now; start again.", 30)
        self._registry.revision()
        folder = self._spool.folder
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise Problem.wait(
                "spool", "The folder for uploads is gone, or cannot be written; put it back.", 30
            )

    def _identity(self) -> tuple[int, int] | None:
        """Return which file the registry is; None if it is in none, or in none any more."""
        if self._file is None:
            return None
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
