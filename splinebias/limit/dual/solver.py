r"""Exact solution for every convex potential by a globalized Newton method on the dual (theory section 4)."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import Outcome
from splinebias.functions.curved import Branch, CurvedSpline
from splinebias.functions.curved_rows import Rows
from splinebias.limit.banded import BandedSolver, function_knots
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.mirror import mirrored, through_mirror
from splinebias.limit.dual.newton_system import DualSystem
from splinebias.limit.dual.objective import DualState, IntegratedDual
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending
from splinebias.potential import Quadratic
from splinebias.problem import Problem

_PATIENCE = 60  # Newton steps in a row that do not halve the residual, after which the answer is given as it is
_AT_ROUNDING = 2  # the same, once the residual is below the tolerance, and half of it far below
_FINE = 0.01  # part of the tolerance from which on a residual is near rounding
_GOAL = 5e-15  # residual at which nothing is left to do
_ROUNDED = 2e-14  # residual at which only rounding is left, after a step that should have led to the goal
_ENOUGH = 0.1  # part of the rise that the slope promises; a Newton step on a quadratic function makes half of it
_SECANTS = 12  # evaluations along a step
_HALVINGS = 100  # of a start, or doublings
_BISECTIONS = 14  # of the logarithm of a start
_NEGLIGIBLE = 1e-6  # part of the data that the curvature of a start makes
_RATIO, _LEAST_RATIO = 2.0, 1.05  # of the powers from one potential to the next, at first and at last
_NEARBY, _STEPS_THERE = 1e-6, 40  # residual on the way, and Newton steps for it
_STILL = 1e-13  # relative size of moves that are left out until the residual is below the tolerance


@dataclass(frozen=True)
class DualSolver(Solver):
    r"""The interpolant of least :math:`E[D_\phi(\alpha, 0)]`, for every convex potential.

    Maximizes :math:`\lambda^T y - E[\phi^*(\sum_i \lambda_i \sigma(w x_i + b))]` over :math:`\lambda` by Newton's
    method; a step is a tridiagonal solve with a border of two. The quadrature follows the zeros of the dual function
    from step to step, and is refined where the curvature at the solution asks for it.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE.
    max_iterations : int
        Newton steps between refinements, at most.
    max_refinements : int
        Rounds of refinement of the quadrature, at most.

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
    def solve_posed(self, posed: PosedProblem) -> Prediction:
        problem = posed.problem
        if isinstance(problem.limit_potential, Quadratic):
            return BandedSolver(self.tolerance).solve_posed(posed)
        began = time.perf_counter()
        dual, start = IntegratedDual.of(posed)
        quadratic = posed.system
        coarse = dual.grid.cells
        state, iterations = maximized(dual, _begun(dual, start, quadratic), self.tolerance, self.max_iterations)
        if not state.misfit <= self.tolerance and dual.potential.steepness > 1:
            led, steps = _led(dual, start, self.tolerance)
            state, iterations = led if led is not None and led.misfit < state.misfit else state, iterations + steps
        for refinements in range(self.max_refinements + 1):
            finer, check = (dual, dual.sampled(state)) if dual.exact else dual.refined(state, self.tolerance)
            if finer is dual or refinements == self.max_refinements:
                break
            dual = finer
            state, steps = maximized(dual, _within(dual.at(state.function)), self.tolerance, self.max_iterations)
            iterations += steps
        finest = dual.misfit_of_finest(state.function)
        errors = [state.misfit, check.misfit, check.neglected, finest, state.function.torn]
        misfit = float(np.max(errors))  # not max(), which may drop a NaN
        knots = function_knots(problem, coarse, state.function.zeros())
        return Prediction(
            problem,
            unfolded(dual, check, knots),
            dual.factor * check.cost,
            misfit,
            Outcome.CONVERGED if misfit <= self.tolerance and coarse.resolved and finer is dual else Outcome.INACCURATE,
            dual.factor / dual.size * state.function.multipliers(),
            {
                "solver": "DualSolver",
                "iterations": iterations,
                "refinements": refinements,
                "cells": sum(sample.nodes.panel.size for sample in check.samples),
                "seconds": time.perf_counter() - began,
            },
        )


def _begun(dual: IntegratedDual, start: DualFunction, quadratic: DualSystem) -> DualState:
    """Where to begin, near `start`: where evaluations are dear, steps on the rule of the quadratic problem come first."""
    if not dual.exact:
        return _within(dual.at(dual.approached(start, quadratic)))
    state = dual.at(start)
    moved = None if state.objective >= 0 else _step(dual, state, np.inf)
    return moved if moved is not None and moved.misfit < 0.5 * state.misfit else _within(state)


def _within(state: DualState) -> DualState:
    """`state`, halved until the dual is not below its value at 0, and doubled until its curvature is not negligible.

    With an exponential conjugate and a law with exponential tails the dual is finite on a neighbourhood of 0 only. With a
    steep potential and random weights the fast ones decide, which a start knows nothing of: where all curvature is
    negligible or overflows, Newton steps lead nowhere.
    """
    dual = state.dual
    for _ in range(_HALVINGS):
        if state.objective >= 0 or not state.pairing:
            break
        state = dual.at(state.function.times(0.5))
    start = state.function
    if not state.made_share < _NEGLIGIBLE:
        return state
    low, high = 0.0, float(_HALVINGS)  # logarithms of factors
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        new = dual.at(start.times(2.0**middle))
        if new.made_share <= 1:
            low, state = middle, new
        else:
            high = middle
    return state


def _led(dual: IntegratedDual, start: DualFunction, tolerance: float) -> tuple[DualState | None, int]:
    """The maximum, by way of those for gentler potentials, beginning with a square, whose only Newton step is exact.

    What a steep potential makes of `start` can be negligible at most of the data, or point away from the maximum. From one
    potential to the next the power grows by a ratio that becomes smaller where that was too much. None if none was reached.
    """
    potential, ratio, total = dual.potential, _RATIO, 0
    at, reached, best = 2 * potential.steepness, None, None  # how far from `potential`
    while at > 1 and ratio > _LEAST_RATIO:
        to = max(at / ratio, 1.0)
        there = replace(dual, potential=potential.gentler(to) if to > 1 else potential)
        if reached is not None:
            start = reached.function
            if potential.moment_order <= 2:  # dual values differ by powers of ten, but not the curvature
                start = through_mirror(there.potential, start, free=dual.equations.free, before=reached.dual.potential)
        state, steps = maximized(there, _within(there.at(start)), tolerance, _STEPS_THERE)
        total += steps
        if to == 1 and (best is None or state.misfit < best.misfit):
            best = state
        if state.misfit <= (tolerance if to == 1 else _NEARBY):
            at, reached = to, state
        elif reached is None:
            break
        else:
            ratio = math.sqrt(ratio)
    return best, total


def maximized(dual: IntegratedDual, state: DualState, tolerance: float, max_iterations: int) -> tuple[DualState, int]:
    """Newton ascent from `state` until the residual is at rounding, or near it where there are many cells; and its steps.

    Where there are few, the step that should be the last, by quadratic convergence, is judged by more nodes at once: a
    check, unless it was not the last.
    """
    best, stale, goal = state, 0, _FINE * tolerance if dual.reuses else _GOAL
    rate, checked = np.inf, dual.reuses
    for iteration in range(1, max_iterations + 1):
        if state.misfit <= goal:
            return state, iteration - 1
        last = not checked and rate * state.misfit * state.misfit <= goal  # powers may overflow
        moved = _step(dual, state, tolerance, check=last and not dual.exact)
        if moved is None:
            break
        if last:
            if moved.misfit <= _ROUNDED:
                return moved, iteration
            checked, moved = True, moved if dual.exact else dual.at(moved.function)
        rate = moved.misfit / state.misfit / state.misfit
        state = moved
        much = 0.5 if best.misfit > tolerance else 0.1  # a Newton step that gains less is at rounding
        stale = 0 if state.misfit < much * best.misfit else stale + 1
        if state.misfit < best.misfit:
            best = state
        if best.misfit <= tolerance and stale >= (1 if best.misfit <= _FINE * tolerance else _AT_ROUNDING):
            break
        if stale >= _PATIENCE:
            break
    return best, iteration


def _step(dual: IntegratedDual, state: DualState, tolerance: float, *, check: bool = False) -> DualState | None:
    r"""The Newton step, taken in :math:`\alpha` if that raises the dual, else in g and shortened until it does (Armijo).

    Where the rise to be had is below the rounding of the dual, the residual is the measure instead. `check`: as in
    `IntegratedDual.at`.
    """
    equations, step = dual.equations, state.hessian().solve(state.residual)
    gain = float((state.residual * step).sum())
    if not np.isfinite(gain) or gain <= 0:
        return None
    still = _STILL if dual.reuses and state.misfit > tolerance else 0.0
    visible = gain > 1e-12 * (abs(state.objective) + state.pairing)

    def moved(increment: DualFunction, length: float = 1.0) -> DualState | None:
        """The state after an increment, if that is progress."""
        new = dual.at(state.function.moved(increment, still), state, check=check)
        if not (np.isfinite(new.misfit) and np.isfinite(new.objective)):
            return None
        rise = new.objective - state.objective
        if visible:
            return new if rise >= _ENOUGH * length * gain or (rise >= 0 and new.misfit < 0.5 * state.misfit) else None
        return new if state.misfit <= tolerance or new.misfit < 0.5 * state.misfit else None

    for steeper in (True,) if equations.sides_agree else (True, False):
        curved = moved(
            mirrored(dual.potential, state.function, equations.function(step), free=equations.free, steeper=steeper)
        )
        if curved is not None:
            return curved
    if not visible:
        return moved(equations.function(step)) or _balanced(dual, state, step)
    lengths = 0.5 ** np.arange(60)
    found = next((new for t in lengths if (new := moved(equations.function(t * step), float(t))) is not None), None)
    if found is None:  # a rule that does not resolve the curvature yet, so that value and slope do not belong together
        balanced = _balanced(dual, state, step)
        return balanced if balanced is not None and balanced.misfit < state.misfit else None
    return found


def _balanced(dual: IntegratedDual, state: DualState, step: Array) -> DualState | None:
    """The maximum of the dual along `step`, where its derivative vanishes (regula falsi, Illinois variant)."""
    best = None
    low, high, t = 0.0, 1.0, 1.0
    at_low, at_high = float((state.residual * step).sum()), -np.inf
    goal = 0.1 * at_low
    for _ in range(_SECANTS):
        new = dual.at(state.function.moved(dual.equations.function(t * step)), state)
        along = float((new.residual * step).sum())
        best = new if np.isfinite(along) else best
        if abs(along) <= goal or (t == 1.0 and along > 0):
            break
        if along > 0:
            low, at_low, at_high = t, along, at_high / 2
        else:
            high, at_high, at_low = t, along if np.isfinite(along) else -np.inf, at_low / 2
        t = (low * at_high - high * at_low) / (at_high - at_low) if np.isfinite(at_high) else (low + high) / 2
    return best


def unfolded(dual: IntegratedDual, state: DualState, knots: Array) -> CurvedSpline:
    """The function that `state` makes, through the data, one branch a side."""
    data, kink = dual.problem.data, dual.problem.two_slopes.kink
    branches, y = [], data.y
    for side in state.integrals:
        samples = [sample for sample in state.samples if sample.side == side]
        rows, curvature = samples[0].nodes.rows, samples[0].value
        if len(samples) > 1:
            parts = zip(*(sample.nodes.rows for sample in samples), strict=True)
            rows, curvature = Rows(*map(np.concatenate, parts)), np.concatenate([sample.value for sample in samples])
        curvature = dual.size * kink * curvature
        branches.append(Branch.through(rows, curvature, dual.potential, data.x, y, dual.curvature_degrees))
        y = np.zeros_like(y)  # the sum is to pass through the data
    return CurvedSpline(branches, data.x, data.y, knots)
