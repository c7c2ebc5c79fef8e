"""Training trajectories and smoothing splines of networks with powers of ReLU."""

from __future__ import annotations

import math

import numpy as np
import pytest
from problems import LAWS, SET_A
from scipy.linalg import expm

import splinebias as sb
from splinebias.limit.kernels.features import FeatureKernel
from splinebias.limit.trajectory.training_time_gcv import smoothing_spline

LINE = np.linspace(-2.5, 2.5, 101)


def problem_of(law: str, power: int, affine: str = "network") -> sb.Problem:
    return sb.Problem(SET_A, LAWS[law], sb.ReLUPower(power), affine=affine)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
@pytest.mark.parametrize("law", ["uniform-bias", "gaussian", "pytorch", "one-sided"])
def test_is_the_matrix_exponential(law: str, power: int) -> None:
    r"""f_t = K(., X) K^-1 (I - exp(-t K W/kappa)) y, with the weights of replicates and kappa = phi''(0) = 2."""
    data = sb.Dataset(SET_A.x, SET_A.y, [1, 3, 1, 2, 5])
    problem = sb.Problem(data, LAWS[law], sb.ReLUPower(power), sb.Power(4, quadratic=1))
    path = sb.predict_path(problem, [0.6, 20.0, 2000.0])
    assert path.outcome is sb.Outcome.REACHED_TIME
    law_of_c = problem.initialization.breakpoint_law
    matrix, cross = (FeatureKernel(law_of_c, problem.activation).matrix(points, SET_A.x) for points in (SET_A.x, LINE))
    weights = data.weights / data.weights.sum()
    for t, values in zip(path.times, path(LINE), strict=True):
        left = expm(-t / 2 * matrix * weights)
        exact = cross @ np.linalg.solve(matrix, SET_A.y - left @ SET_A.y)
        np.testing.assert_allclose(values, exact, rtol=0, atol=1e-15 * np.linalg.cond(matrix) * np.abs(exact).max())


@pytest.mark.parametrize("affine", ["network", "free"])
@pytest.mark.parametrize("power", [2, 3])
def test_differential_equation_and_both_ends(power: int, affine: str) -> None:
    r"""lambda' = -W (f - y), lambda(0) = 0; with a free line lambda is orthogonal to lines at all times."""
    data = sb.Dataset(SET_A.x, SET_A.y, [1, 3, 1, 2, 5])
    problem = sb.Problem(data, LAWS["gaussian"], sb.ReLUPower(power), affine=affine)
    t, h, weights = 30.0, 1e-2, data.weights / data.weights.sum()
    path = sb.predict_path(problem, [0.0, t - h, t, t + h, 1e12, math.inf])
    assert path.outcome is sb.Outcome.REACHED_TIME or path.predictions[-1].outcome is sb.Outcome.CONVERGED
    start, before, now, after, late, limit = path.predictions
    residual = now.function(SET_A.x) - SET_A.y
    slope = (after.multipliers - before.multipliers) / (2 * h)
    np.testing.assert_allclose(slope, -weights * residual, rtol=0, atol=1e-6 * np.abs(slope).max())
    assert np.abs(start.multipliers).max() == 0
    if affine == "free":
        assert np.abs([now.multipliers.sum(), now.multipliers @ SET_A.x]).max() < 1e-12 * np.abs(now.multipliers).max()
        assert np.ptp(start.function(LINE, 1)) < 1e-12
    else:
        assert np.abs(start.function(LINE)).max() < 1e-12
    size = np.abs(limit.function(LINE)).max()
    np.testing.assert_allclose(late.function(LINE), limit.function(LINE), rtol=0, atol=1e-8 * size)


@pytest.mark.parametrize("power", [2, 3])
def test_has_the_least_penalty_through_its_values(power: int) -> None:
    problem = problem_of("gaussian", power)
    now = sb.predict(problem, time=50.0)
    again = sb.predict(sb.Problem(sb.Dataset(SET_A.x, now.function(SET_A.x)), LAWS["gaussian"], sb.ReLUPower(power)))
    assert now.penalty == pytest.approx(again.penalty, rel=1e-9)
    assert sb.penalty(now.function, problem) == pytest.approx(now.penalty, rel=1e-9)
    np.testing.assert_allclose(now.function(LINE), again.function(LINE), rtol=0, atol=1e-9)


def test_many_points() -> None:
    """300 points, k = 5: K has condition 1e30 and more, its square root half the digits; what is lost is reported."""
    x = np.linspace(-1, 1, 300)
    noise = 0.05 * np.random.default_rng(0).normal(size=x.size)
    problem = sb.Problem(sb.Dataset(x, np.sin(5 * x) + noise), LAWS["gaussian"], sb.ReLUPower(5))
    path = sb.predict_path(problem, [1.0, 1e6, 1e12, 1e18])
    for found in path.predictions[:3]:
        seen = found.stats["second_opinion"]  # half a span beyond the data
        assert seen <= found.residual < 1e-3
        assert (found.outcome is sb.Outcome.INACCURATE) == (seen > 1e-8)
    for found in path.predictions[:2]:  # inside it is right; later multipliers are too large for such sums
        inside = sb.tangent_kernel(problem, x[::50], x) @ found.multipliers
        np.testing.assert_allclose(found.function(x[::50]), inside, rtol=0, atol=1e-7)
    assert path.predictions[0].outcome is path.predictions[3].outcome is sb.Outcome.INACCURATE
    assert (np.diff(path.losses) < 0).all()


def test_networks_approach_it() -> None:
    """At t = 5, with replicates: error n^(-1/2)."""
    data = sb.Dataset(SET_A.x, 0.1 * SET_A.y, [1, 3, 1, 2, 5])
    problem = sb.Problem(data, sb.Initialization.gaussian(), sb.ReLUPower(2))
    limit, widths, errors = sb.predict(problem, time=5.0).function, np.array([200, 800, 3200]), []
    for width in widths.tolist():
        flow = sb.MirrorFlow(rtol=1e-4, time=5.0)
        runs = [sb.train(problem, width, seed, method=flow, loss_tol=1e-30) for seed in range(16)]
        errors.append(np.mean([sb.compare(run.function, limit, (-1.2, 1.2)).sup for run in runs]))
    assert np.polyfit(np.log(widths), np.log(errors), 1)[0] == pytest.approx(-0.5, abs=0.15)


def test_smoothing_splines_too() -> None:
    r"""f = K(., X) (K + lambda W^-1)^-1 y."""
    data = sb.Dataset(SET_A.x, SET_A.y, [1, 3, 1, 2, 5])
    problem = sb.Problem(data, LAWS["gaussian"], sb.ReLUPower(2))
    law, weights = problem.initialization.breakpoint_law, data.weights / data.weights.sum()
    matrix, cross = (FeatureKernel(law, problem.activation).matrix(points, SET_A.x) for points in (SET_A.x, LINE))
    exact = cross @ np.linalg.solve(matrix + np.diag(0.01 / weights), SET_A.y)
    np.testing.assert_allclose(smoothing_spline(problem, 0.01).function(LINE), exact, rtol=0, atol=1e-12)
