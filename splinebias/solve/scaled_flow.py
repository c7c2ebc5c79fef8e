r"""Infinite-width training with a scaled potential: a stiff ODE for the multipliers (theory section 6).

.. math:: \lambda' = -\omega r, \qquad
          r_i = E_\mu[\sigma(w x_i + b)\, (\phi')^{-1}(\textstyle\sum_j \lambda_j \sigma(w x_j + b))] - y_i,
          \qquad \lambda(0) = 0.

In the O(M) unknowns u of `dual_function` this is :math:`u' = H^T W (y - f)`. The expectation is a smooth function
of u only if its quadrature moves along with the zeros of the dual functions g, where :math:`(\phi')^{-1}(g)` may be
singular: cells are cut there at every evaluation, and nodes crowd at the ends of all cells.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import Radau

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.errors import Outcome
from splinebias.potential import Potential
from splinebias.problem import Problem
from splinebias.quadrature import Cells, bisect_until, panel_nodes, unresolved
from splinebias.response import Response, ResponseModel
from splinebias.solve.banded import Solved
from splinebias.solve.discretize import Discretization, discretize
from splinebias.solve.dual_function import DualFunction
from splinebias.solve.linear_flow import through
from splinebias.solve.modes import Residuals, dense
from splinebias.solve.moving_nodes import MovingNodes
from splinebias.solve.prediction import Prediction
from splinebias.solve.structure import DualSystem

_LARGEST = 1000  # points: beyond, a trajectory takes many minutes
_RTOL = 1e-7  # local error of u per step, relative
_TOLERANCE = 1e-6  # residual above which the outcome is INACCURATE
_MAX_STEPS = 3000
_AT_REST = 1e-14  # size of y - f, relative to its start, that is rounding
_NEGLIGIBLE = 1e-13  # part of the curvature, by its moment, that need not be resolved
_TINY = 1e-13  # part of the first move below which errors do not count; where 1/phi'' is infinite at 0, it is made by hand
_CRAWL, _PATIENCE = 1e-8, 50  # so many steps in a row, each shorter than that part of t, are a standstill


class Reached(NamedTuple):
    """Where the flow was at a requested time: unknowns, the integral of 2L, the actual time, and how it went."""

    u: Array
    dissipated: float
    time: float
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class ScaledFlow:
    """The flow of one problem.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    residuals : Residuals
        The data as coordinates of the flow.
    base : Discretization
        Cells that hold the data and resolve the law.
    system : DualSystem
        On `base`; for everything that does not depend on nodes.
    nodes : MovingNodes
        The quadrature of the flow.
    """

    problem: Problem
    residuals: Residuals
    base: Discretization
    system: DualSystem
    nodes: MovingNodes

    @classmethod
    def of(cls, problem: Problem) -> ScaledFlow:
        """The flow of `problem`; CapabilityError if it has more than 1000 points."""
        residuals, base = Residuals.of(problem, largest=_LARGEST), discretize(problem)
        nodes = MovingNodes.of(problem.initialization.breakpoint_law, problem.data.x, base.cells)
        return cls(problem, residuals, base, cls._system(problem, base), nodes)

    @staticmethod
    def _system(problem: Problem, grid: Discretization) -> DualSystem:
        return DualSystem(problem.data.x, grid, problem.two_slopes, free=problem.affine == "free")

    @np.errstate(all="ignore")  # trial steps may overflow; they are then rejected
    def at(self, times: Array) -> list[Prediction]:
        """f_t at finite times >= 0, increasing."""
        began = time.perf_counter()
        resting = self._resting(times[times == 0])
        moving = times[times > 0]
        return [self._prediction(state, began) for state in resting + (self._follow(moving) if moving.size else [])]

    def _resting(self, times: Array) -> list[Reached]:
        return [Reached(np.zeros(self.residuals.hinges.shape[1]), 0.0, t, Outcome.REACHED_TIME) for t in times.tolist()]

    def _follow(self, times: Array) -> list[Reached]:
        """Integrate (u, integral of 2L) by the implicit Radau IIA method of order 5, with its exact Jacobian."""
        start = self.residuals.start
        if not start.any():
            return self._resting(times)  # the data are a line, and lines are free
        slope = np.r_[self.residuals.hinges.T @ start, start @ start]
        unit = min(times[0], self._time_scale(slope[:-1]))
        first = _TINY * unit if self.problem.phi.hess_at_zero == 0 else 0.0
        solver = Radau(
            self._rhs,
            first,
            first * slope,
            times[-1],
            rtol=_RTOL,
            atol=_TINY * unit * np.r_[np.full(slope.size - 1, np.abs(slope[:-1]).max()), slope[-1]],
            jac=self._jacobian,
            first_step=first or None,
        )
        reached: list[Reached] = []
        crawling = 0
        for _ in range(_MAX_STEPS):
            solver.step()
            if solver.status == "failed":
                return _give_up(reached, solver, times, Outcome.STALLED)
            due = times[len(reached) : np.searchsorted(times, solver.t, side="right")]
            for t, y in zip(due, solver.dense_output()(due).T, strict=True) if due.size else ():
                reached.append(Reached(y[:-1], float(y[-1]), float(t), Outcome.REACHED_TIME))
            if len(reached) == times.size:
                return reached
            if solver.f[-1] <= (_AT_REST * np.linalg.norm(start)) ** 2:
                rest = Reached(solver.y[:-1], float(solver.y[-1]), 0.0, Outcome.REACHED_TIME)
                return reached + [rest._replace(time=t) for t in times[len(reached) :].tolist()]
            crawling = crawling + 1 if solver.step_size < _CRAWL * solver.t else 0
            if crawling > _PATIENCE:
                return _give_up(reached, solver, times, Outcome.STALLED)
        return _give_up(reached, solver, times, Outcome.MAX_STEPS)

    def _time_scale(self, slope: Array) -> float:
        """The time after which f would exceed y if the multipliers went on as they start, within a factor of 8."""
        size, t = float(np.linalg.norm(self.residuals.start)), 1.0

        def short(t: float) -> bool:
            fitted = self.residuals.start - self._velocity(*self._respond(t * slope))
            return bool(np.linalg.norm(fitted) < size)

        factor = 8.0 if short(t) else 1 / 8
        while short(t) == (factor > 1) and 1e-250 < t < 1e250:
            t *= factor
        return t

    def _rhs(self, _: float, y: Array) -> Array:
        velocity = self._velocity(*self._respond(y[:-1]))
        return np.concatenate([self.residuals.hinges.T @ velocity, [velocity @ velocity]])

    def _jacobian(self, _: float, y: Array) -> Array:
        system, response = self._respond(y[:-1])
        hinges = self.residuals.hinges
        decay = hinges @ dense(system.hessian(response.slope))  # minus the derivative of G
        jacobian = np.zeros((y.size, y.size))
        jacobian[:-1, :-1] = -hinges.T @ decay
        jacobian[-1, :-1] = -2 * self._velocity(system, response) @ decay
        return jacobian

    def _respond(self, u: Array) -> tuple[DualSystem, Response]:
        """The response on nodes that fit the zeros of g for these unknowns."""
        grid = self.nodes.at(self.system.function(u).zeros())
        system = self._system(self.problem, grid)
        model = ResponseModel.at(self.problem.initialization.breakpoint_law, self.problem.phi, grid.nodes)
        return system, model(system.evaluate(u))

    def _velocity(self, system: DualSystem, response: Response) -> Array:
        """G, with the digits of what is small: f at the start, y - f towards the end."""
        made = system.gather(response.value)
        missing = system.target(self.residuals.y) - made
        if np.abs(made).max(initial=0.0) < np.abs(missing).max(initial=0.0):
            return np.asarray(self.residuals.start - self.residuals.hinges @ made)
        return np.asarray(self.residuals.hinges @ missing)

    def _prediction(self, reached: Reached, began: float) -> Prediction:
        """The function on cells that resolve its curvature, checked against the nodes and the time steps of the flow.

        The residual is the larger of: the change of f at the data when nodes are refined, relative to max |y|; the
        imbalance of :math:`\\int 2L\\,dt = \\lambda^T y - E[\\phi^*]`, relative to :math:`\\lambda^T y`.
        """
        problem, u = self.problem, reached.u
        law, phi, dual = problem.initialization.breakpoint_law, problem.phi, self.system.function(u)
        grid = Discretization.on(problem, _resolving(law, phi, dual, self.base.cells))
        system = self._system(problem, grid)
        response = ResponseModel.at(law, phi, grid.nodes)(system.evaluate(u), system.rounding(u))
        velocity = self._velocity(system, response)
        change = velocity - self._velocity(*self._respond(u))
        shift = float(np.abs(change / self.residuals.root).max()) / (float(np.abs(problem.data.y).max()) or 1.0)
        pairing = float(system.target(problem.data.y) @ u)
        energy = pairing - sum(float((grid.weights * response.dual[side]).sum()) for side in (1, -1))
        imbalance = abs(energy - reached.dissipated) / (abs(pairing) or 1.0)
        cost = sum(float((grid.weights * response.penalty[side]).sum()) for side in (1, -1))
        solved = Solved(grid, dual, response.value, cost, max(shift, imbalance))
        stats = {"solver": "ScaledFlow", "time": reached.time, "loss": float(velocity @ velocity) / 2}
        made = through(problem, self.residuals.fitted(velocity), solved, _TOLERANCE, stats, began)
        inaccurate = reached.outcome.ok and not made.outcome.ok
        return replace(made, outcome=made.outcome if inaccurate else reached.outcome)


def _resolving(law: BreakpointLaw, phi: Potential, dual: DualFunction, cells: Cells) -> Cells:
    """`cells` cut at the zeros of g, and bisected where the curvature of a side is not resolved and that side counts."""

    def curvature(left: Array, right: Array) -> list[tuple[Array, Array]]:
        """Per side, values at the nodes and their moment about the data."""
        nodes, weights = panel_nodes(left, right, cells.order)
        value = ResponseModel.at(law, phi, nodes)({side: dual(nodes, side) for side in (1, -1)}).value
        lever = weights * (dual.span + np.abs(nodes - dual.x[0]))
        return [(a, np.asarray((lever * np.abs(a)).sum(axis=1))) for a in value.values()]

    total = _NEGLIGIBLE / 1e-16 * sum(float(moment.sum()) for _, moment in curvature(*cells.panels))

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        return np.logical_or(*(unresolved(a, moment, total, tolerance) for a, moment in curvature(left, right)))

    return bisect_until(cells.split(dual.zeros()), failing)


def _give_up(reached: list[Reached], solver: Radau, times: Array, outcome: Outcome) -> list[Reached]:
    """What was reached, and for the times beyond it the last state, with its own time."""
    last = Reached(solver.y[:-1], float(solver.y[-1]), float(solver.t), outcome)
    return reached + [last] * (times.size - len(reached))
