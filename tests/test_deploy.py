"""What is shown for running the service names settings, commands and files that there are."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
FILES = sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file())
OWN = {"SUKASHI_UID", "SUKASHI_KEY"}  # of compose.yaml alone


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_is_one(path):
    settings = pytest.importorskip("server.settings")
    known = {name for name, _, _ in settings.table()} | OWN
    assert set(re.findall(r"SUKASHI_[A-Z_]+", path.read_text())) <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_is_one(path):
    text = path.read_text()
    named = re.findall(r"(?:bin/|exec |server |^|`)sukashi ([a-z]+)", text, re.MULTILINE)
    assert set(named) <= set(COMMANDS)


def test_the_image_is_built_from_all_that_the_package_needs():
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = package["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text()
    kept = set(re.findall(r"^!(.+)$", ignored, re.MULTILINE))
    assert kept == {"pyproject.toml", "README.md", "LICENSE", *folders}
    assert all((ROOT / name).exists() for name in kept)


def test_systemd_reads_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    unit = (ROOT / "deploy" / "sukashi.service").read_text()
    file = tmp_path / "sukashi.service"
    file.write_text(unit.replace("/opt/sukashi/bin/sukashi", "/bin/true"))
    words = ["systemd-analyze", "verify", str(file)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
