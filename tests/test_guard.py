"""The guard: what fell by more than chance is told, and what did not is left alone."""

import sys

import numpy as np
import pytest
from scipy.stats import fisher_exact

from bench.guard import ALL, changes, main, p_of_fall
from bench.page.summary import summarise, write_summary
from bench.report import write_lines
from bench.score import Score


def rows(found, *, system="sukashi", corpus="c0", trials=60, family="ours"):
    """Return rows of attacks, the first `found[attack]` pictures of each found."""
    return [
        {"system": system, "visibility": "default", "kind": "image", "family": family}
        | {"attack": attack, "strength": None, "sha256": f"{place:064x}", "draw": 0}
        | {"found": place < count, "z": 9.0, "log10_p": -0.5, "error": None, "corpus": corpus}
        for attack, count in found.items()
        for place in range(trials)
    ]


def brought(lines):
    return summarise(lines, date="2026-11-23")


def test_p_is_that_of_fisher():
    """Against scipy.stats.fisher_exact, and 12/12 against 6/12 by hand: C(12, 6) / C(24, 6)."""
    for old, new in (((60, 60), (50, 60)), ((10, 126), (8, 126)), ((3, 13), (11, 20))):
        table = np.array([[new[0], new[1] - new[0]], [old[0], old[1] - old[0]]])
        wanted = fisher_exact(table, alternative="less").pvalue
        assert p_of_fall(Score(*old), Score(*new)) == pytest.approx(wanted)
    assert p_of_fall(Score(12, 12), Score(6, 12)) == pytest.approx(924 / 134_596)
    assert p_of_fall(Score(5, 5), Score(0, 0)) == 1


def test_what_fell_is_told_first():
    old = {"jpeg": 60, "blur": 50, "crop": 30, "noise": 2}
    found = changes(brought(rows(old)), brought(rows(old | {"crop": 8})))
    assert [row.place[3] for row in found if row.fell] == ["crop"]
    assert found[0].old == Score(30, 60)
    assert found[0].new == Score(8, 60)
    assert found[0].p < found[0].holm < 0.01


def test_what_rose_or_wavered_did_not_fall():
    old = {"jpeg": 60, "blur": 50, "crop": 30}
    for new in ({"jpeg": 60, "blur": 60, "crop": 60}, {"jpeg": 58, "blur": 48, "crop": 27}):
        assert not any(row.fell for row in changes(brought(rows(old)), brought(rows(new))))


def test_many_small_losses_are_seen_together():
    """No single attack shows them, all attacks of the system do."""
    old = {f"attack {n}": 40 for n in range(12)}
    fallen = [
        row.place[3]
        for row in changes(brought(rows(old)), brought(rows(dict.fromkeys(old, 34))))
        if row.fell
    ]
    assert fallen == [ALL]


def test_nothing_changed_seldom_fails():
    """Of 300 comparisons of 20 attacks with an unchanged rate, at most 5 % may fail."""
    rng = np.random.default_rng(5)
    rates = rng.uniform(0, 1, 20)

    def drawn():
        cells = [
            {"system": "sukashi", "visibility": "default", "kind": "image", "family": "ours"}
            | {"group": "ours", "attack": f"a{n}", "curve": "a", "strength": None, "errors": 0}
            | {"found": int(rng.binomial(60, rate)), "trials": 60, "z": [None] * 3, "jod": None}
            for n, rate in enumerate(rates)
        ]
        return {"cells": cells, "null": [], "runs": []}

    failed = sum(any(row.fell for row in changes(drawn(), drawn())) for _ in range(300))
    assert Score(failed, 300).interval(0.999)[0] < 0.05


@pytest.mark.parametrize("family", ["null", "forgery"])
def test_more_false_alarms_and_forgeries_are_worse(family):
    quiet = rows({"wrong keys": 0}, family=family, trials=200)
    loud = rows({"wrong keys": 30}, family=family, trials=200)
    assert [row.fell for row in changes(brought(quiet), brought(loud))] == [True]
    assert not any(row.fell for row in changes(brought(loud), brought(quiet)))


@pytest.fixture
def called(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["bench guard", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code), out + err

    return call


def test_it_exits_with_one_where_something_fell(tmp_path, called):
    old, new, other = (tmp_path / name for name in ("old.jsonl", "new.json", "other.jsonl"))
    write_lines(old, rows({"jpeg": 60, "grey": 60}) + rows({"jpeg": 50}, system="peer"))
    write_summary(new, brought(rows({"jpeg": 20}) + rows({"jpeg": 50}, system="peer")))
    code, said = called(old, new)
    assert code == 1
    assert "| FELL |" in said
    assert "60/60, 100.0 % (94.0 to 100.0)" in said
    assert "4 rows compared, 2 fell; 1 rows of OLD are not in NEW" in said
    assert "grey" not in said
    assert called(old, old) == (0, "\n5 rows compared, 0 fell; 0 rows of OLD are not in NEW\n")
    assert called(old, new, "--system", "peer")[0] == 0

    write_lines(other, rows({"other": 60}, corpus="c1"))
    code, said = called(old, other)
    assert code == 2
    assert "no row in common" in said
    write_lines(other, rows({"jpeg": 60}, corpus="c1"))
    code, said = called(old, other, "--all")
    assert code == 0
    assert "not of the same pictures: ['c0'] and ['c1']" in said
    assert "jpeg" in said
    assert called(old, tmp_path / "none.jsonl")[0] == 2
