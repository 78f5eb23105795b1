"""What a folder of a pile holds beside pictures, or instead of them.

Results of a scan are recognised by their files, since their thumbnails show marks; the Arrow files
of a data set of Hugging Face by its ``state.json``; pictures without an ending by their bytes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from watermark.formats import HEAD
from watermark.sample import kind_of

__all__ = ["among_results", "is_media", "is_results", "is_saved"]

_RESULTS = ("run.json", "units.jsonl")  # what `watermark.results` keeps


def is_media(path: Path) -> bool:
    """Tell by its first bytes whether a file without an ending is a picture or a film."""
    try:
        if not path.is_file():  # opening a pipe could wait for ever
            return False
        with path.open("rb") as file:
            return kind_of(file.read(HEAD), "") is not None
    except OSError:
        return True  # what is wrong with it is told where it is read


@lru_cache(maxsize=256)
def among_results(folder: Path, top: Path) -> bool:
    """Tell whether a folder below `top` is of the results of a scan, whose thumbnails are marked.

    Parameters
    ----------
    folder, top : Path
    """
    if folder == top:
        return False
    return is_results(folder) or among_results(folder.parent, top)


def is_results(folder: Path) -> bool:
    """Tell whether a folder holds the results of a scan."""
    return all((folder / name).is_file() for name in _RESULTS)


def is_saved(path: Path) -> bool:
    """Tell whether an Arrow file is of the data set in its folder, and not of a cache beside it."""
    listed = _listed(path.parent)
    if listed is not None:
        return path.name in listed
    return not path.name.startswith("cache-") or not (path.parent / "dataset_info.json").exists()


@lru_cache(maxsize=8)
def _listed(folder: Path) -> frozenset[str] | None:
    """Return the names of the Arrow files that Hugging Face's ``state.json`` lists, if any."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return frozenset(str(each["filename"]) for each in state["_data_files"])
    return None
