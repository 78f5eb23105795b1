"""A trace as a page for people: one HTML file with its plots inside.

It asks nothing of a network, and runs no script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from watermark.files import AnyPath, atomic_write
from watermark.trace import Trace
from watermark.trace_plots import growth_plot, histogram, quantile_plot
from watermark.trace_words import (
    ABSENCE,
    CONTROL_FOUND,
    MEANING,
    again,
    counted,
    grown,
    power,
    seen,
    verdict,
)

__all__ = ["page", "write_page"]

_SINGLES = 50  # that are told
_SOFT = ' class="soft"'
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2126;--paper:#fff;--pale:#e3e6ea;--soft:#5c6670;
--true:#0072b2;--fit:#d55e00;--clean:#009e73;--wrong:#8a949e}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--paper:#16191d;--pale:#333a42;
--soft:#a3adb8;--true:#56b4e9;--fit:#e69f00;--clean:#2dc597;--wrong:#77828d}}
body{margin:0 auto;max-width:62rem;padding:1.5rem 1rem 3rem;background:var(--paper);
color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.3}h2{font-size:1.1rem;margin-top:2.2rem}
p{max-width:46rem}.soft{color:var(--soft)}
table{border-collapse:collapse;margin:.6rem 0}th,td{padding:.25rem .9rem .25rem 0;
text-align:left;vertical-align:top;border-bottom:1px solid var(--pale)}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
.table{overflow-x:auto}.plots{display:flex;flex-wrap:wrap;gap:1rem}
figure{flex:1 1 24rem;max-width:40rem;margin:0;min-width:0}
figcaption{color:var(--soft);font-size:.9rem}
svg{width:100%;height:auto;font:12px system-ui,sans-serif;fill:var(--soft)}
.frame{fill:none;stroke:var(--pale)}.grid{stroke:var(--pale)}
.level{fill:none;stroke:var(--soft);stroke-dasharray:2 4}
.line{fill:none;stroke-width:2}.line.true{stroke:var(--true)}.line.clean{stroke:var(--clean)}
.line.fit{stroke:var(--fit);stroke-dasharray:6 4}
circle.true{fill:var(--true)}.clean{fill:var(--clean)}.line.clean{fill:none}
.wrong{fill:var(--wrong)}
"""


def page(trace: Trace, *, name: str, clean: Trace | None = None, clean_name: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    trace : Trace
    name : str
        Of the outputs, for people.
    clean, clean_name : Trace and str
        Of a generator that is known to be clean.
    """
    body = [
        f"<h1>{_text(verdict(trace))}</h1>",
        _paragraph(_about(trace, name), soft=True),
        _paragraph(MEANING),
        _paragraph(f"{ABSENCE} {seen(trace)}"),
    ]
    if trace.signals:
        body += _signals(trace)
    if trace.listed:
        body += _works(trace)
    body += [
        "<h2>How it grew</h2>",
        _paragraph(f"{grown(trace)} {again(trace)}"),
        *_figures([(growth_plot(trace, clean), _growth_caption(trace, clean_name))]),
        *_looks(trace),
    ]
    if trace.controls is not None:
        body += _wrong_keys(trace, clean)
    if clean is not None:
        body += _control(clean, clean_name)
    if trace.singles:
        body += _singles(trace)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{_text(name)}: trace</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def write_page(path: AnyPath, text: str, *, replace: bool = False) -> None:
    """Write a page; it gets its name when it is complete.

    Raises
    ------
    OutputError
        If it cannot be written, or something has that name and is not to be replaced.
    """
    with atomic_write(path, replace=replace) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _about(trace: Trace, name: str) -> str:
    failed = f", {trace.failed:,} more could not be read" if trace.failed else ""
    marks = "" if trace.marks is None else f", {trace.marks:,} registered marks"
    return (
        f"{name}: {counted(trace.outputs, 'output')} of {counted(trace.sizes, 'size')} "
        f"added up{failed}. Key {trace.fingerprint}; "
        f"{trace.ways:,} ways of folding{marks}; look {trace.looks[-1].number}. "
        f"The strongest mark: z {trace.z:.1f}, p = {power(trace.log10_p)}, {trace.way}."
    )


def _signals(trace: Trace) -> list[str]:
    several = len(trace.signals) > 1
    rows = []
    for each in trace.signals:
        mark, wrong = each.mark, each.mark.log10_p_wrong_work
        name = mark.work.title if mark.work else "not sure which"
        name = name if mark.registered else f"mark {mark.number:012x}, not registered"
        share = "" if each.share is None or not several else f"{each.share:.0%}"
        if share and each.error and each.amplitude:
            share += f" (± {each.share * each.error / each.amplitude:.1%})" if each.share else ""
        rows.append(
            (
                name,
                power(mark.log10_p) + (" by a model" if mark.model_based else ""),
                f"{mark.z:.1f}",
                "" if wrong is None else power(wrong),
                share,
                mark.alignment,
            )
        )
    head = ("work", "presence p", "z", "wrong work p", "part of the signal", "folded")
    told = ["<h2>Signals</h2>", _table(head, rows, numbers=(1, 2, 3, 4))]
    if several:
        told.append(
            _paragraph(
                "The parts are estimated from how strong each mark is beside the others; they say "
                "how the works compare, not how much of a training set they were.",
                soft=True,
            )
        )
    return told


def _works(trace: Trace) -> list[str]:
    rows = [
        (
            each.work.title,
            str(each.mark),
            f"{each.z:.1f}",
            power(each.log10_p),
            "yes" if each.told else "no",
            "" if each.z_without is None else f"{each.z_without:.1f}",
        )
        for each in trace.listed
    ]
    head = ("work", "mark", "z", "presence p", "told apart", "z without those found")
    return [
        "<h2>Registered works that score highest</h2>",
        _paragraph(
            "Presence asks whether this key's signal is there. A strong mark of one work scores "
            "for others of its key too, since their code words agree in part; only works that are "
            "told apart are named above."
        ),
        _table(head, rows, numbers=(2, 3, 5)),
    ]


def _looks(trace: Trace) -> list[str]:
    rows = [
        (f"{each.number}", f"{each.outputs:,}", f"{each.z:.1f}", power(each.log10_p), each.verdict)
        for each in trace.looks
    ]
    head = ("look", "outputs", "largest z", "p, looks charged", "verdict")
    return [_table(head, rows, numbers=(0, 1, 2, 3))]


def _growth_caption(trace: Trace, clean: str) -> str:
    told = "z of the strongest mark (blue) at each look; looks are charged."
    if trace.growth is not None:
        bend = " with a bend" if trace.growth.bend else ""
        told += f" Dashed: growth as the root of the number{bend}."
    return told + (f" Green: {clean}, the same mark search." if clean else "")


def _wrong_keys(trace: Trace, clean: Trace | None) -> list[str]:
    wrong = trace.controls
    assert wrong is not None, "there are wrong keys"
    others = None if clean is None else clean.controls
    reached = f"{wrong.as_large:,}" if wrong.as_large else "None"
    return [
        "<h2>Wrong keys on the same outputs</h2>",
        _paragraph(
            f"{len(wrong.largest):,} keys that marked nothing were asked about the same sums and "
            f"the same ways of folding. The largest z of any is {wrong.largest.max():.1f}; the "
            f"true key has {wrong.true_largest:.1f}. {reached} reach it, which by "
            f"counting alone is p = {wrong.rank_p:.2g}. If the p-value is true, wrong keys give a "
            "standard normal z: a Kolmogorov–Smirnov test of that has "
            f"p = {wrong.normal_p:.2g}."
        ),
        *_figures(
            [
                (histogram(wrong), "The largest z of each wrong key over all ways of folding."),
                (
                    quantile_plot(wrong, others),
                    "z of each wrong key at one way of folding; on the line is normal."
                    + (" Green: on the outputs that are known to be clean." if others else ""),
                ),
            ]
        ),
    ]


def _control(clean: Trace, name: str) -> list[str]:
    return [
        "<h2>Outputs that are known to be clean</h2>",
        _paragraph(
            f"{name}: {counted(clean.outputs, 'output')}, asked in the same way with the true key: "
            f"{clean.verdict.replace('-', ' ')}, z {clean.z:.1f}, p = {power(clean.log10_p)}. "
            + (CONTROL_FOUND if clean.signals else "")
        ),
    ]


def _singles(trace: Trace) -> list[str]:
    rows = [
        (
            each.name,
            each.mark.work.title if each.mark.work else f"mark {each.mark.number:012x}",
            power(each.mark.log10_p),
            f"{each.mark.z:.1f}",
            each.mark.alignment,
        )
        for each in trace.singles[:_SINGLES]
    ]
    count = len(trace.singles)
    more = f" The {_SINGLES} surest:" if count > _SINGLES else ""
    return [
        "<h2>Outputs that carry a mark by themselves</h2>",
        _paragraph(
            f"{count:,}, as near-copies of marked frames do; the number of outputs is charged. "
            f"They are part of the sum above as well.{more}"
        ),
        _table(("output", "work", "p", "z", "folded"), rows, numbers=(2, 3)),
    ]


def _paragraph(text: str, *, soft: bool = False) -> str:
    return f"<p{_SOFT if soft else ''}>{_text(text)}</p>"


def _figures(drawn: Iterable[tuple[str, str]]) -> list[str]:
    inner = "".join(
        f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>"
        for picture, caption in drawn
    )
    return [f'<div class="plots">{inner}</div>']


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int]) -> str:
    number = ' class="number"'

    def line(cells: Sequence[str], tag: str) -> str:
        told = (
            f"<{tag}{number if place in numbers else ''}>{_text(cell)}</{tag}>"
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(told)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="table"><table>{line(head, "th")}{body}</table></div>'


def _text(text: str) -> str:
    """Return text as HTML shows it, with what could steer it as an escape."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in text))
