"""What a mark costs a film, and the measures that come from other people's packages."""

import numpy as np
import pytest

from bench import ssimulacra, vmaf

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
    assert ssimulacra.ssimulacra2(picture, noisy) < 80
