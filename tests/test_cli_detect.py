"""``sukashi detect``: the rows that scripts rely on, and the lines that people read."""

import json
import math
import sqlite3
import time

import cv2
import numpy as np
import pytest
import pyvips
from studio import TITLES

from cli import verdict
from cli.text import cells
from watermark import identification
from watermark.align import Alignment
from watermark.detection import Candidate, Detection, Found
from watermark.frame import as_stored
from watermark.identification import Catalogue, identify_pixels
from watermark.key import Key
from watermark.registry import open_registry
from watermark.stills import Still, read, write

LOG = math.log(10)
# The contract: scripts rely on these, and more may be added behind them.
OF_A_WORK = {
    "work": str,
    "title": str,
    "mark": str,
    "training": str,
    "log10_p": float,
    "log10_p_wrong_work": float,
    "z": float,
    "rights_holder": str,
    "terms": str,
    "labels": dict,
    "model_based": bool,
    "key": str,
    "alignment": str,
    "matrix": list,
    "outline": list,
}
OF_A_FILE = ["file", "verdict", *OF_A_WORK, "works", "candidates", "runner_up", "enough_short"]
OF_A_CANDIDATE = ["work", "title", "mark", "z"]


def check_row(row):
    """Check what holds for every row of every verdict."""
    assert list(row) == OF_A_FILE + ["error"] * ("error" in row)
    assert row["verdict"] in {"detected", "indicated", "not-found", "inconclusive", None}
    assert (row["verdict"] is None) == ("error" in row)
    assert bool(row["works"]) == (row["verdict"] in {"detected", "indicated"})
    for found in row["works"]:
        assert list(found) == list(OF_A_WORK)
        for name, kind in OF_A_WORK.items():
            assert found[name] is None or type(found[name]) is kind, name
        assert np.array(found["matrix"]).shape == (3, 3)
        assert found["matrix"][2][2] == 1
        assert np.array(found["outline"]).shape[1] == 2
    if row["works"]:
        assert {name: row[name] for name in OF_A_WORK} == row["works"][0]
        strongest_first = sorted(row["works"], key=lambda found: found["log10_p"])
        assert row["works"] == strongest_first
    for candidate in [*row["candidates"], *([row["runner_up"]] if row["runner_up"] else [])]:
        assert list(candidate) == OF_A_CANDIDATE


def asked(studio, *words, code=0):
    """Run a detection and give its rows, which hold no NaN, infinity or −0.0."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    text = studio.run(*words, "--json", code=code).stdout
    assert "-0.0," not in text
    rows = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    for row in rows:
        check_row(row)
    return rows


def test_marked_files_name_their_work(studio):
    rows = asked(studio, *studio.detect(studio.marked))
    assert [row["file"] for row in rows] == [row["output"] for row in studio.rows]
    for row in rows:
        assert row["verdict"] == "detected"
        assert (row["work"], row["title"]) == (studio.works[0].id, TITLES[0])
        assert (row["mark"], row["training"]) == (str(studio.marks[0]), "not-permitted")
        assert row["log10_p"] < -9
        assert row["log10_p_wrong_work"] < -3
        assert row["key"] == Key.read(studio.key).fingerprint
        assert (row["alignment"], row["model_based"]) == ("whole frame", False)
        assert len(row["works"]) == 1
        assert row["candidates"] == []
        assert row["runner_up"]["work"] in {work.id for work in studio.works[1:]}


def test_unmarked_files_are_not_found(studio):
    for row in asked(studio, *studio.detect(studio.frames)):
        assert row["verdict"] == "not-found"
        assert row["work"] is row["mark"] is row["log10_p_wrong_work"] is None
        assert -6 < row["log10_p"] <= 0


@pytest.mark.parametrize("value", [0, 255, 128])
def test_a_flat_picture_is_told_as_it_is(studio, tmp_path, value):
    """Black and white cannot take a mark; grey could have shown one."""
    write(Still(np.full((270, 480, 3), value, np.uint8)), tmp_path / "flat.png")
    (row,) = asked(studio, *studio.detect(tmp_path / "flat.png"))
    assert row["verdict"] == ("not-found" if value == 128 else "inconclusive")
    text = studio.run(*studio.detect(tmp_path / "flat.png")).stdout
    assert row["verdict"].replace("-", " ") in text


def test_another_key_finds_nothing_and_several_may_be_given(studio, tmp_path):
    other = tmp_path / "other.key"
    studio.run("key", "new", other)
    registry = ("--registry", studio.registry, "--search", "fast")
    words = ("detect", studio.marked / "a 1.png", *registry, "--key", other)
    assert asked(studio, *words)[0]["verdict"] == "not-found"
    one, two = (asked(studio, *words, "--key", studio.key, *("--key", studio.key) * n)[0]
                for n in (0, 1))  # fmt: skip
    assert one["work"] == studio.works[0].id
    assert one == two, "a key that is named twice is asked, and paid for, once"
    (alone,) = asked(studio, *studio.detect(studio.marked / "a 1.png"))
    assert one["log10_p"] == pytest.approx(alone["log10_p"] + math.log10(2), abs=0.01)


def test_a_mirrored_copy_is_found(studio, tmp_path):
    write(Still(read(studio.marked / "a 1.png").pixels[:, ::-1].copy()), tmp_path / "m.png")
    (row,) = asked(studio, *studio.detect(tmp_path / "m.png"))
    assert (row["work"], row["alignment"]) == (studio.works[0].id, "mirrored")
    assert "mirrored" in studio.run(*studio.detect(tmp_path / "m.png")).stdout


def test_a_fast_search_takes_borders_off_and_a_full_one_finds_crops(studio, tmp_path):
    pixels = read(studio.marked / "a 1.png").pixels
    bordered = np.zeros((330, 560, 3), np.uint8)
    bordered[20:290, 50:530] = pixels
    write(Still(bordered), tmp_path / "b.png")
    write(Still(pixels[40:250, 60:440].copy()), tmp_path / "c.png")
    inside, cropped = asked(studio, *studio.detect(tmp_path / "b.png", tmp_path / "c.png"))
    assert inside["alignment"] == "whole frame, inside borders"
    assert inside["outline"] == [[50, 20], [530, 20], [530, 290], [50, 290]]
    assert cropped["verdict"] == "not-found"
    text = studio.run(*studio.detect(tmp_path / "b.png")).stdout
    assert "  picture       whole frame, inside borders, at 50, 20 to 530, 290\n" in text
    (full,) = asked(studio, *studio.detect(tmp_path / "c.png", search="full"))
    assert full["work"] == studio.works[0].id
    scale = 512 / 270
    linear = np.array(full["matrix"])[:2, :2]
    assert linear == pytest.approx(scale * np.eye(2), abs=0.02)
    plain = studio.run("detect", tmp_path / "c.png", "--key", studio.key, "--blind").stdout
    assert f"mark {studio.marks[0]}" in plain, "the search is full unless said otherwise"


def test_a_full_search_calls_the_whole_frame_by_its_name(studio):
    for row in asked(studio, *studio.detect(studio.marked, search="full")):
        assert row["alignment"] == "whole frame"


def test_a_copy_at_half_the_size_is_found(studio, tmp_path):
    small = cv2.resize(read(studio.marked / "a 1.png").pixels, None, fx=0.5, fy=0.5,
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    write(Still(small), tmp_path / "s.jpg", quality=90)
    assert asked(studio, *studio.detect(tmp_path / "s.jpg"))[0]["work"] == studio.works[0].id


def test_without_a_registry_the_number_is_decoded(studio, monkeypatch, tmp_path):
    monkeypatch.delenv("SUKASHI_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    words = ("detect", studio.marked, "--key", studio.key, "--search", "fast")
    for row in asked(studio, *words):
        assert (row["verdict"], row["mark"]) == ("detected", str(studio.marks[0]))
        assert row["work"] is row["title"] is row["log10_p_wrong_work"] is None
    result = studio.run(*words)
    assert result.stdout.count(f"mark {studio.marks[0]}") == 3
    assert result.stderr.count("No registry") == 1
    assert studio.run(*words, "--blind").stderr == ""
    studio.run(*words, "--blind", "--registry", studio.registry, code=2)
    assert list(tmp_path.iterdir()) == [], "looking makes no registry"
    monkeypatch.setenv("SUKASHI_REGISTRY", str(tmp_path / "none.sqlite"))
    assert "no registry here yet" in studio.run(*words, code=1).stderr
    assert studio.run(*words, "--blind").stderr == ""


def test_a_registry_that_is_named_must_exist(studio, tmp_path):
    words = ("detect", studio.marked, "--key", studio.key, "--registry", tmp_path / "none")
    assert "sukashi work add" in studio.run(*words, code=1).stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unregistered_mark_is_told_by_its_number(studio, tmp_path):
    with open_registry(tmp_path / "other.sqlite") as registry:
        registry.add_work("Another")
    words = ("detect", studio.marked / "a 1.png", "--key", studio.key)
    (row,) = asked(studio, *words, "--registry", tmp_path / "other.sqlite")
    assert (row["verdict"], row["work"]) == ("detected", None)
    assert row["mark"] == str(studio.marks[0])


def test_two_works_in_one_picture_are_both_told(studio, tmp_path):
    studio.run(*studio.embed(studio.marked / "a 1.png", tmp_path / "x.png", work=1))
    (row,) = asked(studio, *studio.detect(tmp_path / "x.png"))
    assert {each["work"] for each in row["works"]} == {work.id for work in studio.works[:2]}
    assert [each["model_based"] for each in row["works"]] == [False, True]
    assert row["runner_up"]["work"] == studio.works[2].id
    assert "and also" in studio.run(*studio.detect(tmp_path / "x.png")).stdout


PLAIN = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
CORNERS = ((0.0, 0.0), (480.0, 0.0), (480.0, 270.0), (0.0, 270.0))


def decided(studio, monkeypatch, **changes):
    """Make the next detections come out as described."""
    verdict = changes.pop("verdict", "indicated")
    number = studio.marks[0].number
    values = {
        "number": number,
        "registered": True,
        "z": 8.0,
        "log_p": -7 * LOG,
        "log_p_wrong_work": -2.5 * LOG,
        "model_based": False,
        "fingerprint": "f",
        "profile": "p",
        "alignment": Alignment(PLAIN, "whole frame", CORNERS),
    } | changes
    enough = values.pop("enough_short", None)
    best = Found(**values)
    candidates = tuple(Candidate(mark.number, 8.0 - n) for n, mark in enumerate(studio.marks))
    found = (best,) if verdict in {"detected", "indicated"} else ()
    answer = Detection(verdict, best, found, candidates, 15.0, enough_short=enough)
    monkeypatch.setattr(identification, "detect", lambda *_, **__: answer)


def test_a_work_that_may_be_wrong_is_not_named_but_its_candidates_are(studio, monkeypatch):
    decided(studio, monkeypatch)
    words = studio.detect(studio.frames / "a 1.png")
    (row,) = asked(studio, *words)
    assert (row["verdict"], row["log10_p"], row["log10_p_wrong_work"]) == ("indicated", -7.0, -2.5)
    assert row["work"] is row["title"] is row["mark"] is row["training"] is None
    assert [each["work"] for each in row["candidates"]] == [work.id for work in studio.works]
    assert row["runner_up"] is None
    text = studio.run(*words).stdout
    assert "not sure" in text
    assert all(title in text for title in TITLES)


def test_where_a_mark_is_gets_told_unless_it_is_everywhere(studio, monkeypatch):
    corners = ((99.96, -0.04), (340.0, 0.0), (340.0, 180.4), (100.0, 180.0))
    for name, outline, line in (
        ("turned", corners, "  picture       turned, at 100, 0 to 340, 180\n"),
        ("turned", CORNERS, "  picture       turned\n"),
        ("whole frame", ((2.0, 3.0), (478.0, 3.0), (478.0, 268.0), (2.0, 268.0)), None),
    ):
        decided(studio, monkeypatch, alignment=Alignment(PLAIN, name, outline))
        words = studio.detect(studio.frames / "a 1.png")
        (row,) = asked(studio, *words)
        assert row["outline"] == [[round(x, 1), round(y, 1)] for x, y in outline]
        assert np.array(row["matrix"]) == pytest.approx(np.array(PLAIN), rel=1e-8)
        text = studio.run(*words).stdout
        assert line in text if line else "  picture" not in text
        assert row["alignment"] == name


@pytest.mark.parametrize("enough", [None, 240])
def test_a_picture_that_is_too_small_is_told_what_would_do(studio, monkeypatch, enough):
    decided(studio, monkeypatch, verdict="inconclusive", enough_short=enough)
    words = studio.detect(studio.frames / "a 1.png")
    (row,) = asked(studio, *words)
    assert (row["verdict"], row["enough_short"]) == ("inconclusive", enough)
    more = "; at a short side of about 240 pixels it would" if enough else ""
    assert (
        f"  inconclusive  this picture could not show a mark{more}\n" in studio.run(*words).stdout
    )


def test_a_work_that_is_sure_has_a_runner_up_and_no_candidates(studio, monkeypatch):
    decided(studio, monkeypatch, log_p_wrong_work=-3.0 * LOG, log_p=-1e-12)
    (row,) = asked(studio, *studio.detect(studio.frames / "a 1.png"))
    assert row["work"] == studio.works[0].id
    assert row["candidates"] == []
    assert row["runner_up"]["work"] == studio.works[1].id
    assert math.copysign(1, row["log10_p"]) == 1


def test_an_overlay_shows_what_is_told(studio, tmp_path):
    pixels = read(studio.marked / "a 1.png").pixels
    bordered = np.full((330, 560, 3), 16, np.uint8)
    bordered[20:290, 50:530] = pixels
    write(Still(bordered), tmp_path / "b.png")
    where = tmp_path / "new" / "where.png"
    words = (*studio.detect(tmp_path / "b.png"), "--overlay", where)
    plain, drawn = (asked(studio, *each)[0] for each in (words[:-2], words))
    assert plain == drawn
    made = read(where).pixels
    assert (made.shape, made.dtype) == (bordered.shape, np.uint8)
    change = np.abs(made.astype(int) - bordered).max(axis=2)
    assert change[60:250, 100:480].mean() > 20
    assert change[:, :30].mean() < 2, "there is no evidence on the border"
    where.unlink()
    text = studio.run(*words).stdout
    assert "  picture       outline 1, whole frame, inside borders, at 50, 20 to 530, 290\n" in text
    assert f"  overlay       {where}\n" in text
    assert where.exists()


def test_two_marks_are_numbered_in_the_overlay_and_in_the_text(studio, tmp_path):
    studio.run(*studio.embed(studio.marked / "a 1.png", tmp_path / "x.png", work=1))
    words = studio.detect(tmp_path / "x.png")
    text = studio.run(*words, "--overlay", tmp_path / "where.jpg").stdout
    assert text.index("outline 1") < text.index("and also") < text.index("outline 2")
    assert read(tmp_path / "where.jpg").format == "jpeg"


def test_an_overlay_is_as_the_picture_is_shown(studio, tmp_path):
    """Outlines are of the picture the right way up, whatever its file says."""
    shown = read(studio.marked / "a 1.png").pixels
    turned = Still(
        as_stored(shown, 6), orientation=6, header=(("orientation", pyvips.GValue.gint_type, 6),)
    )
    write(turned, tmp_path / "turned.png")
    where = tmp_path / "where.png"
    (row,) = asked(studio, *studio.detect(tmp_path / "turned.png"), "--overlay", where)
    assert row["alignment"] == "whole frame"
    assert read(where).pixels.shape == shown.shape
    assert read(where).orientation == 1


def test_where_nothing_is_found_the_overlay_is_the_picture(studio, tmp_path):
    source, where = studio.frames / "a 1.png", tmp_path / "where.png"
    text = studio.run(*studio.detect(source), "--overlay", where).stdout
    assert f"  overlay       {where} shows the picture alone\n" in text
    assert np.array_equal(read(where).pixels, read(source).pixels)


def test_an_overlay_is_of_one_picture(studio, tmp_path):
    one, where = studio.marked / "a 1.png", ("--overlay", tmp_path / "where.png")
    for files in ((one, one), (studio.marked,)):
        result = studio.run(*studio.detect(*files), *where, code=2)
        assert "Error: --overlay draws one picture; name one file\n" in result.stderr
        assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_has_an_ending_that_names_a_format(studio, tmp_path):
    for name in ("where.gif", "where", "where.png.txt"):
        words = (*studio.detect(studio.marked / "a 1.png"), "--overlay", tmp_path / name)
        result = studio.run(*words, code=1)
        assert result.stderr.startswith(f"Error: {tmp_path / name}: no format is written")
        assert (result.stderr.count("\n"), result.stdout) == (1, "")
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_never_replaces_what_it_is_made_from(studio, tmp_path):
    source = tmp_path / "a.png"
    source.write_bytes((studio.marked / "a 1.png").read_bytes())
    (tmp_path / "hard.png").hardlink_to(source)
    (tmp_path / "soft.png").symlink_to(source)
    (tmp_path / "key.png").symlink_to(studio.key)
    before = source.read_bytes()
    for name in ("a.png", "hard.png", "soft.png", "key.png"):
        words = (*studio.detect(source), "--overlay", tmp_path / name)
        result = studio.run(*words, code=1)
        assert result.stderr == f"Error: {words[-1]}: the overlay is an input file; name another\n"
        assert result.stdout == ""
    assert source.read_bytes() == before


def test_an_overlay_that_cannot_be_written_is_told_and_nothing_stays(studio, tmp_path):
    (tmp_path / "where.png").mkdir()
    words = (*studio.detect(studio.marked / "a 1.png"), "--overlay", tmp_path / "where.png")
    (row,) = asked(studio, *words, code=1)
    assert row["error"].startswith(f"{words[-1]}: cannot be written")
    assert [path.name for path in tmp_path.iterdir()] == ["where.png"]


def test_a_file_that_cannot_be_read_has_a_row_and_the_others_go_on(studio, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    words = studio.detect(bad, studio.marked / "a 1.png")
    failed, done = asked(studio, *words, code=1)
    assert failed["file"] == str(bad)
    assert failed["error"].startswith(f"{bad}: ")
    assert failed["log10_p"] is None
    assert done["verdict"] == "detected"
    assert studio.run(*words, code=1).stderr == f"Error: {failed['error']}\n"


def test_a_folder_without_pictures_is_told_and_no_failure(studio, tmp_path):
    result = studio.run(*studio.detect(tmp_path))
    assert (result.stdout, result.stderr) == ("", f"{tmp_path}: no pictures here\n")


def test_a_terminal_gets_lines_that_fit(studio):
    lines, text = studio.on_terminal(*studio.detect(studio.marked), columns=40)
    assert "3/3" in text
    assert max(map(cells, lines)) <= 40
    assert sum("detected" in line for line in lines) == 3
    assert sum("not permitted" in line for line in lines) == 3
    assert not any("/3" in line for line in lines)


def test_a_pipe_gets_whole_names_and_no_bar(studio):
    process = studio.start(*studio.detect(studio.marked))
    text, error = process.communicate(timeout=60)
    assert error == ""
    assert all(row["output"] in text.splitlines() for row in studio.rows)
    assert "\x1b" not in text


def test_a_closed_pipe_is_silent(studio, tmp_path):
    (tmp_path / "dir").mkdir()
    for number in range(12):
        (tmp_path / "dir" / f"{number}.png").write_bytes((studio.marked / "a 1.png").read_bytes())
    process = studio.start(*studio.detect(tmp_path / "dir"), "--json")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def test_control_characters_in_titles_do_not_reach_the_terminal(studio, tmp_path):
    evil = "\x1b]0;x\x07\x9b31m\u202e"
    with open_registry(tmp_path / "r.sqlite") as registry:
        work, _ = registry.add_work(f"A{evil}", rights_holder=evil, training="constrained",
                                    terms=evil, mark_labels={"a": evil})  # fmt: skip
    embed = ("embed", studio.frames / "a 1.png", "--work", work.id, "-o", tmp_path / "x.png")
    same = ("--key", studio.key, "--registry", tmp_path / "r.sqlite")
    studio.run(*embed, *same)
    for form in ([], ["--json"]):
        output = studio.run("detect", tmp_path / "x.png", *same, *form).output
        assert work.id in output or "detected" in output
        assert not set("\x1b\x07\x9b\u202e") & set(output)


def test_a_registry_on_a_server_serves_as_well(studio, shared, tmp_path):
    with open_registry(shared) as registry:
        work, mark = registry.add_work("A")
    same = ("--key", studio.key, "--registry", shared)
    output = tmp_path / "x.png"
    studio.run("embed", studio.frames / "a 1.png", "--work", "A", "-o", output, *same)
    (row,) = asked(studio, "detect", output, *same)
    assert (row["work"], row["mark"]) == (work.id, str(mark))


def test_the_library_says_the_same(studio):
    keys = [Key.read(studio.key)]
    pixels = read(studio.marked / "a 1.png").shown()
    with open_registry(studio.registry, read_only=True) as registry:
        told = identify_pixels(pixels, keys, Catalogue.load(registry))
    assert told.found[0].work == studio.works[0]
    assert told.found[0].mark.number == studio.marks[0].number
    assert identify_pixels(pixels, keys).found[0].number == studio.marks[0].number


def test_marks_of_one_work_share_an_index(where):
    with open_registry(where) as registry:
        made = [registry.add_work(title) for title in "ABC"]
        owner = {mark.number: work.id for work, mark in made}
        for work, _ in made[:2] * 2:
            owner[registry.add_mark(work.id).number] = work.id
        numbers, index = registry.mark_works()
        assert numbers.tolist() == sorted(owner)
        assert registry.count_marks() == len(owner)
    works = [owner[number] for number in numbers.tolist()]
    for one, first in zip(works, index, strict=True):
        assert [first == other for other in index] == [one == other for other in works]


def test_an_empty_registry_has_empty_columns():
    with open_registry("sqlite://") as registry:
        numbers, index = registry.mark_works()
        assert (numbers.shape, index.shape, registry.count_marks()) == ((0,), (0,), 0)


@pytest.mark.parametrize(("log10", "text"), [(0.0, "1"), (-0.3, "0.5"), (-57.34, "10^-57.3")])
def test_a_probability_is_written_for_people(log10, text):
    assert verdict.power(log10) == text


@pytest.mark.slow
def test_a_million_marks_are_ready_in_a_few_seconds(studio, tmp_path):
    file = tmp_path / "r.sqlite"
    with open_registry(file) as registry:
        registry.add_work("A")
    numbers = np.random.default_rng(0).permutation(2**20)[:1_000_000] * 2**20
    with sqlite3.connect(file) as connection:
        works = ((f"w-{n:010}", "t", *("",) * 3, "allowed", "", "{}", "", "") for n in range(10**6))
        connection.executemany(f"INSERT INTO works VALUES ({', '.join('?' * 10)})", works)
        marks = ((n, f"w-{k:010}", "{}", "") for k, n in enumerate(numbers.tolist()))
        connection.executemany("INSERT INTO marks VALUES (?, ?, ?, ?)", marks)
    began = time.monotonic()
    with open_registry(file, read_only=True) as registry:
        assert len(Catalogue.load(registry).codebook) == 1_000_001
    assert time.monotonic() - began < 6
    words = ("detect", studio.marked, "--key", studio.key, "--registry", file)
    assert {row["mark"] for row in asked(studio, *words)} == {str(studio.marks[0])}
