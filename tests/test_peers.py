"""Peers' processes: what they answer, and that nothing they do can stop or mislead a run."""

import ast
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.calibrate import RESULTS, equal_strength, strengths
from bench.identities import Identities
from bench.peers import environments
from bench.peers.catalogue import PEERS, Peer
from bench.peers.environments import home_of, install, missing, weights_of
from bench.peers.lengths import spread
from bench.peers.process import (
    Child,
    PeerCrashed,
    PeerError,
    PeerGarbled,
    PeerRefused,
    PeerTimeout,
)
from bench.peers.systems import PeerSystem, Sukashi, available

WORKER = Path(__file__).parent.parent / "bench" / "peers" / "worker.py"

# The real worker around a mark that writes its bits into the lowest bits of the first row, and
# misbehaves at certain strengths.
FAKE = f"""
import importlib.util, os, sys, time
import numpy as np

spec = importlib.util.spec_from_file_location("worker", {str(WORKER)!r})
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)

class Fake:
    def embed(self, rgb, bits, strength):
        print("what peers like to say")
        os.write(1, b"and what their libraries do\\n")
        if strength == 2:
            raise RuntimeError("image too small")
        if strength == 3:
            print("no more memory", file=sys.stderr)
            os._exit(3)
        if strength == 4:
            time.sleep(60)
        if strength == 5:
            return rgb[:-1]
        if strength == 6:
            return rgb.astype(np.float64)
        rgb[0, : len(bits), 0] = rgb[0, : len(bits), 0] & 254 | np.array(bits, np.uint8)
        return rgb

    def decode(self, rgb, length, strength, original):
        assert rgb.shape[:2] == original or strength == 7
        if strength == 8:
            return None
        return rgb[0, : length - (strength == 9), 0] & 1

worker.PEERS["fake"] = lambda weights: Fake()
worker.main()
"""


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (48, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def identities():
    return Identities.draw(1000, 96, seed=1)


@pytest.fixture
def system(tmp_path):
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    child = Child([sys.executable, str(script), "fake", str(tmp_path)], seconds=5)
    system = PeerSystem("fake", 96, "a fake", child)
    yield system
    system.close()


def saying(*statements, **how):
    """Return the child of a program that is no worker."""
    return Child([sys.executable, "-c", "; ".join(("import sys, time", *statements))], **how)


def pid(system):
    return system._child._process.pid


def test_an_identity_goes_there_and_back(system, picture, identities):
    before = picture.copy()
    marked = system.embed(picture, identities[5])
    assert np.array_equal(picture, before)
    assert marked.dtype == np.uint8
    assert np.array_equal(marked >> 1, picture >> 1)
    assert np.array_equal(system.decode(marked, (48, 160)), identities[5])
    outcome = system.decide(marked, (48, 160), identities, 5)
    assert outcome.found
    assert outcome.bits == 1
    assert not system.decide(marked, (48, 160), identities, 6).found


def test_a_grey_picture_is_asked_about_in_colour(system, picture, identities):
    grey = np.ascontiguousarray(system.embed(picture, identities[5])[..., 0])
    assert system.decide(grey, (48, 160), identities, 5).found


def test_its_exceptions_are_answers(system, picture, identities):
    """The process lives on, and the next question is answered by the same one."""
    system.embed(picture, identities[1])
    first = pid(system)
    with pytest.raises(PeerRefused, match="RuntimeError: image too small"):
        system.embed(picture, identities[1], 2)
    outcome = system.decide(picture, (47, 160), identities, 1)
    assert outcome.error.startswith("PeerRefused: AssertionError")
    assert not outcome.found
    assert pid(system) == first


@pytest.mark.parametrize(
    "case",
    [
        (3, PeerCrashed, "status 3: no more memory"),
        (5, PeerGarbled, r"\[47, 160, 3\]"),
        (6, PeerGarbled, "float64"),
    ],
    ids=["crash", "shape", "type"],
)
def test_whatever_it_does_the_next_question_is_answered(system, picture, identities, case):
    strength, error, words = case
    with pytest.raises(error, match=words):
        system.embed(picture, identities[1], strength)
    assert np.array_equal(
        system.decode(system.embed(picture, identities[1]), (48, 160)), identities[1]
    )


def test_a_hang_ends_in_time_and_with_its_process(system, picture, identities):
    marked = system.embed(picture, identities[1])
    hanging = system._child._process
    system._child._seconds = 0.3
    started = time.monotonic()
    with pytest.raises(PeerTimeout):
        system.embed(picture, identities[1], 4)
    assert time.monotonic() - started < 3
    assert hanging.returncode is not None
    system._child._seconds = 5
    assert system.decide(marked, (48, 160), identities, 1).found


def test_bits_of_another_length_are_no_answer(system, picture, identities):
    outcome = system.decide(picture, (48, 160), identities, 1, 9)
    assert outcome.error.startswith("PeerGarbled")
    assert not outcome.found


def test_no_bits_are_an_answer(system, picture, identities):
    outcome = system.decide(picture, (48, 160), identities, 1, 8)
    assert outcome.error is None
    assert not outcome.found


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("print('Hello, I am no worker')", PeerGarbled),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\2[]')", PeerGarbled),
        ("sys.stdout.buffer.write(b'\\0\\0\\0\\4abcd')", PeerGarbled),
        ("sys.exit('no such module')", PeerCrashed),
        ("sys.stdout.buffer.write(b'\\0')", PeerCrashed),
        ("import os; os.close(1); time.sleep(60)", PeerCrashed),
        ("time.sleep(60)", PeerTimeout),
    ],
)
def test_a_program_that_is_no_worker(statement, error):
    child = saying(statement, start_seconds=20 if error is not PeerTimeout else 0.2)
    with pytest.raises(error):
        child.ask({"op": "decode"})
    assert child._process is None


def test_one_that_never_starts_is_left_alone(tmp_path):
    child = Child([str(tmp_path / "nothing")])
    for _ in range(3):
        with pytest.raises(PeerCrashed, match="cannot be started"):
            child.ask({"op": "decode"})
    with pytest.raises(PeerCrashed, match="left alone"):
        child.ask({"op": "decode"})


def test_one_that_does_not_read_cannot_hold_up_a_run(picture):
    ready = b'{"ok": true, "bytes": 0}'
    message = len(ready).to_bytes(4, "big") + ready
    said = f"sys.stdout.buffer.write({message!r}); sys.stdout.flush(); time.sleep(60)"
    child = saying(said, seconds=0.3)
    with pytest.raises(PeerTimeout):
        child.ask({"op": "decode"}, np.zeros((2000, 2000, 3), np.uint8))


def test_a_forked_process_starts_one_of_its_own(system, picture, identities):
    """And leaves that of its parent running."""
    system.embed(picture, identities[1])
    parents = system._child._process
    system._child._owner = -1  # as if this were another process now
    system.embed(picture, identities[1])
    assert pid(system) != parents.pid
    os.kill(parents.pid, 0)
    os.kill(parents.pid, 9)
    os.waitpid(parents.pid, 0)


def test_the_worker_imports_nothing_of_this_project():
    """Nor anything but the standard library and NumPy before it knows which peer it is."""
    names = {
        (node.names[0].name if isinstance(node, ast.Import) else node.module).partition(".")[0]
        for node in ast.walk(ast.parse(WORKER.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names <= sys.stdlib_module_names | {"numpy"}


def test_skipped_peers_say_why(tmp_path, monkeypatch):
    monkeypatch.setenv("SUKASHI_PEERS", str(tmp_path))
    assert home_of() == tmp_path
    systems = available()
    assert not isinstance(systems.pop("sukashi"), str)
    assert systems.keys() == PEERS.keys()
    for name, reason in systems.items():
        assert isinstance(reason, str)
        assert ("weights" in reason) == bool(PEERS[name].weights)
        assert ("--setup" in reason) != bool(PEERS[name].weights)


def test_an_environment_is_ready_only_when_all_of_it_is(tmp_path, monkeypatch):
    """It is made by pip, in two steps, and made anew when other versions are asked for."""
    steps = []

    def run(step, **_):
        steps.append(step)
        if "venv" in step:
            Path(step[-1]).mkdir(parents=True)
        failed = "broken==1" in step
        return type("Done", (), {"returncode": failed, "stdout": "b==1\na==2\n", "stderr": "x\nno"})

    monkeypatch.setattr(environments.subprocess, "run", run)
    peer = Peer("one of two", 64, ("lean==1",), ("full==2",), weights=("w.bin",), source="them")
    assert "put w.bin (them) into HOME/weights/one of two" in install(peer, tmp_path)
    assert not steps
    weights_of(peer, tmp_path).mkdir(parents=True)
    (weights_of(peer, tmp_path) / "w.bin").touch()
    assert "--setup" in missing(peer, tmp_path)
    assert install(peer, tmp_path) is None
    assert missing(peer, tmp_path) is None
    assert steps[1][-2:] == ["install", "full==2"]
    assert steps[2][-3:] == ["install", "--no-deps", "lean==1"]
    count = len(steps)
    assert install(peer, tmp_path) is None
    assert len(steps) == count
    other = Peer("one of two", 64, ("broken==1",), ("full==2",))
    assert install(other, tmp_path) == "not installed: no"
    assert "--setup" in missing(other, tmp_path)


def test_every_version_is_exact():
    assert all("==" in name for peer in PEERS.values() for name in (*peer.lean, *peer.needs))


def test_this_project_is_a_system_too():
    rng = np.random.default_rng(4)
    noise = rng.normal(128, 60, (34, 50, 3)).clip(0, 255).astype(np.uint8)
    picture = cv2.resize(noise, (800, 544), interpolation=cv2.INTER_CUBIC)
    sukashi = Sukashi()
    identities = sukashi.identities(1000, seed=1)
    marked = sukashi.embed(picture, identities[7])
    assert np.array_equal(sukashi.decode(marked, (544, 800)), identities[7])
    outcome = sukashi.decide(marked, (544, 800), identities, 7)
    assert outcome.found
    assert outcome.z > 8
    other = sukashi.decide(marked, (544, 800), Identities.of(identities_as_rows(identities)), 8)
    assert not other.right
    assert not other.found


def identities_as_rows(identities):
    return np.array([identities[index] for index in range(50)])


@pytest.mark.parametrize(("factor", "power"), [(0.02, 2.0), (2.0, 1.5), (0.3, 0.7)])
def test_the_strength_of_equal_visibility_is_found(factor, power):
    def mean_jod(strength):
        return 10 - factor * strength**power

    found = equal_strength(mean_jod, 9.93, tolerance=0.005)
    assert found.reached
    assert found.strength == pytest.approx((0.07 / factor) ** (1 / power), rel=0.2)
    assert abs(mean_jod(found.strength) - 9.93) <= 0.005
    assert found.tried[0][0] == 1


def test_what_is_seen_without_a_mark_is_never_equal():
    """A system that spoils pictures by itself comes as near as it can, and says so."""
    found = equal_strength(lambda strength: 9.5 - 0.3 * strength, 9.9)
    assert not found.reached
    assert found.strength == min(strength for strength, _ in found.tried)
    assert found.jod == pytest.approx(9.5, abs=0.01)


def test_nothing_is_as_invisible_as_nothing():
    with pytest.raises(ValueError, match="below 10"):
        equal_strength(lambda _: 9.0, 10.0)


def test_the_stored_strengths_are_those_of_the_catalogue():
    stored = strengths()
    assert stored["sukashi"] == 1
    assert set(stored) - {"sukashi"} <= PEERS.keys()
    assert RESULTS.stat().st_size < 20_000
    assert all(strength > 0 for strength in stored.values())


def test_pictures_are_spread_over_all():
    assert spread(tuple("abcdefghi"), 3) == ("a", "e", "i")
    assert spread(("a",), 3) == ("a",)


def test_errors_of_peers_are_a_tree():
    kinds = (PeerRefused, PeerCrashed, PeerTimeout, PeerGarbled)
    assert all(issubclass(kind, PeerError) for kind in kinds)
