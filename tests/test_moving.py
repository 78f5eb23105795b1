"""The marker of films: found without a search, the same on every frame, blind to the past."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest

from watermark import moving
from watermark.align import fold, whole_frame
from watermark.coding import codeword
from watermark.decide import soft_word
from watermark.detect import observe_luma
from watermark.embed import delta
from watermark.key import Key
from watermark.moving import MovieMarker
from watermark.planes import PlaneFormat, Shown
from watermark.profile import DEFAULT

KEY = Key(bytes(range(32)))
NUMBER = 0x5EED_0123_4567
EIGHT = PlaneFormat(8, full=False)


def picture(height=360, width=640, seed=1):
    """Return the luma of a soft picture with a few edges and a flat, float 0–255."""
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), height / 24)
    luma = 120 + 40 * soft / soft.std() + rng.normal(scale=1.5, size=(height, width))
    luma[height // 3 : height // 2, width // 4 : width // 2] = 200
    luma[: height // 5, : width // 3] = 90
    return np.clip(luma, 5, 250).astype(np.float32)


def coded(luma, form=EIGHT):
    """Return a plane that shows a luma."""
    steps = np.rint(luma * form.gain + form.black)
    return np.clip(steps, form.black, form.white).astype(form.dtype)


def marker(shape=(360, 640), form=EIGHT, **options):
    return MovieMarker(KEY, NUMBER, shape=shape, format=form, **options)


def z_of(luma):
    """Return the z at the mark's own place in a frame as it is shown, without a search."""
    seen = observe_luma(np.ascontiguousarray(luma, np.float32))
    evidence = fold(seen, whole_frame(seen)[0], KEY, DEFAULT)
    return float(soft_word(evidence, KEY, DEFAULT) @ codeword(NUMBER))


def pan(count, seed=1):
    """Return planes of a camera that moves 3 pixels a frame."""
    wide = coded(picture(width=640 + 3 * count, seed=seed))
    return [np.ascontiguousarray(wide[:, 3 * k : 3 * k + 640]) for k in range(count)]


def as_a_still(monkeypatch):
    """Take away what films have less or more than stills."""
    for name, value in (("_FLAT", 9.0), ("_MORE", 1.0)):
        monkeypatch.setattr(moving, name, value)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [False, True])
def test_the_first_frame_has_the_mark_of_a_still(bits, full, monkeypatch):
    """In each coding the mark is that of `embed`, up to rounding; what it leans to aside."""
    as_a_still(monkeypatch)
    form = PlaneFormat(bits, full=full)
    plane = coded(picture(), form)
    added = form.to_luma(marker(form=form).mark(plane)) - form.to_luma(plane)
    still = delta(form.to_luma(plane), KEY, NUMBER, profile=replace(DEFAULT, lean=0.7))
    assert np.corrcoef(added.ravel(), still.ravel())[0, 1] > (0.93 if bits == 8 else 0.98)
    assert np.std(added) == pytest.approx(np.std(still), rel=0.08)


def test_ten_bits_are_marked_in_steps_of_ten_bits():
    form = PlaneFormat(10, full=False)
    plane = coded(picture(), form)
    steps = marker(form=form).mark(plane).astype(int) - plane
    assert set(np.unique(steps % 4)) == {0, 1, 2, 3}


@pytest.mark.parametrize("form", [EIGHT, PlaneFormat(10, full=True)], ids=["8 bit", "10 bit"])
def test_strength_0_gives_every_frame_back(form):
    still = marker(form=form, strength=0.0)
    for frame in pan(3):
        plane = frame.astype(form.dtype)
        np.testing.assert_array_equal(still.mark(plane), plane)


@pytest.mark.parametrize(("short", "more"), [(360, 1.0), (480, 1.0), (600, 1.04), (1080, 1.08)])
def test_large_frames_have_more_to_give(short, more, monkeypatch):
    form = PlaneFormat(16, full=True)
    plane = coded(picture(short, short * 4 // 3), form)

    def added():
        frame = marker(plane.shape, form=form).mark(plane)
        return np.std(form.to_luma(frame) - form.to_luma(plane))

    as_it_is = added()
    monkeypatch.setattr(moving, "_LARGE", 1.0)
    assert as_it_is / added() == pytest.approx(more, abs=1e-3)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_mark_lies_upright_in_the_frame_as_it_is_shown(rotation, mirrored):
    """A detector that sees the frame upright finds the mark without a search."""
    shown = Shown(rotation, mirrored=mirrored)
    upright = coded(picture())
    stored = shown.stored(upright)
    marked = marker(stored.shape, shown=shown).mark(stored)
    assert z_of(EIGHT.to_luma(shown.upright(marked))) > 30


@pytest.mark.parametrize("aspect", [32 / 27, 8 / 9, 2.0])
@pytest.mark.parametrize("rotation", [0, 90])
def test_pixels_that_are_not_square_are_stretched_first(aspect, rotation):
    shown = Shown(rotation, aspect=aspect)
    stored = coded(picture(480, 600))
    marked = marker(stored.shape, shown=shown).mark(stored)
    height, width = shown.size(*stored.shape)
    luma = EIGHT.to_luma(shown.upright(marked))
    seen = cv2.resize(luma, (width, height), interpolation=cv2.INTER_CUBIC)
    assert z_of(seen) > 20


@pytest.mark.parametrize("shape", [(180, 320), (361, 643), (720, 1280)])
def test_frames_of_every_size_are_marked(shape):
    plane = coded(picture(*shape))
    assert z_of(EIGHT.to_luma(marker(shape).mark(plane))) > 25


def test_frames_that_are_alike_are_marked_alike():
    """A held frame does not change, and stays as it is in its file; a shot's first may once."""
    film = marker()
    film.mark(pan(1)[0])
    for frame in pan(6):
        marked = film.mark(frame)
        kept = frame.copy()
        for _ in range(4):
            np.testing.assert_array_equal(film.mark(frame), marked)
        np.testing.assert_array_equal(frame, kept)


def test_a_caller_may_reuse_its_buffer():
    film, other = marker(), marker()
    buffer = np.empty((360, 640), np.uint8)
    for frame in pan(3):
        buffer[:] = frame
        np.testing.assert_array_equal(film.mark(buffer), other.mark(frame))


def test_a_hard_cut_forgets_what_was_before():
    """After a cut each frame is marked as if the film had begun there."""
    cut, fresh = marker(), marker()
    for frame in pan(14):
        cut.mark(frame)
    for frame in pan(4, seed=2):
        np.testing.assert_array_equal(cut.mark(frame), fresh.mark(frame))


def test_what_moves_is_marked_less_and_what_stands_beside_it_is_not():
    """The right half pans, the left half stands: only the right half's mark is cut down."""
    film, frames = marker(), pan(12)
    left = slice(0, 240)
    rms = []
    for frame in frames:
        plane = frame.copy()
        plane[:, left] = frames[0][:, left]
        added = film.mark(plane).astype(float) - plane
        rms.append((added[:, left].std(), added[:, 400:].std()))
    assert rms[-1][0] == pytest.approx(rms[0][0], rel=0.05)
    assert 0.4 < rms[-1][1] / rms[0][1] < 0.75


def test_a_place_that_stands_still_does_not_pump():
    """What moves elsewhere changes hardly a sample of what is added to a place that does not."""
    film, frames = marker(), pan(10)
    before, changed = None, []
    for frame in frames:
        plane = frame.copy()
        plane[:, :300] = frames[0][:, :300]
        added = (film.mark(plane).astype(int) - plane)[:, :240]
        if before is not None:
            assert np.abs(added - before).max() <= 1
            changed.append(np.mean(added != before))
        before = added
    assert np.mean(changed) < 0.01


def grain(count, pace):
    """Return planes of faint grain, which VMAF sees a mark in, that moves `pace` pixels a frame."""
    rng = np.random.default_rng(5)
    wide = cv2.GaussianBlur(rng.normal(size=(360, 640 + pace * count)), (0, 0), 1.0)
    wide = coded(np.clip(128 + 4 * wide / wide.std(), 0, 255))
    return [np.ascontiguousarray(wide[:, pace * k : pace * k + 640]) for k in range(count)]


@pytest.mark.parametrize("held", [False, True])
def test_where_vmaf_would_see_a_mark_it_is_weaker_from_the_second_frame_on(held):
    """A held frame tells as much as one that is nearly the same."""
    film = marker()
    strengths = []
    for count, plane in enumerate(grain(1, 0) * 8):
        plane[-1, -1] = 20 + (0 if held else count)
        strengths.append((film.mark(plane).astype(float) - plane).std())
    assert strengths[1] < 0.8 * strengths[0]
    assert strengths[-1] == pytest.approx(strengths[1], rel=0.1)


def test_vmaf_has_less_to_say_where_it_moves(monkeypatch):
    """With as much mark where it moves as elsewhere, only the guard tells the two films apart."""
    monkeypatch.setattr(moving, "_WEAKEST", 1.0)
    slow, fast = marker(), marker()
    for still, moved in zip(grain(1, 0) * 10, grain(10, 4), strict=True):
        quiet = (slow.mark(still).astype(float) - still).std()
        loud = (fast.mark(moved).astype(float) - moved).std()
    assert quiet < 0.8 * loud


def test_a_film_that_changes_all_the_time_has_no_first_frames():
    """Cuts every other frame leave VMAF its say."""
    film, shots = marker(), [grain(1, 0)[0], grain(1, 0)[0][::-1] // 2 + 100]
    strengths = []
    for count in range(12):
        plane = shots[count // 2 % 2].copy()
        plane[-1, -1] = 20 + count
        strengths.append((film.mark(plane).astype(float) - plane).std())
    assert max(strengths[4:]) < 0.9 * strengths[0]


def test_something_busy_that_appears_does_not_pump_what_stands_beside_it(monkeypatch):
    """The whole frame's visibility jumps, the strength beside what has changed hardly does."""
    as_a_still(monkeypatch)
    plain = coded(picture())
    rng = np.random.default_rng(3)
    busy = plain.copy()
    texture = 60 * cv2.GaussianBlur(rng.normal(size=(360, 340)), (0, 0), 1.0)
    busy[:, 300:] = np.clip(plain[:, 300:] + texture, 16, 235)
    quiet = plain.copy()
    quiet[:, 300:] = 128
    film, before = marker(), None
    for count, plane in enumerate((quiet, quiet, busy, busy, busy, quiet, busy, quiet)):
        plane[-1, -1] = 20 + count  # no frame is the one before
        added = (film.mark(plane).astype(int) - plane)[:, :240]
        if before is not None:
            assert np.abs(added - before).max() <= 1
            assert np.mean(added != before) < 0.05
        before = added


def test_undershoot_and_overshoot_are_marked_like_black_and_white():
    plane = coded(picture())
    plane[:40], plane[-40:] = 2, 254
    marked = marker().mark(plane)
    assert np.all(marked[:40] >= 2)
    assert np.all(marked[-40:] <= 254)


@pytest.mark.parametrize(("transfer", "least", "most"), [("pq", 0.2, 0.6), ("hlg", 0.6, 0.95)])
def test_hdr_is_marked_less_where_a_code_value_is_more_light(transfer, least, most, monkeypatch):
    """Near the white of SDR one step of PQ is several of SDR's, and one of HLG is hardly more."""
    as_a_still(monkeypatch)
    luma = picture() * 0.15 + 110
    sdr, hdr = (PlaneFormat(10, full=False, transfer=name) for name in ("sdr", transfer))
    plane = coded(luma, sdr)
    plain, less = (
        (marker(form=form).mark(plane).astype(float) - plane).std() for form in (sdr, hdr)
    )
    assert least < less / plain < most


def test_memory_does_not_grow_with_the_film():
    film, frames = marker(), pan(4)
    for frame in frames:
        film.mark(frame)
    tracemalloc.start()
    held = []
    for _ in range(3):
        for frame in frames:
            film.mark(frame)
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] <= held[0] + 100_000


def test_frames_of_another_shape_or_depth_are_refused():
    film = marker()
    with pytest.raises(ValueError, match="the frames of this film"):
        film.mark(np.zeros((360, 642), np.uint8))
    with pytest.raises(ValueError, match="8 bits is uint8"):
        film.mark(np.zeros((360, 640), np.uint16))
    with pytest.raises(ValueError, match="at least 16"):
        marker((8, 640))
