"""What a person reads at the end of a scan: ``summary.json`` and ``examples.html``."""

from __future__ import annotations

import json

from watermark.example_sheet import write_sheet
from watermark.files import atomic_write
from watermark.results import Results
from watermark.scan_summary import COLUMNS, Summary, summarise

__all__ = ["report"]


def report(results: Results) -> Summary:
    """Count the rows of a run, and write its summary and the sheet of what was found.

    Raises
    ------
    UnreadableMedia
        If a table of rows is damaged.
    OutputError
        If the two cannot be written.
    """
    summary = summarise(results.all_rows(COLUMNS))
    with atomic_write(results.folder / "summary.json") as path:
        text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")
    write_sheet(results.folder / "examples.html", summary, results.all_thumbnails())
    return summary
