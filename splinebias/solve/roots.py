"""Roots of many increasing functions at once: Newton steps inside brackets that only shrink."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array

_ITERATIONS = 300

Subset = NDArray[np.intp]
Evaluation = tuple[Array, Array, Array]


def increasing_roots(function: Callable[[Array, Subset], Evaluation], start: Array, reach: Array) -> Array:
    """Where n increasing functions vanish, shape (n,).

    Parameters
    ----------
    function : callable
        ``function(t, subset)`` with `t` of the shape of `subset` gives, for the functions of those numbers, the value (its
        sign suffices where it overflows), the slope (0 where it is useless) and the size of the terms the value is
        the difference of; a value below 1e-14 of that counts as zero.
    start, reach : Array, shape (n,)
        First guess, and a positive first step for searching a bracket where Newton's method does not serve.

    Notes
    -----
    A Newton step is taken if it stays in the bracket and the last one halved the value; otherwise the bracket is
    bisected or, while one end is missing, searched by steps that grow fourfold.
    """
    t, reach = start.copy(), reach.copy()
    low, high = np.full(t.size, -math.inf), np.full(t.size, math.inf)
    best = np.full(t.size, math.inf)
    at = np.arange(t.size)
    for _ in range(_ITERATIONS):
        value, slope, size = function(t[at], at)
        low[at], high[at] = np.where(value < 0, t[at], low[at]), np.where(value > 0, t[at], high[at])
        lo, hi, now = low[at], high[at], t[at]
        bracketed = np.isfinite(lo) & np.isfinite(hi)
        lo_or, hi_or = np.where(bracketed, lo, 0.0), np.where(bracketed, hi, 0.0)
        narrow = bracketed & (hi_or - lo_or <= 4e-16 * np.maximum(np.abs(lo_or), np.abs(hi_or)))
        with np.errstate(over="ignore"):
            newton = now - np.divide(value, slope, out=np.full(at.size, math.inf), where=slope > 0)
        good = (newton > lo) & (newton < hi) & (np.abs(value) < best[at] / 2)
        reach[at] *= np.where(good | bracketed, 1.0, 4.0)
        safe = np.where(bracketed, (lo_or + hi_or) / 2, now - np.sign(value) * reach[at])
        going = (np.abs(value) > 1e-14 * size) & ~narrow
        t[at] = np.where(going, np.where(good, newton, safe), now)
        best[at] = np.where(good, np.abs(value), math.inf)
        at = at[going]
        if at.size == 0:
            break
    return t
