"""The laws of the numeric core, on pictures made here.

The statistical laws were seen to fail on broken code: with the norm of a soft word replaced by one
that takes the frames of a still clip for independent (naive variance), and with the number of
alignments or of code words left out of the charge (forgotten look-elsewhere).
"""

import contextlib
import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bench.fidelity import flat_blocks
from watermark.align import Alignment, fold, whole_frame
from watermark.coding import codeword
from watermark.decide import Hypothesis, decide, log_p, soft_word
from watermark.detect import detect, hypotheses, observe, read_back
from watermark.embed import delta, embed
from watermark.errors import EvidenceError, ProfileError
from watermark.evidence import Evidence, Observation
from watermark.frame import luma
from watermark.identify import Codebook
from watermark.key import Key
from watermark.pattern import mark_tile
from watermark.profile import DEFAULT, PROFILES, Profile
from watermark.transform import analyse, chip_count, synthesise

KEY = Key(bytes(range(32)))
NUMBER = 0x3F2A9C01B7DE
GOLDEN = Path(__file__).parent / "golden"


# Pictures: seeded, RGB, uint8.


@cache
def cel(height=540, width=960):
    """Draw flat shapes with ink lines."""
    picture = np.full((height, width, 3), (168, 205, 236), np.uint8)
    rng = np.random.default_rng(3)
    for _ in range(12):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(40, 160)), int(rng.integers(30, 120)))
        shape = (centre, axes, int(rng.integers(180)), 0, 360)
        cv2.ellipse(picture, *shape, rng.integers(40, 235, 3).tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(picture, *shape, (28, 20, 30), 3, cv2.LINE_AA)
    for x in range(40, width, 120):
        cv2.line(picture, (x, height - 90), (x + 70, height - 10), (30, 25, 30), 2, cv2.LINE_AA)
    picture.setflags(write=False)
    return picture


@cache
def gradient(height=540, width=960):
    rows, columns = np.mgrid[:height, :width]
    picture = 40 + 150 * rows / height + 40 * columns / width
    return np.repeat(np.rint(picture).astype(np.uint8)[..., None], 3, axis=2)


@cache
def texture(height=540, width=960):
    """Return a weave with grain."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    weave = 128 + 25 * np.sin(rows / 2.3) * np.sin(columns / 3.1)
    weave += np.random.default_rng(4).normal(0, 9, weave.shape)
    return np.repeat(np.clip(np.rint(weave), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


@cache
def photo(height=540, width=960, seed=5):
    """Noise whose spectrum falls as that of photographs: amplitude 1 over frequency."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    radius[0, 0] = 1
    planes = []
    for _ in range(3):
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) / radius)
        planes.append(noise / noise.std())
    shared = planes[0]
    mixed = np.stack([128 + 38 * (0.9 * shared + 0.3 * plane) for plane in planes], axis=2)
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


PICTURES = {"cel": cel, "gradient": gradient, "texture": texture, "photo": photo}


def jpeg(picture, quality):
    _, code = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]


def shrunk(picture, short):
    height, width = picture.shape[:2]
    scale = short / min(height, width)
    size = (round(width * scale), round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


@cache
def registry(marks=1000):
    numbers = np.random.default_rng(6).integers(0, 1 << 48, marks, np.uint64)
    numbers[0] = NUMBER
    return Codebook(numbers)


def named(picture, key=KEY):
    """Return the number that a picture is found to carry, None if none."""
    detection = detect(picture, [key], registry())
    best = detection.best
    return best.number if detection.verdict == "detected" and best.named else None


# Identity and golden values.


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_zero_gives_the_frame_back_exactly(name, dtype):
    picture = PICTURES[name]().astype(dtype) * dtype(257 if dtype == np.uint16 else 1)
    for each in (picture, np.ascontiguousarray(picture[..., 1])):
        marked = embed(each, KEY, NUMBER, strength=0)
        assert marked.dtype == dtype
        assert np.array_equal(marked, each)


@pytest.mark.parametrize("wavelet", ["haar", "db2", "db4", "sym4", "sym8", "coif1"])
@pytest.mark.parametrize("tile", [120, 136, 144, 200])
def test_analysis_undoes_synthesis_and_keeps_energy(wavelet, tile):
    profile = replace(DEFAULT, wavelet=wavelet, tile=tile)
    chips = np.random.default_rng(1).standard_normal(chip_count(profile))
    plane = synthesise(chips, profile)
    assert plane.shape == (tile, tile)
    off = np.abs(analyse(plane, profile) - chips).max()
    assert off < 1e-9, f"{wavelet}, tile {tile}: off by {off}"
    energies = np.square(plane).sum(), np.square(chips).sum()
    assert energies[0] == pytest.approx(energies[1], rel=1e-9), f"{wavelet}, tile {tile}"


def test_the_same_key_and_number_give_the_same_tile_everywhere():
    """Golden values from plain Python: ``python -m bench.golden > tests/golden/tile.json``."""
    golden = json.loads((GOLDEN / "tile.json").read_text())
    profile = replace(DEFAULT, **golden["profile"])
    tile = mark_tile(Key(bytes.fromhex(golden["key"])), int(golden["number"], 16), profile)
    rows, columns = np.array(golden["places"]).T
    assert np.abs(tile[rows, columns] - golden["values"]).max() < 1e-9
    assert tile.sum() == pytest.approx(golden["sum"], abs=1e-7)
    assert np.square(tile).sum() == pytest.approx(golden["sum_of_squares"], abs=1e-7)
    assert np.abs(tile).sum() == pytest.approx(golden["sum_of_absolutes"], abs=1e-7)


def test_another_key_or_number_gives_another_tile():
    tile = mark_tile(KEY, NUMBER, DEFAULT).ravel()
    for other in (mark_tile(Key(bytes(32)), NUMBER, DEFAULT), mark_tile(KEY, 7, DEFAULT)):
        assert abs(np.corrcoef(tile, other.ravel())[0, 1]) < 0.35


# Sums.


def pieces(kind, count=6):
    rng = np.random.default_rng(7)
    label = "profile"
    if kind == "evidence":
        return [Evidence(rng.standard_normal((8, 8)), n + 1, "key", label) for n in range(count)]
    planes = rng.standard_normal((count, 2, 6, 9)).astype(np.float32)
    return [
        Observation(canvas, np.abs(weight), (6.0, 9.2), n + 1, label)
        for n, (canvas, weight) in enumerate(planes)
    ]


def arrays(piece):
    return [piece.tile] if isinstance(piece, Evidence) else [piece.canvas, piece.weight]


@pytest.mark.parametrize("kind", ["evidence", "observation"])
@given(order=st.permutations(range(6)), cuts=st.lists(st.integers(0, 4), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_adding_is_commutative_and_associative(kind, order, cuts):
    """In any order, and in whatever brackets."""
    straight = pieces(kind)
    total = straight[0]
    for piece in straight[1:]:
        total = total + piece
    shuffled = [straight[place] for place in order]
    for cut in cuts:
        place = cut % (len(shuffled) - 1)
        shuffled[place : place + 2] = [shuffled[place] + shuffled[place + 1]]
    (other,) = shuffled
    assert other.frames == total.frames == 21
    for one, two in zip(arrays(total), arrays(other), strict=True):
        assert np.allclose(one, two, rtol=0, atol=1e-5 if one.dtype == np.float32 else 1e-12)


def test_observing_frames_together_is_adding_what_was_seen_of_each():
    frames = [photo(272, 480, seed) for seed in (1, 2, 3, 4)]
    together = observe(frames)
    apart = observe(frames[:1]) + observe(frames[1:])
    assert together.frames == apart.frames == 4
    assert np.allclose(together.canvas, apart.canvas, rtol=0, atol=1e-5)
    assert np.array_equal(together.weight, apart.weight)
    reversed_ = observe(frames[::-1])
    assert np.allclose(together.canvas, reversed_.canvas, rtol=0, atol=1e-5)


def test_folding_a_sum_is_summing_the_folds():
    one, two = (observe([photo(272, 480, seed)]) for seed in (1, 2))
    for alignment in whole_frame(one):
        apart = fold(one, alignment, KEY, DEFAULT) + fold(two, alignment, KEY, DEFAULT)
        together = fold(one + two, alignment, KEY, DEFAULT)
        assert np.allclose(together.tile, apart.tile, rtol=0, atol=1e-4)


def test_what_does_not_belong_together_does_not_add():
    evidence, observation = pieces("evidence")[0], pieces("observation")[0]
    for other in (replace(evidence, fingerprint="other"), replace(evidence, profile="other")):
        with pytest.raises(EvidenceError, match="one key and one profile"):
            evidence + other
    for other in (replace(observation, extent=(6.0, 9.3)), replace(observation, profile="other")):
        with pytest.raises(EvidenceError, match="share a profile"):
            observation + other
    with pytest.raises(EvidenceError, match="share a profile"):
        observe([photo(272, 480), photo(270, 480)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_where_it_enters(bad):
    """One NaN would spoil every later sum."""
    evidence, observation = pieces("evidence")[0], pieces("observation")[0]
    tile = evidence.tile.copy()
    tile[3, 4] = bad
    with pytest.raises(EvidenceError, match="finite"):
        replace(evidence, tile=tile)
    for name in ("canvas", "weight"):
        plane = getattr(observation, name).copy()
        plane[2, 2] = bad
        with pytest.raises(EvidenceError, match="finite"):
            replace(observation, **{name: plane})


# What is written down.


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a_standard_profile_is_read_back_from_its_string_and_its_name(profile):
    assert Profile.parse(str(profile)) == profile
    assert Profile.parse(profile.name) == profile


@given(
    pilot=st.floats(0, 0.99),
    flat=st.floats(0.01, 10),
    gain3=st.floats(0.01, 10),
    tile=st.integers(1, 40).filter(lambda n: n != 16),
    name=st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
)
def test_any_profile_is_read_back_from_its_string(pilot, flat, gain3, tile, name):
    profile = replace(DEFAULT, name=name, pilot=pilot, flat=flat, gain3=gain3, tile=8 * tile)
    assert Profile.parse(str(profile)) == profile


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (str(DEFAULT), ""),
        (str(DEFAULT), "draft-0"),
        ("$sukashi", "sukashi"),
        ("$sukashi$", "$argon2id$"),
        ("$draft", "$Draft"),
        (",noise=", ","),
        (",noise=", ",more=1,noise="),
        ("short=", "long="),
        ("tile=136", "tile=128"),
        ("tile=136", "tile=13.6"),
        ("pilot=", "pilot=1"),
        ("pilot=0.", "pilot=nan"),
        ("line_low=0", "line_low=7"),
    ],
)
def test_a_garbled_profile_is_refused(old, new):
    assert old in str(DEFAULT)
    with pytest.raises(ProfileError):
        Profile.parse(str(DEFAULT).replace(old, new))


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_of_profiles_stumble(text):
    with contextlib.suppress(ProfileError):
        assert Profile.parse(text).name in PROFILES


@pytest.mark.parametrize("kind", ["evidence", "observation"])
def test_bytes_give_back_what_was_written(kind):
    for piece in pieces(kind):
        again = type(piece).from_bytes(piece.to_bytes())
        assert (again.frames, again.profile) == (piece.frames, piece.profile)
        if kind == "evidence":
            assert again.fingerprint == piece.fingerprint
        else:
            assert again.extent == piece.extent
        for one, two in zip(arrays(piece), arrays(again), strict=True):
            assert one.dtype == two.dtype
            assert np.array_equal(one, two)
        assert (again + piece).frames == 2 * piece.frames


@pytest.mark.parametrize("kind", ["evidence", "observation"])
def test_damaged_bytes_are_refused(kind):
    """Cut anywhere or with any one bit turned over: an EvidenceError and nothing else."""
    piece = pieces(kind, count=1)[0]
    blob = piece.to_bytes()
    for length in range(len(blob)):
        with pytest.raises(EvidenceError):
            type(piece).from_bytes(blob[:length])
    for bit in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(EvidenceError):
            type(piece).from_bytes(bytes(damaged))
    for other in (pieces({"evidence": "observation"}.get(kind, "evidence"))[0].to_bytes(), b"\0"):
        with pytest.raises(EvidenceError):
            type(piece).from_bytes(other)


# False alarms.


@cache
def content(name):
    """Return an observation without a mark."""
    if name == "photo":
        return observe([photo(272, 480)])
    if name == "flat":
        return observe([shrunk(cel(), 272)])
    rng = np.random.default_rng(8)
    still = photo(272, 480).astype(np.float64)
    copies = (still + rng.normal(0, 3, still.shape) for _ in range(30))
    return observe(np.clip(np.rint(copy), 0, 255).astype(np.uint8) for copy in copies)


# The pilot costs most of the time and plays no part in a message's z.
FEW_LINES = replace(DEFAULT, lines=1)


def best_scores(folds, codebook, keys):
    """Return the best z of many wrong keys, and what `decide` charges for such a search.

    `folds` are (alignment, evidence), folded once, since no key is needed for that.
    """
    words = codebook.codewords(np.arange(len(codebook))).T.astype(np.float64)
    scores = []
    for index in range(keys):
        key = Key(index.to_bytes(32, "big"))
        tried = [
            Hypothesis(replace(tile, fingerprint=key.fingerprint), alignment, key, FEW_LINES)
            for alignment, tile in folds
        ]
        soft = np.stack([soft_word(each.evidence, key, FEW_LINES) for each in tried])
        scores.append((soft @ words).max())
    assert decide(tried, codebook).candidates[0].z == pytest.approx(scores[-1])
    # What is charged must not hang on what is seen, so silence tells it.
    nothing = [
        replace(each, evidence=replace(each.evidence, tile=np.zeros_like(each.evidence.tile)))
        for each in tried
    ]
    return np.array(scores), decide(nothing, codebook).log_trials


def folded(observation, alignments=None):
    chosen = alignments or whole_frame(observation)[:1]
    return [(each, fold(observation, each, KEY, FEW_LINES)) for each in chosen]


def assert_calibrated(scores, log_trials, levels=(0.1, 0.01)):
    """No more p-values under a level than chance allows once in ten thousand runs."""
    p = np.array([log_p(z, log_trials) for z in scores])
    for level in levels:
        under = int((p < math.log(level)).sum())
        most = binom.isf(1e-4, len(p), level)
        assert under <= most, f"{under} of {len(p)} wrong keys have p < {level}"


@pytest.mark.parametrize("name", ["photo", "flat", "still clip"])
def test_wrong_keys_are_rarely_significant(name):
    """A variance that takes the frames of a still clip for independent fails here."""
    scores, charge = best_scores(folded(content(name)), registry(1), 1200)
    assert_calibrated(scores, charge)
    assert abs(scores.mean()) < 0.116  # 4 standard errors
    assert 0.92 < scores.std() < 1.08  # not only no larger: a test that never fires is none


def test_alignments_are_paid_for():
    """A charge that forgets how many alignments were decided on fails here."""
    observation = content("photo")
    shifts = np.random.default_rng(9).uniform(0, DEFAULT.tile, (22, 2))
    moved = [
        Alignment(((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0)), "shifted")
        for x, y in shifts.tolist()
    ]
    alignments = (*whole_frame(observation), *moved)
    scores, charge = best_scores(folded(observation, alignments), registry(1), 120)
    assert_calibrated(scores, charge)
    assert charge >= math.log(24)


def test_shares_are_paid_for():
    """Shares that do not sum to 1, or that favour what has the best score, fail here."""
    rng = np.random.default_rng(12)
    shifts = rng.uniform(0, DEFAULT.tile, (5, 2)).tolist()
    moved = [
        Alignment(((1.0, 0.0, x), (0.0, 1.0, y), (0.0, 0.0, 1.0)), "shifted") for x, y in shifts
    ]
    observation = content("photo")
    plain = whole_frame(observation)
    folds = folded(observation, (*plain, *moved))
    log_ps = []
    for index in range(250):
        key = Key(index.to_bytes(32, "big"))
        tried = [
            Hypothesis(
                replace(tile, fingerprint=key.fingerprint),
                alignment,
                key,
                FEW_LINES,
                plain=place < len(plain),
            )
            for place, (alignment, tile) in enumerate(folds)
        ]
        log_ps.append(decide(tried, registry(1)).best.log_p)
    for level in (0.3, 0.1, 0.01):
        under = int((np.array(log_ps) < math.log(level)).sum())
        assert under <= binom.isf(1e-4, len(log_ps), level)
    assert (np.array(log_ps) < math.log(0.5)).any()  # not only because nothing is ever small


def test_code_words_are_paid_for():
    """A charge that forgets how many works were compared fails here."""
    scores, charge = best_scores(folded(content("flat")), registry(1000), 500)
    assert_calibrated(scores, charge)
    assert charge >= math.log(1000)


def test_every_choice_is_counted():
    """Keys × alignments × code words; without a registry, all numbers of 48 bits."""
    observation = content("photo")
    keys = [Key(bytes([n]) * 32) for n in range(3)]
    tried = hypotheses(observation, keys)
    assert len(tried) == 3 * 2
    assert decide(tried, registry()).log_trials >= math.log(6 * 1000)
    assert decide(tried).log_trials >= math.log(6) + 48 * math.log(2)


# Marks are found, and only marks.


@cache
def marked(name="photo"):
    return embed(PICTURES[name](), KEY, NUMBER)


@pytest.mark.parametrize("name", PICTURES)
def test_a_mark_is_found_also_mirrored(name):
    assert named(marked(name)) == NUMBER
    mirrored = detect(np.ascontiguousarray(marked(name)[:, ::-1]), [KEY], registry())
    assert mirrored.verdict == "detected"
    assert mirrored.best.number == NUMBER
    assert mirrored.best.alignment.mirrored


@pytest.mark.parametrize(
    "shape", [(481, 855), (960, 541), (301, 407), (256, 256), (1081, 777), (512, 512)]
)
def test_a_mark_is_found_at_any_size(shape):
    """Odd, portrait, smaller and larger than the canonical grid."""
    assert named(embed(photo(*shape), KEY, NUMBER)) == NUMBER


@pytest.mark.parametrize("layout", ["grey", "deep", "deep grey"])
def test_a_mark_is_found_in_other_layouts(layout):
    picture = photo()
    if "grey" in layout:
        picture = np.ascontiguousarray(picture[..., 0])
    if "deep" in layout:
        picture = picture.astype(np.uint16) * np.uint16(257) + np.uint16(31)
    after = embed(picture, KEY, NUMBER)
    assert after.dtype == picture.dtype
    assert after.shape == picture.shape
    assert named(after) == NUMBER


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda picture: jpeg(picture, 50), id="jpeg 50"),
        pytest.param(lambda picture: shrunk(picture, 256), id="resize 256"),
        pytest.param(lambda picture: shrunk(jpeg(picture, 60), 256), id="both"),
    ],
)
def test_a_mark_outlives_compression_and_a_thumbnail(damage):
    assert named(damage(marked())) == NUMBER


def test_without_a_registry_the_number_is_decoded():
    detection = detect(jpeg(marked(), 50), [KEY])
    assert detection.verdict == "detected"
    assert detection.best.number == NUMBER
    assert not detection.best.registered


def test_what_is_read_back_is_what_is_found():
    detection = detect(marked(), [KEY], registry())
    assert read_back(marked(), KEY, NUMBER) == pytest.approx(detection.best.z)
    soft = soft_word(
        fold(observe([marked()]), whole_frame(observe([marked()]))[0], KEY, DEFAULT), KEY, DEFAULT
    )
    assert soft @ codeword(NUMBER) == pytest.approx(detection.best.z)


@pytest.mark.parametrize("name", ["photo", "texture", "cel", "gradient"])
def test_nothing_is_found_where_there_is_nothing(name):
    for picture, key in ((PICTURES[name](), KEY), (marked(name), Key(bytes(32)))):
        detection = detect(picture, [key], registry())
        assert detection.verdict == "not-found"
        assert detection.found == ()


def test_a_black_picture_could_not_have_shown_a_mark():
    black = np.zeros((300, 400, 3), np.uint8)
    assert detect(black, [KEY], registry()).verdict == "inconclusive"
    assert detect(black, [KEY]).verdict == "inconclusive"


def test_two_marks_in_one_picture_are_both_named():
    other = int(registry().numbers[17])
    both = embed(marked(), KEY, other)
    detection = detect(both, [KEY], registry())
    assert detection.verdict == "detected"
    assert {found.number for found in detection.found} == {NUMBER, other}
    assert all(found.named for found in detection.found)
    assert [found.model_based for found in detection.found] == [False, True]


# What is seen of a mark.


@pytest.mark.parametrize("shape", [(540, 960), (720, 1280), (1080, 1920)])
def test_flat_areas_stay_quiet_also_beside_lines(shape):
    """At most 0.8 code values over all flat blocks, and 1.2 in 99 of 100 blocks."""
    host = luma(cel(*shape))
    energy, near = flat_blocks(host, delta(host, KEY, NUMBER))
    assert near.sum() > 100
    for chosen in (energy, energy[near]):
        assert math.sqrt(chosen.mean()) <= 0.8
        assert math.sqrt(np.quantile(chosen, 0.99)) <= 1.2


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_stay_pure(value):
    """Within one code value where a picture is black or white all around."""
    picture = photo().copy()
    picture[100:400, 200:700] = value
    plain = np.full_like(picture, value)
    for each, inner in ((plain, plain), (picture, picture[130:370, 230:670])):
        after = embed(each, KEY, NUMBER).astype(int)
        if each is picture:
            after = after[130:370, 230:670]
        assert np.abs(after - inner).max() <= 1


def test_colour_differences_do_not_change():
    before, after = photo().astype(int), marked().astype(int)
    for one, two in ((0, 1), (1, 2)):
        assert np.array_equal(
            before[..., one] - before[..., two], after[..., one] - after[..., two]
        )
