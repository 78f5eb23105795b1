"""What a scan kept is found again beside its rows, and every run that asks it is counted."""

import json
import multiprocessing
from pathlib import Path

import pytest

from watermark.errors import EvidenceError, OutputError, UnreadableMedia
from watermark.kept import kept_samples, kept_units, take_look
from watermark.sample import Unit
from watermark.scan import Outcome, unit_done, unit_given_up
from watermark.tables import EVIDENCE, ROWS, TableWriter

ROW = {"source": "crawl", "sha256": "ab" * 32, "kind": "still", "width": 640, "height": 480}


def store(folder, unit="0000000-crawl", keys=("a", "b"), kept=("a", "b")):
    """Write the tables of a unit; `kept` are the samples with evidence."""
    with TableWriter(folder / "rows" / f"{unit}.parquet", ROWS) as table:
        for key in keys:
            table.add(ROW | {"key": key, "verdict": "not-found", "works": []})
    if kept:
        with TableWriter(folder / "evidence" / f"{unit}.parquet", EVIDENCE) as table:
            for key in kept:
                table.add(ROW | {"key": key, "looks": 1, "evidence": b"of " + key.encode()})
    return folder


def found(folder, unit="0000000-crawl"):
    return [(each.cells["key"], each.evidence) for each in kept_samples(folder, unit)]


def test_each_row_has_its_evidence_or_none(tmp_path):
    store(tmp_path, keys="abcd", kept="bd")
    assert found(tmp_path) == [("a", None), ("b", b"of b"), ("c", None), ("d", b"of d")]
    assert all(each.looks == 1 for each in kept_samples(tmp_path, "0000000-crawl"))


def test_a_unit_of_which_nothing_could_be_kept_is_read_all_the_same(tmp_path):
    store(tmp_path, kept=())
    store(tmp_path, unit="0000001-crawl")
    assert found(tmp_path) == [("a", None), ("b", None)]
    (tmp_path / "rows" / ".sukashi-0123456789abcdef.parquet").touch()  # what a kill leaves
    assert kept_units(tmp_path) == ["0000000-crawl", "0000001-crawl"]


def test_samples_of_one_name_are_taken_in_their_order(tmp_path):
    store(tmp_path, keys="aab", kept="ab")
    assert found(tmp_path) == [("a", b"of a"), ("a", None), ("b", b"of b")]


def test_what_a_try_left_that_died_is_not_taken_for_evidence(tmp_path):
    store(tmp_path)
    (tmp_path / "rows" / "0000000-crawl.parquet").unlink()
    unit = Unit("0000000-crawl", "files", "crawl")
    assert unit_given_up(unit, tmp_path) == Outcome(1, 0, 1)
    assert found(tmp_path) == [("", None)]
    assert unit_done(None, unit, tmp_path) == Outcome(1, 0, 1), "rows that stand are left"


def test_evidence_of_other_samples_than_those_of_the_rows_is_refused(tmp_path):
    store(tmp_path, keys="ab", kept="ac")
    with pytest.raises(EvidenceError, match="do not have"):
        found(tmp_path)


def test_a_folder_without_evidence_says_what_to_do(tmp_path):
    with pytest.raises(EvidenceError, match="no results of a scan"):
        kept_units(tmp_path)
    with pytest.raises(EvidenceError, match="--keep-evidence"):
        kept_units(store(tmp_path, kept=()))


@pytest.mark.parametrize("where", ["evidence", "rows"])
def test_a_table_that_is_cut_short_is_told(tmp_path, where):
    table = store(tmp_path) / where / "0000000-crawl.parquet"
    table.write_bytes(table.read_bytes()[:-9])
    if where == "rows":
        with pytest.raises(UnreadableMedia, match="no whole table"):
            found(tmp_path)
        return
    samples = list(kept_samples(tmp_path, "0000000-crawl"))
    assert [(each.cells["key"], each.evidence) for each in samples] == [("a", None), ("b", None)]
    assert all(each.damaged for each in samples)


def test_every_run_that_asks_is_counted_once(tmp_path):
    store(tmp_path / "scan")
    looks = [take_look(tmp_path / "scan", tmp_path / name, {}) for name in "abc"]
    assert looks == [0, 1, 2]
    again = [take_look(tmp_path / "scan", tmp_path / name, {}) for name in "bacd"]
    assert again == [1, 0, 2, 3], "a run that goes on has its look already"


def test_a_run_that_begins_anew_takes_another_look(tmp_path):
    store(tmp_path / "scan")
    assert take_look(tmp_path / "scan", tmp_path / "a", {}) == 0
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    assert take_look(tmp_path / "scan", tmp_path / "a", {}) == 1


def test_a_ticket_of_another_store_is_worth_nothing(tmp_path):
    store(tmp_path / "scan")
    store(tmp_path / "other")
    for name in "ab":
        take_look(tmp_path / "other", tmp_path / name, {})
    take_look(tmp_path / "scan", tmp_path / "c", {})
    assert take_look(tmp_path / "scan", tmp_path / "b", {}) == 1


def test_what_is_asked_is_noted_for_people(tmp_path):
    store(tmp_path)
    take_look(tmp_path, tmp_path / "out", {"keys": ["6ed7-2c55-4dd9-7e53-8c94"]})
    told = json.loads((tmp_path / "evidence" / "looks.json").read_text())
    assert told["version"] == 1
    (look,) = told["looks"]
    assert look["keys"] == ["6ed7-2c55-4dd9-7e53-8c94"]
    assert look.keys() == {"id", "at", "keys"}


@pytest.mark.parametrize("text", ["", "[]", '{"version": 2, "looks": []}', '{"version": 1}'])
def test_a_damaged_count_is_no_count(tmp_path, text):
    store(tmp_path)
    take_look(tmp_path, tmp_path / "out", {})
    (tmp_path / "evidence" / "looks.json").write_text(text)
    with pytest.raises(EvidenceError, match="nobody knows how often"):
        take_look(tmp_path, tmp_path / "later", {})


def test_a_look_that_cannot_be_counted_is_not_taken(tmp_path):
    store(tmp_path)
    lock = tmp_path / "evidence" / "looks.lock"
    lock.mkdir()  # as good as a folder that may not be written to, which root may
    with pytest.raises(OutputError, match="not counted"):
        take_look(tmp_path, tmp_path / "out", {})


def _ask(results, asker):
    return take_look(Path(results), Path(asker), {})


def test_those_who_ask_at_the_same_time_are_all_counted(tmp_path):
    store(tmp_path / "scan")
    context = multiprocessing.get_context("spawn")
    askers = [(str(tmp_path / "scan"), str(tmp_path / f"out{number}")) for number in range(12)]
    with context.Pool(3) as pool:
        looks = pool.starmap(_ask, askers, chunksize=1)
    assert sorted(looks) == list(range(12))
