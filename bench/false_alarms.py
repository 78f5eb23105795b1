"""How often nothing looks like a mark: ``python -m bench false-alarms FOLDER``.

*Wrong keys.*  Real pictures without a mark are observed once, without a key, and folded as the
whole frame; then z of one fixed code word is taken for millions of wrong keys and compared with
3.178 Q(z), the bound that the p-value rests on, and with Q, the normal tail.  A wrong key is
nothing but fair signs, so for the millions they come from a counter-based generator (Philox,
through NumPy) and are summed by table look-up, with a new order of the bits for each block of keys;
some thousands of real keys go through the product's own SHAKE-256 carriers and soft word beside
them.

*Families.*  The largest of 13 alignments under one key (upright, mirrored and shifted, all with the
same signs) and of 1,000 code words at one alignment, with the charge of log 13 and log 1,000.

*The whole program* (``--program``).  Unmarked pictures, pictures marked under another key, and
trick content go through `detect` with a registry of a million marks: nothing may be found.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.corpus import Picture, cores, corpus_hash, find, load, side_by_side
from bench.report import provenance, rated, table, write_lines
from bench.score import Score
from bench.survival import Counts, plot
from bench.tricks import TRICKS
from watermark.align import Alignment, fold, whole_frame
from watermark.coding import CODE_BITS, codeword
from watermark.decide import soft_word
from watermark.detect import detect, observe
from watermark.embed import embed
from watermark.evidence import Observation
from watermark.identify import Codebook
from watermark.key import Key
from watermark.profile import DEFAULT
from watermark.signsum import log_unit_tail, unit_quantile
from watermark.transform import analyse, chip_count, levels

__all__ = ["folded", "main", "sign_sums"]

_NUMBER = 0x3F2A9C01B7DE  # the one fixed code word; any will do
_BLOCK = 4096  # keys at a time: the sums of a block fit the cache
_WIDE, _MANY = 13, 1000  # alignments and code words of a family
_LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # family-wise, as printed

_shared: dict[str, Codebook] = {}


@dataclass(frozen=True, slots=True)
class _Job:
    picture: Picture
    keys: int
    true_keys: int
    families: int
    seed: int


def folded(observation: Observation, alignments: Sequence[Alignment]) -> NDArray[np.float64]:
    """Return what the chips' signs are multiplied with, of norm 1, shape (A, N); no key is used.

    The key that `fold` asks for only labels the evidence.
    """
    label = Key(bytes(32))
    weights = levels(DEFAULT, two=DEFAULT.weight2, three=DEFAULT.weight3)
    seen = np.stack(
        [analyse(fold(observation, each, label, DEFAULT).tile, DEFAULT) for each in alignments]
    )
    seen *= weights
    return np.asarray(seen / np.linalg.norm(seen, axis=1, keepdims=True))


def sign_sums(
    chips: NDArray[np.float64], keys: int, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """Yield the soft words of wrong keys, blocks of shape (n, A, 256).

    Parameters
    ----------
    chips : ndarray of shape (A, N)
        As `folded` gives; all A rows meet the same signs.
    keys : int
        How many keys in all.
    """
    count = chips.shape[1]
    each = -(-count // CODE_BITS)  # chips of a bit, at most
    low = each // 2
    for start in range(0, keys, _BLOCK):
        # Chips are dealt to bits in a new order, the last few bits get an empty one.
        dealt = np.zeros((len(chips), each * CODE_BITS))
        dealt[:, :count] = chips[:, rng.permutation(count)]
        by_bit = dealt.reshape(len(chips), each, CODE_BITS)
        tables = _pattern_sums(by_bit[:, :low]), _pattern_sums(by_bit[:, low:])
        size = min(_BLOCK, keys - start)
        words = rng.integers(0, 1 << each, (CODE_BITS, size), np.uint32)
        places = words & np.uint32((1 << low) - 1), words >> np.uint32(low)
        sums = np.empty((len(chips), CODE_BITS, size), np.float32)
        for row in range(len(chips)):
            for bit in range(CODE_BITS):
                np.add(
                    tables[0][row, bit].take(places[0][bit]),
                    tables[1][row, bit].take(places[1][bit]),
                    out=sums[row, bit],
                )
        yield sums.transpose(2, 0, 1)


def _pattern_sums(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sum (A, n, 256) numbers over n under all sign patterns: (A, 256, 2**n)."""
    patterns = np.arange(1 << values.shape[1])
    signs = 1 - 2 * ((patterns >> np.arange(values.shape[1])[:, None]) & 1)
    return np.asarray(np.einsum("anb,np->abp", values, signs), np.float32)


def _alignments(observation: Observation, rng: np.random.Generator) -> tuple[Alignment, ...]:
    """Return 13 alignments of a picture: the whole frame, mirrored, and shifts."""
    shifts = rng.uniform(0, DEFAULT.tile, (_WIDE - 2, 2))
    moved = [
        Alignment(((1.0, 0.0, float(x)), (0.0, 1.0, float(y)), (0.0, 0.0, 1.0)), "shifted")
        for x, y in shifts
    ]
    return (*whole_frame(observation), *moved)


def _wrong_keys(job: _Job) -> dict[str, Counts]:
    """Count scores of wrong keys over one picture."""
    seed = int(job.picture.rng(job.seed, "wrong keys").integers(1 << 63))
    rng = np.random.Generator(np.random.Philox(seed))
    observation = observe((load(job.picture),))
    alignments = _alignments(observation, rng)
    chips = folded(observation, alignments)
    word = codeword(_NUMBER).astype(np.float32)
    words = _shared["codebook"].codewords(np.arange(_MANY)).astype(np.float32)
    one, wide, many, true = (Counts.none() for _ in range(4))
    for soft in sign_sums(chips[:1], job.keys, rng):
        one += Counts.of(soft[:, 0] @ word)
    for soft in sign_sums(chips, job.families, rng):
        wide += Counts.of((soft @ word).max(axis=1))
        many += Counts.of((soft[:, 0] @ words.T).max(axis=1))
    upright = alignments[0]
    for index in range(job.true_keys):
        secret = hashlib.sha256(f"{job.seed} {job.picture.sha256} {index}".encode()).digest()
        key = Key(secret)
        evidence = fold(observation, upright, key, DEFAULT)
        true += Counts.of(soft_word(evidence, key, DEFAULT) @ codeword(_NUMBER))
    return {"one": one, "true": true, "wide": wide, "many": many}


@dataclass(frozen=True, slots=True)
class _Trial:
    """One picture for the whole program: a file as it is, a file marked, or a trick."""

    kind: str
    picture: Picture | None
    seed: int


def _decided(trial: _Trial) -> tuple[str, str, float, int]:
    """Return kind, verdict, z and the number of alignments decided on."""
    owner, stranger = (
        Key(hashlib.sha256(f"{who} {trial.seed}".encode()).digest()) for who in ("owner", "other")
    )
    if trial.picture is None:
        pixels = TRICKS[trial.kind]()
    else:
        pixels = load(trial.picture)
        if trial.kind == "marked under another key":
            number = int(trial.picture.rng(trial.seed, "mark").integers(len(_shared["codebook"])))
            pixels = embed(pixels, stranger, int(_shared["codebook"].numbers[number]))
    detection = detect(pixels, [owner], _shared["codebook"])
    return trial.kind, detection.verdict, detection.best.z, detection.alignments


def _survival_table(counts: Counts, true: Counts) -> str:
    rows = []
    for z in np.arange(0.5, 5.6, 0.5):
        tail, bound = norm.sf(z), math.exp(float(log_unit_tail(z)))
        observed, real = counts.above(z), true.above(z)
        cells = (f"{counts.trials * tail:.1f}", f"{tail:.2e}", f"{bound:.2e}")
        low, high = observed.interval()
        share = f"{observed.rate:.2e} ({low:.1e} to {high:.1e})"
        rows.append((f"{z:.1f}", observed.found, *cells, share, f"{real.found}/{real.trials}"))
    head = ("z", "keys over", "normal expects", "normal tail", "3.178 Q(z)", "share, 95 %", "SHAKE")
    return table(head, rows)


def _family_table(wide: Counts, many: Counts) -> str:
    rows = []
    for level in _LEVELS:
        cells = []
        for counts, size in ((wide, _WIDE), (many, _MANY)):
            over = counts.above(unit_quantile(math.log(level / size)))
            low, high = over.interval()
            cells.append(f"{over.found}/{over.trials} ({low:.1e} to {high:.1e})")
        rows.append((f"{level:g}", *cells))
    return table(("charged p at most", f"of {_WIDE} alignments", f"of {_MANY} code words"), rows)


def main() -> None:
    """Run the experiments, write their lines and plots, print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--keys", type=int, default=10_000_000, help="wrong keys, 0 for none")
    parser.add_argument("--true-keys", type=int, default=20_000, help="of them through SHAKE-256")
    parser.add_argument("--families", type=int, default=1_000_000, help="families of each kind")
    parser.add_argument("--program", action="store_true", help="the whole program as well")
    parser.add_argument("--marks", type=int, default=1_000_000, help="size of the registry")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, help="at most so many pictures")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes side by side")
    parser.add_argument("--out", type=Path, default=Path("bench/out/false-alarms.jsonl"))
    parser.add_argument("--plots", type=Path, default=Path("bench/results"))
    options = parser.parse_args()
    pictures = find(
        options.folder, min_short=options.min_short, limit=options.limit, jobs=options.jobs
    )
    if not pictures:
        parser.error(f"no picture of at least {options.min_short} px in {options.folder}")
    run = provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures))
    print(f"{len(pictures)} pictures ({run['corpus']}), commit {run['commit']}")
    print(f"profile {DEFAULT}")
    rng = np.random.default_rng(options.seed)
    numbers = np.unique(rng.integers(0, 1 << 48, max(options.marks, _MANY), np.uint64))
    rng.shuffle(numbers)
    _shared["codebook"] = Codebook(numbers)
    write_lines(options.out, ())

    if options.keys:
        jobs = [
            _Job(
                picture,
                keys=_share(options.keys, rank, len(pictures)),
                true_keys=_share(options.true_keys, rank, len(pictures)),
                families=_share(options.families, rank, len(pictures)),
                seed=options.seed,
            )
            for rank, picture in enumerate(pictures)
        ]
        total = {name: Counts.none() for name in ("one", "true", "wide", "many")}
        for done, found in enumerate(side_by_side(_wrong_keys, jobs, jobs=options.jobs), 1):
            total = {name: total[name] + found[name] for name in total}
            print(f"\r{done}/{len(jobs)}", end="", flush=True)
        print(f"\r\n{total['one'].trials} wrong keys, one code word, one alignment\n")
        print(_survival_table(total["one"], total["true"]))
        print("\nFamilies under the charged p-value\n")
        print(_family_table(total["wide"], total["many"]))
        named = {
            "one": "one decision",
            "true": "one decision, SHAKE-256 keys",
            "wide": f"best of {_WIDE} alignments",
            "many": f"best of {_MANY} code words",
        }
        lines = (
            run | {"what": "wrong keys", "case": named[name], **counts.as_json()}
            for name, counts in total.items()
        )
        write_lines(options.out, lines, append=True)
        charges = {"one": 1, "true": 1, "wide": _WIDE, "many": _MANY}
        curves = [(named[name], counts, charges[name]) for name, counts in total.items()]
        drawn = plot(options.plots / "false-alarms.svg", curves, chips=chip_count(DEFAULT))
        print(f"\nplot: {drawn}")

    if options.program:
        trials = [_Trial(kind, None, options.seed) for kind in TRICKS]
        trials += [
            _Trial(kind, picture, options.seed)
            for kind in ("unmarked", "marked under another key")
            for picture in pictures
        ]
        results = list(side_by_side(_decided, trials, jobs=options.jobs))
        print("\nThe whole program\n")
        print(_program_table(results, len(numbers)))
        kinds = ("kind", "verdict", "z", "alignments")
        every = (run | dict(zip(kinds, each, strict=True)) for each in results)
        write_lines(options.out, ({"what": "program"} | line for line in every), append=True)


def _share(total: int, rank: int, parts: int) -> int:
    return (total * (rank + 1)) // parts - (total * rank) // parts


def _program_table(results: Sequence[tuple[str, str, float, int]], marks: int) -> str:
    groups: dict[str, list[tuple[str, float, int]]] = {}
    for kind, verdict, z, tried in results:
        group = kind.partition(":")[0]
        for name in (group, "all"):
            groups.setdefault(name, []).append((verdict, z, tried))
    groups["all"] = groups.pop("all")
    rows = []
    for name, each in groups.items():
        verdicts = [verdict for verdict, _, _ in each]
        alarms = Score(sum(v in {"detected", "indicated"} for v in verdicts), len(each))
        compared = sum(tried for _, _, tried in each) * marks
        silent = verdicts.count("inconclusive")
        rows.append((name, rated(alarms), silent, f"{max(z for _, z, _ in each):.2f}", compared))
    head = ("content", "detected or indicated", "inconclusive", "largest z", "words compared")
    return table(head, rows)


if __name__ == "__main__":
    main()
