"""Two servers and two workers on one PostgreSQL and one Redis are one service."""

import json
import signal
from fractions import Fraction

import films
import pytest
from fleet import Fleet, Redis, until

from watermark.jobs import Jobs
from watermark.registry import open_registry
from watermark.tokens import Tokens

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory, studio, postgresql):
    """Give a folder, and the registry of the studio on a server, as one moves it there."""
    folder = tmp_path_factory.mktemp("fleet")
    where = postgresql()
    studio.run("work", "export", folder / "works.jsonl", "--registry", studio.registry)
    studio.run("work", "import", folder / "works.jsonl", "--registry", where)
    return folder, where


@pytest.fixture(scope="module")
def redis(place):
    server = Redis(place[0])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def fleet(place, redis, studio):
    folder, where = place
    shared = {"registry": where, "queue": redis.url, "spool": folder / "spool"}
    own = {"keys": studio.key, "workers": 1, "job_workers": 0, "inline_film_bytes": 0}
    fleet = Fleet(folder, **shared, **own)
    try:
        yield fleet
    finally:
        for process in fleet.started:
            process.kill()
        fleet.close()


@pytest.fixture(scope="module")
def registry(place):
    with open_registry(place[1]) as registry:
        yield registry


@pytest.fixture(scope="module")
def secret(registry):
    return Tokens(registry).new("tests", ["admin"])[1]


@pytest.fixture(scope="module")
def servers(fleet, secret):
    clients = fleet.servers(2, secret)
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def workers(fleet, servers):
    return fleet.workers(2)


@pytest.fixture(scope="module")
def film(place, studio):
    """Give a marked film that takes a worker some seconds: each of its frames is looked at."""
    folder, where = place
    plain, marked = folder / "plain.mp4", folder / "marked.mp4"
    films.make(plain, size=(640, 360), ticks=48, rate=Fraction(2))
    studio.run(*studio.embed(plain, marked, work=1)[:-1], where)
    return marked


def send(client, path, **options):
    answer = client.post("/v1/detect", files={"file": path.read_bytes()}, params=options)
    assert answer.status_code in {200, 202}, answer.text
    return answer


def state(client, location):
    return client.get(location).raise_for_status().json()


def ended(client, location):
    return until(
        lambda: (now := state(client, location))["state"] not in {"queued", "running"} and now
    )


def test_both_servers_say_the_same_and_know_what_the_other_saw(servers, studio):
    marked = studio.marked / "a 1.png"
    answers = [send(client, marked, search="fast").json() for client in servers]
    sightings = [answer.pop("sighting") for answer in answers]
    assert answers[0] == answers[1]
    assert (answers[0]["verdict"], answers[0]["work"]) == ("detected", studio.works[0].id)
    for client in servers:
        seen = client.get("/v1/sightings", params={"work": studio.works[0].id}).json()
        assert {each["sighting"] for each in seen["sightings"]} >= set(sightings)


def test_a_work_added_at_one_server_is_found_by_the_other(servers, studio, place):
    folder, where = place
    made = servers[0].post("/v1/works", json={"title": "雪の夜"}).raise_for_status().json()
    source, output = studio.frames / "a 1.png", folder / "new.png"
    words = ("embed", source, "--work", made["work"], "--key", studio.key, "-o", output)
    studio.run(*words, "--registry", where)

    def known():
        told = send(servers[1], output, search="fast").json()
        return told["work"] == made["work"]

    until(known, 20)


def test_a_token_revoked_is_refused_by_both_servers(servers, registry):
    token, secret = Tokens(registry).new("leaver", ["works:read"])
    headers = {"Authorization": f"Bearer {secret}"}
    for client in servers:
        assert client.get("/v1/works", headers=headers).status_code == 200
    Tokens(registry).revoke(token.id)
    for client in servers:
        until(lambda client=client: client.get("/v1/works", headers=headers).status_code == 401, 20)


def test_jobs_are_shared_by_the_workers_and_each_is_done_once(
    servers, workers, film, registry, studio
):
    answers = [send(servers[number % 2], film, all=True) for number in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    places = [answer.headers["location"] for answer in answers]
    until(lambda: sum(state(servers[0], place)["state"] == "running" for place in places) == 2)
    for number, place in enumerate(places):
        job = ended(servers[(number + 1) % 2], place)  # asked of the other server
        assert (job["state"], job["problem"]) == ("done", None)
        assert (job["result"]["verdict"], job["result"]["work"]) == ("detected", studio.works[1].id)
        assert Jobs(registry).get(job["job"]).attempts == 1


def test_a_job_is_cancelled_through_either_server(servers, workers, film):
    place = send(servers[0], film, all=True).headers["location"]
    until(lambda: state(servers[0], place)["state"] == "running")
    assert servers[1].delete(place).json()["state"] == "cancelled"
    assert ended(servers[0], place)["state"] == "cancelled"


def test_the_job_of_a_worker_that_is_killed_is_done_by_the_other(
    servers, workers, fleet, film, registry
):
    # A worker lets go of a job cancelled before this test at its next sign of life, seconds
    # later; the other may have done the first of these by then, so there are more than two.
    places = [send(servers[number % 2], film, all=True).headers["location"] for number in range(4)]
    until(lambda: sum(state(servers[0], place)["state"] == "running" for place in places) == 2)
    workers[0].kill()
    jobs = [ended(servers[1], place) for place in places]
    assert [job["state"] for job in jobs] == ["done"] * 4
    assert sorted(Jobs(registry).get(job["job"]).attempts for job in jobs) == [1, 1, 1, 2]
    workers[:1] = fleet.workers(1)


def test_redis_may_go_and_what_waits_is_done_when_it_is_back(servers, workers, redis, film):
    redis.stop()
    place = send(servers[0], film).headers["location"]
    assert state(servers[1], place)["state"] == "queued"
    assert servers[1].get("/readyz").status_code == 200
    redis.start()
    assert ended(servers[1], place)["state"] == "done"


def test_at_the_end_all_leave_in_order_and_nothing_is_left(servers, workers, fleet, secret, place):
    for client in servers:
        assert client.get("/readyz").status_code == 200
    statuses = fleet.close()
    assert statuses.count(-signal.SIGKILL) == 1
    assert set(statuses) <= {0, -signal.SIGTERM, -signal.SIGKILL}
    assert "Traceback" not in fleet.logs
    for line in fleet.logs.splitlines():
        json.loads(line)
    assert secret[-43:] not in fleet.logs
    assert [path.name for path in (place[0] / "spool").iterdir()] == []
