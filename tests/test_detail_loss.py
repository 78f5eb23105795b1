"""What VMAF is expected to say: its laws; how near it comes is measured by `bench detail-loss`."""

import cv2
import numpy as np
import pytest

from bench.detail_loss import Measured, fit
from watermark.detail_loss import EXPONENT, affordable, detail_loss
from watermark.mask import activity


def seen(contrast, height=360, width=480):
    rng = np.random.default_rng(1)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 1.5)
    return activity((128 + contrast * noise / noise.std()).astype(np.float32))


def even(frame, amplitude):
    return np.full_like(frame.mean, amplitude)


@pytest.mark.parametrize("times", [0.5, 3.0])
def test_the_loss_is_a_power_of_the_amplitude(times):
    frame = seen(10)
    ratio = detail_loss(even(frame, times), frame, 480) / detail_loss(even(frame, 1), frame, 480)
    assert ratio == pytest.approx(times**EXPONENT, rel=1e-4)


def test_contrast_hides_a_mark():
    """Twice the contrast, half the loss."""
    losses = [detail_loss(even(frame, 1), frame, 720) for frame in (seen(8), seen(16), seen(32))]
    assert losses[0] / losses[1] == pytest.approx(2, rel=0.05)
    assert losses[1] / losses[2] == pytest.approx(2, rel=0.05)


def test_larger_frames_lose_more_up_to_the_size_of_the_model():
    frame = seen(10)
    losses = [detail_loss(even(frame, 1), frame, short) for short in (360, 480, 720, 1080, 2160)]
    assert losses[:4] == sorted(losses[:4])
    assert losses[3] == losses[4]


@pytest.mark.parametrize("value", [0.0, 128.0, 255.0])
def test_an_empty_frame_has_nothing_to_lose(value):
    frame = activity(np.full((360, 480), value, np.float32))
    assert 0 <= detail_loss(even(frame, 0.3), frame, 1080) < 0.5


def test_motion_affords_more():
    afforded = [affordable(motion, 95.4) for motion in (0, 0.5, 1, 2, 2.9)]
    assert afforded == sorted(afforded)
    assert afforded[0] == pytest.approx(97.43 - 95.4)
    assert affordable(3.0, 95.4) == float("inf")
    assert affordable(float("inf"), 95.4) == float("inf")


def test_the_fit_finds_the_constants_that_made_the_losses():
    """Twice the expected loss, growing with the side's power 0.5; 1.7 points a code value."""
    measured = [
        Measured(
            str(short),
            short,
            [(loss, 2 * loss * (short / 720) ** 0.5) for loss in (1.0, 2.5)],
            [(change, 1.7 * change) for change in (0.3, 1.2)] + [(5.0, 2.5)],
        )
        for short in (480, 720, 1080)
    ]
    told = fit(measured)
    assert told["loss_times"] == pytest.approx(2)
    assert told["size_power_plus"] == pytest.approx(0.5)
    assert told["deviation"] == pytest.approx(0)
    assert told["motion"] == pytest.approx(1.7)
    assert (told["pictures"], told["marks"], told["motion_pans"]) == (3, 6, 6)
