"""What the README says of the detect service is true: its examples are run, its table is whole."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from server.settings import table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = "".join(
    re.findall(r"^## The detect service\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"
TITLE = "Big Buck Bunny"


@pytest.fixture(scope="module")
def folder(service, tmp_path_factory):
    """Give a folder as the reader of the README has it by then."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "samples").symlink_to(ROOT / "samples")
    work, _ = service.registry.add_work(TITLE, training="allowed")
    source, marked = ROOT / "samples" / "bbb-frame-001.jpg", folder / "marked" / "bbb-frame-001.jpg"
    marked.parent.mkdir()
    options = ("--work", work.id, "--key", service.studio.key, "-o", marked)
    service.studio.run("embed", source, *options, "--registry", service.studio.registry)
    time.sleep(1.1)  # until workers ask whether the registry has changed
    return folder


def curl(command, address, token, folder):
    """Run a command of the README, and give the JSON that it printed."""
    quiet = command.replace("curl ", "curl --silent --fail-with-body ", 1)
    run = subprocess.run(
        ["bash", "-c", quiet.replace(ADDRESS, address)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
    return json.loads(run.stdout.rpartition("\n\n")[2])


def shape(value):
    """Return what of an answer does not differ from run to run."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    return type(value).__name__


def commands():
    for kind, text in BLOCKS:
        if kind == "sh":
            yield from (line for line in text.splitlines() if line.startswith("curl "))


def test_the_examples_are_answered(service, folder):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    token = service.secrets["detect"]
    with service.listening() as clients:
        answers = [curl(each, clients.address, token, folder) for each in commands()]
        state = clients.app.state
        for name in state.queue.jobs:
            state.spool.remove(state.jobs.get(name).upload)
    plain, known, batch, job, lookup = answers
    (shown,) = (json.loads(text) for kind, text in BLOCKS if kind == "json")
    assert shape(plain) == shape(shown)
    assert (plain["verdict"], plain["permission"]) == ("detected", "allowed")
    assert plain["works"][0]["title"] == TITLE
    assert known["overlay"].startswith("data:image/png")
    assert [each["result"]["verdict"] for each in batch["results"]] == ["detected", "not-found"]
    assert job["state"] == "queued"
    assert [each["permission"] for each in lookup["results"]] == ["unknown", "unknown"]


def test_the_client_prints_what_is_shown(service, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (source,) = (text for kind, text in BLOCKS if kind == "py")
    printed = io.StringIO()
    with service.listening() as clients, contextlib.redirect_stdout(printed):
        exec(compile(source.replace(ADDRESS, clients.address), "README.md", "exec"), {})
    assert printed.getvalue().splitlines() == re.findall(r"print\(.*\)  # (.+)", source)


def test_the_table_of_settings_is_whole():
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {text} |"
        for name, default, text in table()
    ]
    assert re.findall(r"^\| `SUKASHI_.*$", SECTION, re.MULTILINE) == rows
