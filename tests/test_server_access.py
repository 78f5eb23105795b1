"""Who may do what: tokens, sessions, strangers, and how much of it."""

import contextlib
import time

import httpx
import pytest
from service import RUN_TOKEN

from server.auth import COOKIE, Auth
from server.settings import Settings

READING = ("/v1/works", "/v1/sightings")
FAST = {"search": "fast"}


@pytest.fixture(scope="module")
def clients(service):
    with service.listening() as clients:
        yield clients


def with_token(clients, secret):
    return clients(headers={"Authorization": f"Bearer {secret}"})


def refused(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    return answer.json()


def test_each_scope_opens_its_own_doors_and_admin_all(clients):
    allowed = {
        "detect": {"detect"},
        "works:read": {"read"},
        "works:write": {"write"},
        "admin": {"detect", "read", "write"},
    }
    for scope, doors in allowed.items():
        with clients(scope) as client:
            for path in READING:
                assert client.get(path).status_code == (200 if "read" in doors else 403)
            asked = client.post("/v1/permissions/lookup", json={"queries": [{"mark": "0" * 12}]})
            assert asked.status_code == (200 if "detect" in doors else 403)
            assert client.post("/v1/detect", content=b"x").status_code == (
                422 if "detect" in doors else 403
            )
            # A title that is missing shows that the door was open.
            assert client.post("/v1/works", json={}).status_code == (
                422 if "write" in doors else 403
            )


def test_strangers_may_detect_and_look_up_and_nothing_else(clients):
    with clients() as stranger:
        for path in READING:
            refused(stranger.get(path), 401)
        refused(stranger.post("/v1/works", json={"title": "x"}), 401)
        refused(stranger.post("/v1/sightings/recheck", json={}), 401)
        refused(stranger.post("/v1/detect", content=b"x"), 422)
        asked = stranger.get("/v1/permissions", params={"mark": "0" * 12})
        assert asked.json()["results"][0]["permission"] == "unknown"


def test_strangers_may_do_nothing_where_the_settings_say_so(service):
    with service.listening(anonymous="none") as clients, clients() as stranger:
        refused(stranger.post("/v1/detect", content=service.marked), 401)
        refused(stranger.post("/v1/detect/batch", files={"file": b"x"}), 401)
        refused(stranger.get("/v1/permissions", params={"mark": "0" * 12}), 401)
        with clients("detect") as known:
            assert known.post("/v1/detect", params=FAST, content=service.marked).is_success


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer sukashi_0000000000_" + "x" * 43,
        "Bearer " + "x" * 5000,
        "Basic c3R1ZGlvOmtleQ==",
        "Bearer \xe9".encode("latin-1"),
        RUN_TOKEN,
    ],
)
def test_a_token_that_is_none_is_refused_even_where_strangers_are_welcome(clients, header):
    with clients() as client:
        answer = client.post("/v1/detect", content=b"x", headers={"Authorization": header})
        refused(answer, 401)
        assert "sukashi_0" not in answer.text


def test_the_token_of_this_run_opens_everything(clients):
    with with_token(clients, RUN_TOKEN) as client:
        for path in READING:
            assert client.get(path).is_success
        assert client.post("/v1/works", json={}).status_code == 422


def test_a_revoked_token_is_out_within_seconds(service, monkeypatch):
    monkeypatch.setattr("server.auth._FRESH", 0.2)
    token, secret = service.tokens.new("for a while", ["works:read"])
    with service.listening() as clients, with_token(clients, secret) as client:
        assert client.get("/v1/works").is_success
        service.tokens.revoke(token.id)
        time.sleep(0.25)
        refused(client.get("/v1/works"), 401)


def test_a_token_is_asked_for_once_and_its_use_is_noted(service, monkeypatch):
    token, secret = service.tokens.new("often", ["works:read"])
    with service.listening() as clients, with_token(clients, secret) as client:
        checks = []
        tokens = clients.app.state.tokens
        real = tokens.check
        monkeypatch.setattr(tokens, "check", lambda word: checks.append(word) or real(word))
        for _ in range(5):
            assert client.get("/v1/works").is_success
        assert len(checks) == 1
    (used,) = [each for each in service.tokens.all() if each.id == token.id]
    assert used.last_used_at is not None


def test_the_memory_of_tokens_is_bounded_and_holds_no_secret(service):
    auth = Auth(service.tokens, Settings(), run_token=RUN_TOKEN)
    secret = service.secrets["detect"]
    auth.sign_in(secret)
    assert secret not in repr(auth._known)


def test_more_than_the_rate_is_told_to_wait(service):
    with service.listening(rate_anonymous="3/minute", rate_token="5/minute") as clients:
        with clients() as stranger:
            statuses = [stranger.post("/v1/detect", content=b"x").status_code for _ in range(4)]
            assert statuses == [422, 422, 422, 429]
            answer = stranger.post("/v1/detect", content=b"x")
            refused(answer, 429)
            assert 1 <= int(answer.headers["retry-after"]) <= 60
            # How far a job is may be asked as often as one likes.
            assert stranger.get("/v1/jobs/j-0").status_code == 404
            assert stranger.get("/healthz").is_success
        # Others have a count of their own.
        with clients("detect") as known:
            files = [("file", b"x")] * 4
            assert known.post("/v1/detect/batch", files=files).is_success
            refused(known.post("/v1/detect/batch", files=files), 429)
        with clients("works:read") as other:
            assert other.get("/v1/works").is_success


def test_guessing_tokens_counts_too(service):
    with service.listening(rate_anonymous="3/minute") as clients:
        with with_token(clients, "sukashi_0000000000_" + "x" * 43) as guesser:
            statuses = [guesser.get("/v1/works").status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]


def test_an_address_is_believed_of_trusted_proxies_only(service):
    def statuses(clients):
        with clients() as client:
            return [
                client.post(
                    "/v1/detect", content=b"x", headers={"X-Forwarded-For": f"192.0.2.{number}"}
                ).status_code
                for number in range(3)
            ]

    with service.listening(rate_anonymous="1/minute") as clients:
        assert statuses(clients) == [422, 429, 429]
    trusted = {"trusted_proxies": "127.0.0.0/8"}
    with service.listening(rate_anonymous="1/minute", **trusted) as clients:
        assert statuses(clients) == [422, 422, 422]


def test_a_house_with_ipv6_counts_once(service):
    trusted = {"trusted_proxies": "127.0.0.0/8", "rate_anonymous": "1/minute"}
    with service.listening(**trusted) as clients, clients() as client:
        statuses = [
            client.post(
                "/v1/detect", content=b"x", headers={"X-Forwarded-For": address}
            ).status_code
            for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
        ]
    assert statuses == [422, 429, 422]


def test_a_session_reads_and_needs_its_word_to_write(service):
    with service.listening() as clients, clients() as client:
        auth = clients.app.state.auth
        assert auth.sign_in("nonsense") is None
        cookie = auth.sign_in(service.secrets["admin"])
        assert service.secrets["admin"] not in cookie
        client.cookies.set(COOKIE, cookie)
        assert client.get("/v1/works").is_success
        refused(client.post("/v1/works", json={}), 403)
        refused(client.post("/v1/works", json={}, headers={"X-CSRF-Token": "x"}), 403)
        word = {"X-CSRF-Token": auth.csrf(client)}
        assert client.post("/v1/works", json={}, headers=word).status_code == 422
        client.cookies.set(COOKIE, auth.sign_in(service.secrets["works:write"]))
        refused(client.post("/v1/works", json={}, headers=word), 403)


@pytest.mark.parametrize("cookie", ["", "x", "WyJydW4iLCJ4Il0.aaaa.bbbb"])
def test_a_session_that_is_none_is_a_stranger(clients, cookie):
    with clients() as client:
        client.cookies.set(COOKIE, cookie)
        refused(client.get("/v1/works"), 401)


def test_a_session_ends_with_its_token_and_with_the_secret_that_signed_it(service, monkeypatch):
    monkeypatch.setattr("server.auth._FRESH", 0.0)
    token, secret = service.tokens.new("leaves", ["works:read"])
    with service.listening() as clients, clients() as client:
        auth = clients.app.state.auth
        client.cookies.set(COOKIE, auth.sign_in(secret))
        assert client.get("/v1/works").is_success
        service.tokens.revoke(token.id)
        refused(client.get("/v1/works"), 401)
        client.cookies.set(COOKIE, auth.sign_in(service.secrets["admin"]))
        assert client.get("/v1/works").is_success
    with service.listening() as others, others() as client:
        client.cookies.set(COOKIE, auth.sign_in(service.secrets["admin"]))
        refused(client.get("/v1/works"), 401)


def endless(total=8 << 20):
    yield from (bytes(1 << 16) for _ in range(total >> 16))


@pytest.mark.parametrize("path", ["/v1/permissions/lookup", "/v1/works", "/v1/sightings/recheck"])
def test_a_body_that_is_no_file_is_small(clients, path):
    """Strangers must not be able to fill the memory with what is read whole."""
    with clients("admin") as client:
        kind = {"Content-Type": "application/json"}
        refused(client.post(path, content=b" " * (2 << 20), headers=kind), 413)
        # The connection may be closed on what is still being sent.
        with contextlib.suppress(httpx.TransportError):
            refused(client.post(path, content=endless(), headers=kind), 413)


def test_what_a_proxy_passes_on_is_not_this_machine(clients):
    with clients() as stranger:
        assert stranger.get("/metrics").status_code == 200
        refused(stranger.get("/metrics", headers={"X-Forwarded-For": "8.8.8.8"}), 401)
