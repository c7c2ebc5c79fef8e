r"""The obviously right solution of quadratic problems: assemble the kernel matrix, solve it, evaluate (theory section 3)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from splinebias._check import Array
from splinebias.activation import Activation
from splinebias.breakpoints import BreakpointLaw
from splinebias.errors import Outcome
from splinebias.function import WeightedSpline
from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells, integration_cells
from splinebias.solve.prediction import Prediction, require


@dataclass(frozen=True)
class KernelSolver:
    r""":math:`f = K(\cdot, X) K(X, X)^{-1} y` with :math:`K(x, x') = E[\sigma(wx + b)\sigma(wx' + b)]`, dense.

    The twin of BandedSolver: O(M^2) memory, O(M^3) time, and accurate to cond(K) only.
    With a free affine part the constraints :math:`\sum \lambda_i = \sum \lambda_i x_i = 0` border the matrix.

    Parameters
    ----------
    tolerance : float
        Relative optimality residual above which the outcome is INACCURATE.
    """

    tolerance: float = 1e-8

    def supports(self, problem: Problem) -> str | None:
        if not isinstance(problem.limit_potential, Quadratic):
            return f"it solves quadratic problems only and the scaled potential is {problem.phi}; DualSolver takes it"
        return None

    def solve(self, problem: Problem) -> Prediction:
        require(self, problem)
        start = time.perf_counter()
        x, y, law = problem.data.x, problem.data.y, problem.initialization.breakpoint_law
        cells = integration_cells(law, x)
        matrix = kernel(law, problem.activation, x, x)
        if problem.affine == "free":
            multipliers = _solve_bordered(matrix, x, y)
        elif _singular(matrix):
            multipliers = np.asarray(np.linalg.lstsq(matrix, y, rcond=None)[0])
        else:
            multipliers = np.asarray(cho_solve(cho_factor(matrix), y))
        fitted = matrix @ multipliers
        values = fitted if problem.affine == "network" else fitted + _affine_rest(x, y - fitted)
        residual = float(np.abs(values - y).max() / (np.abs(y).max() or 1.0))
        function = _function(problem, cells, multipliers, values)
        energy = float(multipliers @ matrix @ multipliers)
        return Prediction(
            problem,
            function,
            energy / 2 if problem.scaled else energy,
            residual,
            Outcome.CONVERGED if residual <= self.tolerance else Outcome.INACCURATE,
            multipliers,
            {"solver": "KernelSolver", "cells": cells.edges.size - 1, "seconds": time.perf_counter() - start},
        )


def kernel(law: BreakpointLaw, activation: Activation, x: Array, x2: Array) -> Array:
    r""":math:`K(x, x') = \sum_s \int \zeta_s(c) \sigma(s(x - c)) \sigma(s(x' - c))\, dc`, shape (len(x), len(x2)).

    Exact up to the quadrature of zeta: all points are cell edges, so every integrand is smooth on every cell.
    """
    points = np.unique(np.r_[x, x2])
    if points.size == 1:
        points = np.r_[points, points + 1.0]
    cells = integration_cells(law, points)
    c, weights = cells.nodes.ravel(), cells.weights.ravel()
    total = np.zeros((x.size, x2.size))
    for side in (1, -1):
        weighted = weights * law.zeta(c, side)
        total += (activation.value(side * (x[:, None] - c)) * weighted) @ activation.value(side * (x2[:, None] - c)).T
    return total


def _singular(matrix: Array) -> bool:
    return bool(np.linalg.cond(matrix) > 1e15)


def _solve_bordered(matrix: Array, x: Array, y: Array) -> Array:
    """lambda of [[K, P], [P^T, 0]] (lambda, affine) = (y, 0), on the complement of P: no indefinite solve."""
    t = (x - x.mean()) / (x[-1] - x[0])
    basis = np.linalg.qr(np.c_[np.ones_like(t), t], mode="complete")[0][:, 2:]
    if basis.shape[1] == 0:
        return np.zeros_like(y)
    return np.asarray(basis @ np.linalg.lstsq(basis.T @ matrix @ basis, basis.T @ y, rcond=None)[0])


def _affine_rest(x: Array, rest: Array) -> Array:
    t = (x - x.mean()) / (x[-1] - x[0])
    design = np.c_[np.ones_like(t), t]
    return np.asarray(design @ np.linalg.lstsq(design, rest, rcond=None)[0])


def _function(problem: Problem, cells: Cells, multipliers: Array, values: Array) -> WeightedSpline:
    """Curvature (p - q) sum_s zeta_s g_s at the nodes, integrated twice through the fitted values."""
    law, act, x = problem.initialization.breakpoint_law, problem.activation, problem.data.x
    nodes = cells.nodes
    curvature = np.zeros(nodes.shape)
    for side in (1, -1):
        g = np.zeros(nodes.shape)
        for xi, weight in zip(x, multipliers, strict=True):
            g += weight * act.value(side * (xi - nodes))
        curvature += act.kink * law.zeta(nodes, side) * g
    inner = law.knots[(law.knots >= cells.edges[0]) & (law.knots <= cells.edges[-1])]
    return WeightedSpline.from_curvature(
        cells.edges, curvature, x, values, np.unique(np.r_[x, inner]), exact=law.degree is not None
    )
