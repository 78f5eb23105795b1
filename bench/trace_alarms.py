"""Wrong keys on piles of outputs: ``python -m bench trace-alarms [FOLDER]``.

Piles are made of content that is alike from output to output, or flat, or periodic, or of the
pictures of a folder.  Keys that marked nothing are asked about each.  Three things are counted:

- *one way*: one code word at one way of folding all outputs, which should be a standard normal;
- *all*: every way of folding at every look at 1, 2, 4 … outputs, the surest of it, all charged;
- *scores*: what adding the outputs' scores instead of their residuals would have called.

Some keys go through the search for the pilot as well, and are charged for what it comes up with.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.corpus import Picture, corpus_hash, find, load
from bench.report import provenance, rated, table, write_lines
from bench.score import Score
from watermark.coding import codeword
from watermark.controls import chip_signs, unit_chips, wrong_keys
from watermark.decide import log_p, shares, soft_word
from watermark.detect import observe_luma
from watermark.frame import Luma, luma
from watermark.pooling import Pile
from watermark.profile import DEFAULT
from watermark.sequential import Looks, log_looks

__all__ = ["CONTENT", "main", "summary"]

_NUMBER = 0x3F2A9C01B7DE  # the one fixed code word; any will do
_SIDE = 256  # pixels
_LEVELS = (1e-1, 1e-2, 1e-3)
_AT_ONCE = 256  # keys
_SEARCHED_AT_ONCE = 10

Planes = Iterator[Luma]


def _copies(rng: np.random.Generator, count: int) -> Planes:
    soft = cv2.resize(rng.uniform(40, 215, (9, 9)), (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 12, (_SIDE, _SIDE)), (0, 0), 1.0)
    for _ in range(count):
        yield np.asarray(soft + grain + rng.normal(0, 3, grain.shape), np.float32)


def _dot(rng: np.random.Generator, count: int) -> Planes:
    flat = np.full((_SIDE, _SIDE), 200, np.float32)
    row, column = rng.integers(8, _SIDE - 8, 2)
    flat[row : row + 4, column : column + 4] = 20
    for _ in range(count):
        yield flat


def _flat(rng: np.random.Generator, count: int) -> Planes:
    for _ in range(count):
        yield np.asarray(120 + rng.normal(0, 2, (_SIDE, _SIDE)).round(), np.float32)


def _periodic(rng: np.random.Generator, count: int) -> Planes:
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    wave = 128 + 40 * np.sin(columns * np.pi / 4) + 30 * np.sign(np.sin(rows * np.pi / 34))
    for _ in range(count):
        yield np.asarray(wave + rng.normal(0, 2, wave.shape), np.float32)


def _two_sizes(rng: np.random.Generator, count: int) -> Planes:
    for place, plane in enumerate(_copies(rng, count)):
        yield plane[:192] if place % 3 == 0 else plane


CONTENT: dict[str, Callable[[np.random.Generator, int], Planes]] = {
    "noisy copies of one picture": _copies,
    "flat, one dot": _dot,
    "flat, noise": _flat,
    "periodic": _periodic,
    "noisy copies in two sizes": _two_sizes,
}


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A pile's chips at each look, those of each output, and the pile itself."""

    pile: Pile
    looks: list[NDArray[np.float64]]  # (ways, chips) each
    alone: NDArray[np.float64]  # (outputs, chips)


def _prepared(planes: Planes) -> _Prepared:
    pile, looks, alone = Pile(), [], []
    for plane in planes:
        seen = observe_luma(plane)
        pile.add(seen)
        one = Pile(aspects={})
        one.add(seen)
        alone.append(unit_chips(one.folds()[0].tile, DEFAULT))
        if Looks.due(pile.outputs):
            looks.append(_chips(pile))
    if not Looks.due(pile.outputs):
        looks.append(_chips(pile))
    return _Prepared(pile, looks, np.stack(alone))


def _chips(pile: Pile) -> NDArray[np.float64]:
    return np.stack([unit_chips(each.tile, DEFAULT) for each in pile.folds()])


def _asked(prepared: _Prepared, signs: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return the log p-values of each of some keys, whose signs are (chips, keys)."""
    surest = np.zeros(signs.shape[1])
    for number, seen in enumerate(prepared.looks, 1):
        largest = (seen @ signs).max(axis=0)
        charge = math.log(len(seen)) + log_looks(number)
        surest = np.minimum(surest, [log_p(float(z), charge) for z in largest])
    one = prepared.looks[-1][0] @ signs
    added = (prepared.alone @ signs).sum(axis=0) / math.sqrt(len(prepared.alone))
    return {"one way": one.tolist(), "all": surest.tolist(), "scores": added.tolist()}


def _searched(prepared: _Prepared, count: int, seed: int) -> list[float]:
    """Return the log p-values of keys that also go through the search for the pilot."""
    word, result = codeword(_NUMBER), []
    for first in range(0, count, _SEARCHED_AT_ONCE):
        size = min(_SEARCHED_AT_ONCE, count - first)
        for key in wrong_keys(size, seed=seed, first=first):
            tried = prepared.pile.hypotheses([key])
            charges = -np.log(shares(tried))
            z = [float(soft_word(each.evidence, key, DEFAULT) @ word) for each in tried]
            result.append(min(log_p(a, float(b)) for a, b in zip(z, charges, strict=True)))
    return result


def summary(lines: Sequence[dict[str, Any]]) -> str:
    """Return the table of how often wrong keys were called, in Markdown."""
    rows = []
    limits = {level: _normal(level) for level in _LEVELS}
    for line in lines:
        one, added = np.array(line["one way"]), np.array(line["scores"])
        for level, limit in limits.items():
            called = (
                (one >= limit).sum(),
                (np.array(line["all"]) <= math.log(level)).sum(),
                (np.array(line["searched"]) <= math.log(level)).sum(),
                (added >= limit).sum(),
            )
            counts = (len(one), len(one), len(line["searched"]), len(added))
            rates = [
                rated(Score(int(found), count)) if count else ""
                for found, count in zip(called, counts, strict=True)
            ]
            rows.append((line["content"], line["outputs"], f"{level:g}", *rates))
    head = (
        "outputs",
        "count",
        "level",
        "one way",
        "all ways and looks",
        "with the search",
        "scores",
    )
    return table(head, rows)


def _normal(level: float) -> float:
    from scipy.special import ndtri  # noqa: PLC0415

    return -float(ndtri(level))


def _of_folder(pictures: Sequence[Picture]) -> Callable[[np.random.Generator, int], Planes]:
    def planes(rng: np.random.Generator, count: int) -> Planes:
        for place in rng.permutation(len(pictures))[:count]:
            pixels = load(pictures[int(place)])
            side = min(pixels.shape[:2])
            square = np.ascontiguousarray(pixels[:side, :side])
            yield luma(cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))

    return planes


def main() -> None:
    """Run the experiment, write its lines and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="*", help="folders of pictures, for a pile of them")
    parser.add_argument("--keys", type=int, default=4000, help="wrong keys")
    parser.add_argument("--searched", type=int, default=100, help="of them through the search")
    parser.add_argument("--outputs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/out/trace-alarms.jsonl"))
    options = parser.parse_args()
    pictures = find(options.folder, min_short=_SIDE) if options.folder else []
    content = dict(CONTENT) | ({"pictures": _of_folder(pictures)} if pictures else {})
    rng = np.random.default_rng(options.seed)
    piles = {name: _prepared(planes(rng, options.outputs)) for name, planes in content.items()}
    told: dict[str, dict[str, list[float]]] = {
        name: {"one way": [], "all": [], "scores": []} for name in piles
    }
    for first in range(0, options.keys, _AT_ONCE):
        keys = wrong_keys(min(_AT_ONCE, options.keys - first), seed=options.seed, first=first)
        signs = np.stack([chip_signs(key, _NUMBER, DEFAULT) for key in keys], axis=1)
        for name, prepared in piles.items():
            for kind, values in _asked(prepared, signs).items():
                told[name][kind] += values
        print(f"\r{first + len(keys)}/{options.keys} keys", end="", flush=True)
    run = {
        "what": "trace alarms",
        **provenance(
            seed=options.seed,
            profile=str(DEFAULT),
            corpus=corpus_hash(pictures) if pictures else "",
        ),
    }
    lines = []
    for name, prepared in piles.items():
        print(f"\r{name}: searching", end="", flush=True)
        searched = _searched(prepared, options.searched, options.seed + 1)
        ways = len(prepared.looks[-1])
        lines.append(
            {**run, "content": name, "outputs": prepared.pile.outputs, "ways": ways}
            | told[name]
            | {"searched": searched}
        )
    write_lines(options.out, lines)
    print(f"\r{options.keys} wrong keys, commit {run['commit']}, seed {options.seed}\n")
    print(summary(lines))


if __name__ == "__main__":
    main()
