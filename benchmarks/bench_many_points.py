"""Many points: building and evaluating limits beside scipy's natural cubic spline.

Uniform random points on [-1, 1], free affine part. With constant curvature penalty the limit *is* the natural cubic spline
between the points, which the two tables of numbers have to confirm; with the Gaussian penalty (1 + c^2)^2 no library has it.
The scaled potential u^4 + u^2 is a nonlinear problem, solved by a Newton method: smooth and noisy ordinates.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st
from scipy.interpolate import CubicSpline

import splinebias as sb
from benchmarks._timing import duration, paired, peak_bytes, ratio, table, times

LAWS = {
    "constant": sb.Initialization.rademacher(st.uniform(-2, 4)),
    "Gaussian": sb.Initialization.gaussian(),
}
QUARTIC = sb.Scaled(sb.Power(4, quadratic=1))
SIZES = {True: (10_000, 100_000, 1_000_000), False: (1000, 10_000)}  # by whether the run is a full one
SCALED_SIZES = {True: (1000, 10_000, 100_000), False: (100,)}
NOISE = {"sin 5x": 0.0, "sin 5x + noise": 0.1}


def problem(law, size, *, noise=0.0, potential=None, affine="free"):
    """`size` points of sin 5x plus noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size)
    y = np.sin(5 * x) + noise * rng.normal(size=size)
    return sb.Problem(sb.Dataset(x, y), LAWS[law], potential=potential or sb.Quadratic(), affine=affine)


def natural(data):
    """What a user would otherwise build."""
    return CubicSpline(data.x, data.y, bc_type="natural")


@pytest.mark.parametrize("size", [10_000, 100_000])
@pytest.mark.parametrize("law", LAWS)
def bench_build(benchmark, law, size):
    found = benchmark.pedantic(sb.predict, (problem(law, size),), rounds=3, warmup_rounds=1)
    assert found.outcome is sb.Outcome.CONVERGED


@pytest.mark.parametrize("size", [10_000, 100_000])
def bench_build_natural_spline(benchmark, size):
    benchmark.pedantic(natural, (problem("constant", size).data,), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("law", LAWS)
def bench_evaluate(benchmark, law):
    f = sb.predict(problem(law, 10_000)).function
    benchmark(f, np.linspace(-1, 1, 1_000_000))


def bench_evaluate_natural_spline(benchmark):
    benchmark(natural(problem("constant", 10_000).data), np.linspace(-1, 1, 1_000_000))


@pytest.mark.parametrize("noise", NOISE)
def bench_scaled(benchmark, noise):
    task = problem("constant", 300, noise=NOISE[noise], potential=QUARTIC, affine="network")
    found = benchmark.pedantic(sb.predict, (task,), rounds=2)
    assert found.outcome is sb.Outcome.CONVERGED


def tabulate(*, full):
    """Building, evaluating at 10^6 points, and memory, for quadratic problems."""
    x, rounds, rows = np.linspace(-1, 1, 1_000_000), 5 if full else 3, []
    for law in LAWS:
        for size in SIZES[full]:
            task = problem(law, size)
            build = paired(rounds, lambda t=task: sb.predict(t), lambda t=task: natural(t.data))
            found, other = sb.predict(task), natural(task.data)
            evaluate = paired(rounds, lambda f=found.function: f(x), lambda f=other: f(x))
            built, evaluated = np.median(build, axis=0), np.median(evaluate, axis=0)
            data = task.data
            apart = np.abs(found.function(x[1:-1]) - other(x[1:-1]))[(x[1:-1] > data.x[0]) & (x[1:-1] < data.x[-1])].max()
            rows.append(
                [
                    f"{law}, {size:,} points",
                    *map(duration, built),
                    times(ratio(build, 1) ** -1),
                    duration(built[0] / size),
                    *map(duration, evaluated),
                    times(ratio(evaluate, 1) ** -1),
                    times(ratio(build + evaluate, 1) ** -1),
                    f"{peak_bytes(lambda t=task: sb.predict(t)) / size:.0f}",
                    f"{peak_bytes(lambda t=task: natural(t.data)) / size:.0f}",
                    f"{apart:.0e}" if law == "constant" else "-",
                ]
            )
    header = ["penalty", "build", "CubicSpline", "times longer", "per point", "evaluate", "CubicSpline", "times longer"]
    return table([*header, "both, times longer", "bytes a point", "CubicSpline", "largest difference"], rows)


def tabulate_scaled(*, full):
    """The same for u^4 + u^2, scaled, ReLU, no free affine part."""
    x, rounds, rows = np.linspace(-1, 1, 1_000_000), 5 if full else 3, []
    for name, noise in NOISE.items():
        for size in SCALED_SIZES[full]:
            task = problem("constant", size, noise=noise, potential=QUARTIC, affine="network")
            found, other = sb.predict(task), natural(task.data)
            build = paired(rounds, lambda t=task: sb.predict(t), lambda t=task: natural(t.data))
            evaluate = paired(rounds, lambda f=found.function: f(x), lambda f=other: f(x))
            built, evaluated = np.median(build, axis=0), np.median(evaluate, axis=0)
            rows.append(
                [
                    f"{name}, {size:,} points",
                    *map(duration, built),
                    times(ratio(build, 1) ** -1),
                    duration(built[0] / size),
                    *map(duration, evaluated),
                    times(ratio(build + evaluate, 1) ** -1),
                    f"{peak_bytes(lambda t=task: sb.predict(t)) / size:.0f}",
                    f"{found.stats['iterations']}",
                    found.outcome.name,
                ]
            )
    header = ["ordinates", "build", "CubicSpline", "times longer", "per point", "evaluate", "CubicSpline"]
    return table([*header, "both, times longer", "bytes a point", "iterations", "outcome"], rows)
