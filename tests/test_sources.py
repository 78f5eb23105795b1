import gzip
import itertools
import pickle
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from piles import feather, jpeg, parquet, saved, shard, tar, zipped

from watermark import sample as sample_module
from watermark import units as units_module
from watermark.errors import MediaTooLarge, OutputError, UnreadableMedia, UnsupportedMedia
from watermark.holdings import among_results
from watermark.sources import Unit, list_units, samples

PICTURES = [jpeg(seed, 60, 90) for seed in range(5)]
NUMBERS = [f"{number}:{number}.jpg" for number in range(5)]


def all_of(*sources, **options):
    return [each for unit in list_units([*map(str, sources)], **options) for each in samples(unit)]


def content(each):
    return each.data if each.path is None else each.path.read_bytes()


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda at: shard(at / "s.tar", PICTURES), [f"a/{n:05d}" for n in range(5)]),
        (lambda at: shard(at / "s.tar.gz", PICTURES, "w:gz"), [f"a/{n:05d}" for n in range(5)]),
        (lambda at: shard(at / "s.tgz", PICTURES, "w:gz"), [f"a/{n:05d}" for n in range(5)]),
        (lambda at: shard(at / "s.tar.xz", PICTURES, "w:xz"), [f"a/{n:05d}" for n in range(5)]),
        (lambda at: shard(at / "s.tbz2", PICTURES, "w:bz2"), [f"a/{n:05d}" for n in range(5)]),
        (lambda at: zipped(at / "s.zip", PICTURES), [f"d/{n}.jpg" for n in range(5)]),
        (lambda at: parquet(at / "s.parquet", PICTURES), NUMBERS),
        (lambda at: feather(at / "s.feather", PICTURES), [*"01234"]),
        (lambda at: saved(at / "s", PICTURES), NUMBERS),
    ],
    ids=["tar", "tar.gz", "tgz", "tar.xz", "tbz2", "zip", "parquet", "feather", "hugging face"],
)
def test_every_kind_of_shard_gives_its_pictures_in_order(tmp_path, make, keys):
    found = all_of(make(tmp_path))
    assert [each.key for each in found] == keys
    assert [content(each) for each in found] == PICTURES
    assert {each.kind for each in found} == {"still"}


def folder_of(at):
    (at / "b").mkdir()
    (at / "b" / "2.jpg").write_bytes(PICTURES[2])
    (at / "a.jpg").write_bytes(PICTURES[0])
    (at / "c.jpg").write_bytes(PICTURES[4])
    (at / ".hidden.jpg").write_bytes(PICTURES[0])
    (at / "notes.txt").write_text("nothing")
    (at / "notes.gz").write_bytes(gzip.compress(b"nothing"))
    shard(at / "b" / "9.tar", PICTURES[1:3])
    return at


def test_a_folder_is_walked_in_order_and_shards_in_it_are_read(tmp_path):
    found = all_of(folder_of(tmp_path))
    told = [(each.source.removeprefix(str(tmp_path)), each.key) for each in found]
    inner = [("/b/9.tar", "a/00000"), ("/b/9.tar", "a/00001")]
    assert told == [("", "a.jpg"), ("", "b/2.jpg"), *inner, ("", "c.jpg")]


def test_a_url_gives_what_the_folder_gives(tmp_path):
    pytest.importorskip("fsspec")
    here = folder_of(tmp_path)
    there = all_of(f"file://{here}")
    assert [each.key for each in there] == [each.key for each in all_of(here)]
    assert [content(each) for each in there] == [content(each) for each in all_of(here)]


def test_units_are_the_same_each_time_and_survive_a_trip(tmp_path):
    folder_of(tmp_path)
    units = list(list_units([str(tmp_path)]))
    assert units == list(list_units([str(tmp_path)]))
    assert len({unit.name for unit in units}) == len(units)
    assert [Unit.from_json(unit.as_json()) for unit in units] == units
    assert pickle.loads(pickle.dumps(units)) == units


def test_a_list_of_files_may_name_pictures_shards_and_what_is_missing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    shard(tmp_path / "s.tar", PICTURES[1:3])
    names = tmp_path / "list.txt"
    names.write_text(f"{tmp_path}/a.jpg\n\n{tmp_path}/s.tar\n{tmp_path}/none.jpg\n")
    found = all_of(f"@{names}")
    assert [each.key for each in found][:3] == [f"{tmp_path}/a.jpg", "a/00000", "a/00001"]
    assert not found[3].path.exists()


def test_units_of_files_and_of_members_and_of_rows_are_parts_of_the_same_whole(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(units_module, "_FILES", 2)
    monkeypatch.setattr(units_module, "_MEMBERS", 2)
    monkeypatch.setattr(units_module, "_ROWS", 2)
    monkeypatch.setattr(units_module, "_PART", 5000)
    for number, data in enumerate(PICTURES):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    zipped(tmp_path / "6.zip", PICTURES)
    parquet(tmp_path / "7.parquet", PICTURES)
    shard(tmp_path / "8.tar", PICTURES)
    units = list(list_units([str(tmp_path)]))
    for kind, least in (("files", 3), ("zip", 3), ("parquet", 3), ("tar", 2)):
        mine = [unit for unit in units if unit.kind == kind]
        assert len(mine) >= least
        found = [each for unit in mine for each in samples(unit)]
        assert [content(each) for each in found] == PICTURES
        assert len({each.key for each in found}) == 5


def test_a_sample_of_a_tar_is_never_parted(tmp_path, monkeypatch):
    monkeypatch.setattr(units_module, "_PART", 512)
    members = [(f"{n}.{kind}.jpg", PICTURES[n]) for n in range(4) for kind in ("left", "right")]
    tar(tmp_path / "s.tar", members)
    units = list(list_units([str(tmp_path / "s.tar")]))
    assert len(units) == 4
    for number, unit in enumerate(units):
        assert [each.key for each in samples(unit)] == [str(number), f"{number}.right.jpg"]


def test_captions_are_passed_over_and_broken_pictures_are_not(tmp_path):
    members = [("1.jpg", b"no picture"), ("1.txt", b"caption"), ("2.mp4", b""), ("3.json", b"{}")]
    found = all_of(tar(tmp_path / "s.tar", members))
    assert [(each.key, each.kind) for each in found] == [("1", "still"), ("2", "clip")]


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.zip", "s.parquet", "s.arrow"])
def test_a_shard_that_is_damaged_is_one_error_and_what_could_be_read_stays(tmp_path, name):
    whole = {
        "s.tar": lambda path: shard(path, PICTURES),
        "s.tar.gz": lambda path: shard(path, PICTURES, "w:gz"),
        "s.zip": lambda path: zipped(path, PICTURES),
        "s.parquet": lambda path: parquet(path, PICTURES),
        "s.arrow": lambda path: saved(path.parent / "x", PICTURES) / "data-00000-of-00001.arrow",
    }[name](tmp_path / name)
    data = whole.read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    *before, last = all_of(tmp_path / name)
    assert isinstance(last.error, UnreadableMedia)
    assert str(last.error).startswith(str(tmp_path / name))
    assert "\n" not in str(last.error)
    assert [content(each) for each in before] == PICTURES[: len(before)]
    (tmp_path / name).write_bytes(b"")
    assert not [each for each in all_of(tmp_path / name) if each.error is None]


def test_a_damaged_member_of_a_zip_file_costs_itself_alone(tmp_path):
    path = zipped(tmp_path / "s.zip", PICTURES)
    data = bytearray(path.read_bytes())
    data[data.find(PICTURES[1]) + 100] ^= 255
    path.write_bytes(data)
    found = all_of(path)
    assert [each.error is None for each in found] == [True, False, True, True, True]


def test_rows_without_a_picture_are_errors(tmp_path):
    found = all_of(feather(tmp_path / "s.feather", [PICTURES[0], None, PICTURES[1]]))
    assert [each.error is None for each in found] == [True, False, True]
    assert "row 1" in str(found[1].error)


def test_the_column_is_found_by_content_or_by_name(tmp_path):
    path = parquet(tmp_path / "s.parquet", PICTURES)
    assert len(all_of(path, column="image")) == 5
    assert len(all_of(path, column="image.bytes")) == 5
    (wrong,) = all_of(path, column="picture")
    assert "no column picture" in str(wrong.error)
    assert "hash, image.bytes" in str(wrong.error)


def test_a_table_without_rows_has_no_samples(tmp_path):
    assert all_of(parquet(tmp_path / "s.parquet", [])) == []


def test_a_named_file_of_unknown_ending_is_told_by_its_content(tmp_path):
    path = parquet(tmp_path / "x.parquet", PICTURES).rename(tmp_path / "data")
    assert len(all_of(path)) == 5


def test_pictures_without_an_ending_are_found_in_folders_too(tmp_path):
    (tmp_path / "000123").write_bytes(PICTURES[1])
    (tmp_path / "LICENSE").write_text("do what you like")
    assert [each.key for each in all_of(tmp_path)] == ["000123"]


def test_what_is_named_twice_or_lies_in_what_is_named_is_looked_at_once(tmp_path, monkeypatch):
    folder_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    once = [(each.source, each.key) for each in all_of(tmp_path)]
    again = all_of(tmp_path, tmp_path / "b", tmp_path / "a.jpg", f"{tmp_path}/", ".")
    assert [(each.source, each.key) for each in again] == once
    # What the walk through the folder does not come by was meant all the same.
    assert len(all_of(tmp_path, tmp_path / ".hidden.jpg")) == len(once) + 1
    assert len(all_of("a.jpg", "b", "a.jpg", tmp_path / "c.jpg")) == 5


def test_what_is_named_has_to_be_there(tmp_path):
    with pytest.raises(UnreadableMedia, match="there is no such file or folder"):
        list(list_units([str(tmp_path / "none")]))


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(UnsupportedMedia) as error:
        list(list_units(["s3://me:secret@bucket/x"]))
    assert "secret" not in str(error.value)


def test_the_results_folder_inside_a_source_is_left_out(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    (tmp_path / "out" / "rows").mkdir(parents=True)
    parquet(tmp_path / "out" / "rows" / "1.parquet", PICTURES)
    assert len(all_of(tmp_path, leave_out=tmp_path / "out")) == 1


def test_large_members_go_through_a_file_that_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "_IN_MEMORY", 100)
    paths = []
    unit = next(iter(list_units([str(shard(tmp_path / "s.tar", PICTURES))])))
    for number, each in enumerate(samples(unit)):
        assert each.path.read_bytes() == PICTURES[number]
        paths.append(each.path)
    assert not any(path.exists() for path in paths)


def test_a_sample_that_is_too_large_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "_IN_MEMORY", 100)
    monkeypatch.setattr(sample_module, "_LARGEST", {"still": 1000, "clip": 1 << 30})
    found = all_of(shard(tmp_path / "s.tar", PICTURES))
    assert len(found) == 5
    for each in found:
        assert isinstance(each.error, MediaTooLarge)
        assert each.key in str(each.error)


def test_what_a_bomb_says_of_its_length_is_believed_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "_LARGEST", {"still": 1 << 20, "clip": 1 << 30})
    monkeypatch.setattr(sample_module, "NamedTemporaryFile", None)  # none is made
    bomb = PICTURES[0] + bytes(100 << 20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bomb)
        archive.writestr("b.jpg", PICTURES[1])
    first, second = all_of(tmp_path / "bomb.zip")
    assert isinstance(first.error, MediaTooLarge)
    assert "bomb.zip: a.jpg" in str(first.error)
    assert second.data == PICTURES[1]


def test_a_full_disk_is_no_fault_of_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_module, "_IN_MEMORY", 100)

    @contextmanager
    def full(**_):
        with Path("/dev/full").open("wb", buffering=0) as file:
            yield file

    monkeypatch.setattr(sample_module, "NamedTemporaryFile", full)
    for source in (shard(tmp_path / "s.tar", PICTURES), zipped(tmp_path / "s.zip", PICTURES)):
        with pytest.raises(OutputError, match="no room"):
            all_of(source)


def test_results_of_another_scan_are_no_pictures(tmp_path):
    """Their thumbnails carry the mark, and would be counted."""
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    old = tmp_path / "sub" / "found"
    (old / "thumbnails").mkdir(parents=True)
    parquet(old / "thumbnails" / "1.parquet", PICTURES)
    assert len(all_of(tmp_path)) == 6
    for name in ("run.json", "units.jsonl"):
        (old / name).write_text("{}")
    among_results.cache_clear()
    assert [each.key for each in all_of(tmp_path)] == ["a.jpg"]
    with pytest.raises(UnsupportedMedia, match="results of a scan"):
        all_of(old)


@pytest.mark.parametrize("kind", ["tar", "parquet", "zip"])
def test_memory_does_not_grow_with_the_shard(tmp_path, kind):
    big = [bytes(PICTURES[0]) + bytes(100_000) for _ in range(200)]  # 20 MB
    make = {"tar": shard, "parquet": lambda path, data: parquet(path, data, 200), "zip": zipped}
    path = make[kind](tmp_path / f"s.{kind}", big)
    tracemalloc.start()
    found = list(itertools.chain.from_iterable(map(_lengths, list_units([str(path)]))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 200
    assert peak < 6_000_000


def _lengths(unit):
    return [len(each.data) for each in samples(unit)]
