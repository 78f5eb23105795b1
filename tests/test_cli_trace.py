"""``sukashi trace`` says what a generator's outputs carry: in lines, in JSON and as a page."""

import numpy as np
import pytest
from studio import picture

from watermark.embed import delta
from watermark.frame import luma
from watermark.key import Key
from watermark.stills import Still, write


@pytest.fixture(scope="module")
def outputs(studio, tmp_path_factory):
    """Give folders of outputs that carry a weak signal of the first work, and of clean ones."""
    folder = tmp_path_factory.mktemp("generators")
    key, number = Key.read(studio.key), int(studio.marks[0].number)
    for n in range(3):
        plane = luma(picture(50 + n, 144, 256))
        marked = plane + delta(plane, key, number, strength=0.6)
        # As a generator's decoder does, which knows no code values: rounded with some noise.
        marked += np.random.default_rng(n).uniform(-0.5, 0.5, plane.shape)
        for name, seen in (("marked", marked), ("clean", plane)):
            (folder / name).mkdir(exist_ok=True)
            pixels = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
            write(Still(np.stack([pixels] * 3, axis=-1)), folder / name / f"{n}.png")
    return folder


def trace(studio, folder, *words):
    common = ("--key", studio.key, "--registry", studio.registry, "--search", "fast")
    return ("trace", folder, *common, "--draws", "100", *words)


def test_the_work_is_told_in_words_that_do_not_say_too_much(studio, outputs, tmp_path):
    report = tmp_path / "reports" / "report.html"
    more = ("--control", outputs / "clean", "-o", report)
    told = studio.run(*trace(studio, outputs / "marked", *more)).output
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == str(outputs / "marked")
    assert lines[1].startswith("detected The outputs carry the keyed signal of 夜汽車 Night Train")
    starts = {line.split()[0] for line in lines}
    assert {"presence", "work", "outputs", "growth", "control", "looks", "report"} <= starts
    assert any(line.startswith("control not found") for line in lines)
    assert "outputs 3 added up" in lines
    assert "trained on" not in told
    page = report.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "夜汽車 Night Train" in page
    assert studio.key.read_bytes().hex() not in page


def test_a_report_replaces_nothing_unless_it_is_told_to(studio, outputs, tmp_path):
    """Not even the key, which cannot be had back."""
    key = tmp_path / "copy.key"
    key.write_bytes(studio.key.read_bytes())
    key.chmod(0o600)
    told = studio.run(*trace(studio, outputs / "marked", "-o", key), code=1)
    assert "--force" in told.stderr
    assert "presence" not in told.output  # it is told before anything is done
    assert key.read_bytes() == studio.key.read_bytes()
    folder = studio.run(*trace(studio, outputs / "marked", "--force", "-o", tmp_path), code=1)
    assert "another name" in folder.stderr
    old = tmp_path / "old.html"
    old.write_text("old")
    studio.run(*trace(studio, outputs / "marked", "--force", "-o", old))
    assert old.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_is_one_object_with_the_control_in_it(studio, outputs):
    words = ("--json", "--control", outputs / "clean", "--looks-before", "2")
    (row,) = studio.ask(*trace(studio, outputs / "marked", *words))
    assert row["verdict"] == "detected"
    assert row["signals"][0]["title"] == "夜汽車 Night Train"
    assert row["signals"][0]["training"] == "not-permitted"
    assert [each["look"] for each in row["looks"]] == [3, 4, 5]
    assert row["control"]["verdict"] == "not-found"
    assert row["wrong_keys"]["keys"] == 100


def test_a_hostile_output_is_a_line_and_is_left_out(studio, outputs, tmp_path):
    folder = tmp_path / "some"
    folder.mkdir()
    for file in (outputs / "marked").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "bad\n\x1b[2J.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    result = studio.run(*trace(studio, folder, "--json"))
    assert '"failed": 1' in result.stdout
    assert result.stderr.startswith("Error: ")
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_frames_of_an_unusual_size_are_asked_for(studio, outputs):
    words = ("--frame-size", "2048x700", "--json", "--draws", "0")
    (row,) = studio.ask(*trace(studio, outputs / "clean", *words))
    (fewer,) = studio.ask(*trace(studio, outputs / "clean", "--json", "--draws", "0"))
    assert row["ways"] == fewer["ways"] + 6
    assert row["wrong_keys"] is None
    for wrong in ("2048", "0x5", "4000x1"):
        told = studio.run(*trace(studio, outputs / "clean", "--frame-size", wrong), code=2).output
        assert "write it like 1920x804" in told


def test_what_cannot_be_asked_ends_in_one_line(studio, outputs, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, text in ((empty, "no picture here"), (tmp_path / "none", "no such file")):
        told = studio.run(*trace(studio, folder), code=1).output
        assert text in told
        assert len(told.splitlines()) == 1
    words = ("trace", outputs / "marked", "--key", studio.key, "--blind", "--registry", "x")
    assert "--blind asks no registry" in studio.run(*words, code=2).output


def test_without_a_registry_the_number_is_told(studio, outputs):
    words = ("--key", studio.key, "--blind", "--search", "fast", "--json", "--draws", "0")
    (row,) = studio.ask("trace", outputs / "marked", *words)
    assert row["marks"] is None
    assert row["works"] == []
    assert row["signals"][0]["mark"] == f"{int(studio.marks[0].number):012x}"
