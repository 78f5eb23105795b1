import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FIRST, KEY, encode, shot
from piles import jpeg, parquet, shard, tar
from studio import picture

from watermark import scan_workers
from watermark.attempts import Attempts, Deadly
from watermark.compact import unpack
from watermark.detect import reduced
from watermark.errors import OutputError, RegistryError
from watermark.example_sheet import write_sheet
from watermark.identification import Catalogue, identify_pixels
from watermark.key import Key
from watermark.registry import open_registry
from watermark.results import Results
from watermark.sample import Unit
from watermark.scan import Outcome, run, unit_done, unit_given_up
from watermark.scan_report import report
from watermark.scan_setup import Setup
from watermark.scan_summary import interval, summarise
from watermark.scan_workers import LocalEngine
from watermark.scanning import Scanner
from watermark.screening import identify_together, surely_shows
from watermark.sources import list_units
from watermark.stills import read
from watermark.tables import EVIDENCE, ROWS, TableWriter, read_rows


@pytest.fixture(scope="module")
def setup(studio):
    return Setup((Key.read(studio.key),), str(studio.registry), search="fast")


@pytest.fixture(scope="module")
def scanner(setup):
    with Scanner(setup) as scanner:
        yield scanner


def begun(folder, *sources):
    results = Results(folder)
    with results:
        results.begin({"sources": [*map(str, sources)]}, list_units([*map(str, sources)]))
    return results


def rows_of(results):
    return list(results.all_rows())


def names_of(results):
    return [(Path(each["source"]).name, each["key"]) for each in rows_of(results)]


def test_the_rows_of_a_scan_say_what_a_single_look_says(studio, scanner, tmp_path):
    results = begun(tmp_path / "r", studio.marked)
    (unit,) = results.left()
    assert unit_done(scanner, unit, results.folder) == Outcome(3, 3, 0)
    rows = rows_of(results)
    singles = studio.ask(*studio.detect(studio.marked), "--json")
    assert [each["key"] for each in rows] == ["a 1.png", "第1話/b.jpg", "第1話/c.webp"]
    for row, single in zip(rows, singles, strict=True):
        for name in ("verdict", "work", "title", "mark", "training", "log10_p", "z", "alignment"):
            assert row[name] == single[name]
        assert (row["width"], row["height"], row["kind"]) == (480, 270, "still")
        assert row["outline"] == single["outline"]
        assert row["works"][0]["matrix"] == single["matrix"]
        assert len(row["sha256"]) == 64
        assert row["error"] is None


def test_looking_together_tells_what_looking_alone_tells(studio, setup):
    """Marked and unmarked, small, flat, and with borders."""
    marked = read(studio.marked / "a 1.png").shown()
    pictures = [
        marked,
        np.ascontiguousarray(marked[:, ::-1]),
        picture(5),
        picture(6, 90, 120),
        np.full((300, 400, 3), 255, np.uint8),
        cv2.copyMakeBorder(marked, 40, 40, 0, 0, cv2.BORDER_CONSTANT),
        picture(7)[..., 0].copy(),
        picture(8).astype(np.uint16) * 257,
    ]
    with open_registry(setup.registry, read_only=True) as registry:
        catalogue = Catalogue.load(registry)
        for known in (catalogue, None):
            together = identify_together(
                [reduced(each) for each in pictures], setup.keys, known, search="fast"
            )
            for pixels, seen in zip(pictures, together, strict=True):
                alone = identify_pixels(pixels, setup.keys, known, search="fast")
                told = seen.told
                assert (told.verdict, told.found) == (alone.verdict, alone.found)
                assert (told.size, told.enough_short) == (alone.size, alone.enough_short)
                # What was not decoded could have been anything, so its p-value is 1.
                assert told.log10_p >= alone.log10_p - 1e-9


def test_a_mark_that_nobody_registered_is_found_together_as_well(studio, setup):
    stranger = Key(bytes(32))
    from watermark.embed import embed

    pixels = embed(picture(5), stranger, 123456789)
    with open_registry(setup.registry, read_only=True) as registry:
        (seen,) = identify_together(
            [(pixels, 1)], (stranger,), Catalogue.load(registry), search="fast"
        )
    assert seen.told.verdict == "detected"
    assert [(each.number, each.registered) for each in seen.told.found] == [(123456789, False)]


def test_what_breaks_with_one_picture_leaves_the_others(setup):
    broken = np.zeros((0, 4, 3), np.uint8)
    seen = identify_together([(picture(1), 1), (broken, 1), (picture(2), 1)], setup.keys)
    assert [isinstance(each.told, Exception) for each in seen] == [False, True, False]


@pytest.mark.parametrize("kind", ["flat", "noise", "clipped", "small", "red"])
def test_what_is_said_to_show_a_mark_surely_would(kind):
    from watermark.detect import showable_z

    rng = np.random.default_rng(3)
    pixels = {
        "flat": np.full((256, 300, 3), 90, np.uint8),
        "noise": rng.integers(0, 256, (256, 300, 3)).astype(np.uint8),
        "clipped": ((picture(3) > 128) * 255).astype(np.uint8),
        "small": picture(3, 100, 150),
        "red": np.dstack([np.full((300, 300), 255, np.uint8), *np.zeros((2, 300, 300), np.uint8)]),
    }[kind]
    from watermark.frame import luma

    sure = surely_shows(pixels, luma(pixels))
    assert sure == (kind == "flat")
    if sure:
        assert showable_z(pixels) > 20


def test_what_cannot_be_read_is_a_row_with_the_reason(scanner, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(jpeg(1)[:3000])
    (tmp_path / "c.jpg").write_bytes(jpeg(2))
    (tmp_path / "d.mp4").write_bytes(b"no film")
    (tmp_path / "e.tar").write_bytes(b"no archive" * 100)
    results = begun(tmp_path / "r", tmp_path)
    for unit in results.left():
        unit_done(scanner, unit, results.folder)
    rows = rows_of(results)
    assert [each["reason"] for each in rows] == [
        *("unreadable", "unreadable", None, "unreadable", "unreadable")
    ]
    assert [each["verdict"] is None for each in rows] == [True, True, False, True, True]
    for row in rows:
        if row["error"]:
            assert row["error"].startswith(str(tmp_path))
            assert "\n" not in row["error"]


def test_evidence_and_thumbnails_lie_beside_the_rows(studio, setup, tmp_path):
    results = begun(tmp_path / "r", studio.marked)
    (unit,) = results.left()
    with Scanner(replace(setup, keep_evidence=True)) as scanner:
        unit_done(scanner, unit, results.folder)
    kept = list(read_rows(results.evidence(unit)))
    assert [each["key"] for each in kept] == [each["key"] for each in rows_of(results)]
    assert unpack(kept[0]["evidence"]).frames == 1
    assert {each["looks"] for each in kept} == {1}
    thumbnails = list(results.all_thumbnails())
    assert len(thumbnails) == 3
    small = cv2.imdecode(np.frombuffer(thumbnails[0]["thumbnail"], np.uint8), 1)
    assert max(small.shape) == 256
    shown = cv2.resize(small, (48, 27)).astype(float)
    truth = cv2.resize(cv2.imread(str(studio.marked / "a 1.png")), (48, 27)).astype(float)
    assert np.abs(shown - truth).mean() < 12  # and so the colours are not exchanged


def test_processes_do_what_one_does(studio, setup, tmp_path):
    shard(tmp_path / "s.tar", [jpeg(1), (studio.marked / "第1話/b.jpg").read_bytes()])
    parquet(tmp_path / "t.parquet", [jpeg(seed) for seed in range(3)])
    results = begun(tmp_path / "r", tmp_path / "s.tar", tmp_path / "t.parquet")
    told = []
    engine = LocalEngine(setup, results.folder, jobs=2, on_rows=told.append)
    assert run(results, engine) == Outcome(5, 1, 0)
    assert sum(told) == 5
    alone = begun(tmp_path / "q", tmp_path / "s.tar", tmp_path / "t.parquet")
    with Scanner(setup) as scanner:
        for unit in alone.left():
            unit_done(scanner, unit, alone.folder)
    assert rows_of(results) == rows_of(alone)
    assert run(results, engine) == Outcome()  # nothing is left


def killers(monkeypatch, tmp_path, what):
    """Have workers that die when they come to a picture of so many bytes, as `what` says."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import os, signal, sys\n"
        "from watermark import scanning, scan_workers, stillgate\n"
        f"deadly = {what}\n" + _KILLER
    )
    monkeypatch.setattr(scan_workers, "_COMMAND", [sys.executable, str(script)])


_KILLER = """
plain = stillgate.StillGate.decode
def decode(self, source, **options):
    if len(source) in deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, source, **options)
scanning.StillGate.decode = decode
scan_workers.main()
"""


@pytest.mark.slow
def test_a_sample_that_kills_becomes_a_row_and_the_others_are_looked_at(
    setup, tmp_path, monkeypatch
):
    pictures = [jpeg(seed, 60, 90) for seed in range(5)]
    shard(tmp_path / "s.tar", pictures)
    killers(monkeypatch, tmp_path, {len(pictures[1]), len(pictures[3])})
    results = begun(tmp_path / "r", tmp_path / "s.tar")
    outcome = run(results, LocalEngine(setup, results.folder, jobs=1))
    assert outcome == Outcome(5, 0, 2)
    rows = rows_of(results)
    assert [each["key"] for each in rows] == [f"a/{number:05d}" for number in range(5)]
    assert [each["reason"] for each in rows] == [None, "broken", None, "broken", None]
    assert not list((results.folder / "attempts").iterdir())


@pytest.mark.slow
def test_a_unit_that_no_worker_survives_is_one_row(setup, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_workers, "MOST_TRIES", 2)
    shard(tmp_path / "s.tar", [jpeg(0, 60, 90)])
    shard(tmp_path / "t.tar", [jpeg(1, 60, 90)])
    killers(monkeypatch, tmp_path, {len(jpeg(0, 60, 90))})
    results = begun(tmp_path / "r", tmp_path / "s.tar", tmp_path / "t.tar")
    assert run(results, LocalEngine(setup, results.folder, jobs=1)) == Outcome(2, 0, 1)
    assert names_of(results) == [("s.tar", ""), ("t.tar", "a/00000")]


def test_tries_are_counted_and_the_deadly_sample_is_named(tmp_path):
    unit = Unit("0000000-x", "tar", "x.tar")

    def attempt(*numbers):
        """Begin, note samples, and end as a worker that dies does."""
        attempts = Attempts(tmp_path, unit).__enter__()
        try:
            answers = [attempts.note(number) for number in numbers] if attempts.careful else []
        finally:
            attempts._file.close()
        return attempts.careful, answers

    assert attempt() == (False, [])
    assert attempt() == (False, [])
    assert attempt(0, 1, 2) == (True, [True, True, True])
    assert attempt(0, 1, 2) == (True, [True, True, False])  # reading it kills as well
    with pytest.raises(Deadly):
        attempt(0, 1, 2)
    with Attempts(tmp_path, unit):
        pass
    assert attempt() == (False, [])  # an end without a death begins anew


def test_where_reading_on_kills_what_was_read_stays(scanner, tmp_path):
    unit = next(iter(list_units([str(shard(tmp_path / "s.tar", [jpeg(0), jpeg(1)]))])))

    def note(number):
        if number == 1:
            raise Deadly
        return True

    rows = list(scanner.rows(unit, note=note))
    assert [each.cells["key"] for each in rows] == ["a/00000", ""]
    assert "reading on breaks down" in rows[1].cells["error"]


@pytest.mark.slow
def test_a_kill_at_any_moment_neither_repeats_nor_loses_a_row(studio, tmp_path):
    """The whole run is killed again and again, and gone on with until it ends by itself."""
    for number in range(4):
        pictures = [jpeg(10 * number + seed, 60, 90) for seed in range(3)]
        parquet(tmp_path / f"{number}.parquet", pictures, 300)
    names = [f"{number}.parquet" for number in range(4) for _ in range(3)]
    words = ["scan", tmp_path, "-o", tmp_path / "r", "--key", studio.key, "--search", "fast"]
    words += ["--registry", studio.registry, "--jobs", "1"]
    rng = np.random.default_rng(1)
    runs = 0
    while True:
        process = studio.start(*words)
        # A moment is one more change that can be seen in the folder.
        moments, before = int(rng.integers(1, 9)), None
        while process.poll() is None and moments:
            now = sorted(os.walk(tmp_path / "r"))  # which does not mind what is gone meanwhile
            moments -= now != before
            before = now
        process.kill()
        process.communicate()
        runs += 1
        if process.returncode == 0:
            break
    assert runs > 2
    results = Results(tmp_path / "r")
    assert names_of(results) == [
        (name, f"{number % 3}:{number % 3}.jpg") for number, name in enumerate(names)
    ]
    assert not list((tmp_path / "r").rglob(".sukashi-*"))


@pytest.mark.slow
def test_a_worker_ends_when_nobody_waits_for_it_any_more(setup, tmp_path):
    results = begun(tmp_path / "r", shard(tmp_path / "s.tar", [jpeg(0)]))
    member = scan_workers._Member(setup.to_bytes(), results.folder)
    assert member.heard() == {"ready": True}
    member.line.close()
    assert member._process.wait(20) == 0


def test_keys_are_neither_in_the_results_nor_in_the_words_of_a_worker(studio, setup, tmp_path):
    secret = setup.keys[0].secret
    results = begun(tmp_path / "r", studio.marked)
    member = scan_workers._Member(setup.to_bytes(), results.folder)
    try:
        assert member.heard() == {"ready": True}
        at = Path(f"/proc/{member._process.pid}")
        seen = (at / "cmdline").read_bytes() + (at / "environ").read_bytes()
        assert secret not in seen
        assert secret.hex().encode() not in seen
    finally:
        member.end()
    run(results, LocalEngine(setup, results.folder, jobs=1))
    report(results)
    for path in results.folder.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
            assert secret.hex().encode() not in path.read_bytes()
    assert secret.hex() not in repr(setup)


def test_a_registry_that_is_gone_ends_the_run_and_loses_nothing(setup, tmp_path):
    results = begun(tmp_path / "r", shard(tmp_path / "s.tar", [jpeg(0)]))
    gone = replace(setup, registry=str(tmp_path / "none.sqlite"))
    with pytest.raises(RegistryError):
        run(results, LocalEngine(gone, results.folder, jobs=1))
    assert rows_of(results) == []
    assert run(results, LocalEngine(setup, results.folder, jobs=1)) == Outcome(1, 0, 0)


def test_a_run_that_was_refused_leaves_no_folder(tmp_path):
    with Results(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    with Results(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()


def test_results_are_of_one_run(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0))
    with Results(tmp_path / "r") as results:
        assert not results.begin({"sources": ["a"], "keys": ["k"]}, [])
        assert results.begin({"sources": ["a"], "keys": ["k"]}, [])
        with pytest.raises(OutputError, match="another scan is at work here"):
            Results(tmp_path / "r").__enter__()
        with pytest.raises(OutputError, match="holds a scan with other keys"):
            results.begin({"sources": ["a"], "keys": ["j"]}, [])
    with Results(tmp_path) as results, pytest.raises(OutputError, match="something else"):
        results.begin({}, [])


def test_a_run_that_was_killed_while_it_was_listed_is_listed_anew(tmp_path):
    def broken():
        yield Unit("0000000-a", "tar", "a.tar")
        raise KeyboardInterrupt

    with Results(tmp_path / "r") as results:
        with pytest.raises(KeyboardInterrupt):
            results.begin({"sources": []}, broken())
        assert not results.begin({"sources": []}, [Unit("0000000-b", "tar", "b.tar")])
        assert [each.source for each in results.units()] == ["b.tar"]


def test_a_table_stands_as_a_whole_or_not_at_all(tmp_path):
    def broken_off():
        with TableWriter(tmp_path / "t", ROWS) as writer:
            writer.add({"source": "a", "key": "b"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken_off()
    assert not list(tmp_path.iterdir())
    with TableWriter(tmp_path / "t", EVIDENCE) as writer:
        for number in range(2000):
            writer.add({"source": "a", "key": str(number), "evidence": b"x" * 9000})
    assert [each["key"] for each in read_rows(tmp_path / "t", ["key"])] == [*map(str, range(2000))]


def test_text_that_is_no_text_has_a_row_all_the_same(scanner, tmp_path):
    (tmp_path / os.fsdecode(b"\xff\x1b.jpg")).write_bytes(jpeg(0))
    results = begun(tmp_path / "r", tmp_path)
    (unit,) = results.left()
    unit_done(scanner, unit, results.folder)
    assert [each["key"] for each in rows_of(results)] == ["\\xff\x1b.jpg"]


def row(verdict, *works, kind="still", reason=None):
    each = [
        {"work": work, "title": work and work.upper(), "training": None, "mark": mark}
        | {"log10_p": -20.0}
        for work, mark in works
    ]
    error = reason and f"a picture is {reason}"
    return {"kind": kind, "verdict": verdict, "works": each, "reason": reason, "error": error}


def test_a_summary_counts_works_shares_and_reasons():
    rows = [row("detected", ("a", "1"), ("a", "2"), ("b", "3")), row("indicated", ("a", "1"))]
    rows += [row("not-found")] * 7 + [row("not-found", kind="clip")]
    rows += [row(None, reason="unreadable")] * 3 + [row("detected", (None, "9"))]
    told = summarise(iter(rows))
    assert (told.rows, told.looked_at, told.found) == (14, 11, 3)
    assert [(each.work, each.mark, each.detected, each.indicated) for each in told.works] == [
        *(("a", None, 1, 1), ("b", None, 1, 0), (None, "9", 1, 0))
    ]
    assert told.reasons == {"unreadable": 3}
    assert told.told == {"unreadable": "a picture is unreadable"}
    assert told.expected()["detected"] == pytest.approx(11e-9)
    assert json.loads(json.dumps(told.as_json()))["works"][0]["share"]["count"] == 2


def test_intervals_are_those_of_clopper_and_pearson():
    # $ R -e 'binom.test(7, 20)$conf.int; binom.test(0, 50)$conf.int'
    assert interval(7, 20) == pytest.approx((0.1539092, 0.5921885), abs=1e-7)
    assert interval(0, 50) == pytest.approx((0, 0.07112174), abs=1e-7)
    assert interval(50, 50) == pytest.approx((1 - 0.07112174, 1), abs=1e-7)


def test_the_sheet_shows_what_was_found_and_runs_nothing(studio, scanner, tmp_path):
    source = tmp_path / "<script>alert(1)<script>"
    source.mkdir()
    (source / '"><img src=x onerror=alert(1)>.jpg').write_bytes(
        (studio.marked / "第1話/b.jpg").read_bytes()
    )
    results = begun(tmp_path / "r", source)
    (unit,) = results.left()
    unit_done(scanner, unit, results.folder)
    summary = report(results)
    page = (results.folder / "examples.html").read_text()
    assert "夜汽車 Night Train" in page
    assert "<polygon points=" in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert "<script" not in page
    assert "<img" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((results.folder / "summary.json").read_text())["rows"] == 1
    write_sheet(tmp_path / "empty.html", replace(summary, works=[]), [])
    assert "does not prove" in (tmp_path / "empty.html").read_text()


def test_a_given_up_unit_counts_as_one_failure(tmp_path):
    results = begun(tmp_path / "r", shard(tmp_path / "s.tar", [jpeg(0)]))
    (unit,) = results.left()
    assert unit_given_up(unit, results.folder) == Outcome(1, 0, 1)
    assert list(results.left()) == []


def test_clips_lie_between_pictures_and_have_rows_and_thumbnails_too(tmp_path):
    encode(tmp_path / "b.mp4", shot(2, 8, FIRST))
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    tar(tmp_path / "s.tar", [("1.mp4", (tmp_path / "b.mp4").read_bytes()), ("2.jpg", jpeg(2))])
    results = begun(tmp_path / "r", tmp_path)
    with Scanner(Setup((KEY,), None, search="fast", keep_evidence=True)) as scanner:
        for unit in results.left():
            unit_done(scanner, unit, results.folder)
            assert results.evidence(unit).exists()
    told = [(each["key"], each["kind"], each["verdict"], each["mark"]) for each in rows_of(results)]
    number = f"{FIRST:012x}"
    assert told == [
        ("a.jpg", "still", "not-found", None),
        ("b.mp4", "clip", "detected", number),
        ("1", "clip", "detected", number),
        ("2", "still", "not-found", None),
    ]
    shapes = [
        cv2.imdecode(np.frombuffer(each["thumbnail"], np.uint8), cv2.IMREAD_UNCHANGED).shape
        for each in results.all_thumbnails()
    ]
    assert shapes == [(144, 256)] * 2
    same = {each["sha256"] for each in rows_of(results) if each["kind"] == "clip"}
    assert len(same) == 1
