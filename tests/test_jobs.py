"""Jobs: each is done by one worker, outlives a restart, and stays cancelled."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from watermark import migrations
from watermark.jobs import ENDED, STATES, Jobs
from watermark.registry import open_registry
from watermark.sightings import Sightings
from watermark.tokens import Tokens


@pytest.fixture
def jobs(where):
    with open_registry(where) as registry:
        yield Jobs(registry)


def test_a_job_goes_its_way(jobs):
    made = jobs.add("upload-1", {"search": "full", "all": True}, "k7")
    assert (made.state, made.upload, made.by, made.attempts) == ("queued", "upload-1", "k7", 0)
    assert made.options == {"search": "full", "all": True}
    assert jobs.get(made.id) == made
    running = jobs.claim(made.id)
    assert (running.state, running.attempts, running.progress) == ("running", 1, None)
    assert jobs.progress(made.id, 0.25, "frame 100 of 400")
    assert (jobs.get(made.id).progress, jobs.get(made.id).text) == (0.25, "frame 100 of 400")
    done = jobs.finish(made.id, {"verdict": "detected", "title": "夜\0\ud800"})
    assert done == jobs.get(made.id)
    assert (done.state, done.progress, done.result["title"]) == ("done", 1.0, "夜\0\ud800")
    assert done.ended
    assert not running.ended


def test_jobs_are_counted_by_state(jobs):
    assert jobs.count() == dict.fromkeys(STATES, 0)
    first = jobs.add("upload-1", {}, "k7")
    jobs.add("upload-2", {}, "k7")
    jobs.claim(first.id)
    assert jobs.count() == dict.fromkeys(STATES, 0) | {"queued": 1, "running": 1}


def test_a_failed_job_says_why(jobs):
    made = jobs.add("u", {}, "anonymous")
    jobs.claim(made.id)
    failed = jobs.fail(made.id, {"title": "not a film", "status": 422})
    assert (failed.state, failed.problem["status"], failed.result) == ("failed", 422, None)


def put(jobs, state):
    """Make a job and bring it into a state."""
    made = jobs.add("u", {}, "anonymous")
    if state in {"running", "done"}:
        jobs.claim(made.id)
    end = {"done": lambda: jobs.finish(made.id, {}), "failed": lambda: jobs.fail(made.id, {}),
           "cancelled": lambda: jobs.cancel(made.id)}  # fmt: skip
    if state in end:
        end[state]()
    assert jobs.get(made.id).state == state
    return jobs.get(made.id)


CHANGES = {
    "claim": (lambda jobs, job: jobs.claim(job.id), {"queued"}),
    "progress": (lambda jobs, job: jobs.progress(job.id, 0.5), {"running"}),
    "finish": (lambda jobs, job: jobs.finish(job.id, {}), {"running"}),
    "fail": (lambda jobs, job: jobs.fail(job.id, {}), {"queued", "running"}),
    "requeue": (lambda jobs, job: jobs.requeue(job), {"running"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_happens_from_its_own_states_only(jobs, change):
    do, allowed = CHANGES[change]
    for state in STATES:
        job = put(jobs, state)
        assert bool(do(jobs, job)) == (state in allowed), state
        assert (jobs.get(job.id) == job) == (state not in allowed), state


def test_cancelling_ends_what_has_not_ended(jobs):
    for state in STATES:
        job = put(jobs, state)
        cancelled = jobs.cancel(job.id)
        assert cancelled == jobs.get(job.id)
        assert cancelled.state == (state if state in ENDED else "cancelled")
        assert not jobs.progress(job.id, 0.9)
        assert jobs.finish(job.id, {}) is None


def test_what_is_not_there_is_none(jobs):
    assert jobs.get("j-1") is jobs.claim("j-1") is jobs.cancel("j-1") is None
    assert not jobs.progress("j-1", 0.1)


def test_after_a_restart_the_unfinished_are_taken_up(jobs):
    made = {state: put(jobs, state) for state in STATES}
    assert jobs.unfinished() == [made["queued"]]
    assert jobs.unfinished(silent=0) == [made["queued"], made["running"]]
    again = jobs.requeue(made["running"])
    assert (again.state, again.attempts) == ("queued", 1)
    assert jobs.claim(again.id).attempts == 2


def test_a_worker_that_gave_a_sign_of_life_keeps_its_job(jobs):
    seen = put(jobs, "running")
    jobs.progress(seen.id, 0.5)
    assert jobs.requeue(seen) is None
    assert jobs.get(seen.id).state == "running"


def test_old_jobs_are_forgotten_and_their_uploads_named(jobs):
    made = {state: put(jobs, state) for state in STATES}
    assert jobs.forget(timedelta(hours=1)) == []
    gone = jobs.forget(timedelta(0))
    assert sorted(job.state for job in gone) == sorted(ENDED)
    assert {job.upload for job in gone} == {"u"}
    assert [state for state, job in made.items() if jobs.get(job.id)] == ["queued", "running"]


def take(where, ids, taken):
    with open_registry(where, busy_timeout=60) as registry:
        jobs = Jobs(registry)
        taken.put([job_id for job_id in ids if jobs.claim(job_id)])


def test_two_processes_share_the_jobs_and_none_is_done_twice(shared):
    with open_registry(shared) as registry:
        jobs = Jobs(registry)
        ids = [jobs.add(str(number), {}, "anonymous").id for number in range(30)]
        spawn = multiprocessing.get_context("spawn")
        taken = spawn.Queue()
        workers = [spawn.Process(target=take, args=(shared, ids, taken)) for _ in range(2)]
        for worker in workers:
            worker.start()
        claimed = taken.get(timeout=60) + taken.get(timeout=60)
        for worker in workers:
            worker.join(60)
        taken.close()
        assert sorted(claimed) == sorted(ids)  # those of one millisecond have no order
        assert all(jobs.get(job_id).attempts == 1 for job_id in ids)


def test_of_many_threads_one_gets_the_job(shared):
    with open_registry(shared) as registry, ThreadPoolExecutor(8) as pool:
        jobs = Jobs(registry)
        for _ in range(5):
            job_id = jobs.add("u", {}, "anonymous").id
            claims = list(pool.map(lambda _, job_id=job_id: jobs.claim(job_id), range(8)))
            assert sum(claim is not None for claim in claims) == 1


def test_a_registry_from_before_the_service_is_brought_up_to_date(shared, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:1])
        with open_registry(shared) as registry:
            work, mark = registry.add_work("A")
    with open_registry(shared) as registry:
        assert registry.lookup([mark.number])[mark.number][0] == work
        assert Jobs(registry).add("u", {}, "anonymous")
        assert Tokens(registry).new("a", ["admin"])
        assert Sightings(registry).list() == []
