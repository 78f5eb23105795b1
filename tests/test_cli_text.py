"""What is shown fits the terminal, and no word or number is lost for that."""

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli import files
from cli.text import cells, printable, wrapped


@given(st.text(), st.integers(8, 60))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text, width):
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == printable(text).replace(" ", "")


def test_lines_part_at_blanks_and_inside_what_has_none():
    assert wrapped("give --looks-before 4", 12) == ["give", "--looks-befo", "re 4"]
    assert wrapped("give it 4 looks", 9) == ["give it 4", "looks"]
    assert wrapped("となりのトトロ", 8) == ["となりの", "トトロ"]
    assert wrapped("2  (a few)", 80) == ["2  (a few)"]


def row(text, columns, monkeypatch):
    @click.command()
    def shown():
        files.echo_row("looks", text, width=6, bold=True)

    monkeypatch.setattr(files, "terminal_width", lambda: columns)
    return CliRunner().invoke(shown).output


def test_what_is_said_goes_on_below_itself(monkeypatch):
    assert row("ask again later", 22, monkeypatch) == "  looks   ask again\n          later\n"
    assert row("ask again later", 10**6, monkeypatch) == "  looks   ask again later\n"


@pytest.mark.parametrize("columns", [1, 24, 80])
def test_a_title_without_end_does_not_fill_the_screen(columns, monkeypatch):
    shown = row("la " * 10_000, columns, monkeypatch).splitlines()
    assert len(shown) == 6
    assert shown[-1].endswith("…")
