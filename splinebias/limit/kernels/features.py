r"""Kernels of the two layers of a network, and the functions they span, as piecewise polynomials.

The features of a neuron are :math:`\sigma(wx + b)`, through its output weight, and :math:`\sigma'(wx + b)`, through
(w, b). With :math:`\tau = \sigma^{(\nu)}`, homogeneous of degree :math:`m = k - \nu`, both have kernels of one form,

.. math:: K_\nu(x, x') = E[\tau(wx + b)\, \tau(wx' + b)]
          = \sum_{s = \pm 1} \int \zeta^{(m)}_s(c)\, \tau(s(x - c))\, \tau(s(x' - c))\, dc,

and :math:`F = \sum_i \lambda_i K_\nu(\cdot, x_i)` is a spline: :math:`F^{(m+1)} = J \sum_s s^{m+1} \zeta^{(m)}_s g_s`
with the jump J of :math:`\sigma^{(k)}` at zero and the dual functions :math:`g_s(c) = \sum_i \lambda_i \tau(s(x_i - c))`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.interpolate import PPoly

from splinebias._array import Array
from splinebias.activation import Homogeneous
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.numerics.cells import Cells
from splinebias.numerics.repeated_integrals import integrate_through

if TYPE_CHECKING:
    from splinebias.initialization.breakpoints import BreakpointLaw, Side


_LOPSIDED = 4.0  # gaps between points, one beside the other


class Combination(NamedTuple):
    r"""A sum :math:`\sum_i w_i K(\cdot, x_i)` of kernel functions.

    Attributes
    ----------
    pieces : PPoly
        The sum, with every x_i among the piece ends.
    resolved : bool
        Whether its cells resolve the law.
    """

    pieces: PPoly
    resolved: bool


@dataclass(frozen=True, eq=False)
class FeatureKernel:
    r"""The kernel :math:`K_\nu` above.

    Attributes
    ----------
    law : BreakpointLaw
        Gives :math:`\zeta^{(m)}`.
    activation : Homogeneous
        The :math:`\sigma` above.
    derivative : int
        The :math:`\nu` above: 0 (output layer) or 1 (hidden layer).
    """

    law: BreakpointLaw
    activation: Homogeneous
    derivative: int = 0

    @property
    def degree(self) -> int:
        """The degree m of the activation."""
        return self.activation.degree - self.derivative

    def feature(self, side: Side, x: Array, c: Array) -> Array:
        r""":math:`\tau(s(x - c))` for units of a side, at points and breakpoints of shapes that go together."""
        z, act = side.sign * (x - c), self.activation
        return np.asarray(act.derivative(z) if self.derivative else act.value(z), dtype=float)

    def cells(self, points: Array) -> Cells:
        """Cells that hold `points` (at least two, increasing) and resolve zeta.

        Their rule has m more nodes than resolve zeta, which resolve :math:`F^{(m+1)}`, zeta times a polynomial of degree m.
        For m > 1 they are half as wide, because the moments of order 2m of zeta then cancel and have to be right to
        rounding, and none is wider than it is far from the data, because F grows like the m-th power of the distance. So do
        those on the left of close points become narrow towards them: pieces are powers of the way from their left end,
        where F may be larger by all digits.
        """
        if self.law.degree is not None:
            cells = integration_cells(self.law, points, self.degree + self.law.degree + 1, self.degree)
            finer = _steps_left(points, cells.edges[0]) if self.degree > 1 else np.zeros(0)
            return Cells(np.union1d(cells.edges, finer), cells.order, cells.resolved)
        cells, order = integration_cells(self.law, points, degree=self.degree), 16 + self.degree
        if self.degree <= 1:
            return Cells(cells.edges, order, cells.resolved)
        (left, right), span = cells.panels, points[-1] - points[0]
        steps = span * 2.0 ** np.arange(200)  # beyond that, no law with moments has mass
        far = np.r_[points[0] - steps, points[-1] + steps, _steps_left(points, cells.edges[0])]
        far = far[(far > cells.edges[0]) & (far < cells.edges[-1])]
        return Cells(np.unique(np.r_[cells.edges, (left + right) / 2, far]), order, cells.resolved)

    def matrix(self, x: Array, x2: Array) -> Array:
        """The kernel at all pairs of points, shape (len(x), len(x2)).

        Exact up to the quadrature of zeta: all points are cell edges, so every integrand is smooth on every cell.
        """
        points = np.unique(np.r_[x, x2])
        if points.size == 1:
            points = np.r_[points, points + 1.0]
        return self.matrix_on(self.cells(points), x, x2)

    def matrix_on(self, cells: Cells, x: Array, x2: Array) -> Array:
        """The kernel at all pairs of points, shape (len(x), len(x2)), from given cells, of which all points are edges."""
        c, weights = cells.nodes.ravel(), cells.weights.ravel()
        total = np.zeros((x.size, x2.size))
        for side in self.law.sides:
            weighted = weights * side.zeta(c, self.degree)
            total += (self.feature(side, x[:, None], c) * weighted) @ self.feature(side, x2[:, None], c).T
        return total

    def combination(self, x: Array, weights: Array) -> Combination:
        r""":math:`F = \sum_i w_i K(\cdot, x_i)`.

        Parameters
        ----------
        x, weights : Array, shape (M,)
            Increasing points, M >= 2, and weights of the sum.
        """
        points = enough_points(x, self.degree + 1, self.law)
        cells = self.cells(points)
        values = self.matrix_on(cells, points, x) @ weights
        return Combination(self.combination_on(cells, x, weights, points, values), cells.resolved)

    def combination_on(self, cells: Cells, x: Array, weights: Array, points: Array, values: Array) -> PPoly:
        r""":math:`F = \sum_i w_i K(\cdot, x_i)` on given cells, as fine as those of the method `cells` or finer.

        Parameters
        ----------
        cells : Cells
            Of which `x` and `points` are edges.
        x, weights : Array, shape (M,)
            Increasing points, M >= 2, and weights of the sum.
        points, values : Array, shape (P,)
            P >= max(m + 1, 2) points and F there.
        """
        nodes = cells.nodes
        highest = np.zeros(nodes.shape)
        for side in self.law.sides:
            g = np.zeros(nodes.shape)
            for xi, weight in zip(x, weights, strict=True):
                g += weight * self.feature(side, xi, nodes)
            highest += side.sign ** (self.degree + 1) * side.zeta(nodes, self.degree) * g
        return integrate_through(cells.edges, self.activation.kink * highest, self.degree + 1, points, values)


def enough_points(x: Array, count: int, law: BreakpointLaw) -> Array:
    """`x`, and if that is less than `count` points, more on the right, `reach` apart: they tie down what lies outside."""
    return np.concatenate([x, x[-1] + reach(x, law) * np.arange(1, count - x.size + 1)])


def reach(x: Array, law: BreakpointLaw) -> float:
    """How far beyond points a function turns: their span, or half of the way to the breakpoints if that is more."""
    far = np.abs(law.landmarks - (x[0] + x[-1]) / 2)
    return max(float(x[-1] - x[0]), float(np.median(far[np.isfinite(far)])) / 2)


def _steps_left(points: Array, end: float) -> Array:
    """Places on the left of points that are close to the next, from `end` on: ever closer to each other towards them."""
    gaps = np.diff(np.r_[min(end, points[0]), points])
    close = np.flatnonzero(gaps[:-1] > _LOPSIDED * gaps[1:])
    steps = [points[j] - gaps[j + 1] * 2.0 ** np.arange(1, math.log2(gaps[j]) - math.log2(gaps[j + 1])) for j in close]
    return np.concatenate([*steps, np.zeros(0)])
