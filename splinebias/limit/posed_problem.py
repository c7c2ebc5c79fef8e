"""A problem with all that its checks and its solvers share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from splinebias._arguments import Array
from splinebias.initialization.breakpoints import Side
from splinebias.limit.discretization import Discretization
from splinebias.limit.dual.equations import DualSystem
from splinebias.limit.kernels.power_system import PowerSystem, power_system
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class PosedProblem:
    """A problem on its way to a prediction: whoever needs a part of it computes it, whoever comes later finds it.

    It is made once, where a computation begins, and handed on: to the checks of the data, to a solver, to the flow.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    """

    problem: Problem

    @cached_property
    def grid(self) -> Discretization:
        """Cells that hold the data and resolve the law, with curvature densities at their nodes."""
        return Discretization.of(self.problem)

    @cached_property
    def system(self) -> DualSystem:
        """The equations of the dual on that grid, for activations of two slopes."""
        problem = self.problem
        return DualSystem(problem.data.x, self.grid, problem.two_slopes, free=problem.free)

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """The sides whose dual functions differ, with rules for |w| that integrate the curvature of the potential."""
        return self.system.sides_of(self.problem.breakpoint_law())

    @property
    def zeta(self) -> Array:
        """Curvature densities of those sides at the nodes, shape (S, N, q), or (S, N, 1) if constant on every cell."""
        zeta = self.grid.zeta
        return zeta if len(self.system.factors) == 2 else zeta[:1] + zeta[1:]

    @cached_property
    def power_system(self) -> PowerSystem:
        """The equations for powers of ReLU."""
        return power_system(self.problem)
