"""``sukashi recheck``: the rows of a scan once more, from what it kept, under what came later."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from studio import Studio, picture

from cli import running
from watermark.key import Key
from watermark.registry import open_registry
from watermark.rescan import Rechecker, units_of
from watermark.scan import unit_done
from watermark.scan_setup import Setup
from watermark.scanning import Scanner
from watermark.stills import Still, write
from watermark.tables import EVIDENCE, TableWriter, read_rows

SAME = ("source", "key", "sha256", "kind", "width", "height", "frames", "verdict", "work", "title")


def rows_of(folder):
    return [row for table in sorted((folder / "rows").iterdir()) for row in read_rows(table)]


def tabled(folder):
    return {row["key"]: row for row in rows_of(folder)}


class Here:
    """An engine that does all units in this process: starting others takes a while each time."""

    def __init__(self, setup, place):
        self.setup, self.folder = setup, place.folder

    def done(self, units):
        with (Scanner if self.setup.asked is None else Rechecker)(self.setup) as made:
            for unit in units:
                yield unit, unit_done(made, unit, self.folder)


@pytest.fixture(scope="module", autouse=True)
def _here():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "_engine_of", lambda name, setup, place, *_: Here(setup, place))
        yield


@pytest.fixture(scope="module")
def studio(_here, tmp_path_factory):
    """Give a studio and a scan of its frames, marked and not, some of them hopeless."""
    made = Studio(tmp_path_factory.mktemp("studio"))
    pile = made.folder / "pile"
    shutil.copytree(made.marked, pile / "marked")
    shutil.copytree(made.frames, pile / "frames")
    (pile / "broken.png").write_bytes(b"no picture")
    write(Still(np.full((40, 60, 3), 128, np.uint8)), pile / "flat.png")
    made.run(*scan(made, pile, made.folder / "scan"))
    return made


def scan(studio, *words):
    *sources, results = words
    options = ("--key", studio.key, "--registry", studio.registry, "--search", "fast")
    return ("scan", *sources, "-o", results, *options, "--keep-evidence")


def recheck(studio, kept, results, *, key=None):
    options = ("--key", key or studio.key, "--registry", studio.registry, "--search", "fast")
    return ("recheck", kept, "-o", results, *options)


@pytest.fixture
def kept(studio, tmp_path):
    """Give a copy of the scan that nobody has asked yet, without its pictures."""
    return shutil.copytree(studio.folder / "scan", tmp_path / "scan")


def test_the_same_rows_come_from_what_was_kept(studio, kept, tmp_path):
    (told,) = studio.ask(*recheck(studio, kept, tmp_path / "out"), "--json")
    assert told["look"] == 2
    assert told["verdicts"] == {"detected": 3, "not-found": 3, "inconclusive": 1}
    assert told["reasons"] == {"unreadable": 1}
    before, now = rows_of(kept), rows_of(tmp_path / "out")
    assert [[row[name] for name in SAME] for row in before] == [
        [row[name] for name in SAME] for row in now
    ]
    for first, second in zip(before, now, strict=True):
        assert second["error"] == first["error"]
        if first["verdict"] == "detected":
            assert second["z"] == pytest.approx(first["z"], rel=0.05)
            assert np.allclose(second["outline"], first["outline"], atol=0.2)
            assert second["works"][0]["key"] == Key.read(studio.key).fingerprint
    assert (tmp_path / "out" / "summary.json").exists()
    assert not (tmp_path / "out" / "evidence").exists()


def test_each_further_look_at_the_same_evidence_is_charged_more(studio, kept, tmp_path):
    looks = [
        studio.ask(*recheck(studio, kept, tmp_path / name), "--json")[0]["look"] for name in "abc"
    ]
    assert looks == [2, 3, 4]
    first, second, third = (tabled(tmp_path / name) for name in "abc")
    found = [key for key, row in first.items() if row["verdict"] == "detected"]
    assert len(found) == 3
    for key in found:
        assert first[key]["z"] == second[key]["z"] == third[key]["z"]
        base = first[key]["log10_p"]
        assert second[key]["log10_p"] - base == pytest.approx(math.log10(12 / 6), abs=2e-3)
        assert third[key]["log10_p"] - base == pytest.approx(math.log10(20 / 6), abs=2e-3)


def test_going_on_with_a_run_is_no_other_look(studio, kept, tmp_path):
    words = recheck(studio, kept, tmp_path / "out")
    (told,) = studio.ask(*words, "--json")
    rows = rows_of(tmp_path / "out")
    for table in (tmp_path / "out" / "rows").iterdir():
        table.unlink()  # as if it had been killed before
    result = studio.run(*words, "--json")
    assert json.loads(result.stdout) == told
    assert rows_of(tmp_path / "out") == rows
    assert studio.ask(*recheck(studio, kept, tmp_path / "new"), "--json")[0]["look"] == 3


def test_a_run_that_is_refused_takes_no_look(studio, kept, tmp_path):
    studio.run(*recheck(studio, kept, tmp_path / "out"))
    count = (kept / "evidence" / "looks.json").read_text()
    studio.run("key", "new", tmp_path / "other.key")
    words = recheck(studio, kept, tmp_path / "out", key=tmp_path / "other.key")
    assert "with other keys" in studio.run(*words, code=1).output
    assert "Error" in studio.run(*recheck(studio, kept, kept), code=1).output
    assert (kept / "evidence" / "looks.json").read_text() == count


def test_what_was_asked_is_noted_without_secrets(studio, kept, tmp_path):
    studio.run(*recheck(studio, kept, tmp_path / "out"))
    key = Key.read(studio.key)
    (look,) = json.loads((kept / "evidence" / "looks.json").read_text())["looks"]
    assert look["keys"] == [key.fingerprint]
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        data = file.read_bytes()
        assert key.secret not in data, file
        assert key.secret.hex().encode() not in data, file


def test_a_key_and_a_work_that_came_later_are_found(studio, tmp_path):
    studio.run("key", "new", tmp_path / "later.key")
    shutil.copy(studio.registry, tmp_path / "registry.sqlite")
    with open_registry(tmp_path / "registry.sqlite") as registry:
        work, _ = registry.add_work("Later")
    pile = tmp_path / "pile"
    words = ("--work", work.id, "--key", tmp_path / "later.key", "-o", pile)
    studio.run("embed", studio.frames, *words, "--registry", tmp_path / "registry.sqlite")
    studio.run(*scan(studio, pile, tmp_path / "scan"))
    assert {row["verdict"] for row in rows_of(tmp_path / "scan")} == {"not-found"}
    shutil.rmtree(pile)
    with Rechecker(
        Setup(
            (Key.read(studio.key), Key.read(tmp_path / "later.key")),
            str(tmp_path / "registry.sqlite"),
            search="fast",
            asked=0,
        )
    ) as made:
        rows = [row for unit in units_of(tmp_path / "scan") for row in made.rows(unit)]
    assert {row.cells["title"] for row in rows} == {"Later"}
    assert {row.cells["verdict"] for row in rows} == {"detected"}
    assert [row.cells["key"] for row in rows] == ["a 1.png", "第1話/b.jpg", "第1話/c.webp"]


def rechecked(kept, **options):
    """Decide in this process, blind, under a key of nobody."""
    with Rechecker(Setup((Key(bytes(32)),), None, search="fast", asked=0)) as made:
        return [row for unit in units_of(kept) for row in made.rows(unit, **options)]


def change(kept, function):
    """Write the evidence of the only unit anew, each row changed."""
    (path,) = (kept / "evidence").glob("*.parquet")
    rows = [function(row) for row in read_rows(path)]
    with TableWriter(path, EVIDENCE) as table:
        for row in rows:
            if row is not None:
                table.add(row)


def test_evidence_that_is_damaged_or_was_not_kept_is_a_row_with_an_error(kept):
    def spoilt(row):
        if row["key"].endswith("b.jpg"):
            return row | {"evidence": row["evidence"][:-5]}
        return None if row["key"].endswith("c.webp") else row

    change(kept, spoilt)
    rows = {row.cells["key"]: row.cells for row in rechecked(kept)}
    assert len(rows) == 8
    for name in ("frames", "marked"):
        assert rows[f"{name}/第1話/b.jpg"]["reason"] == "damaged"
        assert rows[f"{name}/第1話/c.webp"]["reason"] == "not-kept"
        assert rows[f"{name}/a 1.png"]["verdict"] == "not-found"
        assert rows[f"{name}/第1話/c.webp"]["error"].endswith("scan it again")


def test_of_a_table_that_is_damaged_every_sample_has_its_row_with_an_error(kept):
    before = {row.cells["key"]: row.cells for row in rechecked(kept)}
    (path,) = (kept / "evidence").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    rows = {row.cells["key"]: row.cells for row in rechecked(kept)}
    assert rows.keys() == before.keys()
    failed = [key for key, cells in before.items() if cells.get("error") is None]
    assert failed
    assert {rows[key]["reason"] for key in failed} == {"damaged"}


def test_a_table_of_rows_that_is_damaged_is_one_row_with_an_error(kept):
    (path,) = (kept / "rows").glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    (row,) = rechecked(kept)
    assert row.cells["reason"] == "damaged"
    assert "no whole table" in row.cells["error"]


def test_what_could_not_have_shown_a_mark_still_cannot(kept):
    rows = {row.cells["key"]: row.cells for row in rechecked(kept)}
    assert rows["flat.png"]["verdict"] == "inconclusive"
    assert rows["frames/a 1.png"]["verdict"] == "not-found"


def test_a_sample_at_which_workers_die_is_left_out(kept):
    asked = []

    def note(number):
        asked.append(number)
        return number != 2

    rows = rechecked(kept, note=note)
    assert asked == list(range(8))
    assert [n for n, row in enumerate(rows) if row.cells.get("reason") == "broken"] == [2]


def test_a_crop_is_found_in_what_a_fast_scan_kept(studio, tmp_path):
    """What was kept may be searched farther than the scan did."""
    marked = cv2.imread(str(studio.marked / "a 1.png"))
    write(Still(np.ascontiguousarray(marked[20:230, 60:420, ::-1])), tmp_path / "pile" / "cut.png")
    studio.run(*scan(studio, tmp_path / "pile", tmp_path / "scan"))
    assert rows_of(tmp_path / "scan")[0]["verdict"] == "not-found"
    setup = Setup((Key.read(studio.key),), str(studio.registry), search="full", asked=0)
    with Rechecker(setup) as made:
        (row,) = (row for unit in units_of(tmp_path / "scan") for row in made.rows(unit))
    assert row.cells["verdict"] == "detected"
    assert row.cells["work"] == studio.works[0].id


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere", "--blind"), "no results of a scan"),
        (("nowhere", "--blind", "--registry", "r.sqlite"), "--blind asks no registry"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(studio, tmp_path, words, says):
    code = 2 if "--registry" in words else 1
    result = studio.run(
        *("recheck", tmp_path / words[0], *words[1:], "-o", tmp_path / "out", "--key", studio.key),
        code=code,
    )
    assert says in result.output


def test_a_scan_without_evidence_says_so(studio, tmp_path):
    picture_file = tmp_path / "pile" / "a.png"
    write(Still(picture(9)), picture_file)
    words = scan(studio, tmp_path / "pile", tmp_path / "scan")
    studio.run(*(word for word in words if word != "--keep-evidence"))
    result = studio.run(*recheck(studio, tmp_path / "scan", tmp_path / "out"), code=1)
    assert "--keep-evidence" in result.output
