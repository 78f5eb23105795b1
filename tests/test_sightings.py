"""Sightings: what was seen is found again, by work, file, verdict and time, page by page."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from watermark import sightings as module
from watermark.ids import earliest_id, parse_time, timed_id
from watermark.registry import open_registry
from watermark.sighting import named_in
from watermark.sightings import Sightings

START = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = {"verdict": "not-detected", "log10_p": -0.3, "works": []}
TIMES = st.integers(0, 10**15).map(lambda passed: START + timedelta(microseconds=passed))


def row(*works, verdict="detected"):
    return {
        "verdict": verdict,
        "log10_p": -12.5,
        "title": "夜汽車\0\ud800",
        "works": [{"work": work, "mark": f"{number:012x}"} for number, work in enumerate(works, 7)],
    }


def digest(number):
    return f"{number:064x}"


@pytest.fixture
def registry(where):
    with open_registry(where) as registry:
        yield registry


@pytest.fixture
def sightings(registry):
    return Sightings(registry)


def add(sightings, number=0, record=NOTHING, **more):
    given = {"kind": "still", "size": (640, 360), "by": "anonymous"} | more
    return sightings.add(sha256=digest(number), record=record, **given)


def test_what_goes_in_comes_out(sightings):
    made = add(sightings, 5, row("w-1", "w-2"), kind="film", by="k7", evidence=b"\0\xff" * 9)
    assert sightings.get(made.id) == made
    assert (made.marks, made.works, made.log10_p) == ((7, 8), ("w-1", "w-2"), -12.5)
    assert (made.kind, made.size, made.by, made.looks) == ("film", (640, 360), "k7", 1)
    assert sightings.evidence(made.id) == b"\0\xff" * 9
    bare = add(sightings)
    assert (bare.evidence, sightings.evidence(bare.id)) == (False, None)
    assert sightings.get("s-unknown") is sightings.evidence("s-unknown") is None


def test_a_hash_and_a_kind_are_what_they_say(sightings):
    for sha256, kind in (("A" * 64, "still"), ("a", "film"), ("a" * 64, "x")):
        with pytest.raises(ValueError, match="64 hex digits"):
            sightings.add(sha256=sha256, kind=kind, size=(1, 1), record=NOTHING, by="anonymous")


def test_marks_and_works_are_those_that_may_be_named_also_in_parts_of_a_film():
    record = row("w-1", "w-1", "w-2")
    record["works"].append({"work": None, "mark": None})
    record["timeline"] = [
        {"work": None, "mark": None},
        {"work": "w-3", "mark": "0000000000ff"},
        {"work": "w-1", "mark": "000000000007"},
        {"work": None, "mark": "ffffffffffff"},
    ]
    assert named_in(record) == ((7, 8, 9, 255, 2**48 - 1), ("w-1", "w-2", "w-3"))


def test_lists_are_newest_first_and_pages_lose_and_repeat_nothing(sightings):
    rng = random.Random(6)
    kept = []
    for number in range(60):
        works = rng.sample(["w-1", "w-2", "w-3"], rng.randrange(3))
        record = row(*works, verdict=rng.choice(["detected", "not-detected"]))
        at = START + timedelta(seconds=rng.randrange(40))
        kept.append(add(sightings, number % 5, record, at=at))
    kept.sort(key=lambda each: each.id, reverse=True)
    assert [each.at for each in kept] == sorted((each.at for each in kept), reverse=True)
    since = START + timedelta(seconds=20)
    filters = {
        "work": ("w-2", lambda each: "w-2" in each.works),
        "sha256": (digest(3), lambda each: each.sha256 == digest(3)),
        "verdict": ("detected", lambda each: each.verdict == "detected"),
        "since": (since, lambda each: each.at >= "2026-01-01T00:00:20Z"),
    }
    for count in range(len(filters) + 1):
        chosen = rng.sample(sorted(filters), count)
        wanted = [each for each in kept if all(filters[name][1](each) for name in chosen)]
        asked = {name: filters[name][0] for name in chosen}
        pages, after = [], None
        while page := sightings.list(**asked, after=after, limit=7):
            pages += page
            after = page[-1].id
        assert pages == wanted, chosen


def test_a_time_may_be_a_text_with_any_zone(sightings):
    made = add(sightings, at=START)
    for text in ("2026-01-01T00:00:00Z", "2026-01-01T09:00:00+09:00", "2026-01-01"):
        assert sightings.list(since=text) == [made]
    assert sightings.list(since="2026-01-01T00:00:00.001Z") == []
    with pytest.raises(ValueError, match="yesterday"):
        sightings.list(since="yesterday")


@given(times=st.lists(TIMES, min_size=2, max_size=5))
def test_ids_sort_by_time(times):
    ids = [timed_id("s-", at) for at in times]
    for at, one in zip(times, ids, strict=True):
        assert len(one) == 26
        assert earliest_id("s-", at) < one
        for other_at, other in zip(times, ids, strict=True):
            if other_at - at >= timedelta(milliseconds=1):
                assert one < earliest_id("s-", other_at) < other


def test_a_time_without_a_zone_is_in_utc():
    assert parse_time("2026-01-01T00:00:00") == START


def test_a_recheck_replaces_what_is_told_and_keeps_what_was(sightings):
    first = add(sightings, 1, NOTHING, evidence=b"x", at=START)
    second = sightings.looked_again(first.id, row("w-1"), look=2)
    assert sightings.get(first.id) == second
    assert (second.verdict, second.works, second.looks) == ("detected", ("w-1",), 2)
    assert (second.at, second.sha256, second.evidence) == (first.at, first.sha256, True)
    third = sightings.looked_again(first.id, row("w-2"), look=3)
    assert sightings.list(work="w-1") == []
    assert sightings.list(work="w-2") == sightings.list() == [third]
    assert sightings.history(first.id) == (NOTHING, row("w-1"))


def test_a_look_is_paid_for_by_one_recheck_only(shared):
    with open_registry(shared) as registry, ThreadPoolExecutor(4) as pool:
        sightings = Sightings(registry)
        made = add(sightings, evidence=b"x")
        outcomes = list(
            pool.map(
                lambda number: sightings.looked_again(made.id, row(f"w-{number}"), look=2), range(8)
            )
        )
        (kept,) = filter(None, outcomes)
        assert sightings.get(made.id) == kept
        assert len(sightings.history(made.id)) == 1
        assert sightings.looked_again("s-unknown", NOTHING, look=2) is None


def test_all_evidence_is_read_page_by_page(sightings, monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 3)
    made = [add(sightings, n, evidence=bytes([n]) if n % 2 else None) for n in range(14)]
    kept = sorted((each for each in made if each.evidence), key=lambda e: e.id, reverse=True)
    read = list(sightings.with_evidence())
    assert [each for each, _ in read] == kept
    assert [blob[0] for _, blob in read] == [int(each.sha256, 16) for each in kept]
    assert list(sightings.with_evidence(after=kept[2].id)) == read[3:]


def test_the_sighting_that_says_most_of_a_file_is_told(sightings, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 2)
    times = [START + timedelta(hours=hour) for hour in range(3)]
    found, _, unseen = (
        add(sightings, 1, record, at=at)
        for record, at in zip((row("w-1"), NOTHING, NOTHING), times, strict=True)
    )
    newest = [add(sightings, 2, row(work), at=at) for work, at in zip("abc", times, strict=True)][2]
    plain = [add(sightings, 3, NOTHING, at=at) for at in times][2]
    told = sightings.latest(iter([digest(n) for n in (1, 2, 3, 4, 1)]))
    assert told == {digest(1): found, digest(2): newest, digest(3): plain}
    assert unseen.id > found.id
    assert sightings.latest([]) == {}


def test_many_are_written_at_once_also_while_somebody_imports(shared):
    with open_registry(shared, busy_timeout=5) as registry, ThreadPoolExecutor(4) as pool:
        sightings = Sightings(registry)
        if "postgresql" in shared:
            with registry.database.writing():
                assert add(sightings, 99)
        list(pool.map(lambda number: add(sightings, number, row("w-1")), range(40)))
        assert len(sightings.list(work="w-1")) == 40


def test_a_large_registry_is_asked_through_its_indices(monkeypatch):
    with open_registry("sqlite://") as registry:
        sightings = Sightings(registry)
        asked = []
        sa.event.listen(
            registry.database._engine,
            "before_cursor_execute",
            lambda connection, cursor, statement, values, *rest: asked.append((statement, values)),
        )
        sightings.list(since=START, after="s-1")
        sightings.list(work="w-1")
        sightings.list(sha256=digest(1))
        sightings.list(verdict="detected")
        sightings.latest([digest(1), digest(2)])
        questions = [pair for pair in asked if pair[0].startswith("SELECT")]
        assert len(questions) == 5
        with registry.database.reading() as connection:
            for statement, values in questions:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                assert not any(step[-1].startswith("SCAN") for step in plan), plan
                assert not any("B-TREE FOR ORDER" in step[-1] for step in plan), plan
