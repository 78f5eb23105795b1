"""How strong each system must be to be seen as much as this one: ``python -m bench.calibrate``.

At their defaults some marks are six times as visible as others, and a table of what survives then
compares strengths and not methods.  So each system gets the one strength at which the mean JOD
(`bench.jod`, ColorVideoVDP) over a few pictures is that of this project's mark on the same pictures
at its default, with 10 − JOD, the loss, taken as roughly a power of the strength.

What a strength is: the quantiser's step of those that quantise (``scales`` of invisible-watermark,
``d1`` and ``d2`` of blind-watermark and wmforge, ``delta`` of clawid), in units of the default,
known to both sides; of rivaGan, VideoSeal and TrustMark a factor on what they add.  What rivaGan
adds is a few code values, so rounding makes steps of it: 0.81 and 0.86 are 0.037 JOD apart.

A system that spoils pictures also where nothing is embedded may never be invisible enough (wmforge
enlarges, shrinks and stores as JPEG).  Then ``reached`` is false, the strength is the one that came
nearest, and nothing is compared at it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import jod
from bench.corpus import Picture, corpus_hash, find, load
from bench.peers import PEERS, PeerError, System, available
from bench.peers.lengths import spread
from bench.report import provenance, table
from watermark.profile import DEFAULT

__all__ = ["RESULTS", "Calibration", "calibrated", "equal_strength", "main", "strengths"]

RESULTS = Path(__file__).with_name("results") / "peers.json"

_WEAKEST, _STRONGEST = 1 / 64, 64.0  # in units of the default
_STEEPEST = 16.0  # factor on the strength from one try to the next
_REGISTERED = 1000  # which of how many is embedded does not change what is seen


@dataclass(frozen=True, slots=True)
class Calibration:
    """A strength, the mean JOD that it has, and what was tried on the way.

    Parameters
    ----------
    strength : float
        In units of the default.
    jod : float
    reached : bool
        Whether that is the JOD that was wanted, within the tolerance.
    tried : tuple of (float, float)
        Strengths and their mean JOD, in order.
    """

    strength: float
    jod: float
    reached: bool
    tried: tuple[tuple[float, float], ...]


def equal_strength(
    mean_jod: Callable[[float], float],
    target: float,
    *,
    tolerance: float = 0.01,
    tries: int = 8,
) -> Calibration:
    """Return the strength at which a system has the wanted mean JOD.

    The secant method on logarithms of strength and loss; once two tries lie on either side of the
    target, it stays between them.

    Parameters
    ----------
    mean_jod : function of strength
        Decreasing, apart from noise.
    target : float
        JOD below 10.
    tolerance : float
        JOD.
    tries : int
        At most so many calls.

    Raises
    ------
    ValueError
        If nobody could see the target: 10 has no logarithm.
    """
    if not target < 10:
        raise ValueError(f"a JOD below 10 is needed to compare with, not {target}")
    strength, tried = 1.0, list[tuple[float, float]]()
    while True:
        tried.append((strength, mean_jod(strength)))
        nearest = min(tried, key=lambda each: abs(each[1] - target))
        reached = abs(nearest[1] - target) <= tolerance
        strength = _next(tried, target)
        if reached or len(tried) == tries or any(strength == each for each, _ in tried):
            return Calibration(*nearest, reached, tuple(tried))


def _next(tried: Sequence[tuple[float, float]], target: float) -> float:
    """Return the next strength to try."""
    points = [(math.log(s), math.log(max(10 - j, 1e-6) / (10 - target))) for s, j in tried]
    weak = max((point for point in points if point[1] <= 0), default=None)
    strong = min((point for point in points if point[1] > 0), default=None)
    if weak and strong:
        share = -weak[1] / (strong[1] - weak[1])
        # Not too near an end, or one end would never move.
        return math.exp(weak[0] + min(max(share, 0.1), 0.9) * (strong[0] - weak[0]))
    slope = 1.5  # between the loss of small marks, a power of 2.26, and of what saturates
    if len(points) > 1:
        (x0, y0), (x1, y1) = points[-2:]
        slope = max((y1 - y0) / (x1 - x0), 0.25)
    step = min(max(-points[-1][1] / slope, -math.log(_STEEPEST)), math.log(_STEEPEST))
    return min(max(math.exp(points[-1][0] + step), _WEAKEST), _STRONGEST)


def mean_jod_of(
    system: System,
    pictures: Sequence[Picture],
    strength: float,
    *,
    seed: int,
    side: int | None = None,
) -> float:
    """Return the mean JOD of pictures that a system has marked with an identity of their own.

    Parameters
    ----------
    system : System
    pictures : sequence of Picture
    strength : float
        In units of the default.
    seed : int
    side : int, optional
        Only the middle of each is looked at, a square of so many pixels; they are marked whole.
        Quicker, and of no use for those that mark one part of a picture only (clawid).

    Raises
    ------
    PeerError
        If it fails on one of them.
    """
    identities = system.identities(_REGISTERED, seed)
    values = []
    for picture in pictures:
        host = load(picture)
        index = int(picture.rng(seed, "identity").integers(len(identities)))
        marked = system.embed(host, identities[index], strength)
        values.append(jod.jod(_middle(host, side), _middle(marked, side)))
    return float(np.mean(values))


def _middle(pixels: NDArray[np.uint8], side: int | None) -> NDArray[np.uint8]:
    """Return the square in the middle, or all of a picture that is smaller."""
    if side is None:
        return pixels
    top, left = (max(0, (length - side) // 2) for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def calibrated(
    system: System,
    pictures: Sequence[Picture],
    target: float,
    *,
    seed: int,
    tries: int,
    side: int | None = None,
) -> dict[str, Any]:
    """Return what is stored of one system."""

    def mean_jod(strength: float) -> float:
        value = mean_jod_of(system, pictures, strength, seed=seed, side=side)
        print(f"  {system.name}: strength {strength:.4g}, mean JOD {value:.4f}", flush=True)
        return value

    found = equal_strength(mean_jod, target, tries=tries)
    return {
        "bits": system.bits,
        "packages": list(PEERS[system.name].lean) if system.name in PEERS else [],
        "side": side,
        "target_jod": round(target, 4),
        "default_jod": round(found.tried[0][1], 4),
        "equal_strength": round(found.strength, 5),
        "equal_jod": round(found.jod, 4),
        "reached": found.reached,
        "tries": len(found.tried),
    }


def strengths(path: Path = RESULTS) -> dict[str, float]:
    """Return the stored strength of equal visibility of each system that reached it."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    systems = stored["systems"].items()
    return {name: each["equal_strength"] for name, each in systems if each["reached"]}


def main() -> None:
    """Calibrate every peer that can run, and store the strengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="+", help="folders of pictures, or pictures")
    parser.add_argument("--home", help="folder of the peers")
    parser.add_argument("--pictures", type=int, default=8, help="spread evenly over the names")
    parser.add_argument("--min-short", type=int, default=480, help="pixels of the short side")
    parser.add_argument("--side", type=int, help="look at a square in the middle only, pixels")
    parser.add_argument("--only", help="names, separated by commas; the others are kept")
    parser.add_argument("--tries", type=int, default=8, help="strengths for each, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    reason = jod.why_not()
    if reason:
        parser.error(reason)
    pictures = spread(find(options.folder, min_short=options.min_short), options.pictures)
    if not pictures:
        parser.error(f"no picture of at least {options.min_short} px")
    systems = available(options.home)
    own = systems.pop("sukashi")
    assert not isinstance(own, str)
    how = {"seed": options.seed, "side": options.side}
    target = mean_jod_of(own, pictures, 1.0, **how)
    print(f"{len(pictures)} pictures; sukashi has a mean JOD of {target:.4f}", flush=True)
    stored: dict[str, Any] = {
        "what": "strengths of equal visibility",
        **provenance(seed=options.seed, profile=str(DEFAULT), corpus=corpus_hash(pictures)),
        "pictures": [picture.name for picture in pictures],
        "systems": {"sukashi": _as_it_is(own, target)},
        "skipped": {},
    }
    earlier = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    wanted = options.only.split(",") if options.only else list(systems)
    for name, system in systems.items():
        if name not in wanted:
            for part in ("systems", "skipped"):
                if name in earlier.get(part, {}):
                    stored[part][name] = earlier[part][name]
        elif isinstance(system, str):
            stored["skipped"][name] = system
        else:
            try:
                stored["systems"][name] = calibrated(
                    system, pictures, target, tries=options.tries, **how
                )
            except PeerError as error:
                stored["skipped"][name] = f"{type(error).__name__}: {error}"
            system.close()
        options.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(_table(stored))


def _as_it_is(own: System, value: float) -> dict[str, Any]:
    mean = round(value, 4)
    told = {"default_jod": mean, "equal_strength": 1.0, "equal_jod": mean}
    return {"bits": own.bits, "packages": [], **told, "reached": True, "tries": 1}


def _table(stored: dict[str, Any]) -> str:
    head = ("system", "bits", "JOD at default", "equal strength", "JOD there", "reached")
    rows = [
        (
            *(name, each["bits"], f"{each['default_jod']:.3f}"),
            *(f"{each['equal_strength']:.3g}", f"{each['equal_jod']:.3f}"),
            "yes" if each["reached"] else "no",
        )
        for name, each in stored["systems"].items()
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
