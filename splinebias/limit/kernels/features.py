r"""Kernels of the two layers of a network, and the functions they span, as piecewise polynomials.

The features of a neuron are :math:`\sigma(wx + b)`, through its output weight, and :math:`\sigma'(wx + b)`, through
(w, b). With :math:`\tau = \sigma^{(\nu)}`, homogeneous of degree :math:`m = k - \nu`, both have kernels of one form,

.. math:: K_\nu(x, x') = E[\tau(wx + b)\, \tau(wx' + b)]
          = \sum_{s = \pm 1} \int \zeta^{(m)}_s(c)\, \tau(s(x - c))\, \tau(s(x' - c))\, dc,

and :math:`F = \sum_i \lambda_i K_\nu(\cdot, x_i)` is a spline: :math:`F^{(m+1)} = J \sum_s s^{m+1} \zeta^{(m)}_s g_s`
with the jump J of :math:`\sigma^{(k)}` at zero and the dual functions :math:`g_s(c) = \sum_i \lambda_i \tau(s(x_i - c))`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PPoly

from splinebias._arguments import Array
from splinebias.activation import Activation
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.numerics.cells import Cells
from splinebias.numerics.repeated_integrals import integrate_through

_NODES = 16  # per cell, where zeta is no polynomial
_DOUBLINGS = 200  # of the distance from the data: beyond that, no law with moments has mass


@dataclass(frozen=True, eq=False)
class FeatureKernel:
    r"""The kernel :math:`K_\nu` above.

    Attributes
    ----------
    law : BreakpointLaw
        Gives :math:`\zeta^{(m)}`.
    activation : Activation
        The :math:`\sigma` above.
    derivative : int
        The :math:`\nu` above: 0 (output layer) or 1 (hidden layer).
    """

    law: BreakpointLaw
    activation: Activation
    derivative: int = 0

    @property
    def degree(self) -> int:
        """The degree m above."""
        return self.activation.degree - self.derivative

    def feature(self, z: Array) -> Array:
        r""":math:`\tau(z)`, same shape."""
        act = self.activation
        return np.asarray(act.derivative(z) if self.derivative else act.value(z), dtype=float)

    def zeta(self, c: Array, side: int) -> Array:
        r""":math:`\zeta^{(m)}_s(c)`, same shape as `c`."""
        return self.law.zeta(c, side, self.degree)

    def cells(self, points: Array) -> Cells:
        """Cells that hold `points` (at least two, increasing) and resolve zeta.

        Their rule has m more nodes than resolve zeta, which resolve :math:`F^{(m+1)}`, zeta times a polynomial of degree m.
        For m > 1 they are half as wide, because the moments of order 2m of zeta then cancel and have to be right to
        rounding, and none is wider than it is far from the data, because F grows like the m-th power of the distance.
        """
        if self.law.degree is not None:
            return integration_cells(self.law, points, self.degree + self.law.degree + 1, self.degree)
        cells = integration_cells(self.law, points, _NODES, self.degree)
        if self.degree <= 1:
            return Cells(cells.edges, _NODES + self.degree, cells.resolved)
        (left, right), span = cells.panels, points[-1] - points[0]
        steps = span * 2.0 ** np.arange(_DOUBLINGS)
        far = np.r_[points[0] - steps, points[-1] + steps]
        far = far[(far > cells.edges[0]) & (far < cells.edges[-1])]
        return Cells(np.unique(np.r_[cells.edges, (left + right) / 2, far]), _NODES + self.degree, cells.resolved)

    def resolved(self, x: Array) -> bool:
        """Whether `cells` on the points `x` resolve zeta."""
        return self.cells(enough_points(x, self.degree + 1)).resolved

    def matrix(self, x: Array, x2: Array) -> Array:
        """K at all pairs, shape (len(x), len(x2)).

        Exact up to the quadrature of zeta: all points are cell edges, so every integrand is smooth on every cell.
        """
        points = np.unique(np.r_[x, x2])
        if points.size == 1:
            points = np.r_[points, points + 1.0]
        return self.matrix_on(self.cells(points), x, x2)

    def matrix_on(self, cells: Cells, x: Array, x2: Array) -> Array:
        """The same on given cells, of which all points are edges."""
        c, weights = cells.nodes.ravel(), cells.weights.ravel()
        total = np.zeros((x.size, x2.size))
        for side in (1, -1):
            weighted = weights * self.zeta(c, side)
            total += (self.feature(side * (x[:, None] - c)) * weighted) @ self.feature(side * (x2[:, None] - c)).T
        return total

    def combination(self, x: Array, weights: Array) -> PPoly:
        r""":math:`F = \sum_i w_i K(\cdot, x_i)`, with every x_i among the piece ends.

        Parameters
        ----------
        x, weights : Array, shape (M,)
            Increasing points, M >= 2, and weights of the sum.
        """
        points = enough_points(x, self.degree + 1)
        cells = self.cells(points)
        return self.combination_on(cells, x, weights, points, self.matrix_on(cells, points, x) @ weights)

    def combination_on(self, cells: Cells, x: Array, weights: Array, points: Array, values: Array) -> PPoly:
        """The same on given cells, as fine as those of `cells` or finer.

        Parameters
        ----------
        cells : Cells
            Of which `x` and `points` are edges.
        x, weights : Array, shape (M,)
            As above.
        points, values : Array, shape (P,)
            P >= max(m + 1, 2) points and F there.
        """
        nodes = cells.nodes
        highest = np.zeros(nodes.shape)
        for side in (1, -1):
            g = np.zeros(nodes.shape)
            for xi, weight in zip(x, weights, strict=True):
                g += weight * self.feature(side * (xi - nodes))
            highest += side ** (self.degree + 1) * self.zeta(nodes, side) * g
        return integrate_through(cells.edges, self.activation.kink * highest, self.degree + 1, points, values)


def enough_points(x: Array, count: int) -> Array:
    """`x`, and if that is less than `count` points, more on both sides, a span apart: they tie down what lies outside."""
    span = x[-1] - x[0]
    while x.size < count:
        x = np.r_[x[0] - span, x, x[-1] + span]
    return x
