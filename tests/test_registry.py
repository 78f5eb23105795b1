"""The registry: what goes in comes out, all or nothing, with several processes at once."""

import multiprocessing
import re
import sqlite3
import time

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import intake, migrations
from watermark.errors import (
    InvalidWork,
    RegistryBusy,
    RegistryError,
    RegistryVersion,
    UnknownWork,
)
from watermark.registry import open_registry, registry_exists
from watermark.rows import Row, format_csv, format_jsonl, parse_csv, parse_jsonl
from watermark.work import TRAINING, Work, format_mark, parse_mark

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
LABELS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=3)
ROWS = st.builds(
    Row,
    work=st.from_regex(r"w-[0-9a-hjkmnp-tv-z]{10}", fullmatch=True),
    mark=st.integers(0, 2**48 - 1),
    title=TEXT.filter(str.strip),
    rights_holder=TEXT,
    contact=TEXT,
    url=TEXT,
    training=st.sampled_from(TRAINING),
    terms=TEXT.filter(str.strip),
    labels=LABELS,
    mark_labels=LABELS,
)
FORMATS = [(format_csv, parse_csv), (format_jsonl, parse_jsonl)]


def read(parse, text):
    return list(parse(text.encode().splitlines(keepends=True), "rows"))


def start(function, *arguments):
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    return process


# Rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("write", "parse"), FORMATS)
@given(rows=st.lists(ROWS, max_size=4))
def test_rows_written_are_the_rows_read(write, parse, rows):
    # Split at line feeds only, as a file opened in binary mode is.
    lines = re.findall(rb"[^\n]*\n|[^\n]+", "".join(write(rows)).encode())
    assert list(parse(lines, "rows")) == rows


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(ROWS, max_size=4, unique_by=(lambda row: row.work, lambda row: row.mark)))
def test_rows_imported_are_the_rows_exported(rows):
    with open_registry("sqlite://") as registry:
        registry.import_rows(rows)
        assert list(registry.export_rows()) == sorted(rows, key=lambda row: row.work)


@given(number=st.integers(0, 2**48 - 1))
def test_a_mark_number_is_written_in_twelve_digits_and_read_back(number):
    assert parse_mark(format_mark(number)) == number
    assert len(format_mark(number)) == 12


@pytest.mark.parametrize(
    "text", ["", "1", "3F2A9C01B7DE", "3f2a9c01b7de0", "0x2a9c01b7de", "１" * 12]
)
def test_other_spellings_of_a_mark_number_are_refused(text):
    with pytest.raises(InvalidWork, match="12 lower-case hex digits"):
        parse_mark(text)


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    (row,) = parse_csv([b"\xef\xbb\xbftitle\r\n", b"Night Train\r\n"], "rows")
    assert row == Row(title="Night Train")


def test_silence_about_training_means_not_permitted():
    assert read(parse_jsonl, '{"title": "A"}\n')[0].training == "not-permitted"
    assert read(parse_csv, "title,training\nA,\n")[0].training == "not-permitted"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title\nA\n\n \n", "rows:4: the title is empty"),
        ("title\nA\n,B\n", "rows:3: 2 cells under 1 columns"),
        ('title,url\n"A\nB",x\nC\n', "rows:4: 1 cells under 2 columns"),
        ("name\nA\n", "rows:1: unknown column 'name'"),
        ("title,title\nA,B\n", "rows:1: the column 'title' stands twice"),
        ("title,training\nA,yes\n", "rows:2: training is 'yes'"),
        ("title,training\nA,constrained\n", "rows:2: training is constrained but no terms"),
        ("title,work,mark\nA,w-1,xyz\n", "rows:2: mark 'xyz'"),
        ("title,mark\nA,3f2a9c01b7de\n", "rows:2: a row with a mark must name its work"),
        ("title,work\nA,a b\n", "rows:2: work 'a b' is not an id"),
        ("title,labels\nA,x\n", "rows:2: labels is not JSON"),
        ("title,labels\nA,[]\n", "rows:2: labels must be a JSON object"),
        ('title,labels\nA,"{""n"": 3}"\n', "rows:2: labels must map text to text"),
        ("title\n" + "A" * 501 + "\n", "rows:2: title has 501 characters"),
        ("title\nA\0B\n", "rows:2: title holds a NUL"),
        ('title\n"A', "rows:2: not CSV"),
        ("", "rows: this file is empty"),
    ],
)
def test_a_bad_csv_row_is_refused_by_file_and_line(text, message):
    with pytest.raises(InvalidWork, match=re.escape(message)):
        read(parse_csv, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"title": "A"}\n\n{', "rows:3: not JSON"),
        ("[]\n", "rows:1: not a JSON object"),
        ("[" * 100_000, "rows:1: not JSON"),
        ('{"titel": "A"}\n', "rows:1: unknown column 'titel'"),
        ('{"title": 3}\n', "rows:1: title must be text"),
        ('{"title": "\\ud800"}\n', "rows:1: title holds a NUL or half"),
        ('{"title": "A", "labels": 3}\n', "rows:1: labels must be an object"),
        ('{"title": "A", "training": 3}\n', "rows:1: training is 3"),
        ('{"title": "A", "work": 3}\n', "rows:1: work must be text"),
        ('{"title": "A", "work": "w", "mark": 3}\n', "rows:1: mark 3 is not"),
    ],
)
def test_a_bad_json_line_is_refused_by_file_and_line(text, message):
    with pytest.raises(InvalidWork, match=re.escape(message)):
        read(parse_jsonl, text)


@pytest.mark.parametrize("parse", [parse_csv, parse_jsonl])
def test_a_line_that_is_not_utf8_is_named(parse):
    with pytest.raises(InvalidWork, match="rows:2: not UTF-8"):
        list(parse([b"\n", b"\xff\n"], "rows"))


# Works and marks ----------------------------------------------------------------------------


def test_a_work_added_is_found_by_id_and_by_title(where):
    with open_registry(where) as registry:
        work, mark = registry.add_work("夢の庭", labels={"episode": "3"}, mark_labels={"to": "TV"})
        assert re.fullmatch(r"w-[0-9a-hjkmnp-tv-z]{10}", work.id)
        assert work.training == "not-permitted"
        assert 0 <= mark.number < 2**48
        assert (mark.work_id, mark.labels) == (work.id, {"to": "TV"})
        assert registry.work(work.id) == registry.work("夢の庭") == work
        assert registry.marks(work.id) == [mark]
        assert registry.lookup([mark.number, 5]) == {mark.number: (work, mark)}


def test_an_unknown_or_ambiguous_work_is_an_error_with_the_cure(where):
    with open_registry(where) as registry:
        ids = sorted(registry.add_work("A")[0].id for _ in range(2))
        with pytest.raises(UnknownWork, match="sukashi work list"):
            registry.work("B")
        with pytest.raises(UnknownWork, match=", ".join(ids)):
            registry.work("A")
        with pytest.raises(UnknownWork):
            registry.add_mark("w-0000000000")


def test_a_work_can_have_several_marks(where):
    with open_registry(where) as registry:
        work, first = registry.add_work("A")
        second = registry.add_mark(work.id, {"recipient": "press"})
        assert {mark.number for mark in registry.marks(work.id)} == {first.number, second.number}
        numbers = registry.mark_numbers()
        assert numbers.dtype == np.uint64
        assert numbers.tolist() == sorted([first.number, second.number])


def test_an_empty_registry_has_no_numbers(where):
    with open_registry(where) as registry:
        assert registry.mark_numbers().shape == (0,)
        assert list(registry.works()) == list(registry.export_rows()) == []


def test_an_edit_changes_what_it_names_and_nothing_else(where):
    with open_registry(where) as registry:
        work, _ = registry.add_work("A", contact="a@example.org", labels={"x": "1"})
        edited = registry.edit_work(work.id, training="constrained", terms="ask")
        assert registry.work(work.id) == edited
        assert (edited.title, edited.contact, edited.labels) == ("A", "a@example.org", {"x": "1"})
        assert (edited.training, edited.terms) == ("constrained", "ask")


@pytest.mark.parametrize(
    "change", [{"title": " "}, {"training": "maybe"}, {"training": "constrained"}, {"url": "\0"}]
)
def test_an_edit_that_is_refused_changes_nothing(change):
    with open_registry("sqlite://") as registry:
        work, _ = registry.add_work("A")
        with pytest.raises(InvalidWork):
            registry.edit_work(work.id, **change)
        assert registry.work(work.id) == work
        with pytest.raises(TypeError, match="colour"):
            registry.edit_work(work.id, colour="red")
        with pytest.raises(UnknownWork):
            registry.edit_work("w-0000000000", title="B")


def test_works_come_by_title_in_pages_and_by_text(where, monkeypatch):
    monkeypatch.setattr("watermark.database._PAGE", 3)
    with open_registry(where) as registry:
        for number in range(10):
            registry.add_work(f"film {number} 100%", rights_holder=f"Kumo {number % 2}")
        titles = [f"film {number} 100%" for number in range(10)]
        assert [work.title for work in registry.works()] == titles
        page = list(registry.works(limit=4))
        assert [work.title for work in page] == titles[:4]
        assert [work.title for work in registry.works(after=page[-1].id)] == titles[4:]
        assert len(list(registry.works(find="KUMO 1"))) == 5
        assert len(list(registry.works(find="0%"))) == 10
        assert list(registry.works(find="1_0")) == []
        assert len(list(registry.export_rows())) == 10


def test_the_revision_changes_with_the_marks_and_only_with_them(where):
    with open_registry(where) as registry:
        seen = [registry.revision()]
        work, mark = registry.add_work("A")
        seen.append(registry.revision())
        registry.edit_work(work.id, title="B")
        registry.record_marking(mark.number, "f", "p")
        assert registry.revision() == seen[-1]
        registry.add_mark(work.id)
        seen.append(registry.revision())
        registry.import_rows([Row(title="C")])
        seen.append(registry.revision())
        assert len(set(seen)) == len(seen)
    with open_registry("sqlite://") as other:
        assert other.revision() not in seen


def test_a_marking_is_recorded_once(where):
    with open_registry(where) as registry:
        _, mark = registry.add_work("A")
        for fingerprint, profile in [("f", "p"), ("f", "q"), ("e", "p"), ("f", "p")]:
            registry.record_marking(mark.number, fingerprint, profile)
        assert registry.markings(mark.number) == [("e", "p"), ("f", "p"), ("f", "q")]
        assert registry.fingerprints() == ["e", "f"]
        assert registry.profiles() == ["p", "q"]
        with pytest.raises(UnknownWork, match=format_mark(mark.number ^ 1)):
            registry.record_marking(mark.number ^ 1, "f", "p")


def test_a_number_or_id_that_is_taken_is_drawn_again(where, monkeypatch):
    with open_registry(where) as registry:
        work, mark = registry.add_work("A")
        numbers = iter([mark.number, mark.number, mark.number + 1])
        ids = iter([work.id, "w-0000000000"])
        monkeypatch.setattr(intake, "_random_numbers", lambda count: [next(numbers)])
        monkeypatch.setattr(intake, "_random_ids", lambda count: [next(ids)])
        other, another = registry.add_work("B")
        assert (other.id, another.number) == ("w-0000000000", mark.number + 1)


# Import -------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 10_000])
def batch(request, monkeypatch):
    """Set the size of a batch: what holds within one holds across them."""
    monkeypatch.setattr(intake, "_BATCH", request.param)


def test_an_import_draws_what_a_row_lacks_and_keeps_what_it_has(where, batch):
    rows = [
        Row(title="A"),
        Row(work="w-1", mark=7, title="B", labels={"x": "y"}),
        Row(work="w-1", mark=8, mark_labels={"to": "press"}),
        Row(work="w-1", title="B", labels={"x": "y"}),
    ]
    with open_registry(where) as registry:
        done = registry.import_rows(rows)
        assert (done.rows, done.works, done.marks, done.skipped) == (4, 2, 4, 0)
        assert len(registry.marks("w-1")) == 3
        assert registry.lookup([8])[8][1].labels == {"to": "press"}
        assert len(registry.marks(registry.work("A").id)) == 1


def test_an_export_imported_again_changes_nothing(where, batch):
    with open_registry(where) as registry:
        registry.import_rows([Row(title="A"), Row(work="w-1", mark=7, title="B", url="u")])
        rows, revision = list(registry.export_rows()), registry.revision()
        done = registry.import_rows(rows)
        assert (done.works, done.marks, done.skipped) == (0, 0, 2)
        assert (list(registry.export_rows()), registry.revision()) == (rows, revision)


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (Row(work="w-1", title="C", place="f:9"), InvalidWork, "f:9: work w-1 .* another title;"),
        (Row(work="w-1", mark=7, title="B", mark_labels={"a": "b"}, place="f:9"), InvalidWork,
         "f:9: mark 000000000007 .* other mark_labels"),
        (Row(work="w-2", mark=7, title="B", place="f:9"), InvalidWork,
         "f:9: mark 000000000007 .* another work"),
        (Row(work="w-3", place="f:9"), UnknownWork, "f:9: 'w-3' is no work"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.usefixtures("batch")
def test_a_row_that_contradicts_takes_all_others_back(where, row, error, message, registered):
    known = Row(work="w-1", mark=7, title="B")
    with open_registry(where) as registry:
        if registered:
            registry.import_rows([known])
        before = list(registry.export_rows()), registry.revision()
        with pytest.raises(error, match=message):
            registry.import_rows([Row(title="A"), known, row])
        assert (list(registry.export_rows()), registry.revision()) == before


def test_an_import_that_cannot_be_read_to_its_end_leaves_nothing(where, batch):
    with open_registry(where) as registry:
        with pytest.raises(InvalidWork, match="rows:3"):
            registry.import_rows(parse_csv([b"title\n", b"A\n", b" \n"], "rows"))
        assert list(registry.works()) == []


# Several processes --------------------------------------------------------------------------


def add_works(where, name, count):
    with open_registry(where, busy_timeout=60) as registry:
        for number in range(count):
            registry.add_work(f"{name} {number}")


def test_two_processes_make_and_fill_one_registry_at_once(shared):
    writers = [start(add_works, shared, name, 20) for name in "ab"]
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    with open_registry(shared, read_only=True) as registry:
        assert len(list(registry.works())) == registry.mark_numbers().size == 40


def test_a_registry_held_too_long_is_one_line_and_readers_go_on(shared):
    with open_registry(shared) as registry, open_registry(shared, busy_timeout=0.2) as second:
        work, _ = registry.add_work("A")
        with registry.database.writing():
            began = time.monotonic()
            with pytest.raises(RegistryBusy, match="another process is writing") as caught:
                second.add_work("B")
            assert 0.1 < time.monotonic() - began < 5
            assert "\n" not in str(caught.value)
            assert second.work(work.id) == work
        assert second.add_work("B")


def test_threads_take_turns_in_memory():
    with open_registry("sqlite://") as registry:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(registry.add_work, [f"film {number}" for number in range(40)]))
        assert registry.mark_numbers().size == 40


# Where it lies and which schema it has ------------------------------------------------------


def add_colour(connection):
    connection.exec_driver_sql("ALTER TABLE works ADD COLUMN colour TEXT")


def test_an_older_registry_is_brought_up_to_date_when_written(shared, monkeypatch):
    with open_registry(shared) as registry:
        work, _ = registry.add_work("A")
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, add_colour))
    with pytest.raises(RegistryVersion, match=r"older schema 2.*sukashi work upgrade"):
        open_registry(shared, read_only=True)
    with open_registry(shared) as registry:
        assert registry.work(work.id) == work
    with open_registry(shared, read_only=True) as registry:
        assert registry.work(work.id) == work


def test_a_newer_registry_is_left_alone(shared, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, add_colour))
        open_registry(shared).close()
    for read_only in (True, False):
        with pytest.raises(RegistryVersion, match=r"schema 3.*upgrade sukashi"):
            open_registry(shared, read_only=read_only)


def test_a_migration_that_fails_leaves_the_registry_as_it_was(shared, monkeypatch):
    def fail(connection):
        add_colour(connection)
        raise ZeroDivisionError

    open_registry(shared).close()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, fail))
        with pytest.raises(ZeroDivisionError):
            open_registry(shared)
    with open_registry(shared) as registry, registry.database.reading() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("works")}
        assert "colour" not in columns


def test_the_tables_asked_are_the_tables_made(where):
    with open_registry(where) as registry, registry.database.reading() as connection:
        for table in (intake.WORKS, intake.MARKS, intake.MARKINGS, intake.REVISION):
            made = [column["name"] for column in sa.inspect(connection).get_columns(table.name)]
            assert made == table.c.keys()


def test_a_large_registry_is_asked_through_its_indices():
    with open_registry("sqlite://") as registry, registry.database.reading() as connection:
        for query in (
            "SELECT * FROM works WHERE title = 'A' ORDER BY id",
            "SELECT * FROM works WHERE (title, id) > ('A', 'w') ORDER BY title, id LIMIT 9",
            "SELECT * FROM marks WHERE work_id = 'w'",
            "SELECT * FROM marks WHERE number IN (1, 2)",
        ):
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query).all()
            assert all("SEARCH" in step[-1] for step in plan), plan


def test_marks_keep_their_order_through_export_and_import(where, batch):
    with open_registry(where) as registry, open_registry("sqlite://") as other:
        works = [registry.add_work(title)[0].id for title in "AB"]
        for number in range(8):
            registry.add_mark(works[number % 2])
        other.import_rows(registry.export_rows())
        for work in works:
            numbers = [mark.number for mark in registry.marks(work)]
            assert [mark.number for mark in other.marks(work)] == numbers
            assert len({mark.created_at for mark in other.marks(work)}) == 5
        assert list(other.export_rows()) == list(registry.export_rows())


@pytest.mark.parametrize("spelling", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_a_path_and_an_url_name_the_same_file(tmp_path, spelling):
    file = tmp_path / "ä ?#%41.sqlite"
    with open_registry(file) as registry:
        registry.add_work("A")
    if "#" in spelling or ":" in spelling:
        file = file.rename(tmp_path / "plain.sqlite")
    with open_registry(spelling.format(file), read_only=True) as registry:
        assert registry.work("A")
    assert registry_exists(file)


def test_reading_makes_no_file(tmp_path):
    file = tmp_path / "registry.sqlite"
    assert not registry_exists(file)
    with pytest.raises(RegistryError, match=r"no registry here yet.*sukashi work add"):
        open_registry(file, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_the_environments_or_a_file_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SUKASHI_REGISTRY", str(tmp_path / "chosen.sqlite"))
    with open_registry() as registry:
        assert registry.name == str(tmp_path / "chosen.sqlite")
    monkeypatch.delenv("SUKASHI_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert not registry_exists()
    with open_registry():
        assert (tmp_path / "data" / "sukashi" / "registry.sqlite").exists()
    assert registry_exists()


def test_what_is_no_registry_is_one_line_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database " * 100)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE songs (id)")
    connection.close()
    for file in (text, foreign, tmp_path, tmp_path / "none" / "registry.sqlite"):
        before = file.read_bytes() if file.is_file() else None
        for read_only in (True, False):
            with pytest.raises(RegistryError) as caught:
                open_registry(file, read_only=read_only)
            assert str(file) in str(caught.value)
            assert "\n" not in str(caught.value)
        assert before is None or file.read_bytes() == before


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hidden@127.0.0.1:1/x",
        "mysql://u:hidden@h/x",
        "nonsense://u:hidden@h/x",
        "://hidden",
    ],
)
def test_a_server_out_of_reach_is_one_line_without_the_password(url):
    with pytest.raises(RegistryError) as caught:
        open_registry(url)
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_work_is_a_value():
    assert Work("w-1", "A", labels={"x": "y"}) == Work("w-1", "A", labels={"x": "y"})
    assert len({Work("w-1", "A"), Work("w-1", "A")}) == 1
