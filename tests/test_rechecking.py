"""What was kept of a file is decided on again, for keys and works that came later."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from clips import encode as film_of
from clips import scene
from studio import picture

from watermark.clip_identification import identify_clip
from watermark.compact import pack, unpack
from watermark.detect import detect, observe
from watermark.embed import delta, embed
from watermark.errors import EvidenceError
from watermark.identification import Catalogue, identify_pixels
from watermark.key import Key
from watermark.rechecking import Asked, recheck, recheck_together
from watermark.registry import open_registry
from watermark.rows import Row
from watermark.sequential import log_looks

KEY, LATER, NUMBER = Key(bytes(range(32))), Key(bytes(range(1, 33))), 0x3F2A9C01B7DE


@pytest.fixture(scope="module")
def marked():
    return embed(picture(3, 540, 900), KEY, NUMBER)


def kept(pixels, keys=(KEY,), **options):
    """Identify a picture, and give what is told and what is kept."""
    seen = []
    told = identify_pixels(pixels, keys, keep=seen.append, **options)
    (observation,) = seen
    return told, pack(observation)


def test_what_is_kept_is_what_was_observed_and_changes_nothing(marked):
    seen = []
    told = identify_pixels(marked, [KEY], search="fast", keep=seen.append)
    assert told == identify_pixels(marked, [KEY], search="fast")
    wanted = observe([marked])
    assert np.array_equal(seen[0].canvas, wanted.canvas)
    assert seen[0].extent == wanted.extent
    detection = detect(marked, [KEY], search="fast", keep=seen.append)
    assert detection.best.number == NUMBER
    assert np.array_equal(seen[1].canvas, wanted.canvas)


@pytest.mark.parametrize("search", ["fast", "full"])
def test_a_mark_is_found_again_where_it_was(marked, search):
    told, blob = kept(marked, search=search)
    again = recheck(blob, [KEY], search=search, size=told.size)
    assert (told.verdict, again.verdict) == ("detected", "detected")
    assert again.found[0].number == NUMBER
    assert again.found[0].alignment == "whole frame"
    assert again.z == pytest.approx(told.z, rel=0.05)
    assert again.size == told.size == (900, 540)
    assert np.allclose(again.found[0].outline, told.found[0].outline, atol=0.01)
    assert np.allclose(again.found[0].matrix, told.found[0].matrix, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p[100:430, 200:760],
        lambda p: p[:, ::-1],
        lambda p: cv2.warpAffine(p, cv2.getRotationMatrix2D((450, 270), 6, 1), (900, 540)),
        lambda p: cv2.resize(p[90:400, 200:520], None, fx=1.7, fy=1.7),
        lambda p: cv2.imdecode(cv2.imencode(".jpg", p[60:480, 90:800], [1, 60])[1], 1),
    ],
    ids=["crop", "mirrored", "turned", "enlarged crop", "crop and JPEG"],
)
def test_the_blind_search_finds_on_it_what_it_finds_in_the_picture(marked, change):
    pixels = np.ascontiguousarray(change(marked))
    told, blob = kept(pixels)
    again = recheck(blob, [KEY], size=told.size)
    assert told.verdict == "detected"
    assert again.verdict == "detected"
    assert again.found[0].number == NUMBER
    assert again.z > 0.85 * told.z
    # The same place of the mark's grid up to whole tiles: to a pixel, at the middle.
    height, width = pixels.shape[:2]
    middle = np.array([width / 2, height / 2, 1])
    here, there = (np.array(each.found[0].matrix) @ middle for each in (told, again))
    off = (here[:2] / here[2] - there[:2] / there[2]) % 136
    assert np.minimum(off, 136 - off).max() < 1.5


def test_a_key_and_a_work_that_came_later_are_found(tmp_path):
    with open_registry(tmp_path / "registry.sqlite") as registry:
        work, mark = registry.add_work("Night Train")
    other = embed(picture(4, 540, 900), LATER, mark.number)
    told, blob = kept(other, search="fast")
    assert told.verdict == "not-found"
    assert recheck(blob, [KEY], search="fast").verdict == "not-found"
    with open_registry(tmp_path / "registry.sqlite") as registry:
        again = recheck(blob, [KEY, LATER], Catalogue.load(registry), search="fast")
        assert again.verdict == "detected"
        assert again.found[0].work == work
        assert again.found[0].fingerprint == LATER.fingerprint
        assert again.size == (853, 512), "in pixels of the grid, unless it is said"


def test_every_further_look_is_charged(marked):
    faint = picture(3, 540, 900).astype(np.float32).mean(axis=2)
    plane = faint + delta(faint, KEY, NUMBER, strength=0.25)
    _, blob = kept(np.clip(np.rint(plane), 0, 255).astype(np.uint8))
    looks = [recheck(blob, [KEY], search="fast", looks=count) for count in (1, 2, 9, 10**6)]
    first = looks[0]
    assert first.log10_p < -1
    for count, told in zip((1, 2, 9, 10**6), looks, strict=True):
        more = (log_looks(count + 1) - log_looks(2)) / np.log(10)
        assert told.z == first.z
        assert told.log10_p == pytest.approx(min(0.0, first.log10_p + more))
    with pytest.raises(ValueError, match="at least"):
        recheck(blob, [KEY], looks=0)


def test_other_keys_find_nothing(marked):
    _, blob = kept(marked, search="fast")
    for number in range(20):
        key = Key(bytes([200, number]) * 16)
        told = recheck(blob, [key], search="fast")
        assert told.verdict == "not-found"
        assert told.log10_p == 0


def test_the_sum_of_all_frames_of_a_film_is_kept(tmp_path):
    frames = []
    for number in range(8):
        luma = scene(number // 4, (480, 270))
        frames.append(luma + delta(luma, KEY, NUMBER))
    path = film_of(tmp_path / "film.mp4", frames, options={"crf": "20", "g": "4"})
    seen = []
    told = identify_clip(path, [KEY], all_frames=True, search="fast", keep=seen.append)
    (total,) = seen
    assert total.frames == told.frames == 8
    again = recheck(pack(total), [KEY], search="fast", size=told.whole.size)
    assert again.found[0].number == NUMBER
    assert again.z > 0.9 * told.whole.z


def test_evidence_of_another_version_is_refused_in_one_line(marked):
    observation = observe([marked])
    for profile in ("draft-9", "$sukashi$x$", ""):
        with pytest.raises(EvidenceError, match="cannot be decided on") as caught:
            recheck(pack(replace(observation, profile=profile)), [KEY])
        assert "\n" not in str(caught.value)
    with pytest.raises(EvidenceError, match="no whole kept observation"):
        recheck(b"SKOC", [KEY])


def test_an_empty_canvas_has_no_mark():
    blank = np.full((540, 900, 3), 90, np.uint8)
    told, blob = kept(blank)
    assert np.abs(unpack(blob).canvas).max() < 1e-3
    assert told.verdict == recheck(blob, [KEY]).verdict == "not-found"


@pytest.mark.parametrize("registered", [True, False])
def test_several_at_a_time_are_told_what_each_alone_is(marked, tmp_path, registered):
    crop = np.ascontiguousarray(marked[100:430, 200:760])
    pictures = [marked, picture(3, 540, 900), crop, picture(5, 300, 400)]
    blobs = [kept(pixels, search="fast")[1] for pixels in pictures]
    with open_registry(tmp_path / "registry.sqlite") as registry:
        if registered:
            registry.import_rows([Row(work="w-1", mark=NUMBER, title="Night Train")])
            for number in range(40):
                registry.add_work(f"Other {number}")
        catalogue = Catalogue.load(registry) if registered else None
        asked = [Asked(blob, looks=3) for blob in blobs]
        asked.insert(2, Asked(blobs[0][:-1]))
        together = recheck_together(asked, [LATER, KEY], catalogue, search="fast")
        assert isinstance(together.pop(2), EvidenceError)
        for blob, told in zip(blobs, together, strict=True):
            alone = recheck(blob, [LATER, KEY], catalogue, search="fast", looks=3)
            if alone.verdict == "not-found":
                assert told.verdict == "not-found"
                assert told.log10_p >= alone.log10_p - 1e-9, "never surer than alone"
            else:
                assert told == alone
        assert [told.verdict for told in together] == ["detected", *["not-found"] * 3]
    assert recheck_together([], [KEY]) == []
