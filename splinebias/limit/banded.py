r"""Exact solution of quadratic and unscaled problems in O(M) time and memory (theory sections 3 and 5)."""

from __future__ import annotations

from dataclasses import dataclass

from splinebias._arguments import known_keywords
from splinebias.errors import Outcome
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending
from splinebias.limit.quadratic import solve_quadratic
from splinebias.potential import Quadratic
from splinebias.problem import Problem


@known_keywords
@dataclass(frozen=True)
class BandedSolver(Solver):
    r"""The interpolant of least :math:`E[\alpha^2]`, by a tridiagonal solve with a border of two.

    :math:`f = E[\alpha \sigma(wx + b)]` with :math:`\alpha = |w| g_\pm(c)` and
    :math:`f'' = (p - q)(\zeta_+ g_+ + \zeta_- g_-)`; the M - 2 second divided differences of y
    and two end conditions determine g.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual (see `Prediction.residual`) above which the outcome is INACCURATE.

    Notes
    -----
    Takes: unscaled potentials and `Scaled(Quadratic())`, two-slope activations, every law, both affine parts.
    Hypotheses checked: the law reaches the data (`require_reachable`), second moments. Not checked: width.
    Source: Jin & Montufar (2023), Theorems 1-4; Liang & Montufar (2025), unscaled potentials.
    """

    tolerance: float = 1e-10

    def supports(self, problem: Problem) -> str | None:
        if (missing := beyond_bending(problem)) is not None:
            return missing
        if not isinstance(problem.limit_potential, Quadratic):
            return f"it solves quadratic problems only and the scaled potential is {problem.phi}; DualSolver takes it"
        return None

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        problem, grid, system = posed.problem, posed.grid, posed.system
        solution = solve_quadratic(system, posed.zeta, problem.data.y)
        reliable = solution.misfit <= self.tolerance and grid.cells.resolved
        return Prediction(
            problem,
            posed.spline(solution.curvature, problem.data.y, linear=solution.linear),
            solution.cost / 2 if problem.scaled else solution.cost,  # unscaled: E[alpha^2], whatever the potential
            solution.misfit,
            Outcome.CONVERGED if reliable else Outcome.INACCURATE,
            solution.function.multipliers(),
            {"solver": "BandedSolver", "iterations": 1, "cells": grid.cells.edges.size - 1},
            solution.function,
        )
