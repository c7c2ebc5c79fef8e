r"""The dual of a problem as a function: value, gradient and Hessian, integrated on a grid that follows it.

.. math:: \lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma_i)], \qquad y - E[\sigma_X \alpha], \qquad
          -E[\sigma_X \sigma_X^T/\phi''(\alpha)]

(theory section 4), in the unknowns of `DualSystem` and in units in which curvature is of order 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from splinebias._check import Array
from splinebias.data import Dataset
from splinebias.potential import Potential
from splinebias.problem import Problem
from splinebias.quadrature import Cells
from splinebias.response import Response, ResponseModel
from splinebias.solve.bordered import BorderedTridiagonal
from splinebias.solve.discretize import discretize
from splinebias.solve.dual_function import DualFunction
from splinebias.solve.graded import GradedGrid, GradedNodes
from splinebias.solve.mirror_step import through_mirror
from splinebias.solve.structure import DualSystem, solve_quadratic

_MAX_DEPTH = 40  # bisections of a cell
_CHECK = 1.5  # nodes of the rule that checks the residual, relative to the rule that found the solution
_RESOLVED = 1e-12  # relative size of neglected Legendre coefficients of the curvature


class Part(NamedTuple):
    """What one side adds to the dual, or both at once where they agree."""

    nodes: GradedNodes
    system: DualSystem
    response: Response


class DualState(NamedTuple):
    """The dual at one point: its value, gradient (`residual`) and what they are made of."""

    function: DualFunction
    parts: list[Part]
    objective: float
    pairing: float  # |lambda^T y|, for its rounding
    residual: Array
    misfit: float

    @property
    def cost(self) -> float:
        r"""E[D_phi(alpha, 0)]."""
        return sum(float((part.system.weights * c).sum()) for part in self.parts for c in part.response.penalty.values())

    def hessian(self) -> BorderedTridiagonal:
        """Minus the second derivative of the dual."""
        first, *others = (part.system.hessian(part.response.slope) for part in self.parts)
        return first + others[0] if others else first


@dataclass(frozen=True, eq=False)
class IntegratedDual:
    r"""The dual of a problem, on a grid.

    With :math:`\alpha = s \hat\alpha` for a typical size s of the curvature, and :math:`\phi(s \hat\alpha) = \kappa
    \hat\phi(\hat\alpha)`, the problem for y/s and :math:`\hat\phi` is solved: no power of y overflows.

    Attributes
    ----------
    problem : Problem
        The problem.
    grid : GradedGrid
        The rule.
    potential : Potential
        The :math:`\hat\phi` above.
    size, factor : float
        s and :math:`\kappa`.
    """

    problem: Problem
    grid: GradedGrid
    potential: Potential
    size: float
    factor: float

    @classmethod
    def of(cls, problem: Problem) -> tuple[IntegratedDual, DualFunction]:
        r"""The dual on the coarsest grid, and a start: :math:`\phi'` of the dual function of the quadratic problem."""
        grid, free = discretize(problem), problem.affine == "free"
        system = DualSystem(problem.data.x, grid, problem.two_slopes, free=free)
        u = solve_quadratic(system, grid.zeta, problem.data.y).u
        size = max(float(np.abs(g).max()) for g in system.function(u).nodal.values())
        size = 2.0 ** round(math.log2(size)) if size > 0 else 1.0  # a power of 2 costs no digits
        potential, factor = problem.limit_potential.rescaled(size)
        dual = cls(problem, GradedGrid(grid.cells, np.array([0.0, 1.0])), potential, size, factor)
        return dual, through_mirror(potential, system.function(u / size), free=free)

    @property
    def y(self) -> Array:
        """y/s, shape (M,)."""
        return np.asarray(self.problem.data.y / self.size)

    def at(self, function: DualFunction) -> DualState:
        """Value and derivatives at a dual function."""
        problem = self.problem
        x, y, act, free = problem.data.x, self.y, problem.two_slopes, problem.affine == "free"
        law = problem.initialization.breakpoint_law
        u, parts, agree = function.unknowns(free=free), [], function.sides_agree
        for side in (1,) if agree else (1, -1):
            nodes = self.grid.at(function, side, self.potential)
            at = (law, self.potential, nodes.nodes)
            model = ResponseModel.of_both(*at) if agree else ResponseModel.at(*at, sides=(side,))
            parts.append(Part(nodes, DualSystem(x, nodes, act, free=free), model({side: nodes.rows.g})))
        target = parts[0].system.target(y)
        pairing = float(target @ u)
        residual, objective, load = target, pairing, np.zeros_like(target)
        for _, system, response in parts:
            residual = residual - system.gather(response.value)
            objective -= sum(float((system.weights * psi).sum()) for psi in response.dual.values())
            load += system.load(response.value)
        misfit = system.misfit(residual, load, y)
        return DualState(function, parts, objective, abs(pairing), residual, misfit)

    def thinned(self, every: int) -> IntegratedDual:
        """The dual of the problem for some of the data, in the same units: both ends and each `every`-th between them."""
        data = self.problem.data
        few = np.unique(np.r_[np.arange(0, data.size, every), data.size - 1])
        problem = replace(self.problem, data=Dataset(data.x[few], data.y[few]))
        return replace(self, problem=problem, grid=replace(self.grid, cells=discretize(problem).cells))

    def with_order(self, factor: float) -> IntegratedDual:
        """The same by another quadrature: a rule with `factor` as many nodes a cell."""
        cells = Cells(self.grid.cells.edges, round(factor * self.grid.cells.order))
        return replace(self, grid=replace(self.grid, cells=cells))

    def refined(self, state: DualState, tolerance: float) -> tuple[IntegratedDual, DualState]:
        """The same on a grid that resolves the curvature at `state`, itself if its own does; and a check by more nodes."""
        dual, size = self, float(np.abs(self.y).max()) or 1.0
        for _ in range(_MAX_DEPTH):
            check = dual.with_order(_CHECK).at(state.function)
            samples = [(part.nodes, a) for part in check.parts for a in part.response.value.values()]
            finer = dual.grid.refined(samples, self.problem.initialization.breakpoint_law, size, _RESOLVED)
            if finer is None:
                break
            dual = replace(self, grid=finer)
        if dual is self and state.misfit <= tolerance < check.misfit:
            dual = replace(self, grid=self.grid.halved())
        return dual, check
