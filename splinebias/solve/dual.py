r"""Exact solution for every convex potential by a globalized Newton method on the dual (theory section 4)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.potential import Potential, Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells, bisect_until, panel_nodes, unresolved
from splinebias.response import Response, ResponseModel
from splinebias.solve.banded import BandedSolver, Solved, assemble
from splinebias.solve.discretize import Discretization, discretize
from splinebias.solve.dual_function import DualFunction
from splinebias.solve.prediction import Prediction, beyond_bending, require
from splinebias.solve.structure import DualSystem, solve_quadratic

_STEPS_WITH_FIXED_ZEROS = 3
_STUCK = 75  # Newton steps in a row that do not halve the residual, after which the answer is given as it is
_SETTLED = 1e-14  # relative size of an unresolved part of the curvature that needs no refinement at all
_NEAR = 1e-8  # residual below which Newton's method is taken to be in its quadratic phase


@dataclass(frozen=True)
class DualSolver:
    r"""The interpolant of least :math:`E[D_\phi(\alpha, 0)]`, for every convex potential.

    Maximizes :math:`\lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma(w x_i + b))]` over :math:`\lambda` by Newton steps,
    each a tridiagonal solve with a border of two. The integral is discretized on cells that end at data, law
    knots and zeros of the dual function; after convergence cells are refined where the curvature is not resolved,
    and Newton goes on from there.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE.
    max_iterations : int
        Newton steps between refinements, at most (3 where 1/phi'' is infinite at zero).
    max_refinements : int
        Rounds of refinement of the cells, at most.

    Notes
    -----
    For absolute-value networks with W = +-1 this is the theorem of Liang & Montufar (2025) on scaled potentials.
    For ReLU and for random \|W\| it is the dual of the parameter-space problem, not stated in closed form there.
    Hypotheses checked: as in `predict`. Not checked: width.
    """

    tolerance: float = 1e-10
    max_iterations: int = 200
    max_refinements: int = 60

    def supports(self, problem: Problem) -> str | None:
        return beyond_bending(problem)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # trial steps may overflow; they are then rejected
    def solve(self, problem: Problem) -> Prediction:
        require(self, problem)
        if isinstance(problem.limit_potential, Quadratic):
            return BandedSolver(self.tolerance).solve(problem)
        start = time.perf_counter()
        data, law, phi = problem.data, problem.initialization.breakpoint_law, problem.limit_potential
        grid = base = discretize(problem)
        system = DualSystem(data.x, grid, problem.two_slopes, free=problem.affine == "free")
        model = ResponseModel.at(law, phi, grid.nodes)
        u = _start(system, model, grid, data.y)
        iterations, zeros, best, stuck = 0, np.full(1, np.nan), np.inf, 0
        # where 1/phi'' is infinite (or nearly so) at 0, the cells graded towards the zeros of g must follow them
        patience = _STEPS_WITH_FIXED_ZEROS if phi.hess_at_zero == 0 else self.max_iterations
        for refinement in range(self.max_refinements + 1):
            state = _newton(system, model, u, data.y, patience)
            u, iterations = state.u, iterations + state.iterations
            if state.misfit > _NEAR:
                patience = min(patience, 4 * _STEPS_WITH_FIXED_ZEROS)
            dual = system.function(u)
            failing = _unresolved_curvature(law, phi, dual, grid.cells)
            done = not failing(*grid.cells.panels, _SETTLED).any() if refinement == 0 else _same_zeros(zeros, dual)
            best, stuck = (state.misfit, 0) if state.misfit < max(0.5 * best, self.tolerance) else (best, stuck + 1)
            if (done and state.misfit <= self.tolerance) or stuck * patience > _STUCK or refinement == self.max_refinements:
                break
            zeros = dual.zeros()
            grid = Discretization.on(problem, bisect_until(base.cells.split(zeros), failing))
            system = DualSystem(data.x, grid, problem.two_slopes, free=problem.affine == "free")
            model = ResponseModel.at(law, phi, grid.nodes)
        cost = sum(float((grid.weights * state.response.penalty[side]).sum()) for side in (1, -1))
        solved = Solved(grid, dual, state.response.value, cost, state.misfit)
        stats: dict[str, object] = {"solver": "DualSolver", "iterations": iterations, "refinements": refinement}
        return assemble(problem, solved, self.tolerance, stats, start)


class _State(NamedTuple):
    u: Array
    response: Response
    residual: Array
    misfit: float
    iterations: int


def _start(system: DualSystem, model: ResponseModel, grid: Discretization, y: Array) -> Array:
    """The quadratic solution, stretched to the maximum of the dual along its ray: right in scale for any potential."""
    u = solve_quadratic(system, grid.zeta, y).u
    if not np.any(u):
        return u
    g = system.evaluate(u)
    wanted = float(system.target(y) @ u)

    def slope(log_scale: float) -> float:
        """Derivative of the dual along the ray, decreasing."""
        scale = np.exp(log_scale)
        value = model({side: scale * g[side] for side in g}).value
        along = sum(float((system.weights * value[side] * g[side]).sum()) for side in g)
        return wanted - along if np.isfinite(along) else -np.inf

    low, high = -1.0, 1.0
    while slope(low) < 0 and low > -600:
        low, high = 2 * low, low
    while slope(high) > 0 and high < 600:
        low, high = high, 2 * high
    while high - low > 0.1:
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return np.asarray(np.exp(low) * u)


def _newton(system: DualSystem, model: ResponseModel, u: Array, y: Array, max_iterations: int) -> _State:
    """Damped Newton ascent of the discretized dual from `u`, until the residual is at rounding."""
    target = system.target(y)

    def state_at(u: Array, response: Response, iteration: int) -> _State:
        residual = target - system.gather(response.value)
        return _State(u, response, residual, system.misfit(residual, response.value, y), iteration)

    state = best = state_at(u, model(system.evaluate(u), system.rounding(u)), 0)
    stale = 0
    for iteration in range(1, max_iterations + 1):
        step = system.hessian(state.response.slope).solve(state.residual)
        moved = _line_search(system, model, target, state, step)
        if moved is None:
            break
        state = state_at(*moved, iteration)
        stale = 0 if state.misfit < 0.5 * best.misfit else stale + 1
        if state.misfit < best.misfit:
            best = state
        if state.misfit <= 2e-15 or stale > (0 if best.misfit <= 1e-10 else 60):
            break
    # far from the maximum the dual itself is the measure of progress, and it only rises
    return (best if best.misfit <= _NEAR else state)._replace(iterations=state.iterations)


def _objective(system: DualSystem, target: Array, u: Array, response: Response) -> float:
    return float(target @ u - sum((system.weights * response.dual[side]).sum() for side in (1, -1)))


def _line_search(
    system: DualSystem, model: ResponseModel, target: Array, state: _State, step: Array
) -> tuple[Array, Response] | None:
    """The first halving of the Newton step that raises the dual enough (Armijo), or None if none does.

    Near the maximum the rise is below rounding; there a step that does not increase the residual is taken whole.
    """
    u = state.u
    before, gain = _objective(system, target, u, state.response), float(state.residual @ step)
    if not np.isfinite(gain) or gain <= 0:
        return None
    noise = 1e-13 * (abs(before) + abs(float(target @ u)))
    length = 1.0
    for _ in range(60):
        trial = u + length * step
        answer = model(system.evaluate(trial), system.rounding(trial))
        after = _objective(system, target, trial, answer)
        if np.isfinite(after) and after >= before + 1e-4 * length * gain - noise:
            return trial, answer
        length /= 2
    return None


def _unresolved_curvature(
    law: BreakpointLaw, phi: Potential, dual: DualFunction, cells: Cells
) -> Callable[[Array, Array, float], NDArray[np.bool_]]:
    """The test "is the curvature of either side unresolved on these panels", where that matters in the whole of `cells`."""

    def curvature(left: Array, right: Array) -> tuple[dict[int, Array], Array]:
        nodes, weights = panel_nodes(left, right, cells.order)
        value = ResponseModel.at(law, phi, nodes)({side: dual(nodes, side) for side in (1, -1)}).value
        lever = dual.span + np.abs(nodes - dual.x[0])
        return value, np.asarray(sum(weights * lever * np.abs(a) for a in value.values())).sum(axis=1)

    total = float(curvature(*cells.panels)[1].sum())

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        value, mass = curvature(left, right)
        return np.logical_or(*(unresolved(a, mass, total, tolerance) for a in value.values()))

    return failing


def _same_zeros(old: Array, dual: DualFunction) -> bool:
    """Whether the zeros of g, at which cells are cut, have come to rest."""
    new = dual.zeros()
    return old.size == new.size and bool((np.abs(old - new) <= 1e-12 * np.maximum(dual.span, np.abs(new))).all())
