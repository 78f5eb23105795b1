"""Help is true: every command says what it does, at more length, and by an example."""

import inspect
import shlex
import shutil
from pathlib import Path

import click
import films
import pytest
import sequences
from click.testing import CliRunner

from cli.main import COMMANDS, sukashi


def commands(command, path):
    """Yield every command below a group with the words that name it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


SAMPLES = Path(__file__).parent.parent / "samples"
ALL = dict(commands(sukashi, ("sukashi",)))
HELP = {path: inspect.cleandoc(command.help) for path, command in ALL.items()}
EXAMPLES = [
    (path, line.strip())
    for path, text in HELP.items()
    for line in text.partition("Example:\n")[2].splitlines()
    if line.strip().startswith("sukashi ")
]
# A walk through the examples, each needing those before it; those of the groups come last.
WALK = ("key new", "key show", "work add", "work list", "work show", "work mark", "work edit",
        "embed", "detect", "work export", "work import", "work upgrade", "token new", "token list",
        "token revoke")  # fmt: skip

# These go on until they are stopped: see test_serving.py.
SERVING = ("serve", "worker")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_a_command_has_a_sentence_a_paragraph_and_an_example(path):
    sentence, paragraph, example, *_ = HELP[path].split("\n\n")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert paragraph.endswith(".")
    assert len(paragraph) > len("a few words")
    assert example.startswith("\b\nExample:\n  sukashi ")


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_is_printed_without_control_characters(path):
    result = CliRunner().invoke(sukashi, [*path[1:], "--help"])
    assert result.exit_code == 0
    assert "Example:\n" in result.output
    assert "\b" not in result.output


@pytest.mark.parametrize(("path", "line"), EXAMPLES, ids=map(str, range(len(EXAMPLES))))
def test_an_example_parses(path, line):
    words = shlex.split(line)
    named = max((each for each in ALL if tuple(words[: len(each)]) == each), key=len)
    assert named[: len(path)] == path, "an example shows the command it stands in"
    ALL[named].make_context(words[len(named) - 1], words[len(named) :])


def test_the_examples_run_one_after_the_other(monkeypatch, tmp_path):
    monkeypatch.setenv("SUKASHI_REGISTRY", str(tmp_path / "registry.sqlite"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    shutil.copy(SAMPLES / "bbb-frame-001.jpg", "frames")
    films.make(Path("film.mov"), size=(640, 360), ticks=8)
    for number, shown in enumerate(sequences.film(2, height=360, width=640)):
        light = sequences.light_of(shown)
        sequences.write_exr(Path(f"shot_{number:05}.exr"), sequences.channels_of(light))
    of_commands = [(" ".join(path[1:]), line) for path, line in EXAMPLES]
    assert {name for name, _ in of_commands} >= set(WALK)
    lines = dict.fromkeys(line for step in WALK for name, line in of_commands if name == step)
    lines |= dict.fromkeys(line for name, line in of_commands if name not in SERVING)
    for line in lines:
        result = CliRunner().invoke(sukashi, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
        assert result.output or "export" in line
        assert "sukashi detect" not in line or "detected      Night Train" in result.output


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_is_explained(path):
    for parameter in ALL[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith(".")


def test_the_list_of_commands_says_what_they_say_themselves():
    for name, line in COMMANDS.items():
        assert HELP["sukashi", name].partition("\n")[0] == line


def test_the_version_is_told(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", {"sukashi": "1.2.3"}.get)
    assert CliRunner().invoke(sukashi, ["--version"]).output == "sukashi 1.2.3\n"
