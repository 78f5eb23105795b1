"""Work on a real Ray cluster of two nodes, started on this machine."""

import json
import re
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import crews
import films
import pytest
from click.testing import CliRunner
from studio import Studio

from cli.main import sukashi
from watermark.crew import Crew, Lost
from watermark.errors import EngineError, RegistryError
from watermark.key import Key
from watermark.raying import RayEngine, _scanning
from watermark.registry import open_registry
from watermark.results import Results
from watermark.scan import Outcome
from watermark.scan_setup import Setup
from watermark.tables import read_rows
from watermark.units import list_units

SECRET = bytes(range(40, 72)) + b"a key, as it were"
MEMORY = 100 << 20  # bytes of shared memory of a node


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'sukashi\[scale\]'"):
        Crew(partial(crews.make, "open"), SECRET)


def test_how_many_workers_is_a_matter_of_the_cluster(tmp_path):
    words = ("embed", "a.png", "--work", "w-1", "--key", "k.key", "-o", str(tmp_path / "out.png"))
    result = CliRunner().invoke(sukashi, [*words, "--jobs", "2"])
    assert result.exit_code == 2
    assert "--engine ray" in result.output


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there_is_told_in_a_line(address):
    pytest.importorskip("ray")
    with pytest.raises(EngineError, match="cannot be reached") as told:
        Crew(partial(crews.make, "open"), SECRET, address=address)
    assert "\n" not in str(told.value)


@pytest.fixture(scope="module")
def cluster():
    tests = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{tests.parent}:{tests}")  # what nodes have installed
        cluster_utils = pytest.importorskip("ray.cluster_utils")
        pytest.importorskip("nacl")
        node = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=node)
        made.add_node(num_cpus=1, object_store_memory=MEMORY)
        yield made
        made.shutdown()


@pytest.fixture
def crew(cluster):
    with Crew(partial(crews.make, "open"), SECRET, address=cluster.address) as made:
        yield made


@pytest.mark.slow
def test_every_task_is_answered_once_by_the_workers_of_all_nodes(crew):
    answers = list(crew.done([0.2] * 9))
    assert [task for task, _ in answers] == [0.2] * 9
    assert len({pid for _, pid in answers}) == 2


@pytest.mark.slow
def test_a_worker_has_the_secret_and_the_folder_of_whoever_asks(cluster):
    with Crew(partial(crews.make, "open"), b"open sesame", address=cluster.address) as crew:
        assert list(crew.done(["check"])) == [("check", (True, "open", str(Path.cwd())))]


@pytest.mark.slow
def test_nothing_is_started_for_no_task(crew):
    assert list(crew.done([])) == []
    assert crew._members == []


@pytest.mark.slow
def test_a_task_that_kills_its_worker_costs_itself_alone(crew):
    answers = list(crew.done([0.05, "die", 0.05, 0.05]))
    lost = dict(answers)["die"]
    assert isinstance(lost, Lost)
    assert lost.tries == 3
    assert "\n" not in lost.reason
    assert sum(isinstance(answer, int) for _, answer in answers) == 3


@pytest.mark.slow
def test_no_more_tasks_are_asked_for_than_there_are_workers(crew):
    given = []

    def tasks():
        for number in range(8):
            given.append(number)
            yield 0.01

    for taken, _ in enumerate(crew.done(tasks()), 1):
        time.sleep(0.1)  # whoever takes the answers is slow
        assert len(given) <= taken + 2 + 1  # two at work, and the one that comes next


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "error"), [("refuse", RegistryError), ("fail", ZeroDivisionError)]
)
def test_an_error_of_ours_in_a_worker_is_raised_here(crew, task, error):
    with pytest.raises(error):
        list(crew.done([0.01, task, 0.01]))


@pytest.mark.slow
def test_an_error_in_setting_up_is_raised_here(cluster):
    with (
        Crew(crews.refused, SECRET, address=cluster.address) as crew,
        pytest.raises(RegistryError, match="no such registry"),
    ):
        list(crew.done([0.01]))


@pytest.mark.slow
def test_a_node_that_dies_and_one_that_comes_later(cluster):
    doomed = cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
    with Crew(partial(crews.make, "open"), SECRET, address=cluster.address) as crew:
        answers = []
        for task, answer in crew.done([0.5 + number / 1000 for number in range(24)]):
            answers.append((task, answer))
            if len(answers) == 6:
                assert crew.ready == 4
                cluster.remove_node(doomed, allow_graceful=False)
            if len(answers) == 14:
                later = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
        assert sorted(task for task, _ in answers) == [0.5 + n / 1000 for n in range(24)]
        assert not any(isinstance(answer, Lost) for _, answer in answers)
        assert len({pid for _, pid in answers}) >= 5
    cluster.remove_node(later)


@pytest.mark.slow
def test_a_worker_may_have_several_processors(cluster):
    """As many as the largest machine has, where that has fewer."""
    with Crew(partial(crews.make, ""), SECRET, processors=4, address=cluster.address) as crew:
        assert len({pid for _, pid in crew.done([0.3] * 6)}) == 2
    larger = cluster.add_node(num_cpus=2, object_store_memory=MEMORY)
    with Crew(partial(crews.make, ""), SECRET, processors=4, address=cluster.address) as crew:
        assert len({pid for _, pid in crew.done([0.1] * 4)}) == 1
    cluster.remove_node(larger)


@pytest.mark.slow
def test_ray_never_has_the_secret(cluster):
    """Not in its files, its shared memory, or the memory of its own processes."""
    canary = "an open setting, which shows that one would find it"
    with Crew(partial(crews.make, canary), SECRET, address=cluster.address) as crew:
        list(crew.done([0.1] * 4))
        session = Path(crew._ray._private.worker._global_node.get_session_dir_path())
        forms = [SECRET, SECRET.hex().encode(), repr(SECRET)[2:-1].encode()]
        files = [path for path in session.rglob("*") if path.is_file()]
        assert len(files) > 10
        for path in [*files, *Path("/dev/shm").glob("plasma*")]:
            assert not any(form in path.read_bytes() for form in forms), path
        # Workers call themselves by what they do, and are not among these.
        ours = [pid for pid in _processes() if str(session) in _command(pid)]
        told = " ".join(map(_command, ours))
        assert "gcs_server" in told
        assert "raylet" in told
        found = False
        for pid in ours:
            for part in _memory(pid):
                assert not any(form in part for form in forms), _command(pid)
                found = found or canary.encode() in part
        assert found, "the search finds what Ray does have"


@pytest.fixture
def studio(tmp_path, monkeypatch, cluster):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    return Studio(tmp_path)


@pytest.mark.slow
def test_files_are_marked_on_the_cluster_as_they_are_here(studio, monkeypatch):
    monkeypatch.chdir(studio.folder)
    (studio.frames / "broken.png").write_bytes(b"no picture")
    words = studio.embed("frames", "there")  # relative names mean the same on the nodes
    result = studio.run(*words, "--engine", "ray", "--json", code=1)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    told = {Path(row["file"]).name: row for row in rows}
    assert "no picture" in told.pop("broken.png")["error"]
    for row in studio.rows:
        here, there = Path(row["output"]), told.pop(Path(row["file"]).name)
        assert (there["psnr"], there["ssim"], there["z"]) == (row["psnr"], row["ssim"], row["z"])
        assert Path(there["output"]).read_bytes() == here.read_bytes()
    assert not told
    again = studio.ask(*words, "--engine", "ray", "--resume", "--json", code=1)
    assert [row["skipped"] for row in again if row.get("error") is None] == [True] * 3


@pytest.mark.slow
def test_a_film_is_marked_on_the_cluster(studio):
    film = films.make(studio.folder / "film.mp4", size=(640, 360), ticks=8)
    words = studio.embed(film, studio.folder / "out.mp4")
    (row,) = studio.ask(*words, "--engine", "ray", "--json")
    assert (row["frames"], row["encoder"]) == (8, "libx264")
    (told,) = studio.ask(*studio.detect(studio.folder / "out.mp4"), "--json")
    assert (told["verdict"], told["work"]) == ("detected", studio.works[0].id)


@pytest.mark.slow
def test_the_registry_is_told_of_what_nodes_mark(studio):
    studio.run(*studio.embed(studio.frames, studio.folder / "out", work=1), "--engine", "ray")
    with open_registry(studio.registry) as registry:
        assert registry.markings(studio.marks[1].number)


def scan(studio, results, *words, sources=("pile/0", "pile/1", "pile/2")):
    named = [studio.folder / each for each in sources]
    options = ("--key", studio.key, "--registry", studio.registry, "--search", "fast", "--json")
    return ("scan", *named, "-o", results, *options, *words)


def rows_of(folder):
    tables = sorted(path for path in (folder / "rows").iterdir() if path.name[0] != ".")
    return [row for table in tables for row in read_rows(table)]


@pytest.mark.slow
def test_a_scan_has_the_same_rows_on_the_cluster_and_here(studio, cluster, tmp_path):
    """Also of a shard that cannot be read; and what was kept is decided on anew there as well."""
    for number, folder in enumerate((studio.frames, studio.marked, studio.marked)):
        shutil.copytree(folder, studio.folder / "pile" / str(number))
    (studio.folder / "pile" / "bad.tar").write_bytes(b"no tar")
    sources = ("pile/0", "pile/1", "pile/2", "pile/bad.tar")
    words = ("--keep-evidence", "--engine")
    (here,) = studio.ask(*scan(studio, tmp_path / "a", *words, "local", sources=sources))
    (there,) = studio.ask(*scan(studio, tmp_path / "b", *words, "ray", sources=sources))
    assert here | {"results": ""} == there | {"results": ""}
    assert there["verdicts"] == {"detected": 6, "not-found": 3}
    assert there["failed"] == 1
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")
    kept = [sorted((tmp_path / name / "evidence").glob("*.parquet")) for name in "ab"]
    for one, other in zip(*kept, strict=True):
        assert [*read_rows(one)] == [*read_rows(other)]
    words = ("-o", tmp_path / "c", "--key", studio.key, "--registry", studio.registry)
    again = ("recheck", tmp_path / "b", *words, "--search", "fast", "--engine", "ray", "--json")
    assert studio.ask(*again)[0]["verdicts"] == there["verdicts"]
    secret = Key.read(studio.key).secret
    for path in Path(cluster.head_node.get_session_dir_path()).rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


@pytest.mark.slow
def test_a_scan_goes_on_when_a_node_dies(studio, cluster, tmp_path):
    for number in range(12):
        shutil.copytree(studio.marked, studio.folder / "pile" / str(number))
    units = [*list_units([str(studio.folder / "pile" / str(number)) for number in range(12)])]
    doomed = cluster.add_node(num_cpus=1, object_store_memory=MEMORY)
    setup = Setup((Key.read(studio.key),), str(studio.registry), search="fast")
    with Results(tmp_path / "results") as place:
        place.begin({}, units)
        engine = RayEngine(setup, place.folder, address=cluster.address)
        total = Outcome()
        for done, (_, outcome) in enumerate(engine.done(place.left())):
            total += outcome
            if done == 2:
                cluster.remove_node(doomed, allow_graceful=False)
        assert total == Outcome(rows=36, found=36, failed=0)
        assert place.count_left() == 0
    assert len(rows_of(tmp_path / "results")) == 36


def test_a_node_that_does_not_see_the_results_writes_nothing(tmp_path):
    with pytest.raises(EngineError, match="does not see this folder"):
        _scanning(tmp_path / "results", b"")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_ray_tells_nobody_and_shows_no_page(crew):
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()
    list(crew.done([0.01]))
    assert not crew._ray._private.worker.get_dashboard_url()


@pytest.mark.slow
def test_ray_is_not_told_the_command_line(crew):
    """It may hold the password of a registry."""
    client = crew._ray._private.worker.global_worker.gcs_client
    jobs = client.get_all_job_info(skip_submission_job_info_field=True)
    running = [job.entrypoint for job in jobs.values() if not job.is_dead]
    assert "sukashi" in running
    assert not any(sys.executable in entrypoint for entrypoint in running)


def _processes():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def _memory(pid):
    """Give all that a process may read and write, a mapping at a time."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found and "/dev/shm" not in line:
                start, stop = (int(each, 16) for each in found.groups())
                try:
                    memory.seek(start)
                    yield memory.read(stop - start)
                except (OSError, ValueError, OverflowError):
                    continue
