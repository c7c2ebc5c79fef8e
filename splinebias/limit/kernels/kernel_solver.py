r"""The plain solution of quadratic problems: assemble the kernel matrix, solve it, evaluate (theory section 3)."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from splinebias._arguments import known_keywords
from splinebias._array import Array
from splinebias.errors import Outcome
from splinebias.functions.piecewise import WeightedSpline
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.kernels.tangent import TangentKernel, limit_kernel
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending
from splinebias.parameterization import NTK
from splinebias.potential import Quadratic

if TYPE_CHECKING:
    from splinebias.problem import Problem


@known_keywords
@dataclass(frozen=True)
class KernelSolver(Solver):
    r""":math:`f = K(\cdot, X) K(X, X)^{-1} y` with the tangent kernel K of infinitely wide networks, dense.

    :math:`K(x, x') = E[\sigma(wx + b)\sigma(wx' + b)]`, plus the term of the hidden layer for parameterization `NTK`.
    Takes every activation and parameterization: O(M^2) memory, O(M^3) time, and accurate to cond(K) only. It is the twin of
    BandedSolver and PowerSolver. With a free affine part the constraints :math:`\sum \lambda_i = \sum \lambda_i x_i = 0`
    border the matrix.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE, > 0.

    Raises
    ------
    DataError
        If `tolerance` is no number > 0.

    Notes
    -----
    cond(K) grows like :math:`M^{2k+2}` for activations of degree k: the residual :math:`\max|K\lambda - y| / \max|y|` and
    the function at the data stay good longer than the multipliers do.
    """

    tolerance: float = 1e-8

    def supports(self, problem: Problem) -> str | None:
        if problem.without_breakpoints is not None:
            return problem.without_breakpoints
        if not isinstance(problem.limit_potential, Quadratic):
            taker = "DualSolver takes it" if beyond_bending(problem) is None else "take sb.Quadratic()"
            return f"it solves quadratic problems only and the scaled potential is {problem.phi}; {taker}"
        if isinstance(problem.parameterization, NTK) and not isinstance(problem.phi, Quadratic):
            return f"with NTK() the metric 1/phi'' of {problem.phi} at O(1) parameters shapes the limit; use sb.Quadratic()"
        return None

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        start, problem = time.perf_counter(), posed.problem
        x, y, kernel = problem.data.x, problem.data.y, limit_kernel(problem)
        matrix = kernel.matrix(x, x)
        multipliers = _solve_bordered(matrix, x, y) if problem.free else _solve(matrix, y)
        found = through_values(problem, kernel, matrix, multipliers, y)
        return Prediction(
            problem,
            found.function,
            found.cost / 2 if problem.scaled else found.cost,
            found.misfit,
            Outcome.CONVERGED if found.misfit <= self.tolerance and found.resolved else Outcome.INACCURATE,
            multipliers,
            {"solver": "KernelSolver", "cells": found.cells, "seconds": time.perf_counter() - start},
        )


class Fit(NamedTuple):
    r"""A function :math:`\sum_i \lambda_i K(\cdot, x_i)` (plus a line, if that is free) fitted to ordinates.

    Attributes
    ----------
    function : WeightedSpline
        The function.
    cost : float
        Its :math:`E[\alpha^2]`.
    misfit : float
        How far its coordinates are from giving the ordinates, relative to max |y| of the data.
    cells : int
        On how many cells it is represented.
    resolved : bool
        Whether these resolve the law.
    """

    function: WeightedSpline
    cost: float
    misfit: float
    cells: int
    resolved: bool


def through_values(
    problem: Problem, kernel: FeatureKernel | TangentKernel, matrix: Array, multipliers: Array, y: Array
) -> Fit:
    r"""The function :math:`\sum_i \lambda_i K(\cdot, x_i)`, plus a line if that is free.

    `matrix` is K at the data, shape (M, M); `y`, shape (M,), are the ordinates that the function should have there.
    """
    x, law, fitted = problem.data.x, problem.initialization.breakpoint_law, matrix @ multipliers
    (pieces, resolved), line = kernel.combination(x, multipliers), np.zeros(2)
    if problem.free:
        line = _line_through(x, y - fitted)
        pieces.c[-1] += line[0] + line[1] * pieces.x[:-1]
        pieces.c[-2] += line[1]
    misfit = float(np.abs(fitted + line[0] + line[1] * x - y).max() / (np.abs(problem.data.y).max() or 1.0))
    ends = pieces.x[[1, -2]]
    inner = law.knots[(law.knots >= ends[0]) & (law.knots <= ends[1])]
    function = WeightedSpline(pieces, np.union1d(x, inner), exact=law.degree is not None)
    return Fit(function, float(multipliers @ matrix @ multipliers), misfit, pieces.x.size - 3, resolved)


def _solve(matrix: Array, y: Array) -> Array:
    """lambda with K lambda = y; of least norm, and maybe with a residual, where K is singular to rounding."""
    with suppress(LinAlgError):  # not positive definite, by rounding
        if np.linalg.cond(matrix) <= 1e15:
            return np.asarray(cho_solve(cho_factor(matrix), y))
    return np.asarray(np.linalg.lstsq(matrix, y, rcond=None)[0])


def _solve_bordered(matrix: Array, x: Array, y: Array) -> Array:
    """lambda of [[K, P], [P^T, 0]] (lambda, affine) = (y, 0), on the complement of P: no indefinite solve."""
    t = (x - x.mean()) / (x[-1] - x[0])
    basis = np.linalg.qr(np.c_[np.ones_like(t), t], mode="complete")[0][:, 2:]
    if basis.shape[1] == 0:
        return np.zeros_like(y)
    return np.asarray(basis @ np.linalg.lstsq(basis.T @ matrix @ basis, basis.T @ y, rcond=None)[0])


def _line_through(x: Array, values: Array) -> Array:
    """(intercept, slope) of the least-squares line."""
    centred = x - x.mean()
    slope = centred @ values / (centred @ centred)
    return np.array([values.mean() - slope * x.mean(), slope])
