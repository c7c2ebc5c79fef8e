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
from splinebias.activation import Activation
from splinebias.breakpoints import BreakpointLaw
from splinebias.potential import Potential
from splinebias.quadrature import Cells, bisect_until, panel_nodes, unresolved
from splinebias.solve.response import ResponseModel
from splinebias.solve.split import Split

_REFINEMENTS = 4
_IGNORED = 1e4  # unresolved parts of the cost below 1e-16 times this, relative, are left alone


@dataclass(frozen=True, eq=False)
class Bend:
    r"""Curvature and affine part to be made by the neurons.

    Attributes
    ----------
    cells : Cells
        Quadrature on which zeta and h'' are resolved.
    second : callable
        h'' as a vectorized function.
    missing : Array of shape (2,) or None
        :math:`\int (1, u)\, \tau`, u = (c - origin)/unit, less what it is when every side takes its share
        :math:`\zeta_s/\zeta` of h''; None if nothing is asked (free affine part), or nothing can be done about it.
    origin, unit : float
        The u above.
    """

    cells: Cells
    second: Callable[[Array], Array]
    missing: Array | None
    origin: float
    unit: float

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

    def lever(self, c: Array) -> Array:
        """1 and u at `c`, stacked in front."""
        return np.stack([np.ones_like(c), (c - self.origin) / self.unit])

    def _reach(self, c: Array) -> Array:
        return self.unit + np.abs(c - self.origin)

    @cached_property
    def _noise(self) -> float:
        nodes = self.cells.nodes
        return 1e-14 * float((self.cells.weights * np.abs(self.second(nodes)) * self._reach(nodes)).sum())


def tie(law: BreakpointLaw, activation: Activation, c: Array) -> Array:
    r""":math:`\tau/h''` when every side takes its share :math:`\zeta_s/\zeta` of h'', same shape as `c`."""
    plus, minus = law.zeta(c, 1), law.zeta(c, -1)
    total = np.where(plus + minus > 0, plus + minus, 1.0)
    return np.asarray((activation.left * plus - activation.right * minus) / (activation.kink * total))


def exchange(law: BreakpointLaw, activation: Activation, bend: Bend) -> Array:
    r"""Gram matrix (2, 2) of (1, u) in :math:`(p + q)^2 \zeta_+ \zeta_-/\zeta`: how cheaply the sides trade curvature.

    Zero for Abs, where both sides bring the same affine part, and where no breakpoint has both signs of w.
    """
    nodes = bend.cells.nodes
    plus, minus = law.zeta(nodes, 1), law.zeta(nodes, -1)
    omega = plus * minus / np.where(plus + minus > 0, plus + minus, 1.0)
    weight = (activation.right + activation.left) ** 2 * bend.cells.weights * omega
    return np.asarray(np.einsum("ink,jnk,nk->ij", bend.lever(nodes), bend.lever(nodes), weight))


def quadratic_cost(law: BreakpointLaw, activation: Activation, bend: Bend) -> float:
    r""":math:`E[\alpha^2] = (p - q)^{-2} \int h''^2/\zeta + d^T G^{-1} d`, d the missing moments and G `exchange`."""
    zeta = law.zeta(bend.cells.nodes, 1) + law.zeta(bend.cells.nodes, -1)
    ratio = np.divide(bend.curvature, zeta, out=np.zeros_like(zeta), where=bend.curvature != 0)
    cost = float((bend.cells.weights * bend.curvature * ratio).sum()) / activation.kink**2
    if bend.missing is not None:
        cost += float(bend.missing @ np.linalg.solve(exchange(law, activation, bend), bend.missing))
    return cost


def convex_cost(law: BreakpointLaw, activation: Activation, potential: Potential, bend: Bend) -> float:
    r"""Least :math:`E[D_\phi(\alpha, 0)]`, for any convex potential and law.

    Cells are bisected until the cost density is resolved, since alpha is singular where g changes sign.

    Raises
    ------
    SolveError
        If the missing moments cannot be met to 1e-8.
    """
    cost = math.inf
    for _ in range(_REFINEMENTS):
        nodes, half = bend.cells.nodes, bend.curvature / activation.kink
        moments = None
        if bend.missing is not None:
            shares = bend.cells.weights * tie(law, activation, nodes) * bend.curvature
            moments = bend.missing + np.einsum("ink,nk->i", bend.lever(nodes), shares)
        model = ResponseModel.at(law, potential, nodes)
        point = Split(model, activation, half, bend.cells.weights, bend.lever(nodes), moments).solve()
        penalty = point.response.penalty
        cost = float((bend.cells.weights * (penalty[1] + penalty[-1])).sum())
        finer = _refine(law, activation, potential, bend, point.line)
        if finer.cells.edges.size == bend.cells.edges.size:
            break
        bend = finer
    return cost


def _refine(law: BreakpointLaw, activation: Activation, potential: Potential, bend: Bend, line: Array) -> Bend:
    """`bend` on cells bisected until the cost density, for this line, is resolved."""

    def cost(left: Array, right: Array) -> tuple[Array, Array]:
        nodes, weights = panel_nodes(left, right, bend.cells.order)
        half = bend.curvature_on(left, right) / activation.kink
        model = ResponseModel.at(law, potential, nodes)
        penalty = Split(model, activation, half, weights, bend.lever(nodes), None).at(line, None).response.penalty
        return penalty[1] + penalty[-1], np.asarray((weights * (penalty[1] + penalty[-1])).sum(axis=1))

    total = float(cost(bend.cells.edges[:-1], bend.cells.edges[1:])[1].sum())

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        density, mass = cost(left, right)
        return unresolved(density, mass, _IGNORED * total, tolerance)

    return replace(bend, cells=bisect_until(bend.cells, failing))
