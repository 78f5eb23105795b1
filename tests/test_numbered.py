"""Patterns of numbered files, ranges, gaps, and sequences found in a folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watermark.errors import UnreadableMedia
from watermark.numbered import Pattern, find, group, is_pattern


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shot_%05d.exr", "shot_00042.exr"),
        ("shot_%d.exr", "shot_42.exr"),
        ("shot_####.exr", "shot_0042.exr"),
        ("shot_@@@@@.exr", "shot_00042.exr"),
        ("shot_#.exr", "shot_42.exr"),
        ("take#2 %03d.png", "take#2 042.png"),
        ("me@home.####.dpx", "me@home.0042.dpx"),
        ("100%% %02d.tif", "100% 42.tif"),
        ("100%_%02d.tif", "100%_42.tif"),
        ("夜汽車 ####.png", "夜汽車 0042.png"),
    ],
)
def test_every_way_to_write_a_pattern_names_the_files_that_its_tool_would_write(text, name):
    pattern = Pattern.parse(f"a %d folder/{text}")
    assert pattern.name(42) == name
    assert pattern.number(name) == 42
    assert Pattern.parse(str(pattern)) == pattern


def test_numbers_may_outgrow_their_padding_but_not_fall_short_of_it():
    pattern = Pattern.parse("a_%03d.png")
    assert pattern.number("a_1000.png") == 1000
    for name in ("a_42.png", "a_0042.png", "a_.png", "a_4x2.png", "a_042.PNG", "b_042.png"):
        assert pattern.number(name) is None, name
    assert pattern.number("a_٠٤٢.png") is None, "digits of other scripts are no numbers"
    assert Pattern.parse("a_%d.png").number("a_042.png") is None


@given(
    prefix=st.text("ab%#@_ 夜0", max_size=6),
    suffix=st.text("ab%#@_ 夜.", max_size=6),
    digits=st.integers(1, 7),
    number=st.integers(0, 10**8),
)
def test_a_pattern_reads_back_what_it_wrote(prefix, suffix, digits, number):
    pattern = Pattern.parse("x/%d")
    pattern = Pattern(pattern.folder, prefix, digits, suffix)
    assert Pattern.parse(str(pattern)) == pattern
    if not prefix.endswith("0"):
        assert pattern.number(pattern.name(number)) == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("shot.exr", "no field"),
        ("sh_%02d_%04d.exr", "2 fields"),
        ("sh_##_##.exr", "2 fields"),
        ("sh_%%d.exr", "no field"),
        ("sh_%5d.exr", "pads with spaces; write %05d"),
        ("folder %d/", "no field"),
    ],
)
def test_what_is_no_pattern_is_refused_in_one_line(text, problem):
    with pytest.raises(UnreadableMedia, match=problem) as caught:
        Pattern.parse(text)
    assert "\n" not in str(caught.value)


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    folder = tmp_path / "第 1 話 100%d"
    touch(folder, "s_9.png", "s_10.png", "s_8.png", "s_08.png", "s_x.png", "s_9.jpg")
    found = find(folder / "s_%d.png")
    assert [each.number for each in found] == [8, 9, 10]
    assert [each.path.name for each in found] == ["s_8.png", "s_9.png", "s_10.png"]
    assert [each.number for each in find(folder / "s_%d.png", first=9)] == [9, 10]
    assert [each.number for each in find(folder / "s_%d.png", last=9)] == [8, 9]


def test_missing_frames_are_named(tmp_path):
    touch(tmp_path, *(f"s_{n:04d}.exr" for n in (1001, 1002, 1004, 1020)))
    with pytest.raises(UnreadableMedia, match=r"1003, 1005, 1006, 1007, 1008 and 11 more are"):
        find(tmp_path / "s_%04d.exr")
    with pytest.raises(UnreadableMedia, match=r"frames 1001 to 1004, 1003 is missing"):
        find(tmp_path / "s_####.exr", last=1004)
    with pytest.raises(UnreadableMedia, match=r"of frames 1000 to 1002, 1000 is missing"):
        find(tmp_path / "s_####.exr", first=1000, last=1002)
    assert len(find(tmp_path / "s_####.exr", first=1001, last=1002)) == 2
    assert len(find(tmp_path / "s_####.exr", gaps=True)) == 4


def test_a_gap_of_a_billion_frames_is_told_at_once(tmp_path):
    touch(tmp_path, "s_1.exr", "s_1000000000.exr")
    with pytest.raises(UnreadableMedia, match="999999993 more"):
        find(tmp_path / "s_%d.exr")


def test_patterns_without_files_say_why(tmp_path):
    touch(tmp_path, "s_00007.exr")
    with pytest.raises(UnreadableMedia, match=r"numbered %05d, as in s_00007\.exr"):
        find(tmp_path / "s_%04d.exr")
    with pytest.raises(UnreadableMedia, match="no file is called so; check the name"):
        find(tmp_path / "t_%04d.exr")
    with pytest.raises(UnreadableMedia, match="cannot list this folder"):
        find(tmp_path / "nowhere" / "s_%04d.exr")
    with pytest.raises(UnreadableMedia, match="no frame of that range is there; there are 7 to 7"):
        find(tmp_path / "s_%05d.exr", first=8)
    with pytest.raises(UnreadableMedia, match="give the smaller first"):
        find(tmp_path / "s_%05d.exr", first=9, last=8)


def test_a_file_that_is_called_like_a_pattern_is_a_file(tmp_path):
    touch(tmp_path, "take#1.png")
    assert not is_pattern(tmp_path / "take#1.png")
    assert is_pattern(tmp_path / "take#.png")
    assert is_pattern(tmp_path / "a_%04d.png")
    assert not is_pattern(tmp_path / "50%%.png")
    assert not is_pattern("a_%04d/b.png")


def test_sequences_of_a_tree_are_found_and_the_rest_is_named(tmp_path):
    touch(tmp_path, *(f"ep1/sc 010/plate.{n:04d}.exr" for n in range(998, 1003)))
    touch(tmp_path, *(f"ep1/sc 010/v2_{n}.png" for n in (8, 9, 10)))
    touch(tmp_path, *(f"第1話/%d/{n:03d}_beauty_v2.dpx" for n in (1, 2)))
    touch(tmp_path, "ep1/sc 010/notes.txt", "ep1/still_0001.png", "ep1/.hidden_1.png")
    touch(tmp_path, "ep1/.hidden_2.png", "ep1/a_1.jpg", "ep1/a_2.jpg")
    patterns, others = group(tmp_path)
    assert [(str(p.folder.relative_to(tmp_path)), p.name(7), len(find(p))) for p in patterns] == [
        ("ep1/sc 010", "plate.0007.exr", 5),
        ("ep1/sc 010", "v2_7.png", 3),
        ("第1話/%d", "007_beauty_v2.dpx", 2),
    ]
    assert [path.name for path in others] == ["a_1.jpg", "a_2.jpg", "still_0001.png", "notes.txt"]


def test_paddings_of_one_name_are_sequences_of_their_own(tmp_path):
    touch(tmp_path, "a_08.png", "a_09.png", "a_10.png", "a_8.png", "a_9.png", "a_0008.png")
    patterns, others = group(tmp_path)
    assert sorted((p.digits, len(find(p))) for p in patterns) == [(1, 3), (2, 3)]
    assert [path.name for path in others] == ["a_0008.png"]


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path):
    with pytest.raises(UnreadableMedia, match="cannot list this folder"):
        group(tmp_path / "nowhere")
