"""A pile is one body of evidence: sums before keys, every way of feeding, all charged."""

import cv2
import numpy as np
import pytest
from studio import picture

from watermark import pooling
from watermark.coding import codeword
from watermark.controls import controls
from watermark.decide import soft_word
from watermark.detect import observe_luma
from watermark.embed import delta
from watermark.errors import EvidenceError
from watermark.evening import evened
from watermark.evidence import Observation
from watermark.feeding import ASPECTS, Feed, feeds
from watermark.frame import luma
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pooling import Pile, pooled
from watermark.profile import DEFAULT, DRAFT_1

KEY, NUMBER = Key(bytes(range(32))), 0x2B1D5EED
WIDE = {"16:9": 16 / 9}
SIDE = 192  # pixels of the pictures that a generator makes


def frame(seed, *, strength=0.5):
    """Return the luma of a marked frame of 16 : 9, not rounded, so that weak marks stay."""
    plane = luma(picture(seed, 270, 480))
    return plane + delta(plane, KEY, NUMBER, strength=strength)


def squashed(plane, width=SIDE):
    return cv2.resize(plane, (width, SIDE), interpolation=cv2.INTER_AREA)


def cut(plane, left=None):
    height, width = plane.shape
    scaled = cv2.resize(plane, (round(width * SIDE / height), SIDE), interpolation=cv2.INTER_AREA)
    start = (scaled.shape[1] - SIDE) // 2 if left is None else left
    return np.ascontiguousarray(scaled[:, start : start + SIDE])


def mirrored(plane):
    return np.ascontiguousarray(plane[:, ::-1])


def piled(planes, **options):
    pile = Pile(**options)
    for plane in planes:
        pile.add(observe_luma(plane))
    return pile


def scores(pile, *, search="fast", key=KEY):
    """Return the z of the mark along every way, by name."""
    return {
        each.alignment.name: float(soft_word(each.evidence, key, DEFAULT) @ codeword(NUMBER))
        for each in pile.hypotheses([key], search=search)
    }


def noise(seed, shape=(512, 512)):
    canvas = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    extent = (float(shape[0]), float(shape[1]))
    return Observation(canvas, np.ones_like(canvas), extent, 1, str(DEFAULT))


@pytest.mark.parametrize(
    ("fed", "way"),
    [
        (squashed, "squashed from 16:9"),
        (cut, "cut from the middle of 16:9"),
        (lambda plane: mirrored(squashed(plane)), "squashed from 16:9, mirrored"),
        (lambda plane: mirrored(cut(plane)), "cut from the middle of 16:9, mirrored"),
        (lambda plane: squashed(plane, 2 * SIDE), "squashed from 16:9"),
    ],
    ids=["squash", "cut", "squash, mirror", "cut, mirror", "squash to 2:1"],
)
def test_the_mark_is_where_the_training_pipeline_put_it(fed, way):
    found = scores(piled(fed(frame(seed)) for seed in range(3)))
    best = max(found, key=found.get)
    assert best == way
    assert found[way] > 10
    others = [z for name, z in found.items() if not name.startswith(way.split(",")[0])]
    assert max(others) < 6


def test_both_halves_of_a_sum_of_which_one_is_mirrored_add_up():
    pictures = [cut(frame(seed, strength=0.1)) for seed in range(8)]
    fed = (each if n % 2 else mirrored(each) for n, each in enumerate(pictures))
    found = scores(piled(fed, aspects=WIDE))
    way = "cut from the middle of 16:9"
    halves = found[f"{way}, some of them mirrored"]
    assert halves > 1.2 * max(found[way], found[f"{way}, mirrored"]) > 5


def test_sums_of_different_sizes_are_joined():
    fed = [squashed(frame(n, strength=0.03), 256 if n % 2 else SIDE) for n in range(8)]
    way = "squashed from 16:9"
    both = scores(piled(fed, aspects=WIDE))[way]
    alone = [scores(piled(fed[place::2], aspects=WIDE))[way] for place in (0, 1)]
    assert both == pytest.approx(np.hypot(*alone), rel=0.2)
    assert both > max(alone)


def test_the_order_of_outputs_does_not_matter_and_sums_add():
    pictures = [squashed(frame(seed), width) for seed, width in enumerate((192, 256, 192))]
    one, other = piled(pictures, aspects=WIDE), piled(pictures[::-1], aspects=WIDE)
    assert one.sizes == other.sizes == {(512.0, 512.0): 2, (512.0, 512 * 256 / 192): 1}
    for a, b in zip(one.folds(), other.folds(), strict=True):
        assert a.alignment == b.alignment
        np.testing.assert_allclose(a.tile, b.tile, atol=0.05)
    together = Pile(aspects=WIDE)
    together.add(observe_luma(pictures[0]) + observe_luma(pictures[2]))
    together.add(observe_luma(pictures[1]))
    np.testing.assert_allclose(together.folds()[0].tile, one.folds()[0].tile, atol=0.05)


def test_memory_does_not_grow_with_the_number_of_sizes(monkeypatch):
    shapes = [(512, 512 + 8 * n) for n in range(6)] * 2
    seen = [noise(n, shape) for n, shape in enumerate(shapes)]
    monkeypatch.setattr(pooling, "_SIZES", 2)
    few, all_kept = Pile(aspects=WIDE), Pile(aspects=WIDE)
    for each in seen:
        few.add(each)
    assert len(few._sums) == 2
    monkeypatch.setattr(pooling, "_SIZES", 24)
    for each in seen:
        all_kept.add(each)
    for one, other in zip(few.folds(), all_kept.folds(), strict=True):
        assert one.alignment == other.alignment
        # Not quite the same, since a sum is evened as a whole.
        assert np.corrcoef(one.tile.ravel(), other.tile.ravel())[0, 1] > 0.95


def test_ways_that_come_to_the_same_come_once():
    whole = Pile()
    whole.add(noise(0, (512, 910)))
    names = [each.alignment.name for each in whole.folds()]
    assert len(names) == len(set(names))
    assert "whole frame" in names
    assert not any("16:9" in name for name in names)


def test_the_pilot_finds_what_no_usual_way_puts_there():
    odd = [cut(frame(seed), left=37) for seed in range(2)]
    found = scores(piled(odd, aspects=WIDE), search="full")
    best = max(found, key=found.get)
    assert best.endswith("by its pilot")
    assert found[best] > 10


def test_a_rare_size_is_not_searched_by_itself():
    common = observe_luma(squashed(luma(picture(0, 270, 480))))
    rare = observe_luma(frame(0))
    for count, found in ((2, True), (9, False)):
        pile = Pile(aspects=WIDE)
        for each in (*[common] * count, rare):
            pile.add(each)
        names = [each.alignment.name for each in pile.hypotheses([KEY])]
        assert ("whole frame, by its pilot" in names) == found


def test_everything_that_is_decided_on_is_charged():
    pile = piled([squashed(frame(0))], aspects=WIDE)
    codebook = Codebook(np.arange(100) + NUMBER)
    plain = pooled(pile, [KEY], codebook, search="fast")
    assert plain.alignments == len(pile.folds())
    assert plain.log_trials == pytest.approx(np.log(len(pile.folds()) * 100 / 0.99))
    dearer = pooled(pile, [KEY, Key(bytes(32))], codebook, search="fast", log_more=2.0)
    assert dearer.log_trials == pytest.approx(plain.log_trials + np.log(2) + 2)
    assert dearer.best.log_p == pytest.approx(plain.best.log_p + np.log(2) + 2)


def copies(seed):
    rng = np.random.default_rng(seed)
    plane = squashed(luma(picture(7, 270, 480)))
    return [plane + rng.normal(0, 3, plane.shape).astype(np.float32) for _ in range(12)]


def flats(seed):
    flat = np.full((SIDE, SIDE), 200, np.float32)
    flat[40:44, 90:94] = 20
    return [flat] * 5


def periodic(seed):
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    wave = 128 + 40 * np.sin(columns * np.pi / 4) + 30 * np.sign(np.sin(rows * np.pi / 34))
    rng = np.random.default_rng(seed)
    return [np.float32(wave + rng.normal(0, 2, wave.shape)) for _ in range(5)]


@pytest.mark.parametrize("content", [copies, flats, periodic])
def test_wrong_keys_are_significant_as_seldom_as_they_should_be(content):
    pile = Pile(aspects=WIDE)
    for plane in content(1):
        pile.add(observe_luma(plane))
    tried = pile.hypotheses([KEY], search="fast")
    wrong = controls(tried, 0, NUMBER, draws=500)
    for level, z in ((0.1, 1.2816), (0.01, 2.3263)):
        # Three standard errors over what is allowed.
        most = level + 3 * np.sqrt(level * (1 - level) / 500)
        assert (wrong.single > z).mean() <= most
        assert (wrong.largest > np.sqrt(2 * np.log(len(tried) / level))).mean() <= most


def test_an_evened_sum_has_no_line_and_no_loud_place():
    quiet = noise(3).canvas
    wave = np.cos(2 * np.pi * np.arange(512) / 16).astype(np.float32)
    assert abs(float((evened(quiet + 3 * wave) * wave).mean())) < 0.05
    loud = quiet.copy()
    loud[:100, :100] *= 20
    left = evened(loud)
    assert left[:60, :60].std() < 1.5 * left[200:, 200:].std()
    assert np.corrcoef(evened(quiet).ravel(), quiet.ravel())[0, 1] > 0.9


def test_an_empty_sum_is_no_signal():
    pile = Pile(aspects=WIDE)
    pile.add(observe_luma(np.full((SIDE, SIDE), 128, np.float32)))
    told = pooled(pile, [KEY])
    assert (told.verdict, told.best.log_p) == ("not-found", 0)


def test_what_cannot_be_piled_is_refused():
    with pytest.raises(ValueError, match="no picture"):
        Pile().folds()
    with pytest.raises(EvidenceError, match="another profile"):
        Pile(DRAFT_1).add(Observation(*(2 * [np.ones((8, 8), np.float32)]), (8.0, 8.0), 1, "x"))
    with pytest.raises(ValueError, match="16 : 1"):
        feeds({"line": 40.0})


@pytest.mark.parametrize("aspect", ASPECTS.values(), ids=ASPECTS)
@pytest.mark.parametrize("extent", [(512.0, 512.0), (512.0, 910.2), (768.0, 512.0)])
def test_a_cut_keeps_the_middle_and_squashing_the_corners(extent, aspect):
    height, width = extent
    tall, wide = 512 / min(1.0, aspect), 512 * max(1.0, aspect)
    cut_, squash = (Feed("", kind, aspect).placed(extent, 512) for kind in ("crop", "squash"))
    assert cut_.across * width / 2 + cut_.right == pytest.approx(wide / 2)
    assert cut_.along * height / 2 + cut_.down == pytest.approx(tall / 2)
    assert min(cut_.right, cut_.down) == pytest.approx(0)
    assert (squash.across * width, squash.along * height) == pytest.approx((wide, tall))
