"""What is committed of the benchmark is what the README says."""

from pathlib import Path

from bench.page.readme import stale
from bench.page.summary import cells, read_summary

ROOT = Path(__file__).parent.parent
STORED = ROOT / "bench" / "results" / "benchmark.json"


def test_the_short_table_of_the_readme_is_that_of_the_stored_run():
    assert not stale((ROOT / "README.md").read_text(encoding="utf-8"), read_summary(STORED))


def test_the_stored_run_says_what_it_was_made_from():
    summary = read_summary(STORED)
    for run in summary["runs"]:
        assert run["what"] == "run"
        assert not run["commit"].endswith("-dirty")
        assert run["corpus"]
        assert run["profile"]
    assert all(cell.score.trials for cell in cells(summary))
