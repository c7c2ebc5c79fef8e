r"""Infinite-width training with a scaled potential: a stiff ODE for the multipliers (theory section 6).

.. math:: \lambda' = -\omega r, \qquad
          r_i = E_\mu[\sigma(w x_i + b)\, (\phi')^{-1}(\textstyle\sum_j \lambda_j \sigma(w x_j + b))] - y_i,
          \qquad \lambda(0) = 0.

The gradient flow of the dual that `DualSolver` maximizes, on the same quadrature; `radau.March` follows it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.errors import Outcome, SolveError
from splinebias.initialization.weight_quadrature import ROUGH
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.newton import maximized
from splinebias.limit.dual.objective import DualState, IntegratedDual, curved_spline
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction
from splinebias.limit.trajectory.decay_modes import Residuals
from splinebias.limit.trajectory.radau import TOLERANCE, March

_TOLERANCE = 1e-8  # residual above which the outcome is INACCURATE


class Reached(NamedTuple):
    """Where the flow is: g, G, the integral of 2L and the actual time, in units of the dual; and how it went."""

    function: DualFunction
    velocity: Array
    dissipated: float
    time: float
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class ScaledFlow:
    r"""The flow of one problem.

    Attributes
    ----------
    posed : PosedProblem
        What is fitted.
    residuals : Residuals
        The data as coordinates of the flow, in the units of the dual.
    dual : IntegratedDual
        The dual, on its coarsest grid.
    tolerance : float
        Of the residuals y - f along the way, relative to their start.
    """

    posed: PosedProblem
    residuals: Residuals
    dual: IntegratedDual
    tolerance: float = TOLERANCE

    @classmethod
    def of(cls, posed: PosedProblem, tolerance: float = TOLERANCE) -> ScaledFlow:
        """The flow of a problem; CapabilityError if it has more than 1000 points."""
        residuals = Residuals.of(posed.problem, largest=1000)  # beyond, a trajectory takes many minutes
        dual, _ = IntegratedDual.of(posed)
        return cls(posed, replace(residuals, y=dual.y, start=residuals.start / dual.size), dual, tolerance)

    @np.errstate(all="ignore")  # trial steps may overflow; they are then rejected
    def at(self, times: Array) -> list[Prediction]:
        """f_t at finite times >= 0, increasing."""
        began = time.perf_counter()
        dual, reached = self._follow(times)
        return [self._prediction(dual, state, began) for state in reached]

    @np.errstate(all="ignore")
    def multipliers(self, times: Array) -> Array:
        r""":math:`\lambda` at finite times >= 0, increasing, shape (T, M); NaN where the flow was not followed so far."""
        scale = self.dual.factor / self.dual.size
        rough = self.dual.rough() if self.tolerance >= ROUGH else None
        reached = (self if rough is None else replace(self, dual=rough))._follow(times)[1]
        return np.stack([(scale if r.outcome.ok else np.nan) * r.function.multipliers() for r in reached])

    @property
    def _unit(self) -> float:
        """1 in times of the dual."""
        return self.dual.size**2 / self.dual.factor

    def _follow(self, times: Array) -> tuple[IntegratedDual, list[Reached]]:
        """The dual on the grid that the flow asked for, and the flow at `times`."""
        start, size = self.residuals.start, self.residuals.hinges.shape[1]
        rest = self.dual.equations.function(np.zeros(size))
        still = (times == 0) | (not start.any())  # where the data are a line, and lines are free, at all times
        reached = [Reached(rest, start, 0.0, t, Outcome.REACHED_TIME) for t in times[still] * self._unit]
        times = times[~still] * self._unit
        if times.size == 0:
            return self.dual, reached
        march = March(self.residuals, self.dual, self.tolerance)
        step = march.advance()
        for t in times:
            while step is not None and step.end < t and march.outcome is None:
                step = march.advance() or step
            if step is None:
                reached.append(Reached(rest, start, 0.0, 0.0, march.outcome or Outcome.STALLED))
            else:
                late = step.end < t
                outcome = (march.outcome if late else None) or Outcome.REACHED_TIME
                state = step.at(min(t, step.end))
                reached.append(Reached(*state, t if outcome.ok else step.end, outcome))
        return march.dual, reached

    def _prediction(self, dual: IntegratedDual, reached: Reached, began: float) -> Prediction:
        r"""The function, from the dual on a grid that resolves it.

        The residual is the largest of: the distance between f from g and f from the interpolated velocity, at the data,
        relative to max |y|; the same for the change with more nodes; the imbalance of :math:`\int 2L\,dt =
        \lambda^T y - E[\phi^*]`, relative to :math:`\lambda^T y`; and what is beyond doubles.
        """
        problem, state = self.posed.problem, self._polished(dual, reached)
        coarse, (check, finer) = self.dual.grid.cells, dual.refined(state, _TOLERANCE)
        dual = dual if finer is None else finer
        velocity = self.residuals.velocity(check.residual)
        if not np.isfinite(velocity).all():
            raise SolveError("the flow left the domain of the dual, which its grid did not show; rescale the data")
        size = float(np.abs(dual.y).max()) or 1.0
        off = [
            np.abs((g - velocity) / self.residuals.root).max() / size
            for g in (reached.velocity, self.residuals.velocity(state.residual))
        ]
        off += [abs(check.objective - reached.dissipated) / (check.pairing or 1.0), check.neglected]
        residual = float(np.max(off))  # not max(), which may drop a NaN
        reliable = residual <= _TOLERANCE and coarse.resolved
        return Prediction(
            problem,
            curved_spline(check, dual.size * self._fitted(check, velocity), self.posed.knots(state.function.zeros())),
            dual.factor * check.cost,
            residual,
            Outcome.INACCURATE if reached.outcome.ok and not reliable else reached.outcome,
            dual.factor / dual.size * state.function.multipliers(),
            {
                "solver": "ScaledFlow",
                "time": float(reached.time / self._unit),
                "loss": float(velocity @ velocity) / 2 * dual.size**2,
                "cells": sum(sample.nodes.interval.size for sample in check.samples),
                "seconds": time.perf_counter() - began,
            },
        )

    def _polished(self, dual: IntegratedDual, reached: Reached) -> DualState:
        r"""The dual at the time reached; where f depends on g so steeply that digits are missing, g is what makes f.

        f is known from G as well as from g, of which it is a steep function where g nearly vanishes and 1/phi'' is infinite
        at 0.
        """
        state, close = dual.at(reached.function), 1e-9
        root, size = self.residuals.root, float(np.abs(dual.y).max())
        if np.abs((self.residuals.velocity(state.residual) - reached.velocity) / root).max() <= close * size:
            return state
        fitted = self.posed.problem.with_ordinates(dual.size * self.residuals.fitted(reached.velocity))
        goal = replace(dual, problem=fitted)
        return dual.at(maximized(goal.at(reached.function), close, 50).state.function)

    def _fitted(self, state: DualState, velocity: Array) -> Array:
        """f at the data, with the digits of what is small, f or y - f."""
        if not self.posed.problem.free and np.abs(state.made).max() < np.abs(state.residual).max():
            return np.asarray(self.residuals.hinges @ state.made / self.residuals.root)
        return self.residuals.fitted(velocity)
