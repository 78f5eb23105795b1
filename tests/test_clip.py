"""A clip's frames are added up, aligned as one, and decided on whole and in parts."""

import cv2
import numpy as np
import pytest
from clips import FIRST, KEY, SECOND, SIZE, STRANGER, shot

from watermark.align import fold, whole_frame
from watermark.clip import Watch
from watermark.detect import observe_luma
from watermark.identify import Codebook
from watermark.profile import DEFAULT
from watermark.reel import Reel

BOOK = Codebook(np.array([FIRST, SECOND, 3, 4, 5], np.uint64))


def watched(*shots, keys=(KEY,), search="fast", apart=0.5):
    watch = Watch(keys, BOOK, search=search)
    planes = [plane for each in shots for plane in each]
    for number, plane in enumerate(planes):
        watch.add(apart * number, plane)
    return watch


def test_a_reel_adds_up_what_observing_gives():
    planes = list(shot(1, 3))
    reel = Reel()
    for number, plane in enumerate(planes):
        reel.add(number / 2, plane)
    seen = [observe_luma(plane, coded=True) for plane in planes]
    total = seen[0] + seen[1] + seen[2]
    assert np.allclose(reel.total().canvas, total.canvas, atol=1e-4)
    assert reel.total().extent == total.extent
    assert reel.total().frames == 3


def test_slots_fold_to_the_same_tiles_as_the_whole_upright_and_mirrored():
    reel = Reel()
    for number, plane in enumerate(shot(1, 3, FIRST)):
        reel.add(number / 2, plane)
    for alignment in whole_frame(reel.total()):
        whole = fold(reel.total(), alignment, KEY, DEFAULT).tile
        parts = reel.along(alignment).sum(axis=0)
        assert np.abs(parts - whole).max() < 0.02 * np.abs(whole).max()


def test_slots_are_joined_when_they_are_too_many_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr("watermark.reel._TILES", 4)
    monkeypatch.setattr("watermark.reel._CANVASES", 0)
    monkeypatch.setattr("watermark.reel._PLANES", 0)
    reel = Reel()
    for number, plane in enumerate(shot(1, 11, FIRST)):
        reel.add(number / 2, plane)
    assert sum(slot.frames for slot in reel.tiles) == 11
    assert sum(slot.frames for slot in reel.canvases) == 11
    assert len(reel.tiles) <= 4
    assert len(reel.canvases) <= 8
    assert len(reel.planes) <= 8
    upright, _ = whole_frame(reel.total())
    whole = fold(reel.total(), upright, KEY, DEFAULT).tile
    assert np.abs(reel.along(upright).sum(axis=0) - whole).max() < 0.02 * np.abs(whole).max()


def test_a_cut_begins_a_shot_and_noise_does_not():
    watch = watched(shot(1, 4), shot(2, 4))
    assert watch.reel.shots == 2
    assert watch.reel.cuts == {1}


def test_a_frame_of_another_size_is_scaled_to_the_first():
    watch = watched(shot(1, 1, FIRST))
    (plane,) = shot(1, 1, FIRST, size=(1280, 720))
    watch.add(0.5, plane)
    assert watch.reel.shape == (360, 640)
    assert watch.reel.frames == 2


def test_a_marked_clip_is_found_and_told_whole():
    judgement = watched(shot(1, 6, FIRST)).look(last=True)
    (found,) = judgement.detection.found
    assert judgement.detection.verdict == "detected"
    assert (found.number, found.alignment.name) == (FIRST, "whole frame")
    assert found.alignment.outline == ((0, 0), (640, 0), (640, 360), (0, 360))
    assert [(each.start, each.end) for each in judgement.parts] == [(0.0, 3.0)]
    assert (judgement.frames, judgement.looks) == (6, 1)


def test_the_order_of_frames_and_how_often_one_comes_do_not_matter():
    planes = list(shot(1, 6, FIRST))
    forward, back = watched(planes).look(), watched(planes[::-1]).look()
    assert forward.detection.best.z == pytest.approx(back.detection.best.z, rel=1e-3)
    twice = watched([each for each in planes for _ in range(2)]).look()
    assert twice.detection.best.z == pytest.approx(forward.detection.best.z, rel=1e-3)


def test_a_mirrored_clip_is_found_without_a_search():
    planes = [np.ascontiguousarray(each[:, ::-1]) for each in shot(1, 4, FIRST)]
    judgement = watched(planes).look(last=True)
    assert judgement.detection.verdict == "detected"
    assert judgement.detection.best.alignment.name == "mirrored"
    assert judgement.parts[0].found.alignment.name == "mirrored"


def test_a_clip_inside_bars_is_found_without_a_search():
    planes = [np.pad(each, ((60, 60), (0, 0))) for each in shot(1, 4, FIRST)]
    judgement = watched(planes).look(last=True)
    assert judgement.detection.verdict == "detected"
    assert judgement.detection.best.alignment.name == "whole frame, inside borders"
    outline = np.array(judgement.detection.best.alignment.outline)
    assert np.abs(outline - [[0, 60], [640, 60], [640, 420], [0, 420]]).max() < 2


def test_a_shot_inside_bars_among_others_is_found_without_a_search():
    width, height = SIZE
    bars = (0, 0), (width // 4, width // 4)
    narrow = [np.pad(each, bars) for each in shot(2, 8, SECOND, size=(width // 2, height))]
    parts = watched(shot(1, 8, FIRST), narrow).look(last=True).parts
    assert [part.found.number for part in parts if part.found] == [FIRST, SECOND]
    assert parts[0].end == pytest.approx(4, abs=0.5)


def test_a_crop_is_found_by_the_search_and_is_told_in_pixels():
    planes = [np.ascontiguousarray(each[40:340, 60:560]) for each in shot(1, 6, FIRST)]
    assert watched(planes).look(last=True).detection.verdict != "detected"
    judgement = watched(planes, search="full").look(last=True)
    assert judgement.detection.verdict == "detected"
    scale = 1 / np.array(judgement.detection.best.alignment.matrix)[0, 0]
    assert scale == pytest.approx(360 / 512, rel=0.01)
    assert judgement.parts[0].found.number == FIRST


def test_a_zoomed_shot_among_others_is_found_by_its_own_search():
    zoomed = [cv2.resize(each[20:320, 40:573], (640, 360)) for each in shot(3, 8, SECOND)]
    watch = watched(shot(1, 8, FIRST), zoomed, shot(4, 8), search="full")
    judgement = watch.look(last=True)
    assert {each.number for each in judgement.detection.found} == {FIRST, SECOND}
    numbers = [each.found and each.found.number for each in judgement.parts]
    assert numbers == [FIRST, SECOND, None]
    assert [each.end for each in judgement.parts] == pytest.approx([3.75, 7.75, 12.0])


def test_a_shot_that_was_added_to_another_is_not_searched_by_itself(monkeypatch):
    monkeypatch.setattr("watermark.reel._CANVASES", 0)
    monkeypatch.setattr("watermark.reel._FEWEST", 2)
    watch = watched(*(shot(number, 1) for number in range(1, 6)), search="full")
    assert len({slot.shot for slot in watch.reel.canvases}) < watch.reel.shots == 5
    assert watch.look(last=True).detection.verdict in {"not-found", "inconclusive"}


def test_each_look_costs_more_and_frames_may_be_forgotten_but_not_looks():
    watch = watched(shot(1, 4, FIRST))
    first, second = watch.look().detection, watch.look().detection
    assert second.log_trials - first.log_trials == pytest.approx(np.log(3))
    watch.again()
    for number, plane in enumerate(shot(1, 4, FIRST)):
        watch.add(number / 2, plane)
    assert watch.look().looks == 3


def test_of_a_short_clip_the_last_look_pays_less_and_comes_once():
    planes = list(shot(1, 4, FIRST))
    trials = {}
    for short in (False, True):
        watch = Watch([KEY], BOOK, search="fast", short=short)
        for number, plane in enumerate(planes):
            watch.add(number / 2, plane)
        trials[short, 1] = watch.look().detection.log_trials
        trials[short, 2] = watch.look(last=True).detection.log_trials
    # Half of the half for the first look, a sixth for the second; 0.8 of 0.875 is kept here.
    assert trials[False, 2] - trials[True, 2] == pytest.approx(np.log(12 * 0.8 * 0.875))
    assert trials[True, 1] - trials[False, 1] == pytest.approx(np.log(0.5 / (0.2 * 0.875)))
    with pytest.raises(ValueError, match="already"):
        watch.look(last=True)


def test_it_stops_when_it_is_sure_and_says_which_parts_it_saw():
    watch = watched(shot(1, 2, FIRST), search="full")
    judgement = watch.look(until=np.log(1e-12))
    assert judgement.detection.best.log_p <= np.log(1e-12)
    assert judgement.parts[0].found.number == FIRST
    assert watch.look(until=-1e6).parts == ()


def test_a_wrong_key_and_an_unmarked_clip_find_nothing():
    assert watched(shot(1, 4, FIRST), keys=(STRANGER,)).look(last=True).detection.found == ()
    judgement = watched(shot(1, 4), search="full").look(last=True)
    assert judgement.detection.verdict == "not-found"
    assert [each.found for each in judgement.parts] == [None]


def test_a_clip_that_could_show_nothing_is_inconclusive():
    black = [np.zeros((360, 640), np.float32)] * 3
    assert watched(black).look(last=True).detection.verdict == "inconclusive"


def test_an_empty_clip_is_a_callers_slip():
    with pytest.raises(ValueError, match="no frame"):
        Watch([KEY]).look()


def test_a_large_registry_is_asked_for_what_can_be_read_and_all_is_charged(monkeypatch):
    watch = watched(shot(1, 3, FIRST))
    small = watch.look().detection
    monkeypatch.setattr("watermark.clip._LARGE", 1)
    large = watch.look().detection
    assert large.best.number == small.best.number
    assert large.alignments == small.alignments == 2
    assert large.log_trials - small.log_trials == pytest.approx(np.log(3))
