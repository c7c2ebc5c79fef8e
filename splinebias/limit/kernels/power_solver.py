"""PowerSolver: the limit of quadratic problems with powers of ReLU."""

from __future__ import annotations

import time
from dataclasses import dataclass

from splinebias._arguments import known_keywords
from splinebias.activation import ReLUPower
from splinebias.errors import Outcome
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver
from splinebias.parameterization import Standard
from splinebias.potential import Quadratic
from splinebias.problem import Problem


@known_keywords
@dataclass(frozen=True)
class PowerSolver(Solver):
    r"""The interpolant of least :math:`E[\alpha^2]` for `ReLUPower` activations.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual (see `PowerSystem.residual`) above which the outcome is INACCURATE, > 0.

    Raises
    ------
    DataError
        If `tolerance` is no number > 0.

    Notes
    -----
    Takes: unscaled potentials and ``Scaled(Quadratic())``, every law with finite E|W|^{2k}, E|B|^{2k}, both affine parts
    (free means slope and intercept, not all polynomials of degree k). O(M^2) memory, O(M^3) time.
    Hypotheses checked: those moments, and that there are neurons where the data ask for a (k + 1)th derivative. Not
    checked: width.
    Source: Jin & Montufar (2023), other activation functions.
    """

    tolerance: float = 1e-10

    def supports(self, problem: Problem) -> str | None:
        if problem.without_breakpoints is not None:
            return problem.without_breakpoints
        if not isinstance(problem.activation, ReLUPower):
            return f"it takes sb.ReLUPower(k) only and the activation is {problem.activation}; leave `solver` out"
        if not isinstance(problem.parameterization, Standard):
            return f"it takes Standard() networks only, got {problem.parameterization}; KernelSolver takes it"
        if not isinstance(problem.limit_potential, Quadratic):
            return f"powers of ReLU are solved for quadratic problems only, got a scaled {problem.phi}; take sb.Quadratic()"
        return None

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        start = time.perf_counter()
        problem, system = posed.problem, posed.power_system
        solution = system.solve()
        cost = float(system.target @ solution)
        function = system.function(solution, problem.data.y)
        residual = system.residual(solution, problem.data.y, function)
        return Prediction(
            problem,
            function,
            cost / 2 if problem.scaled else cost,
            residual,
            Outcome.CONVERGED if residual <= self.tolerance and system.cells.resolved else Outcome.INACCURATE,
            system.forms.T @ solution,
            {"solver": "PowerSolver", "cells": system.cells.edges.size - 1, "seconds": time.perf_counter() - start},
        )
