"""What those who run it see: health, counts, the log, the document; and how errors are told."""

import json
import logging
import re
from pathlib import Path

import httpx
import pytest
from service import Queue, logged, served

from server.app import create_app
from server.engine import Broken, Cancelled
from server.logs import _Lines
from server.problems import problem_from, problem_of
from server.settings import PREFIX, Settings, strangers, table
from server.spool import Spool, Upload
from watermark.errors import MediaTooLarge, RegistryBusy, UnknownWork, UnreadableMedia
from watermark.registry import open_registry

FAST = {"search": "fast"}


@pytest.fixture(scope="module")
def clients(service):
    with service.listening() as clients:
        yield clients


@pytest.fixture
def client(clients):
    with clients() as client:
        yield client


def test_it_is_alive_and_ready(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["workers"] == 1


def test_without_a_worker_or_a_registry_it_is_not_ready(service):
    class NoEngine:
        def ready(self):
            return False

        def state(self):
            return {}

    with service.listening(engine=NoEngine()) as clients, clients() as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert client.get("/healthz").is_success


def test_a_registry_or_spool_that_vanishes_is_noticed(service, tmp_path):
    folder = tmp_path / "spool"
    file = tmp_path / "registry.sqlite"
    with open_registry(file) as registry:
        settings = Settings(**(service.settings | {"registry": str(file), "spool": folder}))
        spool = Spool(folder)
        app = create_app(registry, service.engine, settings, spool=spool, queue=Queue())
        with served(app) as address, httpx.Client(base_url=address) as client:

            def told():
                answer = client.get("/readyz")
                assert (answer.status_code == 200) == ("detail" not in answer.json())
                return answer.json().get("detail", "ready")

            assert told() == "ready"
            folder.rename(tmp_path / "away")
            assert "folder for uploads" in told()
            (tmp_path / "away").rename(folder)
            assert told() == "ready"
            file.rename(tmp_path / "gone.sqlite")
            assert "registry's file is gone" in told()
            assert client.get("/healthz").is_success
            file.write_bytes(b"")
            assert "another file" in told()
            file.unlink()
            (tmp_path / "gone.sqlite").rename(file)
            assert told() == "ready"
            with open_registry(file) as other:
                other.database._engine.dispose()


def test_what_happened_is_counted(service, clients):
    with clients("detect") as known:
        before = known.get("/metrics").text
        known.post("/v1/detect", params=FAST, content=service.marked)
        known.post("/v1/detect", content=b"x")
        after = known.get("/metrics").text

    def grown(line):
        pattern = re.compile(f"^{re.escape(line)} (.+)$", re.MULTILINE)
        first, last = (float((pattern.findall(text) or ["0"])[0]) for text in (before, after))
        return last - first

    route = 'method="POST",route="/v1/detect",status='
    assert grown(f'sukashi_requests_total{{{route}"200"}}') == 1
    assert grown(f'sukashi_requests_total{{{route}"422"}}') == 1
    assert grown('sukashi_verdicts_total{kind="still",verdict="detected"}') == 1
    assert grown("sukashi_uploaded_bytes_total") == len(service.marked)
    assert grown('sukashi_stage_seconds_count{stage="detect"}') == 1
    for name in ("sukashi_waiting", "sukashi_crashes_total", "sukashi_refused_total"):
        assert f"\n{name} " in after
    assert '\nsukashi_jobs{state="queued"} ' in after


def test_strange_methods_and_paths_do_not_make_new_counts(client):
    for number in range(5):
        client.request(f"X{number}", f"/nowhere/{number}")
    counts = client.get("/metrics").text
    assert 'method="other",route="other"' in counts
    assert "nowhere" not in counts


def test_the_counts_are_for_this_machine_and_admins(service):
    proxies = {"trusted_proxies": "127.0.0.0/8"}
    there = {"X-Forwarded-For": "192.0.2.1"}
    with service.listening(**proxies) as clients:
        with clients() as stranger:
            assert stranger.get("/metrics", headers=there).status_code == 401
        with clients("works:write") as other:
            assert other.get("/metrics", headers=there).status_code == 403
        with clients("admin") as admin:
            assert admin.get("/metrics", headers=there).is_success
    with service.listening(**proxies, metrics="all") as clients, clients() as stranger:
        assert stranger.get("/metrics", headers=there).is_success


def test_the_log_tells_of_a_request_and_no_secret_of_it(service, clients):
    with logged() as records, clients("detect") as known:
        secret = known.headers["authorization"].partition(" ")[2]
        files = {"file": ("holiday-in-rome.png", service.marked)}
        answer = known.post("/v1/detect?search=fast", files=files)
        known.post("/v1/detect?search=fast&token=hidden", files=files)
        known.get("/sightings/%0Ax?token=hidden", headers={"X-Odd": "hidden"})
    lines = [_Lines().format(record) for record in records if record.name.startswith("sukashi")]
    told = [json.loads(line) for line in lines]
    assert told[0]["request"] == answer.headers["x-request-id"]
    assert (told[0]["route"], told[0]["status"]) == ("/v1/detect", 200)
    assert told[0]["caller"] in secret
    for word in (secret, "hidden", "holiday", "rome", service.studio.key.read_bytes().hex()):
        assert word not in "".join(lines)


def test_a_fault_of_ours_is_noted_and_not_shown(service):
    app = service.app()

    def broken():
        raise RuntimeError("password=1234")

    app.state.engine = None
    app.add_api_route("/broken", broken)
    with served(app) as address, logged() as records:
        answer = httpx.get(f"{address}/broken")
    assert answer.status_code == 500
    told = answer.json()
    assert told["type"] == "urn:sukashi:problem:fault"
    assert "1234" not in answer.text
    assert told["instance"].endswith(answer.headers["x-request-id"])
    faults = [record for record in records if record.levelno == logging.ERROR]
    assert json.loads(_Lines().format(faults[0]))["trace"]


def test_an_error_is_told_without_the_place_of_the_upload(tmp_path):
    upload = Upload(tmp_path / "abcdef", "0" * 64, 3, "mine.png", "still")
    error = UnreadableMedia(f"{upload.path}: no picture; send another")
    assert problem_of(error, upload)["detail"] == "No picture; send another."
    bare = UnreadableMedia("no picture")
    assert problem_of(bare, upload)["detail"] == "No picture."


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MediaTooLarge("too many pixels"), 413),
        (Broken("it broke"), 422),
        (Cancelled(), 400),
        (UnknownWork("'x' is no work in /home/me/registry.sqlite"), 404),
        (RegistryBusy("/home/me/registry.sqlite: busy"), 503),
        (ZeroDivisionError("secret"), 500),
    ],
)
def test_every_error_has_a_status_and_tells_no_address(error, status):
    problem = problem_from(error)
    assert problem.status == status
    assert "/home" not in problem.detail
    assert "secret" not in problem.detail
    assert ("Retry-After" in problem.headers) == (status == 503)


def test_unknown_addresses_and_methods_are_problems(client):
    answer = client.get("/v1/nowhere")
    assert (answer.status_code, answer.json()["title"]) == (404, "There is no such thing here")
    answer = client.delete("/v1/detect")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_answers_are_not_guessed_at_and_not_framed(client):
    headers = client.get("/healthz").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_the_document_tells_of_every_route_and_its_problems(client):
    document = client.get("/openapi.json").json()
    paths = set(document["paths"])
    assert {
        *("/v1/detect", "/v1/detect/batch", "/v1/jobs/{job}", "/v1/permissions/lookup"),
        *("/v1/works", "/v1/works/{work}", "/v1/sightings", "/v1/sightings/{sighting}"),
        *("/v1/sightings/recheck", "/healthz", "/readyz", "/metrics"),
    } <= paths
    for status in ("401", "413", "415", "422", "429", "503"):
        content = document["paths"]["/v1/detect"]["post"]["responses"][status]["content"]
        assert list(content) == ["application/problem+json"]


def test_the_page_of_the_document_loads_nothing(client):
    answer = client.get("/docs")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "/v1/detect" in answer.text
    assert not re.findall(r"(?:src|href)=['\"]?https?:", answer.text)
    assert "<script" not in answer.text


def test_every_setting_is_in_the_table_and_read_from_the_environment(monkeypatch, tmp_path):
    names = {name for name, _, text in table() if text}
    assert names == {PREFIX + name.upper() for name in Settings.model_fields}
    monkeypatch.setenv("SUKASHI_KEYS", f"{tmp_path}/a:{tmp_path}/b")
    monkeypatch.setenv("SUKASHI_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("SUKASHI_MAX_IMAGE", "5MiB")
    settings = Settings(port=9000)
    assert settings.keys == (tmp_path / "a", tmp_path / "b")
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.max_image == 5 << 20
    assert settings.port == 9000


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_token": "often"},
        {"workers": 0},
        {"trusted_proxies": "10.0.0.0/99"},
        {"anonymous": "all"},
        {"colour": 1},
        {"queue": "http://x"},
        {"queue": "redis://:sesame/x@host"},
        {"queue": "file.sqlite"},
        {"keep_days": 0},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))) as told:
        Settings(**wrong)
    assert all("sesame" not in each["msg"] for each in told.value.errors())


@pytest.mark.parametrize("queue", [None, "redis://host", "rediss://:word@host:6380/1"])
def test_a_queue_is_a_redis_server_or_none(queue):
    assert Settings(queue=queue).queue == queue


def test_variables_that_are_read_nowhere_are_told_with_the_nearest_that_is():
    found = strangers(["SUKASHI_PORTS", "sukashi_host", "SUKASHI_ZZZZZZ", "HOME", "SUKASHI_KEY"])
    assert found == {"SUKASHI_PORTS": "SUKASHI_PORT", "SUKASHI_ZZZZZZ": None}


def test_every_variable_that_the_project_reads_is_known():
    root = Path(__file__).parent.parent
    folders = ("bench", "cli", "deploy", "server", "watermark", "tests")
    files = [path for each in folders for path in (root / each).rglob("*.*") if path.is_file()]
    text = "".join(path.read_text(errors="replace") for path in files if path.suffix != ".pyc")
    read = set(re.findall(r"\b(?:environ(?:\.get)?|getenv)[(\[]\"(SUKASHI_[A-Z_]+)", text))
    read |= set(re.findall(r"\$\{(SUKASHI_[A-Z_]+)", text))
    assert {"SUKASHI_PEERS", "SUKASHI_CHROMIUM", "SUKASHI_KEY"} <= read
    assert strangers(read) == {}
