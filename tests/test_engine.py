"""The engine keeps its word with real worker processes, whatever becomes of one of them."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import films
import numpy as np
import pytest
import studio

from server.engine import Broken, Busy, Cancelled, Engine
from server.settings import Settings
from server.spool import Spool
from watermark.compact import unpack
from watermark.embed import embed
from watermark.errors import (
    EvidenceError,
    KeyFileError,
    MediaTooLarge,
    RegistryError,
    UnreadableMedia,
)
from watermark.key import Key
from watermark.registry import open_registry
from watermark.stills import Still, write

ROOM = {"workers": 1, "queue_length": 5}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return studio.Studio(tmp_path_factory.mktemp("studio"))


@pytest.fixture(scope="module")
def spool(house):
    return Spool(house.folder / "spool")


def settings_of(house, **others):
    named = {"registry": str(house.registry), "keys": (house.key,)}
    return Settings(**(named | ROOM | others))


@contextmanager
def running(house, **others):
    engine = Engine(settings_of(house, **others))
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine(house):
    with running(house) as engine:
        yield engine


@pytest.fixture
def uploaded(house, spool):
    def put(file):
        return spool.write([file.read_bytes()], 10**9, file.name)

    return put


@pytest.fixture
def marked(house, uploaded):
    return uploaded(house.marked / "a 1.png")


def until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


@contextmanager
def stopped(engine):
    """Let every worker stand still as it is, as one that hangs does."""
    pids = engine.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield pids
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_an_upload_is_told_of_in_the_words_of_the_command(house, engine, marked):
    outcome = engine.detect(marked, search="fast")
    (row,) = house.ask(*house.detect(house.marked / "a 1.png"), "--json")
    del row["file"]
    assert outcome.record == row
    assert outcome.size == (480, 270)
    assert outcome.frames == 1
    assert {"queue", "decode", "detect"} <= outcome.seconds.keys()


def test_what_was_found_is_drawn_where_that_is_asked_for(engine, house, uploaded, marked):
    assert engine.detect(marked, search="fast").overlay is None
    png = engine.detect(marked, search="fast", overlay=True).overlay
    drawn = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (270, 480, 3)
    plain = uploaded(house.frames / "a 1.png")
    assert engine.detect(plain, search="fast", overlay=True).overlay is None


def test_the_drawing_of_a_large_picture_is_small_enough_to_send(house, engine, uploaded, tmp_path):
    large = embed(studio.picture(5, 1200, 2400), Key.read(house.key), house.marks[1].number)
    write(Still(large), tmp_path / "large.png")
    outcome = engine.detect(uploaded(tmp_path / "large.png"), search="fast", overlay=True)
    assert outcome.record["title"] == studio.TITLES[1]
    drawn = cv2.imdecode(np.frombuffer(outcome.overlay, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (800, 1600, 3)
    assert outcome.size == (2400, 1200)
    assert np.max(outcome.record["outline"]) == 2400


@pytest.mark.parametrize("content", [b"nothing", b"", b"\x89PNG\r\n\x1a\n" + bytes(99)])
def test_a_bad_file_costs_itself_alone_and_no_place_is_told(engine, spool, marked, content):
    upload = spool.write([content], 1000, "secret name.png")
    crashes = engine.state()["crashes"]
    with pytest.raises(UnreadableMedia) as caught:
        engine.detect(upload)
    assert "secret" not in str(caught.value)
    assert upload.path.name not in str(caught.value)
    assert engine.detect(marked, search="fast").record["verdict"] == "detected"
    assert engine.state()["crashes"] == crashes


def test_too_many_pixels_are_refused(house, marked):
    with running(house, max_pixels=1000) as engine, pytest.raises(MediaTooLarge):
        engine.detect(marked)


def test_a_work_that_is_registered_is_known_within_a_second_or_so(
    house, engine, uploaded, tmp_path
):
    with open_registry(house.registry) as registry:
        before = engine.detect(uploaded(house.marked / "a 1.png"), search="fast")
        work, mark = registry.add_work("Fresh")
    write(Still(embed(studio.picture(9), Key.read(house.key), mark.number)), tmp_path / "f.png")
    upload = uploaded(tmp_path / "f.png")
    assert before.record["verdict"] == "detected"
    until(lambda: engine.detect(upload, search="fast").record["work"] == work.id, 10)


def test_a_changed_permission_is_told_at_once(house, engine, marked):
    with open_registry(house.registry) as registry:
        registry.edit_work(house.works[0].id, training="allowed")
        assert engine.detect(marked, search="fast").record["training"] == "allowed"
        registry.edit_work(house.works[0].id, training="not-permitted")
        assert engine.detect(marked, search="fast").record["training"] == "not-permitted"


def test_a_worker_that_is_killed_loses_its_request_only(engine, uploaded, marked, tmp_path):
    films.make(tmp_path / "film.mp4", size=(480, 272), ticks=120)
    film = uploaded(tmp_path / "film.mp4")
    (pid,) = engine.pids()
    before = engine.state()

    def kill(share, words):
        assert 0 <= share <= 1
        assert "frames, to 0:" in words
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    with ThreadPoolExecutor(5) as threads:
        lost = threads.submit(engine.detect, film, all_frames=True, on_progress=kill)
        until(lambda: engine.state()["busy"] == 1)
        asked = [threads.submit(engine.detect, marked, search="fast") for _ in range(4)]
        assert isinstance(lost.exception(60), Broken)
        assert all(each.result(60).record["verdict"] == "detected" for each in asked)
    state = engine.state()
    counted = [state[name] - before[name] for name in ("crashes", "restarts", "tasks")]
    assert counted == [1, 1, 4]
    assert engine.pids() != [pid]


def test_a_worker_that_is_killed_while_idle_costs_nothing(engine, marked):
    (pid,) = engine.pids()
    os.kill(pid, signal.SIGKILL)
    assert engine.detect(marked, search="fast").record["verdict"] == "detected"
    assert engine.pids() != [pid]


def test_a_hang_is_cut_off(engine, marked):
    timeouts = engine.state()["timeouts"]
    with stopped(engine):
        began = time.monotonic()
        with pytest.raises(Broken, match="too long"):
            engine.detect(marked, seconds=1)
        assert 0.9 < time.monotonic() - began < 5
    assert engine.state()["timeouts"] == timeouts + 1
    assert engine.detect(marked, search="fast").record["verdict"] == "detected"


def test_what_does_not_fit_is_told_to_come_again_and_the_others_are_served_in_order(engine, marked):
    places, before = engine.state()["places"], engine.state()["refused"]
    order = []

    def ask(number):
        order.append((number, engine.detect(marked, search="fast").record["verdict"]))

    with ThreadPoolExecutor(places) as threads, stopped(engine):
        for number in range(places):
            threads.submit(ask, number)
            until(lambda wanted=number: engine.state()["waiting"] == wanted)
        with pytest.raises(Busy) as caught:
            engine.detect(marked)
        assert 1 <= caught.value.retry_after <= 60
        assert engine.state()["refused"] == before + 1
    assert order == [(number, "detected") for number in range(places)]
    assert engine.state()["taken"] == 0


def test_a_caller_who_has_gone_is_not_waited_for(engine, marked):
    gone = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        with stopped(engine):
            first = threads.submit(engine.detect, marked, search="fast")
            until(lambda: engine.state()["busy"] == 1)
            second = threads.submit(engine.detect, marked, cancelled=gone.is_set)
            until(lambda: engine.state()["waiting"] == 1)
            gone.set()
            with pytest.raises(Cancelled):
                second.result(10)
        assert first.result(60).record["verdict"] == "detected"


def test_closing_finishes_what_was_taken_and_takes_nothing_more(house, marked):
    with running(house) as engine, ThreadPoolExecutor(3) as threads:
        pids = engine.pids()
        with stopped(engine):
            asked = [threads.submit(engine.detect, marked, search="fast") for _ in range(2)]
            until(lambda: engine.state()["taken"] == 2)
            closed = threads.submit(engine.close, 60)
            until(lambda: not engine.ready())
            with pytest.raises(Busy):
                engine.detect(marked)
        assert all(each.result(60).record["verdict"] == "detected" for each in asked)
        assert closed.result(60)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_closing_does_not_wait_longer_than_it_may(house, marked):
    with running(house) as engine, ThreadPoolExecutor(1) as threads, stopped(engine):
        asked = threads.submit(engine.detect, marked)
        until(lambda: engine.state()["busy"] == 1)
        assert not engine.close(0.1)
        assert isinstance(asked.exception(10), Broken | Busy)


def test_an_engine_that_cannot_start_says_why(house, tmp_path):
    with pytest.raises(KeyFileError):
        Engine(settings_of(house, keys=(tmp_path / "none.key",)))
    with pytest.raises(RegistryError, match="no registry here"):
        Engine(settings_of(house, registry=str(tmp_path / "none.sqlite")))


def test_keys_are_seen_by_nobody(engine, house):
    secret = Key.read(house.key).secret
    (pid,) = engine.pids()
    for name in ("cmdline", "environ"):
        shown = Path(f"/proc/{pid}/{name}").read_bytes()
        assert secret not in shown
        assert secret.hex().encode() not in shown
        assert str(house.key).encode() not in shown


def test_evidence_is_kept_and_decided_on_anew(house, engine, uploaded, tmp_path):
    with open_registry(house.registry) as registry:
        other = Key.generate()
        work, mark = registry.add_work("Later")
    unknown = embed(studio.picture(8), Key.read(house.key), mark.number)
    write(Still(unknown), tmp_path / "u.png")
    write(Still(embed(studio.picture(8), other, mark.number)), tmp_path / "o.png")
    until(lambda: engine.detect(uploaded(tmp_path / "u.png"), search="fast").record["work"])
    found, strange = (
        engine.detect(uploaded(tmp_path / name), search="fast") for name in ("u.png", "o.png")
    )
    assert len(found.evidence) <= 40_000
    assert (
        engine.detect(uploaded(tmp_path / "u.png"), search="fast", evidence=False).evidence is None
    )
    told = engine.recheck(
        [
            ("a", found.evidence, 1, found.size),
            ("b", strange.evidence, 1, strange.size),
            ("c", b"damaged" + found.evidence, 1, found.size),
        ]
    )
    assert told[0]["work"] == work.id
    assert told[0]["log10_p"] < -12
    assert told[1]["verdict"] == "not-found"
    assert isinstance(told[2], EvidenceError)


def test_a_film_leaves_the_evidence_of_all_its_frames(engine, uploaded, tmp_path):
    films.make(tmp_path / "film.mp4", size=(480, 272), ticks=24)
    outcome = engine.detect(uploaded(tmp_path / "film.mp4"), search="fast", all_frames=True)
    assert unpack(outcome.evidence).frames >= outcome.frames == outcome.record["frames"]
