"""The bench: attacks are pure, counts add, and an experiment runs from end to end."""

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import norm

from bench.attacks import ATTACKS, apply
from bench.corpus import corpus_hash, find, load, side_by_side
from bench.false_alarms import folded, sign_sums
from bench.fidelity import BLOCK, flat_blocks
from bench.report import lines_of, rated, resumed, table, write_lines
from bench.score import Score
from bench.stills import registry, summary
from bench.survival import Counts
from bench.tricks import TRICKS
from watermark.align import whole_frame
from watermark.detect import observe
from watermark.errors import UnreadableMedia

ROOT = Path(__file__).parent.parent


def painting(height=144, width=208, seed=1):
    """Return clouds with grain and outlines."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (4, 6, 3)).astype(np.float32)
    canvas = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    canvas += cv2.GaussianBlur(rng.normal(0, 40, canvas.shape).astype(np.float32), (0, 0), 1.5)
    cv2.circle(canvas, (width // 3, height // 2), height // 4, (20, 20, 30), 3)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two pictures, a copy of one, one too small, and a file that is no picture."""
    for name, seed in (("one.png", 1), ("two.png", 2), ("one again.png", 1)):
        cv2.imwrite(str(tmp_path / name), painting(272, 400, seed)[..., ::-1])
    cv2.imwrite(str(tmp_path / "small.png"), painting(100, 400))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_pure_and_repeatable(name):
    """It leaves its input alone, and all its chance comes from the generator."""
    picture = painting()
    before = picture.copy()
    first, second = (apply(name, picture, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(picture, before)
    assert np.array_equal(first, second)
    assert first.dtype == np.uint8
    assert first.ndim == (2 if name == "grey" else 3)
    assert not np.shares_memory(first, picture)
    if name != "none":
        assert first.shape != picture.shape or not np.array_equal(first, picture)


def test_attacks_do_what_they_say():
    grey = np.full((128, 160, 3), 100, np.uint8)
    rng = np.random.default_rng(1)
    levels = {
        "brightness x0.5": 50,
        "brightness x1.5": 150,
        "contrast x0.5": 114,
        "contrast x1.5": 86,
        "gamma 0.7": 132,
        "gamma 1.4": 69,
        "hue +30": 100,
        "saturation x0.5": 100,
        "posterise 4": 102,
        "sharpen": 100,
    }
    for name, level in levels.items():
        assert (apply(name, grey, rng) == level).all(), name
    assert apply("resize 256", painting(300, 451), rng).shape == (256, 385, 3)
    assert apply("resize 128", painting(451, 300), rng).shape == (192, 128, 3)
    noise = apply("noise 10", grey, rng).astype(float) - grey
    assert noise.std() == pytest.approx(10, rel=0.02)
    assert np.array_equal(apply("mirrored", painting(), rng)[:, ::-1], painting())


def test_coding_keeps_the_colours_in_their_place():
    """Red stays red through every codec, at about the quality that was asked for."""
    rng = np.random.default_rng(1)
    errors = {}
    for name in ("jpeg 75", "jpeg 50", "jpeg 25", "jpeg 10", "webp 75", "webp 40", "avif 40"):
        after = apply(name, painting(), rng).astype(float)
        errors[name] = np.abs(after - painting()).mean()
        assert errors[name] < 12, name
    assert errors["jpeg 75"] < errors["jpeg 50"] < errors["jpeg 25"] < errors["jpeg 10"]
    assert errors["webp 75"] < errors["webp 40"]


def test_the_table_of_attacks_is_that_of_the_promise():
    targets = [attack.target for attack in ATTACKS.values()]
    assert [targets.count(share) for share in (0.99, 0.97, 0.93, 0.9, 0.8, 0.6, 0.55)] == [
        *(15, 7, 1, 1, 1, 1, 1)
    ]
    assert all(attack.about for attack in ATTACKS.values())


def test_scores_add():
    assert Score(3, 4) + Score(0, 6) == Score(3, 10)
    assert sum([Score(1, 2), Score(2, 2)], start=Score()) == Score(3, 4)
    assert Score(3, 10).rate == 0.3
    assert math.isnan(Score().rate)
    assert Score().interval() == (0, 1)
    for found, trials in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="no count"):
            Score(found, trials)


def test_intervals_are_those_of_clopper_and_pearson():
    """0 of 1,000 is at most 0.37 %; 12 of 13 by R: ``binom.test(12, 13)$conf.int``."""
    assert Score(0, 1000).interval()[1] == pytest.approx(1 - 0.025**0.001)
    assert rated(Score(0, 1000)) == "0/1000 (≤ 0.37 %)"
    assert Score(12, 13).interval() == pytest.approx((0.6397, 0.9981), abs=1e-4)
    assert rated(Score(12, 13)) == "12/13, 92.3 % (64.0 to 99.8)"


def test_a_corpus_is_named_by_its_contents(folder, capsys):
    pictures = find([folder], min_short=200)
    assert [picture.name for picture in pictures] == ["one again.png", "two.png"]
    digest = corpus_hash(pictures)
    assert corpus_hash(pictures[::-1]) == digest
    assert corpus_hash(pictures[:1]) != digest
    (folder / "two.png").rename(folder / "zwei.png")
    assert corpus_hash(find([folder], min_short=200)) == digest
    assert corpus_hash(find([folder], min_short=50)) != digest
    (folder / "zwei.png").write_bytes(b"damaged")
    assert len(find([folder], min_short=200)) == 1
    assert "left out: " in capsys.readouterr().out


def test_a_picture_is_read_as_shown_in_eight_bits(folder):
    (one, _) = find([folder], min_short=200)
    assert np.array_equal(load(one), painting(272, 400, 1))
    assert one.rng(1, "mark").integers(1 << 40) == one.rng(1, "mark").integers(1 << 40)
    assert one.rng(1, "mark").integers(1 << 40) != one.rng(2, "mark").integers(1 << 40)
    deep = folder / "deep.png"
    cv2.imwrite(str(deep), painting(272, 400, 3)[..., 0].astype(np.uint16) * 257)
    (picture,) = find([deep], min_short=200)
    assert np.array_equal(load(picture), np.repeat(painting(272, 400, 3)[..., :1], 3, axis=2))
    with pytest.raises(UnreadableMedia):
        load(type(picture)(folder / "notes.txt", ""))


def test_work_is_yielded_in_order():
    assert list(side_by_side(math.factorial, range(6), jobs=1)) == [1, 1, 2, 6, 24, 120]


def test_lines_survive_being_cut_off(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    write_lines(path, [{"psnr": math.inf, "z": [1.5, math.nan], "found": np.bool_(True)}])
    write_lines(path, [{"z": 2}], append=True)
    with path.open("a") as file:
        file.write('{"z": ')
    assert list(lines_of(path)) == [{"psnr": None, "z": [1.5, None], "found": True}, {"z": 2}]


def test_a_broken_line_among_others_hides_none_of_them(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"z": 1}\n{"z": \n{"z": 3}\n')
    with pytest.raises(ValueError, match=r"lines\.jsonl: line 2 of 3"):
        list(lines_of(path))
    with pytest.raises(SystemExit, match="line 2 of 3"):
        resumed(path, {"seed": 1}, ["seed"], keep=True)
    assert path.read_text().count("\n") == 3
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"lines\.jsonl: this is no text"):
        list(lines_of(path))


@pytest.mark.parametrize(("keep", "kept"), [(True, 2), (False, 0)])
def test_rows_of_another_run_are_put_aside(tmp_path, capsys, keep, kept):
    path = tmp_path / "lines.jsonl"
    write_lines(path, [{"seed": 1}, {"seed": 2}, {"seed": 1}])
    before = path.read_bytes()
    assert resumed(path, {"seed": 1}, ["seed"], keep=keep) == [{"seed": 1}] * kept
    assert len(list(lines_of(path))) == kept
    assert (tmp_path / "lines.jsonl.before").read_bytes() == before
    assert f"{3 - kept} rows" in capsys.readouterr().err
    write_lines(path, [{"seed": 3}])
    assert resumed(path, {"seed": 1}, ["seed"], keep=keep) == []
    assert (tmp_path / "lines.jsonl.before").read_bytes() == before
    assert list(lines_of(tmp_path / "lines.jsonl.before1")) == [{"seed": 3}]


def test_rows_of_the_same_run_go_on_where_they_are(tmp_path):
    path = tmp_path / "lines.jsonl"
    write_lines(path, [{"seed": 1}] * 2)
    assert len(resumed(path, {"seed": 1}, ["seed"], keep=True)) == 2
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_table_is_markdown():
    assert table(("a", "bee"), [(1, 2)]).splitlines() == [
        "| a | bee |",
        "| - | --- |",
        "| 1 | 2   |",
    ]


def test_a_registry_is_drawn_from_its_seed():
    codebook = registry(5000, 1)
    assert len(codebook) == 5000
    assert np.array_equal(codebook.numbers, registry(5000, 1).numbers)
    assert not np.array_equal(codebook.numbers, registry(5000, 2).numbers)


def test_flat_blocks_tell_those_beside_a_line():
    host = np.full((10 * BLOCK, 12 * BLOCK), 90, np.float32)
    host[:, 4 * BLOCK + 3] = 10
    added = np.full_like(host, 0.5)
    added[:, :BLOCK] = 2
    energy, near = flat_blocks(host, added)
    assert energy.size == 10 * 11
    assert near.sum() == 10 * 2
    assert sorted(np.unique(energy)) == [0.25, 4]


def test_counts_of_scores_add():
    scores = np.random.default_rng(2).standard_normal(20_000)
    total = sum((Counts.of(part) for part in np.split(scores, 4)), start=Counts.none())
    assert total.trials == 20_000
    for z in (-1.0, 0.0, 1.5, 2.7):
        assert total.above(z).found == (scores >= z).sum()
    assert Counts.of([50.0, -50.0]).above(8.0) == Score(1, 2)


def test_many_wrong_keys_are_drawn_as_a_key_draws():
    """The sums of table look-ups are sums of all chips under fair signs: normal, and bit by bit."""
    observation = observe([painting(272, 400)])
    chips = folded(observation, whole_frame(observation))
    assert np.allclose(np.linalg.norm(chips, axis=1), 1)
    rng = np.random.default_rng(3)
    soft = np.concatenate(list(sign_sums(chips, 6000, rng)))
    assert soft.shape == (6000, 2, 256)
    z = soft.sum(axis=2)
    assert np.abs(z.mean(axis=0)).max() < 0.06
    assert z.std(axis=0) == pytest.approx([1, 1], abs=0.04)
    assert (z >= 1.0).mean() == pytest.approx(norm.sf(1.0), abs=0.015)
    assert np.square(soft).sum(axis=2).mean() == pytest.approx(1, abs=0.01)  # bits independent
    # Both alignments meet the same signs, so their scores are correlated as the residuals are.
    assert np.corrcoef(z.T)[0, 1] == pytest.approx(chips[0] @ chips[1], abs=0.05)


def test_tricks_are_pictures():
    periods = [name for name in TRICKS if name.startswith("checkerboard")]
    assert len(periods) == 253
    for name in [*(name for name in TRICKS if name not in periods), periods[0], periods[-1]]:
        picture = TRICKS[name]()
        assert picture.dtype == np.uint8, name
        assert picture.shape[2] == 3, name
        assert min(picture.shape[:2]) >= 512, name


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_stills_run_from_end_to_end(folder):
    out = folder / "out" / "stills.jsonl"
    options = ("--min-short", 200, "--marks", 2000, "--out", out)
    run = bench("stills", folder, *options, "--jobs", 1, "--attacks", "none,jpeg 75,unmarked")
    assert run.returncode == 0, run.stderr
    lines = list(lines_of(out))
    assert len(lines) == 2 * 3
    for line in lines:
        assert line["found"] is (line["attack"] != "unmarked")
        assert line["profile"].startswith("$sukashi$")
        assert len(line["sha256"]) == 64
        assert {"commit", "seed", "corpus", "versions", "marks", "z", "log10_p"} <= line.keys()
    assert "| 2/2, 100.0 % (15.8 to 100.0) |" in run.stdout
    assert "Unmarked pictures called marked: 0/2" in run.stdout

    again = bench("stills", folder, *options, "--jobs", 2, "--attacks", "none,grey", "--resume")
    assert again.returncode == 0, again.stderr
    kept = list(lines_of(out))
    assert kept[:6] == lines
    assert [line["attack"] for line in kept[6:]] == ["grey", "grey"]


def test_a_miss_and_a_wrong_name_are_listed():
    line = {"attack": "jpeg 10", "picture": "a.png", "found": False, "verdict": "not-found"}
    line |= {"named": False, "right": False, "z": 5.2}
    wrong = line | {"verdict": "detected", "named": True, "picture": "b.png"}
    text = summary([line, wrong])
    assert "Misses: 2" in text
    assert "WRONG, NAMED" in text
    assert "| short |" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 0, "false-alarms"),
        (("nonsense",), 2, "usage"),
        (("stills", "--help"), 0, "python -m bench stills"),
        (("stills", "tests", "--min-short", "200"), 2, "no picture"),
        (("stills", "tests", "--attacks", "smash"), 2, "no attack is called smash"),
    ],
)
def test_the_bench_says_what_it_offers(arguments, code, said):
    run = bench(*arguments)
    assert run.returncode == code
    assert said in run.stdout + run.stderr
