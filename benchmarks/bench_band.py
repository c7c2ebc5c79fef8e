"""The error band of a problem, beside the ensemble of networks that one would otherwise train to see it."""

from __future__ import annotations

import numpy as np
import pytest

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from tests.problems import PUBLISHED

PROBLEMS = {
    "A, ReLU": PUBLISHED["A"][0],
    "A, PyTorch default": PUBLISHED["A-pytorch"][0],
    "B, Abs, u^4 + u^2": PUBLISHED["B-u4"][0],
}
X = np.linspace(-1.5, 1.5, 500)
WIDTH, NETWORKS = 1000, {True: 200, False: 20}  # by whether the run is a full one


def covariance(problem):
    """The covariance at 500 points."""
    return sb.error_band(problem, WIDTH, interval=(-1.5, 1.5)).cov(X)


def largest(problem):
    """The constant, by 20,000 draws."""
    return sb.error_band(problem, WIDTH, interval=(-1.5, 1.5)).constant


@pytest.mark.parametrize("name", PROBLEMS)
def bench_covariance_at_500_points(benchmark, name):
    found = benchmark.pedantic(covariance, (PROBLEMS[name],), rounds=5)
    assert found.shape == (500, 500)


@pytest.mark.parametrize("name", PROBLEMS)
def bench_expected_largest_error(benchmark, name):
    found = benchmark.pedantic(largest, (PROBLEMS[name],), rounds=5)
    assert found.high - found.low < 0.02 * found.value


def tabulate(*, full):
    """The band beside an ensemble of trained networks."""
    count, rows = NETWORKS[full], []
    for name, problem in PROBLEMS.items():

        def ensemble(problem=problem):
            return sb.train_ensemble(problem, WIDTH, range(count), loss_tol=1e-10)

        seconds = paired(2, lambda problem=problem: covariance(problem), lambda problem=problem: largest(problem), ensemble)
        band, sup, trained = np.median(seconds, axis=0)
        rows.append([name, duration(band), duration(sup), duration(trained), times(ratio(seconds, 2, 1))])
    columns = ["problem", "covariance, 500 points", "expected largest error", f"{count} networks of width {WIDTH}", "ratio"]
    return table(columns, rows)
