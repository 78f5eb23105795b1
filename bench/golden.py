"""Golden values of the tile, from an implementation that shares no numeric code with the product.

``python -m bench.golden > tests/golden/tile.json`` writes them anew, which is only right while
profiles are drafts.  Signs and the order of bits are drawn number by number, the pilot is a sum of
``math.cos``, and the wavelets are put together from their filters, tap by tap.
"""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pywt
from numpy.typing import NDArray

from bench.code_distance import reference_codeword
from watermark.profile import DEFAULT, Profile

__all__ = ["SAMPLES", "main", "plain_tile"]

_SECRET = bytes(range(32))
_NUMBER = 0x3F2A9C01B7DE
SAMPLES = 40  # places of the tile that are written down
# The constants of a profile that a tile is made with; the others say how it is used.
_MAKING = ("name", "tile", "wavelet", "gain2", "gain3", "pilot", "lines", "line_low", "line_high")


def _stream(label: str, size: int) -> bytes:
    name = label.encode()
    framed = b"sukashi carrier v1" + _SECRET + len(name).to_bytes(4, "big") + name
    return hashlib.shake_256(framed).digest(size)


def _uniform(label: str, count: int) -> list[float]:
    drawn = _stream(label, 8 * count)
    words = (int.from_bytes(drawn[8 * i : 8 * i + 8], "big") for i in range(count))
    return [(word >> 11) * 2.0**-53 for word in words]


def _grown(
    low: NDArray[np.float64], high: NDArray[np.float64], wavelet: str
) -> NDArray[np.float64]:
    """Put two halves of a periodic signal together along the first axis."""
    filters = pywt.Wavelet(wavelet)
    length = 2 * len(low)
    whole = np.zeros((length, *low.shape[1:]))
    for half, taps in ((low, filters.rec_lo), (high, filters.rec_hi)):
        for place, values in enumerate(half):
            for tap, weight in enumerate(taps):
                whole[(2 * place + tap - len(taps) // 2 + 1) % length] += weight * values
    return whole


def _message(profile: Profile) -> NDArray[np.float64]:
    side = profile.tile
    two, three = 3 * (side // 4) ** 2, 3 * (side // 8) ** 2
    count = two + three
    packed = int.from_bytes(_stream(f"{profile.name} message", -(-count // 8)), "big")
    bits = f"{packed:0{8 * -(-count // 8)}b}"[:count]
    keys = _uniform(f"{profile.name} bits", count)
    code = reference_codeword(_NUMBER)
    chips = np.zeros(count)
    for rank, chip in enumerate(sorted(range(count), key=lambda each: keys[each])):
        gain = profile.gain2 if chip < two else profile.gain3
        chips[chip] = gain * (-1) ** (int(bits[chip]) + code[rank % len(code)])
    energy = two * profile.gain2**2 + three * profile.gain3**2
    chips *= side / math.sqrt(energy)
    inner = chips[two:].reshape(3, side // 8, side // 8)
    outer = chips[:two].reshape(3, side // 4, side // 4)
    plane = np.zeros((side // 8, side // 8))
    for flat, upright, diagonal in (inner, outer, np.zeros((3, side // 2, side // 2))):
        # Horizontal details are high along the rows' axis, as PyWavelets has it.
        left = _grown(plane, flat, profile.wavelet)
        right = _grown(upright, diagonal, profile.wavelet)
        plane = _grown(left.T, right.T, profile.wavelet).T
    return plane


def _lines(profile: Profile) -> list[tuple[int, int]]:
    draws = iter(_uniform(f"{profile.name} pilot lines", 64 * profile.lines))
    low, high = math.log(profile.line_low), math.log(profile.line_high)
    chosen: list[tuple[int, int]] = []
    while len(chosen) < profile.lines:
        length = profile.tile * math.exp(low + (high - low) * next(draws))
        turn = math.pi * next(draws)
        row, column = round(length * math.sin(turn)), round(length * math.cos(turn))
        apart = [
            math.hypot(row - sign * r, column - sign * c) > 2 for r, c in chosen for sign in (1, -1)
        ]
        radius = math.hypot(row, column) / profile.tile
        if profile.line_low <= radius <= profile.line_high and all(apart):
            chosen.append((row, column))
    return chosen


def plain_tile(profile: Profile) -> NDArray[np.float64]:
    """Return the tile of the golden key and number, shape (T, T)."""
    side = profile.tile
    lines = _lines(profile)
    phases = [2 * math.pi * turn for turn in _uniform(f"{profile.name} pilot phases", len(lines))]
    pilot = np.zeros((side, side))
    for (row, column), phase in zip(lines, phases, strict=True):
        waves = [2 * math.pi * (step) / side for step in range(side)]
        for y in range(side):
            for x in range(side):
                pilot[y, x] += math.cos(row * waves[y] + column * waves[x] + phase)
    pilot /= math.sqrt(len(lines) / 2)
    return math.sqrt(profile.pilot) * pilot + math.sqrt(1 - profile.pilot) * _message(profile)


def main() -> None:
    """Print the golden values as JSON."""
    tile = plain_tile(DEFAULT)
    rng = np.random.default_rng(0)
    places = rng.integers(0, DEFAULT.tile, (SAMPLES, 2)).tolist()
    golden = {
        "command": "python -m bench.golden > tests/golden/tile.json",
        "profile": {name: getattr(DEFAULT, name) for name in _MAKING},
        "key": _SECRET.hex(),
        "number": f"{_NUMBER:012x}",
        "places": places,
        "values": [tile[row, column] for row, column in places],
        "sum": math.fsum(tile.ravel()),
        "sum_of_squares": math.fsum(np.square(tile).ravel()),
        "sum_of_absolutes": math.fsum(np.abs(tile).ravel()),
    }
    print(json.dumps(golden, indent=1))


if __name__ == "__main__":
    main()
