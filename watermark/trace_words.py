"""What is told of a trace, in sentences for people and as an object for scripts.

The words are chosen with care: the outputs *carry the keyed signal* of a work.  How it came there
is a conclusion, and not one that a number can draw.
"""

from __future__ import annotations

from typing import Any

from watermark.identification import FoundMark
from watermark.record import found_record
from watermark.trace import Listed, Look, Signal, Trace

__all__ = [
    "ABSENCE",
    "CONTROL_FOUND",
    "MEANING",
    "again",
    "counted",
    "grown",
    "power",
    "seen",
    "trace_record",
    "verdict",
]

MEANING = (
    "A key that nobody used here would show as much with a chance of at most p, whatever the "
    "outputs look like; all that was tried is counted. It does not say how the signal came there: "
    "outputs also carry it if they were made from marked pictures, or if somebody put it in."
)
ABSENCE = (
    "Where no signal is found nothing is proved: a model that was fed parts cut at random, or few "
    "marked frames, or that is asked for other things, need not show any."
)
CONTROL_FOUND = (
    "So the signal is also where it is not to be: those outputs are not clean, or of the same "
    "generator."
)
_SOME = -3.0  # log10 of a p-value that is worth a second look
_NAMED = 8  # works in the first sentence


def power(log10: float) -> str:
    """Write a probability by its logarithm: 10^−57.3, and plainly where it is near 1."""
    return f"10^{log10:.1f}" if log10 <= -3 else f"{10**log10:.2g}"


def verdict(trace: Trace) -> str:
    """Return the verdict in a sentence."""
    if trace.verdict == "inconclusive":
        return "These outputs could not have shown a signal; more of them, or larger ones, might."
    if not trace.signals and trace.log10_p <= _SOME:
        return (
            "What there is of this key's signal is not enough to say so "
            f"(p = {power(trace.log10_p)})."
        )
    if not trace.signals:
        return f"No signal of this key was found in the outputs (p = {power(trace.log10_p)})."
    names = [_named(each.mark) for each in trace.signals[:_NAMED]]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    if trace.verdict == "indicated":
        return f"The outputs show signs of the keyed signal of {listed}; not enough to be sure."
    return f"The outputs carry the keyed signal of {listed}."


def _named(mark: FoundMark) -> str:
    chance = f"(p = {power(mark.log10_p)})"
    if mark.work is not None:
        return f"{mark.work.title} {chance}"
    if mark.registered:
        return f"a registered work, but of which is not sure {chance}"
    return f"mark {mark.number:012x} {chance}"


def seen(trace: Trace) -> str:
    """Say how weak a signal could have been seen."""
    told = trace.sensitivity
    if told is None:
        return "No output was fit to be tried out on."
    if told.strength is None or told.strength > 1:
        return "Not even marks embedded in every output would surely have been seen."
    part = told.strength * 100
    share = f"{part:.0f}" if part >= 9.5 else f"{part:.1g}"
    return (
        f"A signal {share} % as strong as a mark embedded in every output would hardly have been "
        "missed."
    )


def counted(number: int, word: str) -> str:
    """Return a number and what it counts: ``1 output``, ``1,200 outputs``."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def grown(trace: Trace) -> str:
    """Say what more outputs would do."""
    match trace.outlook.kind:
        case "settled":
            return "It is settled: more outputs would change nothing."
        case "more":
            return (
                "If the signal goes on growing as it did, "
                f"about {counted(trace.outlook.more or 0, 'more output')} would settle it."
            )
        case "never":
            return "The signal does not grow with the outputs in a way that would ever settle it."
    return "Nothing stands out of what wrong keys show, so what more outputs would do is not known."


def again(trace: Trace) -> str:
    """Say how to ask again later."""
    return (
        f"Asking again about this generator is look {trace.looks[-1].number + 1}: give "
        f"--looks-before {trace.looks[-1].number}."
    )


def trace_record(trace: Trace) -> dict[str, Any]:
    """Return a trace as an object for scripts; logs are to base 10, as in `watermark.record`."""
    wrong, could = trace.controls, trace.sensitivity
    return {
        "verdict": trace.verdict,
        "log10_p": _number(trace.log10_p),
        "z": _number(trace.z),
        "needed_z": _number(trace.needed),
        "outputs": trace.outputs,
        "failed": trace.failed,
        "sizes": trace.sizes,
        "way": trace.way,
        "ways": trace.ways,
        "marks": trace.marks,
        "key": trace.fingerprint,
        "signals": [_signal(each) for each in trace.signals],
        "works": [_listed(each) for each in trace.listed],
        "looks": [_look(each) for each in trace.looks],
        "growth": [[outputs, _number(z)] for outputs, z in trace.curve],
        "fit": None
        if trace.growth is None
        else {"rate": trace.growth.rate, "bend": trace.growth.bend},
        "outlook": trace.outlook.kind,
        "more_outputs": trace.outlook.more,
        "could_see": None if could is None or could.strength is None else _small(could.strength),
        "wrong_keys": None
        if wrong is None
        else {
            "keys": len(wrong.largest),
            "largest_z": _number(float(wrong.largest.max())),
            "true_z": _number(wrong.true_largest),
            "as_large": wrong.as_large,
            "rank_p": wrong.rank_p,
            "normal_p": _small(wrong.normal_p),
        },
        "singles": [{"file": each.name, **found_record(each.mark)} for each in trace.singles],
    }


def _signal(each: Signal) -> dict[str, Any]:
    told = {"amplitude": each.amplitude, "error": each.error, "share": each.share}
    return {
        **found_record(each.mark),
        **{name: None if value is None else _number(value) for name, value in told.items()},
    }


def _listed(each: Listed) -> dict[str, Any]:
    return {
        "work": each.work.id,
        "title": each.work.title,
        "mark": str(each.mark),
        "z": _number(each.z),
        "log10_p": _number(each.log10_p),
        "told": each.told,
        "z_without": None if each.z_without is None else _number(each.z_without),
    }


def _look(each: Look) -> dict[str, Any]:
    return {
        "look": each.number,
        "outputs": each.outputs,
        "z": _number(each.z),
        "log10_p": _number(each.log10_p),
        "verdict": each.verdict,
    }


def _number(value: float) -> float:
    return round(value, 3) + 0.0  # −0.0 would be printed with its sign


def _small(value: float) -> float:
    return float(f"{value:.3g}")
