import json
import signal
import time

import pytest
from piles import jpeg, parquet, shard

from watermark.results import Results


@pytest.fixture(scope="module")
def pile(studio, tmp_path_factory):
    """Give a folder with marked frames, a shard with one of them, and a broken picture."""
    folder = tmp_path_factory.mktemp("pile")
    (folder / "frames").mkdir()
    for each in studio.marked.rglob("*.*"):
        (folder / "frames" / each.name).write_bytes(each.read_bytes())
    shard(folder / "s.tar", [jpeg(8), (studio.marked / "第1話/b.jpg").read_bytes()])
    (folder / "broken.png").write_bytes(b"")
    return folder


def words(studio, *sources, into, search="fast"):
    options = ("--key", studio.key, "--registry", studio.registry, "--jobs", "1")
    return ("scan", *sources, "-o", into, *options, "--search", search)


def test_a_scan_tells_what_was_found_and_goes_on_with_nothing_left(studio, pile, tmp_path):
    result = studio.run(*words(studio, pile, into=tmp_path / "r"))
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[0] == "looked at     5"
    assert lines[1] == "detected      4  (at most 5e-09 by chance, were nothing marked)"
    assert any(line.startswith("unreadable    1  (first: ") for line in lines)
    assert "work          夜汽車 Night Train" in lines
    assert "in            4, 80 % (95 %: 28.4 to 99.5 %)" in lines
    assert "training      not permitted" in lines
    assert result.stderr == ""
    assert {"summary.json", "examples.html", "rows", "run.json"} <= {
        each.name for each in (tmp_path / "r").iterdir()
    }
    again = studio.run(*words(studio, pile, into=tmp_path / "r"), "--json")
    assert again.stderr == "Going on with this scan.\n"
    told = json.loads(again.stdout)
    assert (told["rows"], told["verdicts"]["detected"], told["failed"]) == (6, 4, 1)
    assert told["works"][0]["title"] == "夜汽車 Night Train"


def test_a_scan_of_other_questions_is_refused_in_one_line(studio, pile, tmp_path):
    studio.run(*words(studio, pile / "s.tar", into=tmp_path / "r"))
    for other, message in (
        (words(studio, pile, into=tmp_path / "r"), "holds a scan of other sources"),
        (words(studio, pile / "s.tar", into=tmp_path / "r", search="full"), "another --search"),
        ((*words(studio, pile / "s.tar", into=tmp_path / "r"), "--column", "x"), "another column"),
    ):
        result = studio.run(*other, code=1)
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_without_a_registry_marks_are_told_by_their_numbers(studio, pile, tmp_path):
    options = ("--key", studio.key, "--blind", "--jobs", "1", "--search", "fast")
    result = studio.run("scan", pile / "s.tar", "-o", tmp_path / "r", *options)
    assert f"mark {studio.marks[0]}" in result.stdout


def test_a_list_names_what_is_scanned(studio, pile, tmp_path):
    names = tmp_path / "list.txt"
    names.write_text(f"{pile}/s.tar\n{pile}/none.jpg\n")
    result = studio.run(*words(studio, "--list", names, into=tmp_path / "r"), "--json")
    told = json.loads(result.stdout)
    assert (told["looked_at"], told["failed"]) == (2, 1)


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        ((), 2, "name what is to be scanned"),
        (("none",), 1, "there is no such file or folder"),
        (("--list", "none.txt"), 1, "this list cannot be read"),
        (("nonsense://x",), 1, "nonsense"),
        ((".", "--blind"), 2, "--blind asks no registry"),
    ],
)
def test_slips_are_told_in_one_line(studio, tmp_path, extra, code, message):
    result = studio.run(*words(studio, *extra, into=tmp_path / "r"), code=code)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_source_that_was_misspelt_does_not_take_the_folder(studio, pile, tmp_path):
    studio.run(*words(studio, pile / "none.tar", into=tmp_path / "r"), code=1)
    studio.run(*words(studio, pile / "s.tar", into=tmp_path / "r"))


@pytest.mark.slow
def test_results_inside_the_source_are_not_scanned(studio, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(1))
    for into in ("r", "q"):
        studio.run(*words(studio, tmp_path, into=tmp_path / into))
        (tmp_path / into).rename(tmp_path / f".{into}")
    rows = list(Results(tmp_path / ".q").all_rows())
    assert [each["key"] for each in rows] == ["a.jpg"]


@pytest.mark.slow
def test_ctrl_c_ends_in_one_line_and_the_same_command_goes_on(studio, tmp_path):
    pictures = [jpeg(seed, 60, 90) for seed in range(12)]
    parquet(tmp_path / "s.parquet", pictures, 300)
    parquet(tmp_path / "t.parquet", pictures, 300)
    process = studio.start(*words(studio, tmp_path, into=tmp_path / "r"))
    deadline = time.monotonic() + 100
    while not (tmp_path / "r" / "attempts").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "The same command goes on where this ended.",
        "Interrupted; what was finished before stays.",
    ]
    studio.run(*words(studio, tmp_path, into=tmp_path / "r"))
    rows = list(Results(tmp_path / "r").all_rows())
    assert [each["key"] for each in rows] == [f"{n}:{n}.jpg" for n in range(12)] * 2


@pytest.mark.slow
def test_a_terminal_sees_how_fast_it_goes(studio, pile, tmp_path):
    lines, all_of_it = studio.on_terminal(*words(studio, pile, into=tmp_path / "r"), columns=100)
    assert "/s" in all_of_it
    assert "units" in all_of_it
    assert lines[0].strip() == "looked at     5"  # and nothing of that is left
