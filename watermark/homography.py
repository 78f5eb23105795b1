"""Plane projective maps: 3 × 3 matrices on (x, y, 1), pixel centres at half-integers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Matrix", "affine", "apply", "fit", "jacobian", "normalised", "scaling", "warp"]

Matrix = NDArray[np.float64]  # (3, 3)

_RIDGE = 1e-3  # how firmly a fit holds to the identity, as a share of the weights
_SPREAD = 50.0  # pixels: points nearer together than this do not sway the perspective


def normalised(matrix: NDArray[np.floating]) -> Matrix:
    """Return the same map with a last entry of 1."""
    return np.asarray(matrix / matrix[2, 2], np.float64)


def scaling(factor: float) -> Matrix:
    """Return the map that multiplies both coordinates."""
    return np.diag([factor, factor, 1.0])


def affine(linear: NDArray[np.floating], source: NDArray[np.float64], target: ArrayLike) -> Matrix:
    """Return the affine map with a linear part of (2, 2) that takes `source` to `target`."""
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.asarray(target, np.float64) - linear @ np.asarray(source, np.float64)
    return matrix


def apply(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the images of points of shape (..., 2); not finite at and behind the horizon."""
    homogeneous = points @ matrix[:, :2].T + matrix[:, 2]
    depth = homogeneous[..., 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        mapped = homogeneous[..., :2] / np.where(depth > 0, depth, np.nan)
    return np.asarray(mapped, np.float64)


def jacobian(matrix: NDArray[np.floating], point: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the (2, 2) derivative of the map at a point."""
    homogeneous = matrix @ np.array([point[0], point[1], 1.0])
    image = homogeneous[:2] / homogeneous[2]
    return np.asarray((matrix[:2, :2] - np.outer(image, matrix[2, :2])) / homogeneous[2])


def fit(
    source: NDArray[np.float64],
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    projective: bool,
) -> Matrix:
    """Return the map near the identity that takes points to points, by weighted least squares.

    The direct linear transformation (Hartley & Zisserman 2004, section 4.1) in centred
    coordinates, with a little pull to the identity where the points do not say enough.

    Parameters
    ----------
    source, target : ndarray of shape (n, 2)
    weights : ndarray of shape (n,)
        At least 0, not all 0.
    projective : bool
        Whether to fit all eight parameters, or the six of an affine map.
    """
    centre = np.average(source, axis=0, weights=weights)
    size = max(_SPREAD, float(source.std()))
    (x, y), (u, v) = ((source - centre) / size).T, ((target - centre) / size).T
    one, none, root = np.ones_like(x), np.zeros_like(x), np.sqrt(weights)
    rows = [[x, y, one, none, none, none], [none, none, none, x, y, one]]
    if projective:
        rows = [rows[0] + [-u * x, -u * y], rows[1] + [-v * x, -v * y]]
    design = np.concatenate([np.stack(each, axis=1) * root[:, None] for each in rows])
    wanted = np.concatenate([u * root, v * root])
    count = design.shape[1]
    same = np.array([1.0, 0, 0, 0, 1, 0, 0, 0])[:count]
    pull = _RIDGE * np.sqrt(weights.sum()) * np.eye(count)
    moved, *_ = np.linalg.lstsq(
        np.vstack([design, pull]), np.concatenate([wanted - design @ same, np.zeros(count)])
    )
    inner = np.append(np.pad(same + moved, (0, 8 - count)), 1.0).reshape(3, 3)
    frame = np.array([[1, 0, -centre[0]], [0, 1, -centre[1]], [0, 0, size]]) / size
    return normalised(np.linalg.inv(frame) @ inner @ frame)


def warp(
    canvas: NDArray[np.float32], matrix: Matrix, origin: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Resample a canvas: zeros outside it.

    Parameters
    ----------
    canvas : ndarray of float32, shape (h, w)
    matrix : ndarray of shape (3, 3)
        Takes the result's coordinates to those of the canvas.
    origin : tuple of int
        x and y of the result's top left corner, in its own coordinates.
    shape : tuple of int
        Height and width of the result.
    """
    to_centres = np.array([[1, 0, origin[0] + 0.5], [0, 1, origin[1] + 0.5], [0, 0, 1]])
    to_index = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    total = normalised(to_index @ matrix @ to_centres)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if np.abs(total[2, :2]).max() < 1e-9:
        return np.asarray(cv2.warpAffine(canvas, total[:2], shape[::-1], flags=flags), np.float32)
    return np.asarray(cv2.warpPerspective(canvas, total, shape[::-1], flags=flags), np.float32)
