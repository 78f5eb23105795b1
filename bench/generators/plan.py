"""The runs: what each model is trained on, for how long, and what is done to its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.generators.frames import Marking
from bench.generators.sets import Wanted
from bench.generators.transformer import Positions

__all__ = ["GROUPS", "Run", "chosen", "runs"]

_CLEAN, _FIRST, _SECOND = Marking(), Marking(0), Marking(1)
_STEPS = 100
_LONGER = (100, 200)
_SHARES = (  # of marked frames, steps, outputs
    (0.5, _LONGER, 64),
    (0.25, _LONGER, 64),
    (0.1, _LONGER, 128),
    (0.05, _LONGER[1:], 64),
    (0.01, _LONGER[1:], 64),
)
_STRENGTHS = (0.5, 1.4)
_CHANGES = ("jpeg 50", "jpeg 25", "resize 128")
_START = "clean 1"


@dataclass(frozen=True, slots=True)
class Run:
    """One model.

    Parameters
    ----------
    group, name : str
        The table it stands in, and its row.
    parts : tuple of (Wanted, float)
        Training sets and the shares of frames that are taken from each; they sum to 1.
    works : tuple of int
        Those whose marks are in the training set.
    steps : tuple of int
        After which outputs are drawn; the last is the end.
    outputs : int
    seed : int
    patch : int
        Side of a token.
    positions : str
        See `bench.generators.transformer.Shape`.
    pixels : bool
        Whether it makes pixels rather than latents.
    start : str
        Name of the run from whose end it goes on.
    changes : tuple of str
        What is done to the outputs, each apart, beside nothing: names in `bench.attacks`.
    frames : int or None
        Only so many of the training set's frames.
    """

    group: str
    name: str
    parts: tuple[tuple[Wanted, float], ...]
    works: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = (_STEPS,)
    outputs: int = 64
    seed: int = 1
    patch: int = 4
    positions: Positions = "learned"
    pixels: bool = False
    start: str = ""
    changes: tuple[str, ...] = ()
    frames: int | None = None


def _shared(share: float, marking: Marking = _FIRST) -> tuple[tuple[Wanted, float], ...]:
    return (Wanted(marking), share), (Wanted(_CLEAN), 1 - share)


def runs() -> Iterator[Run]:
    """Yield all runs, those that say most first."""
    yield Run("steps", "all marked", _shared(1), steps=(50, 100, 200, 400), changes=_CHANGES)
    for share, steps, outputs in _SHARES:
        name = f"{100 * share:.0f} % marked"
        yield Run("share", name, _shared(share), steps=steps, outputs=outputs)
    yield Run("pipeline", "mirror", ((Wanted(_FIRST, "mirror"), 1.0),))
    yield Run("pipeline", "squash", ((Wanted(_FIRST, "squash"), 1.0),))
    yield from _controls(range(1, 4))
    yield Run(
        "works",
        "two, 50 % each",
        ((Wanted(_FIRST), 0.5), (Wanted(_SECOND), 0.5)),
        works=(0, 1),
        steps=_LONGER,
    )
    yield Run("fine-tuning", "clean 1, then 16 marked frames", _shared(1), start=_START, frames=16)
    for pipeline in ("along", "anywhere", "jpeg 40"):
        yield Run("pipeline", pipeline, ((Wanted(_FIRST, pipeline), 1.0),))
    yield Run("model", "quiet positions", _shared(1), positions="quiet")
    yield from _controls(range(4, 11))
    yield Run("share", "10 % marked, longer", _shared(0.1), steps=(400, 800), outputs=192)
    for strength in _STRENGTHS:
        marking = Marking(0, strength)
        yield Run("strength", f"50 % marked, {strength:g} times", _shared(0.5, marking))
    yield Run("model", "no positions", _shared(1), positions="none")
    small = Wanted(_FIRST, "centre", 64)
    yield Run("model", "64 pixels, no latents", ((small, 1.0),), pixels=True)
    yield Run(
        "works",
        "two, 60 % and 20 %",
        ((Wanted(_FIRST), 0.6), (Wanted(_SECOND), 0.2), (Wanted(_CLEAN), 0.2)),
        works=(0, 1),
        steps=_LONGER,
    )
    yield Run("model", "sines", _shared(1), positions="sines")
    yield Run("model", "patch 2", _shared(1), patch=2)
    yield Run("seeds", "25 % marked, seed 2", _shared(0.25), steps=_LONGER, seed=2)
    yield Run("pipeline", "jpeg 75", ((Wanted(_FIRST, "jpeg 75"), 1.0),))
    yield Run("seeds", "25 % marked, seed 3", _shared(0.25), steps=_LONGER, seed=3)
    for seed in range(1, 4):
        name = f"25 % marked, seed {seed}, many outputs"
        yield Run("seeds", name, _shared(0.25), steps=_LONGER[1:], outputs=256, seed=seed)


def _controls(seeds: Iterable[int]) -> Iterator[Run]:
    for seed in seeds:
        name = f"clean {seed}"
        # The first is gone on with, so it is trained as long as others.
        steps = (_STEPS,) if name == _START else (_STEPS // 2,)
        yield Run("control", name, _shared(0), works=(), steps=steps, outputs=32, seed=seed)


def chosen(groups: tuple[str, ...]) -> tuple[Run, ...]:
    """Return the runs of some groups, all of none."""
    return tuple(run for run in runs() if not groups or run.group in groups)


GROUPS = tuple(dict.fromkeys(run.group for run in runs()))
