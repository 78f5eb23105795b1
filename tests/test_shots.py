"""Marking shots: what a detector sees of them, what stands after a failure, and going on."""

import itertools

import numpy as np
import pytest
from sequences import (
    KEY,
    NUMBER,
    channels_of,
    density_of,
    dpx,
    film,
    filmic_view,
    jpeg,
    light_of,
    light_of_density,
    read_exr,
    srgb_view,
    write_exr,
)

import watermark.shots
from watermark.align import fold, whole_frame
from watermark.coding import codeword
from watermark.decide import soft_word
from watermark.detect import observe, read_back
from watermark.errors import MarkNotReadable, OutputError, UnreadableMedia, UnsupportedMedia
from watermark.files import atomic_write
from watermark.frame import luma
from watermark.key import Key
from watermark.marking import required_z
from watermark.numbered import Numbered, Pattern, group
from watermark.profile import DEFAULT
from watermark.registry import open_registry
from watermark.sequence import read
from watermark.shots import check_shot, mark_shot
from watermark.stills import Still, write
from watermark.stills import read as read_still

COUNT = 5  # frames


def seen_z(views):
    """Return the z of the sum over pictures as a viewer sees them."""
    seen = observe(views)
    evidence = fold(seen, whole_frame(seen)[0], KEY, DEFAULT)
    return float(soft_word(evidence, KEY, DEFAULT) @ codeword(NUMBER))


def write_png(folder, count=COUNT, *, bits=8, name="s_%04d.png", first=1, **how):
    pattern = Pattern.parse(folder / name)
    pattern.folder.mkdir(parents=True, exist_ok=True)
    for at, shown in enumerate(film(count, **how)):
        pixels = np.rint(shown * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
        write(Still(pixels, bits=bits), pattern.path(first + at))
    return pattern


@pytest.fixture
def shot(tmp_path):
    return write_png(tmp_path / "in")


@pytest.fixture
def out(tmp_path):
    return Pattern.parse(tmp_path / "out" / "m_%04d.png")


@pytest.fixture(scope="module")
def exr_shot(tmp_path_factory):
    """Give a marked half-float shot with highlights of 3 times white, and its source."""
    folder = tmp_path_factory.mktemp("exr")
    for at, shown in enumerate(film(4, height=270, width=480)):
        channels = channels_of(light_of(shown, exposure=3.0))
        channels["Z"] = shown[..., 0].astype("f4")
        write_exr(folder / f"in_{at:04d}.exr", channels)
    result = mark_shot(folder / "in_%04d.exr", folder / "out_%04d.exr", KEY, NUMBER)
    return folder, result


@pytest.mark.parametrize(("bits", "ending"), [(8, "png"), (16, "tif")])
def test_a_shot_is_marked_and_reads_back(tmp_path, out, bits, ending):
    shot = write_png(tmp_path, bits=bits, name=f"s_%04d.{ending}", first=998)
    result = mark_shot(shot, out, KEY, NUMBER)
    assert (result.frames, result.written, result.skipped) == (COUNT, COUNT, 0)
    assert result.z >= required_z(0)
    assert result.weakest_z < result.z
    assert 998 <= result.weakest < 998 + COUNT
    checked = check_shot(out, KEY, NUMBER)
    assert (checked.z, checked.weakest_z) == (result.z, result.weakest_z)
    assert abs(check_shot(out, Key(bytes(32)), NUMBER).z) < 5
    views = [read_still(out.path(998 + at)).pixels for at in range(COUNT)]
    assert views[0].dtype == (np.uint8 if bits == 8 else np.uint16)
    assert seen_z(views) == pytest.approx(result.z, rel=1e-3)


def test_all_frames_carry_one_mark_at_one_place_across_a_cut(tmp_path, out):
    shot = write_png(tmp_path, 3)
    write_png(tmp_path, 3, seed=7, first=4)
    mark_shot(shot, out, KEY, NUMBER)
    deltas = [read(out.path(at)).plane() - read(shot.path(at)).plane() for at in range(1, 7)]
    for one, other in itertools.pairwise(deltas):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.5
    assert min(delta.std() for delta in deltas) > 0.3 * max(delta.std() for delta in deltas)
    for at in range(1, 7):
        assert read_back(read_still(out.path(at)).pixels, KEY, NUMBER) > 8


def test_a_frame_that_stands_still_is_marked_the_same_to_the_bit(tmp_path, out):
    pixels = np.rint(next(film(1)) * 255).astype(np.uint8)
    for at in range(1, 5):
        write(Still(pixels), tmp_path / f"s_{at:04d}.png")
    mark_shot(tmp_path / "s_####.png", out, KEY, NUMBER)
    assert len({read_still(out.path(at)).pixels.tobytes() for at in range(1, 5)}) == 1


@pytest.mark.parametrize("view", [srgb_view, filmic_view])
@pytest.mark.parametrize("exposure", [0.3, 1.0])
def test_the_mark_of_exr_is_seen_after_a_view_and_jpeg(exr_shot, view, exposure):
    """Scene light, three times white at most, under two views and two exposures."""
    folder, result = exr_shot
    assert result.z > required_z(0)
    frames = [read_exr(folder / f"out_{at:04d}.exr") for at in range(4)]
    lights = [np.dstack([c[name] for name in "RGB"]).astype("f8") for c in frames]
    assert seen_z([jpeg(view(exposure * light)) for light in lights]) > 2 * required_z(0)


def test_the_mark_of_exr_is_hardly_seen(exr_shot):
    folder, _ = exr_shot
    before, after = (read(folder / f"{name}_0001.exr").seen() for name in ("in", "out"))
    error = np.square(before - after).mean()
    assert 10 * np.log10(255**2 / error) > 42
    assert np.array_equal(
        read_exr(folder / "in_0001.exr")["Z"], read_exr(folder / "out_0001.exr")["Z"]
    )


@pytest.mark.parametrize("transfer", [1, 4])
def test_the_mark_of_dpx_is_seen_after_a_view_and_jpeg(tmp_path, transfer):
    for at, shown in enumerate(film(4, height=270, width=480)):
        codes = density_of(light_of(shown)) if transfer == 1 else 1023 * shown
        data = dpx(np.rint(codes).astype(np.uint16), 10, transfer=transfer)
        (tmp_path / f"in_{at:04d}.dpx").write_bytes(data)
    result = mark_shot(tmp_path / "in_%04d.dpx", tmp_path / "out_%04d.dpx", KEY, NUMBER)
    assert result.z > required_z(0)
    views, raw = [], []
    for at in range(4):
        before, after = ((tmp_path / f"{name}_{at:04d}.dpx").read_bytes() for name in ("in", "out"))
        assert after[:2048] == before[:2048]
        samples = read(after).samples()
        raw.append(np.rint(samples * (255 / 1023)).astype(np.uint8))
        views.append(srgb_view(light_of_density(samples)) if transfer == 1 else raw[-1])
    assert seen_z(map(jpeg, views)) > 2 * required_z(0)
    assert seen_z(raw) > required_z(0), "also where nobody applies the film's curve"


def test_pixels_that_are_not_square_are_marked_on_the_picture_as_shown(tmp_path):
    import cv2

    for at, shown in enumerate(film(3, height=180, width=240)):
        data = dpx(np.rint(1023 * shown).astype(np.uint16), 10, aspect=(2, 1))
        (tmp_path / f"in_{at}.dpx").write_bytes(data)
    result = mark_shot(tmp_path / "in_%d.dpx", tmp_path / "out_%d.dpx", KEY, NUMBER)
    wide = [
        cv2.resize(read((tmp_path / f"out_{at}.dpx").read_bytes()).samples(), (480, 180)) << 6
        for at in range(3)
    ]
    assert seen_z(wide) > 0.8 * result.z > 0.8 * required_z(0)


def test_a_range_and_gaps(shot, out):
    shot.path(3).unlink()
    with pytest.raises(UnreadableMedia, match="3 is missing"):
        mark_shot(shot, out, KEY, NUMBER)
    assert mark_shot(shot, out, KEY, NUMBER, first=4).frames == 2
    assert mark_shot(shot, out, KEY, NUMBER, gaps=True, replace=True).frames == 4
    assert sorted(p.name for p in out.folder.iterdir()) == [
        f"m_{at:04d}.png" for at in (1, 2, 4, 5)
    ]
    files = [Numbered(at, shot.path(at)) for at in (2, 4)]
    assert mark_shot(files, out, KEY, NUMBER, replace=True).frames == 2


def test_outputs_that_exist_are_left_alone(shot, out):
    mark_shot(shot, out, KEY, NUMBER, last=2)
    before = out.path(1).read_bytes()
    with pytest.raises(OutputError, match="2 of these 5 outputs exist; go on with --resume"):
        mark_shot(shot, out, KEY, NUMBER, strength=2.0)
    with pytest.raises(OutputError, match="the output is the input"):
        mark_shot(shot, shot, KEY, NUMBER, replace=True)
    assert out.path(1).read_bytes() == before
    assert not out.path(3).exists()
    mark_shot(shot, out, KEY, NUMBER, strength=2.0, replace=True)
    assert out.path(1).read_bytes() != before


def test_a_broken_frame_leaves_those_before_it_and_says_which(shot, out):
    data = shot.path(4).read_bytes()
    shot.path(4).write_bytes(data[: len(data) // 2])
    done = []
    with pytest.raises(
        UnreadableMedia,
        match=r"s_0004\.png: .* \(frame 4 of 1 to 5 was reached; the 3 before it are complete\)",
    ):
        mark_shot(shot, out, KEY, NUMBER, on_progress=lambda *at: done.append(at))
    assert done == [(1, 5), (2, 5), (3, 5)]
    assert sorted(p.name for p in out.folder.iterdir()) == [f"m_000{at}.png" for at in (1, 2, 3)]
    shot.path(4).write_bytes(data)
    result = mark_shot(shot, out, KEY, NUMBER, resume=True)
    assert (result.written, result.skipped) == (2, 3)


def test_an_interrupt_leaves_whole_frames_only(shot, out):
    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mark_shot(shot, out, KEY, NUMBER, on_progress=stop)
    assert sorted(p.name for p in out.folder.iterdir()) == ["m_0001.png", "m_0002.png"]


def test_resuming_gives_the_files_of_a_run_without_a_break(shot, out, tmp_path):
    other = Pattern.parse(tmp_path / "whole" / "m_%04d.png")
    whole = mark_shot(shot, other, KEY, NUMBER)
    mark_shot(shot, out, KEY, NUMBER)
    out.path(2).write_bytes(out.path(2).read_bytes()[:500])
    out.path(4).unlink()
    with pytest.raises(OutputError, match=r"m_0002\.png: this output exists.*frame 2"):
        mark_shot(shot, out, KEY, NUMBER, resume=True)
    stamps = [out.path(at).stat().st_mtime_ns for at in (1, 3, 5)]
    result = mark_shot(shot, out, KEY, NUMBER, resume=True, replace=True)
    assert (result.written, result.skipped) == (2, 3)
    assert result.z == whole.z
    for at in range(1, 6):
        assert out.path(at).read_bytes() == other.path(at).read_bytes()
    assert [out.path(at).stat().st_mtime_ns for at in (1, 3, 5)] == stamps


def test_resuming_takes_no_other_mark_of_the_key_for_its_own(shot, out):
    """Numbers that differ in one bit have most of their code words in common."""
    mark_shot(shot, out, KEY, NUMBER ^ 1)
    assert check_shot(out, KEY, NUMBER).z > required_z(0)
    with pytest.raises(OutputError, match="this output exists; replace it with --force"):
        mark_shot(shot, out, KEY, NUMBER, resume=True)
    result = mark_shot(shot, out, KEY, NUMBER, resume=True, replace=True)
    assert (result.written, result.skipped) == (COUNT, 0)


def test_a_black_frame_is_no_failure_and_is_not_marked_again(shot, out):
    write(Still(np.zeros((180, 320, 3), np.uint8)), shot.path(2))
    result = mark_shot(shot, out, KEY, NUMBER)
    assert result.weakest == 2
    assert result.weakest_z < 3
    again = mark_shot(shot, out, KEY, NUMBER, resume=True)
    assert (again.written, again.skipped) == (0, 5)


def test_a_shot_that_cannot_be_read_back_says_so_and_its_frames_stand(shot, out):
    for at in range(1, 6):
        write(Still(np.zeros((180, 320, 3), np.uint8)), shot.path(at))
    with pytest.raises(MarkNotReadable, match=r"z -?\d.\d, and 8\.\d is needed") as caught:
        mark_shot(shot, out, KEY, NUMBER)
    assert "\n" not in str(caught.value)
    assert len(list(out.folder.iterdir())) == 5


def test_frames_of_two_sizes_are_two_shots(shot, out, tmp_path):
    write_png(tmp_path / "in", 1, first=6, height=200)
    with pytest.raises(UnsupportedMedia, match=r"s_0006\.png: 320 × 200 .* 320 × 180 .* two shots"):
        mark_shot(shot, out, KEY, NUMBER)


def test_formats_do_not_change_into_others_they_cannot_be(shot, tmp_path):
    with pytest.raises(OutputError, match="written as such"):
        mark_shot(shot, tmp_path / "m_%d.exr", KEY, NUMBER)
    with pytest.raises(UnreadableMedia, match="no field for a number"):
        mark_shot(shot, tmp_path / "m.png", KEY, NUMBER)


def test_the_registry_knows_before_the_first_file_stands(shot, out, monkeypatch, tmp_path):
    with open_registry(tmp_path / "registry.sqlite") as registry:
        _, mark = registry.add_work("夜汽車")
        told = []
        record = registry.record_marking
        monkeypatch.setattr(
            registry,
            "record_marking",
            lambda *words: (told.append(sorted(out.folder.glob("m_*"))), record(*words)),
        )
        mark_shot(shot, out, KEY, mark.number, registry=registry, last=2)
        assert told == [[]], "once, with no file under its final name"
        assert registry.markings(mark.number) == [(KEY.fingerprint, str(DEFAULT))]


def test_a_full_disk_is_one_line(shot, out, monkeypatch):
    calls = itertools.count(1)

    def full(path, **options):
        if next(calls) == 3:
            raise OutputError(f"{path}: cannot be written (No space left on device); free some")
        return atomic_write(path, **options)

    monkeypatch.setattr(watermark.shots, "atomic_write", full)
    with pytest.raises(OutputError, match=r"No space left.*\(frame 3 of 1 to 5 was reached"):
        mark_shot(shot, out, KEY, NUMBER)
    assert len(list(out.folder.iterdir())) == 2


def test_a_folder_of_shots_is_found_and_marked(tmp_path):
    write_png(tmp_path / "in" / "第1話 100%", 2, name="a.%04d.png", first=1001)
    write_png(tmp_path / "in" / "b", 2, name="%d.png", first=9)
    patterns, others = group(tmp_path / "in")
    assert not others
    for pattern in patterns:
        place = tmp_path / "out" / pattern.folder.relative_to(tmp_path / "in")
        target = Pattern(place, pattern.prefix, pattern.digits, pattern.suffix)
        assert mark_shot(pattern, target, KEY, NUMBER).frames == 2
    names = [str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")]
    assert sorted(names) == [
        "b/10.png",
        "b/9.png",
        "第1話 100%/a.1001.png",
        "第1話 100%/a.1002.png",
    ]


def test_a_strength_of_zero_changes_no_byte_of_exr_and_dpx(tmp_path):
    shown = next(film(1))
    (tmp_path / "in_1.dpx").write_bytes(dpx(np.rint(1023 * shown).astype(np.uint16), 10))
    write_exr(tmp_path / "in_1.exr", channels_of(light_of(shown)), owner="x")
    for ending in ("dpx", "exr"):
        with pytest.raises(MarkNotReadable):
            mark_shot(
                tmp_path / f"in_%d.{ending}",
                tmp_path / f"out_%d.{ending}",
                KEY,
                NUMBER,
                strength=0.0,
            )
        before, after = ((tmp_path / f"{n}_1.{ending}").read_bytes() for n in ("in", "out"))
        assert before == after


def test_luma_of_a_deep_still_is_that_of_its_frame(tmp_path):
    write_png(tmp_path, 1, bits=16)
    frame = read(tmp_path / "s_0001.png")
    assert np.array_equal(frame.plane(), luma(read_still(tmp_path / "s_0001.png").pixels))
