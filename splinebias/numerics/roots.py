"""Roots of many increasing functions at once: Newton steps inside brackets that only shrink."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

_ITERATIONS = 200  # each bisection halves the number of floats in a bracket, and there are 2^64 of them

Subset = NDArray[np.intp]
Evaluation = tuple[Array, Array, Array]


def increasing_roots(function: Callable[[Array, Subset], Evaluation], start: Array) -> Array:
    """Where n increasing functions vanish, shape (n,).

    Parameters
    ----------
    function : callable
        ``function(t, subset)`` with `t` of the shape of `subset` gives, for the functions of those numbers, the value (its
        sign suffices where it overflows), the slope (0 where it is useless) and the size of the terms the value is
        the difference of; a value below 1e-14 of that, if it is finite, counts as zero.
    start : Array, shape (n,)
        First guess.

    Notes
    -----
    A Newton step is taken if it stays in the bracket and the last one cut the value to an eighth; otherwise the bracket, at
    first all of float64, is bisected.
    """
    t = start.copy()
    high = np.full(t.size, np.finfo(float).max)
    low = -high
    best = np.full(t.size, math.inf)
    at = np.arange(t.size)
    for _ in range(_ITERATIONS):
        now = t[at]
        value, slope, size = function(now, at)
        low[at], high[at] = np.where(value < 0, now, low[at]), np.where(value > 0, now, high[at])
        lo, hi = low[at], high[at]
        with np.errstate(over="ignore", invalid="ignore"):
            newton = now - np.divide(value, slope, out=np.full(at.size, math.inf), where=slope > 0)
            good = (newton > lo) & (newton < hi) & (np.abs(value) < best[at] / 8)
        met = np.isfinite(size) & (np.abs(value) <= 1e-14 * size)
        going = ~met & (np.nextafter(lo, hi) < hi)
        t[at] = np.where(going, np.where(good, newton, _halfway(lo, hi)), now)
        best[at] = np.where(good, np.abs(value), math.inf)
        at = at[going]
        if at.size == 0:
            break
    return t


def _halfway(lo: Array, hi: Array) -> Array:
    """The float with as many floats between it and `lo` as between it and `hi`."""
    return _from_rank(_rank(lo) // 2 + _rank(hi) // 2)


def _rank(t: Array) -> NDArray[np.int64]:
    """Position of a float among all floats, 0 for 0.0: its bits, counted down for negative numbers."""
    bits = np.ascontiguousarray(t).view(np.int64)
    return np.where(bits >= 0, bits, np.iinfo(np.int64).min - bits)


def _from_rank(rank: NDArray[np.int64]) -> Array:
    """The float at a position among all floats."""
    return np.where(rank >= 0, rank, np.iinfo(np.int64).min - rank).view(np.float64)
