"""Training a small generator and drawing from it, so that a run can be killed and gone on with."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.generators.sets import Precision, whole
from bench.generators.transformer import Shape, build

__all__ = ["Course", "Trained", "mixed"]

Field = NDArray[np.float32]

_BETAS = (0.9, 0.99)
_KEPT = 100  # steps between two states on disk
_WARM = 50  # steps
_FALLS = 0.7  # of the steps after which the rate falls
_LAST = 0.05  # of the rate at the end
_FORGETS = 0.02  # of the averaged weights a step
_EULER = 25  # steps from noise to an output
_BATCH = 16  # outputs drawn together


@dataclass(frozen=True, slots=True)
class Course:
    """How a model is trained.

    Parameters
    ----------
    steps : int
    batch : int
    rate : float
        Of AdamW, at most.
    seed : int
        Of the weights, the order of pictures, the noise and the outputs.
    precision : str
        Of the large products.
    """

    steps: int
    batch: int = 16
    rate: float = 1.5e-3
    seed: int = 1
    precision: Precision = "bfloat16"

    def rate_at(self, step: int) -> float:
        """Return the rate of a step, counted from 0: it warms up, stays, and falls."""
        left = (self.steps - step) / (self.steps * (1 - _FALLS))
        return self.rate * min(1.0, (step + 1) / _WARM) * min(1.0, max(_LAST, left))


class Trained:
    """A model, what it was trained on, and how far it got.

    Parameters
    ----------
    data : ndarray of float16 or float32, shape (N, C, S, S)
    shape : Shape
    course : Course
    start : Trained, optional
        A model to go on from, with its scale of the data: fine-tuning.
    """

    def __init__(
        self, data: NDArray[Any], shape: Shape, course: Course, start: Trained | None = None
    ) -> None:
        import torch  # noqa: PLC0415

        torch.set_num_threads(1)
        self.shape, self.course, self.step, self.seconds = shape, course, 0, 0.0
        if start is None:
            values = data.astype(np.float32)
            self.mean = values.mean((0, 2, 3), keepdims=True)
            self.deviation = values.std((0, 2, 3), keepdims=True)
        else:
            self.mean, self.deviation = start.mean, start.deviation
        self._data = torch.from_numpy((data.astype(np.float32) - self.mean) / self.deviation)
        self._random = torch.Generator().manual_seed(course.seed)
        torch.manual_seed(course.seed)  # the weights
        self._model, self._averaged = build(shape), build(shape)
        if start is not None:
            self._model.load_state_dict(start.weights())
        self._averaged.load_state_dict(self._model.state_dict())
        self._optimiser = torch.optim.AdamW(
            self._model.parameters(), course.rate, betas=_BETAS, weight_decay=0.0
        )

    def weights(self) -> dict[str, Any]:
        """Return the averaged weights."""
        state: dict[str, Any] = self._averaged.state_dict()
        return state

    def train(self, until: int, *, kept: Path | None = None) -> float:
        """Train up to a step, and return the mean loss of the last 50 steps.

        Parameters
        ----------
        until : int
        kept : Path, optional
            Where the state is kept, and gone on from if it is there.
        """
        if kept is not None and self.step == 0 and kept.exists():
            self._load(kept, until)
        losses: list[float] = []
        while self.step < until:
            began = time.process_time()
            losses.append(self._one_step())
            self.step += 1
            self.seconds += time.process_time() - began
            if kept is not None and (self.step % _KEPT == 0 or self.step == until):
                self._save(kept)
        return float(np.mean(losses[-50:])) if losses else float("nan")

    def _one_step(self) -> float:
        import torch  # noqa: PLC0415
        from torch.nn.functional import mse_loss  # noqa: PLC0415

        course = self.course
        for group in self._optimiser.param_groups:
            group["lr"] = course.rate_at(self.step)
        chosen = torch.randint(0, len(self._data), (course.batch,), generator=self._random)
        data = self._data[chosen]
        noise = torch.randn(data.shape, generator=self._random)
        # Times in the middle are the hard ones (Esser et al. 2024, arXiv 2403.03206, section 3.1).
        t = torch.randn(len(data), generator=self._random).sigmoid()
        between = torch.lerp(noise, data, t[:, None, None, None])
        fast = course.precision == "bfloat16"
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            flow = self._model(between, t)
        loss = mse_loss(flow, data - noise)
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        self._optimiser.step()
        with torch.no_grad():
            pairs = zip(self._averaged.parameters(), self._model.parameters(), strict=True)
            for averaged, latest in pairs:
                averaged.lerp_(latest, max(_FORGETS, 1 / (self.step + 1)))
        return float(loss.detach())

    def outputs(self, count: int, *, seed: int) -> Iterator[Field]:
        """Yield what the averaged model makes of noise, in the data's own scale, some at a time."""
        import torch  # noqa: PLC0415

        shape, fast = self.shape, self.course.precision == "bfloat16"
        random = torch.Generator().manual_seed(seed)
        for start in range(0, count, _BATCH):
            size = (min(_BATCH, count - start), shape.channels, shape.side, shape.side)
            x = torch.randn(size, generator=random)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
                for at in range(_EULER):
                    t = torch.full((len(x),), at / _EULER)
                    x = x + self._averaged(x, t) / _EULER
            yield np.asarray(x.numpy() * self.deviation + self.mean, np.float32)

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "model": self._model.state_dict(),
            "averaged": self._averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": self._random.get_state(),
        }

    def _save(self, path: Path) -> None:
        import torch  # noqa: PLC0415

        with whole(path) as file:
            torch.save(self._state(), file)

    def _load(self, path: Path, until: int) -> None:
        import torch  # noqa: PLC0415

        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["step"] > until:  # it is too late for what is wanted
            return
        self._model.load_state_dict(state["model"], strict=True)
        self._averaged.load_state_dict(state["averaged"], strict=True)
        self._optimiser.load_state_dict(state["optimiser"])
        self._random.set_state(state["random"])
        self.step, self.seconds = state["step"], state["seconds"]


def mixed(parts: Sequence[tuple[NDArray[Any], float]], *, seed: int) -> NDArray[Any]:
    """Return one training set of several that hold the same frames in the same order.

    Parameters
    ----------
    parts : sequence of (ndarray of shape (N, C, S, S), float)
        Sets and the shares of frames that are taken from them, which sum to 1; which frame is
        taken from which is drawn, and the counts are the shares rounded.
    seed : int
    """
    count = len(parts[0][0])
    order = np.random.default_rng([seed, count]).permutation(count)
    edges = np.rint(np.cumsum([share for _, share in parts]) * count).astype(int)
    result = np.empty_like(parts[0][0])
    first = 0
    for (part, _), last in zip(parts, edges, strict=True):
        result[order[first:last]] = part[order[first:last]]
        first = last
    return result
