r"""What a function asks of the neurons, and what that costs at least.

Units with w > 0 and with w < 0 both bend. With :math:`a_s` the E[|w| alpha] of side s per breakpoint and
:math:`\sigma(z) = p z_+ - q z_-`, a function :math:`h(x) = \int h''(c) [x - c]_+ dc + S x + I` asks for

.. math:: (p - q)(a_+ + a_-) = h'', \qquad \int \tau = S, \quad \int c\,\tau = -I, \qquad \tau = q a_+ - p a_- .

For the quadratic potential the cheapest way is explicit; for others `solve.split` finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.activation import TwoSlope
from splinebias.breakpoints import BreakpointLaw
from splinebias.potential import Potential
from splinebias.quadrature import Cells, bisect_until, panel_nodes, unresolved
from splinebias.response import ResponseModel
from splinebias.solve.split import Split

_REFINEMENTS = 4
_IGNORED = 1e4  # unresolved parts of the cost below 1e-16 times this, relative, are left alone


def tie(law: BreakpointLaw, activation: TwoSlope, c: Array) -> Array:
    r""":math:`\tau/h''` when every side takes its share :math:`\zeta_s/\zeta` of h'', same shape as `c`."""
    return _tie(activation, law.zeta(c, 1), law.zeta(c, -1))


def _tie(activation: TwoSlope, plus: Array, minus: Array) -> Array:
    total = np.where(plus + minus > 0, plus + minus, 1.0)
    return np.asarray((activation.left * plus - activation.right * minus) / (activation.kink * total))


@dataclass(frozen=True, eq=False)
class Bend:
    r"""Curvature and affine part to be made by the neurons of a law.

    Attributes
    ----------
    law : BreakpointLaw
        The neurons.
    activation : Activation
        Gives p and q.
    cells : Cells
        Quadrature on which zeta and h'' are resolved.
    second : callable
        h'' as a vectorized function.
    origin, unit : float
        Of the coordinate u = (c - origin)/unit.
    missing : Array of shape (2,) or None
        :math:`\int (1, u)\, \tau` less what it is when every side takes its share :math:`\zeta_s/\zeta` of h''; None if
        nothing is asked (free affine part), or nothing can be done about it.
    """

    law: BreakpointLaw
    activation: TwoSlope
    cells: Cells
    second: Callable[[Array], Array]
    origin: float
    unit: float
    missing: Array | None = None

    def lever(self, c: Array) -> Array:
        """1 and u at `c`, stacked in front."""
        return np.stack([np.ones_like(c), (c - self.origin) / self.unit])

    @cached_property
    def zeta(self) -> tuple[Array, Array]:
        r""":math:`\zeta_+` and :math:`\zeta_-` at the nodes of `cells`, (N, q) each."""
        return self.law.zeta(self.cells.nodes, 1), self.law.zeta(self.cells.nodes, -1)

    @cached_property
    def curvature(self) -> Array:
        """h'' at the nodes of `cells`, shape (N, q), without noise."""
        return self.curvature_on(self.cells.edges[:-1], self.cells.edges[1:])

    def curvature_on(self, left: Array, right: Array) -> Array:
        """h'' at the nodes of panels, without what is rounding: that would count in a quotient by a small zeta.

        A value is rounding if it is below 1e-13 of the largest on its panel, or if, taken for the whole panel, it moves h
        by less than 1e-14 of what all of h'' does.
        """
        nodes, weights = panel_nodes(left, right, self.cells.order)
        values = self.second(nodes)
        moves = np.abs(values) * weights.sum(axis=1, keepdims=True) * self._reach(nodes)
        heard = (np.abs(values) > 1e-13 * np.abs(values).max(axis=1, keepdims=True)) & (moves > self._noise)
        return np.where(heard, values, 0.0)

    def _reach(self, c: Array) -> Array:
        return self.unit + np.abs(c - self.origin)

    @cached_property
    def _noise(self) -> float:
        nodes = self.cells.nodes
        return 1e-14 * float((self.cells.weights * np.abs(self.second(nodes)) * self._reach(nodes)).sum())

    @cached_property
    def exchange(self) -> Array:
        r"""Gram matrix (2, 2) of (1, u) in :math:`(p + q)^2 \zeta_+ \zeta_-/\zeta`: how cheaply the sides trade curvature.

        Zero for Abs, where both sides bring the same affine part, and where no breakpoint has both signs of w.
        """
        plus, minus = self.zeta
        omega = plus * minus / np.where(plus + minus > 0, plus + minus, 1.0)
        weight = (self.activation.right + self.activation.left) ** 2 * self.cells.weights * omega
        lever = self.lever(self.cells.nodes)
        return np.asarray(np.einsum("ink,jnk,nk->ij", lever, lever, weight))

    def quadratic_cost(self) -> float:
        r""":math:`E[\alpha^2] = (p - q)^{-2} \int h''^2/\zeta + d^T G^{-1} d`, d the missing moments and G `exchange`."""
        zeta = self.zeta[0] + self.zeta[1]
        ratio = np.divide(self.curvature, zeta, out=np.zeros_like(zeta), where=zeta > 0)
        cost = float((self.cells.weights * self.curvature * ratio).sum()) / self.activation.kink**2
        if self.missing is not None:
            cost += float(self.missing @ np.linalg.solve(self.exchange, self.missing))
        return cost

    def convex_cost(self, potential: Potential) -> float:
        r"""Least :math:`E[D_\phi(\alpha, 0)]` for any convex potential.

        Cells are bisected until the cost density is resolved, since alpha is singular where g changes sign.

        Raises
        ------
        SolveError
            If the missing moments cannot be met to 1e-8.
        """
        bend, cost = self, math.inf
        for _ in range(_REFINEMENTS):
            nodes, weights = bend.cells.nodes, bend.cells.weights
            model = ResponseModel.at(bend.law, potential, nodes)
            half = bend.curvature / bend.activation.kink
            point = Split(model, bend.activation, half, weights, bend.lever(nodes), bend._moments()).solve()
            penalty = point.response.penalty
            cost = float((weights * (penalty[1] + penalty[-1])).sum())
            finer = bend._refined(potential, point.line)
            if finer.cells.edges.size == bend.cells.edges.size:
                break
            bend = finer
        return cost

    def _moments(self) -> Array | None:
        r"""The prescribed :math:`\int (1, u)\, \tau`."""
        if self.missing is None:
            return None
        shares = self.cells.weights * _tie(self.activation, *self.zeta) * self.curvature
        return np.asarray(self.missing + np.einsum("ink,nk->i", self.lever(self.cells.nodes), shares))

    def _refined(self, potential: Potential, line: Array) -> Bend:
        """The same on cells bisected until the cost density, for this line, is resolved."""

        def cost(left: Array, right: Array) -> tuple[Array, Array]:
            nodes, weights = panel_nodes(left, right, self.cells.order)
            half = self.curvature_on(left, right) / self.activation.kink
            model = ResponseModel.at(self.law, potential, nodes)
            split = Split(model, self.activation, half, weights, self.lever(nodes), None)
            penalty = split.at(line, None).response.penalty
            return penalty[1] + penalty[-1], np.asarray((weights * (penalty[1] + penalty[-1])).sum(axis=1))

        total = float(cost(self.cells.edges[:-1], self.cells.edges[1:])[1].sum())

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            density, mass = cost(left, right)
            return unresolved(density, mass, _IGNORED * total, tolerance)

        return replace(self, cells=bisect_until(self.cells, failing))
