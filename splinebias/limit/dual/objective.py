r"""The dual of a problem as a function: value, gradient and Hessian, integrated on a grid that follows it.

.. math:: \lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma_i)], \qquad y - E[\sigma_X \alpha], \qquad
          -E[\sigma_X \sigma_X^T/\phi''(\alpha)]

(theory section 4), in the unknowns of `DualEquations` and in units in which curvature is of order 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.functions.curved import Branch, CurvedSpline
from splinebias.functions.curved_rows import Rows
from splinebias.functions.unfolding import Unfolding
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.limit.dual.by_parts import ByParts, has_closed_form
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations, Masses, misfit
from splinebias.limit.dual.integrals import Quadrature, Sample, UnitQuadrature
from splinebias.limit.dual.panel_refinement import PanelGrid, PanelNodes
from splinebias.limit.dual.panels import folds_of
from splinebias.limit.dual.responses.response import neglected
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.quadratic import quadratic_hessian
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.half_line import MODERATE
from splinebias.potential import Potential
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class DualState:
    r"""The dual at one point.

    Attributes
    ----------
    dual : IntegratedDual
        The dual.
    function : DualFunction
        The point.
    integrals : Array, shape (8, S, M + 1)
        What all sides add to it, see `Quadrature.integrals`.
    objective, pairing, made_share, made, residual, load, misfit, masses
        As in `Balance`.
    samples : tuple of Sample
        All nodes, of a check.
    """

    dual: IntegratedDual
    function: DualFunction
    integrals: Array
    objective: float
    pairing: float
    made_share: float
    made: Array
    residual: Array
    load: Array
    misfit: float
    masses: tuple[Masses, ...]
    samples: tuple[Sample, ...] = ()

    @property
    def densities(self) -> list[tuple[PanelNodes, Array]]:
        """The curvature densities at all nodes, of a check."""
        return [(sample.nodes, sample.value) for sample in self.samples]

    @property
    def cost(self) -> float:
        r""":math:`E[D_\phi(\alpha, 0)] = E[z \alpha] - E[\phi^*] + \phi^*(0)`."""
        return self.objective - float((self.residual * self.dual.equations.unknowns(self.function)).sum())

    @property
    def neglected(self) -> float:
        """The share of the moments that is beyond doubles, of a check."""
        lost = 0.0
        for row in range(len(self.masses)):
            samples = [sample for sample in self.samples if sample.row == row]
            brinks = [sample.brink for sample in samples if sample.brink is not None]
            largest = float(np.max([np.abs(sample.value).max() for sample in samples]))  # not max(), which may drop a NaN
            if brinks and largest != 0:  # a side without weights leaves nothing out
                lost += neglected(brinks, self.function.x, largest)
        if not lost:
            return 0.0
        moments = (sample.nodes.moments(sample.nodes.weights * sample.value)[0] for sample in self.samples)
        return lost / sum(float(moment.sum()) for moment in moments)


class Slopes(NamedTuple):
    """The derivatives of the dual at several points.

    Attributes
    ----------
    functions : DualFunction
        K functions, or one as K = 1.
    residual : Array, shape (K, U), or (U,) if they are all the same
        The gradients.
    hessian : BorderedTridiagonal
        Minus the second derivatives.
    """

    functions: DualFunction
    residual: Array
    hessian: BorderedTridiagonal


class Refinement(NamedTuple):
    """What a check by more nodes found out.

    Attributes
    ----------
    check : DualState
        The state with these nodes.
    finer : IntegratedDual or None
        The dual on a grid that resolves the curvature there; None if its own does.
    """

    check: DualState
    finer: IntegratedDual | None


@dataclass(frozen=True, eq=False)
class IntegratedDual:
    r"""The dual of a problem, on a grid.

    With :math:`\alpha = s \hat\alpha` for a typical size s of the curvature, and :math:`\phi(s \hat\alpha) = \kappa
    \hat\phi(\hat\alpha)`, the problem for y/s and :math:`\hat\phi` is solved: no power of y overflows.

    Attributes
    ----------
    problem : Problem
        The problem.
    integrator : Quadrature
        Integrates over breakpoints on a grid, with the :math:`\hat\phi` above.
    size, factor : float
        s and :math:`\kappa`.
    """

    problem: Problem
    integrator: Quadrature
    size: float
    factor: float

    @classmethod
    def of(cls, posed: PosedProblem) -> tuple[IntegratedDual, DualFunction]:
        r"""The dual on the coarsest grid; and a start, :math:`\phi'` of the dual function of the quadratic problem.

        Near a problem that was solved: on the grid and from the maximum that were reached there.
        """
        problem, equations, near = posed.problem, posed.system, posed.near
        if near is None:
            start = equations.function(quadratic_hessian(equations, posed.zeta).solve(equations.target(problem.data.y)))
            size = float(np.abs(start.nodal).max())
            size = 2.0 ** round(math.log2(size)) if size > 0 else 1.0  # a power of 2 costs no digits
        else:
            size = near.reached.size
        potential, factor = problem.limit_potential.rescaled(size)
        unfolding = Unfolding.of(potential, spread=problem.initialization.breakpoint_law.spread)
        grid = PanelGrid(problem.data.x, posed.grid.cells, unfolding, not unfolding.smooth)
        if not unfolding.analytic:
            grid = replace(grid, breaks=np.array([0.0, 0.25, 0.5, 1.0]))  # nearly always needed
        fresh, grid = grid, grid if near is None else near.grid(grid)
        if grid is fresh:
            grid = replace(grid, folds=folds_of(posed.grid, problem.initialization.breakpoint_law, problem.data.x))
        dual = cls(problem, integrator_of(posed, grid), size, factor)
        if near is None:
            return dual, start.times(1 / size).through_mirror(potential)
        start, before = near.function(equations.frame), near.reached.grid.unfolding.potential
        return dual, start if before == potential else start.through_mirror(potential, before)

    @cached_property
    def equations(self) -> DualEquations:
        """The unknowns of the dual and the algebra on them."""
        return self.integrator.equations

    @cached_property
    def grid(self) -> PanelGrid:
        """The grid on which the integrator places its nodes."""
        return self.integrator.grid

    @cached_property
    def potential(self) -> Potential:
        r"""The potential :math:`\hat\phi` in units in which curvature is of order 1."""
        return self.integrator.potential

    def on(self, grid: PanelGrid) -> IntegratedDual:
        """The dual on another grid for the same potential."""
        return replace(self, integrator=replace(self.integrator, grid=grid))

    @cached_property
    def y(self) -> Array:
        """The ordinates y/s of the scaled problem, shape (M,)."""
        return np.asarray(self.problem.data.y / self.size)

    @property
    def _size_of_data(self) -> float:
        return float(np.abs(self.y).max()) or 1.0

    @cached_property
    def _target(self) -> Array:
        return self.equations.target(self.y)

    @cached_property
    def _scale(self) -> Array:
        return self.equations.scale(self.y)

    def at(self, function: DualFunction) -> DualState:
        """Value and derivatives at a dual function."""
        return self._state(function, self.integrator.integrals(function))

    def slopes(self, functions: DualFunction) -> Slopes:
        """The derivatives at several dual functions."""
        made, _, masses = self.equations.sums(self.integrator.integrals(functions))
        return Slopes(functions, self._target - made, self.equations.hessian(masses))

    def checked(self, function: DualFunction, *, tables: bool = False) -> DualState:
        """Value and derivatives at a dual function by half as many nodes again, which are kept in `DualState.samples`.

        `tables`: of moments of the law, as in `at`, where it is the nodes only that are checked.
        """
        return self._state(function, *self.integrator.checked(function, tables=tables))

    def _state(self, function: DualFunction, integrals: Array, samples: tuple[Sample, ...] = ()) -> DualState:
        balance = self.equations.balance(function, integrals, self._target, self._scale)
        return DualState(self, function, integrals, *balance, samples)

    def misfit_of_finest(self, function: DualFunction) -> float:
        r"""The misfit there with the finest rule for |w|, 0 if there is none or |\alpha| too flat to ask much of them."""
        if not self.integrator.by_rule or self.problem.limit_potential.moment_order <= MODERATE:
            return 0.0
        return self._of_law(self.problem.breakpoint_law().finest()).at(function).misfit

    def rough(self) -> IntegratedDual | None:
        """The dual with few nodes for |w|, good to 1e-5; None if these are no fewer by half, or no rule is needed."""
        if not self.integrator.by_rule:
            return None
        found = self._of_law(self.problem.breakpoint_law().rough())
        return found if 2 * found.integrator.speeds <= self.integrator.speeds else None

    def _of_law(self, law: BreakpointLaw) -> IntegratedDual:
        """The same with other rules for |w|."""
        return replace(self, integrator=replace(self.integrator, sides=self.equations.sides_of(law)))

    def resolved(self, state: DualState, tolerance: float, loose: float, rounds: int) -> Refinement:
        """`refined` where integrals are not exact; else all that is found out are the nodes that the curvature asks for."""
        if isinstance(self.integrator, ByParts):
            return Refinement(replace(state, samples=self.integrator.samples(state.function)), None)
        return self.refined(state, tolerance, loose, rounds)

    def farther(self, check: DualState) -> IntegratedDual | None:
        """The dual on a grid that reaches as far as the law matters at the state of a check, None if its own does."""
        finer = self.grid.farther(check.densities, self.problem.breakpoint_law(), self._size_of_data)
        return None if finer is None else self.on(finer)

    def refined(self, state: DualState, tolerance: float, loose: float = 0.0, rounds: int = 40) -> Refinement:
        """A check, and a grid that resolves the curvature at `state`; a misfit above `tolerance` shows that it does not.

        `loose` : how well curvature is to be resolved, where that is less well than rounding lets it; 0: as well as that.
        `rounds` : bisections of a cell, at most; after the last one nobody has looked whether it was enough.
        """
        dual, finest, law = self, None, self.problem.breakpoint_law()
        negligible = 1e-16 if self.integrator.speeds == 1 else 1e-13  # rules for |w| are good to 1e-12
        resolved, negligible = max(1e-12, loose), max(negligible, 0.01 * loose)
        for _ in range(rounds):
            check = dual.checked(state.function)
            noises = [sample.noise for sample in check.samples]
            finer = dual.grid.refined(check.densities, law, self._size_of_data, resolved, negligible, noises)
            if finer is None:
                break
            dual = finest = self.on(finer)
            if not np.isfinite(
                check.misfit
            ):  # elsewhere than where it was looked: this is no solution, and not to be resolved
                break
        if finest is None and self._lost_in_folds(state, check) > resolved:
            finest = self.on(replace(self.grid, folds=(None, None)))
        if finest is None and state.misfit <= tolerance < check.misfit and (halved := self.grid.halved()) is not None:
            finest = self.on(halved)
        return Refinement(check, finest)

    def _lost_in_folds(self, state: DualState, check: DualState) -> float:
        """By how much the misfit differs for what lies beyond the data being integrated by cells in u, not by a check."""
        if self.equations.free or self.grid.folds == (None, None):
            return 0.0
        apart = (state.integrals - check.integrals)[:2, :, [0, -1]].sum(
            axis=(1, 2)
        )  # of slope and offset, the first unknowns
        return misfit(apart, self._scale[:2], check.load[:2])


def integrator_of(posed: PosedProblem, grid: PanelGrid) -> Quadrature:
    """The integrator for the law of a problem, on a grid and for the potential of that."""
    kind = ByParts if has_closed_form(grid.unfolding.potential) else UnitQuadrature
    if posed.problem.initialization.breakpoint_law.degree == 0:
        units = kind(posed.system, grid, posed.sides)
        if all((model.v == 1).all() for model in units.in_cells):
            return units
    return Quadrature(posed.system, grid, posed.sides)


def curved_spline(state: DualState, y: Array, knots: Array) -> CurvedSpline:
    """The function that a state with samples makes, through ordinates `y` at the data, one branch a side."""
    dual = state.dual
    x, scale, integrator, branches = dual.equations.x, dual.size * dual.equations.activation.kink, dual.integrator, []
    for row in range(len(state.masses)):
        samples = [sample for sample in state.samples if sample.row == row]
        rows, curvature = samples[0].nodes.rows, samples[0].value
        if len(samples) > 1:
            parts = zip(*(sample.nodes.rows for sample in samples), strict=True)
            rows, curvature = Rows(*map(np.concatenate, parts)), np.concatenate([sample.value for sample in samples])
        through = y if row == 0 else np.zeros_like(y)  # the sum is to pass through the data
        branches.append(Branch.through(rows, scale * curvature, integrator.grid.unfolding, x, through, integrator.degrees))
    return CurvedSpline(branches, x, y, knots)
