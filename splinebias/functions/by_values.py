"""Integrals and roots of functions on the line that are no piecewise polynomials, from values and slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq

from splinebias._arguments import interval as check_interval
from splinebias._arguments import real_number
from splinebias._array import Array
from splinebias.errors import DataError
from splinebias.numerics.legendre import gauss_legendre

_NODES, _HALVINGS = 20, 40
_CELLS = 1000  # of an interval in which roots are looked for


def integral(f: Callable[[Array], Array], a: Any, b: Any, cuts: Array) -> float:
    """The integral of f from a to b, f smooth between `cuts`: Gauss rules on panels that are halved until they agree."""
    a, b = real_number(a, "a"), real_number(b, "b")
    if a == b:
        return 0.0
    lo, hi = min(a, b), max(a, b)
    ends = np.unique(np.r_[lo, cuts[(lo < cuts) & (cuts < hi)], hi])
    left, right, total = ends[:-1], ends[1:], 0.0
    whole, size = _panels(f, left, right)
    allowed = 1e-14 * float(size.sum())  # of a panel
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        halves = [_panels(f, *part)[0] for part in ((left, middle), (middle, right))]
        settled = np.abs(sum(halves) - whole) <= allowed
        total += float((halves[0] + halves[1])[settled].sum())
        left, right = (np.r_[one[~settled], two[~settled]] for one, two in ((left, middle), (middle, right)))
        whole = np.r_[halves[0][~settled], halves[1][~settled]]
        if not left.size:
            break
    return float(np.sign(b - a)) * (total + float(whole.sum()))


def _panels(f: Callable[[Array], Array], left: Array, right: Array) -> tuple[Array, Array]:
    """The integrals of f and of |f| over panels, each of their shape."""
    nodes, weights = gauss_legendre(_NODES)
    width = (right - left)[:, None]
    values = np.asarray(f(left[:, None] + width * nodes))
    return (values * width) @ weights, (np.abs(values) * width) @ weights


def roots(f: Callable[..., Any], level: Any, interval: Any, cuts: Array) -> Array:
    """Points of an interval where f equals `level`, sorted, f being smooth between `cuts`, with slopes ``f(x, 1)``.

    Found are changes of sign over the cells between cuts and a thousand even points, and two roots in a cell, or one where f
    touches the level, on either side of the only point in it where the slope changes its sign.

    Raises
    ------
    DataError
        Without an interval: between infinitely many places nothing can be looked for.
    """
    level = float(real_number(level, "level"))
    if interval is None:
        raise DataError("`interval` must be given, as (lo, hi): roots of this function are looked for between many places")
    lo, hi = check_interval(interval)
    ends = np.unique(np.r_[np.linspace(lo, hi, _CELLS + 1), cuts[(lo <= cuts) & (cuts <= hi)]])
    values, slopes = np.asarray(f(ends)) - level, np.asarray(f(ends, 1))
    size, found = float(np.abs(values).max()) + abs(level), ends[values == 0].tolist()

    def above(x: float) -> float:
        return float(f(np.array([x]))[0] - level)

    def slope(x: float) -> float:
        return float(f(np.array([x]), 1)[0])

    for i in np.flatnonzero(values[:-1] * values[1:] < 0):
        found.append(brentq(above, ends[i], ends[i + 1], xtol=1e-300, rtol=9e-16))
    toward = (values[:-1] * values[1:] > 0) & (values[:-1] * slopes[:-1] < 0) & (values[1:] * slopes[1:] > 0)
    for i in np.flatnonzero(toward):
        turn = brentq(slope, ends[i], ends[i + 1], xtol=1e-300, rtol=9e-16)
        if abs(above(turn)) <= 1e-12 * size:  # of the size of f: a minimum or maximum so near the level is a root
            found.append(turn)
        elif above(turn) * values[i] < 0:
            found += [brentq(above, *pair, xtol=1e-300, rtol=9e-16) for pair in ((ends[i], turn), (turn, ends[i + 1]))]
    return np.unique(np.asarray(found, dtype=float))
