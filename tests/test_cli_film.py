"""The command line on films: marked with all that is in them, found, told, drawn and resumed."""

import json

import av
import cv2
import films
import numpy as np
import pytest
import sequences
from studio import TITLES

from cli import marks
from watermark.codecs import CODECS
from watermark.stills import Still, write


@pytest.fixture(scope="module")
def reel(studio, tmp_path_factory):
    """Mark a folder with a film that has everything in it, and a broken one."""
    folder = tmp_path_factory.mktemp("第1話 films")
    films.rich_matroska(folder / "映画 1.mkv", size=(640, 360), options={"crf": "12"})
    for leftover in (*folder.glob("*.ass"), *folder.glob("*.srt")):
        leftover.unlink()
    (folder / "broken.mkv").write_bytes((folder / "映画 1.mkv").read_bytes()[:5000])
    output = folder.with_name("marked")
    words = (*studio.embed(folder, output), "--preset", "ultrafast", "--json")
    return folder, output, studio.ask(*words, code=1)


def test_a_film_is_marked_and_a_broken_one_does_not_stop_the_batch(reel):
    _, output, rows = reel
    broken, done = sorted(rows, key=lambda row: "error" not in row)
    assert "broken.mkv" in broken["error"]
    assert done["frames"] == 30
    assert done["z"] > 10
    assert done["encoder"] == "libx264"
    assert [path.name for path in output.iterdir()] == ["映画 1.mkv"]


def test_sound_subtitles_fonts_and_chapters_go_through(reel):
    folder, output, _ = reel
    kinds = []
    for path in (folder / "映画 1.mkv", output / "映画 1.mkv"):
        with av.open(str(path)) as film:
            kinds.append(
                [
                    (stream.type, stream.metadata.get("language"), stream.metadata.get("title"))
                    for stream in film.streams
                ]
                + [chapter["metadata"]["title"] for chapter in film.chapters()]
            )
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) > 6


def test_what_is_done_is_skipped_and_what_stands_there_is_kept(reel, studio):
    folder, output, _ = reel
    film, result = folder / "映画 1.mkv", output / "映画 1.mkv"
    before = result.read_bytes()
    (refused,) = studio.ask(*studio.embed(film, result), "--json", code=1)
    assert "exists" in refused["error"]
    (skipped,) = studio.ask(*studio.embed(film, result), "--resume", "--json")
    assert skipped["skipped"] is True
    assert result.read_bytes() == before
    told = studio.run(*studio.embed(film, result), "--resume").stdout
    assert "done already" in told


def test_a_film_is_found_told_and_drawn(reel, studio, tmp_path):
    _, output, _ = reel
    plot = tmp_path / "when.png"
    film = output / "映画 1.mkv"
    (row,) = studio.ask(*studio.detect(film), "--all", "--plot", plot, "--json")
    assert row["verdict"] == "detected"
    assert row["title"] == TITLES[0]
    assert row["timeline"][0]["title"] == TITLES[0]
    assert row["timeline"][-1]["end"] == pytest.approx(1.25, abs=0.3)
    assert cv2.imread(str(plot)) is not None
    lines = studio.run(*studio.detect(film)).stdout.splitlines()
    assert any(line.startswith("  timeline") and TITLES[0] in line for line in lines)


def test_an_unmarked_film_is_not_found(reel, studio):
    folder, _, _ = reel
    (row,) = studio.ask(*studio.detect(folder / "映画 1.mkv"), "--json")
    assert row["verdict"] in {"not-found", "inconclusive"}
    assert [part["marked"] for part in row["timeline"]] == [False]


def test_wrong_options_are_refused_before_anything_is_read(reel, studio, tmp_path):
    folder, output, _ = reel
    film = output / "映画 1.mkv"
    for words, expected in (
        (("--plot", tmp_path / "p.jpg"), "end in .png"),
        (("--plot", film.with_suffix(".png"), folder / "broken.mkv"), "one film"),
        (("--overlay", tmp_path / "o.png"), "--plot draws a film"),
    ):
        result = studio.run(*studio.detect(film), *words, code=2)
        assert expected in result.output
    assert not [*tmp_path.iterdir()]


def test_settings_that_do_not_fit_are_refused_in_one_line(reel, studio, tmp_path):
    folder, _, _ = reel
    words = studio.embed(folder / "映画 1.mkv", tmp_path / "out.mkv")
    told = studio.run(*words, "--lossless", "--crf", "20", code=2).output
    assert "lossless has no rate factor" in told
    told = studio.run(*words, "--codec", "ffv1", "--crf", "20", code=1).output
    assert "映画 1.mkv: ffv1 has no rate factor" in told
    told = studio.run(*studio.embed(folder / "映画 1.mkv", tmp_path / "o.avi"), code=1).output
    assert "o.avi" in told
    assert not [*tmp_path.iterdir()]


def test_a_film_that_breaks_off_is_written_as_far_as_it_goes_on_request(studio, tmp_path):
    film, output = tmp_path / "half.mkv", tmp_path / "out.mkv"
    films.make(film, size=(640, 360), ticks=72)
    whole = film.read_bytes()
    film.write_bytes(whole[: len(whole) * 5 // 10])
    refused = studio.run(*studio.embed(film, output), code=1).output
    assert "half.mkv" in refused
    assert "--partial" in refused
    assert not output.exists()
    (row,) = studio.ask(*studio.embed(film, output), "--partial", "--json")
    assert 0 < row["frames"] < 72


def test_the_names_of_codecs_are_those_of_the_library():
    assert set(marks.CODECS) == set(CODECS)


def test_times_are_written_as_on_a_player():
    assert [marks.clock(seconds) for seconds in (0, 59.9, 61, 3723.5)] == [
        "0:00",
        "0:59",
        "1:01",
        "1:02:03",
    ]


def test_a_film_in_a_pipe_is_told_as_one_json_line(reel, studio):
    _, output, _ = reel
    process = studio.start(*studio.detect(output / "映画 1.mkv"), "--json")
    told, _ = process.communicate(timeout=120)
    assert json.loads(told)["verdict"] == "detected"


@pytest.fixture
def shots(tmp_path):
    """Two shots in EXR and PNG, in folders, and a picture beside them."""
    folder = tmp_path / "第2話 shots"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for number, shown in enumerate(sequences.film(3, height=360, width=640)):
        light = sequences.light_of(shown)
        sequences.write_exr(
            folder / "a" / f"a_{number + 1001:04}.exr", sequences.channels_of(light)
        )
        still = np.round(255 * shown).astype(np.uint8)
        write(Still(still), folder / "b" / f"b_{number + 1:03}.png")
    write(Still(still), folder / "poster.png")
    return folder


def test_a_folder_of_shots_is_marked_in_one_command(shots, studio, tmp_path):
    output = tmp_path / "out"
    rows = studio.ask(*studio.embed(shots, output), "--shots", "--json")
    assert [row["frames"] for row in rows] == [3, 3, None]
    assert all(row["z"] > 10 for row in rows)
    names = sorted(str(path.relative_to(output)) for path in output.rglob("*.*"))
    assert names == [
        *(f"a/a_{number}.exr" for number in (1001, 1002, 1003)),
        *(f"b/b_{number:03}.png" for number in (1, 2, 3)),
        "poster.png",
    ]
    again = studio.ask(*studio.embed(shots, output), "--shots", "--resume", "--json")
    assert [row["skipped"] for row in again] == [True, True, True]


def test_a_pattern_is_marked_into_a_pattern_as_far_as_its_range(shots, studio, tmp_path):
    words = studio.embed(shots / "a" / "a_%04d.exr", tmp_path / "marked.####.exr")
    told = studio.run(*words, "--frames", "1002-1003").stdout
    assert "2 frames" in told
    made = sorted(path.name for path in tmp_path.glob("*.exr"))
    assert made == ["marked.1002.exr", "marked.1003.exr"]
    told = studio.run(*words, "--frames", "7-3", code=2).output
    assert "is not a range" in told


def test_a_pattern_that_fits_nothing_is_refused_in_one_line(shots, studio, tmp_path):
    words = studio.embed(shots / "a" / "x_%04d.exr", tmp_path / "out")
    told = studio.run(*words, code=1).output
    assert "no file is called so" in told
    words = studio.embed(shots / "poster.png", tmp_path / "out_%04d.png")
    told = studio.run(*words, code=1).output
    assert "a pattern takes the frames of one sequence" in told
    words = studio.embed(shots / "a" / "a_%04d.exr", tmp_path / "out.exr")
    told = studio.run(*words, code=1).output
    assert "give a pattern such as out_%05d.exr" in told
    words = studio.embed(shots / "poster.png", tmp_path / "out.png")
    assert "--frames goes with a sequence" in studio.run(*words, "--frames", "1-2", code=2).output
    assert not (tmp_path / "out.png").exists()
