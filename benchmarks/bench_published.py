"""The data sets of Liang & Montúfar (2025): exact limits beside the published 501-point grid in cvxpy, errors of both.

Errors of the grid are sup-distances to our limit on [-1.5, 1.5]; ours is the largest distance to the values printed on the
theory page, section 10, at six points. Ordinates are of size 0.3.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from benchmarks import _published_grid
from benchmarks._timing import duration, paired, predicted, ratio, table, times

UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
SET_A = sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15)
SET_B = sb.Dataset([-1, 0.35, 0.65, 1], np.array([0.3, 0.3, 0, 0.3]) - 0.15)
CASES = {
    "A, ReLU, quadratic": sb.Problem(SET_A, UNIFORM),
    "B, Abs, scaled u²": sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(2))),
    "B, Abs, scaled \\|u\\|³ + u²": sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(3, quadratic=1))),
    "B, Abs, scaled u⁴ + u²": sb.Problem(SET_B, UNIFORM, sb.Abs(), sb.Scaled(sb.Power(4, quadratic=1))),
}
QUERY = np.array([-1.3, -0.6, -0.1, 0.5, 0.8, 1.3])
KNOWN = {  # theory section 10, at QUERY
    "A, ReLU, quadratic": [0.00677419, -0.38748387, 0.04630645, -0.40380544, -0.27825000, 0.00677419],
    "B, Abs, scaled u²": [0.195, 0.2244924804, 0.3848849284, -0.0501340163, -0.0331495472, 0.195],
    "B, Abs, scaled \\|u\\|³ + u²": [0.195, 0.2676689939, 0.4785247474, -0.0687797118, -0.0328301623, 0.195],
    "B, Abs, scaled u⁴ + u²": [0.195, 0.3055258024, 0.5519764664, -0.0774863670, -0.0324521814, 0.195],
}
SOLVERS = ("CLARABEL", "SCS")


def quietly(problem, solver):
    """The grid solution; that a solver calls its own answer inaccurate is what the column of errors is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _published_grid.solve(problem, solver)


@pytest.mark.parametrize("name", CASES)
def bench_exact(benchmark, name):
    found = benchmark(predicted, CASES[name])
    assert np.abs(found.function(QUERY) - KNOWN[name]).max() < 5e-9


@pytest.mark.parametrize("name", CASES)
def bench_published_grid(benchmark, name):
    grid = benchmark.pedantic(quietly, (CASES[name], "CLARABEL"), rounds=3)
    benchmark.extra_info["error"] = sb.compare(grid, sb.predict(CASES[name]).function, (-1.5, 1.5)).sup


def tabulate(*, full):
    """The table for README.md; SCS, which takes up to half a minute, only if `full`, and once."""
    rows = []
    for name, problem in CASES.items():
        limit = sb.predict(problem).function
        ours = np.abs(limit(QUERY) - KNOWN[name]).max()
        for solver in SOLVERS if full else SOLVERS[:1]:
            rounds = 1 if solver == "SCS" else 9 if full else 3
            seconds = paired(rounds, lambda p=problem: predicted(p), lambda p=problem, s=solver: quietly(p, s))
            error = sb.compare(limit, quietly(problem, solver), (-1.5, 1.5)).sup
            mine, other = np.median(seconds, axis=0)
            cells = [duration(mine), duration(other), times(ratio(seconds, 1)), f"{ours:.0e}", f"{error:.1e}"]
            rows.append([name, f"cvxpy, {solver}", *cells])
    return table(["problem", "beside", "splinebias", "beside it", "ratio", "error", "error beside it"], rows)
