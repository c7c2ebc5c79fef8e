r"""DualSolver: exact solution for every convex potential, on the dual (theory section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from splinebias._arguments import known_keywords
from splinebias.errors import Outcome, SolveError
from splinebias.initialization.weight_quadrature import ROUGH
from splinebias.limit.banded import BandedSolver
from splinebias.limit.dual.by_parts import ByParts
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.newton import begun, led, maximized, scaled_start, steepness
from splinebias.limit.dual.objective import DualState, IntegratedDual, curved_spline
from splinebias.limit.neighbour import Reached
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending
from splinebias.potential import Quadratic
from splinebias.problem import Problem

_TOLERANCE = 1e-10
_LEADING = 60  # Newton steps with few nodes for |w|, at most
_AT_FIRST = 2  # bisections before the first look at what they change: mostly enough, and a look costs two evaluations
_HIDDEN = 1e-6  # share of the moments beyond doubles from which on finer grids are of no use
_WORSE = 2  # refinements in a row that end farther from the solution than they began, because rounding takes over


class _Refined(NamedTuple):
    """A maximum, its `check` on a finer quadrature, whether that asks for no finer grid, and the work it took."""

    state: DualState
    check: DualState
    resolved: bool
    refinements: int
    iterations: int


@known_keywords
@dataclass(frozen=True)
class DualSolver(Solver):
    r"""The interpolant of least :math:`E[D_\phi(\alpha, 0)]`, for every convex potential.

    Maximizes :math:`\lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma(w x_i + b))]` over :math:`\lambda` by Newton's
    method; a step is a tridiagonal solve with a border of two. The quadrature follows the zeros of the dual function
    from step to step, and is refined where the curvature at the solution asks for it.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE. Above 1e-10 law and curvature are resolved no
        better than that asks for.
    max_iterations : int
        Newton steps between refinements, at most.
    max_refinements : int
        Rounds of refinement of the quadrature, at most.

    over_sizes : bool
        Whether to integrate over \|w\| at every breakpoint even where one function of one variable says it all: a check of
        these *effective potentials*, at 2 to 20 times the price.

    Notes
    -----
    For absolute-value networks with W = +-1 this is the theorem of Liang & Montufar (2025) on scaled potentials.
    For ReLU and for random \|W\| it is the dual of the parameter-space problem, not stated in closed form there.
    Hypotheses checked: as in `predict`. Not checked: width.
    """

    tolerance: float = _TOLERANCE
    max_iterations: int = 200
    max_refinements: int = 60
    over_sizes: bool = field(default=False, kw_only=True)

    def supports(self, problem: Problem) -> str | None:
        return beyond_bending(problem)

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # trial steps may overflow; they are then rejected
    def solve_posed(self, posed: PosedProblem) -> Prediction:
        problem = posed.problem
        if isinstance(problem.limit_potential, Quadratic):
            return BandedSolver(self.tolerance).solve_posed(posed)
        posed = replace(posed, over_sizes=True) if self.over_sizes else posed
        near = posed.near
        enough = 1e-3 * self.tolerance if near or self.loose else 0.0
        dual, start = IntegratedDual.of(posed)
        begin, iterations = _first(dual, start, cold=near is None)
        state, steps, cut = maximized(begin, self.tolerance, self.max_iterations, enough)
        iterations += steps
        if near is not None and not state.misfit <= self.tolerance:  # not so near after all
            found = self.solve_posed(replace(posed, near=None))
            return replace(found, stats=found.stats | {"warm": "nothing: Newton's method did not converge from there"})
        if not state.misfit <= self.tolerance and steepness(dual.potential) > 1:
            other, steps = led(posed, dual, start, self.tolerance)
            state, iterations = other if other is not None and other.misfit < state.misfit else state, iterations + steps
        state, check, resolved, refinements, steps = self._refined(state, enough, cut=cut)
        iterations += steps
        dual, coarse = state.dual, posed.grid.cells
        finest = dual.misfit_of_finest(state.function)
        errors = [state.misfit, check.misfit, check.neglected, finest, state.function.torn, self.loose]
        misfit = float(np.nan_to_num(errors, nan=1.0).max())  # what cannot be told is off by all there is
        reliable = misfit <= self.tolerance and coarse.resolved and resolved
        fresh = near.reached.fresh if near is not None and near.same_law else dual.grid.cells.edges.size
        largest = float(np.abs(problem.data.y).max())
        return Prediction(
            problem,
            curved_spline(check, problem.data.y, posed.knots(state.function.zeros())),
            dual.factor * check.cost,
            misfit,
            Outcome.CONVERGED if reliable else Outcome.INACCURATE,
            dual.factor / dual.size * state.function.multipliers(),
            {
                "solver": "DualSolver",
                "iterations": iterations,
                "refinements": refinements,
                "cells": sum(sample.nodes.interval.size for sample in check.samples),
            },
            state.function.times(dual.factor / dual.size),
            reached=Reached(state.function, replace(dual.grid), dual.size, largest, coarse, fresh),
        )

    def _refined(self, state: DualState, enough: float, *, cut: bool) -> _Refined:
        """The maximum on ever finer grids, from that on the first one, where steps were `cut` or not."""
        worse = iterations = 0  # `worse`: refinements in a row that end beyond the tolerance, and farther than they began
        best: tuple[DualState, DualState] | None = None
        for refinements in range(self.max_refinements + 1):
            rounds = _AT_FIRST if refinements == 0 else 40
            check, finer = state.dual.resolved(state, self.tolerance, self.loose, rounds)
            if best is None or not best[1].misfit <= check.misfit:
                best = state, check
            if worse == _WORSE or (cut and refinements > 0):  # towards the end of the domain of the dual, again
                state, check = best
                if not np.isfinite(check.misfit):
                    raise SolveError(
                        f"curvature leaves the range of doubles between breakpoints with {state.dual.problem.potential!r}, "
                        "on ever finer grids; take one that is less extreme, or minimum_norm, where it tends to |u|"
                    )
                break
            hidden = check.neglected > max(_HIDDEN, self.tolerance)  # no nodes show what a law cannot say
            if finer is None or refinements == self.max_refinements or hidden:
                break
            before = state.misfit
            state, steps, cut = maximized(
                scaled_start(finer.at(state.function)), self.tolerance, self.max_iterations, enough
            )
            iterations += steps
            worse = 0 if state.misfit <= max(self.tolerance, before) else worse + 1
        return _Refined(state, check, finer is None, refinements, iterations)

    @property
    def loose(self) -> float:
        """How well law and curvature are resolved, if the tolerance asks for less than the rules give unasked; else 0."""
        return 0.1 * self.tolerance if self.tolerance > _TOLERANCE else 0.0


def _first(dual: IntegratedDual, start: DualFunction, *, cold: bool) -> tuple[DualState, int]:
    """Where Newton's method begins, and the steps that led there: on few nodes for |w|, unless a neighbour is known."""
    if cold and isinstance(dual.integrator, ByParts):
        return begun(dual.at(start)), 0
    rough = dual.rough() if cold else None
    if rough is None:
        return scaled_start(dual.at(start)), 0
    reached = maximized(scaled_start(rough.at(start)), ROUGH, _LEADING, ROUGH)
    return scaled_start(dual.at(reached.state.function)), reached.steps
