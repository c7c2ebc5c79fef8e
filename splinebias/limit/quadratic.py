r"""The solution of a quadratic problem in its O(M) unknowns: linear equations, bordered tridiagonal (theory section 5).

The curvature of a side is :math:`\zeta_s g_s` with a dual function :math:`g_s` that is linear between data. Where every data
interval is one cell and the densities are constant on cells, its integrals against hats are closed forms,

.. math:: \int \zeta\, g\, h_i = \tfrac{\zeta\, \Delta}{6} (2 g_i + g_{i+1}), \qquad
          \int \zeta\, h_i^2 = \tfrac{\zeta \Delta}{3}, \quad \int \zeta\, h_i h_{i+1} = \tfrac{\zeta \Delta}{6};

other densities are summed up over the nodes of a quadrature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.limit.discretization import Discretization
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.dual_system import DualSystem
from splinebias.limit.dual.equations import Masses, Moments, misfit
from splinebias.numerics.bordered import BorderedTridiagonal

_ROUNDING = 1e-14  # a misfit that no refinement makes smaller by much


class QuadraticSolution(NamedTuple):
    r"""The solution of a quadratic problem.

    Attributes
    ----------
    function : DualFunction
        The dual function.
    curvature : Array, shape (N, q) or (N, 2)
        The curvature that all sides make together at the nodes, or at both ends of cells on which it is `linear`.
    linear : bool
        Which of the two.
    cost : float
        :math:`E[\alpha^2]`.
    misfit : float
        The relative optimality residual.
    """

    function: DualFunction
    curvature: Array
    linear: bool
    cost: float
    misfit: float


def solve_quadratic(system: DualSystem, zeta: Array, y: Array) -> QuadraticSolution:
    """The quadratic problem with densities `zeta` at the nodes, with a step of iterative refinement if it needs one."""
    rule = _rule(system, zeta)
    target, hessian = system.target(y), rule.hessian()
    u, best, residual = np.zeros(()), None, target
    for _ in range(2):
        u = u + hessian.solve(residual)
        function = system.function(u)
        made, scale = rule.made(function), system.scale(y)
        residual = target - made
        error = misfit(residual, scale, 0.0)
        if error > 1e-13:  # an upper bound that is worth a second look
            error = misfit(residual, scale, system.load(zeta * system.values(function)))
        if not error < (np.inf if best is None else best[2]):
            break
        best = function, float(u @ made), error
        if error < _ROUNDING:
            break
    if best is None:
        best = system.function(np.zeros_like(target)), 0.0, np.inf
    function, cost, error = best
    return QuadraticSolution(function, rule.curvature(function), isinstance(rule, _Constant), cost, error)


def quadratic_hessian(system: DualSystem, zeta: Array) -> BorderedTridiagonal:
    """The matrix of its equations, as in `solve_quadratic`."""
    return _rule(system, zeta).hessian()


class _AtNodes:
    """Sums over the nodes of any quadrature.

    Parameters
    ----------
    system : DualSystem
        The equations and the quadrature.
    zeta : Array, shape (S, N, q) or (S, N, 1)
        Curvature densities of the sides at the nodes.
    """

    def __init__(self, system: DualSystem, zeta: Array) -> None:
        self.system, self.zeta = system, zeta

    def hessian(self) -> BorderedTridiagonal:
        """The matrix of the equations."""
        return self.system.curvature(self.zeta)

    def made(self, function: DualFunction) -> Array:
        """What a dual function makes in the equations, shape (U,)."""
        return self.system.gather(self.zeta * self.system.values(function))

    def curvature(self, function: DualFunction) -> Array:
        """The curvature of all sides at the nodes, shape (N, q)."""
        return np.asarray((self.zeta * self.system.values(function)).sum(axis=0))


class _Constant(_AtNodes):
    """Closed forms on cells that are the data intervals: no sums over nodes, which nobody makes then."""

    def __init__(self, system: DualSystem, zeta: Array) -> None:
        super().__init__(system, zeta)
        self.rows = slice(*np.searchsorted(system.interval, [1, system.x.size]).tolist())
        self.sixth = zeta[:, self.rows, 0] * (system.steps / 6)

    @staticmethod
    def takes(system: DualSystem, zeta: Array) -> bool:
        """Whether densities are constant on cells, and cells that are no data intervals lie beyond the data."""
        between = system.interval.size - system.outside.size
        return bool(zeta.shape[-1] == 1 and between == system.steps.size)

    def hessian(self) -> BorderedTridiagonal:
        far = self.system.outside
        return self.system.hessian(
            Masses(third, sixth, third, self.system.far_masses(row, self.zeta[row, far]))
            for row, sixth in enumerate(self.sixth)
            for third in [2 * sixth]
        )

    def made(self, function: DualFunction) -> Array:
        return self.system.gathered(self._moments(function, row) for row in range(len(self.sixth)))

    def _moments(self, function: DualFunction, row: int) -> Moments:
        sixth, near, far = self.sixth[row], function.nodal[row, :-1], function.nodal[row, 1:]
        left = near + far
        right = left + far
        left += near
        left *= sixth
        right *= sixth
        beyond = self._beyond(function, row, self.system.far[0])
        return Moments(left, right, self.system.far_moments(beyond, self.system.far_factor[row]))

    def curvature(self, function: DualFunction) -> Array:
        """The curvature of all sides at both ends of cells, shape (N, 2)."""
        found, far = (
            np.zeros((2, self.zeta.shape[1])).T,
            self.system.outside,
        )  # in memory, one end of all cells after the other
        for zeta, g in zip(self.zeta[:, self.rows, 0], function.nodal, strict=True):
            for end, of in zip(found.T, (g[:-1], g[1:]), strict=True):
                end[self.rows] += zeta * of
        assert isinstance(self.system.grid, Discretization)
        ends = np.stack([of[far] for of in self.system.grid.cells.panels], axis=1)
        found[far] = sum(self._beyond(function, row, ends) for row in range(len(self.zeta)))
        return found

    def _beyond(self, function: DualFunction, row: int, c: Array) -> Array:
        """The curvature of a side at places `c` in the cells beyond the data."""
        return np.asarray(self.zeta[row, self.system.outside] * self.system.far_factor[row] * function.line(c))


def _rule(system: DualSystem, zeta: Array) -> _AtNodes:
    """Closed forms, where there are any."""
    return (_Constant if _Constant.takes(system, zeta) else _AtNodes)(system, zeta)
