"""The benchmark's run: every system meets the same changes, nothing is lost, nothing done twice."""

import json
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench import run as running
from bench.corpus import find
from bench.identities import Identities, Outcome
from bench.peers import PeerError
from bench.plan import FAMILIES, QUICK, steps
from bench.run import lost, markings, twice
from bench.shards import finished
from bench.trials import Bench, Marking

SAMPLES = "samples"
MILD = tuple(
    step
    for step in steps(("ours", "geometry"))
    if step.attack.name in {"none", "noise 10", "crop 50", "pip 50"}
)


@dataclass
class Fake:
    """A system that marks nothing, remembers what it was shown, and finds everybody."""

    name: str = "fake"
    bits: int = 64
    note: str = ""
    broken: bool = False
    seen: list = field(default_factory=list)

    def identities(self, count, seed):
        return Identities.draw(count, self.bits, seed)

    def embed(self, pixels, identity, strength=1.0):
        if self.broken:
            raise PeerError("no such luck")
        return pixels.copy()

    def decide(self, pixels, shape, identities, index, strength=1.0):
        self.seen.append(pixels)
        return Outcome(found=True, right=True, log10_p=-20.0)

    def close(self):
        pass


def bench(*systems, done=frozenset(), draws=1):
    corpus = find([SAMPLES], min_short=64)
    chosen = tuple(Marking(system, system.identities(100, 1), "default", 1.0) for system in systems)
    return Bench(chosen, MILD, corpus, draws, 1, done)


def rows_of(given, picture):
    """Yield the rows of a picture, of one marking after the other."""
    for marking in given.markings:
        yield from given.rows(picture, marking)


@pytest.fixture(autouse=True)
def _without_jod(monkeypatch):
    """Leave out what takes seconds a picture; it has tests of its own."""
    monkeypatch.setattr("bench.trials.why_not", lambda: "left out")


@pytest.fixture(scope="module")
def picture():
    return find([SAMPLES], min_short=64)[0]


def test_each_attack_of_a_family_has_a_name_of_its_own():
    every = [(step.family, step.attack.name) for step in steps()]
    assert len(set(every)) == len(every)
    assert {step.family for step in steps()} | {"networks"} == set(FAMILIES)
    assert set(QUICK) <= set(every)


def test_all_systems_meet_the_same_changes(picture):
    one, other = Fake("one"), Fake("other")
    list(rows_of(bench(one, other), picture))
    assert len(one.seen) == len(MILD) + 1
    assert all(np.array_equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))


def test_draws_differ_and_are_repeated(picture):
    first, again = Fake(), Fake()
    rows = list(rows_of(bench(first, draws=2), picture))
    list(rows_of(bench(again, draws=2), picture))
    assert all(np.array_equal(a, b) for a, b in zip(first.seen, again.seen, strict=True))
    places = [at for at, row in enumerate(rows) if row["attack"] == "noise 10"]
    offset = len(rows) - len(first.seen)  # fidelity is measured without asking
    one, two = (first.seen[at - offset] for at in places)
    assert not np.array_equal(one, two)


def test_what_is_done_is_not_done_again(picture):
    rows = list(rows_of(bench(Fake()), picture))
    system = Fake()
    again = bench(system, done=finished(rows[:-2]))
    assert again.count(picture) == {"fake": 2}
    assert [row["attack"] for row in rows_of(again, picture)] == [
        row["attack"] for row in rows[-2:]
    ]
    assert len(system.seen) == 2


def test_a_system_that_fails_has_a_row_for_every_trial(picture):
    rows = list(rows_of(bench(Fake(broken=True)), picture))
    assert len(rows) == len(MILD) + 2
    assert all("no such luck" in row["error"] and not row["found"] for row in rows)
    assert all(row["seconds"] >= 0 for row in rows)  # the length of the run is foretold from them


def test_an_answer_about_an_unmarked_picture_is_a_false_alarm(picture):
    (row,) = (each for each in rows_of(bench(Fake()), picture) if each["family"] == "null")
    assert row["found"]


def test_only_calibrated_systems_are_compared_at_equal_visibility():
    found = markings({"a": Fake("a"), "b": Fake("b")}, {"a": 0.5}, seed=1)
    told = [(each.system.name, each.visibility, each.amount) for each in found]
    assert told == [("a", "default", 1.0), ("a", "equal", 0.5), ("b", "default", 1.0)]


def test_peers_may_be_compared_in_one_way_only():
    (found,) = markings({"a": Fake("a")}, {"a": 0.5}, seed=1, visibilities=("equal",))
    assert (found.visibility, found.amount) == ("equal", 0.5)


def test_this_project_stands_in_both_comparisons():
    mine = {"system": "sukashi", "visibility": "default"}
    assert [each["visibility"] for each in twice(mine)] == ["default", "equal"]
    assert list(twice({"system": "fake", "visibility": "default"})) == [
        {"system": "fake", "visibility": "default"}
    ]


def test_a_quick_run_writes_its_rows_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run.jsonl"
    monkeypatch.setattr(running, "REGISTERED", 1000)
    command = ["bench", SAMPLES, "--quick", "--systems", "sukashi", "--families", "ours"]
    command += ["--jobs", "1", "--min-short", "64", "--resume", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    running.main()
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    trials = [row for row in rows if "skipped" not in row]
    assert {row["what"] for row in rows} == {"quick"}
    assert {row["visibility"] for row in trials} == {"default", "equal"}
    assert all(row["found"] for row in trials if row["attack"] == "none")
    assert not any(row["found"] for row in trials if row["family"] == "null")
    capsys.readouterr()
    running.main()
    assert " 0 rows" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == len(rows)


def test_a_run_that_ended_between_two_rows_of_a_trial_gets_the_second():
    trial = {"system": "sukashi", "visibility": "default", "attack": "grey", "sha256": "a"}
    other = trial | {"system": "peer"}
    rows = [*twice(trial), *twice(other), *twice(trial | {"sha256": "b"})]
    assert len(rows) == 5
    assert lost(rows) == []
    assert lost(rows[:-1]) == rows[-1:]
    assert lost([{"system": "absent", "skipped": "no weights"}]) == []
