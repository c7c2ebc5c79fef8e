r"""Least total curvature with free biases: interpolants and regularized fits, with the set of all that are as good.

A network without skip connection, biases free, makes f at the cost
:math:`\max(\int |f''|, |f'(-\infty) + f'(\infty)|)` (Savarese et al.). With T the total change of slope of the data and
:math:`S = |s_1 + s_{M-1}|` the least for interpolants is :math:`(T + \max(T, S))/2` (derived here): if S > T it pays to
bend by (S - T)/2 more, at or beyond the outer data. Regularized, with :math:`0 \le \rho \le 1`, the same trade reads

.. math:: \max_\rho \min_f\; L(f) + s (1 - \rho/2) \int |f''| + s (\rho/2) |f'(-\infty) + f'(\infty)|,

so that a search over :math:`\rho` in one dimension reduces it to fits with free affine part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from splinebias._array import Array
from splinebias.functions.piecewise import PiecewiseLinear
from splinebias.regimes.least_norm.bends import Bends, Masses, at_points, crossings, envelopes, paired
from splinebias.regimes.least_norm.kinked_fit import Fit, Kinked


@dataclass(frozen=True, eq=False)
class Found:
    """A function of least norm, and what is known about it.

    Attributes
    ----------
    function : PiecewiseLinear
        The function.
    masses : Masses
        Its knots and jumps, without the rounding of differences of values.
    norm : float
        Its norm.
    residual : float
        How far it is from optimal, relative.
    unique : bool
        Whether it has been shown to be the only one.
    lower, upper, sparsest : PiecewiseLinear or None
        Envelopes of all minimizers and one with fewest knots; None where they are not known.
    steps : int
        Systems solved.
    """

    function: PiecewiseLinear
    masses: Masses
    norm: float
    residual: float
    unique: bool
    lower: PiecewiseLinear | None = None
    upper: PiecewiseLinear | None = None
    sparsest: PiecewiseLinear | None = None
    steps: int = 0


def interpolant(bends: Bends, *, free: bool) -> Found:
    """The functions of least norm through the points of `bends`; `free`: with a skip connection."""
    surplus = 0.0 if free else max(abs(_ends(bends)) - bends.total, 0.0) / 2
    return _described(bends, surplus, free=free, residual=0.0, steps=0)


def fit(x: Array, y: Array, m: Array, s: float, *, free: bool) -> Found:
    """The minimizers of the loss plus s times the norm."""
    plain = Fit(x, y, m)
    if free:
        found, steps = plain.solve(s)
        return _described(plain.bends(found), 0.0, free=True, residual=residual(found, s), steps=steps)
    steps, last = 0, [plain.solve(s)[0]]

    sign = float(np.sign(_ends(plain.bends(last[0])))) or 1.0

    def excess(rho: float) -> float:
        """Twice the mean slope less total curvature, at the fit for rho."""
        nonlocal steps
        tilted = plain.tilted(sign * s * rho / 2)
        last[0], count = tilted.solve(s * (1 - rho / 2), last[0])
        steps += count
        return sign * _ends(tilted.bends(last[0])) - float(np.abs(last[0].jumps).sum())

    rho = 0.0
    if excess(0.0) > 0:
        rho = 1.0 if excess(1.0) >= 0 else brentq(excess, 0.0, 1.0, xtol=1e-15, rtol=1e-14)
        rho = float(rho)
    over = excess(rho)
    tilted = plain.tilted(sign * s * rho / 2)
    bends = tilted.bends(last[0])
    if 0 < rho < 1 and not last[0].knots.size:  # ends that add up to nothing, and no bends: a constant
        bends = Bends(x, np.full_like(y, np.average(y, weights=m)), np.zeros(x.size - 1), np.zeros(x.size))
    surplus = max(over, 0.0) / 2 if rho == 1.0 else 0.0
    slack = abs(over) * (rho * (1 - rho)) * s / max(plain.loss(0 * y), np.finfo(float).tiny)
    left = max(residual(last[0], s * (1 - rho / 2)), slack)
    return _described(bends, surplus, free=False, residual=left, steps=steps)


def residual(found: Kinked, s: float) -> float:
    """How far G is beyond s anywhere, and from s at knots, relative to s."""
    at_knots = np.abs(found.dual[found.knots] - s * found.signs)
    return float(max(np.abs(found.dual).max() - s, at_knots.max(initial=0.0), 0.0) / s)


def _ends(bends: Bends) -> float:
    """The slope before the data plus that behind them."""
    return float(bends.slopes[0] + bends.slopes[-1])


def _described(bends: Bends, surplus: float, *, free: bool, residual: float, steps: int) -> Found:
    """The minimizers whose curvature is that of `bends` and `surplus` more of it where that turns the ends towards zero."""
    ends = _ends(bends)
    turn = float(np.sign(ends)) * surplus
    halves = bends.with_ends(turn / 2, -turn / 2)
    masses = at_points(halves)
    function = masses.function(halves, halves.before, halves.after)
    all_of_it = bends.with_ends(turn, -turn)
    lower, upper = envelopes(all_of_it)
    choices = [(paired(one), one) for one in (bends.with_ends(turn, 0.0), bends.with_ends(0.0, -turn))]
    fewest, bent = min(choices, key=lambda choice: choice[0].knots.size)
    return Found(
        function,
        masses,
        bends.total if free else (bends.total + max(bends.total, abs(ends))) / 2,
        residual,
        not surplus and not bool(crossings(bends)[0].any()),
        lower,
        upper,
        fewest.function(bent, bent.before, bent.after),
        steps,
    )
