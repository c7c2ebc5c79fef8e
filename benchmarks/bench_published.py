"""The data sets of Liang & Montúfar (2025): exact limits beside the published 501-point grid in cvxpy, errors of both.

Errors of the grid are sup-distances to our limit on [-1.5, 1.5]; ours is the largest distance at four points to arithmetic
with 30 and 60 digits that shares no code with the library. Ordinates are of size 0.3. The library is timed in turns with
cvxpy, which leaves it cold caches: once, and then several times in a row.
"""

from __future__ import annotations

import functools
import itertools
import warnings

import mpmath
import numpy as np
import pytest

import splinebias as sb
from benchmarks import _published_grid
from benchmarks._extended import kernel_values, mirror_values
from benchmarks._timing import duration, paired, ratio, table, times
from tests.problems import PUBLISHED

CASES = {
    "A, ReLU, quadratic": PUBLISHED["A"][0],
    "B, Abs, scaled u²": PUBLISHED["B-u2"][0],
    "B, Abs, scaled \\|u\\|³ + u²": PUBLISHED["B-u3"][0],
    "B, Abs, scaled u⁴ + u²": PUBLISHED["B-u4"][0],
}
QUERY = np.array([-0.6, -0.1, 0.5, 0.8])
INVERSES = {  # of phi' for nonnegative numbers, with as many digits as asked for
    "B, Abs, scaled u²": lambda g: g / 2,
    "B, Abs, scaled \\|u\\|³ + u²": lambda g: 2 * g / (2 + mpmath.sqrt(4 + 12 * g)),
    "B, Abs, scaled u⁴ + u²": lambda g: (
        mpmath.sqrt(2) * mpmath.sinh(mpmath.asinh(g * mpmath.sqrt(27) / 2 / mpmath.sqrt(2)) / 3) / mpmath.sqrt(3)
    ),
}
IN_A_ROW = 20
WAYS = {"as published": _published_grid.solve_as_published, "in vectors": _published_grid.solve}


def quietly(problem, way, solver):
    """The grid solution; that a solver calls its own answer inaccurate is what the column of errors is for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WAYS[way](problem, solver)


def error(name, found):
    """Largest error at `QUERY`, to as many digits as doubles have."""
    x, y = CASES[name].data.x, CASES[name].data.y
    if name in INVERSES:
        exact = mirror_values(x, y, 1.0, INVERSES[name], QUERY, found.multipliers)
    else:
        exact = kernel_values(x, y, 1.0, QUERY)
    return np.abs(found.function(QUERY) - exact).max()


@pytest.mark.parametrize("name", CASES)
def bench_exact(benchmark, name):
    found = benchmark(sb.predict, CASES[name])
    assert error(name, found) < 1e-13


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def bench_published_grid(benchmark, name, way):
    grid = benchmark.pedantic(quietly, (CASES[name], way, "CLARABEL"), rounds=3)
    benchmark.extra_info["error"] = sb.compare(grid, sb.predict(CASES[name]).function, (-1.5, 1.5)).sup


def in_a_row(problem):
    """The limit, several times."""
    for _ in range(IN_A_ROW):
        sb.predict(problem)


def tabulate(*, full):
    """The table for README.md; SCS, which takes up to half a minute, only if `full`, and once."""
    rows = []
    for name, problem in CASES.items():
        found = sb.predict(problem)
        limit, our_error = found.function, error(name, found)
        for solver, way in itertools.product(("CLARABEL", "SCS") if full else ("CLARABEL",), WAYS):
            rounds = 1 if solver == "SCS" else 11 if full else 3
            grids = []
            run = functools.partial(quietly, problem, way, solver)
            ours = (functools.partial(call, problem) for call in (sb.predict, in_a_row))
            seconds = paired(rounds, *ours, lambda r=run, g=grids: g.append(r())) / [1, IN_A_ROW, 1]
            their_error = sb.compare(limit, grids[-1], (-1.5, 1.5)).sup
            cells = [duration(median) for median in np.median(seconds, axis=0)[[1, 0, 2]]]
            ratios = [times(ratio(seconds, 2, column)) for column in (1, 0)]
            rows.append([name, f"{way}, {solver}", *cells, *ratios, f"{our_error:.0e}", f"{their_error:.1e}"])
    header = [
        "problem",
        "beside",
        "in a row",
        "once",
        "beside it",
        "ratio in a row",
        "ratio once",
        "error",
        "error beside it",
    ]
    return table(header, rows)
