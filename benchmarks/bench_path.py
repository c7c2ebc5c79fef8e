"""A hundred training times at infinite width, beside the matrix exponential that one would otherwise take for each."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st
from scipy.linalg import expm

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from splinebias.limit.kernels.features import FeatureKernel

LAW = sb.Initialization.rademacher(st.uniform(-1.2, 2.4))
TIMES = np.geomspace(1.0, 1e6, 100)
SIZES = {True: (100, 1000), False: (100, 300)}  # by whether the run is a full one


def problem(size, seed, potential):
    """`size` noisy points of a sine."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size)
    return sb.Problem(sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size)), LAW, potential=potential)


def dense_fits(data, times):
    """f_t at the data, (I - exp(-tK/M)) y, with the kernel matrix K, for each of `times`."""
    matrix = FeatureKernel(LAW.breakpoint_law, sb.ReLU()).matrix(data.x, data.x)
    return [data.y - expm(-t / data.size * matrix) @ data.y for t in times]


@pytest.mark.parametrize("size", [100, 1000])
def bench_path_of_100_times(benchmark, size):
    seeds = iter(range(100))  # a new problem every round: the modes of the last one are kept
    benchmark.pedantic(sb.predict_path, setup=lambda: ((problem(size, next(seeds), sb.Quadratic()), TIMES), {}), rounds=3)


@pytest.mark.parametrize("size", [100, 1000])
def bench_expm_of_one_time(benchmark, size):
    data = problem(size, 0, sb.Quadratic()).data
    (fit,) = benchmark.pedantic(dense_fits, (data, [1e3]), rounds=3)
    expected = sb.predict_path(problem(size, 0, sb.Quadratic()), [1e3])(data.x)[0]
    np.testing.assert_allclose(fit, expected, atol=1e-9)


@pytest.mark.parametrize("size", [5, 50])
def bench_scaled_path_of_100_times(benchmark, size):
    task = problem(size, 0, sb.Scaled(sb.Power(4, quadratic=1)))
    benchmark.pedantic(sb.predict_path, (task, TIMES), rounds=2)


def tabulate(*, full):
    """The path beside a hundred exponentials, of which every tenth is taken."""
    rows = []
    for size in SIZES[full]:
        seeds = iter(range(100))
        data = problem(size, 0, sb.Quadratic()).data
        some = TIMES[::10]

        def path(size=size, seeds=seeds):
            return sb.predict_path(problem(size, next(seeds), sb.Quadratic()), TIMES)

        def exponentials(data=data, some=some):
            return dense_fits(data, some)

        seconds = paired(3, path, exponentials)
        seconds[:, 1] *= TIMES.size / some.size
        mine, other = np.median(seconds, axis=0)
        found = sb.predict_path(problem(size, 0, sb.Quadratic()), some)(data.x)
        apart = np.abs(found - exponentials()).max()
        rows.append([f"{size:,} points", duration(mine), duration(other), times(ratio(seconds, 1)), f"{apart:.0e}"])
    return table(["data", "splinebias, 100 times", "100 expm", "ratio", "largest difference at the data"], rows)
