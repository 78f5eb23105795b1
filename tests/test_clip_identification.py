"""A film is identified: its verdict, its works, and from when to when they are."""

from itertools import chain

import pytest
from clips import KEY, STRANGER, encode, shot

from watermark.clip_identification import identify_clip
from watermark.errors import UnreadableMedia
from watermark.identification import Catalogue
from watermark.registry import open_registry


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Give a catalogue of two works, the second with a title in Japanese."""
    path = tmp_path_factory.mktemp("registry") / "registry.sqlite"
    with open_registry(path) as registry:
        for title in ("Night Train", "夜汽車"):
            registry.add_work(title, rights_holder="Studio")
        yield Catalogue.load(registry)


@pytest.fixture(scope="module")
def numbers(catalogue):
    """Give the mark numbers of the two works, by title."""
    known = catalogue.registry.lookup([int(each) for each in catalogue.codebook.numbers])
    return {work.title: number for number, (work, _) in known.items()}


@pytest.fixture(scope="module")
def compilation(tmp_path_factory, numbers):
    """Give a film: unmarked, one work, unmarked, the other work; three seconds each."""
    planes = chain(
        shot(1, 24),
        shot(2, 24, numbers["Night Train"]),
        shot(3, 24),
        shot(4, 24, numbers["夜汽車"]),
    )
    return encode(tmp_path_factory.mktemp("films") / "all.mp4", planes, options={"crf": "23"})


def test_a_compilation_is_told_part_by_part(compilation, catalogue):
    told = identify_clip(compilation, [KEY], catalogue, search="fast", all_frames=True)
    assert told.whole.verdict == "detected"
    assert {each.work.title for each in told.whole.found} == {"Night Train", "夜汽車"}
    titles = [each.mark and each.mark.work.title for each in told.parts]
    assert titles == [None, "Night Train", None, "夜汽車"]
    assert [each.end for each in told.parts] == pytest.approx([3, 6, 9, 12], abs=1)
    assert all(each.mark is None or each.mark.log10_p < -9 for each in told.parts)
    assert not any(each.model_based for each in told.whole.found)
    assert (told.duration, told.whole.size, told.damaged) == (12.0, (640, 360), 0)
    assert told.frames >= 24
    assert not told.key_frames
    assert min(value for _, value in told.points) < -9


def test_it_stops_at_a_key_frame_when_that_is_enough(compilation, catalogue):
    heard = []
    told = identify_clip(compilation, [KEY], catalogue, on_progress=heard.append)
    assert told.key_frames
    assert told.frames < 8
    assert told.seconds < 12
    assert told.whole.verdict == "detected"
    assert told.whole.log10_p <= -12
    assert heard
    assert [each.frames for each in heard] == list(range(1, len(heard) + 1))
    assert all(each.duration == 12.0 for each in heard)


def test_without_a_registry_the_numbers_are_told(compilation, numbers):
    told = identify_clip(compilation, [KEY], search="fast", all_frames=True)
    assert {each.number for each in told.whole.found} == set(numbers.values())
    assert all(each.work is None and not each.registered for each in told.whole.found)


def test_a_strangers_key_finds_nothing_and_all_is_read(compilation, catalogue):
    told = identify_clip(compilation, [STRANGER], catalogue, search="fast")
    assert (told.whole.verdict, told.whole.found) == ("not-found", ())
    assert [each.mark for each in told.parts] == [None]
    assert told.parts[0].end == 12.0
    assert told.seconds == pytest.approx(11.5)


def test_of_a_short_clip_more_frames_are_sampled(tmp_path, numbers):
    path = encode(tmp_path / "short.mp4", shot(5, 8, numbers["Night Train"]))
    assert identify_clip(path, [KEY], search="fast", all_frames=True).frames == 8


def test_what_cannot_be_read_is_said_of_its_file(tmp_path, catalogue):
    path = tmp_path / "text.mp4"
    path.write_text("no film")
    with pytest.raises(UnreadableMedia, match="text"):
        identify_clip(path, [KEY], catalogue)
    with pytest.raises(ValueError, match="between 0 and 1"):
        identify_clip(path, [KEY], catalogue, until=0.0)


def test_it_goes_on_until_it_is_as_sure_as_it_is_asked_to_be(compilation, catalogue):
    soon = identify_clip(compilation, [KEY], catalogue, search="fast", until=1e-3)
    late = identify_clip(compilation, [KEY], catalogue, search="fast", until=5e-324)
    assert soon.whole.log10_p <= -3
    assert late.frames >= soon.frames


def test_a_short_clip_is_looked_at_once_when_all_of_it_is_read(tmp_path):
    """Each look makes the next one dearer, and a short clip is read in no time."""
    short = encode(tmp_path / "short.mp4", shot(5, 16), options={"crf": "23", "g": "50"})
    told = identify_clip(short, [KEY], search="fast")
    assert (told.frames, told.key_frames) == (16, False)
    assert told.looks == 2, "one on its key frame, one on all of it"
