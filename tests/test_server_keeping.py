"""Sightings are kept as long as the settings say, and decided anew when staff ask for it."""

import re
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from service import RUN_TOKEN, Queue, served

from server import keeping
from server.app import create_app
from server.settings import Settings
from server.spool import Spool
from watermark.errors import RegistryBusy
from watermark.registry import open_registry
from watermark.sightings import Sightings

FAST = {"search": "fast"}
NOTHING = {"verdict": "not-found", "log10_p": -0.3, "works": []}


@pytest.fixture
def place(service, tmp_path):
    """Give a registry with a sighting of an hour ago and one of two days, and what serves it."""
    file = tmp_path / "registry.sqlite"
    with open_registry(file) as registry:
        for days in (1 / 24, 2):
            at = datetime.now(UTC) - timedelta(days=days)
            given = {"sha256": "0" * 64, "kind": "still", "size": (8, 8), "by": "anonymous"}
            Sightings(registry).add(**given, record=NOTHING, evidence=b"x", at=at)

        def serving(**settings):
            own = {"registry": str(file), "spool": tmp_path / "spool"}
            chosen = Settings(**(service.settings | own | settings))
            spool = Spool(chosen.spool_folder)
            app = create_app(registry, service.engine, chosen, spool=spool, queue=Queue())
            return served(app)

        yield registry, serving


def count(registry, wanted):
    end = time.monotonic() + 10
    while (found := len(Sightings(registry).list())) != wanted and time.monotonic() < end:
        time.sleep(0.02)
    return found


def test_for_ever_unless_the_settings_say_otherwise(place):
    registry, serving = place
    with serving() as address:
        assert httpx.get(f"{address}/healthz").is_success
        time.sleep(0.2)
    assert count(registry, 2) == 2


def test_what_is_too_old_goes_and_is_counted(place):
    registry, serving = place
    with serving(keep_days=1) as address:
        assert count(registry, 1) == 1
        assert "\nsukashi_forgotten_total 1.0\n" in httpx.get(f"{address}/metrics").text


def test_a_registry_that_is_busy_is_tried_again(place, monkeypatch):
    registry, serving = place
    tried = []
    real = keeping.forget_before

    def busy(*given):
        tried.append(given)
        if len(tried) < 3:
            raise RegistryBusy("another process is writing")
        return real(*given)

    monkeypatch.setattr(keeping, "forget_before", busy)
    monkeypatch.setattr(keeping, "_EVERY", 0.01)
    with serving(keep_days=1):
        assert count(registry, 1) == 1
    assert len(tried) >= 3


@pytest.fixture(scope="module")
def site(service):
    with service.listening() as clients:
        yield clients


@pytest.fixture
def staff(site):
    headers = {"Accept": "text/html"}
    with httpx.Client(base_url=site.address, headers=headers, follow_redirects=True) as client:
        assert client.post("/sign-in", data={"token": RUN_TOKEN}).status_code == 200
        yield client


def seen(site, content):
    with site("detect") as known:
        return known.post("/v1/detect", params=FAST, content=content).json()["sighting"]


def form(page):
    """Return the word against forgery of the form that asks for a recheck, or None."""
    found = re.search(r'action="/sightings/[^"]+/recheck">\s*<input[^>]+value="([^"]+)"', page)
    return found and found[1]


def test_staff_decide_anew_on_what_was_kept(service, site, staff):
    name = seen(site, service.marked)
    word = form(staff.get(f"/sightings/{name}").text)
    after = staff.post(f"/sightings/{name}/recheck", data={"csrf": word})
    assert str(after.url).endswith(f"/sightings/{name}?again=same")
    assert "Decided anew just now: the answer is the same." in after.text
    assert site.app.state.sightings.get(name).looks == 2
    assert form(after.text)


def test_a_change_is_told(service, site, staff):
    name = seen(site, service.marked)
    sightings = site.app.state.sightings
    assert sightings.looked_again(name, NOTHING, look=2)
    word = form(staff.get(f"/sightings/{name}").text)
    after = staff.post(f"/sightings/{name}/recheck", data={"csrf": word})
    assert "the answer has changed" in after.text
    assert sightings.get(name).verdict == "detected"


def test_who_may_not_write_is_offered_no_recheck_and_gets_none(service, site, staff):
    name = seen(site, service.marked)
    where = f"/sightings/{name}/recheck"
    assert staff.post(where, data={"csrf": "x"}).status_code == 403
    headers = {"Accept": "text/html"}
    with httpx.Client(base_url=site.address, headers=headers) as other:
        assert other.post(where).headers["location"] == f"/sign-in?next=%2Fsightings%2F{name}"
        other.post("/sign-in", data={"token": service.secrets["works:read"]})
        assert other.get(f"/sightings/{name}").status_code == 200
        assert form(other.get(f"/sightings/{name}").text) is None
        assert other.post(where).status_code == 403
    assert site.app.state.sightings.get(name).looks == 1


def test_without_evidence_there_is_nothing_to_decide_on(service, site, staff):
    given = {"sha256": "0" * 64, "kind": "still", "size": (8, 8), "by": "anonymous"}
    bare = site.app.state.sightings.add(**given, record=NOTHING).id
    page = staff.get(f"/sightings/{bare}").text
    assert form(page) is None
    word = form(staff.get(f"/sightings/{seen(site, service.plain)}").text)
    answer = staff.post(f"/sightings/{bare}/recheck", data={"csrf": word})
    assert answer.status_code == 422
    assert "No evidence was kept" in answer.text
    assert staff.post("/sightings/s-none/recheck", data={"csrf": word}).status_code == 404
