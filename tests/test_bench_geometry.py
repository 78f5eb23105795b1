"""The experiment on geometry: what is drawn, what counts as found, and what the table says."""

import math
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from bench import geometry
from bench.corpus import find, load
from bench.geometry import UNMARKED, Setting, measure, outcome, summary
from bench.geometry_attacks import ATTACKS, apply, resized
from bench.report import lines_of
from bench.stills import bench_key, registry
from watermark.align import Alignment
from watermark.detect import read_back
from watermark.detection import Candidate, Detection, Found

WHOLE = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")
NOISE = tuple(Candidate(number, 5.0 - number) for number in range(4))


def found(number, *, z=12.0, p=1e-20, wrong=1e-9, registered=True):
    logs = math.log(p), math.log(wrong)
    return Found(number, registered, z, *logs, False, "fingerprint", "profile", WHOLE)


def nothing():
    return Detection("not-found", found(0, z=5.0, p=0.1), (), NOISE, 14.0)


def detected(*marks):
    first = Candidate(marks[0].number, marks[0].z)
    return Detection("detected", marks[0], marks, (first, *NOISE[:3]), 14.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four pictures of two sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed in range(4):
        rng = np.random.default_rng(seed)
        pixels = cv2.resize(rng.integers(30, 226, (9, 14, 3), np.uint8), (400 + seed % 2 * 40, 272))
        cv2.imwrite(str(folder / f"{seed}.png"), pixels)
    return folder


@pytest.fixture(scope="module")
def setting(folder):
    return Setting(find([folder], min_short=200), registry(2000, 1), search="fast")


@pytest.fixture
def seen(monkeypatch):
    """Put an eye in the detector's place, which keeps what it is shown and sees nothing."""
    calls = []

    def detect(pixels, keys, codebook, *, search):
        calls.append((pixels, keys, codebook, search))
        return nothing()

    monkeypatch.setattr(geometry, "detect", detect)
    return calls


def test_a_mark_is_found_if_it_is_detected_named_and_right():
    (work,) = outcome(detected(found(7)), [("a.png", 7)])["works"]
    assert work == {"picture": "a.png", "found": True, "z": 12.0}
    for mark in (found(7, p=1e-8), found(7, wrong=0.01), found(7, registered=False), found(8)):
        assert not outcome(detected(mark), [("a.png", 7)])["works"][0]["found"]


def test_a_mark_may_be_any_of_those_that_were_found():
    """Of four works three are found; the fourth scores no more than the last candidate."""
    marks = [found(11), found(12, z=9.0), found(13, z=8.0)]
    line = outcome(detected(*marks), [("a", 12), ("b", 11), ("c", 14), ("d", 13)])
    assert [work["found"] for work in line["works"]] == [True, True, False, True]
    assert [work["z"] for work in line["works"]] == [9.0, 12.0, 3.0, 8.0]
    assert line["wrong"] == 0


def test_wrong_names_are_counted_wherever_they_are_printed():
    marks = (found(11), found(99, p=1e-7), found(98, wrong=0.5))
    assert outcome(detected(*marks), [("a", 11)])["wrong"] == 1
    assert outcome(detected(*marks), [])["wrong"] == 2
    assert outcome(nothing(), [("a", 11)])["wrong"] == 0


def test_the_marked_picture_goes_through_the_attack(seen, setting):
    """Its mark is that of the experiment on stills, and the detector is asked as one wishes."""
    picture = setting.corpus[0]
    line = measure(picture, "rotate 90", 0, setting)
    ((pixels, keys, codebook, search),) = seen
    assert (keys, codebook, search) == ([bench_key(1)], setting.codebook, "fast")
    scores = [
        read_back(np.ascontiguousarray(np.rot90(pixels, turns)), keys[0], setting.number(picture))
        for turns in range(4)
    ]
    assert max(scores) > 8 > sorted(scores)[-2]
    assert line["attack"] == "rotate 90"
    assert (line["height"], line["width"]) == pixels.shape[:2]
    assert line["seconds"] >= 0


def test_draws_differ_and_repeat(seen, setting):
    picture = setting.corpus[0]
    lines = [measure(picture, "crop 50", draw, setting) for draw in (0, 1, 0)]
    assert [line["draw"] for line in lines] == [0, 1, 0]
    assert np.array_equal(seen[0][0], seen[2][0])
    assert not np.array_equal(seen[0][0], seen[1][0])
    measure(picture, "crop 50", 0, replace(setting, seed=2))
    assert not np.array_equal(seen[0][0], seen[3][0])


def test_an_unmarked_picture_goes_through_the_same_draw(seen, setting):
    picture = setting.corpus[1]
    line = measure(picture, "unmarked crop 50", 3, setting)
    original = load(picture)
    rng = picture.rng(1, "attack crop 50, draw 3")
    rng.choice(3, 0, replace=False)
    assert np.array_equal(seen[0][0], apply("crop 50", original, rng))
    assert line["works"] == []
    assert UNMARKED.keys() == {f"unmarked {name}" for name in UNMARKED.values()}
    assert set(UNMARKED.values()) <= ATTACKS.keys()


def test_all_works_of_a_collage_are_marked_and_count(seen, setting, monkeypatch):
    numbers = {setting.number(picture) for picture in setting.corpus}
    line = measure(setting.corpus[0], "collage", 0, setting)
    assert {work["picture"] for work in line["works"]} == {"0.png", "1.png", "2.png", "3.png"}
    assert line["works"][0]["picture"] == "0.png"
    assert seen[0][0].shape == (272, 440, 3)
    everything = detected(*map(found, numbers))
    monkeypatch.setattr(geometry, "detect", lambda *_, **__: everything)
    assert all(work["found"] for work in measure(setting.corpus[0], "collage", 1, setting)["works"])


def test_the_picture_round_a_picture_is_another_and_unmarked(seen, setting):
    line = measure(setting.corpus[2], "pip 35", 0, setting)
    assert [work["picture"] for work in line["works"]] == ["2.png"]
    backgrounds = [resized(load(each), (400, 272)) for each in setting.corpus]
    alike = [(seen[0][0] == background).all(axis=-1).mean() for background in backgrounds]
    assert max(alike) > 1 - 0.36**2  # all but the inset
    assert int(np.argmax(alike)) != 2


def line(attack="crop 50", picture="a.png", *, z=(9.0,), hits=(True,), **more):
    works = [
        {"picture": picture, "found": hit, "z": value} for hit, value in zip(hits, z, strict=True)
    ]
    plain = {"attack": attack, "picture": picture, "works": works, "wrong": 0, "z": 5.0}
    return plain | {"verdict": "not-found", "seconds": 0.25} | more


def test_the_table_counts_works_and_says_what_falls_short():
    text = summary(
        [
            *(line(z=(value,)) for value in (7.0, 9.0, 8.0)),
            line(picture="b.png", z=(3.0,), hits=(False,), seconds=1.5),
            line("collage", z=(8.0, 9.0, 10.0, 11.0), hits=(True,) * 4),
            line("screenshot"),
        ]
    )
    cells = [[cell.strip() for cell in row.split("|")] for row in text.splitlines()]
    rows = {row[1]: row[3:-1] for row in reversed(cells) if len(row) > 7}
    assert rows["crop 50"] == ["95 %", "3/4, 75.0 % (19.4 to 99.4)", "short", "7.5", "3.0"]
    assert rows["collage"] == ["90 %", "4/4, 100.0 % (39.8 to 100.0)", "", "9.5", "8.0"]
    assert rows["screenshot"] == ["", "1/1, 100.0 % (2.5 to 100.0)", "", "9.0", "9.0"]
    assert "Misses: 1\n" in text
    assert "Wrong works named: 0" in text
    assert "Seconds for a detection: 0.25 in the median, 1.50 at most" in text


def test_misses_are_listed_by_picture():
    text = summary(
        [line(z=(3.25,), hits=(False,)), line(), line(z=(1.0,), hits=(False,)), line(picture="b")]
    )
    assert "| crop 50 | a.png   | 2 of 3 | 1.0, 3.2        |" in text
    assert text.count("b |") == 0


def test_what_must_not_happen_is_told():
    unmarked = [line("unmarked crop 50", z=(), hits=()) for _ in range(9)]
    text = summary([*unmarked, line(wrong=2)])
    assert "Unmarked pictures called marked: 0/9" in text
    assert "Wrong works named: 2" in text
    text = summary([*unmarked, line("unmarked crop 50", z=(), hits=(), verdict="indicated")])
    assert "Unmarked pictures called marked: 1/10" in text


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["geometry", *map(str, arguments)])
    geometry.main()


def test_a_run_writes_its_lines_and_goes_on_where_it_was(
    seen, folder, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "geometry.jsonl"
    options = ("--min-short", 200, "--marks", 2000, "--out", out, "--jobs", 1, "--limit", 2)
    options = (folder, *options, "--attacks", "rotate 90,collage,unmarked crop 50")
    run(monkeypatch, *options, "--draws", 1, "--search", "fast")
    lines = list(lines_of(out))
    assert len(lines) == 2 * 3
    for one in lines:
        assert one["what"] == "geometry"
        assert one["search"] == "fast"
        assert {"commit", "seed", "corpus", "versions", "marks", "profile", "seconds"} <= one.keys()
    assert "2 pictures of 4" in capsys.readouterr().out

    run(monkeypatch, *options, "--draws", 2, "--search", "fast", "--resume")
    assert len(seen) == 12
    assert list(lines_of(out))[:6] == lines
    assert len(list(lines_of(out))) == 12
    assert "| collage " in capsys.readouterr().out

    run(monkeypatch, *options, "--draws", 1, "--resume")
    assert len(seen) == 18, "lines of another search are of another run"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--attacks", "smash"), "no attack is called smash"),
        (("--attacks", "collage", "--min-short", "5000"), "these attacks take 4 pictures"),
        (("--search", "lucky"), "invalid choice"),
    ],
)
def test_what_cannot_be_run_is_refused(folder, monkeypatch, capsys, arguments, said):
    with pytest.raises(SystemExit):
        run(monkeypatch, folder, "--jobs", 1, *arguments)
    assert said in capsys.readouterr().err
