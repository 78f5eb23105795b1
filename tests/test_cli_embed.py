"""``sukashi embed``: what is written can be found again, or it is not written."""

import json
import math
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from studio import ROOT, picture

from cli import embed as embed_module
from cli.text import cells
from watermark import marking
from watermark.decide import needed_z
from watermark.detect import read_back
from watermark.errors import MarkNotReadable, UnknownWork
from watermark.key import Key
from watermark.marking import Marked, mark_still, required_z
from watermark.registry import open_registry
from watermark.stills import Still, read, write

FIELDS = [
    *("file", "output", "work", "mark", "psnr", "ssim", "z"),
    *("frames", "seconds", "weakest_z", "weakest_start", "weakest_frame"),
    *("encoder", "damaged", "skipped"),
]


def test_a_folder_is_mirrored_and_every_file_told(studio):
    outputs = sorted(path for path in studio.marked.rglob("*") if path.is_file())
    assert [path.relative_to(studio.marked) for path in outputs] == sorted(
        path.relative_to(studio.frames) for path in studio.frames.rglob("*") if path.is_file()
    )
    assert [list(row) for row in studio.rows] == [FIELDS] * len(outputs)
    assert [row["output"] for row in studio.rows] == [str(path) for path in outputs]
    for row in studio.rows:
        assert (row["work"], row["mark"]) == (studio.works[0].id, str(studio.marks[0]))
        assert 35 < row["psnr"] < 60
        assert 0.9 < row["ssim"] < 1


def test_z_is_that_of_the_file_as_written(studio):
    key, number = Key.read(studio.key), studio.marks[0].number
    for row in studio.rows:
        found = read_back(read(row["output"]).shown(), key, number)
        assert found == pytest.approx(row["z"], abs=0.01)
        assert found >= required_z(len(studio.marks))


def test_chroma_is_left_alone(studio):
    before = read(studio.frames / "a 1.png").pixels.astype(int)
    after = read(studio.marked / "a 1.png").pixels.astype(int)
    assert (before != after).any()
    np.testing.assert_array_equal(np.diff(before, axis=2), np.diff(after, axis=2))


def test_the_registry_knows_what_was_embedded(studio):
    with open_registry(studio.registry, read_only=True) as registry:
        ((fingerprint, profile),) = registry.markings(studio.marks[0].number)
        assert registry.count_marks() == len(studio.marks) + 1
    assert fingerprint == Key.read(studio.key).fingerprint
    assert profile.startswith("$sukashi$")


@pytest.mark.parametrize(
    ("source", "target"), [("a 1.png", "x.tif"), ("a 1.png", "x.avif"), ("第1話/b.jpg", "x.jpeg")]
)
def test_one_file_goes_to_one_file_whose_ending_is_its_format(studio, tmp_path, source, target):
    words = studio.embed(studio.frames / source, tmp_path / "new" / target)
    text = studio.run(*words).stdout
    assert text.startswith(f"{tmp_path / 'new' / target}  PSNR ")
    assert text.count("\n") == 1
    (row,) = studio.ask(*studio.detect(tmp_path / "new" / target), "--json")
    assert row["work"] == studio.works[0].id


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_tag_does_not_break_the_mark(studio, tmp_path, orientation):
    write(Still(picture(1), orientation=orientation), tmp_path / "in.png")
    studio.run(*studio.embed(tmp_path / "in.png", tmp_path / "out.png"))
    upright = cv2.imwrite(str(tmp_path / "upright.png"), read(tmp_path / "out.png").shown())
    assert upright
    for name in ("out.png", "upright.png"):
        (row,) = studio.ask(*studio.detect(tmp_path / name), "--json")
        assert (row["work"], row["alignment"]) == (studio.works[0].id, "whole frame")


def test_a_mark_of_the_work_can_be_chosen(studio, tmp_path):
    words = studio.embed(studio.frames / "a 1.png", tmp_path / "x.png")
    (row,) = studio.ask(*words, "--mark", str(studio.second).upper(), "--json")
    assert row["mark"] == str(studio.second)
    (found,) = studio.ask(*studio.detect(tmp_path / "x.png"), "--json")
    assert (found["mark"], found["labels"]) == (str(studio.second), {"recipient": "press"})
    foreign = studio.run(*words, "--mark", str(studio.marks[1]), code=1).stderr
    assert "sukashi work show" in foreign
    assert "12 lower-case hex digits" in studio.run(*words, "--mark", "xyz", code=1).stderr


def test_the_first_mark_is_the_default_however_many_follow_at_once(studio, tmp_path):
    with open_registry(tmp_path / "r.sqlite") as registry:
        work, first = registry.add_work("A")
        for _ in range(8):
            registry.add_mark(work.id)
        assert registry.marks(work.id)[0] == first
    words = ("embed", studio.frames / "a 1.png", "--work", "A", "-o", tmp_path / "x.png")
    (row,) = studio.ask(*words, "--key", studio.key, "--registry", tmp_path / "r.sqlite", "--json")
    assert row["mark"] == str(first)


def test_an_output_is_replaced_only_when_it_is_asked_for(studio, tmp_path):
    words = studio.embed(studio.frames / "a 1.png", tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(b"precious")
    result = studio.run(*words, code=1)
    assert "--force" in result.stderr
    assert (tmp_path / "x.png").read_bytes() == b"precious"
    studio.run(*words, "--force")
    assert read(tmp_path / "x.png").pixels.shape == (270, 480, 3)


def test_what_cannot_be_read_back_is_an_error_and_the_others_go_on(studio, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(Still(np.zeros((270, 480, 3), np.uint8)), source / "1 black.png")
    write(Still(picture(2)), source / "2.png")
    result = studio.run(*studio.embed(source, output), "--json", code=1)
    failed, done = map(json.loads, result.stdout.splitlines())
    assert list(failed) == [*FIELDS, "error"]
    assert {failed[name] for name in FIELDS[1:]} == {None}
    assert failed["file"] == str(source / "1 black.png")
    assert "would not be found" in failed["error"]
    assert result.stderr == f"Error: {failed['error']}\n"
    assert done["file"] == str(source / "2.png")
    assert [path.name for path in output.iterdir()] == ["2.png"]


def test_the_threshold_is_that_of_a_search_among_all_marks():
    assert required_z(5) == required_z(1_000_000) == needed_z(math.log(4_000_000))
    assert required_z(50_000_000) == needed_z(math.log(200_000_000))


def test_a_mark_too_weak_for_the_registry_is_refused_by_the_library(studio, tmp_path):
    key, source = Key.read(studio.key), studio.frames / "a 1.png"
    with pytest.raises(MarkNotReadable, match=r"a 1\.png: "):
        mark_still(source, tmp_path / "x.png", key, 1, required=1e6)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_that_the_registry_does_not_know(studio, tmp_path):
    key, source = Key.read(studio.key), studio.frames / "a 1.png"
    with (
        open_registry("sqlite://") as registry,
        pytest.raises(UnknownWork, match="is not in"),
    ):
        mark_still(source, tmp_path / "x.png", key, 1, registry=registry)
    assert list(tmp_path.iterdir()) == []


def test_json_holds_no_infinity(studio, tmp_path, monkeypatch):
    monkeypatch.setattr(marking, "mark_still", lambda *_, **__: Marked(math.inf, 1.0, 50.0))
    words = studio.embed(studio.frames / "a 1.png", tmp_path / "x.png")
    assert studio.ask(*words, "--json")[0]["psnr"] is None
    assert "identical" in studio.run(*words).stdout


@pytest.mark.parametrize("strength", ["0", "0.2", "2.1", "nan", "inf", "-1", "x"])
def test_a_strength_out_of_range_is_a_usage_error(studio, tmp_path, strength):
    words = studio.embed(studio.frames, tmp_path / "x")
    assert "--strength" in studio.run(*words, "--strength", strength, code=2).stderr


@pytest.mark.parametrize(
    "wrong", [["--quality", "0"], ["--quality", "101"], ["--max-pixels", "0"], ["--wrok", "x"]]
)
def test_a_wrong_option_is_a_usage_error(studio, tmp_path, wrong):
    studio.run(*studio.embed(studio.frames, tmp_path / "x"), *wrong, code=2)


def test_more_strength_gives_more_z_and_less_psnr(studio, tmp_path):
    rows = [
        studio.ask(
            *studio.embed(studio.frames / "a 1.png", tmp_path / f"{strength}.png"),
            *("--strength", strength, "--json"),
        )[0]
        for strength in (0.5, 1, 2)
    ]
    assert [row["z"] for row in rows] == sorted(row["z"] for row in rows)
    assert [row["psnr"] for row in rows] == sorted((row["psnr"] for row in rows), reverse=True)


def test_a_terminal_gets_a_bar_and_lines_that_fit(studio, tmp_path):
    words = studio.embed(studio.frames, tmp_path / "夜" / ("long " * 12))
    lines, text = studio.on_terminal(*words, columns=40)
    assert "1/3" in text
    assert "3/3" in text
    assert max(map(cells, lines)) <= 40
    assert sum("PSNR" in line for line in lines) == 3
    assert not any("/3" in line for line in lines), "nothing of the bar is left"


def test_a_pipe_gets_no_bar(studio, tmp_path):
    process = studio.start(*studio.embed(studio.frames, tmp_path / "x"))
    text, error = process.communicate(timeout=60)
    assert (text.count("\n"), error, process.returncode) == (3, "", 0)


@pytest.fixture(scope="module")
def many(studio, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for number in range(12):
        write(Still(picture(number, 180, 240)), folder / f"{number:02}.png")
    return folder


@pytest.mark.parametrize("attempt", range(2))
def test_no_half_written_file_has_a_final_name_whenever_it_is_stopped(
    studio, many, tmp_path, attempt
):
    output = tmp_path / "out"
    process = studio.start(*studio.embed(many, output))
    while process.poll() is None and not any(output.glob("[!.]*")):
        time.sleep(0.002)
    time.sleep(np.random.default_rng(attempt).uniform(0, 0.2))
    process.send_signal(signal.SIGINT if attempt % 2 else signal.SIGKILL)
    _, error = process.communicate(timeout=60)
    key, number = Key.read(studio.key), studio.marks[0].number
    finished = sorted(output.glob("[!.]*"))
    assert finished
    for path in finished:
        assert read_back(read(path).shown(), key, number) >= required_z(0)
    if attempt % 2 and process.returncode:
        assert process.returncode == 130
        assert error == "Interrupted; what was finished before stays.\n"
        assert [path for path in output.iterdir() if path.name.startswith(".")] == []


def test_an_interrupt_is_never_lost(studio, many, tmp_path):
    for attempt, delay in enumerate((0.0, 0.03, 0.07, 0.11)):
        output = tmp_path / str(attempt)
        process = studio.start(*studio.embed(many, output))
        while process.poll() is None and not any(output.glob("[!.]*")):
            time.sleep(0.002)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert error == "Interrupted; what was finished before stays.\n"
        assert 1 <= len(list(output.iterdir())) < 12, "and no hidden file is left"


def test_an_interrupt_that_is_swallowed_ends_the_run_behind_the_file(studio, many, tmp_path):
    code = SWALLOWED, *map(str, studio.embed(many, tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-c", *code], cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (130, 1)
    assert done.stdout.count("PSNR") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00.png"]


SWALLOWED = """
import contextlib, os, signal
from pathlib import Path
from cli.main import main

write = Path.write_bytes

def interrupted(path, data):
    write(path, data)
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)

Path.write_bytes = interrupted
main()
"""
HALF = """
import os, signal, sys
from pathlib import Path
from cli.main import main

number = int(sys.argv.pop(1))

def half(path, data):
    with path.open("wb") as handle:
        handle.write(data[: len(data) // 2])
    os.kill(os.getpid(), number)

Path.write_bytes = half
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_a_stop_in_the_middle_of_a_file_leaves_what_was_there(studio, tmp_path, number, there):
    if there:
        (tmp_path / "x.png").write_bytes(b"precious")
    words = studio.embed(studio.frames / "a 1.png", tmp_path / "x.png")
    command = [sys.executable, "-c", HALF, str(int(number)), *map(str, words), "--force"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == (130 if number == signal.SIGINT else -number)
    if there:
        assert (tmp_path / "x.png").read_bytes() == b"precious"
    else:
        assert not (tmp_path / "x.png").exists()


def test_a_closed_pipe_is_silent(studio, many, tmp_path):
    process = studio.start(*studio.embed(many, tmp_path / "out"), "--json")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def test_help_names_the_limit_that_holds():
    (option,) = (each for each in embed_module.embed.params if each.name == "max_pixels")
    from watermark.stills import MAX_PIXELS

    assert f"{MAX_PIXELS:,}" in option.help


def test_a_folder_without_pictures_is_an_error(studio, tmp_path):
    (tmp_path / "in").mkdir()
    result = studio.run(*studio.embed(tmp_path / "in", tmp_path / "out"), code=1)
    assert "no pictures here" in result.stderr
    assert not (tmp_path / "out").exists()
