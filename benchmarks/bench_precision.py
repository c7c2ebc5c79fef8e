"""Digits of the two exact solvers as points are added, against 60-digit arithmetic that shares no code with them.

cond(K) grows like M^4, and the dense solve loses its digits with it; divided differences lose none.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st
from numpy.typing import NDArray

import splinebias as sb
from benchmarks._extended import kernel_values, spline_values
from benchmarks._timing import table
from splinebias.limit.kernels.features import FeatureKernel

SPAN = 1.25
LAW = sb.Initialization.rademacher(st.uniform(-SPAN, 2 * SPAN))
_LARGEST_DENSE = 1000  # points for which K, its condition number and its solve are worth the wait
_LARGEST_REFERENCE = 100  # points for the O(M^3) reference


def problem(size: int, seed: int = 0) -> sb.Problem:
    """A noisy sine at random points of (-1, 1)."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Problem(sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size)), LAW)


def reference(task: sb.Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points halfway between neighbouring data, and f there."""
    x = task.data.x
    query = (x[1:] + x[:-1]) / 2
    return query, spline_values(x, task.data.y, SPAN, query)


def error(task: sb.Problem, solver: sb.BandedSolver | sb.KernelSolver) -> float:
    """Largest error halfway between neighbouring data, relative to max |f| there."""
    query, exact = reference(task)
    return float(np.abs(sb.predict(task, solver).function(query) - exact).max() / np.abs(exact).max())


def condition(task: sb.Problem) -> float:
    """Condition number of the kernel matrix in double precision, which knows none beyond 1e16."""
    return float(np.linalg.cond(FeatureKernel(LAW.breakpoint_law, sb.ReLU()).matrix(task.data.x, task.data.x)))


def tabulate(*, full: bool) -> str:
    """Points, cond(K), and the errors of `KernelSolver`, `BandedSolver` and the dense 60-digit solve."""
    rows = []
    for size in (10, 30, 100, 300, 1000, 10_000) if full else (10, 30, 100):
        task, dense = problem(size), size <= _LARGEST_DENSE
        query, exact = reference(task)
        row = [f"{size:,}", f"{condition(task):.0e}" if dense else "-"]
        row += [f"{error(task, sb.KernelSolver()):.0e}" if dense else "-", f"{error(task, sb.BandedSolver()):.0e}"]
        if size <= _LARGEST_REFERENCE:
            twin = np.abs(kernel_values(task.data.x, task.data.y, SPAN, query) - exact).max() / np.abs(exact).max()
            row.append(f"{twin:.0e}")
        rows.append([*row, "-"][:5])
    header = ["points M", "cond(K)", "`KernelSolver`", "`BandedSolver`", "60 digits, dense"]
    return table(header, rows)


@pytest.mark.parametrize("size", [30, 1000])
def bench_banded_keeps_its_digits(benchmark, size):
    task = problem(size)
    benchmark.pedantic(sb.predict, (task, sb.BandedSolver()), rounds=3)
    assert error(task, sb.BandedSolver()) < 1e-12


if __name__ == "__main__":
    print(tabulate(full=True))
