r"""Scaled potentials with random \|W\|: effective potentials beside integrals over \|w\|, and W = +-1."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import scipy.stats as st

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times

LAWS = {"Gaussian": sb.Initialization.gaussian(), "PyTorch default": sb.Initialization.pytorch_default()}
UNIT = sb.Initialization.rademacher(st.uniform(-1.2, 2.4))
POTENTIALS = {
    "u^1.5": sb.Power(1.5),
    "u^3 + u^2": sb.Power(3, quadratic=1),
    "u^4 + u^2": sb.Power(4, quadratic=1),
    "u^4": sb.Power(4),
    "hypentropy": sb.Hypentropy(1.0),
}
SIZES = (5, 20)


def data(size):
    """The published set A, or noisy points of a sine."""
    if size == 5:
        return sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15)
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-1, 1, size))
    return sb.Dataset(x, np.sin(4 * x) + 0.1 * rng.normal(size=size))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("potential", POTENTIALS)
def bench_random_weights(benchmark, law, potential):
    task = sb.Problem(data(5), LAWS[law], potential=sb.Scaled(POTENTIALS[potential]))
    found = benchmark(sb.predict, task)
    assert found.outcome.ok


def tabulate(*, full):
    """Medians and worst of the five potentials with ReLU and Abs, `predict` as a whole, in seconds of the processor.

    And `penalty` of what it found, a function like any other to it.
    """
    rows, exact = [], sb.DualSolver(over_sizes=True)
    for size, (name, law) in itertools.product(SIZES, LAWS.items()):
        seconds, apart = [], 0.0
        cases = list(itertools.product((sb.ReLU(), sb.Abs()), POTENTIALS.values()))
        for activation, potential in cases if full else cases[1:3]:
            task, unit = (sb.Problem(data(size), of, activation, sb.Scaled(potential)) for of in (law, UNIT))
            found, beside = sb.predict(task).function, sb.predict(unit).function
            calls = (
                lambda task=task: sb.predict(task),
                lambda task=task: sb.predict(task, exact),
                lambda unit=unit: sb.predict(unit),
                lambda task=task, found=found: sb.penalty(found, task),
                lambda unit=unit, beside=beside: sb.penalty(beside, unit),
            )
            seconds.append(paired(3, *calls, clock=time.process_time))
            x = np.linspace(-1.3, 1.3, 53)
            fast, slow = (of().function(x) for of in calls[:2])
            apart = max(apart, np.abs(fast - slow).max() / np.abs(slow).max())
        middle = np.median(seconds, axis=1)
        ratios = [[ratio(of, 1), ratio(of, 0, 2), ratio(of, 3, 4)] for of in seconds]
        medians = np.median(middle, axis=0)
        cells = [duration(float(of)) for of in (*medians[:3], *middle.max(axis=0)[:2])]
        faster, beside, of_penalty = np.median(ratios, axis=0)
        cells += [times(faster), times(beside), f"{apart:.0e}", duration(float(medians[3])), times(of_penalty)]
        rows.append([f"{name}, {size} points", *cells])
    header = ["law", "median", "over sizes", "W = ±1", "worst", "over sizes", "times faster", "times W = ±1", "apart"]
    return table([*header, "`penalty`", "times W = ±1"], rows)
