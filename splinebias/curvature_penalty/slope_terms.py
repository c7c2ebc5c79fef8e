r"""What a function asks of the neurons, and what that costs at least.

Units with w > 0 and with w < 0 both bend. With :math:`\sigma(z) = p z_+^k - q z_-^k` (k = 1, or p = 1 and q = 0) and
:math:`a_s` the E[|w|^k alpha] of side s per breakpoint, a function
:math:`h(x) = \int D(c) [x - c]_+^k dc + P(x)`, :math:`D = h^{(k+1)}/k!`, P a polynomial of degree k, asks for

.. math:: (p - q)(a_+ + (-1)^{k+1} a_-) = D, \qquad -\int \tau(c) (c - x)^k dc = P(x), \qquad \tau = q a_+ - p a_- .

For k = 1 the second is :math:`\int \tau = S`, :math:`\int c\,\tau = -I`, with P(x) = S x + I. For the quadratic potential
the cheapest way is explicit; for others `units_apart` finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from splinebias._arguments import Array
from splinebias.activation import TwoSlope
from splinebias.curvature_penalty.units_apart import Split, models_at
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.numerics.cells import Cells, bisect_until, panel_nodes, unresolved
from splinebias.potential import Potential

_REFINEMENTS = 4
_IGNORED = 1e4  # unresolved parts of the cost below 1e-16 times this, relative, are left alone


@dataclass(frozen=True, eq=False)
class Bend:
    r"""The D and P above, to be made by the neurons of a law.

    Attributes
    ----------
    law : BreakpointLaw
        The neurons.
    slopes : TwoSlope
        Gives p and q.
    degree : int
        The k above.
    cells : Cells
        Quadrature on which zeta and D are resolved.
    highest : callable
        D as a vectorized function.
    origin, unit : float
        Of the coordinate u = (c - origin)/unit.
    ties : int
        Number of the moments :math:`\int u^j \tau`, j = 0, 1, ..., that are prescribed: k + 1, or k - 1 if the affine part
        of P is free.
    missing : Array of shape (ties,) or None
        What is prescribed, less what those moments are when every side takes its share :math:`\zeta_s/\zeta` of D; None if
        nothing is asked, or nothing can be done about it.
    """

    law: BreakpointLaw
    slopes: TwoSlope
    degree: int
    cells: Cells
    highest: Callable[[Array], Array]
    origin: float
    unit: float
    ties: int
    missing: Array | None = None

    def lever(self, c: Array) -> Array:
        """1, u, ..., u^k at `c`, stacked in front."""
        u = (c - self.origin) / self.unit
        return np.stack([u**j for j in range(self.degree + 1)])

    def asked(self, polynomial: Array) -> Array:
        r"""The moments :math:`\int u^j \tau`, shape (ties,), that make P, given by its coefficients in u, lowest first."""
        k = self.degree
        return np.array([-((-1) ** (k - j)) * polynomial[k - j] / math.comb(k, j) for j in range(self.ties)]) / self.unit**k

    def tie(self, c: Array) -> Array:
        r""":math:`\tau/D` when every side takes its share :math:`\zeta_s/\zeta` of D, same shape as `c`."""
        p, q, (plus, minus) = self.slopes.right, self.slopes.left, self.law.shares(c, self.degree)
        return np.asarray((q * plus - (-1) ** (self.degree + 1) * p * minus) / self.slopes.kink)

    @cached_property
    def zeta(self) -> tuple[Array, Array]:
        r""":math:`\zeta_+` and :math:`\zeta_-` at the nodes of `cells`, (N, q) each."""
        return self.law.zeta(self.cells.nodes, 1, self.degree), self.law.zeta(self.cells.nodes, -1, self.degree)

    @cached_property
    def curvature(self) -> Array:
        """D at the nodes of `cells`, shape (N, q), without noise."""
        return self.curvature_on(self.cells.edges[:-1], self.cells.edges[1:])

    def curvature_on(self, left: Array, right: Array) -> Array:
        """D at the nodes of panels, without what is rounding: that would count in a quotient by a small zeta.

        A value is rounding if it is below 1e-13 of the largest on its panel, or if, taken for the whole panel, it moves h
        by less than 1e-13 of what all of D does (laws are resolved to about that).
        """
        nodes, weights = panel_nodes(left, right, self.cells.order)
        values = self.highest(nodes)
        moves = np.abs(values) * weights.sum(axis=1, keepdims=True) * self._reach(nodes)
        heard = (np.abs(values) > 1e-13 * np.abs(values).max(axis=1, keepdims=True)) & (moves > self._noise)
        return np.where(heard, values, 0.0)

    def _reach(self, c: Array) -> Array:
        return np.asarray((1 + np.abs(c - self.origin) / self.unit) ** self.degree)

    @cached_property
    def _noise(self) -> float:
        nodes = self.cells.nodes
        return 1e-13 * float((self.cells.weights * np.abs(self.highest(nodes)) * self._reach(nodes)).sum())

    @cached_property
    def _exchange(self) -> Array:
        r"""Weights, shape (N, q), of :math:`\int (p + q)^2 \zeta_+ \zeta_-/\zeta`: how cheaply the sides trade curvature."""
        plus, minus = self.zeta
        omega = plus * minus / np.where(plus + minus > 0, plus + minus, 1.0)
        return np.asarray((self.slopes.right + self.slopes.left) ** 2 * self.cells.weights * omega)

    @property
    def trades(self) -> bool:
        """Whether the sides can trade: not with Abs, which is even, nor if every c has one sign of w only."""
        return bool((self._exchange > 0).any())

    def quadratic_cost(self) -> float:
        r""":math:`E[\alpha^2] = (p - q)^{-2} \int D^2/\zeta + d^T G^{-1} d`.

        d are the missing moments, G the Gram matrix of 1, u, u^2, ... with the weights of `_exchange`.
        """
        zeta = self.zeta[0] + self.zeta[1]
        ratio = np.divide(self.curvature, zeta, out=np.zeros_like(zeta), where=zeta > 0)
        cost = float((self.cells.weights * self.curvature * ratio).sum()) / self.slopes.kink**2
        if self.missing is not None:
            live = self._exchange > 0
            columns = self.lever(self.cells.nodes[live])[: self.ties] * np.sqrt(self._exchange[live])
            scale = np.sqrt((columns**2).sum(axis=1))
            # G = R^T R with R of half the digits of G's condition number
            triangle = np.linalg.qr((columns / scale[:, None]).T, mode="r")
            part = solve_triangular(triangle, self.missing / scale, trans="T")
            cost += float(part @ part)
        return cost

    def convex_cost(self, potential: Potential) -> float:
        r"""Least :math:`E[D_\phi(\alpha, 0)]` for any convex potential; two slopes only.

        Cells are bisected until the cost density is resolved, since alpha is singular where g changes sign.

        Raises
        ------
        SolveError
            If the missing moments cannot be met to 1e-8.
        """
        bend, cost = replace(self, law=self.law.steep(potential.moment_order)), math.inf
        for _ in range(_REFINEMENTS):
            nodes, weights = bend.cells.nodes, bend.cells.weights
            models = models_at(bend.law, potential, nodes)
            half = bend.curvature / bend.slopes.kink
            point = Split(models, bend.slopes, half, weights, bend.lever(nodes), bend._moments()).solve()
            cost = float((weights * point.penalty).sum())
            finer = bend._refined(potential, point.line)
            if finer.cells.edges.size == bend.cells.edges.size:
                break
            bend = finer
        return cost

    def _moments(self) -> Array | None:
        r"""The prescribed :math:`\int (1, u)\, \tau`."""
        if self.missing is None:
            return None
        shares = self.cells.weights * self.tie(self.cells.nodes) * self.curvature
        return np.asarray(self.missing + np.einsum("ink,nk->i", self.lever(self.cells.nodes), shares))

    def _refined(self, potential: Potential, line: Array) -> Bend:
        """The same on cells bisected until the cost density, for this line, is resolved."""

        def cost(left: Array, right: Array) -> tuple[Array, Array]:
            nodes, weights = panel_nodes(left, right, self.cells.order)
            half = self.curvature_on(left, right) / self.slopes.kink
            split = Split(models_at(self.law, potential, nodes), self.slopes, half, weights, self.lever(nodes), None)
            penalty = split.at(line, None).penalty
            return penalty, np.asarray((weights * penalty).sum(axis=1))

        total = float(cost(self.cells.edges[:-1], self.cells.edges[1:])[1].sum())

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            density, mass = cost(left, right)
            return unresolved(density, mass, _IGNORED * total, tolerance)

        return replace(self, cells=bisect_until(self.cells, failing))
