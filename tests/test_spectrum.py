"""What a window's transform says of a sinusoid, and where the windows lie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilots import centres, noise

from watermark.spectrum import spectrum, windows

SIDES = [(160, 200), (161, 135), (200, 97)]
AMPLITUDE = 2.0

# Below a few cycles in the window a wave and its conjugate overlap.
frequency = st.floats(0.05, 0.45)


def sinusoid(shape, wave, phase):
    """Return a wave in noise, whose phase is `phase` in the middle of the window."""
    height, width = shape
    turns = (centres(shape) - (width / 2, height / 2)) @ wave
    plain = AMPLITUDE * np.cos(2 * np.pi * turns + phase) + noise(shape)
    return spectrum(plain.astype(np.float32), (0.0, 0.0))


def turned_by(value, phase):
    return abs(np.angle(value * np.exp(-1j * phase)))


@given(st.sampled_from(SIDES), frequency, frequency, st.booleans(), st.floats(-3.1, 3.1))
def test_a_sinusoid_has_its_phase_in_the_middle_of_the_window(shape, x, y, down, phase):
    wave = np.array([x, -y if down else y])
    seen = sinusoid(shape, wave, phase)
    here, there = seen.amplitudes(np.array([wave, -wave]))
    assert turned_by(here, phase) < 0.15
    assert turned_by(there, -phase) < 0.15


@given(st.sampled_from(SIDES), frequency, frequency, st.booleans())
def test_a_sinusoid_stands_out_where_it_is(shape, x, y, down):
    wave = np.array([x, -y if down else y])
    seen = sinusoid(shape, wave, 1.0)
    steps = np.array([(dx, dy) for dx in (-3, 0, 3) for dy in (-3, 0, 3)]) / shape[::-1]
    sizes = np.abs(seen.amplitudes(wave + steps))
    assert sizes.argmax() == 4
    assert sizes[4] > 3 * np.median(sizes)


@given(st.sampled_from(SIDES), frequency, frequency)
def test_frequencies_on_an_axis_are_read_from_both_sides(shape, x, y):
    """Where x changes its sign the stored half ends."""
    for wave in (np.array([x, 0.0]), np.array([0.0, y])):
        seen = sinusoid(shape, wave, 0.7)
        for tiny in (-1e-9, 0.0, 1e-9):
            value = seen.amplitudes(wave + tiny)
            assert turned_by(value, 0.7) < 0.15


@pytest.mark.parametrize("shape", SIDES)
def test_noise_has_power_one(shape):
    """Also where it is not white."""
    plain = noise(shape, 2)
    coloured = plain + np.roll(plain, 1, axis=1)
    for part in (plain, coloured):
        seen = spectrum(part, (0.0, 0.0))
        assert seen.power.mean() == pytest.approx(1, abs=0.05)
        rows, columns = np.mgrid[-20:20:5, 0:30:7]
        waves = seen.amplitudes(np.stack([columns, rows], axis=-1) / seen.shape[::-1])
        powers = seen.power[rows + seen.shape[0] // 2, columns]
        assert np.allclose(np.abs(waves) ** 2, powers, rtol=1e-3, atol=1e-4)
        assert seen.smooth.mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shape", [*SIDES, (512, 600)])
def test_noise_has_power_one_between_bins_too(shape):
    rng = np.random.default_rng(4)
    waves = rng.uniform(0.05, 0.45, (4000, 2)) * rng.choice((-1, 1), (4000, 2))
    seen = spectrum(noise(shape, 8), (0.0, 0.0))
    assert 0.85 < np.square(np.abs(seen.amplitudes(waves))).mean() < 1.1


def test_an_empty_window_has_no_power():
    seen = spectrum(np.zeros((150, 180), np.float32), (0.0, 0.0))
    assert not seen.power.any()
    assert np.isfinite(seen.waves).all()


def test_a_line_of_the_host_does_not_decide():
    """However strong a wave, a coarse search sees little of it."""
    loud, quiet = (
        spectrum(
            (size * np.cos(0.9 * centres((160, 200))[..., 0]) + noise((160, 200))).astype("f4"),
            (0.0, 0.0),
        )
        for size in (1000, 5)
    )
    assert loud.smooth.max() < 1.5 * quiet.smooth.max()


@given(st.integers(1, 900), st.integers(1, 900), st.integers(64, 600))
def test_windows_cover_the_canvas_and_overlap_by_a_third(height, width, side):
    covered = [np.zeros(height, int), np.zeros(width, int)]
    for top, left, tall, wide in windows((height, width), side):
        assert (tall, wide) == (min(side, height), min(side, width))
        assert top >= 0
        assert left >= 0
        assert top + tall <= height
        assert left + wide <= width
        covered[0][top : top + tall] += 1
        covered[1][left : left + wide] += 1
    tops, lefts = (
        sorted({each[axis] for each in windows((height, width), side)}) for axis in (0, 1)
    )
    assert len(windows((height, width), side)) == len(tops) * len(lefts)
    for starts, count in zip((tops, lefts), covered, strict=True):
        assert count.min() >= 1
        assert max(np.diff(starts), default=0) <= side * 2 / 3 + 1


def test_without_a_side_there_is_one_window():
    assert windows((270, 480), None) == [(0, 0, 270, 480)]
