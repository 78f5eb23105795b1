"""Asking a generator: works are told with what was charged, and no more is said than is known."""

import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from clips import FIRST, encode, shot
from studio import picture

from watermark.detect import observe_luma
from watermark.embed import delta
from watermark.feeding import ASPECTS
from watermark.frame import luma
from watermark.identification import Catalogue
from watermark.key import Key
from watermark.near_copies import NearCopies
from watermark.outputs import in_order, observed
from watermark.pooling import Pile, pooled
from watermark.registry import open_registry
from watermark.sensitivity import Probes
from watermark.sequential import log_looks
from watermark.stillgate import StillGate
from watermark.stills import Still, write
from watermark.trace_report import page
from watermark.trace_words import CONTROL_FOUND, again, grown, seen, trace_record, verdict
from watermark.tracing import Tracer

KEY = Key(bytes(range(32)))
WIDE = {"16:9": ASPECTS["16:9"]}
TITLES = ("夜汽車 <b>Night</b> & Train", "Winter Garden", "The Long Way Home")
SHAPE = (144, 256)


def plane(seed, number=None, *, strength=0.12):
    """Return the luma of an output; a weak mark is in it if a number is given."""
    result = luma(picture(seed, *SHAPE))
    if number is not None:
        result = result + delta(result, KEY, number, strength=strength)
    return result


@pytest.fixture(scope="module")
def catalogue():
    """Weak signals are found of most numbers, not of all: these are the same in every run."""
    rng = np.random.default_rng(1)
    with open_registry("sqlite://") as registry, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "watermark.intake._random_numbers",
            lambda count: rng.integers(2**48, size=count).tolist(),
        )
        for title in (*TITLES, *(f"Other {n}" for n in range(20))):
            registry.add_work(title)
        yield Catalogue.load(registry)


@pytest.fixture(scope="module")
def numbers(catalogue):
    works = {each.title: each.id for each in catalogue.registry.works()}
    return [int(catalogue.registry.marks(works[title])[0].number) for title in TITLES]


def asked(planes, catalogue=None, *, draws=50, **options):
    tracer = Tracer(
        [KEY], catalogue, **({"search": "fast", "aspects": WIDE, "singly": False} | options)
    )
    for place, each in enumerate(planes):
        tracer.add(f"output {place}", observe_luma(each), each)
    return tracer.trace(draws=draws)


@pytest.fixture(scope="module")
def two_works(catalogue, numbers):
    """Give the trace of outputs of which two in three carry one work and the rest another."""
    first, second, _ = numbers
    planes = (plane(n, second if n % 3 == 2 else first, strength=0.15) for n in range(12))
    return asked(planes, catalogue)


@pytest.fixture(scope="module")
def clean(catalogue):
    return asked((plane(n) for n in range(6)), catalogue)


def test_weak_signals_of_two_works_are_told_with_their_parts(two_works):
    assert two_works.verdict == "detected"
    assert [each.mark.work.title for each in two_works.signals] == list(TITLES[:2])
    first, second = two_works.signals
    assert not first.mark.model_based
    assert second.mark.model_based
    assert first.share == pytest.approx(2 / 3, abs=0.1)
    assert first.share + second.share == pytest.approx(1)
    assert first.error == pytest.approx(1, abs=0.2)
    assert first.amplitude == pytest.approx(first.mark.z, abs=5)
    assert two_works.growth is not None
    assert two_works.outlook.kind == "settled"


def test_works_that_score_because_of_others_are_not_told(two_works):
    told = [each for each in two_works.listed if each.told]
    others = [each for each in two_works.listed if not each.told]
    assert {each.work.title for each in told} == set(TITLES[:2])
    assert all(each.z_without is None for each in told)
    assert max(each.z_without for each in others) < 4.5
    assert [each.log10_p for each in two_works.listed] == sorted(
        each.log10_p for each in two_works.listed
    )


def test_nothing_is_found_where_nothing_is(clean):
    assert (clean.verdict, clean.signals, clean.growth) == ("not-found", (), None)
    assert clean.outlook.kind == "nothing"
    assert clean.log10_p > -3
    assert clean.sensitivity.strength < 0.5
    assert clean.controls.rank_p > 0.01
    assert verdict(clean).startswith("No signal of this key")


def test_every_look_is_charged_and_later_ones_go_on_counting(numbers):
    planes = [plane(n, numbers[0], strength=0.2) for n in range(5)]
    first = asked(planes, draws=0)
    assert [(each.number, each.outputs) for each in first.looks] == [(1, 1), (2, 2), (3, 4), (4, 5)]
    later = asked(planes, draws=0, looks_before=4)
    assert [each.number for each in later.looks] == [5, 6, 7, 8]
    more = (log_looks(8) - log_looks(4)) / np.log(10)
    assert later.log10_p == pytest.approx(first.log10_p + more)
    assert "look 9: give --looks-before 8" in again(later)


def test_looks_are_due_at_powers_of_two_and_at_the_end():
    tracer = Tracer([KEY], search="fast", aspects=WIDE, singly=False)
    seen_in = observe_luma(plane(0))
    looked = [n for n in range(1, 10) if tracer.add("", seen_in, plane(0)) is not None]
    assert looked == [1, 2, 4, 8]
    assert [each.outputs for each in tracer.trace(draws=0).looks] == [1, 2, 4, 8, 9]


def test_without_a_registry_the_number_is_told(numbers):
    told = asked((plane(n, numbers[0], strength=0.2) for n in range(4)), draws=0)
    assert told.marks is None
    assert not told.listed
    assert told.signals[0].mark.number == numbers[0]
    assert f"carry the keyed signal of mark {numbers[0]:012x}" in verdict(told)


def test_outputs_that_could_not_show_a_mark_are_inconclusive():
    told = asked([np.full((24, 24), 90, np.float32)] * 2, draws=0)
    assert told.verdict == "inconclusive"
    assert "could not have shown" in verdict(told)


def test_the_smallest_signal_that_is_told_would_have_been_seen():
    planes = [plane(n) for n in range(6)]
    pile, probes = Pile(aspects=WIDE), Probes()
    for each in planes:
        pile.add(observe_luma(each))
        if probes.wanted:
            probes.add(each)
    told = probes.sensitivity(pile.folds()[0].tile, len(planes), 10.0)
    weak = asked((plane(n, 77, strength=told.strength) for n in range(6)), draws=0)
    assert told.enough
    assert told.alone > 20
    assert weak.curve[-1][1] == pytest.approx(10, abs=3)


def test_a_near_copy_is_told_by_itself_and_all_outputs_are_charged(catalogue, numbers):
    few, many = (
        NearCopies([KEY], catalogue.codebook, work_index=catalogue.work_index, aspects=WIDE)
        for _ in range(2)
    )
    copy, other = observe_luma(plane(3, numbers[2], strength=1.0)), observe_luma(plane(4))
    for copies, count in ((few, 1), (many, 7)):
        copies.add("copy.png", copy)
        for _ in range(count):
            copies.add("other.png", other)
    (one,), (same,) = few.found(), many.found(log_more=1.0)
    assert (one.name, one.found.number) == ("copy.png", numbers[2])
    assert same.found.log_p == pytest.approx(one.found.log_p + np.log(4) + 1)
    assert not NearCopies([KEY]).found()


def test_the_sum_and_single_outputs_have_half_of_the_error_probability_each(numbers):
    planes = [plane(0), plane(1, numbers[0], strength=1.0)]
    without, with_singles = (asked(planes, draws=0, singly=singly) for singly in (False, True))
    assert with_singles.log10_p == pytest.approx(without.log10_p + np.log10(2))
    (one,) = with_singles.singles
    assert (one.name, one.mark.number) == ("output 1", numbers[0])
    assert not without.singles


def test_the_order_is_drawn_from_names_and_a_broken_output_is_left_out(tmp_path):
    for folder in ("a", "b"):
        for n in range(12):
            name = tmp_path / folder / f"{n:02}.png"
            name.parent.mkdir(exist_ok=True)
            name.write_bytes(b"nonsense")
        write(Still(picture(1, *SHAPE)), tmp_path / folder / "whole.png")
    first, second = ([unit.items for unit in in_order([str(tmp_path / name)])] for name in "ab")
    assert first == second != sorted(first)
    with StillGate() as gate:
        told = list(observed(in_order([str(tmp_path / "a")]), gate))
    assert len(told) == 13
    good = [each for each in told if each.error is None]
    assert [each.name for each in good] == [f"{tmp_path / 'a'}: whole.png"]
    assert good[0].observation.extent == pytest.approx((512, 512 * 256 / 144))
    assert good[0].plane.shape == SHAPE


def test_a_tar_file_is_read_as_it_lies(tmp_path):
    names = ["b.png", "a.png", "notes.txt"]
    for name in names:
        write(Still(picture(1, *SHAPE)), tmp_path / "x.png")
        with tarfile.open(tmp_path / "outputs.tar", "a") as tar:
            tar.add(tmp_path / "x.png" if name.endswith("png") else __file__, name)
    with StillGate() as gate:
        told = list(observed(in_order([str(tmp_path / "outputs.tar")]), gate))
    assert [each.name.partition(": ")[2] for each in told if each.error is None] == ["b", "a"]


def test_what_is_nearly_enough_is_not_called_nothing(numbers):
    told = asked([plane(n, numbers[0], strength=0.35) for n in range(2)], draws=0)
    assert told.verdict == "detected"
    almost = replace(told, verdict="not-found", signals=(), log10_p=-5.2)
    assert verdict(almost) == (
        "What there is of this key's signal is not enough to say so (p = 10^-5.2)."
    )


@pytest.mark.parametrize(
    ("strength", "said"), [(0.0312, "3 %"), (0.0962, "10 %"), (0.137, "14 %"), (0.0041, "0.4 %")]
)
def test_how_weak_a_signal_would_be_seen_is_told_in_percent(numbers, strength, said):
    told = asked([plane(n, numbers[0]) for n in range(2)], draws=0)
    weak = replace(told, sensitivity=replace(told.sensitivity, strength=strength))
    assert f"A signal {said} as strong" in seen(weak)


def test_a_film_is_one_output_of_several_frames(tmp_path):
    path = encode(tmp_path / "film.mp4", shot(1, 8, FIRST))
    with StillGate() as gate:
        (told,) = observed(in_order([str(tmp_path)]), gate)
        path.write_bytes(path.read_bytes()[:300])
        (broken,) = observed(in_order([str(tmp_path)]), gate)
    assert told.observation.frames == 1
    assert told.plane.shape == (360, 640)
    pile = Pile(aspects=WIDE)
    pile.add(told.observation)
    detection = pooled(pile, [KEY], search="fast")
    assert detection.best.number == FIRST
    assert str(broken.error).startswith(broken.name)


def test_no_sentence_says_more_than_is_known(two_works, clean):
    for trace in (two_works, clean):
        text = page(trace, name="outputs", clean=clean, clean_name="clean")
        text += " ".join((verdict(trace), seen(trace), grown(trace)))
        assert "trained on" not in text
        assert "nothing is proved" in text
    assert verdict(two_works).startswith("The outputs carry the keyed signal of 夜汽車")


def test_a_page_shows_plots_and_holds_no_foreign_markup(two_works, clean):
    text = page(two_works, name="<i>folder</i>", clean=clean, clean_name="clean")
    assert "<b>Night" not in text
    assert "<i>" not in text
    assert "&lt;b&gt;Night&lt;/b&gt; &amp; Train" in text
    assert text.count("<svg") == text.count("</svg>") == 3
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_control_that_carries_the_signal_too_is_told(two_works, clean):
    assert CONTROL_FOUND in page(two_works, name="outputs", clean=two_works, clean_name="clean")
    assert CONTROL_FOUND not in page(two_works, name="outputs", clean=clean, clean_name="clean")


def test_the_object_for_scripts_is_plain_json(two_works, clean):
    for trace in (two_works, clean):
        row = json.loads(json.dumps(trace_record(trace), allow_nan=False))
        assert row["outputs"] == trace.outputs
        assert len(row["works"]) == len(trace.listed)
    row = trace_record(two_works)
    assert row["signals"][0]["title"] == TITLES[0]
    assert row["wrong_keys"]["keys"] == 50


def test_a_tracer_needs_a_key_and_an_output():
    with pytest.raises(ValueError, match="at least one key"):
        Tracer([])
    with pytest.raises(ValueError, match="no picture"):
        Tracer([KEY]).trace()
