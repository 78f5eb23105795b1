"""The page in a real Chromium: what a person sees, with a mouse, with keys, and without scripts."""

import json
import os
import shutil
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from clips import encode, shot
from service import RUN_TOKEN
from studio import TITLES

from server.queueing import Taker
from watermark.key import Key

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("SUKASHI_CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM,
        reason="no chromium (apt-get install chromium, or name one in SUKASHI_CHROMIUM)",
    ),
]
NARROW = {"width": 360, "height": 740}
# What a browser says of an answer that is an error; it is no error of the page.
ANSWERED = "Failed to load resource: the server responded with a status of 4"


class Held:
    """A queue whose jobs are worked on when a test says so."""

    def __init__(self, service):
        self.jobs, self._service = [], service

    def put(self, job_id):
        self.jobs.append(job_id)

    def length(self):
        return len(self.jobs)

    def work(self, app):
        state = app.state
        parts = {name: getattr(state, name) for name in ("spool", "answers", "settings", "queue")}
        taker = Taker(state.jobs, state.engine, **parts)
        while self.jobs:
            taker.take(self.jobs.pop())


@pytest.fixture(scope="module")
def site(service):
    with service.listening(queue=Held(service), inline_film_bytes=0) as clients:
        yield clients


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, site):
    """Give a function that opens a page; it asks nobody else for anything, and nothing breaks."""
    broken, contexts = [], []

    def note(kind, text):
        if not text.startswith(ANSWERED):
            broken.append((kind, text))

    def asked(request):
        if not request.url.startswith((site.address, "data:", "blob:")):
            broken.append(("asked", request.url))

    def opening(path="/", *, signed_in=True, **options):
        context = chromium.new_context(**{"locale": "en-GB"} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: note("console", message.text))
        page.on("pageerror", lambda error: note("error", str(error)))
        page.on("request", asked)
        if signed_in:
            page.goto(f"{site.address}/sign-in?token={RUN_TOKEN}")
        page.goto(site.address + path)
        return page

    yield opening
    for context in contexts:
        context.close()
    assert broken == []


@pytest.fixture(scope="module")
def film(service, tmp_path_factory):
    """Make a film with a work, none, and another work in it."""
    key = Key.read(service.studio.key)
    first, second = (mark.number for mark in service.studio.marks[:2])
    planes = [*shot(1, 24, first, key=key), *shot(2, 24, key=key), *shot(3, 24, second, key=key)]
    return encode(tmp_path_factory.mktemp("film") / "two <b>works.mp4", planes)


def give(page, *files):
    """Give files to the page and wait for what it says of them."""
    page.set_input_files("#file", files)
    page.wait_for_selector("#result")


def marked(service):
    return service.studio.marked / "a 1.png"


def downloaded(page):
    href = page.get_attribute("a[download]", "href")
    return json.loads(b64decode(href.partition("base64,")[2]))


def no_wider(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_person_sees_whose_it_is_and_whether_it_may_be_used(service, opened):
    page = opened()
    give(page, marked(service))
    assert page.inner_text("h1") == f"This picture carries the mark of {TITLES[0]}."
    assert page.evaluate("document.activeElement.id") == "sentence"
    assert page.title().startswith("Detected")
    assert "Not permitted" in page.inner_text(".stamp")
    assert "スタジオ雲" in page.inner_text(".works")
    assert "1 in 10" in page.inner_text(".sure")
    row = downloaded(page)
    assert row["works"][0]["title"] == TITLES[0]
    assert row["examined"]["sha256"] in page.inner_text("#result")


def test_the_drawing_and_the_picture_are_a_press_apart(service, opened):
    page = opened()
    give(page, marked(service))
    drawing, picture = page.locator("img.overlay"), page.locator("img.original")
    assert drawing.evaluate("each => each.naturalWidth") == 480
    page.wait_for_selector(".switch")
    assert picture.is_hidden()
    page.click("[data-view=original]")
    assert drawing.is_hidden()
    assert picture.evaluate("each => each.naturalWidth") == 480
    assert page.get_attribute("[data-view=original]", "aria-pressed") == "true"
    assert page.get_attribute("[data-view=overlay]", "aria-pressed") == "false"


def test_a_stranger_sees_the_verdict_and_no_number(service, opened):
    page = opened(signed_in=False)
    give(page, marked(service))
    assert TITLES[0] in page.inner_text("h1")
    assert "Not permitted" in page.inner_text(".stamp")
    assert "one in a billion" in page.inner_text(".sure")
    assert page.locator(".figure, .numbers, .overlay, nav a[href='/works']").count() == 0
    assert "log10_p" not in page.content()
    assert downloaded(page)["coarse"] is True
    page.goto(page.url + "sightings")
    assert page.url.endswith("/sign-in?next=%2Fsightings")


def test_nothing_found_is_not_told_as_a_permission(service, opened):
    page = opened(signed_in=False)
    give(page, service.studio.frames / "a 1.png")
    assert page.inner_text("h1") == "No mark was found in this picture."
    stamp = page.inner_text(".stamp")
    assert "Unknown" in stamp
    assert "Take unknown as no" in stamp


def test_a_bad_file_is_told_in_place_and_the_next_one_is_looked_at(service, opened, tmp_path):
    bad = tmp_path / "<img src=x onerror=alert(1)>.png"
    bad.write_bytes(b"no picture")
    page = opened()
    give(page, bad)
    problem = page.locator("#result[role=alert]")
    assert bad.name in problem.inner_text()
    assert "The file cannot be examined" in problem.inner_text()
    page.set_input_files("#file", marked(service))
    page.wait_for_selector("#result.detected")
    assert problem.count() == 0


def test_dropping_is_as_good_as_choosing(service, opened):
    page = opened()
    script = """([bytes, name]) => {
        const data = new DataTransfer();
        const content = Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0));
        data.items.add(new File([content], name));
        data.items.add(new File(["2"], "second.png"));
        for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(
                new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    content = b64encode(marked(service).read_bytes()).decode()
    page.evaluate(script, [content, "dropped.png"])
    assert "this is the first of 2" in page.inner_text("#progress-text")
    page.wait_for_selector("#result.detected")
    assert "dropped.png" in page.inner_text(".eyebrow")


def test_a_film_is_a_job_with_an_address_and_ends_as_a_timeline(site, opened, film):
    page = opened()
    page.click(".options summary")
    page.check("[name=all]")
    page.set_input_files("#file", film)
    page.wait_for_selector("[data-job]")
    address = page.url
    assert "/jobs/j-" in address
    assert "Waiting for its turn" in page.inner_text("#result")
    site.app.state.queue.work(site.app)
    page.wait_for_selector("#timeline")
    assert page.inner_text("h1") == "This film carries the marks of 2 works."
    assert film.name in page.inner_text(".eyebrow")
    rows = page.locator("table.parts tbody tr").all_inner_texts()
    assert [title for row in rows for title in TITLES if title in row] == list(TITLES[:2])
    assert TITLES[1] in page.get_attribute("svg.chart", "aria-label")
    page.wait_for_selector("video")
    last = page.locator("tr[data-time]").last
    last.locator("button").press("Enter")
    start = float(last.get_attribute("data-time"))
    assert page.evaluate("document.querySelector('video').currentTime") == pytest.approx(start, 0.1)
    page.goto(address)
    assert page.inner_text("h1") == "This film carries the marks of 2 works."
    assert page.locator("#timeline").count() == 1


def test_a_job_is_cancelled(site, opened, film):
    page = opened()
    page.set_input_files("#file", film)
    page.click("#result form button")
    page.wait_for_selector("text=This was cancelled.")
    site.app.state.queue.work(site.app)
    page.reload()
    assert "This was cancelled." in page.inner_text("#result")


def test_light_and_dark_follow_the_system_and_then_the_switch(opened):
    def paper(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert paper(opened(color_scheme="light")) == "rgb(250, 248, 244)"
    page = opened(color_scheme="dark")
    assert paper(page) == "rgb(20, 20, 18)"
    page.click("#theme")
    assert paper(page) == "rgb(250, 248, 244)"
    page.reload()
    assert paper(page) == "rgb(250, 248, 244)"


@pytest.mark.parametrize("path", ["/", "/works", "/sightings", "/sign-in", "/nowhere"])
def test_nothing_is_wider_than_a_narrow_screen(opened, path):
    assert no_wider(opened(path, viewport=NARROW))


def test_a_verdict_fits_a_narrow_screen(service, site, opened, film):
    page = opened(viewport=NARROW)
    give(page, marked(service))
    page.click(".numbers summary")
    assert no_wider(page)
    page.set_input_files("#file", film)
    page.wait_for_selector("[data-job]")
    site.app.state.queue.work(site.app)
    page.wait_for_selector("#timeline")
    assert no_wider(page)


def test_japanese_is_what_the_browser_asks_for_until_somebody_chooses(service, opened):
    page = opened(locale="ja-JP")
    assert page.get_attribute("html", "lang") == "ja"
    give(page, marked(service))
    assert page.inner_text("h1") == f"この画像には『{TITLES[0]}』の透かしが入っています。"
    assert "許諾なし" in page.inner_text(".stamp")
    page.click("text=English")
    assert page.get_attribute("html", "lang") == "en"
    page.goto(page.url.partition("?")[0])
    assert page.get_attribute("html", "lang") == "en"


def test_it_works_without_scripts(service, opened):
    page = opened(java_script_enabled=False)
    page.set_input_files("#file", marked(service))
    page.click("text=Check this file")
    assert TITLES[0] in page.inner_text("h1")
    assert page.locator("img.overlay").count() == 1
    assert page.locator("#result").bounding_box()["y"] < page.locator("#drop").bounding_box()["y"]


def test_keys_reach_everything_in_order(opened):
    page = opened()
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if seen[-1] == "file":
            break
    wanted = ["Skip to the content", "sukashi", "Check a file", "Works", "Sightings"]
    assert seen == [*wanted, "日本語", "theme", "Sign out", "file"]
    outline = "getComputedStyle(document.querySelector('.pick .button')).outlineStyle"
    assert page.evaluate(outline) == "solid"


def test_staff_see_works_and_sightings_and_leave(service, opened):
    page = opened("/works")
    page.fill("[name=find]", "winter")
    page.click("text=Find")
    assert page.locator("tbody tr").count() == 1
    page.click(f"text={TITLES[1]}")
    assert str(service.studio.marks[1]) in page.inner_text(".marks")
    page.goto(page.url.partition("/works")[0])
    give(page, marked(service))
    page.click("nav >> text=Sightings")
    page.click("text=Detected >> nth=0")
    page.click("tbody a >> nth=0")
    assert "carries the mark" in page.inner_text("h1")
    page.click("text=Sign out")
    assert page.locator("nav a").all_inner_texts() == ["Check a file"]


def test_a_wrong_token_is_told_and_a_right_one_leads_on(service, opened):
    page = opened("/works", signed_in=False)
    page.fill("#token", "sukashi_0_wrong")
    page.click("main >> text=Sign in >> nth=-1")
    assert "not known here" in page.inner_text("[role=alert]")
    page.fill("#token", service.secrets["works:read"])
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Works')")
    assert Path(page.url).name == "works"
