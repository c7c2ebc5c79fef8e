r"""The values at the data that neurons with breakpoints in some of the data intervals can make.

On an interval without data the features :math:`\sigma(\pm(x - c))` of all its breakpoints c span :math:`s_i x_i^m`, m <= k,
with the slope :math:`s_i` (for powers of ReLU 1 or 0) on the side of the interval where :math:`x_i` is. Their derivatives
span no more, so that this is the range of the kernel of either parameterization. Where both intervals beside a point have
breakpoints of one side, the difference of their spans is the point alone: it is left out. Derived here.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray

from splinebias._array import Array

_LARGEST = 10_000_000  # entries of the matrix of spans: beyond that, the residual of a solver has to tell
_RANK = 1e-13  # singular values below that, relative to the largest, are rounding


def missed(
    x: Array, y: Array, occupied: NDArray[np.bool_], slopes: tuple[float, float], degree: int, *, free: bool
) -> Array:
    """How far the nearest values that neurons can make stay from `y`, shape (M,).

    Parameters
    ----------
    x, y : Array, shape (M,)
        Data.
    occupied : Array of bool, shape (2, M + 1)
        Which data intervals, and what lies beyond the data, have breakpoints of the side w > 0 and of w < 0.
    slopes : tuple of float
        Of the activation on the right and on the left of its kink; 1 and 0 for powers of ReLU.
    degree : int
        The k above, 1 for two slopes.
    free : bool
        Whether there is a line of no neuron besides.
    """
    found = np.zeros(x.size)
    tight = np.flatnonzero(~(occupied[:, :-1] & occupied[:, 1:]).any(axis=0))
    before = [np.unique(np.searchsorted(tight, np.flatnonzero(has))) for has in occupied]
    if not tight.size or sum(of.size for of in before) * tight.size * (degree + 1) > _LARGEST:
        return found
    factors = _factors(tight.size, before, slopes)
    spans = [_polynomials(x[tight], factor, degree) for factor in factors]
    if free:
        spans.append(_polynomials(x[tight], np.ones(tight.size), 1))
    if not spans:
        found[tight] = y[tight]
        return found
    base = np.concatenate(spans, axis=1)
    found[tight] = y[tight] - base @ np.linalg.lstsq(base, y[tight], rcond=_RANK)[0]
    return found


def _factors(count: int, before: list[NDArray[np.intp]], slopes: tuple[float, float]) -> Array:
    """The different rows of slopes at so many points, with `before` of them on the left of breakpoints of each side."""
    sides = zip(before, (slopes, slopes[::-1]), strict=True)
    rows = [np.where(np.arange(count) < of[:, None], left, right) for of, (right, left) in sides]
    return np.unique(np.concatenate(rows), axis=0)


def _polynomials(x: Array, factor: Array, degree: int) -> Array:
    """Orthonormal values at x of `factor` times the polynomials of a degree, shape (M, 1 to degree + 1)."""
    seen = np.flatnonzero(factor)
    if not seen.size:
        return np.zeros((x.size, 0))
    middle, half = (x[seen[0]] + x[seen[-1]]) / 2, (x[seen[-1]] - x[seen[0]]) / 2
    values = legvander((x[seen] - middle) / (half or 1.0), min(degree, seen.size - 1)) * factor[seen, None]
    found = np.zeros((x.size, values.shape[1]))
    found[seen] = np.linalg.qr(values)[0]
    return found
