"""``python -m server``: the process for jobs beside `sukashi serve`, which tells it its settings.

They come as one JSON object on standard input, since a URL of a registry may hold a password.
"""

from __future__ import annotations

import json
import sys

from server.endings import die_with_parent

__all__ = ["main"]


def main() -> None:
    """Work on jobs until the parent is gone or says so."""
    die_with_parent()
    # It takes seconds to load these, which a parent may not live.
    from server.companion import loaded  # noqa: PLC0415
    from server.serving import work  # noqa: PLC0415

    work(loaded(json.load(sys.stdin)))


if __name__ == "__main__":
    main()
