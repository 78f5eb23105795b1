"""What is misspelt is refused by name rather than passed over, and refusals say what to do here."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fleet import Redis

from server.auth import Caller
from server.limits import Limiter
from server.problems import Problem, problem_from
from server.settings import Settings
from watermark.errors import MediaTooLarge

FAST = {"search": "fast"}


@pytest.fixture(scope="module")
def clients(service):
    with service.listening() as clients:
        yield clients


@pytest.fixture(scope="module")
def admin(clients):
    with clients("admin") as client:
        yield client


@pytest.fixture(scope="module")
def stranger(clients):
    with clients() as client:
        yield client


def refused(answer, *words):
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    for word in words:
        assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/v1/works?finde=x", "find"),
        ("/v1/sightings?verdikt=detected", "verdict"),
        ("/v1/permissions?hash=0", "sha256"),
        ("/v1/jobs/j-0?wait=1", "none"),
    ],
)
def test_a_parameter_that_there_is_not_is_named_with_those_that_there_are(admin, path, known):
    name = path.partition("?")[2].partition("=")[0]
    refused(admin.get(path), repr(name), known)


def test_a_misspelt_option_is_refused_before_the_file_is_looked_at(service, admin):
    for path in ("/v1/detect", "/v1/detect/batch"):
        files = {"file": service.marked}
        refused(admin.post(path, params={"serach": "fast"}, files=files), "'serach'", "search")
    refused(admin.post("/v1/detect", params={"x" * 5000: 1}, content=b"x"), "x" * 60 + "'")


def test_the_file_has_one_field_and_no_other_is_taken(service, admin):
    before = service.spooled()
    large = service.marked * 3
    assert len(large) > 64 << 10
    for path in ("/v1/detect", "/v1/detect/batch"):
        refused(admin.post(path, files={"picture": ("a.png", large)}), "'picture'", "'file'")
        sent = {"files": {"file": service.marked}, "data": {"search": "fast"}}
        refused(admin.post(path, **sent), "'search'", "address")
    two = [("file", service.marked), ("file", service.plain)]
    refused(admin.post("/v1/detect", files=two), "One file", "/v1/detect/batch")
    assert service.spooled() == before


def test_asking_for_no_permission_is_no_question(stranger):
    refused(stranger.get("/v1/permissions"), "mark", "sha256", "work")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JAVASCRIPT:x", "data:,x", "//x", "x", "h"])
def test_the_address_of_a_work_is_one_that_a_browser_may_open(service, admin, url):
    where = f"/v1/works/{service.studio.works[0].id}"
    assert admin.patch(where, json={"url": "https://studio.example/a"}).status_code == 200
    refused(admin.post("/v1/works", json={"title": "A", "url": url}), "url")
    refused(admin.patch(where, json={"url": url}), "url")
    assert admin.patch(where, json={"url": ""}).json()["url"] == ""


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/docs", "/", "/v1/works", "/v1/permissions?work=w-1"]
)
def test_head_is_get_without_the_body(clients, admin, path):
    whole, head = admin.get(path), admin.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "etag", "content-length"):
        # A page has a new word against forgery each time, of the same length.
        assert head.headers.get(name) == whole.headers.get(name)
    counted = [each for each in admin.get("/metrics").text.splitlines() if 'method="HEAD"' in each]
    assert any(f'route="{path.partition("?")[0]}"' in each for each in counted)


def test_head_is_refused_where_there_is_no_get(admin):
    answer = admin.head("/v1/detect")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert admin.put("/v1/works").headers["allow"] == "GET, HEAD, POST"


def test_a_picture_that_is_too_large_is_refused_in_words_for_callers(service, monkeypatch):
    made, png = cv2.imencode(".png", np.zeros((4000, 4000), np.uint8))
    assert made
    monkeypatch.setattr(service.engine, "_setup", service.engine._setup | {"max_pixels": 10_000})
    process = service.engine._process()
    try:
        process.until_ready(60)
        path = service.folder / "large.png"
        path.write_bytes(png.tobytes())
        ask = {"do": "still", "path": str(path), "search": "fast", "seconds": 10, "task": 1}
        process.wire.send(ask | {"all_frames": False, "overlay": False, "evidence": False})
        assert process.wire.receive()[0]["say"] == "taken"
        said = process.wire.receive()[0]
    finally:
        process.end()
    told = problem_from(MediaTooLarge(said["text"]))
    assert told.status == 413
    assert told.detail.startswith("4000 × 4000 pixels are more than the limit of 10,000")
    assert told.detail.endswith("; send a smaller one.")
    assert "--" not in told.detail


def test_an_overlay_is_refused_to_strangers_rather_than_left_out(service, stranger, admin):
    asked = {**FAST, "overlay": "1"}
    answer = stranger.post("/v1/detect", params=asked, content=service.marked)
    assert answer.status_code == 401
    assert "overlay" in answer.json()["detail"]
    assert answer.headers["www-authenticate"] == "Bearer"
    assert admin.post("/v1/detect", params=asked, content=service.marked).json()["overlay"]


def test_a_busy_service_counts_nothing_against_the_one_who_has_to_come_again(service):
    rates = {"rate_anonymous": "3/minute", "rate_token": "5/minute"}
    with service.listening(task_seconds=0.01, **rates) as clients:  # of patience for a batch
        engine, app = service.engine, clients.app
        with clients() as stranger, clients("detect") as known:
            app.state.engine = Full()
            busy = [stranger.post("/v1/detect", content=b"x").status_code for _ in range(9)]
            assert busy == [503] * 9
            page = stranger.post("/", files={"file": b"x"}, headers={"Accept": "text/html"})
            assert page.status_code == 503
            files = [("file", b"x")] * 5
            for _ in range(3):
                items = known.post("/v1/detect/batch", files=files).json()["results"]
                assert [each["problem"]["status"] for each in items] == [503] * 5
            app.state.engine = engine
            told = [stranger.post("/v1/detect", content=b"x").status_code for _ in range(4)]
            assert told == [422, 422, 422, 429]
            assert known.post("/v1/detect/batch", files=files).is_success
            assert known.post("/v1/detect/batch", files=files).status_code == 429


class Full:
    """An engine without a place."""

    def detect(self, *_, **__):
        from server.engine import Busy

        raise Busy(1)


def test_a_caller_that_was_charged_for_less_is_not_given_more_back(service):
    settings = {"rate_token": "4/minute", "task_seconds": 0.01}
    with service.listening(**settings) as clients, clients("detect") as known:
        app, engine = clients.app, service.engine
        app.state.engine = Full()
        files = [("file", b"x")] * 9  # counted as the 4 that there are
        assert known.post("/v1/detect/batch", files=files).is_success
        app.state.engine = engine
        statuses = [known.post("/v1/detect", content=b"x").status_code for _ in range(5)]
    assert statuses == [422] * 4 + [429]


def test_what_is_given_back_is_so_at_every_server_of_one_queue(tmp_path):
    redis = Redis(tmp_path)
    try:
        settings = Settings(queue=redis.url, rate_token="3/minute")
        one, other = Limiter(settings), Limiter(settings)
        caller = Caller("t-1", "crawler", frozenset({"detect"}), "192.0.2.1")
        request = SimpleNamespace(state=SimpleNamespace())
        for _ in range(9):
            one.charge(request, caller, 2)
            one.give_back(request)
        one.give_back(request)  # once is all
        for limiter in (one, other, one):
            limiter.spend(caller)
        with pytest.raises(Problem, match="No more than 3"):
            other.spend(caller)
    finally:
        redis.stop()
