"""From a run of the plan to its rows: train, draw outputs, ask the product about them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.attacks import apply
from bench.generators.frames import PIPELINES, Marking
from bench.generators.plan import Run, runs
from bench.generators.sets import Pictures, Store, Wanted, decoded, whole
from bench.generators.statistic import measured
from bench.generators.training import Course, Trained, mixed
from bench.generators.transformer import Shape

__all__ = ["Bench", "identity"]

Row = dict[str, Any]

_AS_IT_IS = "none"
_CEILING = 64  # training pictures that are looked at, evenly spread
_OUTPUTS_SEED = 77  # of the noise that outputs are made of
_HALF = 127.5  # code values: pixels are trained on as −1 to 1


def identity(row: Row) -> tuple[Any, ...]:
    """Return what tells a row from all others."""
    return row["group"], row["name"], row["step"], row["change"]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where training sets come from and where runs keep their state and their outputs."""

    store: Store

    def rows(self, run: Run, done: frozenset[tuple[Any, ...]]) -> Iterator[Row]:
        """Yield the rows of a run that are not in `done`; a run with none left is not touched."""
        wanted = [
            (step, change)
            for step in run.steps
            for change in (_AS_IT_IS, *(run.changes if step == run.steps[-1] else ()))
        ]
        left = [each for each in wanted if (run.group, run.name, each[0], each[1]) not in done]
        if not left:
            return
        share = sum(share for one, share in run.parts if one.marking.work is not None)
        trained: Trained | None = None
        for step in dict.fromkeys(step for step, _ in left):
            path = self._path(run, f"outputs-{step}", ".npz")
            if not path.exists():
                trained = trained or self.trained(run)
                loss = trained.train(step, kept=self._path(run, "state", ".pt"))
                drawn = self._drawn(run, trained)
                with whole(path) as file:
                    np.savez(file, pictures=drawn, loss=loss, seconds=trained.seconds)
            with np.load(path) as kept:
                pictures, loss, seconds = kept["pictures"], kept["loss"], kept["seconds"]
            for change in (each for at, each in left if at == step):
                began = time.process_time()
                found = measured(_changed(pictures, change), run.works)
                row = _row(run.group, run.name, run.works, run.outputs, share)
                row |= {"step": step, "change": change, "seed": run.seed, "loss": float(loss)}
                row |= {"train_seconds": round(float(seconds), 1)}
                yield row | found | {"measure_seconds": round(time.process_time() - began, 1)}

    def ceilings(self, done: frozenset[tuple[Any, ...]]) -> Iterator[Row]:
        """Yield what is found in training pictures themselves, which no model betters by much."""
        marking = Marking(0)
        centre = Wanted(marking)
        ways: dict[str, Callable[[], Pictures]] = {
            pipeline: partial(self.store.pictures, Wanted(marking, pipeline))
            for pipeline in PIPELINES
        }
        ways |= {
            f"centre, {side} pixels": partial(self._resized, centre, side) for side in (128, 64)
        }
        ways["centre, autoencoded"] = partial(self._autoencoded, centre)
        for name, pictures in ways.items():
            row = _row("ceiling", name, works=(0,), outputs=_CEILING, share=1.0)
            if identity(row) not in done:
                chosen = pictures()
                yield row | measured(chosen[:: len(chosen) // _CEILING], (0,))

    def _resized(self, wanted: Wanted, side: int) -> Pictures:
        pictures = self.store.pictures(wanted)[:: self.store.count // _CEILING]
        small = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures]
        return np.stack(small)

    def _autoencoded(self, wanted: Wanted) -> Pictures:
        latents = self.store.latents(wanted)[:: self.store.count // _CEILING]
        return decoded(latents, precision=self.store.precision)

    def trained(self, run: Run) -> Trained:
        """Return a model before its first step; see `Trained.train`."""
        sets = [(self._set(run, wanted), share) for wanted, share in run.parts if share > 0]
        data = mixed(sets, seed=run.seed)
        if run.frames is not None:
            order = np.random.default_rng([run.seed, run.frames]).permutation(len(data))
            data = data[order[: run.frames]]
        shape = Shape(data.shape[1], data.shape[2], run.patch, positions=run.positions)
        course = Course(run.steps[-1], seed=run.seed, precision=self.store.precision)
        return Trained(data, shape, course, self._start(run))

    def _start(self, run: Run) -> Trained | None:
        if not run.start:
            return None
        before = next(each for each in runs() if each.name == run.start)
        model = self.trained(before)
        model.train(before.steps[-1], kept=self._path(before, "state", ".pt"))
        return model

    def _set(self, run: Run, wanted: Any) -> NDArray[Any]:
        if not run.pixels:
            return self.store.latents(wanted)
        pictures = self.store.pictures(wanted).astype(np.float32) / _HALF - 1
        return np.asarray(pictures.transpose(0, 3, 1, 2), np.float16)

    def _drawn(self, run: Run, trained: Trained) -> Pictures:
        made = trained.outputs(run.outputs, seed=_OUTPUTS_SEED + run.seed)
        if not run.pixels:
            parts = (decoded(part, precision=self.store.precision) for part in made)
            return np.concatenate(list(parts))
        values = np.concatenate(list(made)).transpose(0, 2, 3, 1)
        return np.clip(np.rint((values + 1) * _HALF), 0, 255).astype(np.uint8)

    def _path(self, run: Run, kind: str, ending: str) -> Path:
        trained = replace(run, changes=())  # these come after
        hangs_on = repr((trained, self.store.places, self.store.count, self.store.seed))
        name = hashlib.sha256(hangs_on.encode()).hexdigest()[:12]
        return self.store.folder / "runs" / f"{kind}-{name}{ending}"


def _row(group: str, name: str, works: tuple[int, ...], outputs: int, share: float) -> Row:
    row: Row = {"group": group, "name": name, "step": 0, "change": _AS_IT_IS}
    return row | {"works": list(works), "outputs": outputs, "share": share}


def _changed(pictures: Pictures, change: str) -> Pictures:
    if change == _AS_IT_IS:
        return pictures
    rng = np.random.default_rng(len(pictures))
    return np.stack([apply(change, picture, rng) for picture in pictures])
