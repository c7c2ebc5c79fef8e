"""What the second opinion of a prediction costs, beside the prediction without it."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from benchmarks._timing import duration, table
from benchmarks.bench_random_weights import data
from splinebias.limit.second_opinion.opinion import second_opinion

UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
LAWS = {
    "W = ±1, B uniform": UNIFORM,
    "W = ±1, B normal": sb.Initialization.rademacher(st.norm(0, 0.5)),
    "Gaussian": sb.Initialization.gaussian(),
    "PyTorch default": sb.Initialization.pytorch_default(),
}
SCALED = sb.Scaled(sb.Power(4, quadratic=1))
SIZES = (1000, 10_000, 100_000)


def noisy(size):
    """Noisy points of a sine inside the law."""
    rng = np.random.default_rng(size)
    x = np.sort(rng.uniform(-0.9, 0.9, size))
    return sb.Dataset(x, np.sin(5 * x) + 0.1 * rng.normal(size=size))


def problems(*, full):
    """Few points, plain and scaled, then many points."""
    for size, (name, law) in itertools.product((5, 20), LAWS.items()):
        yield f"{name}, {size} points", sb.Problem(data(size), law)
        yield f"{name}, u⁴ + u², {size} points", sb.Problem(data(size), law, potential=SCALED)
    for size in (5, 20):
        yield f"PyTorch default, tanh, {size} points", sb.Problem(data(size), LAWS["PyTorch default"], sb.Tanh())
    for size, (name, law), affine in itertools.product(SIZES[: 3 if full else 1], LAWS.items(), ("network", "free")):
        line = ", free line" * (affine == "free")
        yield f"{name}{line}, {size:,} points", sb.Problem(noisy(size), law, affine=affine)


@pytest.mark.parametrize("law", LAWS)
def bench_second_opinion(benchmark, law):
    found = sb.predict(sb.Problem(data(5), LAWS[law]))
    assert benchmark(second_opinion, found).misfit < 1e-10


def tabulate(*, full):
    """Medians of rounds in which both take turns, by the processor's time: calls this short tell little by the clock."""
    rows = []
    for name, problem in problems(full=full):
        found = sb.predict(problem)
        marks = []
        for _ in range(9 if full else 3):
            marks.append(time.process_time())
            sb.predict(problem)
            marks.append(time.process_time())
            second_opinion(found)
        whole, own = np.diff([*marks, time.process_time()]).reshape(-1, 2)[1:].T
        own, rest = float(np.median(own)), float(np.median(whole) - np.median(own))
        cells = duration(own), duration(rest), f"{own / rest:.0%}"
        rows.append([name, *cells, f"{second_opinion(found).bound:.0e}"])
    return table(["problem", "second opinion", "the rest of predict", "share", "bound"], rows)
