r"""The training time or the smoothing that generalized cross-validation chooses; smoothing splines beside early stopping.

Source: Jin & Montufar (2023); theory section 6.

Training for a time t leaves :math:`e^{-s}` of a mode whose decay rate is s/t; the smoothing spline with
:math:`\lambda = 1/t` leaves :math:`1/(1 + s)`. Both are linear filters of the residual, equal to first order in s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from splinebias._arguments import known_keywords, real_number
from splinebias._array import Array
from splinebias.limit.hypotheses import require_limit, require_reachable
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, beyond_bending
from splinebias.limit.trajectory.banded_filters import SMOOTHING, TRAINING, BandedFilters, Poles
from splinebias.limit.trajectory.cross_validation import Scored, ScoredBands, ScoredModes, Selection, selected
from splinebias.limit.trajectory.linear_flow import Decay, Filter, LinearFlow, Shrinkage, require_linear
from splinebias.problem import Problem, require_problem


@known_keywords
def smoothing_spline(problem: Problem, regularization: float) -> Prediction:
    r"""The minimizer of :math:`\sum_i \omega_i (f(x_i) - y_i)^2 + \lambda E_\mu[\alpha^2]`, :math:`\omega_i = m_i/\sum m`.

    :math:`f = K(\cdot, X)(K + \lambda W^{-1})^{-1} y`, the smoothing spline for the curvature penalty of `problem`. With
    :math:`\lambda = \phi''(0)/t` it agrees with the network at training time t to first order in t.

    Parameters
    ----------
    problem : Problem
        Data, law and activation; the potential must be unscaled or quadratic.
    regularization : float
        The :math:`\lambda` above, > 0.

    Returns
    -------
    Prediction
        ``stats["loss"]`` is half the first sum; ``stats["degrees_of_freedom"]`` the trace of the hat matrix.

    Raises
    ------
    DataError
        If `regularization` is not > 0; otherwise as `predict`.
    CapabilityError
        If the potential is scaled and not quadratic; for more than 4000 points.

    Notes
    -----
    Dense, O(M^3). Natural cubic smoothing splines (`scipy.interpolate.make_smoothing_spline`) are the case of a free
    affine part and constant :math:`\zeta` on the data. Source: Jin & Montufar (2023), on the training trajectory.
    """
    flow = _flow(problem)
    rule = Shrinkage(real_number(regularization, "regularization", above=0, fix="for 0, interpolation, take predict"))
    made = flow.filtered(rule)
    return replace(made, stats=made.stats | {"degrees_of_freedom": _degrees_of_freedom(flow, rule)})


def leave_one_out(problem: Problem, regularization: float) -> Array:
    r"""Residuals :math:`f^{(-i)}(x_i) - y_i` of smoothing splines that did not see point i, shape (M,), without refitting.

    :math:`r_i/(1 - H_{ii})`, exact for minimizers of :math:`\sum_{j \ne i} m_j r_j^2 + \lambda (\sum_j m_j) E[\alpha^2]`.
    Arguments and errors as in `smoothing_spline`.
    """
    flow = _flow(problem)
    left = Shrinkage(real_number(regularization, "regularization", above=0)).left(flow.modes.rates)
    vectors = flow.modes.vectors
    return np.asarray(-(vectors @ (left * flow.start)) / flow.residuals.root / (vectors**2 @ left))


@known_keywords
def gcv_time(problem: Problem) -> Selection:
    r"""The training time of least generalized cross-validation score.

    .. math:: V(t) = \frac{\sum_i \omega_i (f_t(x_i) - y_i)^2}{(1 - \mathrm{tr}\,H_t/M)^2}, \qquad
              H_t = I - e^{-tKW/\kappa}.

    Parameters
    ----------
    problem : Problem
        Noisy data; replicates belong in ``Dataset.from_replicates``, which weights means by their number.

    Returns
    -------
    Selection
        `value` is the time, in the units of the problem as it is: 0 if no training is best, infinity if interpolation is.

    Raises
    ------
    DataError, CapabilityError
        As `smoothing_spline`; with two slopes and parameterization `Standard`, for any number of points.

    Notes
    -----
    Two slopes and parameterization `Standard`: O(M) for each time that is tried, also where the data are far from the
    breakpoints of the law (time stamps). Others: one dense decomposition.
    Hypotheses, not checked: independent noise of variance :math:`\sigma^2/m_i`, no outliers, M not small. Replicates enter
    by their means; what they say about :math:`\sigma^2` by themselves is not used.
    Source: Craven & Wahba, Numer. Math. 31, 1979.
    """
    filters, stiffness = _filters(problem, TRAINING, Decay)
    found = selected(filters)
    return replace(found, value=stiffness * found.value, tried=stiffness * found.tried)


@known_keywords
def gcv_regularization(problem: Problem) -> Selection:
    """The regularization of `smoothing_spline` of least generalized cross-validation score; see `gcv_time`.

    `value` is infinity if no fit is best, 0 if interpolation is.
    """
    found = selected(_filters(problem, SMOOTHING, lambda t: Shrinkage(1 / t))[0])
    value = math.inf if found.value == 0 else 1 / found.value
    return replace(found, value=value, tried=1 / found.tried, what="regularization")


def gcv_score(problem: Problem, times: Any) -> Array:
    """V(t) of `gcv_time` at training times 0 <= t < infinity, same shape; by decay modes, dense."""
    scored = ScoredModes(_flow(problem), Decay)
    return scored.scores(np.ravel(np.asarray(times, dtype=float)) / scored.flow.stiffness)[0].reshape(np.shape(times))


def _posed(problem: Problem) -> PosedProblem:
    """A problem whose data are within reach of its neurons."""
    require_problem(problem)
    require_limit(problem)
    posed = PosedProblem(problem)
    require_reachable(posed)
    return posed


def _flow(problem: Problem) -> LinearFlow:
    """The decay modes of a problem, whose data are within reach of its neurons."""
    return LinearFlow.of(_posed(problem))


def _filters(problem: Problem, poles: Poles, family: Callable[[float], Filter]) -> tuple[Scored, float]:
    """The cheapest way to the scores of a family of filters, and the stiffness of the flow."""
    posed = _posed(problem)
    require_linear(problem)
    if beyond_bending(problem) is None:
        banded = BandedFilters.of(posed)
        return ScoredBands(banded, poles, posed.grid.cells.resolved), problem.phi.hess_at_zero
    flow = LinearFlow.of(posed)
    return ScoredModes(flow, family), flow.stiffness


def _degrees_of_freedom(flow: LinearFlow, rule: Filter) -> float:
    """The trace of the hat matrix of a filter."""
    return float(flow.problem.data.size - rule.left(flow.modes.rates).sum())
