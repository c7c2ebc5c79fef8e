r"""Sums of polynomials behind gates: what a network is to first order, exact, jumps included.

.. math:: f(x) = q(x) + \sum_k s_k(x)\, q_k(x), \qquad
          s_k(x) = \text{right where } w_k x + b_k > 0, \text{ left elsewhere}.

The gate of a unit switches at its breakpoint :math:`c_k = -b_k/w_k`. The polynomials need not vanish there: where
:math:`q_k(c_k) \ne 0`, f jumps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._array import Array
from splinebias.functions.piecewise import PiecewisePolynomial, with_powers_of_two

_FAR = 1e12  # gates that switch beyond this are taken as never switching: exact for |x| < _FAR


@dataclass(frozen=True, eq=False)
class Gates:
    r"""The half lines on which units are on their right side.

    Attributes
    ----------
    switch : Array, shape (n,)
        The breakpoints c above, infinite for gates that do not switch.
    opens_right : Array of bool, shape (n,)
        Whether the right side of the unit is :math:`x \ge c`; else it is :math:`x < c`: at c, the limit from the right.
    """

    switch: Array
    opens_right: NDArray[np.bool_]

    @classmethod
    def of_units(cls, w: Array, b: Array) -> Gates:
        """The gates of units with weights `w` and biases `b`, shape (n,), finite (not checked)."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            c = -b / w
        near = np.abs(c) < _FAR  # False for nan as well
        return cls(np.where(near, c, np.where(b > 0, -np.inf, np.inf)), np.where(near, w > 0, True))

    def before(self, x: Array) -> NDArray[np.intp]:
        """How many of the increasing points `x` lie left of each breakpoint, shape (n,)."""
        return np.searchsorted(x, self.switch)


def gated_sum(
    gates: Gates, polynomials: Array, sides: tuple[float, float], base: Array, origin: float
) -> PiecewisePolynomial:
    r"""The f above as a piecewise polynomial with knots at the breakpoints.

    Parameters
    ----------
    gates : Gates
        The gates of the n units.
    polynomials : Array, shape (n, p + 1)
        Coefficients of :math:`q_k` in rising powers of x - `origin`.
    sides : (float, float)
        (left, right) above.
    base : Array, shape (p + 1,)
        Coefficients of q.
    origin : float
        Where polynomials are expanded: near the points of interest.
    """
    left, right = sides
    near = np.isfinite(gates.switch)
    knots, index = np.unique(gates.switch[near], return_inverse=True)
    edges = with_powers_of_two(np.union1d(knots, origin))
    opens = gates.opens_right[near]
    place = 1 + np.searchsorted(edges, knots)[index]  # the first piece right of the knot; piece 0 ends at the first edge
    before = np.where(opens, left, right)
    first = base + (before[:, None] * polynomials[near]).sum(axis=0)
    always = np.where(gates.switch[~near] < 0, right, left)
    first = first + (always[:, None] * polynomials[~near]).sum(axis=0)
    jumps = np.zeros((edges.size + 1, polynomials.shape[1]))
    jumps[0] = first
    np.add.at(jumps, place, np.where(opens, right - left, left - right)[:, None] * polynomials[near])
    pad = max(1.0, np.spacing(np.abs(edges).max()))
    ends = np.r_[edges[0] - pad, edges, edges[-1] + pad]
    pieces = _moved(np.cumsum(jumps, axis=0), ends[:-1] - origin)
    return PiecewisePolynomial(PPoly(pieces[:, ::-1].T, ends, extrapolate=True), knots)


def _moved(polynomials: Array, by: Array) -> Array:
    """Polynomials in rising powers of v as ones of v - `by`, row by row, shape (N, p + 1)."""
    degree = polynomials.shape[1] - 1
    moved = np.zeros_like(polynomials)
    for j in range(degree, -1, -1):  # Horner: from the highest coefficient down, every power of `by` once
        for i in range(degree, j - 1, -1):
            moved[:, j] = moved[:, j] * by + math.comb(i, j) * polynomials[:, i]
    return moved
