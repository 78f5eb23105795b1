"""What each attack does to the planes of a film, and to its time."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from bench.compilation import compile_minute, plan_minute
from bench.video_attacks import ATTACKS, MASTERS, MINUTE, UNMARKED, apply, x264
from bench.video_changes import (
    bright,
    chain,
    crop,
    logo,
    mirrored,
    pip,
    reframed,
    repeated,
    reversed_order,
    rotate,
    same,
    short_side,
    speed,
    subtitled,
    thinned,
)
from bench.video_light import HDR10, eight_bits, ten_bits, to_hdr10, tone_mapped
from bench.video_media import Coding, Footage, films, read, write

RATE = Fraction(24)


def footage(count=6, shape=(180, 320), *, seed=3):
    """Return soft noise that moves to the right, whose colours follow its luma."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(40, 200, (9, 24))
    frames = []
    for at in range(count):
        x = np.linspace(0, 16, shape[1]) + at / 10
        y = np.linspace(0, 8, shape[0])
        whole = np.stack([np.interp(x, np.arange(24), row) for row in small])
        luma = np.stack([np.interp(y, np.arange(9), column) for column in whole.T], 1)
        plane = np.rint(luma).astype(np.uint8)
        frames.append((plane, plane[::2, ::2] // 4 + 96, 160 - plane[::2, ::2] // 4))
    return Footage(tuple(frames), RATE)


@pytest.fixture(scope="module")
def film():
    return footage()


def rng(seed=0):
    return np.random.default_rng(seed)


def first_of(changed, film):
    """Return which frame of a film each changed one is."""
    own = [frame[0] for frame in film.frames]
    return [next(i for i, y in enumerate(own) if y is frame[0]) for frame in changed.frames]


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != MINUTE])
def test_every_row_writes_a_film_that_can_be_read_and_depends_on_nothing_but_its_chance(
    name, film, tmp_path
):
    attack = ATTACKS[name]
    master = MASTERS[attack.master](film, rng())
    before = [plane.copy() for frame in master.frames for plane in frame]
    others = [footage(4, seed=5)] * attack.others
    path = tmp_path / f"seen{attack.coding.ending}"
    apply(attack, path, master, rng(1), *others)
    again = attack.change(master, rng(1), *others)
    changed = attack.change(master, rng(1), *others)
    for one, other in zip(again.frames, changed.frames, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    for frame in changed.frames:
        y, u, v = frame
        assert y.dtype == u.dtype == v.dtype == np.uint8
        assert u.shape == v.shape == (y.shape[0] // 2, y.shape[1] // 2)
        assert not y.shape[0] % 2
        assert not y.shape[1] % 2
    for plane, old in zip((p for f in master.frames for p in f), before, strict=True):
        np.testing.assert_array_equal(plane, old)
    with av.open(str(path)) as file:
        count = sum(1 for _ in file.decode(file.streams.video[0]))
    if attack.coding.codec == "gif":
        assert count in {2, 3}
    else:
        assert count == len(changed.frames)


def test_the_table_says_what_the_issue_asks_for():
    targets = {name: attack.target for name, attack in ATTACKS.items()}
    assert targets["x264 18"] == targets["mpeg2"] == targets["10 to 8 bit"] == 0.99
    assert (targets["x264 38"], targets["x264 42"], targets["av1 50"]) == (0.92, 0.75, 0.85)
    assert targets["pip 50"] == 0.85
    assert targets["gif"] == 0.70
    assert targets[MINUTE] == 0.90
    assert targets["prores"] == targets["variable rate"] == 0.99
    assert len(ATTACKS) == 35
    assert set(UNMARKED.values()) < set(ATTACKS)


def test_frames_are_repeated_where_their_rounded_times_fall(film):
    changed = repeated(film, rng(), times=Fraction(5, 4))
    assert changed.rate == 30
    # 0, 1.25, 2.5, 3.75, 5, 6.25, rounded with halves up: 0, 1, 3, 4, 5, 6, and 8 for the end.
    assert first_of(changed, film) == [0, 1, 1, 2, 3, 4, 5, 5]
    assert len(repeated(film, rng(), times=Fraction(5, 2)).frames) == 15


def test_every_third_frame_lasts_three_times_as_long(film):
    changed = thinned(film, rng(), every=3)
    assert first_of(changed, film) == [0, 3]
    assert changed.rate == 8


def test_speed_changes_the_rate_alone_and_both_ways(film):
    rates = {speed(film, rng(seed), by=Fraction(1, 25)).rate for seed in range(9)}
    assert rates == {RATE * Fraction(24, 25), RATE * Fraction(26, 25)}


def test_reversed_ends_with_the_first_frame(film):
    assert first_of(reversed_order(film, rng()), film) == [5, 4, 3, 2, 1, 0]


def test_a_crop_keeps_luma_and_chroma_together_and_stands_still(film):
    where = [np.indices((180, 320))[axis].astype(np.uint16) for axis in (0, 1)]
    half = np.indices((90, 160))
    frames = tuple((plane, half[0].astype(np.uint16), half[1].astype(np.uint16)) for plane in where)
    rows, columns = crop(replace(film, frames=frames), rng(4), share=0.7).frames
    assert rows[0].shape == (126, 224)
    assert rows[0][0, 0] == 2 * rows[1][0, 0]
    assert columns[0][0, 0] == 2 * columns[2][0, 0]
    np.testing.assert_array_equal(rows[1], columns[1])


def test_mirrored_twice_is_the_film(film):
    twice = mirrored(mirrored(film, rng()), rng())
    np.testing.assert_array_equal(twice.frames[2][1], film.frames[2][1])
    np.testing.assert_array_equal(
        mirrored(film, rng()).frames[0][0][:, 0], film.frames[0][0][:, -1]
    )


def test_rotation_leaves_no_black_corner():
    grey = np.full((180, 320), 200, np.uint8)
    still = Footage(((grey, grey[::2, ::2], grey[::2, ::2]),), RATE)
    for seed in range(4):
        for plane in rotate(still, rng(seed), degrees=5).frames[0]:
            assert plane.min() == plane.max() == 200
            assert plane.shape[0] > plane.shape[1] / 3


def test_brightness_is_that_of_rgb(film):
    dark = bright(film, rng(), factor=0.5)
    y, u, _ = film.frames[0]
    np.testing.assert_allclose(dark.frames[0][0], 16 + (y - 16.0) / 2, atol=0.5)
    np.testing.assert_allclose(dark.frames[0][1], 128 + (u - 128.0) / 2, atol=0.5)


def test_the_short_side_is_the_one_that_is_asked_for(film):
    assert short_side(film, rng(), pixels=90).shape == (90, 160)


def test_reframed_is_upright_with_the_whole_film_in_its_middle(film):
    seen = set()
    for seed in range(8):
        changed = reframed(film, rng(seed))
        assert changed.shape == (320, 180)
        y = changed.frames[0][0]
        inner = short_side(film, rng(), pixels=102).shape
        assert inner == (102, 182) or inner[0] == 102
        seen.add(bool((y[:60] == 16).all()))
        assert y[110:210].std() > 10
    assert seen == {True, False}


def test_a_picture_in_picture_lies_in_the_other_film(film):
    other = footage(4, (120, 200), seed=8)
    changed = pip(film, rng(2), other, share=0.5)
    assert changed.shape == film.shape
    assert len(changed.frames) == 6
    small = short_side(film, rng(), pixels=90).frames[1]
    y, u, _ = changed.frames[1]
    hits = [
        (top, left)
        for top in range(0, 92, 2)
        for left in range(0, 162, 2)
        if np.array_equal(y[top : top + 90, left : left + 160], small[0])
    ]
    assert len(hits) == 1
    top, left = (at // 2 for at in hits[0])
    np.testing.assert_array_equal(u[top : top + 45, left : left + 80], small[1])


def test_subtitles_cover_the_lower_part_and_change_each_second(film):
    long = replace(film, frames=film.frames[:1] * 30)
    changed = subtitled(long, rng())
    plain = film.frames[0][0]
    first, same_second, second = (changed.frames[at][0] for at in (0, 23, 24))
    np.testing.assert_array_equal(first, same_second)
    assert (first != second).any()
    np.testing.assert_array_equal(first[:130], plain[:130])
    share = np.mean(first != plain)
    assert 0.02 < share < 0.2
    assert first.max() >= 230


def test_a_logo_covers_one_corner(film):
    for seed in range(4):
        changed = logo(film, rng(seed)).frames[0][0] != film.frames[0][0]
        rows, columns = np.nonzero(changed)
        assert 0 < len(rows) < 0.05 * changed.size
        assert np.ptp(rows) < 50
        assert np.ptp(columns) < 50


def test_changes_follow_each_other(film):
    changed = chain(same, reversed_order, lambda seen, _: seen.cut(0, 1))(film, rng())
    assert first_of(changed, film) == [5]


def test_ten_bits_and_back_is_the_film_within_a_step(film):
    deep = ten_bits(film, rng())
    assert deep.format.bits == 10
    assert len(np.unique(deep.frames[0][0] & 3)) == 4
    back = eight_bits(deep)
    assert back.format.bits == 8
    difference = back.frames[0][0].astype(int) - film.frames[0][0]
    assert set(np.unique(difference)) <= {0, 1}


def test_the_white_and_black_of_hdr10_are_those_of_its_standard():
    """PQ of 1000 cd/m² is 0.7518 and of 0 is 0: samples of 64 + 876 · 0.7518 = 723, and 64."""
    planes = [np.full((32, 32), level, np.uint8) for level in (235, 16, 128)]
    grey = np.full((16, 16), 128, np.uint8)
    still = Footage(tuple((plane, grey, grey) for plane in planes), RATE)
    hdr = to_hdr10(still)
    assert hdr.format == HDR10
    white, black, middle = (int(frame[0][16, 16]) for frame in hdr.frames)
    assert abs(white - 723) <= 1
    assert abs(black - 64) <= 1
    # (112/219)^2.4 · 203 cd/m², with a little of the highlights' gain, is 41 cd/m²: PQ 0.42.
    assert abs(middle - (64 + 876 * 0.42)) < 6
    assert {int(frame[1][8, 8]) for frame in hdr.frames} == {512}
    back = tone_mapped(hdr)
    values = [int(frame[0][16, 16]) for frame in back.frames]
    assert values[0] == 235
    assert values[1] == 16
    assert 60 < values[2] < 160


def test_colours_come_back_from_hdr10_in_order(film):
    back = tone_mapped(to_hdr10(film))
    for plane, old in zip(back.frames[0], film.frames[0], strict=True):
        assert np.corrcoef(plane.ravel(), old.ravel())[0, 1] > 0.95


def test_too_many_or_too_few_films_are_a_slip(film, tmp_path):
    with pytest.raises(ValueError, match="takes 1 further films, not 0"):
        apply(ATTACKS["pip 50"], tmp_path / "a.mp4", film, rng())


def test_what_is_written_losslessly_is_read_again(film, tmp_path):
    path = tmp_path / "film.mkv"
    write(path, film.frames, rate=film.rate, coding=Coding("ffv1", {}, ".mkv"))
    again = read(path)
    assert again.rate == film.rate
    assert again.format == film.format
    for one, other in zip(again.frames, film.frames, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert len(read(path, count=2).frames) == 2
    with pytest.raises(ValueError, match="no frames"):
        write(tmp_path / "none.mp4", (), rate=RATE, coding=x264(23))


def test_films_are_found_once_by_name(film, tmp_path):
    for name in ("b.mp4", "a.mkv"):
        write(tmp_path / name, film.frames, rate=RATE, coding=x264(40, "ultrafast"))
    (tmp_path / "c.mp4").write_bytes((tmp_path / "b.mp4").read_bytes())
    (tmp_path / "d.txt").write_text("no film")
    assert [each.name for each in films([tmp_path])] == ["a.mkv", "b.mp4"]
    assert [each.name for each in films([tmp_path], limit=1)] == ["a.mkv"]


def test_a_minute_is_planned_round_the_work():
    for seed in range(20):
        plan = plan_minute([3.0, 9.0, 12.0], 5.0, rng(seed))
        work = [at for at, each in enumerate(plan) if each.film is None]
        assert len(work) == 1
        assert 0 < work[0] < len(plan) - 1
        assert 59.9 < sum(each.seconds for each in plan) < 65
        assert {each.film for each in plan} == {None, 0, 1, 2}
        assert all(each.seconds <= 3 for each in plan if each.film == 0)
    with pytest.raises(ValueError, match="other films"):
        plan_minute([], 5.0, rng())


def test_a_compilation_says_where_the_work_begins_and_ends(tmp_path):
    parts = [footage(12), footage(25, (90, 120)), footage(6)]
    parts[1] = replace(parts[1], rate=Fraction(25))
    path = tmp_path / "minute.mp4"
    place = compile_minute(path, iter(parts), x264(30, "ultrafast"), work=1)
    assert place == (0.5, 1.5)
    seen = read(path)
    assert len(seen.frames) == 12 + 24 + 6
    assert seen.shape == (720, 1280)
    pillar = seen.frames[20][0]
    assert pillar[:, :100].max() < 24
    assert pillar[:, 300:900].std() > 10
