"""Bad input: one line that names the file and the cure, nothing written, the others go on."""

import ctypes
import functools
import json
import os
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import films
import numpy as np
import pytest
from studio import ROOT, picture

from watermark import migrations, registry
from watermark.stills import Still, encode, write


def png(width, height, data=b""):
    """Give the bytes of a PNG whose header is right, whatever comes behind it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def coded(pixels, name):
    return encode(Still(pixels), name)


def cut(name):
    whole = coded(picture(5), name)
    return whole[: len(whole) * 2 // 3]


BAD = {
    "empty.png": (lambda: b"", "copy it again"),
    "cut.jpg": (lambda: cut("x.jpg"), "copy it again"),
    "cut.png": (lambda: cut("x.png"), "copy it again"),
    "text.png": (lambda: b"To be, or not to be\n" * 50, "leave it out"),
    "1x1.png": (lambda: coded(np.zeros((1, 1, 3), np.uint8), "x.png"), "at least"),
    "3x5000.png": (lambda: coded(np.zeros((5000, 3, 3), np.uint8), "x.png"), "at least"),
    "200x5000.png": (lambda: coded(np.zeros((200, 5000, 3), np.uint8), "x.png"), "cut it"),
    "30000x30000.png": (lambda: png(30_000, 30_000), "--max-pixels"),
    "missing.png": (None, "check the name"),
}


def one_line(text, *parts):
    assert text.startswith("Error: ")
    assert text.count("\n") == 1
    for part in parts:
        assert str(part) in text


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.png"
    write(Still(picture(9, 180, 240)), path)
    return path


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_one_line_and_the_next_is_processed(studio, good, tmp_path, name):
    make, cure = BAD[name]
    bad, output = tmp_path / name, tmp_path / "out"
    if make is not None:
        bad.write_bytes(make())
    result = studio.run(*studio.embed(bad, good, output), code=1)
    one_line(result.stderr, bad, cure)
    assert "good.png" in result.stdout
    assert [path.name for path in output.iterdir()] == ["good.png"]
    result = studio.run(*studio.detect(bad, output / "good.png"), code=1)
    one_line(result.stderr, bad, cure)
    assert studio.works[0].title in result.stdout
    assert str(bad) not in result.stdout


def test_a_single_bad_picture_leaves_nothing(studio, tmp_path):
    bad = tmp_path / "cut.png"
    bad.write_bytes(cut("x.png"))
    studio.run(*studio.embed(bad, tmp_path / "out" / "x.png"), code=1)
    assert not (tmp_path / "out").exists()


def test_the_limit_on_pixels_can_be_moved(studio, good, tmp_path):
    words = studio.embed(good, tmp_path / "x.png")
    one_line(studio.run(*words, "--max-pixels", 43_199, code=1).stderr, "43,199", "--max-pixels")
    studio.run(*words, "--max-pixels", 43_200)
    words = studio.detect(tmp_path / "x.png")
    one_line(studio.run(*words, "--max-pixels", 43_199, code=1).stderr, "--max-pixels")
    studio.run(*words, "--max-pixels", 43_200)
    # Raised over the bomb's own size, the limit lets it through to the decoder, which says no.
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(12_000, 12_000))
    one_line(studio.run(*studio.detect(bomb), code=1).stderr, "--max-pixels")
    result = studio.run(*studio.detect(bomb), "--max-pixels", 200_000_000, code=1)
    one_line(result.stderr, bomb, "copy it again")


@pytest.mark.parametrize("way", ["same name", "other name", "symbolic link", "hard link", "folder"])
def test_an_output_equal_to_an_input_is_refused(studio, good, tmp_path, way):
    source = tmp_path / "in.png"
    shutil.copy(good, source)
    before = source.read_bytes()
    output = {"same name": source, "folder": tmp_path, "other name": tmp_path / "." / "in.png"}.get(
        way, tmp_path / "other.png"
    )
    if way == "symbolic link":
        output.symlink_to(source)
    elif way == "hard link":
        output.hardlink_to(source)
    result = studio.run(*studio.embed(source, output), "--force", code=1)
    one_line(result.stderr, source, "name another output")
    assert source.read_bytes() == before


def test_a_file_cannot_be_a_folder(studio, good, tmp_path):
    (tmp_path / "out").write_text("mine")
    result = studio.run(*studio.embed(good, studio.frames, tmp_path / "out"), code=1)
    one_line(result.stderr, tmp_path / "out", "name a folder")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("output", ["x.gif", "x", "x.heic"])
def test_a_format_that_is_not_written_is_refused(studio, good, tmp_path, output):
    one_line(studio.run(*studio.embed(good, tmp_path / output), code=1).stderr, ".png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "cure"),
    [
        *((("size", size), "sukashi key new") for size in (0, 31, 33)),
        *((("mode", mode), "chmod 600") for mode in (0o640, 0o604, 0o666)),
        ((), "sukashi key new"),
    ],
    ids=str,
)
def test_a_bad_key_file_is_one_line(studio, good, tmp_path, made, cure):
    key = tmp_path / "bad.key"
    if made:
        values = {"size": 32, "mode": 0o600} | dict([made])
        key.write_bytes(bytes(values["size"]))
        key.chmod(values["mode"])
    result = studio.run(*studio.embed(good, tmp_path / "x.png", key=key), code=1)
    one_line(result.stderr, key, cure)
    assert not (tmp_path / "x.png").exists()
    words = ("detect", good, "--registry", studio.registry, "--key", key)
    one_line(studio.run(*words, code=1).stderr, key, cure)


@pytest.mark.parametrize("command", ["embed", "detect"])
def test_a_pipe_among_films_does_not_hold_up_the_others(studio, tmp_path, command):
    folder = tmp_path / "films"
    folder.mkdir()
    os.mkfifo(folder / "a.mp4")
    films.make(folder / "b.mp4", size=(640, 360), ticks=8)
    embed = (*studio.embed(folder, tmp_path / "out"), "--json")
    words = embed if command == "embed" else studio.detect(folder, "--json")
    rows = studio.ask(*words, code=1)
    assert ["a.mp4" in row["error"] for row in rows if "error" in row] == [True]
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("command", "option"),
    [("detect", "--fps"), ("detect", "--until"), ("embed", "--crf"), ("embed", "--strength")],
)
def test_what_is_no_number_is_refused_as_an_option(studio, good, tmp_path, command, option):
    words = studio.embed(good, tmp_path / "x") if command == "embed" else studio.detect(good)
    result = studio.run(*words, option, "nan", code=2)
    assert "nan" in result.stderr
    assert option in result.stderr


def test_an_empty_name_is_not_the_present_folder(studio, good, tmp_path, monkeypatch):
    monkeypatch.chdir(good.parent)
    one_line(studio.run(*studio.embed("", tmp_path / "x"), code=1).stderr, "empty name")
    one_line(studio.run(*studio.embed(good, ""), code=1).stderr, "empty name")
    one_line(studio.run(*studio.detect(""), code=1).stderr, "empty name")
    assert list(tmp_path.iterdir()) == []
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("name", ["", "/", "."])
def test_a_registry_needs_a_name(studio, good, name):
    words = ("detect", good, "--key", studio.key, "--registry", name)
    one_line(studio.run(*words, code=1).stderr)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("form", ["", "--json"])
def test_a_closed_output_is_no_crash(studio, tmp_path, closed, form):
    registry.open_registry(tmp_path / "r.sqlite").close()
    code = "from cli.main import main; main()"
    words = f'"$0" -c "$1" work add --title A {form} --registry "$2" {closed}'
    done = subprocess.run(
        ["sh", "-c", words, sys.executable, code, tmp_path / "r.sqlite"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_unknown_work_is_one_line(studio, good, tmp_path):
    words = ("embed", good, "--key", studio.key, "-o", tmp_path / "x.png")
    result = studio.run(*words, "--registry", studio.registry, "--work", "w-none", code=1)
    one_line(result.stderr, "w-none", "sukashi work list")
    missing = tmp_path / "none.sqlite"
    result = studio.run(*words, "--registry", missing, "--work", "w-none", code=1)
    one_line(result.stderr, missing, "sukashi work add")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def own(studio, tmp_path):
    """Give a registry of one's own, and the words of both commands that use it."""
    file = tmp_path / "own.sqlite"
    with sqlite3.connect(studio.registry) as source, sqlite3.connect(file) as target:
        source.backup(target)
    source.close()
    target.close()
    with registry.open_registry(file) as opened:
        work, _ = opened.add_work("Fresh, so that its first marking has to be written down")

    def words(good):
        options = ("--key", studio.key, "--registry", file)
        embed = ("embed", good, "--work", work.id, "-o", tmp_path / "x.png")
        return {"embed": (*embed, *options), "detect": ("detect", good, *options)}

    return file, words


@pytest.mark.parametrize("command", ["embed", "detect"])
def test_a_locked_registry_is_one_line_and_nothing_is_written(
    studio, good, own, monkeypatch, command
):
    file, words = own
    impatient = functools.partial(registry.open_registry, busy_timeout=0.05)
    monkeypatch.setattr(registry, "open_registry", impatient)
    holder = sqlite3.connect(file, isolation_level=None)
    # Readers and one writer live side by side, so only a detector that is shut out is stopped.
    holder.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if command == 'detect' else 'NORMAL'}")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        one_line(studio.run(*words(good)[command], code=1).stderr, file, "try again")
    finally:
        holder.close()
    assert not (file.parent / "x.png").exists()
    studio.run(*words(good)[command])


@pytest.mark.parametrize("command", ["embed", "detect"])
def test_an_older_or_newer_registry_is_one_line(studio, good, own, monkeypatch, command):
    file, words = own
    with monkeypatch.context() as patch:
        newer = (*migrations.MIGRATIONS, lambda connection: None)
        patch.setattr(migrations, "MIGRATIONS", newer)
        result = studio.run(*words(good)[command], code=1)
    one_line(result.stderr, file, "sukashi work upgrade")
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'later')")
    connection.close()
    one_line(studio.run(*words(good)[command], code=1).stderr, file, "upgrade sukashi")


@pytest.mark.parametrize("command", ["embed", "detect"])
def test_what_is_no_registry_is_one_line(studio, good, own, command):
    file, words = own
    file.write_bytes(b"no database" * 1000)
    one_line(studio.run(*words(good)[command], code=1).stderr, file)


def limited():
    most = 40_000  # bytes: room for the database's own index of 32 KiB
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_file_that_does_not_fit_is_one_line_and_leaves_nothing(studio, tmp_path):
    words = studio.embed(studio.frames / "a 1.png", tmp_path / "out" / "x.png")
    process = studio.start(*words, preexec_fn=limited)
    text, error = process.communicate(timeout=60)
    assert (process.returncode, text) == (1, "")
    one_line(error, tmp_path / "out" / "x.png", "free some space")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(studio, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["unshare", "--mount", "sh", "-c"]
    script = 'mount -t tmpfs -o size=64k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    try:
        probe = subprocess.run([*mount, script, disk, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("this machine has no unshare")
    if probe.returncode:
        pytest.skip("this account may not mount a small disk")
    command = [sys.executable, "-c", "from cli.main import main; main()"]
    words = map(str, studio.embed(studio.frames / "a 1.png", disk / "x.png"))
    done = subprocess.run(
        [*mount, script, disk, *command, *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    one_line(done.stderr, disk / "x.png", "No space left", "free some space")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
def test_a_listing_that_does_not_fit_is_one_line(studio):
    with Path("/dev/full").open("w") as full:
        process = studio.start(*studio.detect(studio.marked), "--json", stdout=full)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    one_line(error, "standard output", "free some space")


def bound_by_permissions():
    """Give up root's right to read everything; it is gone once another program is started."""
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0 and (libc.prctl(drop, override) or libc.prctl(drop, search)):
        os._exit(77)


def test_an_unreadable_folder_is_one_line_and_the_others_are_processed(studio, good, tmp_path):
    closed = tmp_path / "in" / "closed: to 他人"
    closed.mkdir(parents=True)
    shutil.copy(good, tmp_path / "in")
    closed.chmod(0)
    embed = studio.embed(tmp_path / "in", tmp_path / "out")
    try:
        for words in (embed, studio.detect(tmp_path / "in")):
            process = studio.start(*words, "--json", preexec_fn=bound_by_permissions)
            text, error = process.communicate(timeout=60)
            if process.returncode == 77:
                pytest.skip("root may not give up its rights here")
            assert process.returncode == 1
            one_line(error, closed, "right to read it")
            rows = {row["file"]: row for row in map(json.loads, text.splitlines())}
            assert rows[str(closed)]["error"] == error.removeprefix("Error: ").rstrip("\n")
            assert "error" not in rows[str(tmp_path / "in" / "good.png")]
    finally:
        closed.chmod(0o700)
