"""A hundred training times at infinite width, beside the matrix exponential that one would otherwise take for each."""

import numpy as np
import pytest
import scipy.stats as st
from scipy.linalg import expm

import splinebias as sb
from splinebias.solve.kernel import kernel

LAW = sb.Initialization.rademacher(st.uniform(-1.2, 2.4))
TIMES = np.geomspace(1.0, 1e6, 100)


def problem(size, seed, potential):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size)
    return sb.Problem(sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size)), LAW, potential=potential)


@pytest.mark.parametrize("size", [100, 1000])
def bench_path_of_100_times(benchmark, size):
    seeds = iter(range(100))  # a new problem every round: the modes of the last one are kept
    benchmark.pedantic(sb.predict_path, setup=lambda: ((problem(size, next(seeds), sb.Quadratic()), TIMES), {}), rounds=3)


@pytest.mark.parametrize("size", [100, 1000])
def bench_expm_of_one_time(benchmark, size):
    x = problem(size, 0, sb.Quadratic()).data.x
    matrix = kernel(LAW.breakpoint_law, sb.ReLU(), x, x)
    benchmark.pedantic(expm, (-1e3 / size * matrix,), rounds=3)


@pytest.mark.parametrize("size", [5, 50])
def bench_scaled_path_of_100_times(benchmark, size):
    task = problem(size, 0, sb.Scaled(sb.Power(4, quadratic=1)))
    benchmark.pedantic(sb.predict_path, (task, TIMES), rounds=2)
