"""The experiment with wrong keys on piles counts what it says."""

import numpy as np
import pytest

from bench import trace_alarms
from bench.trace_alarms import CONTENT, summary
from watermark.controls import chip_signs, wrong_keys
from watermark.profile import DEFAULT


@pytest.fixture(scope="module")
def prepared():
    planes = CONTENT["noisy copies of one picture"](np.random.default_rng(1), 5)
    return trace_alarms._prepared(planes)


def test_every_look_and_every_way_is_in_the_surest_p_value(prepared):
    assert len(prepared.looks) == 4  # at 1, 2, 4 and 5 outputs
    keys = wrong_keys(200, seed=5)
    signs = np.stack([chip_signs(key, 77, DEFAULT) for key in keys], axis=1)
    told = trace_alarms._asked(prepared, signs)
    assert {name: len(values) for name, values in told.items()} == {
        "one way": 200,
        "all": 200,
        "scores": 200,
    }
    assert np.std(told["one way"]) == pytest.approx(1, abs=0.15)
    assert (np.array(told["all"]) <= np.log(0.1)).mean() < 0.1
    # Alike from output to output, so that adding scores counts them five times.
    assert np.std(told["scores"]) > 1.25


def test_the_table_has_a_row_for_each_level():
    line = {"content": "flats", "outputs": 4, "one way": [0.0, 3.2], "all": [0.0, -3.0]}
    told = summary([line | {"scores": [9.0, 9.0], "searched": []}])
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in told.splitlines()[2:]]
    assert [row[2] for row in rows] == ["0.1", "0.01", "0.001"]
    assert [row[3].split(",")[0] for row in rows] == ["1/2", "1/2", "1/2"]
    assert [row[4].split()[0] for row in rows] == ["1/2,", "0/2", "0/2"]
    assert [row[6].split(",")[0] for row in rows] == ["2/2"] * 3
