"""What workers on a Ray cluster do in the tests; its nodes import it by this name."""

import os
import time
from pathlib import Path

from watermark.errors import RegistryError


def make(open_setting, secret):
    """Give what does a task: a number of seconds to wait, or a word."""

    def do(task):
        if task == "die":
            os._exit(3)
        if task == "refuse":
            raise RegistryError("registry.sqlite: no such registry")
        if task == "fail":
            raise ZeroDivisionError("a slip of ours")
        if task == "check":
            return secret == b"open sesame", open_setting, str(Path.cwd())
        time.sleep(task)
        return os.getpid()

    return do


def refused(secret):
    """Fail while setting up, as where a node does not see the registry."""
    raise RegistryError("registry.sqlite: no such registry")
