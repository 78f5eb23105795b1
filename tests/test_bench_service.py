"""The load generator: what is broken can be broken again, counts are true, and a run is whole."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from studio import picture

from bench.report import lines_of
from bench.service.files import Sample
from bench.service.fuzz import allowed, mutated
from bench.service.library import Told
from bench.service.load import Reply, Tally, at_rate, in_turn
from bench.service.serving import memory, processes
from bench.service.tables import failed, summary

ROOT = Path(__file__).parent.parent
MARKED = Sample(Path("a.jpg"), bytes(range(256)) * 8, "0000000000ab")
OTHER = Sample(Path("b.jpg"), bytes(2000), "0000000000cd")
PLAIN = Sample(Path("c.png"), b"\x01" * 999, None)
SEEDS = (MARKED, OTHER, PLAIN)


def reply(told=None, *, sample=MARKED, status=200, retry=False):
    return Reply(sample, status, 0.5, told, retry)


def test_a_broken_file_is_made_again_from_its_number():
    made = [mutated(SEEDS, seed=1, number=number) for number in range(300)]
    assert made == [mutated(SEEDS, seed=1, number=number) for number in range(300)]
    assert made != [mutated(SEEDS, seed=2, number=number) for number in range(300)]
    assert {how for _, _, how in made} == {"flip", "cut", "repeat", "splice"}
    changed = sum(data != made_of[0].data for data, made_of, _ in made)
    assert changed > 280
    assert {len(made_of) for _, made_of, _ in made} == {1, 2}


@pytest.mark.parametrize(
    ("told", "made_of", "right"),
    [
        (("detected", ("0000000000ab",)), (MARKED,), True),
        (("detected", ("0000000000ab",)), (OTHER, MARKED), True),
        (("detected", ("0000000000ab",)), (OTHER,), False),
        (("detected", ("0000000000ab", "0000000000cd")), (OTHER,), False),
        (("detected", ("0000000000ab",)), (PLAIN,), False),
        (("detected", (None,)), (PLAIN,), False),
        (("not-found", ()), (PLAIN,), True),
        (("indicated", ("0000000000ef",)), (MARKED,), True),
    ],
)
def test_a_mark_must_be_that_of_a_file_it_was_made_of(told, made_of, right):
    assert allowed(reply(Told(*told)), made_of) is right
    assert allowed(reply(status=422), made_of)


def test_what_is_lost_refused_or_wrong_is_counted_apart():
    right = Told("detected", (MARKED.mark,))
    tally = Tally({"a.jpg": right})
    for each in (
        *[reply(right)] * 3,
        reply(Told("not-found", ())),
        reply(status=503, retry=True),
        reply(status=503),
        reply(status=500),
        reply(status=0),
    ):
        tally.add(each)
    line = tally.line()
    assert (line["accepted"], line["refused"], line["lost"], line["wrong"]) == (4, 1, 3, 1)
    assert line["p50"] == 0.5
    told = "\n".join(failed([{"what": "overload", "alive": False, **line}]))
    assert all(each in told for each in ("3 lost", "1 wrong", "ended"))


def test_an_endless_supply_is_taken_as_clients_are_free():
    taken = []
    replies = in_turn(lambda each: taken.append(each) or each, count(), clients=3)
    assert {0, 1, 2} < {next(replies) for _ in range(20)}
    replies.close()
    assert len(taken) <= 26


def test_a_rate_is_kept_and_nothing_is_left_out():
    sent = list(at_rate(lambda sample, _: reply(sample=sample), SEEDS, rate=2000, seconds=0.5))
    assert len(sent) == 1000
    assert {each.sample.path.name for each in sent} == {"a.jpg", "b.jpg", "c.png"}


def test_memory_is_that_of_all_processes_below():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        while len(found := processes(process.pid)) < 2:
            pass
        both, one = memory(process.pid), memory(found[1])
        process.stdin.close()
    assert 0 < one < both < 200e6
    assert memory(process.pid) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "words", "wanted"),
    [
        ("ratio", ("--requests", 4, "--rounds", 1), {"lost": 0, "wrong": 0, "requests": 4}),
        ("overload", ("--seconds", 2, "--calibration", 1), {"lost": 0, "wrong": 0}),
        ("memory", ("--counts", 3, 6), {"requests": 6, "accepted": 6, "wrong": 0}),
        ("fuzz", ("--requests", 10), {"wrong": 0, "server_errors": 0, "seeds_detected": 3}),
    ],
)
def test_a_small_run(tmp_path, mode, words, wanted):
    image = picture(1, 600, 720)
    cv2.imwrite(str(tmp_path / "one.png"), np.ascontiguousarray(image[..., ::-1]))
    out = tmp_path / "service.jsonl"
    common = ("--workers", 1, "--search", "fast", "--marks", 5, "--out", out)
    result = subprocess.run(
        [sys.executable, "-m", "bench", "service", mode, *map(str, (tmp_path, *common, *words))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = list(lines_of(out))
    assert lines[-1] | wanted == lines[-1]
    assert lines[-1].get("alive", True)
    assert summary(lines) in result.stdout
