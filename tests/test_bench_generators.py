"""Training on marked frames: the plan, the sets, the models, and what is told of them."""

import itertools
import json
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from bench.attacks import ATTACKS
from bench.generators import command, page, sets
from bench.generators import running as generators_running
from bench.generators.frames import PIPELINES, WORKS, Marking, draw
from bench.generators.plan import GROUPS, Run, chosen, runs
from bench.generators.running import Bench, identity
from bench.generators.sets import Store, Wanted, whole
from bench.generators.statistic import catalogue, measured
from bench.generators.training import Course, Trained, mixed
from bench.generators.transformer import Shape

CHIPS = (3468, 867)  # of wavelet levels 2 and 3
EXACT = Course(steps=8, batch=4, precision="float32")
TINY = Shape(channels=2, side=8, patch=4, width=32, layers=1, heads=2)


def painting(seed, height=360, width=640):
    """Return a soft picture with some grain, so that a mark can stand in it."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 215, (9, 16, 3)).astype(np.float32)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft + rng.normal(0, 2, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pictures."""
    place = tmp_path_factory.mktemp("pictures")
    for seed in (1, 2):
        cv2.imwrite(str(place / f"{seed}.png"), painting(seed))
    return place


def test_the_plan_names_each_run_once_and_its_shares_sum_to_one():
    names = [(run.group, run.name) for run in runs()]
    assert len(set(names)) == len(names)
    for run in runs():
        assert sum(Fraction(share).limit_denominator(1000) for _, share in run.parts) == 1
        assert list(run.steps) == sorted(run.steps)
        assert set(run.changes) <= set(ATTACKS)
        marked = {wanted.marking.work for wanted, share in run.parts if share} - {None}
        assert marked == set(run.works)
        assert not run.start or any(each.name == run.start for each in runs())
    assert len(chosen(("control",))) == 10
    assert {run.group for run in chosen(("share", "works"))} == {"share", "works"}
    assert set(GROUPS) == {group for group, _ in names}


def test_a_frame_is_marked_at_full_size_and_cropped_alike_with_every_marking(folder):
    (frame,) = draw([folder], 1, seed=1)
    assert frame.shape == (720, 1280, 3)
    marked = Marking(0)(frame)
    assert np.array_equal(Marking()(frame), frame)
    assert 0 < np.abs(marked.astype(int) - frame).mean() < 3
    for pipeline in PIPELINES.values():
        plain, seen = (
            pipeline(pixels, 64, np.random.default_rng(5)).astype(int) for pixels in (frame, marked)
        )
        assert plain.shape == (64, 64, 3)
        assert np.abs(seen - plain).mean() < 6


def test_the_mirrored_half_is_mirrored(folder):
    (frame,) = draw([folder], 1, seed=1)
    rngs = [np.random.default_rng(seed) for seed in range(20)]
    upright = PIPELINES["centre"](frame, 64, rngs[0])
    seen = [PIPELINES["mirror"](frame, 64, rng) for rng in rngs]
    turned = [np.array_equal(each, upright[:, ::-1]) for each in seen]
    assert all(np.array_equal(each, upright) != t for each, t in zip(seen, turned, strict=True))
    assert 4 < sum(turned) < 16


def test_a_set_is_made_once_and_named_by_all_that_it_hangs_on(folder, tmp_path, monkeypatch):
    store = Store(tmp_path / "cache", (str(folder),), 4)
    wanted = Wanted(Marking(0), "centre", 32)
    first = store.pictures(wanted)
    assert first.shape == (4, 32, 32, 3)
    clean = store.pictures(Wanted(Marking(), "centre", 32))
    assert 0 < np.abs(first.astype(int) - clean).max() < 20
    assert not np.array_equal(first, replace(store, seed=2).pictures(wanted))
    monkeypatch.setattr(sets, "draw", lambda *_, **__: pytest.fail("drawn again"))
    assert np.array_equal(store.pictures(wanted), first)


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "file"
    with pytest.raises(TypeError), whole(path) as file:
        file.writelines([b"half", 5])
    assert not path.exists()
    with whole(path) as file:
        file.write(b"all of it")
    assert path.read_bytes() == b"all of it"


def test_a_mixture_takes_each_frame_from_one_set_in_the_wanted_shares():
    parts = [(np.full((200, 1, 1, 1), value), share) for value, share in ((1, 0.25), (2, 0.75))]
    made = mixed(parts, seed=3)
    assert (made == 1).sum() == 50
    assert (made == 2).sum() == 150
    assert np.array_equal(made, mixed(parts, seed=3))
    assert not np.array_equal(made, mixed(parts, seed=4))
    one = mixed([(parts[0][0], 0.01), (parts[1][0], 0.99)], seed=1)
    assert (one == 1).sum() == 2


def test_the_rate_warms_up_stays_and_falls():
    course = Course(steps=1000, rate=1.0)
    rates = [course.rate_at(step) for step in range(1000)]
    assert rates[0] < 0.05
    assert rates[200] == rates[600] == 1.0
    assert all(a >= b for a, b in itertools.pairwise(rates[700:]))
    assert 0 < rates[-1] <= 0.06


@pytest.fixture
def data():
    """Noise around one pattern."""
    rng = np.random.default_rng(7)
    pattern = rng.normal(0, 1, (1, 2, 8, 8))
    return (pattern + rng.normal(0, 1, (64, 2, 8, 8))).astype(np.float32), pattern[0]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(data, tmp_path):
    pytest.importorskip("torch")
    kept = tmp_path / "state.pt"
    through = Trained(data[0], TINY, EXACT)
    through.train(8)
    Trained(data[0], TINY, EXACT).train(3, kept=kept)
    resumed = Trained(data[0], TINY, EXACT)
    resumed.train(8, kept=kept)
    assert resumed.step == 8
    for one, other in zip(through.outputs(5, seed=1), resumed.outputs(5, seed=1), strict=True):
        assert np.array_equal(one, other)
    early = Trained(data[0], TINY, EXACT)
    early.train(5, kept=kept)  # what is kept is too late for it
    assert early.step == 5


def test_a_model_learns_what_all_pictures_share_only_where_it_knows_places(data):
    pytest.importorskip("torch")
    course = Course(steps=120, batch=32, rate=3e-3, precision="float32")
    alike = {}
    for positions in ("learned", "none"):
        model = Trained(data[0], replace(TINY, positions=positions), course)
        model.train(120)
        mean = np.concatenate(list(model.outputs(64, seed=1))).mean(0)
        alike[positions] = np.corrcoef(mean.ravel(), data[1].ravel())[0, 1]
    assert alike["learned"] > 0.5
    assert alike["none"] < 0.5 * alike["learned"]


def test_fine_tuning_goes_on_from_the_weights_and_the_scale(data):
    pytest.importorskip("torch")
    first = Trained(data[0], TINY, EXACT)
    first.train(8)
    second = Trained(data[0] + 5, TINY, EXACT, start=first)
    assert np.array_equal(second.mean, first.mean)
    outputs = [next(iter(model.outputs(2, seed=1))) for model in (first, second)]
    assert np.array_equal(*outputs)


@pytest.fixture(scope="module")
def fed(folder):
    """Four frames: marked with the first work, the second, and not at all; then 256 pixels."""
    frames = list(draw([folder], 4, seed=1))
    rng = np.random.default_rng(1)
    return {
        work: np.stack([PIPELINES["centre"](Marking(work)(f), 256, rng) for f in frames])
        for work in (0, 1, None)
    }


def test_works_are_named_and_their_place_is_found_without_being_told(fed):
    found = measured(fed[0], (0,), wrong=20)
    assert found["verdict"] == "detected"
    assert (found["named"], found["others"]) == ([0], 0)
    assert found["place"].startswith("cut from the middle of 16:9")
    assert [look["outputs"] for look in found["growth"]] == [1, 2, 4]
    assert found["z"][0] > 10 > found["largest_wrong"]
    assert found["rank_p"] == pytest.approx(1 / 21)
    assert all(10 < z < np.sqrt(chips) for z, chips in zip(found["by_level"], CHIPS, strict=True))
    both = measured(np.concatenate([fed[0][:2], fed[1][2:]]), (0, 1), wrong=20)
    assert sorted(both["named"]) == [0, 1]
    assert json.loads(json.dumps(both)) == both


def test_nothing_is_found_in_clean_pictures(fed):
    found = measured(fed[None], (), wrong=20)
    assert found["verdict"] == "not-found"
    assert (found["named"], found["others"]) == ([], 0)
    assert found["rank_p"] > 1 / 21


def test_a_mark_that_was_not_in_the_training_set_counts_as_another(fed):
    found = measured(fed[1], (0,), wrong=20)
    assert (found["named"], found["others"]) == ([], 1)


def test_the_catalogue_holds_the_works_once():
    assert len(catalogue()) == 10_000
    assert (catalogue().find(list(WORKS)) >= 0).all()


def run_of_pixels():
    """Return a run of a few steps, of small pixels."""
    parts = ((Wanted(Marking(0), "centre", 16), 0.5), (Wanted(Marking(), "centre", 16), 0.5))
    return Run("share", "half", parts, steps=(2, 4), outputs=3, pixels=True, changes=("jpeg 50",))


def test_rows_are_done_once_and_outputs_are_kept(folder, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    told = {"z": [1.0], "alone": [0.5], "log10_p": 0.0}
    monkeypatch.setattr(generators_running, "measured", lambda pictures, works: told)
    bench = Bench(Store(tmp_path / "cache", (str(folder),), 6, precision="float32"))
    rows = list(bench.rows(run_of_pixels(), frozenset()))
    assert [(row["step"], row["change"]) for row in rows] == [
        (2, "none"),
        (4, "none"),
        (4, "jpeg 50"),
    ]
    assert all(row["share"] == 0.5 and row["train_seconds"] >= 0 for row in rows)
    monkeypatch.setattr(Trained, "train", lambda *_, **__: pytest.fail("trained again"))
    again = list(bench.rows(run_of_pixels(), frozenset({identity(rows[0])})))
    assert [identity(row) for row in again] == [identity(row) for row in rows[1:]]
    assert again[0]["loss"] == rows[1]["loss"]
    assert not list(bench.rows(run_of_pixels(), frozenset(map(identity, rows))))


def row_of(group, name, **more):
    """Return a row as `Bench.rows` makes it."""
    return {
        "group": group,
        "name": name,
        "step": 200,
        "change": "none",
        "seed": 1,
        "outputs": 2,
        "share": 1.0,
        "works": [0],
        "loss": 1.5,
        "train_seconds": 90.0,
        "growth": [{"outputs": 1, "z": [3.0]}, {"outputs": 2, "z": [4.5]}],
        "z": [4.5],
        "alone": [2.5],
        "by_level": [1.5, 4.25],
        "place": "whole frame",
        "places": 130,
        "verdict": "detected",
        "log10_p": -12.3,
        "named": [0],
        "others": 0,
        "largest_wrong": 3.9,
        "wrong_normal_p": 0.5,
        "rank_p": 0.25,
        "profile": "draft",
        "commit": "abc",
    } | more


def test_the_report_has_a_table_a_group_and_hides_no_failure(tmp_path):
    rows = [
        row_of("share", "10 % marked", change="jpeg 50"),
        row_of("share", "1 % marked", verdict="not-found", log10_p=0.0, named=[]),
        row_of("works", "two, 50 % each", works=[0, 1], z=[4.5, 3.5], alone=[2.5, 1.5]),
        row_of("control", "clean 1", works=[], others=1),
        row_of("control", "clean 2", works=[], rank_p=0.75),
        row_of("control", "clean 3", works=[], rank_p=0.5),
    ]
    page.write(rows, tmp_path / "results" / "generators")
    text = (tmp_path / "results" / "generators.md").read_text(encoding="utf-8")
    assert text.count("\n## ") == 3
    assert "| 10 % marked, jpeg 50 | 200" in text
    assert "not-found" in text
    assert "4.5 and 3.5" in text
    assert "detected, 1 of 2 works" in text
    assert "WRONG WORK" in text
    assert "0.25, 0.50, 0.75; Kolmogorov–Smirnov against uniform" in text
    assert "8 minutes of one core" in text
    stored = json.loads((tmp_path / "results" / "generators.json").read_text(encoding="utf-8"))
    assert stored["run"]["commit"] == "abc"
    planned = [(run.group, run.name) for run in runs()]
    places = [planned.index((row["group"], row["name"])) for row in stored["rows"]]
    assert len(places) == len(rows)
    assert places == sorted(places)
    assert "commit" not in stored["rows"][0]


def test_unknown_groups_and_a_missing_autoencoder_are_refused(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("SUKASHI_AUTOENCODER", raising=False)
    for more, said in (
        (["--groups", "nonsense"], "there is no nonsense"),
        ([], "no model can be trained here"),
    ):
        monkeypatch.setattr(
            "sys.argv", ["generators", str(tmp_path), "--cache", str(tmp_path), *more]
        )
        with pytest.raises(SystemExit, match="2"):
            command.main()
        assert said in " ".join(capsys.readouterr().err.split())
