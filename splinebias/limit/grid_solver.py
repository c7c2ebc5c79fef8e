r"""GridSolver: the problem on a grid, by convex programming, the independent check of the other solvers.

In function space the limit is the h of least cost with :math:`h(x_i) = y_i`. Its curvature is
:math:`h'' = \kappa_+ + \kappa_-`, from units with w > 0 and with w < 0, and its affine part is what those units bring along;
with the activation :math:`\sigma(z) = p z_+ - q z_-`,

.. math:: h(x) = \int (\kappa_+ + \kappa_-)(c)\, [x - c]_+\, dc
                 + \int \frac{q \kappa_+ - p \kappa_-}{p - q}(c)\, (x - c)\, dc .

- Quadratic: the cost is :math:`(p - q)^{-2} \int \kappa_+^2/\zeta_+ + \kappa_-^2/\zeta_-`. For ReLU, W = +-1 and even p_B,
  eliminating the split leaves G1 + G2 + G3 of Liang & Montufar (2025); for Abs only :math:`h''` and the ties of its two
  asymptotes remain (theory section 3).
- Scaled, one magnitude |w| per breakpoint: :math:`\sum_s \int \phi(\kappa_s / ((p - q)\, |w|\, \rho_s))\, \rho_s`.

The unknowns are curvatures, never node values (their 1/h^2 matrix costs p-norm problems all digits), and data
points are cell edges, never moved.
"""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from splinebias._arguments import known_keywords, real_number, whole_number
from splinebias._array import Array
from splinebias.errors import Outcome, SolveError
from splinebias.functions.piecewise import WeightedSpline
from splinebias.limit.grid_units import Sheets, share_alpha
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending
from splinebias.potential import Hypentropy, Potential, Power, Quadratic
from splinebias.problem import Problem


@known_keywords
@dataclass(frozen=True)
class GridSolver(Solver):
    r"""The variational problem on about `points` cell edges per side, through cvxpy and CLARABEL.

    :math:`\alpha` is constant on every cell (for the quadratic potential :math:`\alpha/|w|` is), so the answer is a feasible
    point of the exact problem: its penalty lies above the exact one. Penalty and function converge with error
    O(points^-2) (see Notes for an exception). Data, law knots and support ends are cell edges. Half of the cells are shared
    equally by the gaps between data and spread evenly in each; the other half divide the integral of :math:`\zeta^{1/3}`
    evenly (the optimal density for piecewise constants, which covers a tail like c^-4 out to a distance of order points^3).
    Potentials other than the quadratic are solved twice: the second grid has the sign changes of alpha, where it may be
    singular, as edges.

    Parameters
    ----------
    points : int
        Cell edges to distribute; every gap between data gets at least 4 cells, so there may be a few more.
    tolerance : float
        Residual above which the outcome is INACCURATE.

    Raises
    ------
    DataError
        If `points` is no whole number >= 8 or `tolerance` not positive.
    SolveError
        From `solve`, if the conic solver breaks down in all units it is tried in.

    Notes
    -----
    `Prediction.residual` is recomputed from the solution, whatever status the conic solver reports: the larger of
    :math:`\max_i |h(x_i) - y_i| / \max|y|` and the duality gap over the cost, both of the discretized problem (a gap of
    :math:`\delta` leaves the function open to order :math:`\sqrt\delta`). The discretization error is not in it: compare two
    values of `points`, or read ``stats["second_opinion"]``, by how much the function misses what its multipliers say it is
    with the law itself: a sign of that error, mostly within a factor of 10 of it, at worst 300 times smaller.
    Before the conic solve constraints are orthonormalized and curvature is measured in units of the quadratic
    solution, so that units of x and y do not matter. Powers below about 1.1, a hypentropy of beta below 1e-5 times the
    typical alpha, and over a hundred irregular points strain the conic solver: expect INACCURATE or a SolveError there.
    Where alpha changes sign it can be singular (powers p > 2 without a large quadratic part); the function then converges
    like points^(-1 - 1/(p - 1)) until the grid resolves that layer, the penalty like points^-2 all the same.
    """

    points: int = 501
    tolerance: float = 1e-6
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole_number(self.points, "points", at_least=8)
        real_number(self.tolerance, "tolerance", above=0)

    def supports(self, problem: Problem) -> str | None:
        if (missing := beyond_bending(problem)) is not None:
            return missing
        phi = problem.limit_potential
        if not isinstance(phi, Quadratic | Power | Hypentropy):
            return f"it knows the cones of Quadratic, Power and Hypentropy only, got {phi}; DualSolver takes any potential"
        if share_alpha(problem) is None:
            return (
                f"with a scaled {phi} it needs one magnitude |w| per breakpoint, unlike "
                f"{problem.initialization.describe()}; DualSolver takes it"
            )
        return None

    def solve_posed(self, posed: PosedProblem) -> Prediction:
        problem, y, phi = posed.problem, posed.problem.data.y, posed.problem.limit_potential
        sheets = Sheets.on_grid(problem, self.points, np.zeros(0))
        solution = _minimize(problem, sheets)
        if solution is None:
            raise SolveError(f"the conic solver found no point for {problem.describe()}; DualSolver takes this problem")
        if not isinstance(phi, Quadratic):
            finer = Sheets.on_grid(problem, self.points, sheets.zeros(phi.grad(solution.alpha)))
            if (better := _minimize(problem, finer)) is not None:
                sheets, solution = finer, better
        fitted = sheets.matrix @ solution.alpha
        if problem.free:
            fitted += _line_through(problem.data.x, y - fitted)
        cost = float(sheets.mass @ phi.cost(solution.alpha))
        misfit = float(np.abs(fitted - y).max() / (np.abs(y).max() or 1.0))
        residual = float(np.max([misfit, solution.gap / cost if cost > 0 else 0.0]))  # max() may drop a NaN
        edges = sheets.cells.edges
        exact = problem.initialization.breakpoint_law.degree is not None and isinstance(phi, Quadratic)
        return Prediction(
            problem,
            WeightedSpline.from_curvature(
                edges, sheets.curvature(solution.alpha), problem.data.x, fitted, edges, exact=exact
            ),
            cost if problem.scaled else 2 * cost,
            residual,
            Outcome.CONVERGED if residual <= self.tolerance else Outcome.INACCURATE,
            solution.multipliers,
            {
                "solver": "GridSolver",
                "cells": sheets.mass.size,
                "status": solution.status,
                "misfit": misfit,
                "gap": solution.gap,
            },
        )


class _Constraints(NamedTuple):
    r"""h(x_i) = y_i as :math:`V^T (\sqrt{m}\, \alpha) = t` with orthonormal V.

    basis : V, (n, r). target : t, (r,). back : matrix from multipliers of these rows to those of the data, (M, r).
    """

    basis: Array
    target: Array
    back: Array

    @classmethod
    def orthonormal(cls, problem: Problem, sheets: Sheets) -> _Constraints:
        """First value, first slope and jumps of slope (these alone if the affine part is free), then orthonormalized."""
        rows = _divided_differences(problem.data.x)[2 if problem.free else 0 :]
        root = np.sqrt(sheets.mass)
        moves = (rows @ sheets.matrix) / np.where(root > 0, root, 1.0)
        size = np.linalg.norm(moves, axis=1, keepdims=True)
        size[size == 0] = 1.0
        left, singular, basis = np.linalg.svd(moves / size, full_matrices=False)
        keep = singular > 1e-13 * singular.max(initial=0.0)
        back = (rows / size).T @ (left[:, keep] / singular[keep])
        return cls(basis[keep].T, back.T @ problem.data.y, back)


def _divided_differences(x: Array) -> Array:
    """Matrix (M, M) from values at `x` to the first value, the first slope and the jumps of slope at inner points."""
    slopes = np.diff(np.eye(x.size), axis=0) / np.diff(x)[:, None]
    return np.concatenate([np.eye(1, x.size), slopes[:1], np.diff(slopes, axis=0)])


def _line_through(x: Array, values: Array) -> Array:
    """The least-squares line through (x, values), at x."""
    t = (x - x.mean()) / (x[-1] - x[0])
    return np.asarray(values.mean() + t * (t @ values) / (t @ t))


class _Solution(NamedTuple):
    """alpha (n,), the multipliers of the data (M,), the duality gap they prove, and the conic solver's own verdict."""

    alpha: Array
    multipliers: Array
    gap: float
    status: str


def _minimize(problem: Problem, sheets: Sheets) -> _Solution | None:
    """The alpha of least sum_j mass_j phi(alpha_j) through the data; None if the conic solver breaks down.

    Conic solvers are sensitive to units, so alpha = unit stretch z is sought in several: unit makes the p-norm of the
    quadratic solution 1, and stretch gives every :math:`|z_j|^r` one weight, r = p, 2 or infinity.
    """
    phi, mass, constraints = problem.limit_potential, sheets.mass, _Constraints.orthonormal(problem, sheets)
    if not np.any(constraints.target):
        return _certified(phi, mass, constraints, np.zeros(mass.size), "zero")
    share = mass[mass > 0] / mass.sum()
    power = phi.p if isinstance(phi, Power) else 2.0
    quadratic = np.abs((constraints.basis @ constraints.target)[mass > 0]) / np.sqrt(mass[mass > 0])
    largest = float(quadratic.max())
    unit = largest * float(share @ (quadratic / largest) ** power) ** (1 / power)
    best: _Solution | None = None
    for r in (math.inf, 2.0) if isinstance(phi, Hypentropy) else (power, 2.0, math.inf):
        found = _attempt(phi, mass, constraints, (share.size * share) ** (-1 / r), unit)
        if found is None:
            continue
        if best is None or found.gap < best.gap:
            best = found
        if best.gap <= 1e-10 * float(mass @ phi.cost(best.alpha)):
            break
    return best


def _attempt(phi: Potential, mass: Array, constraints: _Constraints, stretch: Array, unit: float) -> _Solution | None:
    """The conic solver's answer in these units, or None if it breaks down."""
    cp: Any = importlib.import_module("cvxpy")  # takes over a second: not before a grid is solved
    alive, size = mass > 0, float(np.linalg.norm(constraints.target))
    z = cp.Variable(stretch.size)
    rows = (constraints.basis[alive] * (np.sqrt(mass[alive]) * stretch)[:, None]).T * (unit / size)
    goal = cp.Minimize(_objective(cp, phi, z, mass[alive] / mass.sum(), stretch, unit))
    program = cp.Problem(goal, [rows @ z == constraints.target / size])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": the certificate decides, not the status
            program.solve(cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    except cp.SolverError:
        return None
    if z.value is None:
        return None
    alpha = np.zeros(mass.size)
    alpha[alive] = unit * stretch * z.value
    return _certified(phi, mass, constraints, alpha, str(program.status))


def _objective(cp: Any, phi: Potential, z: Any, share: Array, stretch: Array, unit: float) -> Any:
    """sum_j share_j phi(unit stretch_j z_j), up to a constant and a factor that keeps its coefficients near 1."""
    if isinstance(phi, Hypentropy):
        # phi(u) = min over a - b = u of rel_entr(a, beta/2) - a + rel_entr(b, beta/2) - b
        beta = phi.beta / (unit * stretch)
        b = cp.Variable(z.size)
        entropy = cp.rel_entr(b + z, beta / 2) + cp.rel_entr(b, beta / 2) - 2 * b - z
        return max(1.0, float(np.median(beta))) * ((share * stretch) @ entropy)
    square = cp.sum_squares(cp.multiply(np.sqrt(share) * stretch, z))
    if isinstance(phi, Power) and phi.p != 2:
        # one power cone per cell: neither second-order cones nor a single p-norm take 1.05 < p < 20 and a quadratic part
        largest = max(unit ** (phi.p - 2), phi.quadratic)
        powers = (share * stretch**phi.p) @ cp.power(cp.abs(z), phi.p, approx=False)
        return (unit ** (phi.p - 2) / largest) * powers + (phi.quadratic / largest) * square
    return square


def _certified(phi: Potential, mass: Array, constraints: _Constraints, alpha: Array, status: str) -> _Solution:
    r"""The multipliers that fit :math:`m \phi'(\alpha) = C^T \lambda` best, and the duality gap they prove.

    With :math:`d = C^T \lambda / m` and :math:`\alpha_d = (\phi')^{-1}(d)` the gap is at most
    :math:`\sum_j m_j (\phi'(\alpha_j) - d_j)(\alpha_j - \alpha_{d,j})`: no term is negative, so nothing cancels.
    """
    root = np.sqrt(mass)
    nu = constraints.basis.T @ (root * phi.grad(alpha))
    dual = (constraints.basis @ nu) / np.where(root > 0, root, 1.0)
    gap = float(mass @ ((phi.grad(alpha) - dual) * (alpha - phi.grad_inverse(dual))))
    return _Solution(alpha, np.asarray(constraints.back @ nu), gap, status)
