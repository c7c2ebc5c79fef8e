r"""Where the functions of a linear flow live: combinations of kernels, in coordinates that keep their digits.

Each span knows the decay modes of its problem and, for coordinates u of the multipliers :math:`\lambda` and ordinates at the
data, the function. Two slopes and powers of ReLU have coordinates in which the square root of K is explicit, so that
rates lose half the digits of cond(K) only; with `NTK`, K itself is taken, whose condition grows like :math:`M^{2k}`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from splinebias._array import Array
from splinebias.limit.dual.equations import misfit
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.kernels.kernel_solver import Fit, KernelSolver, through_values
from splinebias.limit.kernels.power_solver import PowerSolver
from splinebias.limit.kernels.tangent import TangentKernel, limit_kernel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import require
from splinebias.limit.trajectory.decay_modes import DecayModes, Residuals, line_basis, require_few
from splinebias.parameterization import Standard
from splinebias.problem import Problem

_LARGEST_DENSE = 1000  # points: beyond, features at all quadrature nodes take a gigabyte and minutes


@dataclass(frozen=True, eq=False)
class BendSpan:
    """Two slopes: the O(M) unknowns of `DualSystem`.

    Attributes
    ----------
    posed : PosedProblem
        What is fitted.
    """

    posed: PosedProblem

    def modes(self) -> tuple[Residuals, DecayModes]:
        """The data as coordinates of the flow, and the decay modes."""
        residuals = Residuals.of(self.posed.problem, largest=4000)  # beyond, dense modes take a gigabyte and minutes
        return residuals, DecayModes.of(residuals.hinges, self.posed.system.curvature(self.posed.zeta).dense())

    def function(self, u: Array, fitted: Array) -> Fit:
        """The function with coordinates `u` and values `fitted` at the data."""
        problem, grid, system = self.posed.problem, self.posed.grid, self.posed.system
        g = system.evaluate(u)
        density = self.posed.zeta * g
        left_over = system.target(fitted) - system.gather(density)
        error = misfit(left_over, system.scale(problem.data.y), system.load(density))
        cost = float((grid.weights * density * g).sum())
        made = self.posed.spline(density.sum(axis=0), fitted)
        return Fit(made, cost, error, grid.cells.edges.size - 1, grid.cells.resolved)


@dataclass(frozen=True, eq=False)
class PowerSpan:
    """Powers of ReLU: the divided differences of `PowerSystem`.

    Attributes
    ----------
    posed : PosedProblem
        What is fitted.
    """

    posed: PosedProblem

    def modes(self) -> tuple[Residuals, DecayModes]:
        """The data as coordinates of the flow, and the decay modes."""
        require_few(self.posed.problem, _LARGEST_DENSE)
        residuals = Residuals.along(self.posed.problem, self.posed.power_system.columns)
        return residuals, DecayModes.of(residuals.hinges, self.posed.power_system.gram)

    def function(self, u: Array, fitted: Array) -> Fit:
        """The function with coordinates `u` and values `fitted` at the data."""
        system = self.posed.power_system
        made = system.function(u, fitted)
        misfit = system.residual(u, fitted, made)
        return Fit(made, float(u @ system.gram @ u), misfit, system.cells.edges.size - 1, system.cells.resolved)


@dataclass(frozen=True, eq=False)
class KernelSpan:
    r"""Any kernel: the multipliers :math:`\lambda` themselves.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    kernel : FeatureKernel or TangentKernel
        The K above.
    """

    problem: Problem
    kernel: FeatureKernel | TangentKernel

    @cached_property
    def _matrix(self) -> Array:
        """The kernel at the data, shape (M, M)."""
        return self.kernel.matrix(self.problem.data.x, self.problem.data.x)

    def modes(self) -> tuple[Residuals, DecayModes]:
        """The data as coordinates of the flow, and the decay modes."""
        require_few(self.problem, _LARGEST_DENSE)
        x = self.problem.data.x
        residuals = Residuals.along(self.problem, np.zeros((x.size, 0)))
        lines = line_basis(residuals.root, x) if self.problem.free else np.zeros((x.size, 0))
        return residuals, DecayModes.of_kernel(residuals.root, self._matrix, lines)

    def function(self, u: Array, fitted: Array) -> Fit:
        """The function with coordinates `u` and values `fitted` at the data."""
        return through_values(self.problem, self.kernel, self._matrix, u, fitted)


Span = BendSpan | PowerSpan | KernelSpan


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
        return PowerSpan(posed)
    return BendSpan(posed)
