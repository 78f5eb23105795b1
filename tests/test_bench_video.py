"""The experiments on films: what is cut and marked, what counts as found, and what is printed."""

import math
import sys
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from bench import compilation, growth, run_films, video
from bench.attacks import Attack
from bench.networks import Processing
from bench.published.films import VIDEO
from bench.report import lines_of
from bench.stills import bench_key, registry
from bench.video import Setting, Trial, excerpts, measure
from bench.video_attacks import ATTACKS, MINUTE
from bench.video_masters import variable_rate
from bench.video_media import Coding, Footage, films, marked, read, write
from bench.video_outcome import of_film, of_still, summary
from watermark.align import Alignment
from watermark.clip_identification import ClipIdentification, Part
from watermark.detection import Candidate, Detection, Found
from watermark.identification import FoundMark, Identification

WHOLE = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")
WORK = object()


def mark(number, *, log10_p=-20.0, work=WORK, z=12.0):
    return FoundMark(
        *(number, work, None, True, log10_p, -9.0, z, False, "f", "p"),
        *("whole frame", WHOLE.matrix, ()),
    )


def told(*marks, verdict="detected", parts=()):
    z, log10_p = (marks[0].z, marks[0].log10_p) if marks else (4.5, -0.1)
    whole = Identification(verdict, log10_p, z, marks, (), None, (320, 180), None)
    return ClipIdentification(whole, 2.0, 1.9, 8, 5, False, 0, parts, ())


def still(*, number, verdict="detected", wrong=1e-9):
    logs = math.log(1e-20), math.log(wrong)
    best = Found(number, True, 12.0, *logs, False, "fingerprint", "profile", WHOLE)
    return Detection(verdict, best, (best,), (Candidate(number, 12.0),), 14.0)


def footage(count, shape=(270, 480), *, seed=0, rate=24):
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(40, 210, (9, 16), np.uint8), shape[::-1])
    grain = rng.normal(0, 1.5, (count, *shape))
    chroma = np.full((shape[0] // 2, shape[1] // 2), 128, np.uint8)
    frames = ((np.rint(picture + each).astype(np.uint8), chroma, chroma) for each in grain)
    return Footage(tuple(frames), Fraction(rate))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three films of 30, 24 and 8 frames."""
    folder = tmp_path_factory.mktemp("films")
    for name, count in (("a", 30), ("b", 24), ("c", 8)):
        film = footage(count, seed=count)
        coding = Coding("ffv1", {}, ".mkv")
        write(folder / f"{name}.mkv", film.frames, rate=film.rate, coding=coding)
    return folder


@pytest.fixture(scope="module")
def setting(folder):
    return Setting(films([folder]), registry(2000, 1), seconds=0.5)


@pytest.fixture
def seen(monkeypatch):
    """Put an eye in the detector's place, which keeps what it is shown and sees nothing."""
    calls = []

    def identify(path, keys, catalogue, **options):
        calls.append((read(path), keys, catalogue, options))
        return told(verdict="not-found")

    monkeypatch.setattr(video, "identify_clip", identify)
    return calls


def test_a_mark_in_a_film_is_found_if_it_is_sure_named_and_right():
    line = of_film(told(mark(7)), 7, {7}, None)
    assert line["found"]
    assert (line["z"], line["wrong"], line["verdict"]) == (12.0, 0, "detected")
    assert not of_film(told(mark(7, log10_p=-8.9)), 7, {7}, None)["found"]
    assert not of_film(told(mark(7, work=None)), 7, {7}, None)["found"]
    assert not of_film(told(verdict="not-found"), 7, {7}, None)["found"]


def test_another_work_that_is_named_is_wrong_unless_it_is_in_the_film():
    both = told(mark(8), mark(7, z=9.0))
    line = of_film(both, 7, {7}, None)
    assert line["found"]
    assert (line["z"], line["wrong"]) == (9.0, 1)
    assert of_film(both, 7, {7, 8}, None)["wrong"] == 0
    assert of_film(told(mark(8, work=None)), 7, {7}, None)["wrong"] == 0
    assert not of_film(told(mark(8)), None, {None}, None)["found"]


def test_a_part_is_found_only_if_both_its_ends_are_within_a_second():
    def line(*parts):
        return of_film(told(mark(7), parts=parts), 7, {7}, (20.0, 25.0))

    none = Part(0.0, 19.5, None)
    good = line(none, Part(19.5, 25.9, mark(7)), Part(25.9, 60.0, mark(8)))
    assert good["found"]
    assert good["off"] == pytest.approx([-0.5, 0.9])
    late = line(none, Part(19.5, 26.1, mark(7)))
    assert not late["found"]
    assert late["named"]
    split = line(Part(19.1, 21.0, mark(7)), Part(21.0, 22.0, None), Part(22.0, 25.5, mark(7)))
    assert split["found"]
    missing = line(none)
    assert not missing["found"]
    assert missing["off"] is None


def test_a_still_is_found_as_in_the_experiment_on_stills():
    assert of_still(still(number=7), 7)["found"]
    assert not of_still(still(number=7, verdict="indicated"), 7)["found"]
    assert not of_still(still(number=7, wrong=0.1), 7)["found"]
    wrong = of_still(still(number=8), 7)
    assert not wrong["found"]
    assert wrong["wrong"] == 1


def test_excerpts_are_different_and_those_of_a_short_film_are_one(setting):
    long, _, short = setting.corpus
    assert excerpts(long, 0.5, 5) == 5
    assert excerpts(long, 1.2, 5) == 2
    assert excerpts(short, 0.5, 5) == 1
    whole = read(long.path)
    cuts = [Trial(long, "x264 18", k).cut(whole, setting, seconds=0.5) for k in range(5)]
    assert {len(cut.frames) for cut in cuts} == {12}
    assert len({id(cut.frames[0]) for cut in cuts}) == 5
    again = Trial(long, "gif", 3).cut(whole, setting, seconds=0.5)
    assert again.frames[0] is cuts[3].frames[0]
    assert len(Trial(short, "gif", 0).cut(read(short.path), setting, seconds=0.5).frames) == 8


def test_the_detector_sees_the_marked_excerpt_in_a_file_and_the_unmarked_one(
    setting, seen, monkeypatch
):
    for name in ("x264 18", "x264 28"):
        lossless = replace(ATTACKS[name], coding=Coding("ffv1", {}, ".mkv"))
        monkeypatch.setitem(ATTACKS, name, lossless)
    film = setting.corpus[0]
    line = measure(Trial(film, "x264 18", 1), setting)
    assert not line["found"]
    assert (line["film"], line["attack"], line["excerpt"]) == ("a.mkv", "x264 18", 1)
    assert min(line["bytes"], line["made_s"], line["detected_s"]) > 0
    shown, keys, catalogue, options = seen[0]
    assert keys == [bench_key(1)]
    assert len(catalogue.codebook) == 2000
    assert options == {"fps": 2.0, "all_frames": False}
    plain = read(film.path)
    original = Trial(film, "", 1).cut(plain, setting, seconds=0.5)
    wanted = Trial(film, "", 1).cut(
        marked(plain, bench_key(1), setting.number(film)), setting, seconds=0.5
    )
    for one, other in zip(shown.frames, wanted.frames, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    measure(Trial(film, "unmarked x264 28", 1), setting)
    for one, other in zip(seen[1][0].frames, original.frames, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize("name", ["10 to 8 bit", "hdr10 to sdr", "pip 50", MINUTE])
def test_other_masters_and_other_films_are_shown_as_they_should_be(
    name, setting, seen, monkeypatch
):
    monkeypatch.setattr(compilation, "_SECONDS", 4.0)
    monkeypatch.setattr(compilation, "_SHAPE", (90, 160))
    film = setting.corpus[1]
    small = replace(setting, seconds=0.25)
    line = measure(Trial(film, name, 0), small)
    shown, _, _, options = seen[0]
    assert options["all_frames"] == (name == MINUTE)
    if name == MINUTE:
        start, end = line["place"]
        assert end - start == pytest.approx(1.0)  # the whole film, of 24 frames
        assert 0 < start < end < len(shown.frames) / 24
    else:
        assert len(shown.frames) == 6
        assert shown.shape == (270, 480)


def test_one_frame_goes_the_way_of_stills(setting, monkeypatch):
    pictures = []

    def detect(pixels, keys, codebook):
        pictures.append(pixels)
        return still(number=setting.number(setting.corpus[0]))

    monkeypatch.setattr(video, "detect", detect)
    assert measure(Trial(setting.corpus[0], "one frame", 0), setting)["found"]
    assert pictures[0].shape == (270, 480, 3)
    # Grey of luma y is (y − 16) · 255/219 in all of R, G and B.
    luma = read(setting.corpus[0].path).frames[0][0].astype(float)
    assert abs(pictures[0].mean() - np.mean((luma - 16) * 255 / 219)) < 1


def test_a_marked_film_is_found_by_the_product_itself(setting):
    line = measure(Trial(setting.corpus[0], "x264 18", 0), setting)
    assert line["found"]
    assert line["alignment"] == "whole frame"
    assert line["wrong"] == 0


def line(attack, *, found=True, z=12.0, **more):
    seconds = {"made_s": 2.0, "detected_s": 1.0}
    verdict = "detected" if found else "not-found"
    base = {"film": "a.mkv", "excerpt": 3, "attack": attack, "found": found, "z": z}
    return base | seconds | {"verdict": verdict, "wrong": 0} | more


def test_the_table_compares_with_the_target_and_names_every_miss():
    lines = [line("x264 42")] * 3 + [line("x264 42", found=False, z=5.25)]
    lines += [line("x264 38", found=False, z=6.5), line("x264 18")]
    lines += [line(MINUTE, found=False, off=[-0.2, 3.0]), line(MINUTE, found=False, off=None)]
    lines += [line("unmarked gif", found=False, z=4.0, wrong=2)]
    text = summary(lines)
    attacks = text[: text.index("Misses")].splitlines()
    rows = {row.split("|")[1].strip(): row for row in attacks if row.startswith("|")}
    assert "3/4, 75.0 %" in rows["x264 42"]
    assert "short" not in rows["x264 42"]
    assert "5.2" in rows["x264 42"]
    assert "short" in rows["x264 38"]
    assert "Misses: 4" in text
    assert "| a.mkv | 3       | 6.50   | not-found | " in text
    assert "off by -0.20, +3.00 s" in text
    assert "not on the timeline" in text
    assert "Wrong works named: 2" in text
    assert "Unmarked excerpts called marked: 0/1" in text
    assert "largest z 4.00" in text


def test_a_run_goes_on_where_it_was_cut_off(folder, tmp_path, monkeypatch, capsys):
    calls = []

    def told_of(trial, setting):
        calls.append((trial.film.name, trial.attack, trial.excerpt))
        return line(trial.attack, film=trial.film.name, excerpt=trial.excerpt) | {
            "sha256": trial.film.sha256
        }

    monkeypatch.setattr(video, "measure", told_of)
    out = tmp_path / "video.jsonl"
    words = ["video", str(folder), "--marks", "500", "--jobs", "1", "--out", str(out)]
    words += ["--seconds", "0.5", "--excerpts", "2", "--attacks", "x264 18,gif"]
    monkeypatch.setattr(sys, "argv", words)
    video.main()
    assert len(calls) == 2 * (2 + 2 + 1)
    assert calls[:3] == [("a.mkv", "x264 18", 0), ("a.mkv", "gif", 0), ("a.mkv", "x264 18", 1)]
    assert "5/5, 100.0 %" in capsys.readouterr().out
    out.write_text("".join(each + "\n" for each in out.read_text().splitlines()[:4]) + '{"cut')
    calls.clear()
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    video.main()
    assert len(calls) == 6
    assert len(list(lines_of(out))) == 10


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--attacks", "x264 99"], "no attack is called x264 99"), ([], "too few films")],
)
def test_what_cannot_be_run_is_said(more, message, folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["video", str(folder / "a.mkv"), *more])
    with pytest.raises(SystemExit):
        video.main()
    assert message in capsys.readouterr().err


def test_growth_is_that_of_files_encoded_alike(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "growth.jsonl"
    words = ["growth", str(folder), "--limit", "1", "--seconds", "0.25", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(out)])
    growth.main()
    lines = list(lines_of(out))
    assert [each["crf"] for each in lines] == [18, 23, 28]
    assert {each["frames"] for each in lines} == {6}
    assert lines[0]["marked"] > lines[0]["plain"] > lines[2]["plain"]
    assert "a.mkv" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(out), "--resume"])
    monkeypatch.setattr(growth, "measure", None)
    growth.main()
    assert len(list(lines_of(out))) == 3


def test_the_mean_growth_counts_films_and_not_bytes():
    sizes = {"a.mkv": (100, 110), "b.mkv": (10_000, 10_400)}
    lines = [
        {"film": name, "crf": crf, "plain": plain, "marked": with_mark}
        for name, (plain, with_mark) in sizes.items()
        for crf in (18, 23, 28)
    ]
    rows = [[cell.strip() for cell in row.split("|")] for row in growth.summary(lines).splitlines()]
    mean, most, over = rows[-3:]
    assert mean[1:5] == ["mean", "+7.0 %", "+7.0 %", "+7.0 %"]
    assert most[1:5] == ["at most", "+12.0 %", "+5.0 %", "+2.0 %"]
    assert over[1:5] == ["", "", "over", "over"]


@pytest.mark.parametrize("name", ["prores", "variable rate"])
def test_masters_that_are_files_are_marked_by_the_product_and_found(name, tmp_path, monkeypatch):
    lossless = replace(ATTACKS[name], coding=Coding("ffv1", {}, ".mkv"))
    monkeypatch.setitem(ATTACKS, name, lossless)
    folder = tmp_path / "films"
    folder.mkdir()
    film = footage(30, (360, 640), seed=4)
    write(folder / "a.mkv", film.frames, rate=film.rate, coding=Coding("ffv1", {}, ".mkv"))
    setting = Setting(films([folder]), registry(2000, 1), seconds=1.0)
    assert measure(Trial(setting.corpus[0], name, 0), setting)["found"]


def test_a_film_of_variable_rate_keeps_the_times_of_the_frames_it_has(tmp_path):
    film = footage(24)
    variable_rate(tmp_path / "a.mkv", film, np.random.default_rng(0))
    with av.open(str(tmp_path / "a.mkv")) as file:
        times = [frame.time for frame in file.decode(video=0)]
    gaps = set(np.diff(np.rint(np.array(times) * 24)).astype(int))
    assert times[0] == 0
    assert gaps > {1}
    assert 8 < len(times) < 24


def test_of_a_network_that_draws_frames_only_those_it_drew_are_left(folder, setting, monkeypatch):
    def halfway(first, _, second):
        return ((first.astype(np.uint16) + second) // 2).astype(np.uint8)

    drawing = Processing(
        Attack("drawn", halfway, None, "", others=1), "drawn", None, "", lambda: None, film=True
    )
    missing = Processing(drawing.attack, "drawn", None, "", lambda: "it is not there", film=True)
    monkeypatch.setattr(
        run_films, "NETWORKS", {"drawn": drawing, "still": replace(drawing, film=False)}
    )
    assert run_films.names_of() == (*VIDEO, "drawn")
    monkeypatch.setattr(run_films, "NETWORKS", {"drawn": missing})
    assert run_films.names_of() == tuple(VIDEO)
    monkeypatch.setattr(run_films, "NETWORKS", {"drawn": drawing})
    kept = []

    def identify(path, keys, catalogue):
        kept.append(read(path))
        return told(mark(setting.number(film)))

    monkeypatch.setattr(run_films, "identify_clip", identify)
    film = films([folder])[0]
    (row,) = run_films.rows(film, ("drawn",), setting, frozenset())
    assert (row["family"], row["group"], row["kind"]) == ("networks", "AI processing", "video")
    assert row["found"]
    assert row["right"]
    (left,) = kept
    assert len(left.frames) == 12
    before = marked(read(film.path), bench_key(setting.seed), setting.number(film)).frames
    # The first lies between the first and the third: grain that is averaged is less.
    assert left.frames[0][0].std() < before[0][0].std()
    done = frozenset({("sukashi", "default", "video", "networks", "drawn", None, film.sha256, 0)})
    assert run_films.rows(film, ("drawn",), setting, done) == []
