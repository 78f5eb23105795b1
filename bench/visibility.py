"""Fit the mask's threshold J to what ColorVideoVDP says of marked pictures.

Each picture is marked with the default profile and compared with its original.  The gradient of the
loss with respect to the amplitude in each cell of 16 × 16 canonical pixels tells what share of the
visible difference D² the cell has: ColorVideoVDP raises contrast to the power 2.26 and pools
squares over space, so D² grows with the 4.5th power of the amplitude.  Then

    log J = log a − log(D²)/4.5

is regressed on the features of `watermark.mask`.  What is printed is the weights, the deviation
of a cell from the fit, and of a whole picture's predicted loss from the measured one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench import jod
from bench.corpus import Picture, load
from bench.fitting import fitted
from watermark.embed import delta
from watermark.frame import luma
from watermark.key import Key
from watermark.mask import activity, features, mask
from watermark.profile import DEFAULT
from watermark.residual import canonical_scale, to_canonical

__all__ = ["Cells", "fit", "main", "measure"]

_CELL = 16  # canonical pixels
_GRID = 4  # cells of the features' grid in one of ours, each way
_POOLED = 4.52  # twice the exponent of the masking model
_KEY = Key(bytes(range(32)))


class Cells(NamedTuple):
    """One picture: its loss in JOD, features (F, n), amplitude and D² (n,) of its cells."""

    name: str
    loss: float
    features: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    seen: NDArray[np.float64]


def measure(picture: Picture) -> Cells:
    """Mark a picture and ask which of its cells one sees."""
    pixels = load(picture)
    plane = luma(pixels)
    height, width = plane.shape
    canvas = to_canonical(plane, DEFAULT)
    rows, columns = canvas.shape[0] // _CELL, canvas.shape[1] // _CELL
    added = delta(plane, _KEY, int(picture.sha256[:12], 16), profile=DEFAULT)
    step = canonical_scale(plane.shape, DEFAULT) / _CELL
    places = (
        np.minimum(((np.arange(height) + 0.5) * step).astype(int), rows),
        np.minimum(((np.arange(width) + 0.5) * step).astype(int), columns),
    )
    loss, gradient = jod.loss_by_cell(pixels, added, places, (rows + 1, columns + 1))
    here = features(activity(canvas), min(height, width))
    here = here[:, : rows * _GRID, : columns * _GRID]
    means = here.reshape(len(here), rows, _GRID, columns, _GRID).mean(axis=(2, 4))
    strength = mask(canvas, min(height, width), DEFAULT)[: rows * _CELL, : columns * _CELL]
    power = np.square(strength).reshape(rows, _CELL, columns, _CELL).mean(axis=(1, 3))
    share = np.maximum(gradient[:rows, :columns], 0) * loss * rows * columns
    return Cells(
        picture.name,
        loss,
        means.reshape(len(here), -1).astype(np.float64),
        np.sqrt(power).ravel().astype(np.float64),
        share.ravel(),
    )


def fit(measured: list[Cells]) -> dict[str, Any]:
    """Return the weights of log J by least squares, and how well they tell the loss."""
    rows, logs = [], []
    for cells in measured:
        told = (cells.amplitude > 0.05) & (cells.seen > 1e-7)  # cells too quiet tell nothing
        rows.append(cells.features[:, told].T)
        logs.append(np.log(cells.amplitude[told]) - np.log(cells.seen[told]) / _POOLED)
    table, wanted = np.concatenate(rows), np.concatenate(logs)
    weights, *_ = np.linalg.lstsq(table, wanted, rcond=None)
    errors = []
    for cells in measured:
        ratio = cells.amplitude / np.exp(weights @ cells.features)
        errors.append(np.log(np.sqrt(np.mean(ratio**_POOLED))) - np.log(cells.loss))
    return {
        "pictures": len(measured),
        "cells": len(wanted),
        "weights": [round(float(weight), 3) for weight in weights],
        "cell_deviation": round(float(np.std(wanted - table @ weights)), 3),
        "picture_deviation": round(float(np.std(errors)), 3),
    }


def main() -> None:
    """Measure and fit: ``python -m bench visibility FOLDER``."""
    fitted(__doc__, measure, fit, jod.why_not())
