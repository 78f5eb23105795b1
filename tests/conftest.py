"""Fixtures for all tests: a registry of nobody, and PostgreSQL where there is a server."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How fast examples come hangs on what else the machine does.
settings.register_profile("tests", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("tests")

_server = {"state": "not asked for in this run"}


def pytest_configure(config):
    """Let tests interrupt the commands they start, also under a shell that ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("numprocesses", None):
        return  # each process has a server of its own, or skips and says why
    terminalreporter.write_line(f"PostgreSQL: {_server['state']}")


@pytest.fixture(autouse=True, scope="session")
def _nobodys_registry(tmp_path_factory):
    """No test may come near the registry of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("default")
        patch.setenv("SUKASHI_REGISTRY", str(folder / "registry.sqlite"))
        patch.setenv("XDG_DATA_HOME", str(folder))
        yield


@pytest.fixture(scope="session")
def postgresql():
    """Give a function that makes a new database and returns its URL, or skip."""
    psycopg = pytest.importorskip("psycopg")
    programs = [Path(found) for name in ("initdb",) if (found := shutil.which(name))]
    programs += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if not programs:
        _skip("NOT tested, no server is installed (on Debian: apt-get install postgresql)")
    programs_folder = programs[0].resolve().parent
    account = pwd.getpwuid(os.geteuid()).pw_name
    switch = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        account = "nobody"
        switch = {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}
    # pytest's own folders are closed to the other account, and too deep for a socket's name.
    folder = Path(tempfile.mkdtemp(prefix="sukashi-pg-", dir="/tmp"))
    try:
        if switch:
            shutil.chown(folder, account, switch["group"])
        server = _start(programs_folder, folder, switch)
        if server is None:
            _skip(f"NOT tested, {programs_folder}/postgres would not start")
        try:
            admin = f"host={folder} user=tests dbname=postgres"
            _await(lambda: psycopg.connect(admin).close(), psycopg.OperationalError)
            with psycopg.connect(admin, autocommit=True) as connection:
                version = connection.execute("SHOW server_version").fetchone()[0]
                _server["state"] = f"tested against a server {version}"
                numbers = itertools.count(1)

                def make():
                    name = f"registry_{next(numbers)}"
                    connection.execute(f"CREATE DATABASE {name}")
                    return f"postgresql+psycopg://tests@/{name}?host={folder}"

                yield make
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(programs, folder, switch):
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **switch}
    initdb = [programs / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8"]
    if subprocess.run([*initdb, "--no-locale", "--no-sync"], check=False, **quiet).returncode:
        return None
    options = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
    return subprocess.Popen([programs / "postgres", *options], **quiet)


def _await(attempt, refused):
    for _ in range(200):
        try:
            return attempt()
        except refused:
            time.sleep(0.1)
    return attempt()


def _skip(state):
    _server["state"] = state
    pytest.skip(state)


@pytest.fixture(params=["sqlite", "memory", "postgresql"])
def where(request, tmp_path):
    """Address of a registry that does not exist yet, on each kind of database in turn."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")()
    return "sqlite://" if request.param == "memory" else str(tmp_path / "registry.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request, tmp_path):
    """Address of a registry that several processes can open."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")()
    return str(tmp_path / "registry.sqlite")


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """Give a key, a registry with works, frames, and their marked copies; not to be changed."""
    from studio import Studio

    return Studio(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """Give a detect service with real workers and a registry of its own, which tests may change."""
    from service import Service

    service = Service(tmp_path_factory.mktemp("service"))
    yield service
    service.close()
