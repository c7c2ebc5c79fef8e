r"""Divided differences as coordinates of data, and the dual functions that belong to them.

A divided difference :math:`[a_0, \dots, a_m]` of order m is a linear form on functions. Applied to
:math:`x \mapsto (\pm(x - c))_+^k` it gives a function of c: for m = k + 1 a B-spline, for m <= k a function that is zero
on one side of its points and a polynomial of degree k - m on the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.interpolate import BSpline
from scipy.sparse import csr_array

from splinebias._array import Array


def leja_points(x: Array, count: int) -> Array:
    """`count` of the points `x`, each as far as possible from those before it (in the product of the distances)."""
    chosen = [0]
    distance = np.abs(x - x[0])
    while len(chosen) < min(count, x.size):
        chosen.append(int(distance.argmax()))
        distance = distance * np.abs(x - x[chosen[-1]])
    return np.array(chosen)


def difference_weights(points: Array) -> Array:
    """Weights of the divided difference at the last axis of `points`, same shape."""
    gaps = points[..., :, None] - points[..., None, :]
    gaps[..., np.arange(points.shape[-1]), np.arange(points.shape[-1])] = 1.0
    return np.asarray(1 / gaps.prod(axis=-1))


class Pair(NamedTuple):
    """Sums of two doubles, which have twice the digits of one (Dekker's arithmetic; its last bits are not rounded)."""

    high: Array
    low: Array

    @classmethod
    def of(cls, values: Array) -> Pair:
        """Pairs that are these very doubles: high parts, with low parts 0."""
        return cls(values, np.zeros_like(values))

    @classmethod
    def gap(cls, end: Array, start: Array) -> Pair:
        """The difference end - start of doubles, without rounding."""
        return cls(*_two_sum(end, -start))

    def plus(self, other: Pair) -> Pair:
        """The sum with `other`."""
        total, lost = _two_sum(self.high, other.high)
        return self._with(total, lost + self.low + other.low)

    def times(self, other: Pair) -> Pair:
        """The product with `other`."""
        product, lost = _two_product(self.high, other.high)
        return self._with(product, lost + self.high * other.low + self.low * other.high)

    def over(self, other: Pair) -> Pair:
        """The quotient by `other`."""
        share = self.high / other.high
        product, lost = _two_product(share, other.high)
        rest = ((self.high - product) - lost) + self.low - share * other.low
        return self._with(share, rest / other.high)

    def __neg__(self) -> Pair:
        return Pair(-self.high, -self.low)

    @classmethod
    def _with(cls, high: Array, low: Array) -> Pair:
        """Their sum; what is out of doubles has no rest."""
        return cls(*_two_sum(high, np.where(np.isfinite(low), low, 0.0)))


@np.errstate(over="ignore", invalid="ignore")
def newton_coefficients(points: Array, values: Array | Pair) -> Array:
    r"""The divided differences :math:`[a_0], [a_0, a_1], \dots` of `values` at `points` a, along axis 0; same shape.

    As good as the numbers are, which are taken at their word: in pairs of doubles, because differences of order m of smooth
    values lose :math:`h^m` of their digits to the gap h.
    """
    table = values if isinstance(values, Pair) else Pair.of(values)
    found = [table.high[0]]
    for m in range(1, len(points)):
        change = Pair(table.high[1:], table.low[1:]).plus(-Pair(table.high[:-1], table.low[:-1]))
        table = change.over(Pair.gap(points[m:], points[:-m]))
        found.append(table.high[0])
    return np.array(found)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b and its rounding (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b and its rounding (Dekker)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Array) -> tuple[Array, Array]:
    """Two numbers of half the digits whose sum is a."""
    large = 134217729.0 * a  # 2^27 + 1
    high = large - (large - a)
    return high, a - high


def neighbour_forms(x: Array, order: int) -> Array:
    r"""Matrix (M - order, M) of :math:`(x_{j+m} - x_j) [x_j, \dots, x_{j+m}]`, m = `order`; empty if M <= order."""
    count = max(x.size - order, 0)
    forms = np.zeros((count, x.size))
    if count:
        windows = sliding_window_view(x, order + 1)
        weights = difference_weights(windows) * (windows[:, -1] - windows[:, 0])[:, None]
        forms[np.arange(count)[:, None], np.arange(count)[:, None] + np.arange(order + 1)] = weights
    return forms


def b_splines(x: Array, degree: int, c: Array) -> csr_array:
    """The dual functions of `neighbour_forms` of order degree + 1, for side +, at `c`: shape (len(c), M - degree - 1)."""
    count = max(x.size - degree - 1, 0)
    inside = np.flatnonzero((c > x[0]) & (c < x[-1]))
    if not (count and inside.size):
        return csr_array((c.size, count))
    pad = (x[-1] - x[0]) * np.arange(1, degree + 2) / (degree + 1)
    knots = np.concatenate([x[0] - pad[::-1], x, x[-1] + pad])
    table = csr_array(BSpline.design_matrix(c[inside], knots, degree))[:, degree + 1 : degree + 1 + count]
    spread = csr_array((np.ones(inside.size), (inside, np.arange(inside.size))), shape=(c.size, inside.size))
    return csr_array(spread @ table)


def truncated_power(points: Array, degree: int, c: Array) -> Array:
    r""":math:`[a_0, \dots, a_m] (\cdot - c)_+^k` for increasing `points` a, m <= k = `degree`; same shape as `c`.

    By the recursion of divided differences where c lies between the points, which then subtracts nothing nearly equal; where
    all points lie to the right of c, the power need not be cut and the complete symmetric polynomial of degree k - m in
    the :math:`a_i - c > 0` is the answer.
    """
    if points.size == 1:
        return np.asarray(np.maximum(points[0] - c, 0.0) ** degree)
    table = np.zeros(c.shape)
    left, between = c <= points[0], (c > points[0]) & (c < points[-1])
    table[left] = _complete_symmetric([a - c[left] for a in points], degree - points.size + 1)
    inner = c[between]
    change = truncated_power(points[1:], degree, inner) - truncated_power(points[:-1], degree, inner)
    table[between] = change / (points[-1] - points[0])
    return table


def _complete_symmetric(values: list[Array], degree: int) -> Array:
    """Sum of all monomials of one degree in `values`."""
    sums = [np.ones_like(values[0])] + [np.zeros_like(values[0]) for _ in range(degree)]
    for value in values:
        for d in range(1, degree + 1):
            sums[d] = sums[d] + value * sums[d - 1]
    return sums[degree]
