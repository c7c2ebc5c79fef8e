"""predict: the function that infinitely wide networks end at, without training."""

from __future__ import annotations

import math

from splinebias.errors import CapabilityError, DataError
from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.solve.banded import BandedSolver
from splinebias.solve.dual import DualSolver
from splinebias.solve.feasibility import check_reachable
from splinebias.solve.prediction import Prediction, Solver, require

__all__ = ["Prediction", "predict"]


def predict(problem: Problem, solver: Solver | None = None, *, time: float = math.inf) -> Prediction:
    r"""The infinite-width limit of the trained networks of `problem`.

    Minimizes :math:`E_\mu[\alpha^2]` (unscaled potentials) or :math:`E_\mu[D_\phi(\alpha, 0)]` (scaled) over
    :math:`f(x) = E_\mu[\alpha(w, b)\, \sigma(wx + b)]` with :math:`f(x_i) = y_i`; in function space, the interpolant of
    least weighted curvature, :math:`\int (f'')^2/\zeta` or :math:`\int \phi(f''/(2p))\,p` plus the slope terms of the
    activation.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    solver : solver, optional
        `BandedSolver`, `DualSolver`, `KernelSolver` or `GridSolver`; None picks the fastest exact one.
    time : float
        Training time; only infinity so far.

    Returns
    -------
    Prediction
        The function, its penalty, the optimality residual and how the solve ended.

    Raises
    ------
    DataError
        If no neuron of the law can supply what the data ask for; if an unscaled potential has no usable curvature at zero.
    CapabilityError
        If the chosen solver cannot take the problem.

    Notes
    -----
    Hypotheses checked: finite second moments, reach of the law, :math:`0 < \phi''(0) < \infty` for unscaled potentials.
    Not checked: that a finite network is wide enough to be near the limit (that is what `study` measures).
    Source: Jin & Montufar (2023), Theorems 1 and 4; Liang & Montufar (2025), both theorems.
    """
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}")
    if not (isinstance(time, int | float) and time >= 0):
        raise DataError(f"`time` must be a number >= 0, got {time!r}")
    if time != math.inf:
        raise CapabilityError(f"only the limit of infinite training time is solved, got time = {time!r}; leave it out")
    check_limit(problem)
    if solver is None:
        solver = BandedSolver() if isinstance(problem.limit_potential, Quadratic) else DualSolver()
    require(solver, problem)
    check_reachable(problem)
    return solver.solve(problem)


def check_limit(problem: Problem) -> None:
    """Raise DataError if the unscaled potential does not have 0 < phi''(0) < infinity (theory section 3)."""
    curvature = problem.phi.hess_at_zero
    if not problem.scaled and not 0 < curvature < math.inf:
        raise DataError(
            f"an unscaled potential needs 0 < phi''(0) < infinity, got {curvature:g} for {problem.phi}; "
            "take p = 2, or p > 2 with quadratic > 0, or wrap it in sb.Scaled"
        )
