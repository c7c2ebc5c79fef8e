r"""How far apart two functions are on an interval, in the sup and the L2 norm, knots included.

A trained network has thousands of breakpoints, and its distance to a smooth limit peaks at some of them; a grid misses
those. Here every piece between two neighbouring knots of either function is searched and integrated on its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from splinebias._arguments import interval as check_interval
from splinebias._arguments import known_keywords
from splinebias._array import Array
from splinebias._result import Drawn
from splinebias.errors import DataError
from splinebias.functions.compare_on_box import BoxComparison, compare_on_box
from splinebias.functions.sums import as_function
from splinebias.loss import require_lazy_training
from splinebias.numerics.cells import Cells


@dataclass(frozen=True)
class Comparison(Drawn):
    r"""The distance between two functions on an interval.

    Attributes
    ----------
    sup : float
        :math:`\max_{lo \le x \le hi} |f(x) - g(x)|`, in units of y.
    l2 : float
        :math:`(\int_{lo}^{hi} (f - g)^2 dx)^{1/2}`, not divided by the length of the interval.
    argmax : float
        A point where `sup` is attained; at a jump of f - g, the jump itself.
    interval : tuple of float
        The (lo, hi) above.
    functions : tuple of callable, optional
        The f and g, for the picture.
    """

    sup: float
    l2: float
    argmax: float
    interval: tuple[float, float]
    functions: tuple[Any, Any] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"functions": None}  # most functions of one's own cannot be sent to other processes

    def __repr__(self) -> str:
        lo, hi = self.interval
        return f"Comparison(sup {self.sup:.4g} at x = {self.argmax:.4g}, l2 {self.l2:.4g} on [{lo:g}, {hi:g}])"


_PIECES = 1000  # of an interval, where a function does not say what it needs


@overload
def compare(f: Any, g: Any, interval: tuple[float, float] | None = None) -> Comparison:
    """Measure f - g on an interval of one input."""


@overload
def compare(f: Any, g: Any, interval: Sequence[tuple[float, float]] | Array) -> BoxComparison:
    """Measure f - g on a box of several inputs."""


@known_keywords
def compare(f: Any, g: Any, interval: Any = None) -> Comparison | BoxComparison:
    r"""Measure :math:`f - g` on `interval`.

    Parameters
    ----------
    f, g : callable, or anything with a `function`
        Vectorized functions of x: a prediction, a trained network, any function of this library, a scipy piecewise
        polynomial, ``np.sin``, a lambda. Where one has `edges`, `knots` or scipy's `x`, the search is done between those
        points.
    interval : tuple of float, optional
        (lo, hi), finite, lo < hi. None: the default interval of the problem that one side, or both, belong to: the span of
        its data and a quarter of it more on either side. Of several inputs a box, one such pair for each; None: their
        ``problem.default_box``.

    Returns
    -------
    Comparison
        Of several inputs a `BoxComparison`, whose sup is a lower bound: see `compare_on_box`, which has its settings.

    Raises
    ------
    DataError
        If `interval` is no such pair, if it is left out and neither side knows its problem, or they know different default
        intervals; if an argument is no function, or a value on the interval is not finite.
    CapabilityError
        For a prediction beside a run that was trained on another loss than the squared one, or with its output weights
        frozen: that limit is of other networks. Functions of runs, ``run.function``, are compared with anything.

    Notes
    -----
    Each piece is sampled at its two ends (with one-sided limits, so that jumps count) and at 12 Gauss nodes. The
    nodes give the integral; every local maximum of |f - g| among the samples that can still win is then refined to rounding
    error in the value (about 1e-8 piece widths in `argmax`).
    *Hypotheses, not checked:* |f - g| has at most one local maximum between neighbouring samples. Where one of the
    functions does not say where its knots are, the interval is cut into 1,000 more pieces, all equal, and its kinks are
    resolved to the error of that grid; smooth networks and limits of smooth units, which have none, take fewer.
    """
    for limit, run in ((f, g), (g, f)):
        if hasattr(limit, "multipliers") and hasattr(run, "loss_function"):
            require_lazy_training(run, "the limit of predict")
    interval = _default_interval(f, g) if interval is None else interval
    if _is_box(interval):
        return compare_on_box(f, g, interval)
    lo, hi = check_interval(interval)
    f, g = as_function(f, "f"), as_function(g, "g")
    cells = Cells(_cuts(f, g, lo, hi), 12)  # the square of a polynomial of degree 11 is integrated exactly
    left, right = cells.panels
    samples = np.column_stack([left, cells.nodes, np.nextafter(right, left)])
    samples[-1, -1] = hi

    def difference(x: Array) -> Array:
        return _values(f, "f", x) - _values(g, "g", x)

    delta = difference(samples)
    square = float((cells.weights * delta[:, 1:-1] ** 2).sum())
    sup, argmax = _largest(difference, samples, np.abs(delta))
    return Comparison(sup, math.sqrt(square), argmax, (lo, hi), (f, g))


def _is_box(interval: Any) -> bool:
    """Whether `interval` is one for each of several inputs."""
    try:
        return np.ndim(interval) == 2
    except ValueError:  # rows of different lengths, to be refused
        return False


def _default_interval(f: Any, g: Any) -> Any:
    """The default interval, or box, of the problems that f and g belong to, or a DataError."""
    known = [getattr(value, "problem", value) for value in (f, g)]
    found = list(dict.fromkeys(problem.default_place for problem in known if hasattr(problem, "default_place")))
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(
            "`interval` must be given where neither `f` nor `g` knows its problem, got none; pass interval=(lo, hi), or a "
            "prediction or trained network rather than its function"
        )
    raise DataError(
        f"`interval` must be given where the data of `f` and `g` have different spans, got none; take {found[0]} or "
        f"{found[1]}"
    )


def _values(function: Any, name: str, x: Array) -> Array:
    """function(x), checked; a constant is as good as an array of it."""
    values: Array = np.asarray(function(x), dtype=float)
    if values.shape not in (x.shape, ()) or not np.isfinite(values).all():
        raise DataError(
            f"`{name}` must map an array on the interval to finite numbers of its shape, got shape {values.shape} for "
            f"{x.shape} with {np.count_nonzero(~np.isfinite(values))} not finite; check it, or take a smaller interval"
        )
    return np.broadcast_to(values, x.shape)


def _cuts(f: Any, g: Any, lo: float, hi: float) -> Array:
    """lo, hi and everything in between where one of the functions may fail to be smooth."""
    known = [points for points in (_breaks(f), _breaks(g)) if points is not None]
    if len(known) < 2:
        pieces = max(of.pieces(lo, hi) if hasattr(of, "pieces") else _PIECES for of in (f, g) if _breaks(of) is None)
        known.append(np.linspace(lo, hi, min(pieces, _PIECES) + 1))
    cuts = np.concatenate(known)
    return np.asarray(np.unique(np.r_[lo, cuts[(cuts > lo) & (cuts < hi)], hi]))


def _breaks(function: Any) -> Array | None:
    """The piece ends of a function that knows them (`edges` and `knots` here, `x` in scipy), else None."""
    found = [getattr(function, name) for name in ("edges", "knots", "x") if hasattr(function, name)]
    return np.hstack([np.asarray(points, dtype=np.float64).ravel() for points in found]) if found else None


def _largest(difference: Any, samples: Array, size: Array) -> tuple[float, float]:
    """Largest |difference| and its place, from its samples `size` at the points `samples`, both of shape (N, S)."""
    row, column = np.unravel_index(int(size.argmax()), size.shape)
    sup, argmax = float(size[row, column]), float(samples[row, column])
    last = size.shape[1] - 1
    padded = np.column_stack([size[:, 2], size, size[:, -3]])  # outside a piece: two samples inwards, never a neighbour
    peak = size >= np.maximum(np.column_stack([size[:, 0], size[:, :-1]]), np.column_stack([size[:, 1:], size[:, -1]]))
    # a parabola rises above its largest sample by less than it falls to the lower neighbour; twice that, for safety
    fall = size - np.minimum(padded[:, :-2], padded[:, 2:])
    rows, columns = np.nonzero(peak & (size + 2 * fall > sup))
    a, b = samples[rows, np.maximum(columns - 1, 0)], samples[rows, np.minimum(columns + 1, last)]
    # a round cuts into eighths and keeps two; after 16 the value at a maximum, flat to 4^-32, no longer changes
    for _ in range(16 if rows.size else 0):
        x = a[:, None] + (b - a)[:, None] * np.linspace(0, 1, 9)
        value = np.abs(difference(x))
        best = value.argmax(axis=1)
        k = int(value.max(axis=1).argmax())
        if value[k, best[k]] > sup:
            sup, argmax = float(value[k, best[k]]), float(x[k, best[k]])
        every = np.arange(a.size)
        a, b = x[every, np.maximum(best - 1, 0)], x[every, np.minimum(best + 1, 8)]
    return sup, argmax
