r"""What a function asks of the neurons, and what that costs at least: bends, and the terms for slope and offset.

Units with w > 0 and with w < 0 both bend. With :math:`\sigma(z) = p z_+^k - q z_-^k` (k = 1, or p = 1 and q = 0) and
:math:`a_s` the E[|w|^k alpha] of side s per breakpoint, a function
:math:`h(x) = \int D(c) [x - c]_+^k dc + P(x)`, :math:`D = h^{(k+1)}/k!`, P a polynomial of degree k, asks for

.. math:: (p - q)(a_+ + (-1)^{k+1} a_-) = D, \qquad -\int \tau(c) (c - x)^k dc = P(x), \qquad \tau = q a_+ - p a_- .

For k = 1 the second is :math:`\int \tau = S`, :math:`\int c\,\tau = -I`, with P(x) = S x + I. For the quadratic potential
the cheapest way is explicit, `Demand.bending_cost` and `Demand.slope_cost`; for others `units_apart.Split` finds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.curvature_penalty.measured_curvature import MeasuredCurvature, Reader
from splinebias.curvature_penalty.units_apart import Split, models_at
from splinebias.numerics.cells import Cells, bisect_until, panel_nodes, unresolved
from splinebias.potential import Potential


@dataclass(frozen=True, eq=False)
class Demand:
    r"""The D and P above, to be made by the neurons of a law.

    Attributes
    ----------
    reader : Reader
        The law, the k above, and the coordinate u.
    function : MeasuredCurvature
        D and P.
    slopes : TwoSlope
        Gives p and q.
    ties : int
        Number of the moments :math:`\int u^j \tau`, j = 0, 1, ..., that are prescribed: k + 1, or k - 1 if the affine part
        of P is free.
    missing : Array of shape (ties,) or None
        What is prescribed, less what those moments are when every side takes its share :math:`\zeta_s/\zeta` of D; None if
        nothing is asked, or nothing can be done about it.
    """

    reader: Reader
    function: MeasuredCurvature
    slopes: TwoSlope
    ties: int
    missing: Array | None = None

    @property
    def cells(self) -> Cells:
        """The cells of the quadrature on which the demand is integrated."""
        return self.function.cells

    def met(self, slack: float) -> Demand | None:
        """The demand with its missing moments; None if no neurons can make up for them, up to `slack` of what is asked."""
        if self.ties == 0:
            return self
        k, polynomial, span = self.reader.degree, self.function.polynomial, self.reader.span
        asked = np.array([-((-1) ** (k - j)) * polynomial[k - j] / math.comb(k, j) for j in range(self.ties)]) / span**k
        points, masses = self.function.points, self.function.masses
        lever = self.reader.lever(points)[: self.ties]
        missing = asked - (lever * (masses * self.tie(points))).sum(axis=1)
        if (self._exchange > 0).any():
            return replace(self, missing=missing)
        # the sides cannot trade: Abs, which is even, or one sign of w at every breakpoint
        size = np.abs(asked) + (np.abs(lever) * np.abs(masses)).sum(axis=1)
        return self if (np.abs(missing) <= slack * size).all() else None

    def tie(self, c: Array) -> Array:
        r""":math:`\tau/D` when every side takes its share :math:`\zeta_s/\zeta` of D, same shape as `c`."""
        p, q, (plus, minus) = self.slopes.right, self.slopes.left, self.reader.law.shares(c, self.reader.degree)
        return np.asarray((q * plus - (-1) ** (self.reader.degree + 1) * p * minus) / self.slopes.kink)

    @cached_property
    def curvature(self) -> Array:
        """D at the nodes of `cells`, shape (N, q), without noise."""
        return self.curvature_on(*self.cells.panels)

    def curvature_on(self, left: Array, right: Array) -> Array:
        """D at the nodes of panels, without what is rounding: that would count in a quotient by a small zeta.

        A value is rounding if it is below 1e-13 of the largest on its panel, or if, taken for the whole panel, it moves h
        by less than 1e-13 of what all of D does (laws are resolved to about that).
        """
        nodes, weights = panel_nodes(left, right, self.cells.order)
        values = self.function.highest(nodes)
        moves = np.abs(values) * weights.sum(axis=1, keepdims=True) * self._reach(nodes)
        heard = (np.abs(values) > 1e-13 * np.abs(values).max(axis=1, keepdims=True)) & (moves > self._noise)
        return np.where(heard, values, 0.0)

    def _reach(self, c: Array) -> Array:
        """How far D at breakpoints `c` moves h among the data, within a factor of span^k."""
        return np.asarray((1 + np.abs(c - self.reader.middle) / self.reader.span) ** self.reader.degree)

    @cached_property
    def _noise(self) -> float:
        """What is rounding in how far D moves h."""
        nodes = self.cells.nodes
        return 1e-13 * float((self.cells.weights * np.abs(self.function.highest(nodes)) * self._reach(nodes)).sum())

    @cached_property
    def _exchange(self) -> Array:
        r"""Weights, shape (N, q), of :math:`\int (p + q)^2 \zeta_+ \zeta_-/\zeta`: how cheaply the sides trade curvature."""
        plus, minus = (side.zeta(self.cells.nodes, self.reader.degree) for side in self.reader.law.sides)
        omega = plus * minus / np.where(plus + minus > 0, plus + minus, 1.0)
        return np.asarray((self.slopes.right + self.slopes.left) ** 2 * self.cells.weights * omega)

    def bending_cost(self) -> float:
        r""":math:`(p - q)^{-2} \int D^2/\zeta`: the least :math:`E[\alpha^2]` of D alone."""
        zeta = self.reader.zeta(self.cells.nodes)
        ratio = np.divide(self.curvature, zeta, out=np.zeros_like(zeta), where=zeta > 0)
        return float((self.cells.weights * self.curvature * ratio).sum()) / self.slopes.kink**2

    def slope_cost(self) -> float:
        r""":math:`d^T G^{-1} d`: what slope and offset add to the least :math:`E[\alpha^2]`.

        d are the missing moments, G the Gram matrix of 1, u, u^2, ... with the weights of `_exchange`.
        """
        if self.missing is None:
            return 0.0
        live = self._exchange > 0
        columns = self.reader.lever(self.cells.nodes[live])[: self.ties] * np.sqrt(self._exchange[live])
        scale = np.sqrt((columns**2).sum(axis=1))
        # G = R^T R with R of half the digits of G's condition number
        triangle = np.linalg.qr((columns / scale[:, None]).T, mode="r")
        part = solve_triangular(triangle, self.missing / scale, trans="T")
        return float(part @ part)

    def convex_cost(self, potential: Potential) -> float:
        r"""Least :math:`E[D_\phi(\alpha, 0)]` for any convex potential; two slopes only.

        Cells are bisected until the cost density is resolved, since alpha is singular where g changes sign.

        Raises
        ------
        SolveError
            If the missing moments cannot be met to 1e-8.
        """
        steep = self.reader.law.steep(potential.moment_order)
        demand, cost = replace(self, reader=self.reader._replace(law=steep)), math.inf
        for _ in range(4):
            split = demand._split(potential, *demand.cells.panels, demand._moments())
            point = split.solve()
            cost = float((split.weights * point.penalty).sum())
            finer = demand._refined(potential, point.line)
            if finer.edges.size == demand.cells.edges.size:
                break
            demand = replace(demand, function=demand.function._replace(cells=finer))
        return cost

    def _split(self, potential: Potential, left: Array, right: Array, moments: Array | None) -> Split:
        """D on panels, to be split between the sides."""
        nodes, weights = panel_nodes(left, right, self.cells.order)
        half = self.curvature_on(left, right) / self.slopes.kink
        return Split(
            models_at(self.reader.law, potential, nodes), self.slopes, half, weights, self.reader.lever(nodes), moments
        )

    def _moments(self) -> Array | None:
        r"""The prescribed :math:`\int (1, u)\, \tau`."""
        if self.missing is None:
            return None
        shares = self.cells.weights * self.tie(self.cells.nodes) * self.curvature
        return np.asarray(self.missing + np.einsum("ink,nk->i", self.reader.lever(self.cells.nodes), shares))

    def _refined(self, potential: Potential, line: Array) -> Cells:
        """The cells, bisected until the cost density, for this line, is resolved."""

        def cost(left: Array, right: Array) -> tuple[Array, Array]:
            split = self._split(potential, left, right, None)
            density = split.at(line).penalty
            return density, np.asarray((split.weights * density).sum(axis=1))

        total = float(cost(*self.cells.panels)[1].sum())

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            return unresolved(*cost(left, right), total, tolerance, negligible=1e-12)

        return bisect_until(self.cells, failing)
