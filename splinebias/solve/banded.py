r"""Exact solution of quadratic and unscaled problems in O(M) time and memory (theory sections 3 and 5)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from splinebias._check import Array
from splinebias.errors import Outcome
from splinebias.function import WeightedSpline
from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells
from splinebias.solve.discretize import problem_cells
from splinebias.solve.prediction import Prediction, require
from splinebias.solve.response import Response, ResponseModel
from splinebias.solve.structure import DualSystem


@dataclass(frozen=True)
class BandedSolver:
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
    Hypotheses checked: the law reaches the data (`check_reachable`), second moments. Not checked: width.
    Source: Jin & Montufar (2023), Theorems 1-4; Liang & Montufar (2025), unscaled potentials.
    """

    tolerance: float = 1e-10

    def supports(self, problem: Problem) -> str | None:
        if not isinstance(problem.limit_potential, Quadratic):
            return f"it solves quadratic problems only and the scaled potential is {problem.phi}; DualSolver takes it"
        return None

    def solve(self, problem: Problem) -> Prediction:
        require(self, problem)
        start = time.perf_counter()
        data, law = problem.data, problem.initialization.breakpoint_law
        cells = problem_cells(problem)
        system = DualSystem(data.x, cells, problem.activation, free=problem.affine == "free")
        model = ResponseModel.at(law, Quadratic(), cells.nodes)
        u, residual = solve_quadratic(system, model, data.y)
        stats = {"solver": "BandedSolver", "cells": cells.edges.size - 1, "iterations": 1}
        made = assemble(problem, system, cells, u, model(system.evaluate(u)), residual, self.tolerance, stats)
        made.stats["seconds"] = time.perf_counter() - start
        return made


def solve_quadratic(system: DualSystem, model: ResponseModel, y: Array) -> tuple[Array, Array]:
    """Unknowns and final residual of the quadratic problem, with two steps of iterative refinement."""
    target = system.target(y)
    ones = {side: np.ones(system.weights.shape) for side in (1, -1)}
    hessian = system.hessian(model(ones).slope)
    u, residual = np.zeros_like(target), target
    for _ in range(3):
        trial = u + hessian.solve(residual)
        left = target - system.gather(model(system.evaluate(trial)).value)
        if not system.misfit(left) < system.misfit(residual):
            break
        u, residual = trial, left
    return u, residual


def assemble(
    problem: Problem,
    system: DualSystem,
    cells: Cells,
    u: Array,
    response: Response,
    residual: Array,
    tolerance: float,
    stats: dict[str, object],
) -> Prediction:
    """The Prediction of a solved dual system."""
    data, law = problem.data, problem.initialization.breakpoint_law
    dual = system.function(u)
    quadratic = isinstance(problem.limit_potential, Quadratic)
    curvature = problem.activation.kink * (response.value[1] + response.value[-1])
    inner = law.knots[(law.knots > cells.edges[0]) & (law.knots < cells.edges[-1])]
    ends = [end for end in law.support if np.isfinite(end)]
    zeros = np.zeros(0) if quadratic else dual.zeros()
    function = WeightedSpline.from_curvature(
        cells.edges,
        curvature,
        data.x,
        data.y,
        np.unique(np.r_[data.x, inner, ends, zeros]),
        exact=quadratic and law.degree is not None,
    )
    penalty = float(sum((cells.weights * response.penalty[side]).sum() for side in (1, -1)))
    if not problem.scaled:
        penalty *= 2.0  # reported as E[alpha^2] whatever the unscaled potential
    relative = system.misfit(residual) / (float(np.abs(data.y).max()) or 1.0)
    outcome = Outcome.CONVERGED if relative <= tolerance else Outcome.INACCURATE
    return Prediction(problem, function, penalty, relative, outcome, dual.multipliers(), dict(stats))
