r"""The dual function g of a problem, in the O(M) coordinates of theory section 5.

For the two-slope activation :math:`\sigma(z) = p z_+ - q z_-` the dual functions
:math:`g_\pm(c) = \sum_i \lambda_i \sigma(\pm(x_i - c))` are piecewise linear with knots at the data. With
:math:`G(c) = \sum_i \lambda_i [x_i - c]_+` and :math:`\ell(c) = \sum_i \lambda_i (x_i - c) = A - Bc`,

.. math:: g_+ = (p - q) G + q\,\ell, \qquad g_- = (p - q) G - p\,\ell,

so the nodal values :math:`v_j = G(x_j)` (with :math:`v_M = 0`) and :math:`\beta = B (x_M - x_1)` determine everything:
:math:`\ell(c) = v_1 - \beta (c - x_1)/(x_M - x_1)`. A free affine part means
:math:`\sum \lambda_i = \sum \lambda_i x_i = 0`, that is :math:`\beta = v_1 = 0`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from splinebias._arguments import Array
from splinebias.activation import TwoSlope
from splinebias.potential import Potential

_ROUNDING = 1e-14  # of a line after many increments
_TORN = 1e-12  # part of g_s by which the two sides may disagree


class Zeros(NamedTuple):
    """Zeros, and how far they are from the data point before them (or the first one), shape (Z,)."""

    place: Array
    offset: Array


def line_factors(activation: TwoSlope, side: int) -> tuple[float, float]:
    r"""That of :math:`\ell` in g_side left of the data, where G is the line itself, and elsewhere."""
    p, q = activation.right, activation.left
    return (p, q) if side > 0 else (-q, -p)


def sides_agree(activation: TwoSlope, *, free: bool) -> bool:
    """Whether g_+ = g_- for all multipliers of a problem: densities may then be given as their sum, for side +1."""
    return free or activation.left == -activation.right


@dataclass(frozen=True, eq=False)
class DualFunction:
    r"""g_+ and g_- as functions.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    values : Array, shape (M,)
        The :math:`v_j` above; the last is 0.
    beta : float
        The :math:`\beta` above.
    activation : Activation
        Gives p and q.
    nodal : dict of Array, shape (M,)
        Per side, g at the data. Given by `values` and `beta`, but only up to their rounding: where g_- is a small difference
        of large numbers, increments (see `moved`) know it better. One array where the sides agree.
    """

    x: Array
    values: Array
    beta: float
    activation: TwoSlope
    nodal: dict[int, Array] = field(default_factory=dict)
    _known: dict[int, tuple[Potential, Array]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.nodal:
            self.nodal.update(_sides(self.activation.kink * self.values, self.line(self.x), self.activation))

    @classmethod
    def of(cls, x: Array, u: Array, activation: TwoSlope, *, free: bool) -> DualFunction:
        r"""From unknowns :math:`(\beta, v_1, \dots, v_{M-1})`, with a free affine part :math:`(v_2, \dots, v_{M-1})`."""
        if free:
            return cls(x, np.concatenate([[0.0], u, [0.0]]), 0.0, activation)
        return cls(x, np.concatenate([u[1:], [0.0]]), float(u[0]), activation)

    @classmethod
    def through(cls, x: Array, inner: Array, line: Array, factor: Array | float, activation: TwoSlope) -> DualFunction:
        r"""From g_s at the inner data, where `factor` is that of :math:`\ell` in it, and :math:`\ell` at the two ends."""
        first, last = line.tolist()
        along = first - (first - last) * ((x - x[0]) / (x[-1] - x[0]))
        kinks = inner - factor * along  # (p - q) G
        kinks[0], kinks[-1] = activation.kink * first, 0.0
        values = kinks / activation.kink
        values[0] = first
        return cls(x, values, first - last, activation, _sides(kinks, along, activation))

    def unknowns(self, *, free: bool) -> Array:
        """Inverse of `of`."""
        return self.values[1:-1] if free else np.concatenate([[self.beta], self.values[:-1]])

    def moved(self, step: DualFunction, still: float = 0.0) -> DualFunction:
        """The sum of the two, in which g at the data keeps the relative precision of the increments.

        What would move by less than `still`, relative to itself, stays: what was integrated next to it is known then.
        Where increments larger by powers of ten leave their rounding behind, the two sides are made from `values` anew.
        """
        plus = _sum(self.nodal[1], step.nodal[1], still)
        minus = plus if self.symmetric and step.symmetric else _sum(self.nodal[-1], step.nodal[-1], still)
        beta = float(_sum(np.array(self.beta), np.array(step.beta), still))
        new = DualFunction(self.x, _sum(self.values, step.values, still), beta, self.activation, {1: plus, -1: minus})
        return DualFunction(self.x, new.values, beta, self.activation) if new.torn > _TORN else new

    def times(self, factor: float) -> DualFunction:
        """A multiple of it."""
        plus = self.nodal[1] * factor
        nodal = {1: plus, -1: plus if self.symmetric else self.nodal[-1] * factor}
        return DualFunction(self.x, self.values * factor, self.beta * factor, self.activation, nodal)

    def curvature(self, potential: Potential, side: int) -> Array:
        r""":math:`(\phi')^{-1}(g_s)` at the data, shape (M,); remembered for one potential."""
        side = 1 if self.symmetric else side
        known = self._known.get(side)
        if known is None or known[0] is not potential:
            self._known[side] = known = (potential, np.asarray(potential.grad_inverse(self.nodal[side])))
        return known[1]

    @property
    def symmetric(self) -> bool:
        """Whether g_+ is known to be g_-."""
        return self.nodal[1] is self.nodal[-1]

    @property
    def torn(self) -> float:
        r"""How far :math:`g_+ - g_-` is from a multiple of :math:`\ell` at the data, relative to the larger of the two.

        Beyond rounding of :math:`\ell`: what increments larger by powers of ten leave behind, where nothing else shows it.
        """
        if self.symmetric:
            return 0.0
        plus, minus, line = self.nodal[1], self.nodal[-1], self.line(self.x)
        gap = np.abs(plus - minus - (self.factor(1) - self.factor(-1)) * line)
        gap -= _ROUNDING * np.abs(self.line_ends).max()
        size = np.maximum(np.abs(plus), np.abs(minus))
        return float(np.divide(gap, size, out=np.zeros_like(gap), where=(gap > 0) & (size > 0)).max())

    @property
    def span(self) -> float:
        """x_M - x_1."""
        return float(self.x[-1] - self.x[0])

    def line(self, c: Array) -> Array:
        r""":math:`\ell(c)`."""
        return np.asarray(self.values[0] - self.beta * ((c - self.x[0]) / self.span))

    @property
    def line_ends(self) -> Array:
        r""":math:`\ell` at the first and at the last data point."""
        return np.array([self.values[0], self.values[0] - self.beta])

    def factor(self, side: int) -> float:
        r"""That of :math:`\ell` in g_side among the data."""
        return line_factors(self.activation, side)[1]

    def __call__(self, c: Array, side: int) -> Array:
        """g_side at `c`, same shape."""
        inside = np.interp(c, self.x, self.nodal[side])
        before, after = c < self.x[0], c > self.x[-1]
        if not (before.any() or after.any()):
            return np.asarray(inside)
        factor = np.where(before, *line_factors(self.activation, side))
        return np.where(before | after, factor * self.line(c), inside)

    def zeros(self) -> Array:
        """All isolated zeros of g_+ and g_-, sorted."""
        sides = (1,) if self.symmetric else (1, -1)
        return np.unique(np.concatenate([self.zeros_of(side).place for side in sides]))

    def zeros_of(self, side: int) -> Zeros:
        """The isolated zeros of g_side, in order."""
        g, x = self.nodal[side], self.x
        (cross,) = (g[:-1] * g[1:] < 0).nonzero()
        offset = g[cross] / (g[cross] - g[cross + 1]) * (x[cross + 1] - x[cross])
        found = Zeros(x[cross] + offset, offset)
        if self.beta == 0:
            return found
        root = self.span * self.values[0] / self.beta  # of the line, relative to x_1
        if not np.isfinite(root) or 0 <= root <= self.span:
            return found
        if root < 0:
            return Zeros(np.concatenate([[x[0] + root], found.place]), np.concatenate([[root], found.offset]))
        return Zeros(np.concatenate([found.place, [x[0] + root]]), np.concatenate([found.offset, [root - self.span]]))

    def multipliers(self) -> Array:
        r"""The :math:`\lambda_i`: jumps of the slope of G, shape (M,)."""
        slopes = np.diff(self.values) / np.diff(self.x)
        return np.diff(np.concatenate([[-self.beta / self.span], slopes, [0.0]]))


def _sides(kinks: Array, line: Array, activation: TwoSlope) -> dict[int, Array]:
    r"""g_+ and g_- at the data from :math:`(p - q) G` and :math:`\ell` there."""
    factor, other = (line_factors(activation, side)[1] for side in (1, -1))
    plus = kinks + factor * line
    return {1: plus, -1: plus if factor == other or not line.any() else kinks + other * line}


def _sum(old: Array, change: Array, still: float) -> Array:
    """`old` + `change`, where that is a change by more than the part `still`."""
    new = old + change
    return np.where(np.abs(change) < still * np.abs(old), old, new) if still else np.asarray(new)
