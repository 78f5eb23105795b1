"""The page around tables and plots: one file, no script, no request, light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from bench.page.figures import Figure
from bench.page.pictures import Sample
from bench.page.plots import COLOURS

__all__ = ["Ids", "figures", "folded", "page", "pictures", "section"]


def _variables(*, dark: bool) -> str:
    return "".join(f"--{name}:{pair[dark]};" for name, pair in COLOURS.items())


_STYLE = """
:root{color-scheme:light dark;LIGHT}
@media(prefers-color-scheme:dark){:root{DARK}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
@media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
main,header,footer{max-width:76rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.5rem}
h1{font-size:clamp(1.6rem,4.5vw,2.5rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 1rem;
max-width:24em;text-wrap:balance}
h2{font-size:1.35rem;margin:0 0 .5rem;letter-spacing:-.01em}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p,li{max-width:46rem}
p{margin:.5rem 0 1rem}
.lead{font-size:1.15rem}
section{padding:2.25rem 0 .75rem;border-top:1px solid var(--rule);margin-top:1.5rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding:0;margin:1.25rem 0 0;list-style:none}
a{color:var(--s0);text-underline-offset:.15em}
a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--s0);
outline-offset:3px;border-radius:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.5rem}
dl{display:flex;flex-wrap:wrap;gap:.5rem 2.25rem;margin:1.5rem 0 0}
dt{color:var(--soft);font-size:.85rem}
dd{margin:0;font-size:1.35rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
dd.small{font-size:.95rem;line-height:1.9rem}
.scroll{overflow-x:auto;margin:.75rem 0 1.5rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem 0;
border-bottom:1px solid var(--rule)}
thead th{color:var(--soft);font-weight:500;vertical-align:bottom}
tbody th{font-weight:500;position:sticky;left:0;background:var(--paper);min-width:6.5rem}
td{min-width:7.5rem}
td small,th small{display:block;color:var(--soft);font-weight:400;font-size:.8rem;line-height:1.35}
td.top{box-shadow:inset 0 -2px var(--s0)}
.best{color:var(--s0);font-size:.75rem;font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));
gap:1.25rem 1.75rem;margin:.75rem 0 1.5rem}
figure{margin:0;min-width:0}
figure svg{display:block;width:100%;height:auto}
svg text{font-family:system-ui,sans-serif!important}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:.25rem}
figure svg+svg{margin-top:-.25rem}
figcaption small{font-weight:400;color:var(--soft);margin-left:.5em}
.views{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),30rem));gap:1rem}
.views img{display:block;width:100%;height:auto;border-radius:3px}
details{margin:.75rem 0}
summary{cursor:pointer;padding:.25rem 0}
footer{padding:2rem 1.25rem 4rem;color:var(--soft);font-size:.9rem}
code{font-size:.9em;overflow-wrap:anywhere}
@media print{details>*{display:block}.scroll{overflow:visible}}
"""


def section(name: str, title: str, *parts: str) -> str:
    """Return a part of the page with a heading; `name` is its place in the page's address."""
    inner = "".join(parts)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">'
        f'<h2 id="{name}-title">{html.escape(title)}</h2>{inner}</section>'
    )


def folded(title: str, *parts: str, opened: bool = False) -> str:
    """Return parts under a line that opens them."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{html.escape(title)}</summary>{''.join(parts)}</details>"


class Ids:
    """Names of an SVG's parts, made different for each plot of a page."""

    def __init__(self) -> None:
        self._count = 0

    def apart(self, svg: str) -> str:
        """Return a plot with names that no other one has."""
        self._count += 1
        mark = f"f{self._count}"
        return (
            svg.replace(' id="', f' id="{mark}')
            .replace("url(#", f"url(#{mark}")
            .replace('href="#', f'href="#{mark}')
        )


def figures(drawn: Iterable[Figure], ids: Ids) -> str:
    """Return plots side by side, as many as the screen is wide."""
    parts = []
    for each in drawn:
        label = html.escape(f"{each.title}. {each.note}", quote=True)
        svg = "".join(
            ids.apart(one).replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
            for one in each.svgs
        )
        note = f"<small>{html.escape(each.note)}</small>" if each.note else ""
        parts.append(
            f"<figure><figcaption>{html.escape(each.title)}{note}</figcaption>{svg}</figure>"
        )
    return f'<div class="plots">{"".join(parts)}</div>' if parts else ""


def pictures(samples: Sequence[Sample]) -> str:
    """Return each sample's four pictures side by side."""
    parts = []
    for sample in samples:
        title = html.escape(sample.title)
        views = "".join(
            f'<figure><figcaption>{html.escape(name)}</figcaption><img alt="{title}, '
            f'{html.escape(name)}" width="{size[0]}" height="{size[1]}" src="{address}"></figure>'
            for name, address, size in sample.views()
        )
        parts.append(f'<h3>{title}</h3><div class="views">{views}</div>')
    return "".join(parts)


def page(title: str, top: str, sections: Sequence[tuple[str, str, str]], bottom: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    title : str
    top, bottom : str
        HTML under the title, and at the end.
    sections : sequence of (name, title, HTML)
    """
    style = _STYLE.replace("LIGHT", _variables(dark=False)).replace("DARK", _variables(dark=True))
    links = "".join(
        f'<li><a href="#{name}">{html.escape(heading)}</a></li>' for name, heading, _ in sections
    )
    body = "".join(section(name, heading, inner) for name, heading, inner in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body>"
        '<a class="skip" href="#content">To the results</a>'
        f"<header><h1>{html.escape(title)}</h1>{top}"
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav></header>'
        f'<main id="content">{body}</main><footer>{bottom}</footer></body></html>\n'
    )
