"""The pages as they are sent: their words, their locks, and who may see which."""

import json
import re
import string
from base64 import b64decode
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from markupsafe import Markup
from service import RUN_TOKEN
from studio import TITLES

from server import rendering
from server.chart import chart
from server.messages import LANGUAGES, chosen_language, messages
from server.told import bytes_told, clock, odds, told
from server.verdict import sighting_values, verdict_values
from watermark.record import BLANK
from watermark.sighting import Sighting

FOLDER = Path(rendering.__file__).parent / "pages"
SOURCES = [*FOLDER.glob("templates/*.html"), *Path(rendering.__file__).parent.glob("*.py")]
HTML = {"Accept": "text/html"}
VERDICTS = ("detected", "indicated", "not-found", "inconclusive")


def texts(language):
    return messages(language).texts


@pytest.fixture(scope="module")
def site(service):
    with service.listening() as clients:
        yield clients


def person(site, **options):
    """Make a browser without a screen."""
    return httpx.Client(base_url=site.address, headers=HTML, timeout=60, **options)


@pytest.fixture
def stranger(site):
    with person(site) as client:
        yield client


@pytest.fixture
def staff(site):
    with person(site, follow_redirects=True) as client:
        assert client.get("/sign-in", params={"token": RUN_TOKEN}).status_code == 200
        yield client


def csrf(client):
    return re.search(r'name="csrf" value="([^"]+)"', client.get("/").text)[1]


# Words


def test_every_language_says_the_same_things():
    first, *others = (texts(language) for language in LANGUAGES)
    fields = {
        name: {field for _, field, _, _ in string.Formatter().parse(text) if field}
        for name, text in first.items()
    }
    for each in others:
        assert list(each) == list(first)
        for name, text in each.items():
            used = {field for _, field, _, _ in string.Formatter().parse(text) if field}
            assert used == fields[name], name


def test_every_message_is_said_somewhere_and_everything_said_is_a_message():
    source = "\n".join(path.read_text("utf-8") for path in SOURCES)
    said = set(re.findall(r'\bt\("([^"]+)"[,)]', source)) | set(
        re.findall(r"\bt\('([^']+)'[,)]", source)
    )
    known = set(texts("en"))
    assert said <= known
    quoted = set(re.findall(r"[\"']([a-z0-9_.-]+)[\"']", source))
    together = ("word", "permission", "job", "error", "kind", "kept", "by", "sure.coarse")
    together += ("after.not-found", "recheck", *VERDICTS)
    left = {
        name
        for name in known - quoted
        if not name.startswith(tuple(f"{start}." for start in together))
    }
    assert left == set()


def test_values_in_messages_are_escaped_and_html_is_not():
    t = messages("en")
    assert "<b>" not in t("detected.still", work="<b>")
    assert "<b>" in t("detected.still", work=Markup("<b>"))


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "ja", "ja"),
        (None, "de, ja;q=0.7, en;q=0.3", "ja"),
        (None, "en-GB,en;q=0.9,ja;q=0.8", "en"),
        (None, "ja;q=0, en;q=0.1", "en"),
        (None, "ja;q=nonsense, *", "en"),
        ("ja", "en", "ja"),
        ("../ja", "en", "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_one_the_browser_likes_best(
    wanted, accepted, language
):
    assert chosen_language(wanted, accepted) == language


@pytest.mark.parametrize(
    ("log10_p", "text"),
    [
        (-291.549, "1 in 10<sup>291</sup>"),
        (-9.0, "1 in 10<sup>9</sup>"),
        (-6.0, "1 in 10<sup>6</sup>"),
        (-5.2, "1 in 158,489"),
        (-3.0, "1 in 1,000"),
        (0.0, "1 in 1"),
    ],
)
def test_odds_are_never_told_as_longer_than_they_are(log10_p, text):
    assert odds(messages("en"), log10_p) == text


def test_times_and_sizes_read_as_people_write_them():
    assert [clock(each) for each in (0, 5.28, 59.96, 3661.5)] == [
        "0:00.0",
        "0:05.3",
        "1:00.0",
        "1:01:01.5",
    ]
    sizes = (0, 1023, 1536, 64 << 20, 2 << 30, 5 << 40)
    assert [bytes_told(each) for each in sizes] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "64 MiB",
        "2 GiB",
        "5120 GiB",
    ]


# Verdicts


def row(verdict="detected", *works, **more):
    first = works[0] if works else {"z": 1.9, "log10_p": 0.0}
    return {**BLANK, **first, "verdict": verdict, "works": list(works), **more}


def found(title="Night Train", work="w-1", mark="00000000000a", training="not-permitted"):
    return {
        "title": title,
        "work": work,
        "mark": mark,
        "training": training,
        "terms": "",
        "rights_holder": "Kumo",
        "labels": {},
        "z": 40.0,
        "log10_p": -300.0,
        "log10_p_wrong_work": -80.0,
        "model_based": False,
        "key": "k",
        "alignment": "whole frame",
    }


@pytest.mark.parametrize("kind", ["still", "film"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_a_sentence(verdict, kind):
    cases = [row(verdict)]
    if verdict in {"detected", "indicated"}:
        unnamed = found(None, None, None, None)
        unknown = found(None, None, "00000000000b", None)
        cases = [
            row(verdict, found()),
            row(verdict, found(), found(work="w-2")),
            row(verdict, unnamed),
            row(verdict, unknown),
            row(verdict, unnamed, z=None),
        ]
    sentences = [told(each, kind).sentence for each in cases]
    assert len(set(sentences)) == len(sentences)
    assert all(each in messages("en") for each in sentences)


def test_of_several_works_the_strictest_permission_is_told():
    yes, terms = found(training="allowed"), found(work="w-2", training="constrained")
    assert told(row("detected", yes), "still").permission == "allowed"
    assert told(row("detected", yes, terms), "still").permission == "constrained"
    no = found(work="w-3")
    assert told(row("detected", yes, terms, no), "still").permission == "not-permitted"
    assert told(row("not-found"), "still").permission == "unknown"
    stranger = found(None, None, "00000000000b", None)
    assert told(row("detected", yes, stranger), "still").permission == "unknown"


def test_two_marks_of_one_work_are_one_work():
    again = found(mark="00000000000c")
    assert told(row("detected", found(), again), "still").sentence == "detected.still"


def test_a_film_without_a_timeline_is_not_drawn():
    assert chart(row()) is None
    assert chart(row(timeline=[], points=[], duration=3.0)) is None


def test_a_timeline_is_drawn_in_its_proportions():
    parts = [
        {"start": 0.0, "end": 30.0, "marked": True, **found()},
        {"start": 30.0, "end": 90.0, "marked": False, "work": None, "mark": None},
        {"start": 90.0, "end": 120.0, "marked": True, **found(work="w-2")},
    ]
    points = [[0.0, -18.0], [60.0, -0.0], [119.0, -9.0]]
    drawn = chart(row(timeline=parts, points=points, duration=120.0))
    assert [(each.left, each.width, each.colour) for each in drawn.bands] == [
        (0, 25, 1),
        (25, 50, None),
        (75, 25, 2),
    ]
    assert drawn.colour_of(found(work="w-2")) == 2
    assert [each.place for each in drawn.across] == pytest.approx([0, 25, 50, 75, 100])
    # The first point is twice as high as what is called detected.
    height = float(drawn.line.removeprefix("M").split(" ")[0].split(",")[1])
    assert 100 - height == pytest.approx(2 * (100 - drawn.threshold), abs=0.1)


def test_what_was_not_read_of_a_film_is_told_and_a_point_is_no_curve():
    parts = [{"start": 0.0, "end": 0.0, "marked": True, **found()}]
    told = chart(row(timeline=parts, points=[[0.0, -300.0]], duration=60.0))
    assert not told.drawn
    assert told.read == 0
    assert 0 < told.bands[0].width < 1
    parts[0]["end"] = 60.0
    points = [[float(second), -300.0] for second in range(60)]
    told = chart(row(timeline=parts, points=points, duration=60.0))
    assert told.drawn
    assert told.read is None


def test_the_download_is_what_scripts_get_without_the_drawing():
    answer = row("detected", found(), overlay="data:,", examined={"kind": "still"})
    values = verdict_values(answer, "still", name="../夜 1.jpg")
    content = b64decode(values["download"]["href"].partition("base64,")[2])
    assert json.loads(content) == {k: v for k, v in answer.items() if k != "overlay"}
    assert values["download"]["name"] == "夜 1.json"


# Locks


def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_of_its_own(stranger):
    answer = stranger.get("/")
    policy = dict(
        each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["cache-control"] == "no-store"
    for path in FOLDER.glob("templates/*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text), path
        assert "//" not in re.sub(r"https?://www\.w3\.org\S*", "", text), path
    assert "http" not in (FOLDER / "static" / "page.css").read_text("utf-8")


def test_files_of_the_page_are_there_under_addresses_that_change_with_them(stranger):
    addresses = re.findall(r'"(/static/[^"#]+)', stranger.get("/").text)
    assert {Path(each.partition("?")[0]).name for each in addresses} == {
        "icon.svg",
        "page.css",
        "page.js",
    }
    for each in addresses:
        answer = stranger.get(each)
        assert answer.status_code == 200
        assert "max-age=31536000" in answer.headers["cache-control"]
    for strange in ("/static/..%2frendering.py", "/static/nothing.css"):
        assert stranger.get(strange).status_code == 404


@pytest.mark.parametrize("path", ["/works", "/works/w-1", "/sightings", "/sightings/s-1"])
def test_strangers_are_sent_to_sign_in_and_back(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=" + path.replace("/", "%2F")


def test_a_token_that_may_only_detect_sees_no_works(service, site):
    with person(site, follow_redirects=True) as client:
        home = client.post("/sign-in", data={"token": service.secrets["detect"]})
        assert "/works" not in home.text
        assert client.get("/works").status_code == 403


def test_a_session_is_a_locked_cookie(stranger):
    answer = stranger.get("/sign-in", params={"token": RUN_TOKEN})
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=strict"} <= set(cookie.lower().split("; "))
    assert RUN_TOKEN not in cookie
    assert answer.headers["location"] == "/"


def test_a_link_signs_in_with_the_token_of_this_run_and_no_other(service, stranger):
    for secret in (service.secrets["admin"], "sukashi_run_" + "y" * 43, "x"):
        answer = stranger.get("/sign-in", params={"token": secret})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert "token of this run" in answer.text
        assert f"token={secret}" not in answer.text
    assert stranger.post("/sign-in", data={"token": service.secrets["admin"]}).status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil", "/\n/x"])
def test_signing_in_leads_nowhere_else(stranger, target):
    data = {"token": RUN_TOKEN, "next": target}
    assert stranger.post("/sign-in", data=data).headers["location"] == "/"


def test_another_site_cannot_sign_anybody_in_or_out(stranger, staff):
    headers = {"Sec-Fetch-Site": "cross-site"}
    data = {"token": RUN_TOKEN}
    assert stranger.post("/sign-in", data=data, headers=headers).status_code == 403
    assert staff.post("/sign-out", data={"csrf": "x"}).status_code == 403
    assert staff.get("/works").status_code == 200
    staff.post("/sign-out", data={"csrf": csrf(staff)})
    assert str(staff.get("/works").url.path) == "/sign-in"


def test_a_form_of_another_session_is_refused_and_its_file_kept_nowhere(service, staff, stranger):
    before = service.spooled()
    files = {"file": ("a.png", service.marked)}
    for token in ("", "x", csrf(stranger)):
        answer = staff.post("/", files=files, data={"csrf": token})
        assert answer.status_code == 403
        assert "This form cannot be used any more" in answer.text
        assert "Your token does not allow" not in answer.text
    assert service.spooled() == before
    assert staff.post("/", files=files, data={"csrf": csrf(staff)}).status_code == 200


def test_where_strangers_may_not_detect_they_are_asked_to_sign_in(service):
    with service.listening(anonymous="none") as clients, person(clients) as client:
        assert client.get("/").headers["location"] == "/sign-in"
        answer = client.post("/", files={"file": ("a.png", service.marked)})
        assert answer.status_code == 401


def test_guessing_tokens_is_slow(service):
    with service.listening(rate_anonymous="3/minute") as clients, person(clients) as client:
        statuses = [client.post("/sign-in", data={"token": "x"}).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


@pytest.mark.parametrize("settings", [{"sightings": "none"}, {"evidence": "none"}, {}])
def test_the_page_says_what_is_kept_of_a_file(service, settings):
    with service.listening(**settings) as clients, person(clients) as client:
        page = client.get("/").text
    kept = "nothing" if "sightings" in settings else "result" if settings else "evidence"
    assert texts("en")[f"kept.{kept}"] in page


# Pages


def test_a_result_has_no_more_for_a_stranger_than_the_service_tells_one(service, stranger):
    answer = stranger.post("/", files={"file": ("a.png", service.marked)})
    assert answer.status_code == 200
    assert TITLES[0] in answer.text
    for number in (str(service.studio.marks[0]), "1 in 10", "data:image", "<table"):
        assert number not in answer.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_staff_is_there_in_every_language(service, staff, language):
    files = {"file": ("<b>a</b>.png", service.marked)}
    answer = staff.post("/", files=files, data={"csrf": csrf(staff)})
    assert "&lt;b&gt;a&lt;" in answer.text
    sighting = re.search(r"s-[0-9a-z]{10,}", answer.text)[0]
    work = service.studio.works[0].id
    for path in ("/", "/works", f"/works/{work}", "/sightings", f"/sightings/{sighting}"):
        page = staff.get(path, params={"lang": language})
        assert page.status_code == 200, path
        assert f'<html lang="{language}"' in page.text
        assert TITLES[0] in page.text


@pytest.mark.parametrize("path", ["/nowhere", "/works/w-0", "/sightings/s-0", "/jobs/j-0"])
def test_what_is_not_there_is_told_as_a_page(staff, path):
    answer = staff.get(path)
    assert answer.status_code == 404
    assert texts("en")["error.404"] in answer.text


def test_lists_go_on_where_they_ended(service, staff, monkeypatch):
    from server import staff as pages

    monkeypatch.setattr(pages, "_PAGE", 2)
    shown, more = [], "/works"
    while more:
        page = staff.get(more).text
        shown += re.findall(r'href="/works/(w-[^"]+)"', page)
        found = re.search(r'href="(/works\?find=&amp;after=[^"&]+)"', page)
        more = found and found[1].replace("&amp;", "&")
    assert len(shown) == len(set(shown)) > 2
    assert {work.id for work in service.studio.works} <= set(shown)


def test_an_unknown_language_or_theme_is_not_repeated(stranger):
    page = stranger.get("/", params={"lang": "<x>"}, headers={"Cookie": 'theme="<y>"'})
    assert "<x>" not in page.text
    assert "<y>" not in page.text
    assert "set-cookie" not in page.headers


def test_a_permission_is_qualified_where_the_work_is_not_sure():
    class Auth:
        csrf = staticmethod(lambda _: "")

    state = SimpleNamespace(auth=Auth, settings=SimpleNamespace(language="en"))
    request = SimpleNamespace(
        app=SimpleNamespace(state=state),
        state=SimpleNamespace(user=None),
        cookies={},
        headers={},
        query_params={},
        method="POST",
    )
    pages = {}
    for verdict in ("detected", "indicated"):
        sighting = Sighting(
            id="s-1",
            at="2026-11-23T05:00:00Z",
            sha256="0" * 64,
            kind="still",
            size=(4, 3),
            verdict=verdict,
            log10_p=-7.0,
            marks=(),
            works=(),
            record=row(verdict, found(training="allowed")),
            by="t-1",
            looks=2,
            evidence=False,
        )
        values = sighting_values(sighting)
        pages[verdict] = rendering.page(request, "sighting.html", **values).body.decode()
    qualified = texts("en")["permission.unsure"]
    assert qualified in pages["indicated"]
    assert qualified not in pages["detected"]
