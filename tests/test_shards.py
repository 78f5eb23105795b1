"""Shards are disjoint and complete, what is finished is left out, and the estimate is honest."""

import argparse
import hashlib
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.shards import (
    QUICK,
    WHOLE,
    Estimate,
    Quick,
    Shard,
    Timings,
    add_options,
    finished,
    left,
    mine,
    spoken,
)


@dataclass(frozen=True)
class Item:
    sha256: str


def items(count, salt=""):
    return [Item(hashlib.sha256(f"{salt}{n}".encode()).hexdigest()) for n in range(count)]


@given(st.integers(1, 12), st.integers(0, 80), st.integers(0, 5))
def test_shards_are_disjoint_and_complete(count, pictures, salt):
    every = items(pictures, salt)
    parts = [mine(every, Shard(index, count)) for index in range(1, count + 1)]
    assert sorted(item.sha256 for part in parts for item in part) == sorted(
        item.sha256 for item in every
    )
    assert all(list(part) == [item for item in every if item in part] for part in parts)


def test_a_picture_stays_in_its_shard_whatever_is_beside_it():
    every = items(200)
    shard = Shard.parse("2/5")
    assert set(mine(every[::3], shard)) == set(mine(every, shard)) & set(every[::3])
    assert mine(every, WHOLE) == tuple(every)


def test_shards_are_about_equal():
    """Of 2,000 pictures each of four has 500 ± 100, five standard deviations."""
    every = items(2000)
    assert all(abs(len(mine(every, Shard(index, 4))) - 500) < 100 for index in range(1, 5))


@pytest.mark.parametrize("text", ["2", "2/", "/5", "a/5", "-1/5", "2/5/6", "1.5/2", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="2/5"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/0"])
def test_shards_count_from_one(text):
    with pytest.raises(ValueError, match="count from 1"):
        Shard.parse(text)


def test_a_shard_is_written_as_it_is_read():
    assert str(Shard.parse("2/5")) == "2/5"


def trial(attack, sha256="a", **told):
    return {"system": "sukashi", "visibility": "equal", "attack": attack, "sha256": sha256, **told}


def test_what_is_finished_is_left_out():
    """Also where it ended in an error, which going on would not mend; details do not matter."""
    done = finished([trial("jpeg", found=True, z=3.0), trial("crop", error="died")])
    wanted = [trial("jpeg"), trial("jpeg", "b"), trial("crop"), trial("crop", draw=1)]
    assert left(wanted, done) == (wanted[1], wanted[3])
    assert left(wanted, finished([])) == tuple(wanted)


def test_a_quick_run_is_always_of_the_same_few():
    every = items(50)
    few = QUICK.of(every)
    assert len(few) == QUICK.pictures
    assert set(QUICK.of(every[::-1])) == set(few)
    assert set(QUICK.of([*few, *every[:10]])) == set(few)
    assert Quick(pictures=9).of(every[:4]) == tuple(every[:4])


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_trials_are_timed_by_kind():
    clock = Clock()
    timings = Timings(clock)
    for kind, seconds in (("image", 2.0), ("image", 4.0), ("video", 10.0)):
        with timings.timing(kind):
            clock.now += seconds
    with pytest.raises(OSError, match="gone"), timings.timing("video"):
        raise OSError("gone")
    assert timings.of("image") == (2.0, 4.0)
    assert timings.of("video") == (10.0,)
    assert timings.of("other") == ()


def test_an_estimate_is_what_is_left_times_the_mean():
    timings = Timings()
    for kind, seconds in (("image", 2.0), ("image", 4.0), ("video", 10.0), ("video", 10.0)):
        timings.add(kind, seconds)
    told = Estimate.of({"image": 100, "video": 6, "none left": 0}, timings, jobs=2)
    assert told.seconds == (100 * 3 + 6 * 10) / 2
    assert told.trials == 106
    # R: qt(0.975, 1) is 12.7062.
    assert told.reach == pytest.approx(12.7062 * math.sqrt(2 * (100**2 / 2 + 100)) / 2, rel=1e-5)
    assert told.untimed == ()
    assert str(told) == "106 trials, about 3 min (0 s to 14 min)"


@pytest.mark.parametrize("timed", [3, 20])
def test_an_estimate_holds_what_a_run_takes(timed):
    """Of 200 runs nine in ten are within 95 % intervals, also where few trials were timed."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        timings = Timings()
        for seconds in rng.gamma(9, 0.3, timed):
            timings.add("image", seconds)
        told = Estimate.of({"image": 300}, timings)
        held += abs(rng.gamma(9, 0.3, 300).sum() - told.seconds) <= told.reach
    assert held >= 180


def test_an_estimate_says_what_it_does_not_know():
    timings = Timings()
    timings.add("image", 60.0)
    told = Estimate.of({"image": 60, "networks": 5}, timings)
    assert math.isinf(told.reach)
    assert str(told) == "65 trials, about 1 h, and what networks takes, of which none was timed"
    assert str(Estimate.of({}, timings)) == "0 trials, about 0 s (0 s to 0 s)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (45, "45 s"),
        (90, "2 min"),
        (600, "10 min"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert spoken(seconds) == text


def test_a_command_gets_the_options(capsys):
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_args(["--shard", "2/5", "--resume"])
    assert options.shard == Shard(2, 5)
    assert options.resume
    assert not options.quick
    assert parser.parse_args([]).shard == WHOLE
    with pytest.raises(SystemExit):
        parser.parse_args(["--shard", "9/5"])
    assert "--shard" in capsys.readouterr().err
