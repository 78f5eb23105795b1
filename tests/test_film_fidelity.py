"""What a mark costs a film, and the measures that come from other people's packages."""

import numpy as np
import pytest

from bench import ssimulacra, vmaf
from bench.film_fidelity import flicker, summary

RNG = np.random.default_rng(5)


def frame(amount=0.0, size=(180, 320)):
    y, x = np.mgrid[: size[0], : size[1]]
    plane = 120 + 60 * np.sin(x / 9) * np.cos(y / 13)
    noisy = np.clip(plane + amount * np.random.default_rng(1).standard_normal(size), 16, 235)
    grey = np.full((size[0] // 2, size[1] // 2), 128, np.uint8)
    return np.rint(noisy).astype(np.uint8), grey, grey


@pytest.mark.skipif(vmaf.why_not() is not None, reason=str(vmaf.why_not()))
class TestVmaf:
    def test_it_is_told_for_each_frame_and_falls_with_noise(self):
        clean, little, much = ([frame(amount)] * 4 for amount in (0, 3, 20))
        same, slight, bad = (vmaf.vmaf(clean, test) for test in (clean, little, much))
        assert len(same) == len(slight) == len(bad) == 4
        assert np.mean(same) > np.mean(slight) > np.mean(bad)

    def test_films_of_two_sizes_are_not_compared(self):
        with pytest.raises(ValueError, match="one size"):
            vmaf.vmaf([frame()], [frame(size=(90, 160))])

    def test_a_still_may_have_odd_sides(self):
        plane = RNG.uniform(0, 255, (101, 163)).astype(np.float32)
        assert vmaf.of_picture(plane, plane) > vmaf.of_picture(plane, 255 - plane)


@pytest.mark.skipif(ssimulacra.why_not() is not None, reason=str(ssimulacra.why_not()))
def test_ssimulacra2_is_100_for_the_same_picture_and_falls_with_noise():
    picture = np.repeat(frame()[0][..., None], 3, axis=2)
    noisy = np.repeat(frame(10)[0][..., None], 3, axis=2)
    assert ssimulacra.ssimulacra2(picture, picture) == pytest.approx(100)
    assert ssimulacra.ssimulacra2(picture, noisy) < 90


def planes(count):
    return [RNG.integers(60, 190, (64, 96)).astype(np.uint8)] * count


def test_a_mark_that_stands_still_does_not_flicker_where_the_film_stands_still():
    plain = planes(4)
    added = RNG.integers(0, 3, plain[0].shape).astype(np.uint8)
    told = flicker(plain, [plane + added for plane in plain])
    assert told == {"still_blocks": 3 * 24, "flicker": 0.0, "flicker_worst": 0.0}


def test_flicker_is_the_root_mean_square_of_the_marks_change():
    plain = planes(3)
    told = flicker(plain, [plane + np.uint8(2 * (at % 2)) for at, plane in enumerate(plain)])
    assert told["flicker"] == told["flicker_worst"] == 2.0


def test_what_moves_is_not_looked_at_for_flicker():
    plain = [RNG.integers(0, 200, (32, 32)).astype(np.uint8) for _ in range(3)]
    told = flicker(plain, plain)
    assert told["still_blocks"] == 0
    assert np.isnan(told["flicker"])


def test_each_film_is_told_with_the_least_of_all():
    lines = [
        {
            "film": f"{name}.mp4",
            "frames": 48,
            "vmaf": value,
            "vmaf_least": value - 1,
            "jod": [9.9, 9.8 + (value - 96) / 100],
            "still_blocks": 10,
            "flicker": 0.5,
            "flicker_worst": 1.5,
        }
        for name, value in (("b", 96.0), ("a", 98.0))
    ]
    told = summary(lines)
    assert told.index("a.mp4") < told.index("b.mp4")
    assert "JOD of 4 stills: 9.855 in the mean, 9.800 least" in told
    assert "VMAF of 2 films: 97.00 in the mean, 96.00 least" in told
