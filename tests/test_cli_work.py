"""``sukashi work`` as a person and a script meet it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import work as work_module
from cli.main import sukashi
from cli.text import cells, fit, printable
from watermark import migrations
from watermark.registry import open_registry

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(tmp_path):
    """Run the command line with a registry of its own and give its result."""

    def run(*arguments, code=0):
        environment = {"SUKASHI_REGISTRY": str(tmp_path / "r.sqlite")}
        result = CliRunner(env=environment).invoke(sukashi, [*map(str, arguments)])
        assert result.exit_code == code, result.output
        if code == 1:
            assert result.stderr.startswith("Error: ")
            assert result.stderr.count("\n") == 1
            assert result.stdout == ""
        return result

    return run


@pytest.fixture
def ask(run):
    """Run a command with ``--json`` and give its objects."""

    def ask(*arguments):
        return [json.loads(line) for line in run(*arguments, "--json").stdout.splitlines()]

    return ask


def process(*arguments, **options):
    code = "from cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def test_add_prints_work_and_mark(ask):
    (made,) = ask("work", "add", "--title", "夢の庭", "--mark-label", "recipient=TV")
    assert list(made) == ["work", "mark"]
    (shown,) = ask("work", "show", made["work"])
    assert shown["title"] == "夢の庭"
    assert shown["training"] == "not-permitted"
    assert shown["marks"][0]["mark"] == made["mark"]
    assert shown["marks"][0]["labels"] == {"recipient": "TV"}


def test_every_row_of_every_command_names_the_work(ask, run, tmp_path):
    (made,) = ask("work", "add", "--title", "A", "--url", "u", "--label", "a=1", "--label", "b=2=3")
    assert ask("work", "mark", "A", "--mark-label", "to=x")[0]["work"] == made["work"]
    assert ask("work", "list")[0]["work"] == made["work"]
    assert ask("work", "show", "A")[0]["labels"] == {"a": "1", "b": "2=3"}
    edited = ask("work", "edit", "A", "--label", "a=", "--label", "c=4", "--title", "B")[0]
    assert (edited["work"], edited["title"]) == (made["work"], "B")
    assert (edited["labels"], edited["url"]) == ({"b": "2=3", "c": "4"}, "u")
    rows = [json.loads(line) for line in run("work", "export").stdout.splitlines()]
    assert [row["work"] for row in rows] == [made["work"]] * 2


def test_show_tells_with_which_key_a_mark_was_embedded(run, ask, tmp_path):
    ask("work", "add", "--title", "A")
    with open_registry(tmp_path / "r.sqlite") as registry:
        (number,) = registry.mark_numbers().tolist()
        registry.record_marking(number, "1111-2222", "draft-1")
    (shown,) = ask("work", "show", "A")
    assert shown["marks"][0]["embedded"] == [{"key": "1111-2222", "profile": "draft-1"}]
    assert "1111-2222" in run("work", "show", "A").stdout


@pytest.mark.parametrize("name", ["works.csv", "works.jsonl"])
def test_an_export_imports_to_the_same_export(run, ask, tmp_path, name):
    ask("work", "add", "--title", "A\r\n\x1b\u2028", "--label", 'a="1",2')
    run("work", "mark", run("work", "list", "--json").stdout[10:22], "--mark-label", "to=夢")
    first, second = tmp_path / name, tmp_path / ("again-" + name)
    run("work", "export", first)
    other = ("--registry", tmp_path / "other.sqlite")
    assert ask("work", "import", first, *other)[0]["marks"] == 2
    run("work", "export", second, *other)
    assert first.read_bytes() == second.read_bytes()
    again = ask("work", "import", first)[0]
    assert again == {"files": [str(first)], "rows": 2, "works": 0, "marks": 0, "skipped": 2}


def test_an_export_replaces_nothing_unless_it_is_asked_to(run, tmp_path):
    run("work", "add", "--title", "A")
    file = tmp_path / "works.csv"
    file.write_text("precious")
    assert "--force" in run("work", "export", file, code=1).stderr
    assert file.read_text() == "precious"
    run("work", "export", file, "--force")
    assert "A" in file.read_text()
    (tmp_path / "link.csv").symlink_to(tmp_path / "r.sqlite")
    for name in ("r.sqlite", "link.csv"):
        words = ("work", "export", tmp_path / name, "--force", "--format", "csv")
        assert "the registry itself" in run(*words, code=1).stderr
    os.mkfifo(tmp_path / "pipe.csv")
    assert "regular" in run("work", "export", tmp_path / "pipe.csv", "--force", code=1).stderr
    run("work", "show", "A")


def test_terms_go_with_the_permission_they_belong_to(run, ask):
    constrained = ("--training", "constrained", "--terms")
    run("work", "add", "--title", "A", *constrained, "Research only")
    assert ask("work", "edit", "A", "--url", "u")[0]["terms"] == "Research only"
    assert ask("work", "edit", "A", "--training", "allowed")[0]["terms"] == ""
    assert ask("work", "edit", "A", *constrained, "No sale")[0]["terms"] == "No sale"
    run("work", "edit", "A", "--training", "allowed", "--terms", "No sale", code=2)


def test_an_import_names_file_and_line_and_leaves_nothing(run, tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.jsonl"
    good.write_text("title\nA\n")
    bad.write_text('{"title": "B"}\n{"title": ""}\n')
    result = run("work", "import", good, bad, code=1)
    assert f"{bad}:2: the title is empty" in result.stderr
    assert run("work", "list").stdout == ""


def test_an_import_reads_standard_input(tmp_path):
    environment = {"SUKASHI_REGISTRY": str(tmp_path / "r.sqlite")}
    result = CliRunner(env=environment).invoke(
        sukashi, ["work", "import", "-", "--format", "csv"], input="title\nA\n"
    )
    assert result.stdout == "1 rows: 1 works and 1 marks added, 0 known already\n"


def test_what_cannot_be_done_is_one_line_with_the_cure(run, tmp_path, monkeypatch):
    assert "sukashi work add" in run("work", "list", code=1).stderr
    run("work", "add", "--title", "A")
    run("work", "add", "--title", "A")
    assert "name one by its id" in run("work", "show", "A", code=1).stderr
    assert "sukashi work list" in run("work", "show", "B\x1b", code=1).stderr
    assert (
        "state them"
        in run("work", "add", "--title", "C", "--training", "constrained", code=1).stderr
    )
    assert "cannot be read" in run("work", "import", tmp_path / "none.csv", code=1).stderr
    assert "cannot be read" in run("work", "import", tmp_path, "--format", "csv", code=1).stderr
    (tmp_path / "folder.csv").mkdir()
    run("work", "export", tmp_path / "folder.csv", code=1)
    run("work", "edit", "A", code=2)
    run("work", "import", tmp_path / "none.txt", code=2)
    run("work", "add", "--title", "A", "--label", "no", code=2)
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, lambda connection: None))
    assert "sukashi work upgrade" in run("work", "list", code=1).stderr
    run("work", "upgrade")
    run("work", "list")


def test_control_characters_do_not_reach_the_terminal(run):
    evil = "\x1b]0;x\x07\x9b31m\r\n\u202e"
    run("work", "add", "--title", f"A{evil}", "--label", f"l{evil}={evil}", "--contact", evil)
    for options in (["list"], ["list", "--json"], ["show", f"A{evil}"], ["show", evil]):
        output = run("work", *options, code=options[-1] == evil).output
        assert not set(evil) - {"\n", *"]0;x31m"} & set(output)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_list_fits_the_terminal_and_is_aligned(monkeypatch, tmp_path, width):
    titles = ["夢の庭 第3話「長い長い題名」" * 3, "Night Train", "Ａ", "e\u0301t\u00e9", "x\x1b"]
    with open_registry(tmp_path / "r.sqlite") as registry:
        for title in titles:
            registry.add_work(title, rights_holder="スタジオ雲" * 3)
        works = list(registry.works())
    monkeypatch.setattr(
        work_module.sys, "stdout", type("Terminal", (), {"isatty": lambda self: 1})()
    )
    monkeypatch.setenv("COLUMNS", str(width))
    lines = list(work_module._table(works))
    monkeypatch.undo()
    assert max(map(cells, lines)) <= width
    if width >= 80:
        starts = {cells(line[: line.index("not-permitted")]) for line in lines}
        assert len(starts) == 1


@pytest.mark.parametrize("text", ["", "a", "夢の庭", "a夢", "e\u0301", "👩\u200d🚀", "\x1b[0m"])
@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_a_fitted_text_takes_exactly_its_width(text, width):
    assert cells(fit(text, width)) == width
    if cells(printable(text)) <= width:
        assert fit(text, width).rstrip(" ") == printable(text)


def test_a_letter_the_terminal_lacks_is_escaped(tmp_path):
    environment = os.environ | {
        "SUKASHI_REGISTRY": str(tmp_path / "r.sqlite"),
        "PYTHONIOENCODING": "latin-1",
    }
    with open_registry(tmp_path / "r.sqlite") as registry:
        registry.add_work("夢\U0001f600")
    text, error = process("work", "list", env=environment).communicate(timeout=60)
    assert "\\u5922\\U0001f600" in text
    assert error == ""
    text, _ = process("work", "list", "--json", env=environment).communicate(timeout=60)
    assert json.loads(text)["title"] == "夢\U0001f600"


def test_a_closed_pipe_is_silent(tmp_path):
    with open_registry(tmp_path / "r.sqlite") as registry:
        registry.import_rows(registry_rows(3000))
    listing = process("work", "list", "--json", "--registry", tmp_path / "r.sqlite")
    listing.stdout.readline()
    listing.stdout.close()
    assert listing.stderr.read() == ""
    listing.stderr.close()
    assert listing.wait(60) == 141


def registry_rows(count):
    from watermark.rows import Row

    return (Row(title=f"film {number}") for number in range(count))


def test_an_interrupt_is_one_line_and_leaves_nothing(tmp_path):
    registry = tmp_path / "r.sqlite"
    importing = process(
        "work", "import", "-", "--format", "csv", "--registry", registry, stdin=subprocess.PIPE
    )
    importing.stdin.write("title\nA\n")
    importing.stdin.flush()
    # The file appears when the import has begun; then it waits for rows that do not come.
    while not registry.exists():
        time.sleep(0.05)
    time.sleep(0.5)
    importing.send_signal(signal.SIGINT)
    _, error = importing.communicate(timeout=60)
    assert importing.returncode == 130
    assert error.count("\n") == 1
    with open_registry(registry) as opened:
        assert list(opened.works()) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_million_works_import_in_two_minutes(tmp_path, form):
    file = tmp_path / f"works.{form}"
    with file.open("w") as handle:
        if form == "csv":
            handle.write("title,rights_holder,labels\n")
        for number in range(1_000_000):
            labels = json.dumps({"episode": str(number)})
            if form == "csv":
                escaped = labels.replace('"', '""')
                handle.write(f'夢の庭 第{number}話,スタジオ雲,"{escaped}"\n')
            else:
                title = f"夢の庭 第{number}話"
                handle.write(f'{{"title": "{title}", "rights_holder": "x", "labels": {labels}}}\n')
    began = time.monotonic()
    importing = process("work", "import", file, "--registry", tmp_path / "r.sqlite")
    text, error = importing.communicate()
    assert error == ""
    assert text.startswith("1,000,000 rows: 1,000,000 works and 1,000,000 marks added")
    assert time.monotonic() - began < 120
    with open_registry(tmp_path / "r.sqlite", read_only=True) as registry:
        began = time.monotonic()
        assert registry.mark_numbers().size == 1_000_000
        assert time.monotonic() - began < 2
