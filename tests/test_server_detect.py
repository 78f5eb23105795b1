"""Uploads over a real socket: what is told of them, and what is refused while it still comes."""

import base64
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

FILM = Path(__file__).parent.parent / "samples" / "bigbuckbunny.mp4"
FAST = {"search": "fast"}
# What would let a stranger wear a mark away bit by bit.
NUMBERS = {"z", "log10_p", "log10_p_wrong_work", "outline", "matrix", "timeline", "points", "mark"}


@pytest.fixture(scope="module")
def clients(service):
    with service.listening() as clients:
        yield clients


@pytest.fixture(scope="module")
def known(clients):
    with clients("detect") as client:
        yield client


@pytest.fixture(scope="module")
def stranger(clients):
    with clients() as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_stays(service):
    """Whatever a test sends, nothing of it lies in the spool afterwards, except for jobs."""
    before = set(service.spooled())
    yield
    assert set(service.spooled()) == before


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == f"urn:sukashi:problem:{code}"
    assert told["status"] == status
    assert told["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert "/tmp" not in answer.text
    return told


def test_a_known_caller_is_told_the_words_of_the_command(service, clients, known):
    (row,) = service.studio.ask(*service.studio.detect(service.studio.marked / "a 1.png"), "--json")
    del row["file"]
    told = known.post("/v1/detect", params=FAST, content=service.marked).json()
    stored = clients.app.state.sightings.get(told["sighting"])
    assert stored.record == row
    (work,) = told.pop("works")
    (same,) = row.pop("works")
    assert told.items() >= row.items()
    assert work == same | {"permission": "not-permitted"}
    assert told["permission"] == "not-permitted"
    assert told["examined"] == {
        "sha256": stored.sha256,
        "bytes": len(service.marked),
        "kind": "still",
        "size": [480, 270],
        "frames": 1,
    }


def test_a_stranger_is_told_the_verdict_and_the_permission_and_no_number(service, stranger):
    told = stranger.post("/v1/detect", params=FAST, files={"file": service.marked}).json()
    assert told["verdict"] == "detected"
    assert told["permission"] == "not-permitted"
    assert told["coarse"] is True
    assert told["works"][0]["title"] == "夜汽車 Night Train"
    assert not NUMBERS & (told.keys() | told["works"][0].keys() | told["examined"].keys())


def test_a_file_is_the_same_as_a_body_and_in_a_form(service, known):
    whole = known.post("/v1/detect", params=FAST, content=service.marked)
    form = known.post("/v1/detect", params=FAST, files={"file": ("a.png", service.marked)})
    other = {"sighting": None}
    assert whole.json() | other == form.json() | other


def test_what_is_not_marked_is_unknown(service, known):
    told = known.post("/v1/detect", params=FAST, content=service.plain).json()
    assert (told["verdict"], told["permission"], told["works"]) == ("not-found", "unknown", [])


def test_the_overlay_is_a_picture_and_for_known_callers_only(service, known, stranger):
    asked = {**FAST, "overlay": "1"}
    told = known.post("/v1/detect", params=asked, content=service.marked).json()
    data = base64.b64decode(told["overlay"].removeprefix("data:image/png;base64,"))
    drawn = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape == (270, 480, 3)
    problem(stranger.post("/v1/detect", params=asked, content=service.marked), 401, "sign-in")


def test_one_bad_file_does_not_spoil_a_batch(service, known):
    files = [service.marked, b"no picture", service.plain, b"", FILM.read_bytes()[:100_000]]
    answer = known.post("/v1/detect/batch", params=FAST, files=[("file", each) for each in files])
    results = answer.json()["results"]
    assert [each["index"] for each in results] == list(range(5))
    verdicts = [each["result"] and each["result"]["verdict"] for each in results]
    assert verdicts == ["detected", None, "not-found", None, None]
    codes = [each["problem"] and each["problem"]["status"] for each in results]
    assert codes == [None, 422, None, 422, 415]


def test_a_batch_has_64_files_at_most(known):
    files = [("file", b"x")] * 65
    problem(known.post("/v1/detect/batch", files=files), 413, "too-large")
    results = known.post("/v1/detect/batch", files=files[:64]).json()["results"]
    assert [each["problem"]["status"] for each in results] == [422] * 64


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"content": b"no picture"}, 422, "unreadable"),
        ({"content": b""}, 422, "unreadable"),
        ({"content": b"GIF8"}, 422, "unreadable"),
        ({"content": b"\x89PNG\r\n\x1a\n" + bytes(100)}, 422, "unreadable"),
        ({"json": {"url": "http://127.0.0.1/"}}, 415, "unsupported"),
        ({"content": b"x", "headers": {"Content-Encoding": "gzip"}}, 415, "unsupported"),
        ({"files": {"picture": b"x"}}, 422, "invalid"),
        ({"files": [("file", b"x"), ("file", b"y")]}, 422, "invalid"),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400, "malformed"),
        (
            {"content": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "malformed",
        ),
        ({"content": b"x", "params": {"search": "everywhere"}}, 422, "invalid"),
        ({"data": {"other": "y" * 70_000}, "files": {"file": b"b"}}, 422, "invalid"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(known, sent, status, code):
    problem(known.post("/v1/detect", **sent), status, code)


def test_a_picture_that_is_too_large_is_refused_while_it_comes(service):
    with service.listening(max_image=100_000, max_upload=200_000) as clients, clients() as client:
        told = problem(client.post("/v1/detect", content=service.marked), 413, "too-large")
        assert "100,000 bytes" in told["detail"]
        problem(client.post("/v1/detect", files={"file": service.marked}), 413, "too-large")
        film = FILM.read_bytes()[:150_000]
        assert client.post("/v1/detect", content=film).status_code != 413
        problem(client.post("/v1/detect", content=FILM.read_bytes()), 413, "too-large")

        def endless():
            """Send zeros for ever, without saying how many."""
            while True:
                yield bytes(65536)

        began = time.monotonic()
        problem(client.post("/v1/detect", content=endless()), 413, "too-large")
        assert time.monotonic() - began < 5
        results = client.post(
            "/v1/detect/batch", files=[("file", service.marked), ("file", b"x")]
        ).json()["results"]
        assert [each["problem"]["status"] for each in results] == [413, 422]


def test_an_upload_that_does_not_go_on_is_given_up(service):
    with service.listening(upload_seconds=0.2) as clients:
        address = clients.address.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(
                b"POST /v1/detect HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nhalf"
            )
            connection.settimeout(10)
            assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_an_upload_that_breaks_off_leaves_nothing(service, clients):
    address = clients.address.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(
            b"POST /v1/detect HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\nhalf"
        )
        time.sleep(0.1)
    for _ in range(100):
        if not any(name.startswith(".partial") for name in service.spooled()):
            return
        time.sleep(0.02)
    pytest.fail("half of an upload stays")


def test_more_than_there_is_room_for_is_told_to_come_again(service):
    with (
        service.listening() as clients,
        clients("detect") as client,
        ThreadPoolExecutor(12) as pool,
    ):
        sent = [
            pool.submit(client.post, "/v1/detect", params=FAST, content=service.marked)
            for _ in range(12)
        ]
        answers = [each.result() for each in sent]
    statuses = {each.status_code for each in answers}
    assert statuses == {200, 503}
    for each in answers:
        if each.status_code == 503:
            problem(each, 503, "busy")
            assert int(each.headers["retry-after"]) >= 1
        else:
            assert each.json()["verdict"] == "detected"


def test_a_large_film_becomes_a_job_of_the_one_who_sent_it(service):
    with service.listening(inline_film_bytes=1000) as clients:
        app = clients.app
        with clients("detect") as known, clients("works:read") as other, clients() as stranger:
            answer = known.post("/v1/detect?all=1", content=FILM.read_bytes()[:200_000])
            assert answer.status_code == 202
            where = answer.headers["location"]
            assert where == f"/v1/jobs/{answer.json()['job']}"
            assert app.state.queue.jobs == [answer.json()["job"]]
            job = app.state.jobs.get(answer.json()["job"])
            assert job.options["all"] is True
            assert (service.folder / "spool" / job.upload).stat().st_size == 200_000
            assert known.get(where).json()["state"] == "queued"
            problem(stranger.get(where), 404, "not-found")
            problem(other.get(where), 403, "forbidden")
            with clients("admin") as admin:
                assert admin.get(where).json()["state"] == "queued"
            assert known.delete(where).json()["state"] == "cancelled"
            assert job.upload not in service.spooled()
            problem(known.delete(where), 409, "ended")


def test_a_stranger_sees_the_result_of_a_job_without_its_numbers(service, clients, known):
    state = clients.app.state
    full = known.post("/v1/detect", params=FAST, content=service.marked).json()
    with clients() as stranger:
        answer = stranger.post(
            "/v1/detect", content=service.marked, headers={"Prefer": "respond-async"}
        )
        assert answer.status_code == 202
        job = state.jobs.claim(answer.json()["job"])
        state.jobs.finish(job.id, full)
        told = stranger.get(answer.headers["location"]).json()
        state.spool.remove(job.upload)
    assert told["state"] == "done"
    assert told["result"]["verdict"] == "detected"
    assert told["result"]["coarse"] is True
    assert not NUMBERS & told["result"].keys()


@pytest.mark.parametrize(("kept", "who"), [("none", set()), ("known", {"detect"})])
def test_sightings_are_stored_as_the_settings_say(service, kept, who):
    with service.listening(sightings=kept) as clients:
        for scope in (None, "detect"):
            with clients(scope) as client:
                before = len(clients.app.state.sightings.list(limit=1000))
                client.post("/v1/detect", params=FAST, content=service.plain)
                after = len(clients.app.state.sightings.list(limit=1000))
                assert after - before == (scope in who)


def test_a_body_is_not_asked_for_when_the_answer_is_no(service):
    with service.listening(anonymous="none") as clients:
        host, port = clients.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = (
                b"POST /v1/detect HTTP/1.1",
                b"Host: here",
                b"Content-Length: 1000000",
                b"Expect: 100-continue",
            )
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n")
            received = b""
            while part := connection.recv(65536):
                received += part
    assert received.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in received
    assert b"connection: close" in received.lower()
