"""Parts of a clip are found, from when to when, and their p-values are paid for."""

from itertools import pairwise

import numpy as np
import pytest
from clips import FIRST, KEY, SECOND, STRANGER

from watermark.align import Alignment
from watermark.decide import INDICATED, log_p
from watermark.identify import Codebook
from watermark.pattern import mark_tile
from watermark.profile import DEFAULT
from watermark.reel import Slot
from watermark.sequential import log_runs
from watermark.timeline import Way, pilot_z, stretches

HERE = Alignment(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), "whole frame")
SIDE = DEFAULT.tile
BOOK = Codebook(np.array([FIRST, SECOND, 3, 4, 5], np.uint64))


def tiles(plan, *, seed=0, still=0.0):
    """Return a tile of noise for each entry (number, strength) of a plan."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((SIDE, SIDE))
    result = []
    for number, strength in plan:
        tile = rng.standard_normal((SIDE, SIDE)) + still * common
        if number is not None:
            tile = tile + strength * mark_tile(KEY, number, DEFAULT)
        result.append(tile)
    return np.stack(result).astype(np.float32)


def slots(seen, *, shots=None, apart=0.5):
    return [
        Slot(apart * place, apart * place, shots[place] if shots else 0, 1, tile.astype(np.float16))
        for place, tile in enumerate(seen)
    ]


def told(seen, *, key=KEY, shots=None, cuts=frozenset(), log_more=0.0):
    ways = [Way(HERE, key, seen)]
    return stretches(slots(seen, shots=shots), ways, BOOK, DEFAULT, cuts=cuts, log_more=log_more)


def rows(parts):
    return [(each.start, each.end, each.found and each.found.number) for each in parts]


def test_five_seconds_in_a_minute_are_found_to_the_second():
    seen = tiles([(None, 0)] * 55 + [(FIRST, 0.12)] * 10 + [(None, 0)] * 55)
    parts, points = told(seen)
    assert [each[2] for each in rows(parts)] == [None, FIRST, None]
    assert parts[1].start == pytest.approx(27.25, abs=1.0)
    assert parts[1].end == pytest.approx(32.25, abs=1.0)
    assert parts[1].found.log_p <= INDICATED
    surest = min(points, key=lambda point: point[1])
    assert 27 < surest[0] < 32
    assert len(points) == 120


def test_works_one_after_another_are_told_apart():
    plan = [(FIRST, 0.2)] * 12 + [(SECOND, 0.2)] * 12 + [(None, 0)] * 12 + [(FIRST, 0.2)] * 12
    shots = np.repeat(range(4), 12).tolist()
    parts, _ = told(tiles(plan), shots=shots, cuts={1, 2, 3})
    assert [each[2] for each in rows(parts)] == [FIRST, SECOND, None, FIRST]
    assert [each.end for each in parts] == pytest.approx([5.75, 11.75, 17.75, 24.0], abs=1.0)
    assert parts[0].start == 0.0


def test_parts_follow_each_other_without_a_gap():
    parts, _ = told(tiles([(None, 0)] * 5 + [(FIRST, 0.5)] * 5))
    assert all(a.end == b.start for a, b in pairwise(parts))


def test_a_mark_goes_on_to_the_cuts_but_not_over_another():
    plan = [(None, 0)] * 4 + [(FIRST, 0.6), *[(None, 0)] * 7] + [(None, 0)] * 4
    shots = [0] * 4 + [1] * 8 + [2] * 4
    parts, _ = told(tiles(plan), shots=shots, cuts={1, 2})
    assert rows(parts) == [(0.0, 1.75, None), (1.75, 5.75, FIRST), (5.75, 8.0, None)]
    plan[10] = (SECOND, 0.6)
    parts, _ = told(tiles(plan), shots=shots, cuts={1, 2})
    assert [each[2] for each in rows(parts)] == [None, FIRST, SECOND, None]


def test_a_part_pays_for_all_runs_all_ways_and_what_else_is_charged():
    seen = tiles([(FIRST, 0.5)] * 8)
    ways = [Way(HERE, KEY, seen), Way(HERE, STRANGER, seen)]
    parts, _ = stretches(slots(seen), ways, BOOK, DEFAULT, log_more=2.5)
    (part,) = parts
    trials = np.log(5 / 0.99) + log_runs(8) + np.log(2) + 2.5
    assert part.found.log_p == pytest.approx(log_p(part.found.z, trials))


@pytest.mark.parametrize("still", [0.0, 3.0], ids=["changing", "still"])
def test_a_wrong_key_finds_nothing(still):
    for seed in range(6):
        seen = tiles([(FIRST, 0.3)] * 16, seed=seed, still=still)
        parts, points = told(seen, key=STRANGER)
        assert rows(parts) == [(0.0, 8.0, None)]
        assert all(value == 0 for _, value in points)


def test_black_frames_are_one_unmarked_part():
    parts, _ = told(np.zeros((3, SIDE, SIDE), np.float32))
    assert rows(parts) == [(0.0, 1.5, None)]
    parts, points = told(np.zeros((1, SIDE, SIDE), np.float32))
    assert rows(parts) == [(0.0, 0.0, None)]
    assert points == [(0.0, 0.0)]


def test_the_pilot_stands_out_only_under_its_key():
    (tile,) = tiles([(FIRST, 1.0)])
    assert pilot_z(tile, KEY, DEFAULT) > 20
    assert abs(pilot_z(tile, STRANGER, DEFAULT)) < 5
    assert pilot_z(np.zeros((SIDE, SIDE)), KEY, DEFAULT) == 0
