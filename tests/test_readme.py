"""The README is true: its commands are run, and what they print is what it shows."""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, sukashi

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# What differs from run to run: what is drawn at random, and what was measured.
CHANGING = (
    (r"\b[0-9a-f]{4}(-[0-9a-f]{4}){4}\b", "FINGERPRINT"),
    (r"\bw-[0-9a-hjkmnp-tv-z]{10}\b", "WORK"),
    (r"\b[0-9a-f]{12}\b", "MARK"),
    (r"-?\d+(\.\d+)?", "NUMBER"),
    (r" +", " "),
)


def stable(text):
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return text


def commands():
    """Yield each command of the README with the output that is shown below it."""
    for kind, text in BLOCKS:
        if kind == "console":
            for part in text.removeprefix("$ ").split("\n$ "):
                command, _, output = part.partition("\n")
                yield command, output.rstrip("\n")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUKASHI_REGISTRY", "of the readme.sqlite")
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    return tmp_path


def test_the_commands_print_what_is_shown(folder):
    shown = list(commands())
    assert len(shown) >= 5
    for command, output in shown:
        program, *words = shlex.split(command)
        assert program == "sukashi"
        result = CliRunner().invoke(sukashi, words)
        assert result.exit_code == 0, f"{command}: {result.output}"
        assert stable(result.output.rstrip("\n")) == stable(output), command


def test_the_library_prints_what_is_shown(folder):
    scope, expected, printed = {}, [], io.StringIO()
    for kind, text in BLOCKS:
        if kind == "python":
            expected += re.findall(r"^ *print\(.*\)  # (.+)$", text, re.MULTILINE)
            with contextlib.redirect_stdout(printed):
                exec(compile(text, "README.md", "exec"), scope)
    assert printed.getvalue().splitlines() == expected
    assert len(expected) >= 4


def test_every_command_that_is_named_exists():
    for words in re.findall(r"`sukashi ([a-z -]+)`", README):
        name, *rest = words.split()
        assert name in COMMANDS
        command = sukashi.get_command(None, name)
        for each in rest:
            if each.startswith("-"):
                assert any(each in option.opts for option in command.params) or each == "--help"
                break
            command = command.commands[each]


def test_every_make_target_and_file_that_is_named_exists():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake (demo|test|check|clean|venv)\b", README)) <= targets
    assert README.index("make demo") < README.index("## ")
    for target in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / target).exists()


def test_the_samples_are_few_and_each_has_its_licence():
    told = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    pictures = [
        path for path in (ROOT / "samples").iterdir() if path.suffix in {".jpg", ".png", ".mp4"}
    ]
    assert pictures
    for path in pictures:
        (line,) = (line for line in told.splitlines() if f"`{path.name}`" in line)
        assert "CC BY" in line or "MIT" in line or "CC0" in line
    assert sum(path.stat().st_size for path in pictures) < 4_000_000
