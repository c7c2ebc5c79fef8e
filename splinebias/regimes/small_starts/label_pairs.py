"""Points with labels, pair by pair: what pulls neurons apart, the largest set without such a pair, hulls of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.errors import SolveError


def signed_cosines_of(x: Array, y: Array) -> Array:
    r"""All :math:`y_i y_k \cos(x_i, x_k)`, shape (M, M)."""
    signed = y[:, None] * x / np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(signed @ signed.T)


def without_pairs(bad: NDArray[np.bool_]) -> NDArray[np.intp]:
    """A largest set of vertices of which no two are joined."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    size = len(bad)
    pairs = np.argwhere(np.triu(bad))
    if not pairs.size:
        return np.arange(size)
    rows = csr_array((np.ones(pairs.size), (np.repeat(np.arange(len(pairs)), 2), pairs.ravel())), shape=(len(pairs), size))
    found = milp(-np.ones(size), integrality=np.ones(size), bounds=Bounds(0, 1), constraints=LinearConstraint(rows, ub=1))
    if not found.success:
        raise SolveError(f"no largest subset was found ({found.message}); take the greedy one")
    return np.flatnonzero(found.x > 0.5)


def hull_distance(points: Array) -> float:
    r"""Distance of the convex hull of `points`, shape (k, d), from 0.

    :math:`\min_{\lambda \ge 0} |X^T \lambda|^2 + (\sum \lambda - 1)^2` has :math:`\lambda` proportional to the weights of
    the nearest point of the hull: on each ray the minimum is :math:`q/(1 + q)`, which grows with the squared distance q.
    """
    from scipy.optimize import nnls  # loaded where used: most of the library does without

    size = float(np.linalg.norm(points, axis=1).max())
    matrix = np.vstack([points.T / size, np.ones(len(points))])
    weights, _ = nnls(matrix, np.r_[np.zeros(points.shape[1]), 1.0], maxiter=30 * len(points) + 100)
    distance = float(np.linalg.norm(points.T @ (weights / weights.sum())))
    return distance if distance > 1e-9 * size else 0.0
