"""Works, permissions and sightings over HTTP say what the registry says."""

import json
import time

import pytest

from server.engine import Busy

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


def added(admin, **details):
    answer = admin.post("/v1/works", json={"title": "A Film"} | details)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/works/{answer.json()['work']}"
    return answer.json()


def test_a_work_is_added_shown_changed_and_listed(service, admin):
    made = added(
        admin, title="Añil 藍", labels={"episode": "3"}, mark_labels={"recipient": "press"}
    )
    assert made["training"] == "not-permitted"
    (mark,) = made["marks"]
    assert mark["labels"] == {"recipient": "press"}
    where = f"/v1/works/{made['work']}"
    assert admin.get(where).json() == made
    changed = admin.patch(where, json={"training": "constrained", "terms": "Ask first."}).json()
    assert changed["training"] == "constrained"
    assert changed["title"] == "Añil 藍"
    assert changed["labels"] == {"episode": "3"}
    assert service.registry.work(made["work"]).terms == "Ask first."
    assert admin.patch(where, json={}).json() == changed
    (listed,) = admin.get("/v1/works", params={"find": "añil"}).json()["works"]
    assert listed == {name: value for name, value in changed.items() if name != "marks"}


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"title": ""},
        {"title": "  "},
        {"title": "x" * 501},
        {"title": "x\0"},
        {"title": "\ud800"},
        {"title": "x", "training": "yes"},
        {"title": "x", "training": "constrained"},
        {"title": "x", "colour": "blue"},
        {"title": "x", "labels": {"a": 1}},
        ["x"],
    ],
)
def test_a_work_that_is_none_is_refused(admin, sent):
    answer = admin.post(
        "/v1/works", content=json.dumps(sent), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_json_that_is_none_is_malformed(admin):
    answer = admin.post("/v1/works", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_a_title_is_no_id(admin):
    added(admin, title="w-title")
    for answer in (
        admin.get("/v1/works/w-title"),
        admin.patch("/v1/works/w-title", json={"url": "https://x"}),
        admin.get("/v1/works", params={"after": "w-title"}),
    ):
        assert answer.status_code == 404


def test_pages_of_works_show_each_once(admin):
    whole = [each["work"] for each in admin.get("/v1/works").json()["works"]]
    seen, after = [], {}
    for _ in whole:
        page = admin.get("/v1/works", params={"limit": 2, **after}).json()
        seen += [each["work"] for each in page["works"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == whole


def test_permissions_are_told_in_the_order_of_the_questions(service, admin, stranger):
    free = added(admin, training="allowed")
    terms = added(admin, training="constrained", terms="Ask first.")
    told = admin.post("/v1/detect", params=FAST, content=service.marked).json()
    plain = admin.post("/v1/detect", params=FAST, content=service.plain).json()
    queries = [
        {"mark": free["marks"][0]["mark"]},
        {"work": terms["work"]},
        {"sha256": told["examined"]["sha256"]},
        {"sha256": plain["examined"]["sha256"]},
        {"sha256": "5e" * 32},
        {"mark": "0" * 12},
        {"work": "w-nothing"},
    ]
    answer = stranger.post("/v1/permissions/lookup", json={"queries": queries})
    results = answer.json()["results"]
    assert [each["query"] for each in results] == queries
    assert [each["permission"] for each in results] == [
        *("allowed", "constrained", "not-permitted"),
        *("unknown", "unknown", "unknown", "unknown"),
    ]
    assert results[1]["works"][0]["terms"] == "Ask first."
    assert results[2]["works"][0]["title"] == "夜汽車 Night Train"
    assert results[2]["seen_at"] is not None
    assert results[3]["seen_at"] is not None
    assert results[4]["seen_at"] is None


def test_a_permission_that_changes_changes_the_etag(admin, stranger):
    made = added(admin, title="Changing", training="allowed")
    body = {"queries": [{"work": made["work"]}]}
    first = stranger.post("/v1/permissions/lookup", json=body)
    tag = {"If-None-Match": first.headers["etag"]}
    again = stranger.post("/v1/permissions/lookup", json=body, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    address = f"/v1/permissions?work={made['work']}"
    assert stranger.get(address).headers["etag"] == first.headers["etag"]
    assert stranger.get(address, headers=tag).status_code == 304
    admin.patch(f"/v1/works/{made['work']}", json={"training": "not-permitted"})
    now = stranger.get(address, headers=tag)
    assert now.status_code == 200
    assert now.json()["results"][0]["permission"] == "not-permitted"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"mark": "xyz"},
        {"mark": "0" * 12, "work": "w-0"},
        {"sha256": "0" * 63},
        {"work": "../etc"},
        {"mark": None},
    ],
)
def test_a_question_that_is_none_is_refused(stranger, query):
    answer = stranger.post("/v1/permissions/lookup", json={"queries": [query]})
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_lookup_is_bounded(stranger):
    for count, status in ((256, 200), (257, 422), (0, 422)):
        body = {"queries": [{"mark": "0" * 12}] * count}
        assert stranger.post("/v1/permissions/lookup", json=body).status_code == status


def test_sightings_are_listed_newest_first_and_paged(service, clients, admin):
    for content in (service.marked, service.plain):
        with clients() as stranger:
            stranger.post("/v1/detect", params=FAST, content=content)
    newest, before = admin.get("/v1/sightings", params={"limit": 2}).json()["sightings"]
    assert (newest["verdict"], before["verdict"]) == ("not-found", "detected")
    assert newest["by"] == "anonymous"
    assert before["works"] == [service.studio.works[0].id]
    whole = [each["sighting"] for each in admin.get("/v1/sightings").json()["sightings"]]
    page = admin.get("/v1/sightings", params={"limit": 1}).json()
    assert page["next"] == whole[0]
    assert (
        admin.get("/v1/sightings", params={"after": page["next"], "limit": 1}).json()["sightings"][
            0
        ]["sighting"]
        == (whole[1])
    )
    of_work = {"work": service.studio.works[0].id, "verdict": "not-found"}
    assert admin.get("/v1/sightings", params=of_work).json()["sightings"] == []
    later = admin.get("/v1/sightings", params={"since": "2999-01-01T00:00:00Z"}).json()
    assert later == {"sightings": [], "next": None}


def test_a_sighting_is_shown_with_all_that_was_told(service, admin):
    told = admin.post("/v1/detect", params=FAST, content=service.marked).json()
    shown = admin.get(f"/v1/sightings/{told['sighting']}").json()
    assert shown["record"]["z"] == told["z"]
    assert shown["history"] == []
    assert admin.get("/v1/sightings/s-0").status_code == 404
    assert admin.get("/v1/sightings/nonsense").status_code == 404
    answer = admin.get("/v1/sightings/recheck")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


class Rechecks:
    """An engine that says of old evidence what a test wants it to."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def recheck(self, items):
        self.asked += items
        return [self.answers.pop(0) for _ in items]

    def state(self):
        return {}


def row(service, verdict, *works):
    base = service.studio.ask(*service.studio.detect(service.studio.frames / "a 1.png"), "--json")[
        0
    ]
    del base["file"]
    found = [{**base, "work": each, "mark": None} for each in works]
    return base | {"verdict": verdict, "works": found}


def seen(service, record, evidence=b"blob", digest="a" * 64):
    from watermark.sightings import Sightings

    return Sightings(service.registry).add(
        sha256=digest, kind="still", size=(480, 270), record=record, by="x", evidence=evidence
    )


def test_a_recheck_replaces_what_is_weaker_and_counts_the_look(service):
    work, other = (each.id for each in service.studio.works[:2])
    nothing, found = row(service, "not-found"), row(service, "detected", work)
    cases = [  # before, told now, what is told from now on
        (nothing, found, "detected", [work]),
        (found, nothing, "detected", [work]),
        (found, row(service, "detected", other), "detected", [work]),
        (found, row(service, "detected", work, other), "detected", [work, other]),
        (row(service, "inconclusive"), nothing, "inconclusive", []),
    ]
    old = [seen(service, before) for before, *_ in cases]
    bare = seen(service, nothing, evidence=None)
    engine = Rechecks(*(told for _, told, *_ in cases))
    with service.listening(engine=engine) as clients, clients("works:write") as client:
        named = [each.id for each in old] + [bare.id, "s-0"]
        results = client.post("/v1/sightings/recheck", json={"sightings": named}).json()["results"]
        assert [each["sighting"] for each in results] == named
        assert [(each["now"], each["works"]) for each in results[:5]] == [
            (verdict, works) for *_, verdict, works in cases
        ]
        assert [each["looks"] for each in results[:5]] == [2] * 5
        assert [each["problem"]["status"] for each in results[5:]] == [422, 404]
        assert engine.asked[0] == (old[0].id, b"blob", 1, (480, 270))
        with clients("works:read") as reader:
            shown = reader.get(f"/v1/sightings/{old[0].id}").json()
            assert (shown["verdict"], shown["looks"]) == ("detected", 2)
            assert [each["verdict"] for each in shown["history"]] == ["not-found"]
            assert reader.post("/v1/sightings/recheck", json={}).status_code == 403


def test_rechecks_come_a_page_at_a_time_and_bad_evidence_is_told(service):
    from watermark.errors import EvidenceError

    nothing = row(service, "not-found")
    old = [seen(service, nothing) for _ in range(3)]
    engine = Rechecks(EvidenceError("what was kept is damaged"), nothing, nothing)
    with service.listening(engine=engine) as clients, clients("works:write") as client:
        page = client.post("/v1/sightings/recheck", json={"limit": 2}).json()
        assert [each["sighting"] for each in page["results"]] == [old[2].id, old[1].id]
        assert page["results"][0]["problem"]["detail"] == "What was kept is damaged."
        rest = {"limit": 1, "after": page["next"]}
        (last,) = client.post("/v1/sightings/recheck", json=rest).json()["results"]
        assert last["sighting"] == old[0].id


def test_a_work_that_is_registered_later_is_found_in_what_was_kept(service):
    from studio import picture

    from watermark.embed import embed
    from watermark.key import Key
    from watermark.rows import Row
    from watermark.stills import Still, encode

    number = 0x3F2A9C01B7DE
    marked = embed(picture(9), Key.read(service.studio.key), number)
    sent = encode(Still(marked), "late.png")
    with service.listening() as clients, clients("admin") as admin:
        told = admin.post("/v1/detect", params=FAST, content=sent).json()
        assert (told["verdict"], told["works"][0]["work"]) == ("detected", None)
        assert told["permission"] == "unknown"
        late = Row(work="w-late", mark=number, title="Late", training="allowed")
        service.registry.import_rows([late])
        time.sleep(1.1)  # until workers ask whether the registry has changed
        asked = {"sightings": [told["sighting"]]}
        (again,) = admin.post("/v1/sightings/recheck", json=asked).json()["results"]
        assert again["problem"] is None
        assert (again["before"], again["now"], again["looks"]) == ("detected", "detected", 2)
        assert again["works"] == ["w-late"]
        query = {"sha256": told["examined"]["sha256"]}
        (known,) = admin.get("/v1/permissions", params=query).json()["results"]
        assert known["permission"] == "allowed"


def test_what_was_decided_before_the_workers_were_busy_is_told(service, monkeypatch):
    monkeypatch.setattr("server.routes.sightings._CHUNK", 1)
    nothing = row(service, "not-found")
    old = [seen(service, nothing) for _ in range(2)]

    class Fills(Rechecks):
        def recheck(self, items):
            if not self.answers:
                raise Busy(3)
            return super().recheck(items)

    with service.listening(engine=Fills(nothing)) as clients, clients("admin") as admin:
        asked = {"sightings": [each.id for each in old]}
        first, second = admin.post("/v1/sightings/recheck", json=asked).json()["results"]
        assert first["looks"] == 2
        assert (second["looks"], second["problem"]["status"]) == (1, 503)
        answer = admin.post("/v1/sightings/recheck", json=asked)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
