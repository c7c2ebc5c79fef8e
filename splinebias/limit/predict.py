"""predict: the function that infinitely wide networks end at, or are at during training; the choice of a solver."""

from __future__ import annotations

import math
import time as clock
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from splinebias._arguments import known_keywords, real_number, time_of, times_of
from splinebias.activation import Homogeneous
from splinebias.data import Dataset, Points
from splinebias.errors import CapabilityError, DataError
from splinebias.limit.banded import BandedSolver
from splinebias.limit.dual.solver import DualSolver
from splinebias.limit.hypotheses import require_limit, require_mobile, require_range, require_reachable
from splinebias.limit.kernels.kernel_solver import KernelSolver
from splinebias.limit.kernels.power_solver import PowerSolver
from splinebias.limit.kernels.smooth_solver import SmoothSolver
from splinebias.limit.mean_field.predict import predict_mean_field
from splinebias.limit.neighbour import GRID_TOO, Neighbour
from splinebias.limit.posed_problem import PosedProblem
from splinebias.limit.prediction import Prediction, Solver, beyond_bending, require, timed
from splinebias.limit.second_opinion.opinion import checked
from splinebias.limit.start_function import residual_problem, shifted
from splinebias.loss import SQUARED, Loss, require_squared
from splinebias.parameterization import MeanField
from splinebias.potential import Quadratic, Scaled
from splinebias.problem import Problem, require_problem

if TYPE_CHECKING:
    from splinebias.limit.trajectory.path import Path

__all__ = ["Prediction", "predict", "predict_path"]
_BANDED, _DUAL = BandedSolver(), DualSolver()
_OF_OTHERS: tuple[Solver, ...] = (PowerSolver(), KernelSolver())  # the fastest first
_ACCURATE = 1e-8  # residual above which a function at a finite time is INACCURATE


@known_keywords
def predict(
    problem: Problem,
    solver: Solver | None = None,
    *,
    time: float = math.inf,
    start: Any = None,
    warm: Prediction | None = None,
    tolerance: float | None = None,
    loss: Loss = SQUARED,
) -> Prediction:
    r"""The infinite-width limit of the trained networks of `problem`.

    Minimizes :math:`E_\mu[\alpha^2]` (unscaled potentials) or :math:`E_\mu[D_\phi(\alpha, 0)]` (scaled) over
    :math:`f(x) = E_\mu[\alpha(w, b)\, \sigma(wx + b)]` with :math:`f(x_i) = y_i`; in function space, the interpolant of
    least weighted curvature, :math:`\int (f'')^2/\zeta` or :math:`\int \phi(f''/(2p))\,p` plus the slope terms of the
    activation. For powers of ReLU, :math:`f^{(k+1)}/k!` takes the place of f''; for parameterization `NTK` the limit is
    :math:`K(\cdot, X) K(X, X)^{-1} y` with the tangent kernel of both layers. With smooth activations
    :math:`K = E[\sigma\sigma]`, see `SmoothSolver`, which says what it refuses.

    Parameters
    ----------
    problem : Problem
        What is fitted.
    solver : solver, optional
        `BandedSolver`, `DualSolver`, `PowerSolver`, `KernelSolver` or `GridSolver`; None picks the fastest exact one. They
        solve for the limit; finite times have a method of their own. For `Points` of several inputs `PointsSolver`, at all
        times.
    time : float
        Training time t = n * (sum of learning rates), >= 0. Infinity, the default: the limit. See `predict_path`.
    start : function, optional
        The function :math:`f_0` at time 0: a `Network`, anything of this library with a function, a callable. The limit is
        then :math:`f_0` plus the function above for the data :math:`y_i - f_0(x_i)`. None: networks that start at zero.
    warm : Prediction, optional
        Of a problem nearby, in which data moved a little or the potential is a little different: with a scaled potential
        Newton's method starts from there, and on its quadrature if the law is the same. The answer is the same up to the
        residual. What does not help is left out; ``stats["warm"]`` says what did, or why nothing did: another number of
        points, another activation or affine part, data of another size.
    tolerance : float, optional
        Relative residual above which the outcome is INACCURATE, from 1e-14 to 1e-2; with a scaled potential work ends where
        it is reached. None: that of the solver, mostly 1e-10.
    loss : Loss
        What training lowers: ``Squared()``. Others are refused by name: without a minimum they have no such limit.

    Returns
    -------
    Prediction
        The function, its penalty, the optimality residual and how the solve ended.

    Raises
    ------
    DataError
        If no neuron of the law can supply what the data ask for; if an unscaled potential has no usable curvature at zero;
        for \|x\|, \|y\| above 1e50 and neighbouring x less than 1e-50 apart; for a start function that is not finite there;
        for a `tolerance` outside [1e-14, 1e-2], a `warm` that is no `Prediction`.
    CapabilityError
        If the chosen solver cannot take the problem; for a finite time, if a solver, a neighbour or a tolerance is named, or
        as in `predict_path`; for several inputs, smooth activations and `MeanField` with one of the last two; for a loss
        other than the squared one; for parameterization `MeanField`, with a solver or a `start`, and with potentials that
        are not quadratic and activations without two slopes, whose neurons do not move in closed form.

    Notes
    -----
    With `MeanField` features move and no functional says where training ends: the function is that of a population of
    particles at a training time (`MeanFieldPrediction`), with an estimate of its error as `residual`, and infinity stands
    for the time at which the loss has fallen to 1e-10 of its first value: ``stats["time"]`` and ``stats["loss"]`` say when
    and how far (outcome STALLED if it does not).

    Hypotheses checked: finite second moments, reach of the law, :math:`0 < \phi''(0) < \infty` for unscaled potentials.
    Not checked: that a finite network is wide enough to be near the limit (that is what `study` measures). On the quadrature
    of a neighbour, or with a scaled potential to a tolerance above 1e-10, the second opinion looks at the widest gap and
    near beyond the data only.
    Source: Jin & Montufar (2023), Theorems 1 and 4; Liang & Montufar (2025), both theorems.
    """
    began = clock.perf_counter()
    require_problem(problem)
    time_of(time, "time")
    _check_hints(problem, time, warm, tolerance)
    require_squared(loss, "the limit of predict")
    if isinstance(problem.data, Points):
        return timed(_of_points(problem, solver, [float(time)], start)[0], began)
    if isinstance(problem.parameterization, MeanField):
        _require_plain(problem, solver, start)
        return timed(predict_mean_field(problem, [float(time)])[0], began)
    if start is not None:
        residuals, function = residual_problem(problem, start)
        return timed(
            shifted(predict(residuals, solver, time=time, warm=warm, tolerance=tolerance), problem, function), began
        )
    if not isinstance(problem.activation, Homogeneous):
        return timed(_smooth(problem, solver, [float(time)])[0], began)
    if time != math.inf:
        if solver is not None:
            raise CapabilityError(
                f"{type(solver).__name__} solves for the limit time = inf only, got time = {time!r}; leave `solver` out"
            )
        return timed(predict_path(problem, [time]).predictions[0], began)
    return timed(_limit(problem, solver, warm, tolerance), began)


@known_keywords
def predict_path(problem: Problem, times: Any, *, start: Any = None) -> Path:
    r"""What infinitely wide networks compute at given training times.

    Quadratic and unscaled potentials: :math:`f_t = K(\cdot, X) K^{-1} (I - e^{-tKW/\kappa})\, y` with
    :math:`W = \mathrm{diag}(m_i)/\sum_j m_j`, the data's weights m, and the time scale :math:`\kappa = \phi''(0)`.
    Scaled potentials: :math:`\lambda' = -W (f - y)` with :math:`\phi'(\alpha(w, b)) = \sum_i \lambda_i \sigma(w x_i + b)`,
    :math:`\lambda(0) = 0`.

    Parameters
    ----------
    problem : Problem
        What is fitted. With a free affine part, the skip connection is the weighted least-squares line at all times.
    times : array_like, shape (T,)
        Training times t = n * (sum of learning rates), each >= 0, in any order; infinity stands for the limit.
    start : function, optional
        The function at time 0, as in `predict`.

    Returns
    -------
    Path
        ``path(x)`` has shape (T, \*x.shape); also `functions`, `losses`, `predictions` and `outcome`.

    Raises
    ------
    DataError
        For times that are no numbers >= 0; otherwise as `predict`.
    CapabilityError
        If the potential is scaled and not quadratic and the activation has not two slopes or the parameterization is not
        `Standard`; with more than 4000 points, or 1000 if one of these three is so.
    SolveError
        If a flow with an exponential conjugate leaves the domain of the dual, which tails beyond doubles may hide.

    Notes
    -----
    Quadratic and unscaled: one singular value decomposition serves all times, O(M^3) once and O(M^2) each. Its residual is
    that of `Prediction`, or what rounding of decay rates does if that is more, and INACCURATE above 1e-8. Powers of ReLU and
    `NTK` go the same way, with the kernel of `tangent_kernel` for K.

    Scaled: collocation (Radau IIA, 12 stages) with local errors of 1e-10 of max \|y\|, on the quadrature that the limit has.
    The residual is the largest of: the imbalance of :math:`\int 2L\,dt = \lambda^T y - E[\phi^*]`, relative; the error of
    the quadrature, and the distance of f from what the flow says it is, relative to max \|y\|. INACCURATE above 1e-8.
    Cost: a few points and W = +-1 take a second, random \|W\| some seconds, a hundred noisy points with random \|W\| up to a
    minute; with an unscaled potential all of these take milliseconds. Where :math:`\phi''(0) = 0`, every zero of a dual
    function that passes a data point costs short steps. Noisy data or powers like p = 10 may ask for more than 1000 of
    them: then the outcome is MAX_STEPS (or STALLED, where no step is short enough), and the function that of
    ``stats["time"]``; a small quadratic part avoids it.

    The residual has the misfit of a second opinion in it, as that of `predict`: with powers k > 3 at a hundred points and
    more that is what rounding does half a span beyond the data, 1e-7 of f there for k = 5.
    Hypotheses checked: as in `predict`. Not checked: width (error :math:`O(n^{-1/2})` at all times).
    Source: Jin & Montufar (2023), training trajectories and smoothing splines; theory section 6.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> path = sb.predict_path(sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4))), [0, 10, float("inf")])
    >>> path.losses.round(4), bool(abs(path(0.0)[-1] - 1) < 1e-12)
    (array([0.1667, 0.098 , 0.    ]), True)
    """
    from splinebias.limit.trajectory.path import Path, follow, require_finite_times  # a limit does without them

    require_problem(problem)
    times = times_of(times)
    if isinstance(problem.data, Points):
        return Path(problem, times, _of_points(problem, None, times.tolist(), start))
    if isinstance(problem.parameterization, MeanField):
        _require_plain(problem, None, start)
        return Path(problem, times, tuple(predict_mean_field(problem, times.tolist())))
    if start is not None:
        residuals, function = residual_problem(problem, start)
        found = predict_path(residuals, times)
        return replace(found, problem=problem, predictions=tuple(shifted(p, problem, function) for p in found.predictions))
    if not isinstance(problem.activation, Homogeneous):
        return Path(problem, times, _smooth(problem, None, times.tolist()))
    _check_problem(problem)
    if np.isfinite(times).any():
        require_finite_times(problem)
    posed = PosedProblem(problem)
    require_reachable(posed)
    found = follow(posed, times, predict)
    # the limit, if it is among them, has been checked
    seen = (p if p.stats["time"] == math.inf else checked(p, _ACCURATE) for p in found.predictions)
    return replace(found, predictions=tuple(seen))


def _of_points(problem: Problem, solver: Solver | None, times: list[float], start: Any) -> tuple[Prediction, ...]:
    """Predictions of several inputs at training times, infinity included."""
    from splinebias.limit.several_inputs.predict import predict_points  # one input does without

    return predict_points(problem, solver, times, start, predict, checked)


def _require_plain(problem: Problem, solver: Solver | None, start: Any) -> None:
    """Refuse what does not go with networks that learn features."""
    if solver is not None:
        require(solver, problem)
    if start is not None:
        raise CapabilityError(
            f"{problem.parameterization} networks move their features, and a function at the start does not say which these "
            "are; leave `start` out: limits are those from the law of the problem, or take sb.Standard()"
        )


def _smooth(problem: Problem, solver: Solver | None, times: list[float]) -> tuple[Prediction, ...]:
    """Predictions of smooth neurons at training times, infinity included."""
    _check_problem(problem)
    chosen = SmoothSolver() if solver is None else solver
    require(chosen, problem)
    if not isinstance(chosen, SmoothSolver):
        raise CapabilityError(f"{type(chosen).__name__} cannot take this problem: smooth neurons are for sb.SmoothSolver()")
    return tuple(chosen.at(problem, times))


def _limit(problem: Problem, solver: Solver | None, warm: Prediction | None, tolerance: float | None) -> Prediction:
    """The limit of a problem of one input whose features stay, from zero."""
    _check_problem(problem)
    plain, stiffness = _plain(problem)
    if solver is None:
        solver = _fastest(plain)
    else:
        require(solver, plain)
    if tolerance is not None:
        solver = _with_tolerance(solver, tolerance)
    posed, reason = PosedProblem(plain, accuracy=solver.loose if isinstance(solver, DualSolver) else 0.0), ""
    if warm is not None:
        near, reason = Neighbour.of(plain, warm.problem, warm.reached if isinstance(solver, DualSolver) else None)
        posed = replace(posed, near=near)
    require_reachable(posed)
    found = solver.solve_posed(posed)
    if warm is not None:
        found = replace(found, stats=found.stats | {"warm": found.stats.get("warm", reason)})
    if plain is not problem:
        penalty, multipliers = stiffness * found.penalty, stiffness * found.multipliers
        dual = None if found.dual_function is None else found.dual_function.times(stiffness)
        found = replace(found, problem=problem, penalty=penalty, multipliers=multipliers, dual_function=dual)
    if not solver.exact:
        return found
    brief = found.stats.get("warm") == GRID_TOO or posed.accuracy > 0
    del posed  # a third of the memory of many points
    return checked(found, solver.tolerance, brief=brief)


def _plain(problem: Problem) -> tuple[Problem, float]:
    r"""The problem with :math:`u^2/2` for a scaled :math:`\kappa u^2/2`, and :math:`\kappa`: the functions are the same."""
    stiffness = problem.phi.stiffness
    if not problem.scaled or stiffness is None or isinstance(problem.phi, Quadratic):
        return problem, 1.0
    return replace(problem, potential=Scaled(Quadratic())), stiffness


def _check_problem(problem: Problem) -> None:
    assert isinstance(problem.data, Dataset), "points of several inputs go their own way"
    require_limit(problem)
    require_range(problem.data)
    if not problem.scaled:  # theory section 3
        require_mobile(problem.phi, "an unscaled potential", also=", or wrap it in sb.Scaled (in a file: scaled = true)")


def _check_hints(problem: Problem, time: float, warm: Any, tolerance: Any) -> None:
    """Refuse neighbours and tolerances that are none, or that nothing would be done with."""
    if warm is not None and not isinstance(warm, Prediction):
        raise DataError(f"`warm` must be a Prediction, as sb.predict returns it, got {warm!r}")
    if tolerance is not None and not 1e-14 <= real_number(tolerance, "tolerance", above=0) <= 1e-2:
        raise DataError(
            f"`tolerance` must be between 1e-14 and 1e-2, got {tolerance!r}: below is rounding, above no function; leave it "
            "out for 1e-10"
        )
    if warm is None and tolerance is None:
        return
    named = "`warm`" if warm is not None else "`tolerance`"
    if time != math.inf:
        raise CapabilityError(f"{named} is for the limit time = inf only, got time = {time!r}; leave it out")
    if isinstance(problem.data, Points):
        raise CapabilityError(f"{named} is for data of one input, got several; leave it out")
    if isinstance(problem.parameterization, MeanField):
        raise CapabilityError(f"{named} is for features that stay, got MeanField(); leave it out")
    if not isinstance(problem.activation, Homogeneous):
        raise CapabilityError(f"{named} is for powers of ReLU and two slopes, got {problem.activation}; leave it out")


def _with_tolerance(solver: Solver, tolerance: float) -> Solver:
    """The solver, that calls INACCURATE what has a larger residual."""
    return replace(solver, tolerance=float(tolerance))  # type: ignore[type-var]  # solvers are dataclasses


def _fastest(problem: Problem) -> Solver:
    """The fastest exact solver that takes `problem`."""
    if beyond_bending(problem) is None:
        return _BANDED if isinstance(problem.limit_potential, Quadratic) else _DUAL
    reasons = []
    for solver in _OF_OTHERS:
        if (missing := solver.supports(problem)) is None:
            return solver
        reasons.append(f"{type(solver).__name__}: {missing}")
    raise CapabilityError(f"no solver takes this problem. {'; '.join(reasons)}")
