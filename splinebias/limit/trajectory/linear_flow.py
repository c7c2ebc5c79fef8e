r"""Infinite-width training of quadratic problems: every mode decays on its own (theory section 6).

.. math:: f_t = K(\cdot, X) K^{-1} (I - e^{-tKW/\kappa})\, y, \qquad W = \mathrm{diag}(m_i)/\textstyle\sum_j m_j,

with :math:`\kappa = \phi''(0)`, 1 for gradient descent. A smoothing spline is the same sum over modes with another filter.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from splinebias._array import Array
from splinebias.errors import CapabilityError, Outcome
from splinebias.limit.hypotheses import require_mobile
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction
from splinebias.limit.trajectory.decay_modes import DecayModes, Residuals, line_basis
from splinebias.limit.trajectory.linear_spans import Span, span_of
from splinebias.problem import Problem


@dataclass(frozen=True)
class Decay:
    r""":math:`e^{-st}`: what gradient flow leaves of a mode by time t, in units of :math:`\kappa`."""

    time: float

    def left(self, rates: Array) -> Array:
        """What is left of modes with these decay rates s >= 0."""
        return np.exp(-self.time * rates)

    def moved(self, rates: Array) -> Array:
        """How far the multipliers of these modes went: (1 - left)/s, also at s = 0."""
        done = -np.expm1(-self.time * rates)
        return np.divide(done, rates, out=np.full_like(rates, self.time), where=done > 0)


@dataclass(frozen=True)
class Shrinkage:
    r""":math:`\lambda/(s + \lambda)`: what a smoothing spline with regularization :math:`\lambda > 0` leaves of a mode."""

    regularization: float

    def left(self, rates: Array) -> Array:
        """What is left of modes with these decay rates s >= 0."""
        return self.regularization / (rates + self.regularization)

    def moved(self, rates: Array) -> Array:
        """How far the multipliers of these modes went: (1 - left)/s, also at s = 0."""
        return 1 / (rates + self.regularization)


Filter = Decay | Shrinkage


@dataclass(frozen=True, eq=False)
class LinearFlow:
    r"""A quadratic problem in its decay modes.

    Attributes
    ----------
    problem : Problem
        What is fitted.
    residuals : Residuals
        The data as coordinates of the flow.
    modes : DecayModes
        Decay rates and modes for :math:`\kappa = 1`.
    span : Span
        Where functions are represented.
    start : Array, shape (k,)
        Modes of G at time 0.
    stiffness : float
        The :math:`\kappa` by which the potential slows the flow.
    """

    problem: Problem
    residuals: Residuals
    modes: DecayModes
    span: Span
    start: Array
    stiffness: float

    @classmethod
    def of(cls, posed: PosedProblem) -> LinearFlow:
        r"""The modes of a problem, by one dense singular value decomposition.

        Raises
        ------
        CapabilityError
            If the potential is scaled and not quadratic, or there are more than 4000 points (1000 for powers of ReLU and
            `NTK`).
        DataError
            If an unscaled potential does not have :math:`0 < \phi''(0) < \infty`.
        """
        problem = posed.problem
        require_linear(problem)
        span = span_of(posed)
        residuals, modes = span.modes()
        return cls(problem, residuals, modes, span, modes.vectors.T @ residuals.start, problem.phi.hess_at_zero)

    def of_values(self, y: Array) -> LinearFlow:
        """The same flow for other ordinates, shape (M,): no new decomposition."""
        problem = self.problem.with_ordinates(y)
        residuals = self.residuals.of_values(problem)
        return replace(self, problem=problem, residuals=residuals, start=self.modes.vectors.T @ residuals.start)

    def filtered(self, rule: Filter) -> Prediction:
        """The function whose residual is that of the zero function (or line, if free), filtered mode by mode.

        Its `residual` is the larger of two, relative to max |y|: the distance between the values that the function was
        given at the data and those that its coordinates have; and what is left of a mode for the rates that rounding
        cannot tell apart.
        """
        began = time.perf_counter()
        rates, blur = self.modes.rates, self.modes.blur
        left, moved = rule.left(rates), rule.moved(rates)
        velocity = self.modes.vectors @ (left * self.start)
        fitted = self.residuals.fitted(velocity)
        made = self.span.function(self.modes.lift @ (moved * self.start), fitted)
        unsure = np.abs((rule.left(np.maximum(rates - blur, 0.0)) - rule.left(rates + blur)) * self.start)
        size = float(np.abs(self.residuals.root * self.problem.data.y).max()) or 1.0
        residual = float(np.max([made.misfit, unsure.max(initial=0.0) / size]))  # max() may drop a NaN
        return Prediction(
            self.problem,
            made.function,
            self._factor * made.cost / 2 if self.problem.scaled else made.cost,
            residual,
            Outcome.CONVERGED if residual <= 1e-8 and made.resolved else Outcome.INACCURATE,
            self._factor * self.residuals.root * self._without_lines(self.modes.vectors @ (moved * self.start)),
            {
                "solver": "LinearFlow",
                "loss": float(velocity @ velocity) / 2,
                "cells": made.cells,
                "seconds": time.perf_counter() - began,
            },
        )

    @property
    def _factor(self) -> float:
        r"""The :math:`\kappa` of penalty and multipliers: an unscaled potential leaves its trace in time only."""
        return self.stiffness if self.problem.scaled else 1.0

    def multipliers(self, times: Array) -> Array:
        r""":math:`\lambda` at finite times >= 0, shape (T, M)."""
        moved = np.stack([Decay(t / self.stiffness).moved(self.modes.rates) for t in times.tolist()])
        return np.asarray(
            self._factor * self.residuals.root * self._without_lines((moved * self.start) @ self.modes.vectors.T)
        )

    def _without_lines(self, multipliers: Array) -> Array:
        r""":math:`\ell`, (..., M), less the lines that rounding leaves in late modes, if the affine part is free."""
        if not self.problem.free:
            return multipliers
        lines = line_basis(self.residuals.root, self.problem.data.x)
        return np.asarray(multipliers - (multipliers @ lines) @ lines.T)

    def at(self, times: Array) -> list[Prediction]:
        """f_t at finite training times >= 0."""
        found = []
        for t in times.tolist():
            made = self.filtered(Decay(t / self.stiffness))
            outcome = Outcome.REACHED_TIME if made.outcome.ok else made.outcome
            found.append(replace(made, outcome=outcome, stats=made.stats | {"time": t}))
        return found


def require_linear(problem: Problem) -> None:
    """Raise CapabilityError for scaled potentials that are not quadratic, DataError for others that are not mobile."""
    if not problem.linear:
        raise CapabilityError(
            f"linear filters of the residual need a quadratic or unscaled potential, got scaled {problem.phi}; "
            "take sb.Quadratic(), or follow the trajectory with sb.predict_path"
        )
    require_mobile(problem.phi, "a linear flow")
