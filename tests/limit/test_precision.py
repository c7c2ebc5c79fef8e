"""Digits: the O(M) solver keeps them where K is ill-conditioned, against 60-digit arithmetic that shares no code with it."""

from __future__ import annotations

import numpy as np
import pytest
from problems import LAWS, SET_A, random_data

import splinebias as sb
from benchmarks._extended import kernel_values, spline_values
from benchmarks.bench_precision import SPAN, condition, error, problem
from splinebias.limit.kernels.features import FeatureKernel

LINE = np.linspace(-1.5, 1.5, 61)


def test_the_references_are_twins() -> None:
    """K(., X) K^-1 y with a closed-form kernel, and the spline through its own equations: equal to the last double digit."""
    for size, seed in ((2, 0), (3, 1), (40, 2)):
        data = random_data(seed, size)
        query = np.r_[data.x, (data.x[1:] + data.x[:-1]) / 2]
        dense, banded = (solve(data.x, data.y, SPAN, query) for solve in (kernel_values, spline_values))
        np.testing.assert_allclose(banded, dense, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("law", [name for name in LAWS if name != "student-weights"])  # whose kernel takes 20 s
def test_solvers_are_twins_where_the_kernel_is_well_conditioned(law: str) -> None:
    x = np.array([-1.0, -0.3, 0.4, 1.0])
    task = sb.Problem(sb.Dataset(x, [0.3, -0.2, 0.5, 0.1]), LAWS[law])
    assert np.linalg.cond(FeatureKernel(LAWS[law].breakpoint_law, sb.ReLU()).matrix(x, x)) < 1e5
    fast, dense = sb.predict(task, sb.BandedSolver()), sb.predict(task, sb.KernelSolver())
    size = np.abs(dense.function(LINE)).max()
    np.testing.assert_allclose(fast.function(LINE), dense.function(LINE), rtol=0, atol=1e-10 * size)
    assert fast.penalty == pytest.approx(dense.penalty, rel=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("size", [10, 30, 100, 300])
def test_the_banded_solver_loses_no_digits_and_the_dense_one_does(size: int, seed: int) -> None:
    task = problem(size, seed)
    fast = error(task, sb.BandedSolver())
    assert fast < 1e-12
    assert sb.predict(task, sb.BandedSolver()).outcome is sb.Outcome.CONVERGED
    if (cond := condition(task)) > 1e6:
        assert error(task, sb.KernelSolver()) > 100 * fast
    if cond > 1e12:
        assert sb.predict(task, sb.KernelSolver()).outcome is sb.Outcome.INACCURATE


def test_ten_thousand_points() -> None:
    """cond(K) is beyond 1e20, neighbours are down to 1e-8 apart, and the function is right to ten digits everywhere."""
    task = problem(10_000)
    assert np.diff(task.data.x).min() < 1e-7
    assert error(task, sb.BandedSolver()) < 1e-10


def test_the_published_set_in_60_digits() -> None:
    query = np.array([-0.6, -0.1, 0.5, 0.8])
    exact = spline_values(SET_A.x, SET_A.y, 1.0, query)
    task = sb.Problem(SET_A, LAWS["uniform-bias"])
    np.testing.assert_allclose(exact, [-0.38748387, 0.04630645, -0.40380544, -0.27825], rtol=0, atol=1e-8)
    np.testing.assert_allclose(sb.predict(task).function(query), exact, rtol=0, atol=1e-15)
