r"""The tents of query points, and interpolation between data: what an activation of two slopes is as a function of c.

:math:`\sigma(s(x - c))` is its value interpolated linearly between two neighbouring data points plus a tent :math:`T_x` that
does not depend on s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array


def tent(points: Array, x: Array, c: Array) -> Array:
    r""":math:`T_x(c)`: :math:`[x - c]_+` less its linear interpolation between two neighbouring data points, shape (N, n).

    The two are those around x, or the nearest two if x is beyond the data. The tent has its top at the middle one of the
    three points and is 0 beyond the outer two; it is negative for x between data.
    """
    j, _ = _beside(points, x)
    low, middle, high = np.sort(np.stack([x[j], x[j + 1], points]), axis=0)
    rise, fall = middle - low, high - middle
    top = np.where(points < x[0], rise, np.where(points > x[-1], fall, -rise * fall / (high - low)))
    rise, fall = (np.where(top != 0, length, 1.0)[:, None] for length in (rise, fall))  # the tent of a data point is 0
    up, down = (c - low[:, None]) / rise, (high[:, None] - c) / fall
    return np.asarray(top[:, None] * np.clip(np.minimum(up, down), 0.0, None))


def interpolation(points: Array, x: Array) -> Array:
    """Weights of the data in linear interpolation, or in extrapolation from the nearest two, shape (N, M)."""
    j, share = _beside(points, x)
    row, weights = np.arange(points.size), np.zeros((points.size, x.size))
    weights[row, j], weights[row, j + 1] = 1 - share, share
    return weights


def _beside(points: Array, x: Array) -> tuple[NDArray[np.intp], Array]:
    """Which data point is the left one of the two around each of `points`, or nearest to it, and the share of the other."""
    j = np.clip(np.searchsorted(x, points, side="right") - 1, 0, x.size - 2)
    return j, (points - x[j]) / (x[j + 1] - x[j])
