r"""Where the functions of a linear flow live: :math:`\sum_i \lambda_i K(\cdot, x_i)`, in coordinates that keep their digits.

Each span knows the decay modes of its problem and, for coordinates u of the multipliers :math:`\lambda` and ordinates at the
data, the function. Two slopes and powers of ReLU have coordinates in which the square root of K is explicit, so that
rates lose half the digits of cond(K) only; with `NTK`, K itself is taken, whose condition grows like :math:`M^{2k}`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from splinebias._arguments import Array
from splinebias.data import Dataset
from splinebias.errors import CapabilityError
from splinebias.functions.piecewise import WeightedSpline
from splinebias.limit.banded import weighted_spline
from splinebias.limit.discretization import Discretization
from splinebias.limit.dual.equations import DualSystem, misfit
from splinebias.limit.kernels.kernel_solver import KernelSolver, LimitKernel, limit_kernel, through_values
from splinebias.limit.kernels.power_solver import PowerSolver
from splinebias.limit.kernels.power_system import PowerSystem
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import require
from splinebias.limit.trajectory.decay_modes import Modes, Residuals, dense, line_basis
from splinebias.parameterization import Standard
from splinebias.problem import Problem

_LARGEST = 4000  # points: beyond, the dense modes take a gigabyte and minutes
_LARGEST_DENSE = 1000  # the same, where features at all quadrature nodes are dense too


class Made(NamedTuple):
    """A function with its E[alpha^2], the misfit of its coordinates (relative), and its number of cells.

    resolved : whether those cells resolve the law.
    """

    function: WeightedSpline
    cost: float
    misfit: float
    cells: int
    resolved: bool


class Span(Protocol):
    """The functions of one problem."""

    def modes(self) -> tuple[Residuals, Modes]:
        """The data as coordinates of the flow, and the decay modes."""
        ...

    def function(self, u: Array, fitted: Array) -> Made:
        """The function with coordinates `u` and values `fitted` at the data."""
        ...


def span_of(posed: PosedProblem) -> Span:
    """The span for the activation and parameterization of a problem.

    Raises
    ------
    CapabilityError
        If there are too many points for dense modes, or the problem is not linear.
    """
    problem = posed.problem
    if not isinstance(problem.parameterization, Standard):
        require(KernelSolver(), problem)
        return KernelSpan(problem, limit_kernel(problem))
    if problem.activation.two_slopes is None:
        require(PowerSolver(), problem)
        _check_size(problem, _LARGEST_DENSE)
        return PowerSpan(problem, posed.power_system)
    return BendSpan(problem, posed.grid, posed.system, posed.zeta)


@dataclass(frozen=True, eq=False)
class BendSpan:
    """Two slopes: the O(M) unknowns of `DualSystem`.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    grid, system : Discretization, DualSystem
        Its quadrature and its equations.
    zeta : Array, shape (S, N, q)
        Curvature densities of its sides.
    """

    problem: Problem
    grid: Discretization
    system: DualSystem
    zeta: Array

    def modes(self) -> tuple[Residuals, Modes]:
        residuals = Residuals.of(self.problem, largest=_LARGEST)
        return residuals, Modes.of(residuals.hinges, dense(self.system.curvature(self.zeta)))

    def function(self, u: Array, fitted: Array) -> Made:
        system = self.system
        g = system.evaluate(u)
        density = self.zeta * g
        left_over = system.target(fitted) - system.gather(density)
        error = misfit(left_over, system.scale(self.problem.data.y), system.load(density))
        cost = float((self.grid.weights * density * g).sum())
        made = weighted_spline(with_ordinates(self.problem, fitted), self.grid, density)
        return Made(made, cost, error, self.grid.cells.edges.size - 1, self.grid.cells.resolved)


@dataclass(frozen=True, eq=False)
class PowerSpan:
    """Powers of ReLU: the divided differences of `PowerSystem`.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    system : PowerSystem
        Its equations.
    """

    problem: Problem
    system: PowerSystem

    def modes(self) -> tuple[Residuals, Modes]:
        residuals = Residuals.along(self.problem, self.system.columns)
        return residuals, Modes.of(residuals.hinges, self.system.gram)

    def function(self, u: Array, fitted: Array) -> Made:
        system = self.system
        made = system.function(u, fitted)
        misfit = system.residual(u, fitted, made)
        return Made(made, float(u @ system.gram @ u), misfit, system.cells.edges.size - 1, system.cells.resolved)


@dataclass(frozen=True, eq=False)
class KernelSpan:
    r"""Any kernel: the multipliers :math:`\lambda` themselves.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    kernel : LimitKernel
        The K above.
    """

    problem: Problem
    kernel: LimitKernel

    def modes(self) -> tuple[Residuals, Modes]:
        _check_size(self.problem, _LARGEST_DENSE)
        x = self.problem.data.x
        residuals = Residuals.along(self.problem, np.zeros((x.size, 0)))
        lines = line_basis(residuals.root, x) if self.problem.free else np.zeros((x.size, 0))
        return residuals, Modes.of_kernel(residuals.root, self.kernel.matrix(x, x), lines)

    def function(self, u: Array, fitted: Array) -> Made:
        x = self.problem.data.x
        matrix = self.kernel.matrix(x, x)
        made, misfit = through_values(self.problem, self.kernel, u, matrix @ u, fitted)
        return Made(made, float(u @ matrix @ u), misfit, made.edges.size - 3, self.kernel.resolved(x))


def with_ordinates(problem: Problem, y: Array) -> Problem:
    """The same problem with other ordinates, shape (M,)."""
    return replace(problem, data=Dataset(problem.data.x, y, problem.data.weights))


def _check_size(problem: Problem, largest: int) -> None:
    """Raise CapabilityError if there are more than `largest` points."""
    if problem.data.size > largest:
        raise CapabilityError(
            f"finite training times with {problem.activation} and {problem.parameterization} are for at most {largest} "
            f"points, got {problem.data.size}; group neighbours into one point with a weight, or predict the limit"
        )
