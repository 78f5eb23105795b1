"""Keys: their files, their fingerprints, and that their bytes are never shown."""

import base64
import json
import os
import shlex
import stat

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import sukashi
from watermark.errors import KeyFileError
from watermark.key import KEY_BYTES, Key

SECRET = bytes(range(KEY_BYTES))


def run(*arguments):
    return CliRunner().invoke(sukashi, [*map(str, arguments)])


def shows(secret, text):
    """Whether any eight bytes of a secret stand in a text, raw or as hex, decimal or Base64."""
    forms = [secret.hex(), str(list(secret))[1:-1], base64.b64encode(secret).decode(), repr(secret)]
    return any(form[start : start + 16] in text for form in forms for start in range(0, 48, 8))


def test_a_key_written_is_the_key_read(tmp_path):
    key = Key.generate()
    key.write(tmp_path / "a.key")
    assert Key.read(tmp_path / "a.key") == key


def test_two_new_keys_differ():
    assert Key.generate() != Key.generate()


def test_the_fingerprint_is_for_ever():
    # The bytes 0 to 31 after the tag, from another implementation:
    # $ (printf 'sukashi fingerprint v1'; printf '%b' "$(printf '\\x%02x' $(seq 0 31))") |
    #   openssl dgst -shake256 -xoflen 10
    assert Key(SECRET).fingerprint == "3d11-fe53-5b1c-8132-e826"


def test_carriers_of_different_labels_differ_and_of_the_same_do_not():
    key = Key(SECRET)
    assert np.array_equal(key.signs("pilot", 999), key.signs("pilot", 999))
    assert not np.array_equal(key.signs("pilot", 999), key.signs("message", 999))
    assert set(key.signs("pilot", 999)) == {-1, 1}
    uniform = key.uniform("pilot", 999)
    assert ((uniform >= 0) & (uniform < 1)).all()


def test_neither_repr_nor_str_shows_the_bytes():
    key = Key(SECRET)
    assert not shows(SECRET, repr(key) + str(key) + f"{key!a}")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_cannot_be_made(size):
    with pytest.raises(ValueError, match="exactly 32 bytes"):
        Key(bytes(size))


@pytest.mark.parametrize("size", [0, 31, 33, 100_000])
def test_a_file_of_another_length_is_refused_without_showing_its_bytes(tmp_path, size):
    file = tmp_path / "a.key"
    file.write_bytes((SECRET * 4000)[:size])
    file.chmod(0o600)
    result = run("key", "show", file)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert str(file) in result.stderr
    assert "32 bytes" in result.stderr
    assert not shows(SECRET, result.output)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_open_to_others_is_refused_with_the_cure(tmp_path, mode):
    file = tmp_path / "a.key"
    Key(SECRET).write(file)
    file.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Key.read(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(KeyFileError, match="sukashi key new"):
        Key.read(tmp_path / "a.key")
    with pytest.raises(KeyFileError, match="cannot read"):
        Key.read(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "a.key", 0o600)
    with pytest.raises(KeyFileError, match="a pipe"):
        Key.read(tmp_path / "a.key")


def test_the_cure_can_be_pasted_whatever_the_name(tmp_path):
    file = tmp_path / "it's a key; rm x"
    Key(SECRET).write(file)
    file.chmod(0o644)
    with pytest.raises(KeyFileError) as raised:
        Key.read(file)
    assert shlex.split(str(raised.value).partition("with: ")[2]) == ["chmod", "600", str(file)]


def test_new_makes_a_closed_file_whatever_the_umask(tmp_path):
    file = tmp_path / "a.key"
    before = os.umask(0)
    try:
        result = run("key", "new", file)
    finally:
        os.umask(before)
    assert result.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_size == KEY_BYTES
    assert Key.read(file).fingerprint in result.output
    assert not shows(file.read_bytes(), result.output)


def test_new_leaves_an_existing_file_as_it_is(tmp_path):
    file = tmp_path / "a.key"
    Key(SECRET).write(file)
    result = run("key", "new", file)
    assert result.exit_code == 1
    assert "exists" in result.stderr
    assert Key.read(file) == Key(SECRET)


def test_new_does_not_write_through_a_link(tmp_path):
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / "target.key")
    assert run("key", "new", link).exit_code == 1
    assert not (tmp_path / "target.key").exists()


def test_a_link_to_a_closed_key_is_read_and_to_an_open_one_is_not(tmp_path):
    file = tmp_path / "a.key"
    Key(SECRET).write(file)
    link = tmp_path / "link.key"
    link.symlink_to(file)
    assert Key.read(link) == Key(SECRET)
    file.chmod(0o644)
    with pytest.raises(KeyFileError, match="other users"):
        Key.read(link)


def test_new_into_a_missing_folder_is_one_line(tmp_path):
    result = run("key", "new", tmp_path / "none" / "a.key")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_json_has_file_and_fingerprint_and_no_bytes(tmp_path):
    file = tmp_path / "a.key"
    made = json.loads(run("key", "new", file, "--json").output)
    shown = run("key", "show", file, "--json").output
    assert json.loads(shown) == made == {"file": str(file), "fingerprint": made["fingerprint"]}
    assert not shows(file.read_bytes(), shown)


def test_a_file_name_cannot_steer_the_terminal(tmp_path):
    file = tmp_path / "a\x1b[31m\n.key"
    for result in (run("key", "new", file), run("key", "show", file), run("key", "new", file)):
        assert "\x1b" not in result.output
        assert result.output.count("\n") == 1
