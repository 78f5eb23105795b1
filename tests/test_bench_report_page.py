"""The benchmark's page, tables and summary say what the rows say, and the README says the same."""

import json
import math
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import cv2
import numpy as np
import pytest

from bench.page.command import gathered
from bench.page.command import main as html_main
from bench.page.figures import curve_figures
from bench.page.names import brief
from bench.page.pictures import Sample, difference
from bench.page.plots import COLOURS, Line, _apart, _figure, _spaced, lines
from bench.page.readme import END, START, replaced, stale
from bench.page.readme import main as readme_main
from bench.page.report import FIGURES, markdown, report
from bench.page.summary import cells, read_summary, summarise, write_summary
from bench.page.tables import alarms_grid, family_grids, short_grid
from bench.report import rated, write_lines
from bench.score import Score

RUN = {
    "what": "benchmark",
    "profile": "$sukashi$1$short=512",
    "commit": "0123456789ab",
    "corpus": "fedcba9876543210",
    "seed": 1,
    "versions": {"python": "3.11.7"},
    "machine": "Linux x86_64",
}
SYSTEMS = {  # name: (z of an unspoilt mark, what one step of an attack takes of it, median JOD)
    "sukashi": (46.0, 6.5, 9.93),
    "invisible-watermark dwtDct": (9.0, 4.0, 9.72),
    "invisible-watermark rivaGan": (15.0, 2.2, 9.55),
    "blind-watermark": (13.0, 3.2, 9.81),
}
STRENGTHS = {  # (family, group, curve): strengths from weak to strong
    ("videoseal", "rotation", "rotation"): (5, 10, 30, 45, 90),
    ("videoseal", "crop", "crop"): (0.95, 0.84, 0.71, 0.55, 0.32),
    ("videoseal", "jpeg", "jpeg"): (90, 80, 70, 60, 50, 40),
    ("videoseal", "blur", "blur"): (3, 5, 9, 13, 17),
    ("videoseal", "colour", "brightness"): (0.1, 0.5, 1.5, 2.0),
    ("waves", "noise", "noise"): (0.02, 0.06, 0.1),
    ("ours", "resize", "resize"): (512, 256, 128),
    ("scaling", "scaling", "registry"): (1, 100, 10_000, 1_000_000, 10_000_000),
    ("scaling", "scaling", "crop area"): (1.0, 0.5, 0.25, 0.1, 0.05),
    ("scaling", "scaling", "clip length"): (10.0, 5.0, 2.0, 1.0, 0.5),
}


def synthetic(pictures=12, seed=7, systems=SYSTEMS):
    """Return rows of a made-up run: four systems, some fifty attacks, both visibilities."""
    rng = np.random.default_rng(seed)
    made = []
    names = [f"{rng.integers(1 << 62):016x}" * 4 for _ in range(pictures)]
    easy = rng.normal(0, 1, pictures)
    for system, (fresh, step, jod) in systems.items():
        for visibility in ("default", "equal"):
            price = 1.0 if visibility == "default" or system == "sukashi" else 0.7
            common = {**RUN, "system": system, "visibility": visibility, "draw": 0}
            for (family, group, curve), strengths in STRENGTHS.items():
                kind = "video" if curve == "clip length" else "image"
                for level, strength in enumerate(strengths):
                    worst = 1 if curve == "rotation" and system != "sukashi" else 0
                    for place, digest in enumerate(names):
                        z = price * fresh - step * (level + 3 * worst) + 2 * easy[place]
                        z += rng.normal()
                        if curve == "noise":  # where a peer is better
                            z += {"sukashi": -38, "invisible-watermark rivaGan": 6}.get(system, 0)
                        log10_p = -z * abs(z) / 2 / math.log(10) + 7
                        made.append(
                            common
                            | {
                                "family": family,
                                "group": group,
                                "curve": curve,
                                "attack": f"{curve} {strength}",
                                "kind": kind,
                                "strength": float(strength),
                                "picture": f"{place}.png",
                                "sha256": digest,
                                "found": bool(log10_p < -9),
                                "right": bool(z > 5),
                                "log10_p": min(0.0, log10_p),
                                "bits": None,
                                "z": z,
                                "error": None,
                            }
                        )
            for digest in names:
                cost = abs(rng.normal(10 - jod, 0.02))
                here = {"family": "fidelity", "kind": "image", "sha256": digest}
                made.append(
                    common
                    | here
                    | {
                        "jod": 10 - cost if visibility == "default" else 9.9 - cost / 9,
                        "ssimulacra2": 98 - 40 * cost,
                        "ssim": 0.999 - cost / 30,
                        "psnr": 49 - 30 * cost,
                        "flat_rms": 0.4 + 3 * cost,
                    }
                )
        for scale in (0.5, 1.0, 2.0):
            made += [
                {**RUN, "system": system, "visibility": "default", "draw": 0}
                | {"family": "price", "attack": "jpeg 50", "strength": scale}
                | {"sha256": digest, "found": True, "z": fresh * scale * 0.6 + rng.normal()}
                | {"jod": 10 - (10 - jod) * scale**1.5 + rng.normal(0, 0.01)}
                for digest in names
            ]
    made += [
        {**RUN, "system": "sukashi", "family": "null", "attack": "wrong keys"}
        | {"sha256": f"{place:064x}", "draw": 0, "found": False}
        | {"log10_p": min(0.0, math.log10(rng.uniform()) + 0.3)}
        for place in range(1000)
    ]
    made.append({"system": "TrustMark", "skipped": "no weights on disk"})
    return made


def trial(system="sukashi", *, found=True, **changed):
    """Return one row."""
    row = {**RUN, "system": system, "visibility": "equal", "kind": "image", "family": "ours"}
    row |= {"attack": "jpeg 50", "strength": 50.0, "picture": "a.png", "sha256": "0" * 64}
    row |= {"draw": 0, "found": found, "right": found, "log10_p": -20.0, "bits": None}
    return row | {"z": 9.0, "error": None} | changed


def trials(system, found, count, **changed):
    """Return rows of pictures 0, 1, …, the first of them found."""
    return [
        trial(system, found=place < found, sha256=f"{place:064x}", **changed)
        for place in range(count)
    ]


def brought(rows):
    return summarise(rows, date="2026-11-23")


@pytest.fixture(scope="module")
def rows():
    return synthetic()


@pytest.fixture(scope="module")
def summary(rows):
    return brought(rows)


@pytest.fixture(scope="module")
def page(rows):
    """Return a page with few plots, since each takes a tenth of a second."""
    few = {"noise", "registry", None}
    kept = [
        row
        for row in rows
        if row.get("curve") in few and (row.get("visibility") == "equal" or "curve" not in row)
    ]
    return report(brought(kept))


def test_a_summary_holds_every_trial_once(rows, summary):
    """Counts are those of the rows, in whatever order they come, and twice the same is once."""
    again = brought(sorted(rows, key=repr) + rows[:500])
    assert again == summary
    attacks = [row for row in rows if row.get("family") not in {None, "null", "fidelity"}]
    assert sum(cell.score.trials for cell in cells(summary)) == len(attacks)
    assert sum(cell.score.found for cell in cells(summary)) == sum(r["found"] for r in attacks)
    assert summary["runs"] == [{**RUN, "trials": len(rows) - 1}]
    assert summary["pictures"] == {"image": 12, "video": 12}


def test_summaries_of_shards_are_that_of_the_whole(rows, summary):
    parts = [[row for place, row in enumerate(rows) if place % 3 == part] for part in range(3)]
    assert brought(parts[2] + parts[0] + parts[1]) == summary


def test_a_summary_is_read_as_it_was_written(summary, tmp_path):
    path = tmp_path / "deep" / "benchmark.json"
    write_summary(path, summary)
    assert cells(read_summary(path)) == cells(summary)
    assert json.loads(path.read_text()) == json.loads(json.dumps(summary))
    assert max(map(len, path.read_text().splitlines())) < 1500  # so that diffs can be read
    path.write_text('{"format": 2}')
    with pytest.raises(ValueError, match="no summary"):
        read_summary(path)
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_summary(path)


def test_an_error_is_a_trial_that_was_not_found():
    rows = [*trials("sukashi", 4, 4), trial(sha256="f" * 64, error="decoder died", z=None)]
    (cell,) = cells(brought(rows))
    assert cell.score == Score(4, 5)
    assert cell.errors == 1
    grid = short_grid(brought(rows), "equal")
    assert "1 with errors" in grid.rows[0][1].details


def test_the_median_of_z_stands_in_its_interval():
    """Of 6 the ends are the extremes (coverage 96.9 %); of 5 no interval has 95 %."""
    for count, ends in ((5, (None, None)), (6, (0.0, 5.0)), (20, (5.0, 14.0))):
        rows = [trial(sha256=f"{n:064x}", z=float(n)) for n in range(count)]
        (cell,) = cells(brought(rows))
        assert cell.z == (ends[0], (count - 1) / 2, ends[1])


def test_the_interval_of_the_median_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(3)
    hit = 0
    for _ in range(400):
        rows = [trial(sha256=f"{n:064x}", z=float(rng.normal())) for n in range(15)]
        (cell,) = cells(brought(rows))
        hit += cell.z[0] <= 0 <= cell.z[2]
    assert Score(hit, 400).interval(0.999)[1] > 0.95


def test_a_row_without_group_and_curve_gets_them():
    """A number is taken off a name only where it is the strength."""
    names = {
        ("jpeg 50", 50.0): "jpeg",
        ("brightness x0.5", 0.5): "brightness",
        ("hue -30", -30.0): "hue",
        ("grey", None): "grey",
        ("resize 256 jpeg 50", None): "resize 256 jpeg 50",
        ("spectral 1.5", 20): "spectral 1.5",
    }
    rows = [trial(attack=name, strength=strength) for name, strength in names]
    assert {(c.attack, c.strength): c.curve for c in cells(brought(rows))} == names
    assert {cell.group for cell in cells(brought(rows))} == {"ours"}
    told = summarise(rows, date="", places={"grey": ("colour", "grey")})
    assert {cell.group for cell in cells(told)} == {"ours", "colour"}


@pytest.mark.parametrize(
    ("attack", "strength", "name"),
    [("blur", 3.0, "blur 3"), ("grey", -1, "grey"), ("jpeg 50", 50, "jpeg 50"), ("x", None, "x")],
)
def test_an_attack_is_named_with_its_strength(attack, strength, name):
    assert [c.name for c in cells(brought([trial(attack=attack, strength=strength)]))] == [name]


def test_a_forgery_that_works_is_nothing_to_win():
    """It is in no short table, and no system is the best at being forged."""
    rows = [
        row
        for system, found in (("sukashi", 1), ("peer", 9))
        for frames in (5, 20)
        for row in trials(system, found, 10, family="forgery", attack="mean", strength=frames)
    ]
    found = brought(rows)
    assert short_grid(found, "equal") is None
    (grid,) = family_grids(found, "equal")
    assert grid.caption.startswith("Forgeries (fewer found is better)")
    assert not any(entry.best for row in grid.rows for entry in row)
    assert grid.rows[0][-1].text == ""
    assert "Many frames of one work" in report(found)


def test_the_short_table_says_where_a_peer_is_better():
    peers = trials("blind-watermark", 29, 30) + trials("TrustMark", 12, 30)
    grid = short_grid(brought(trials("sukashi", 10, 30) + peers), "equal")
    assert grid.head == ("attacks", "sukashi", "blind-watermark", "TrustMark", *grid.head[4:])
    (row,) = grid.rows
    assert [entry.best for entry in row] == [False, False, True, False, False]
    assert row[2].text == "96.7 %"
    assert row[2].details == ("82.8 to 99.9 %", "29/30")
    assert row[4].text == "blind-watermark is better; TrustMark is better (within chance)"
    assert "**96.7 %** (82.8 to 99.9 %, 29/30)" in grid.markdown()
    assert short_grid(brought(trials("sukashi", 1, 2)), "default") is None


def test_strengths_that_make_a_curve_do_not_weigh_in_the_short_table():
    rows = trials("sukashi", 5, 5) + trials("peer", 5, 5)
    ruin = [
        row
        for strength in (1, 2, 3)
        for row in trials("sukashi", 0, 5, family="curves", attack="ruin", strength=strength)
    ]
    (row,) = short_grid(brought(rows + ruin), "equal").rows
    assert row[1].details[-1] == "5/5"
    assert short_grid(brought(ruin), "equal") is None
    assert family_grids(brought(ruin), "equal")


def test_the_best_share_shares_its_place_and_nothing_found_is_no_best():
    grid = short_grid(brought(trials("sukashi", 5, 5) + trials("peer", 5, 5)), "equal")
    assert [entry.best for entry in grid.rows[0]] == [False, True, True, False]
    assert grid.rows[0][-1].text == ""
    grid = short_grid(brought(trials("sukashi", 0, 5) + trials("peer", 0, 5)), "equal")
    assert not any(entry.best for entry in grid.rows[0])
    assert grid.rows[0][1].details == ("≤ 52 %", "0/5")


def test_systems_that_went_through_other_trials_are_not_the_best():
    """What a system left out must not make its share look better, but it is said."""
    rows = trials("sukashi", 15, 20) + trials("sukashi", 0, 20, attack="smash")
    grid = short_grid(brought(rows + trials("peer", 20, 20)), "equal")
    (row,) = grid.rows
    assert row[1].best
    assert not row[2].best
    assert "on other trials" in row[2].details
    assert row[3].text == "peer is better (on other trials)"


def test_no_share_stands_without_a_count(summary):
    for visibility in ("equal", "default"):
        for grid in [short_grid(summary, visibility), *family_grids(summary, visibility)]:
            for row in grid.rows:
                for entry in row[1:5]:
                    assert re.fullmatch(r"\d+/\d+", entry.details[-1]), (grid.caption, entry)


def test_films_stand_after_pictures():
    rows = [
        trial(kind=kind, group=group, attack=group)
        for kind in ("video", "image")
        for group in ("resize", "codec", "rotation")
    ]
    names = [row[0].text for row in short_grid(brought(rows), "equal").rows]
    assert names == [
        *("rotation", "resize", "codec"),
        *("rotation (films)", "resize (films)", "codec (films)"),
    ]


def test_tables_are_in_the_order_of_strength(summary):
    (grid,) = [each for each in family_grids(summary, "equal") if "VideoSeal" in each.caption]
    names = [row[0].text for row in grid.rows]
    jpeg = [name for name in names if name.startswith("jpeg")]
    assert jpeg == [f"jpeg {quality}" for quality in (40, 50, 60, 70, 80, 90)]
    assert grid.head[-2:] == ("median z, sukashi", "where a peer is better")


def test_false_alarms_have_an_upper_bound(summary):
    (row,) = alarms_grid(summary).rows
    assert row[2].text == rated(Score(0, 1000))
    assert "≤" in row[2].text
    assert summary["null"][0]["tail"][-1][0] == 1000


class Reader(HTMLParser):
    """Collects what a page consists of, and whether its elements close."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]
        if tag not in {"meta", "img", "link", "br", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone_and_is_whole(page):
    """Nothing is asked of any server, names are unique, and each link within leads somewhere."""
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert not {"script", "link", "iframe"} & set(reader.tags)
    names = [value for _, name, value in reader.attributes if name == "id"]
    assert len(names) == len(set(names))
    for tag, name, value in reader.attributes:
        if name in {"src", "xlink:href"} or (name == "href" and tag != "a"):
            assert value.startswith(("data:", "#")), value
        if name in {"href", "xlink:href", "aria-labelledby"} and not value.startswith("http"):
            assert value.lstrip("#") in names, value
    assert all(name in names for name in re.findall(r"url\(#([^)]+)\)", page))
    assert "@import" not in page
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "prefers-color-scheme:dark" in style
    assert page.count("<h1>") == 1


def test_the_page_tells_a_stranger_what_was_done(page):
    reader = Reader()
    reader.feed(page)
    for said in (
        "sukashi beside 3 other systems",
        "1,000,000 registered identities",
        "Clopper and Pearson",
        "0123456789ab",
        "fedcba9876543210",
        "2026-11-23",
        "invisible-watermark rivaGan is better",
        "TrustMark: no weights on disk",
        "not measured here",
        "0/1000 (≤ 0.37 %)",
    ):
        assert said in reader.text, said
    regions = [
        attributes for attributes in reader.attributes if attributes[1:] == ("tabindex", "0")
    ]
    assert len(regions) == page.count('class="scroll"')  # what scrolls can be reached by key


def test_plots_take_the_colours_of_the_page_and_name_their_lines(page):
    svgs = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(svgs) == 2 * 2 + 1 + 2 * 5 + 1  # two curves, price, fidelity, null
    for svg in svgs:
        assert 'role="img" aria-label="' in svg
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= COLOURS.keys()
        assert re.findall(r"#[0-9a-f]{6}\b", svg) in ([], ["#000000"], ["#ffffff"])
    for name in ("sukashi", "blind-watermark", "dwtDct", "rivaGan"):
        assert f">{name}</text>" in svgs[0]


def contrast(one, other):
    """Return the ratio of luminances by WCAG 2."""

    def light(colour):
        parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted([light(one), light(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_an_axis_is_labelled_in_the_unit_of_its_strengths():
    svgs = {}
    for most in (0.5, 256.0):
        rows = [trial(attack=f"resize {s}", strength=s) for s in (most / 2, most)]
        (figure,) = curve_figures(brought(rows), "equal")
        svgs[most] = figure.svgs[0]
    assert "share of each side" in svgs[0.5]
    assert "short side, pixels" in svgs[256.0]


@pytest.mark.parametrize("dark", [False, True])
def test_names_in_plots_can_be_read(dark):
    """4.5 is what WCAG 2 asks of text."""
    for name, pair in COLOURS.items():
        if name not in {"paper", "rule"}:
            assert contrast(pair[dark], COLOURS["paper"][dark]) > 4.5, name


def test_names_at_lines_do_not_touch():
    """They keep a line's height, stay under the top, and are where their lines end if they can."""
    for heights in ([0, 0, 0, 0], [5, 6, 50, 98, 99, 100], [100] * 9, [3]):
        placed = _apart(heights, 100.0)
        assert all(above - below >= 10.4 for below, above in pairwise(placed)), heights
        assert max(placed) <= 100
    assert _apart([0, 40, 80], 100.0) == [0, 40, 80]


def test_the_same_counts_give_the_same_plot():
    drawn = [Line(f"system {n}", n, [1, 2, 3], [1, 0.5, 0.01 * n]) for n in range(9)]
    svg = lines(drawn, x_label="x", y_label="found", share=True)
    assert svg == lines(drawn, x_label="x", y_label="found", share=True)
    assert all(f">system {n}</text>" in svg for n in range(9))


def test_figures_along_an_axis_leave_each_other_room():
    assert _spaced([0.05, 0.06, 0.5, 0.99, 1.0], log=False) == [0.05, 0.5, 1.0]
    assert _spaced([1, 100, 1e4, 1e6], log=True) == [1, 100, 1e4, 1e6]
    assert [_figure(each) for each in (0.71, 5.0, 512.0, 1920.0, 1e4, 1e7)] == [
        *("0.71", "5", "512", "1920", "10 k", "10 M")
    ]


def test_short_names_name_one_system_each():
    """And no version or variant stands alone."""
    names = ("sukashi", "invisible-watermark dwtDct", "TrustMark Q", "VideoSeal 1.0")
    assert [brief(names)[name] for name in names] == [names[0], "dwtDct", *names[2:]]
    same = ("one dwtDct", "two dwtDct")
    assert brief(same) == dict(zip(same, same, strict=True))


def test_every_published_figure_has_a_source():
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert figures
    for each in figures:
        assert each.keys() == {"system", "what", "figure", "conditions", "source", "url"}
        assert each["url"].startswith("https://")
        assert all(each.values())


def test_the_difference_is_what_was_added():
    original = np.full((4, 4, 3), 100, np.uint8)
    marked = original.copy()
    marked[0, 0], marked[1, 1], marked[2, 2] = 101, 98, 200
    shown = difference(original, marked)
    assert (shown[0, 0] == 148).all()
    assert (shown[1, 1] == 88).all()
    assert (shown[2, 2] == 255).all()
    assert (shown[3] == 128).all()
    with pytest.raises(ValueError, match="the marked one"):
        difference(original, marked[:3])


def test_pictures_are_files_that_are_named(tmp_path):
    rng = np.random.default_rng(1)
    for name, size in (("o", (400, 600)), ("m", (400, 600)), ("a", (100, 1200))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 256, (*size, 3), np.uint8))
    sample = Sample.parse(f"A <b>={tmp_path}/o.png,{tmp_path}/m.png,{tmp_path}/a.png")
    views = sample.views()
    assert [(name, size) for name, _, size in views] == [
        *(("original", (480, 360)), ("marked", (480, 360))),
        *(("difference × 20", (480, 360)), ("attacked", (480, 40))),
    ]
    text = report(brought([trial()]), [sample])
    assert text.count("<img ") == 4
    assert "A &lt;b&gt;" in text
    for wrong in ("a.png,b.png,c.png", "title=a.png,b.png"):
        with pytest.raises(ValueError, match="TITLE="):
            Sample.parse(wrong)


def test_the_tables_are_told_in_markdown_too(summary):
    text = markdown(summary)
    assert "## Found, at equal visibility" in text
    assert "- TrustMark: no weights on disk" in text
    assert "(https://github.com/" in text


README = f"# Name\n\nBefore.\n\n{START}\n\nold\n\n{END}\n\nAfter.\n"


def test_the_readme_says_what_is_stored(summary):
    assert stale(README, summary)
    text = replaced(README, summary)
    assert not stale(text, summary)
    assert replaced(text, summary) == text
    assert text.startswith("# Name\n\nBefore.\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "commit 0123456789ab, corpus fedcba9876543210" in text
    assert "Not run: TrustMark (no weights on disk)." in text
    assert "At equal visibility" in text
    assert "default strength" not in text
    unscaled = brought([trial(visibility="default")])
    assert "default strength" in replaced(README, unscaled)


def test_a_readme_is_stale_when_one_count_changes(rows, summary):
    text = replaced(README, summary)
    place = next(
        n
        for n, row in enumerate(rows)
        if row.get("family") == "ours" and row["visibility"] == "equal"
    )
    other = [*rows[:place], rows[place] | {"found": not rows[place]["found"]}, *rows[place + 1 :]]
    assert stale(text, brought(other))
    assert stale(text.replace("36/36", "35/36", 1), summary)
    for wrong in ("no comments", f"{END}\n{START}", README + START):
        with pytest.raises(ValueError, match="benchmark"):
            stale(wrong, summary)
    with pytest.raises(ValueError, match="no attacks"):
        replaced(README, brought([]))


def run(monkeypatch, main, *arguments):
    """Return the exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["bench", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return int(end.code)
    return 0


def test_the_page_is_made_of_files_and_of_their_summary(tmp_path, monkeypatch, capsys):
    """Two shards make one page, and so does the summary that was written beside it."""
    rows = trials("sukashi", 3, 4, attack="grey") + trials("peer", 1, 4, attack="grey")
    for part in range(2):
        write_lines(tmp_path / f"{part}.jsonl", rows[part::2])
    shards = [tmp_path / f"{part}.jsonl" for part in range(2)]
    out, stored = tmp_path / "deep" / "page.html", tmp_path / "benchmark.json"
    options = ("-o", out, "--summary", stored, "--date", "2026-11-23")
    assert run(monkeypatch, html_main, *shards, *options) == 0
    assert "75.0 %" in out.read_text(encoding="utf-8")
    assert run(monkeypatch, html_main, stored, "-o", tmp_path / "again.html") == 0
    assert (tmp_path / "again.html").read_bytes() == out.read_bytes()
    assert run(monkeypatch, html_main, tmp_path / "none.jsonl", "-o", out) == 2
    assert run(monkeypatch, html_main, stored, shards[0], "-o", out) == 2
    said = capsys.readouterr().err
    assert "there is no file" in said
    assert "name it alone" in said

    readme = tmp_path / "README.md"
    readme.write_text(README, encoding="utf-8")
    options = ("--summary", stored, "--readme", readme)
    assert run(monkeypatch, readme_main, *options, "--check") == 1
    assert run(monkeypatch, readme_main, *options) == 0
    assert run(monkeypatch, readme_main, *options, "--check") == 0
    assert run(monkeypatch, readme_main, "--summary", tmp_path / "none", "--readme", readme) == 2


def test_speed_stands_by_itself_and_keeps_its_ratios(rows, tmp_path):
    lines = [
        {"what": "size", "system": "libvips", "of": "decode", "megapixels": 2.0, "s": 0.01},
        {
            "what": "size",
            "system": "sukashi",
            "of": "embed",
            "megapixels": 2.0,
            "s": 0.12,
            "ratio": 12,
        },
        {"what": "size", "system": "clawid", "megapixels": 2.0, "error": "it fell"},
        {"what": "registry", "marks": 1_000, "of": "detect, fast", "s": 0.03},
        {"what": "cores", "jobs": 2, "of": "embed and detect, fast", "a_s": 9.5},
        {"what": "memory", "of": "50 megapixels", "MB": 364.2},
    ]
    path = tmp_path / "run.jsonl"
    write_lines(path, [*rows, *(RUN | line for line in lines)])
    summary = gathered([path], date="2026-01-01")
    assert len(summary["speed"]) == len(lines) - 1  # an error is no time
    assert summary["cells"] == summarise(rows, date="2026-01-01")["cells"]
    text = markdown(summary)
    assert "| sukashi | embed | 120 ms (12.0 × decoding) |" in " ".join(text.split())
    for told in ("1,000 marks", "2 processes", "364 MB at most"):
        assert told in report(summary)
        assert told in text


def test_a_page_without_times_has_no_section_for_them(summary):
    assert "Time against size" not in report(summary)
