"""Jobs come to an end, whatever becomes of the queue and of those who work on them."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import films
import pytest
import studio

from server import queueing
from server.answers import Answers
from server.companion import dumped, loaded
from server.engine import Engine
from server.queueing import Queue, Taker
from server.settings import Settings
from server.spool import Spool
from watermark.jobs import Jobs
from watermark.registry import open_registry
from watermark.sightings import Sightings

OPTIONS = {"search": "fast", "all": True, "overlay": False, "name": "film.mp4"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = studio.Studio(tmp_path_factory.mktemp("studio"))
    films.make(house.folder / "film.mp4", size=(480, 272), ticks=240)
    return house


@pytest.fixture(scope="module")
def settings(house):
    return Settings(
        registry=str(house.registry), keys=(house.key,), spool=house.folder / "spool", workers=1
    )


@pytest.fixture(scope="module")
def engine(settings):
    engine = Engine(settings)
    yield engine
    engine.close()


class Place:
    """What works on jobs, in this process."""

    def __init__(self, settings, engine, registry):
        self.jobs, self.sightings = Jobs(registry), Sightings(registry)
        self.spool, self.queue = Spool(settings.spool_folder), Queue(settings)
        self.taker = Taker(
            self.jobs,
            engine,
            spool=self.spool,
            answers=Answers(registry, settings),
            settings=settings,
            queue=self.queue,
        )

    def add(self, content, **options):
        upload = self.spool.write([content], 10**9, "film.mp4")
        told = {"sha256": upload.sha256, "bytes": upload.bytes, "kind": upload.kind}
        return self.jobs.add(upload.path.name, OPTIONS | told | options, "t-somebody")

    def until(self, job, *states, seconds=60.0):
        end = time.monotonic() + seconds
        while (now := self.jobs.get(job.id)).state not in states:
            assert time.monotonic() < end, f"it is {now.state}"
            time.sleep(0.02)
        return now

    def uploads(self):
        return {each.name for each in self.spool.folder.iterdir() if len(each.stem) == 32}

    @contextmanager
    def working(self):
        consumer = self.queue.serve(self.taker.take, 1, 30)
        threads = [thread for _, thread in consumer.worker_threads]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            consumer.stop_flag.set()
            for each in threads:
                each.join(30)


@pytest.fixture
def place(settings, engine, monkeypatch):
    monkeypatch.setattr(queueing, "_SIGN", 0.05)
    logging.getLogger("huey").setLevel(logging.WARNING)
    with open_registry(settings.registry) as registry:
        place = Place(settings, engine, registry)
        yield place
        place.queue.huey.flush()
        for job in place.jobs.unfinished(silent=0):
            place.jobs.cancel(job.id)
        for name in place.uploads():
            place.spool.remove(name)
        place.queue.huey.storage.close()


@pytest.fixture(scope="module")
def film(house):
    return (house.folder / "film.mp4").read_bytes()


def test_a_job_is_done_and_its_upload_goes(place, film):
    job = place.add(film)
    place.queue.put(job.id)
    assert place.queue.length() == 1
    with place.working():
        done = place.until(job, "done", "failed")
    assert done.state == "done", done.problem
    assert done.attempts == 1
    assert done.result["verdict"] == "not-found"
    assert done.result["duration"] == pytest.approx(10, abs=0.1)
    assert done.result["examined"]["sha256"] == job.options["sha256"]
    assert place.sightings.get(done.result["sighting"]).by == "t-somebody"
    assert not place.uploads()
    assert place.queue.length() == 0


def test_the_queue_carries_the_id_and_nothing_that_is_run(place, settings):
    place.queue.put("j-of-mine")
    with sqlite3.connect(settings.spool_folder / "queue.sqlite") as queue:
        ((entry,),) = queue.execute("SELECT data FROM task")
    queue.close()
    assert bytes(entry).endswith(b'"server.queueing.detect", "j-of-mine"]')


@pytest.mark.parametrize("content", [b"no film at all", b"\x1a\x45\xdf\xa3 damaged"])
def test_a_file_that_cannot_be_read_ends_its_job(place, content):
    job = place.add(content)
    place.taker.take(job.id)
    failed = place.jobs.get(job.id)
    assert failed.state == "failed"
    assert failed.problem["status"] == 422
    assert job.upload not in str(failed.problem)
    assert not place.uploads()


def test_an_upload_that_is_gone_ends_its_job(place, film):
    job = place.add(film)
    place.spool.remove(job.upload)
    place.taker.take(job.id)
    assert place.jobs.get(job.id).state == "failed"


def test_a_job_is_worked_on_once(place, film, engine):
    job = place.add(film, all=False)
    tasks = engine.state()["tasks"]
    threads = [threading.Thread(target=place.taker.take, args=(job.id,)) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert place.jobs.get(job.id).state == "done"
    assert engine.state()["tasks"] == tasks + 1
    place.taker.take(job.id)
    assert engine.state()["tasks"] == tasks + 1


def test_a_cancelled_job_stops_at_its_next_progress(place, film, engine):
    pids = engine.pids()
    job = place.add(film)
    working = threading.Thread(target=place.taker.take, args=(job.id,))
    working.start()
    place.until(job, "running")
    assert place.jobs.cancel(job.id).state == "cancelled"
    working.join(30)
    now = place.jobs.get(job.id)
    assert now.state == "cancelled"
    assert now.result is None
    assert not place.uploads()
    assert engine.pids() == pids, "the worker was not ended for it"


def test_a_job_that_is_cancelled_in_the_last_moment_leaves_no_sighting(place, film, monkeypatch):
    job = place.add(film, all=False)
    seen = len(place.sightings.list())
    finish = place.taker._answers.finish

    def cancelled_meanwhile(*given, **named):
        answer = finish(*given, **named)
        assert len(place.sightings.list()) == seen + 1
        place.jobs.cancel(job.id)
        return answer

    monkeypatch.setattr(place.taker._answers, "finish", cancelled_meanwhile)
    place.taker.take(job.id)
    now = place.jobs.get(job.id)
    assert (now.state, now.result) == ("cancelled", None)
    assert len(place.sightings.list()) == seen
    assert not place.uploads()


def test_a_result_is_kept_no_longer_than_sightings_are(place, film, monkeypatch):
    job = place.add(film, all=False)
    place.taker.take(job.id)
    place.taker.tidy()
    assert place.jobs.get(job.id).state == "done"
    brief = place.taker._settings.model_copy(update={"keep_days": 1e-9})
    monkeypatch.setattr(place.taker, "_settings", brief)
    time.sleep(0.01)
    place.taker.tidy()
    assert place.jobs.get(job.id) is None


def test_a_job_is_put_back_when_its_worker_leaves(place, film):
    job = place.add(film)
    working = threading.Thread(target=place.taker.take, args=(job.id,))
    working.start()
    place.until(job, "running")
    place.taker.leave()
    working.join(30)
    assert place.jobs.get(job.id).state == "queued"
    assert place.uploads() == {job.upload}


def test_what_the_queue_lost_is_taken_up(place, film):
    job = place.add(film, all=False)
    place.taker.tidy()
    assert place.queue.length() == 1
    place.taker.tidy()
    assert place.queue.length() == 1, "once is enough"
    with place.working():
        place.until(job, "done")


def test_a_job_whose_worker_is_gone_is_taken_up_but_not_for_ever(place, film, monkeypatch):
    monkeypatch.setattr(queueing, "_SILENT", 0.0)
    job = place.add(film)
    for attempt in (1, 2):
        assert place.jobs.claim(job.id).attempts == attempt
        place.taker.tidy()
        assert place.jobs.get(job.id).state == "queued"
    place.jobs.claim(job.id)
    place.taker.tidy()
    assert place.jobs.get(job.id).state == "failed"
    assert not place.uploads()


def test_a_job_that_lives_is_left_alone(place, film):
    job = place.add(film)
    place.jobs.claim(job.id)
    place.taker.tidy()
    assert place.jobs.get(job.id).state == "running"
    assert place.uploads() == {job.upload}


def test_an_old_job_and_an_old_upload_are_forgotten(place, film, monkeypatch):
    job = place.add(film, all=False)
    place.taker.take(job.id)
    monkeypatch.setattr(
        place.taker, "_settings", place.taker._settings.model_copy(update={"job_days": 1e-9})
    )
    left = place.spool.write([b"left by a process that was killed"], 100)
    os.utime(left.path, (1, 1))
    time.sleep(0.01)
    place.taker.tidy()
    assert place.jobs.get(job.id) is None
    assert not place.uploads()
    assert place.jobs.forget(timedelta(0)) == []


def test_a_queue_that_is_down_is_made_up_for(settings, caplog):
    nowhere = settings.model_copy(update={"queue": "redis://127.0.0.1:1/0"})
    queue = Queue(nowhere)
    queue.put("j-of-mine")
    assert queue.length() == 0
    assert "j-of-mine waits" in caplog.text


def test_settings_go_to_another_process_and_come_back(settings):
    assert loaded(dumped(settings)) == settings


@pytest.mark.slow
def test_a_job_outlives_the_process_that_works_on_it(place, settings, house):
    films.make(house.folder / "long.mp4", size=(480, 272), ticks=480)
    job = place.add((house.folder / "long.mp4").read_bytes(), search="full")
    setup = json.dumps(dumped(settings)).encode()

    def started():
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        process.stdin.write(setup)
        process.stdin.close()
        return process

    process = started()
    place.until(job, "running")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process = started()
    try:
        done = place.until(job, "done", "failed", seconds=200)
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert done.state == "done", done.problem
    assert done.attempts == 2
