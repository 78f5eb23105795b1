"""The service as a person starts it: real processes, from the command line to the last answer."""

import importlib
import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import films
import httpx
import pytest
import studio
import uvicorn
from click.testing import CliRunner

from cli.main import sukashi
from server import serving
from server.serving import _Server, bound
from server.settings import Settings, table

TOLD = re.compile(r"^sukashi_(\w+?)(?:_total)?(?:\{.*\})? ([0-9.]+)$", re.MULTILINE)
LINK = re.compile(r"(http://\S+)/sign-in\?token=(\S+)")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return studio.Studio(tmp_path_factory.mktemp("studio"))


@pytest.fixture(autouse=True)
def _settings(house, monkeypatch):
    monkeypatch.setenv("SUKASHI_SPOOL", str(house.folder / "spool"))
    monkeypatch.setenv("SUKASHI_REGISTRY", str(house.registry))


def refused(*words):
    result = CliRunner().invoke(sukashi, [*map(str, words)])
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    return line


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_without_a_key_it_says_how_to_make_one(command):
    assert "sukashi key new" in refused(command)


def test_what_cannot_be_used_is_told_in_one_line(house, tmp_path, monkeypatch):
    assert "cannot read this key file" in refused("serve", "--key", tmp_path / "none.key")
    words = ("serve", "--key", house.key)
    assert "cannot be shared" in refused(*words, "--registry", "sqlite://")
    (tmp_path / "file").write_text("no registry")
    assert "registry" in refused(*words, "--registry", tmp_path / "file")
    monkeypatch.setenv("SUKASHI_RATE_TOKEN", "often")
    assert "SUKASHI_RATE_TOKEN: " in refused(*words)
    monkeypatch.delenv("SUKASHI_RATE_TOKEN")
    monkeypatch.setenv("SUKASHI_QUEUE", "http://x")
    assert "SUKASHI_QUEUE: " in refused(*words)
    monkeypatch.delenv("SUKASHI_QUEUE")
    monkeypatch.setenv("SUKASHI_SPOOL", str(tmp_path / "file" / "spool"))
    assert "SUKASHI_SPOOL" in refused(*words)


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_misspelt_setting_is_told_with_the_nearest(house, monkeypatch, command):
    monkeypatch.setenv("SUKASHI_ANONYMUS", "none")
    line = refused(command, "--key", house.key)
    assert "SUKASHI_ANONYMUS: there is no such setting" in line
    assert "SUKASHI_ANONYMOUS?" in line


def test_a_port_that_is_taken_is_told(house):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refused("serve", "--key", house.key, "--port", port)
    assert str(port) in told
    assert "--port" in told


def test_without_its_packages_it_says_what_to_install(house, monkeypatch):
    def found(name, there=importlib.import_module):
        if name.startswith("server"):
            raise ModuleNotFoundError(name="fastapi")
        return there(name)

    monkeypatch.setattr(importlib, "import_module", found)
    result = CliRunner().invoke(sukashi, ["worker", "--key", str(house.key)])
    assert "pip install 'sukashi[server]'" in result.output
    assert CliRunner().invoke(sukashi, ["worker", "--help"]).exit_code == 0


def test_help_lists_every_setting():
    told = CliRunner().invoke(sukashi, ["serve", "--help"]).output
    for name, _, _ in table():
        assert name in told


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_listens_where_it_is_told_to(host):
    with bound(Settings(host=host, port=0)) as listening:
        assert listening.getsockname()[0] == host


@contextmanager
def served(house, *words):
    """Start the service, and end it with everything it started whatever happens."""
    log = house.folder / "log"
    with log.open("wb") as file:
        process = house.start(
            *("serve", "--key", house.key, "--port", 0, "--sign-in-link", *words),
            stderr=file,
            start_new_session=True,
        )
    try:
        lines = []
        while not (lines and lines[-1].startswith("Ctrl-C")):
            lines.append(process.stdout.readline())
            assert lines[-1], log.read_text()
        found = LINK.search("".join(lines))
        yield process, found[1], {"Authorization": f"Bearer {found[2]}"}
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def children(pid):
    """Return the numbers of all processes below one."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def gone(pids, seconds=30.0):
    end = time.monotonic() + seconds
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < end, left
        time.sleep(0.05)
    return True


def send(address, headers, file, **options):
    with file.open("rb") as opened:
        return httpx.post(
            f"{address}/v1/detect",
            params={"search": "fast"} | options,
            files={"file": (file.name, opened)},
            headers=headers,
            timeout=120,
        )


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--processes", 2, "--workers", 1)], ids=["one", "two"])
def test_what_was_taken_is_finished_and_nothing_is_left(house, words):
    with served(house, *words) as (process, address, headers):
        answer = send(address, headers, house.marked / "a 1.png")
        assert answer.json()["title"] == studio.TITLES[0]
        below = children(process.pid)
        assert len(below) >= 3
        answers = []
        late = Thread(
            target=lambda: answers.append(
                send(address, headers, house.marked / "a 1.png", search="full")
            )
        )
        late.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        late.join(120)
        assert answers[0].json()["verdict"] == "detected"
        assert process.wait(60) == 0
        assert gone(below)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{address}/healthz")
    assert not [each for each in (house.folder / "spool").iterdir() if len(each.stem) == 32]


def test_a_link_that_signs_in_is_printed_to_a_terminal_or_where_it_is_asked_for(house, monkeypatch):
    def serving(settings, listening, *, run_token, on_ready, **_):
        tokens.append(run_token)
        on_ready()

    tokens = []
    monkeypatch.setattr("server.serving.serve", serving)
    words = ["serve", "--key", str(house.key), "--port", "0"]
    kept = CliRunner().invoke(sukashi, words)
    assert kept.exit_code == 0, kept.output
    assert tokens[-1] not in kept.output
    assert "sukashi token new" in kept.output
    assert "Serving on  http://127.0.0.1:" in kept.output
    asked = CliRunner().invoke(sukashi, [*words, "--sign-in-link"])
    assert LINK.search(asked.output)[2] == tokens[-1]
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb", buffering=0) as shown:
        monkeypatch.setattr("cli.serve.sys.stdout", terminal)
        sukashi.main(words, standalone_mode=False)
        told = b""
        while b"Ctrl-C" not in told:  # it comes in pieces
            told += shown.read(1 << 16)
    assert LINK.search(told.decode())[2] == tokens[-1]


def test_what_a_killed_run_left_is_tidied_up_and_nothing_else(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = {f"sukashi-run-{ended.pid}-ab": False, f"sukashi-run-{os.getpid()}-cd": True}
    names |= {"sukashi-run-me-ef": True, f"other-{ended.pid}-gh": True}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "gauge.db").touch()
    serving._tidy(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names


@pytest.mark.slow
def test_several_processes_are_ready_when_they_say_so_and_count_as_one(house):
    with served(house, "--processes", 2, "--workers", 1) as (process, address, headers):
        told = counts(address)
        assert (told["workers"], told["places"]) == (2, 34)
        for _ in range(8):  # each on a connection of its own
            assert send(address, headers, house.marked / "a 1.png").status_code == 200
        for _ in range(4):
            assert counts(address)["verdicts"] == 8
        (folder,) = {
            value.partition("=")[2]
            for pid in children(process.pid)
            for value in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            if value.startswith("PROMETHEUS_MULTIPROC_DIR=")
        }
        assert Path(folder).stat().st_mode & 0o777 == 0o700
        process.terminate()
        assert process.wait(60) == 0
        assert not Path(folder).exists()


def counts(address):
    """Return the sum of each count over its labels."""
    found = Counter()
    for name, value in TOLD.findall(httpx.get(f"{address}/metrics").text):
        found[name] += float(value)
    return found


@pytest.mark.timeout(30)
def test_a_signal_that_came_before_it_listened_ends_it(house):
    async def app(scope, receive, send):
        raise AssertionError("nobody asks")

    noted = Event()
    noted.set()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, lifespan="off", log_config=None)
        _Server(config, noted).run(sockets=[listening])


@pytest.mark.slow
def test_ctrl_c_ends_it_and_a_kill_leaves_nothing_running(house):
    with served(house) as (process, _, _):
        below = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert gone(below)
    with served(house, "--processes", 2, "--workers", 1) as (process, address, headers):
        assert send(address, headers, house.marked / "a 1.png").status_code == 200
        below = children(process.pid)
        process.kill()
        process.wait()
        assert gone(below)


@pytest.mark.slow
def test_a_job_is_worked_on_beside_it_or_by_a_worker(house, monkeypatch):
    monkeypatch.setenv("SUKASHI_JOB_WORKERS", "0")
    asynchronous = {"Prefer": "respond-async"}
    with served(house) as (_, address, headers):
        film = house.folder / "film.mp4"
        films.make(film, size=(480, 272), ticks=48)
        answer = send(address, headers | asynchronous, film)
        assert answer.status_code == 202
        job = address + answer.headers["Location"]
        time.sleep(1)
        assert httpx.get(job, headers=headers).json()["state"] == "queued"
        worker = house.start("worker", "--key", house.key, stderr=subprocess.DEVNULL)
        try:
            assert worker.stdout.readline().startswith("Waiting for jobs")
            end = time.monotonic() + 60
            while (told := httpx.get(job, headers=headers).json())["state"] != "done":
                assert time.monotonic() < end, told
                time.sleep(0.1)
            assert told["result"]["verdict"] == "not-found"
        finally:
            worker.terminate()
            assert worker.wait(60) == 0
            worker.stdout.close()
