"""PSNR and SSIM agree with scikit-image."""

import math

import numpy as np
import pytest

from watermark.quality import psnr, ssim


def pair(dtype, shape):
    rng = np.random.default_rng(5)
    top = 65535 if dtype == np.uint16 else 255
    clean = np.kron(rng.random((shape[0] // 8, shape[1] // 8, *shape[2:])), np.ones((8, 8, 1)))
    clean = clean.reshape(shape) * top
    noisy = np.clip(clean + rng.normal(0, top / 60, shape), 0, top)
    if dtype == np.float32:
        return clean.astype(dtype), noisy.astype(dtype)
    return np.rint(clean).astype(dtype), np.rint(noisy).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(64, 96), (64, 96, 3), (480, 640)])
def test_agrees_with_scikit_image(dtype, shape):
    """An independent implementation of the same papers is the golden value."""
    metrics = pytest.importorskip("skimage.metrics")
    clean, noisy = pair(dtype, shape if len(shape) == 3 else (*shape, 1))
    clean, noisy = clean.reshape(shape), noisy.reshape(shape)
    span = 65535 if dtype == np.uint16 else 255
    expected = metrics.structural_similarity(
        clean,
        noisy,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=span,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(clean, noisy) == pytest.approx(expected, abs=2e-5)
    expected = metrics.peak_signal_noise_ratio(clean, noisy, data_range=span)
    assert psnr(clean, noisy) == pytest.approx(expected, abs=1e-4)


def test_equal_pictures():
    """Equal pictures are infinitely near by PSNR, and alike by 1, black ones too."""
    for picture in (pair(np.uint8, (64, 96, 3))[0], np.zeros((16, 16), np.uint8)):
        assert math.isinf(psnr(picture, picture))
        assert ssim(picture, picture) == pytest.approx(1, abs=1e-6)


def test_a_known_psnr():
    """One code value everywhere is 20 log10(255) dB, in 8 bits and in 16."""
    black = np.zeros((300, 300, 3), np.uint8)
    assert psnr(black, black + np.uint8(1)) == pytest.approx(20 * math.log10(255), abs=1e-6)
    deep = black.astype(np.uint16)
    assert psnr(deep, deep + np.uint16(257)) == pytest.approx(20 * math.log10(255), abs=1e-6)
    assert psnr(black, black + np.uint8(1), data_range=1) == pytest.approx(0)


def test_what_cannot_be_compared_is_refused():
    small = np.zeros((10, 40), np.uint8)
    with pytest.raises(ValueError, match="one shape"):
        psnr(small, small.T)
    with pytest.raises(ValueError, match="one shape"):
        psnr(small, small.astype(np.uint16))
    with pytest.raises(ValueError, match="shape"):
        psnr(small[0], small[0])
    with pytest.raises(ValueError, match="at least 11"):
        ssim(small, small)
    with pytest.raises(ValueError, match="positive"):
        psnr(small, small, data_range=0)
