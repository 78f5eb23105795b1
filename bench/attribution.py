"""Whether the printed probability of a wrong name is true, and a second work may be believed.

Soft words are drawn from the Gaussian channel, a million random marks are registered, and the
product's own functions are asked.  The first part sorts the words by the printed probability and
counts wrong names in each bin; the second takes a strong mark out and looks at what a million
others then score; the third puts two works into one word.

The whole takes some fifteen minutes on one core; ``--words 1000`` is a quick look.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.code_distance import provenance
from bench.several import Channel, batches, leftovers, print_leftovers, two_works
from watermark.attribution import UNREGISTERED, attribute
from watermark.identify import Codebook

__all__ = ["calibrate", "main"]

_EDGES = (-99.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0, -0.5, -0.2, 0.0)


def _interval(found: int, trials: int) -> tuple[float, float]:
    if trials == 0:
        return 0.0, 1.0
    low, high = binomtest(found, trials).proportion_ci(method="exact")
    return float(low), float(high)


def calibrate(
    codebook: Codebook,
    strangers: NDArray[np.int8],
    *,
    words: int,
    amplitudes: tuple[float, float],
    share: float,
    assumed: float,
    shown_from: float,
    channel: Channel,
    rng: np.random.Generator,
) -> list[dict[str, float]]:
    """Count wrong names by the probability printed for them.

    Parameters
    ----------
    strangers : ndarray of ±1, shape (K, 256)
        Code words of unregistered marks, carried by a `share` of the words.
    amplitudes : (low, high)
        The true mark's amplitude is uniform between them, in z units.
    assumed : float
        The share of unregistered marks that the product is told.
    shown_from : float
        Words whose best score is lower are left out: nothing would be named.

    Returns
    -------
    list of dict
        For each bin of log10 of the printed probability: its edges, words, sum of the printed
        probabilities, and wrong names.
    """
    printed: list[float] = []
    wrong: list[bool] = []
    for count in batches(words):
        true = rng.integers(0, len(codebook), count)
        stranger = rng.random(count) < share
        sent = codebook.codewords(true).astype(np.float64)
        sent[stranger] = strangers[rng.integers(0, len(strangers), int(stranger.sum()))]
        soft = channel.soft(sent * rng.uniform(*amplitudes, (count, 1)), rng)
        named = attribute(codebook, soft, codebook.rank(soft), unregistered=assumed)
        for row, one in enumerate(named):
            if one.score >= shown_from:
                printed.append(one.log10_p_wrong_work)
                wrong.append(bool(stranger[row] or one.index != true[row]))
    values, missed = np.array(printed), np.array(wrong, bool)
    place = np.digitize(values, _EDGES[1:-1])
    return [
        {
            "from": _EDGES[bin_],  # the lowest bin is open below
            "to": _EDGES[bin_ + 1],
            "words": int((place == bin_).sum()),
            "printed_sum": float(np.power(10.0, values[place == bin_]).sum()),
            "wrong": int(missed[place == bin_].sum()),
        }
        for bin_ in range(len(_EDGES) - 1)
    ]


def _print_bins(bins: list[dict[str, float]]) -> None:
    print("  log10 printed     words  mean printed  wrong  observed (95 %)           within")
    for row in bins:
        words, wrong = int(row["words"]), int(row["wrong"])
        if words == 0:
            continue
        low, high = _interval(wrong, words)
        mean = row["printed_sum"] / words
        within = "yes" if low <= mean <= high else "NO"
        print(
            f"  {row['from']:6.1f} to {row['to']:4.1f} {words:9d}  {mean:12.3e} {wrong:6d}  "
            f"{wrong / words:.4f} ({low:.5f} to {high:.5f})  {within}"
        )


_EVEN, _UNEVEN = Channel(), Channel(uneven=0.15)
# name: share of --words, amplitudes, share of unregistered marks, the share assumed, best score
# from which on words count, channel
_CALIBRATIONS = {
    "registered": (1.0, (6.0, 9.0), 0.0, UNREGISTERED, 0.0, _EVEN),
    "registered, bits uneven by 15 %": (1.0, (6.0, 9.0), 0.0, UNREGISTERED, 0.0, _UNEVEN),
    "unregistered as often as assumed": (1.0, (6.0, 9.0), UNREGISTERED, UNREGISTERED, 0.0, _EVEN),
    "half unregistered, half assumed": (1.0, (6.0, 9.0), 0.5, 0.5, 0.0, _EVEN),
    "none registered, amplitude 6 to 9": (0.2, (6.0, 9.0), 1.0, UNREGISTERED, 0.0, _EVEN),
    "none registered, amplitude 9 to 60": (0.2, (9.0, 60.0), 1.0, UNREGISTERED, 0.0, _EVEN),
    # over a million marks that is z >= 7.44
    "amplitude 0 to 12, of those with presence p <= 1e-6": (
        0.2,
        (0.0, 12.0),
        0.0,
        UNREGISTERED,
        7.44,
        _EVEN,
    ),
}


def main() -> None:
    """Print the tables, and append one JSON line for each to a file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--marks", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="append JSON lines to this file")
    parser.add_argument("--part", choices=["calibration", "several"], help="only this part")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    drawn = np.unique(rng.integers(0, 1 << 48, options.marks + 6000, np.uint64))
    rng.shuffle(drawn)
    codebook = Codebook(drawn[: options.marks])
    strangers = Codebook(drawn[options.marks :]).codewords(np.arange(len(drawn) - options.marks))
    lines: list[dict[str, object]] = []

    for name, chosen in _CALIBRATIONS.items():
        if options.part == "several":
            break
        part, amplitudes, share, assumed, shown_from, channel = chosen
        words = max(round(part * options.words), 1)
        bins = calibrate(
            codebook,
            strangers,
            words=words,
            amplitudes=amplitudes,
            share=share,
            assumed=assumed,
            shown_from=shown_from,
            channel=channel,
            rng=rng,
        )
        print(f"\n{name}: {words} words, {options.marks} marks", flush=True)
        _print_bins(bins)
        lines.append(
            {"what": "attribution calibration", "case": name, "words": words, "bins": bins}
        )

    for uneven in (0.0, 0.1, 0.2):
        for amplitude in (12.0, 30.0, 60.0):
            if options.part == "calibration":
                break
            counted = leftovers(
                codebook,
                words=max(options.words // 10, 1),
                amplitude=amplitude,
                channel=Channel(uneven=uneven, saturates=True),
                rng=rng,
            )
            case = f"amplitude {amplitude:g} taken out, bits uneven by {uneven:.0%}"
            print_leftovers(case, counted)
            lines.append({"what": "leftovers", "case": case, **counted})

    for uneven in (0.0, 0.15):
        for amplitudes in ((12.0, 20.0), (8.0, 12.0)):
            if options.part == "calibration":
                break
            pair = two_works(
                codebook,
                words=max(options.words // 10, 1),
                amplitudes=amplitudes,
                channel=Channel(uneven=uneven, saturates=True),
                rng=rng,
            )
            low, high = amplitudes
            print(f"\ntwo works at {low:g} to {high:g}, bits uneven by {uneven:.0%}: {pair}")
            lines.append({"what": "two works", "uneven": uneven, "amplitudes": amplitudes, **pair})

    if options.json:
        run = {"words": options.words, "marks": options.marks, **provenance(options.seed)}
        with open(options.json, "a", encoding="utf-8") as file:  # noqa: PTH123 - a plain append
            file.writelines(json.dumps({**run, **line}) + "\n" for line in lines)


if __name__ == "__main__":
    main()
