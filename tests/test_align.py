"""Names of alignments."""

import numpy as np
import pytest

from watermark.align import Alignment, same_as, whole_frame
from watermark.evidence import Observation
from watermark.profile import DEFAULT

CANVAS = np.zeros((512, 910), np.float32)
PLAIN = whole_frame(Observation(CANVAS, CANVAS, (512.0, 910.0), 1, str(DEFAULT)))
INNER = ((3.0, 4.0), (900.0, 4.0), (900.0, 500.0), (3.0, 500.0))


def moved(alignment, right, down, *, turn=0.0):
    shift = np.array([[1.0, -turn, right], [turn, 1.0, down], [0.0, 0.0, 1.0]])
    return Alignment(tuple(map(tuple, shift @ np.array(alignment.matrix))), "words", INNER)


@pytest.mark.parametrize("plain", PLAIN, ids=lambda each: each.name)
@pytest.mark.parametrize("tiles", [(0, 0), (1, 0), (-3, 2)])
def test_a_search_that_came_to_the_whole_frame_by_its_own_way_is_told_so(plain, tiles):
    """The grid repeats, so whole tiles make no difference."""
    right, down = (DEFAULT.tile * each for each in tiles)
    assert same_as(moved(plain, right + 0.4, down - 0.4), PLAIN, DEFAULT.tile) is plain


@pytest.mark.parametrize("plain", PLAIN, ids=lambda each: each.name)
@pytest.mark.parametrize("change", [(5.0, 0.0, 0.0), (0.0, 68.0, 0.0), (0.0, 0.0, 0.02)])
def test_what_is_shifted_or_turned_is_not_the_whole_frame(plain, change):
    right, down, turn = change
    assert same_as(moved(plain, right, down, turn=turn), PLAIN, DEFAULT.tile) is None
