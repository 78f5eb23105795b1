"""How good the code is: distance from the normal approximation, and between code words.

The normal approximation says how little signal the best conceivable (256, 48) code needs for a
frame error rate of 1e-2 on the binary-input Gaussian channel; the measured code is compared with
it in decibels.  ``--golden`` prints reference code words from a plain shift register instead.

References
----------
Y. Polyanskiy, H. V. Poor, S. Verdú, "Channel coding rate in the finite blocklength regime", 2010.
DOI 10.1109/TIT.2010.2043769
"""

# ruff: noqa: SLF001 - distances are properties of the trellis, which the library does not show

from __future__ import annotations

import argparse
import json
import math
import subprocess

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import binomtest

from watermark import coding

__all__ = ["approximation", "extreme_weights", "main", "provenance", "reference_codeword"]

_GOLDEN_NUMBERS = (0, 1, 1 << 47, 0x3F2A9C01B7DE, (1 << 48) - 1)
_TARGET = 1e-2


def provenance(seed: int) -> dict[str, str | int]:
    """Return what a result needs in order to be repeated: seed, commit and versions."""
    shown = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "seed": seed,
        "commit": shown.stdout.strip() if shown.returncode == 0 else "none",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def reference_codeword(number: int) -> list[int]:
    """Encode one number bit by bit, as one would with a pencil; 256 bits of 0 and 1."""
    memory = coding._MEMORY
    payload = [(number >> (coding.PAYLOAD_BITS - 1 - step)) & 1 for step in range(48)]
    bits = []
    for step in range(coding.PAYLOAD_BITS):
        for polynomial in coding._POLYNOMIALS[step % 3]:
            taps = (polynomial >> (memory - delay) & payload[step - delay] for delay in range(11))
            bits.append(sum(tap & 1 for tap in taps) % 2)
    placed = [0] * coding.CODE_BITS
    for bit, place in zip(bits, coding._order().tolist(), strict=True):
        placed[place] = bit
    return placed


def approximation(error_rate: float) -> float:
    """Return the amplitude, in z units, at which the normal approximation gives `error_rate`."""
    bits = coding.CODE_BITS
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()

    def excess(amplitude: float) -> float:
        level = amplitude / math.sqrt(bits)  # of one bit, in standard deviations of its noise
        density = 1 - np.logaddexp(0, -2 * level * (level + nodes)) / math.log(2)
        capacity = weights @ density
        dispersion = weights @ np.square(density - capacity)
        reached = bits * capacity + math.sqrt(bits * dispersion) * ndtri(error_rate)
        return float(reached + math.log2(bits) / 2 - coding.PAYLOAD_BITS)

    return float(brentq(excess, 4.0, 30.0))


def extreme_weights() -> tuple[int, int]:
    """Return the smallest and the largest weight of the code words of numbers other than 0.

    Exact: the best closed path is found through every start state other than 0.  That leaves none
    out, since any code word but 0 has, up to a rotation by whole periods, such a start.
    """
    words = -np.ones((1, coding.CODE_BITS), np.float32), np.ones((1, coding.CODE_BITS), np.float32)
    weights = []
    for word in words:  # all bits −1: correlation counts ones; all bits +1: zeros
        branches = coding._branch_metrics(word)
        best = -np.inf
        for first in range(1, coding._STATES, 256):
            starts = np.arange(first, min(first + 256, coding._STATES))
            metric = np.full((coding._STATES, starts.size), -np.inf, np.float32)
            metric[starts, np.arange(starts.size)] = 0
            ends, _ = coding._round(metric, branches)
            best = max(best, float(ends[starts, np.arange(starts.size)].max()))
        weights.append(round((coding.CODE_BITS + best) / 2))
    return coding.CODE_BITS - weights[1], weights[0]


def errors(amplitude: float, words: int, rng: np.random.Generator) -> tuple[int, int]:
    """Count words decoded wrongly, and those of them that beat the true word's score.

    The latter a decoder of maximum likelihood gets wrong as well.
    """
    wrong = certain = 0
    for start in range(0, words, 512):
        count = min(512, words - start)
        numbers = rng.integers(0, 1 << 48, count, np.uint64)
        sent = coding.unpack(coding.encode(numbers))
        soft = sent * (amplitude / 256) + rng.standard_normal(sent.shape) / 16
        read = coding.decode(soft)
        got = coding.unpack(coding.encode(read))
        beaten = np.einsum("bn,bn->b", got, soft) > np.einsum("bn,bn->b", sent, soft)
        wrong += int((read != numbers).sum())
        certain += int(((read != numbers) & beaten).sum())
    return wrong, certain


def distance(rates: NDArray[np.float64], offsets: NDArray[np.float64]) -> float:
    """Return the offset in dB at which a line through the probits crosses the target rate."""
    slope, level = np.polyfit(offsets, ndtri(np.clip(rates, 1e-6, 1 - 1e-6)), 1)
    return float((ndtri(_TARGET) - level) / slope)


def main() -> None:
    """Print the distances as a table and as one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=20000, help="words at each signal level")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--golden", action="store_true", help="print reference code words")
    options = parser.parse_args()
    if options.golden:
        words = {
            f"{n:012x}": np.packbits(reference_codeword(n)).tobytes().hex() for n in _GOLDEN_NUMBERS
        }
        command = "python -m bench.code_distance --golden > tests/golden/coding.json"
        print(json.dumps({"command": command, "codewords": words}, indent=2))
        return
    rng = np.random.default_rng(options.seed)
    reference = approximation(_TARGET)
    offsets = np.array([0.0, 0.1, 0.2, 0.3])
    counts = []
    print(f"normal approximation, frame error rate {_TARGET:g}: amplitude {reference:.3f}")
    print(
        "dB over it   wrong / words   rate (95 %)                 wrong by maximum likelihood too"
    )
    for offset in offsets:
        wrong, certain = errors(reference * 10 ** (offset / 20), options.words, rng)
        low, high = binomtest(wrong, options.words).proportion_ci(method="exact")
        counts.append(wrong)
        print(
            f"{offset:10.1f}   {wrong:5d} / {options.words}   {wrong / options.words:.4f} "
            f"({low:.4f} to {high:.4f})   {certain:7d}"
        )
    rates = np.array(counts) / options.words
    again = [
        distance(rng.binomial(options.words, rates) / options.words, offsets) for _ in range(2000)
    ]
    low, high = np.quantile(again, [0.025, 0.975])
    least, most = extreme_weights()
    result = {
        "what": "code distance",
        "words": options.words,
        "offsets_db": offsets.tolist(),
        "wrong": counts,
        "approximation_amplitude": reference,
        "distance_db": distance(rates, offsets),
        "distance_db_95": [float(low), float(high)],
        "smallest_weight": least,
        "largest_weight": most,
        **provenance(options.seed),
    }
    print(
        f"distance from the normal approximation: {result['distance_db']:.3f} dB "
        f"({low:.3f} to {high:.3f}, bootstrap 95 %)"
    )
    print(f"code words differ in at least {least} bits, in at most {most} of 256")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
