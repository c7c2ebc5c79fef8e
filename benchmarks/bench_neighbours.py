"""Predictions near one that is known: from there, from nothing, and to a tolerance, in one process."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from benchmarks.bench_random_weights import LAWS, POTENTIALS, SIZES, data

LOOSE = 1e-6


def moved(points, seed=0):
    """The same data, of which every ordinate moved by about 1 % and every abscissa by some thousandths of a gap."""
    rng = np.random.default_rng(seed)
    step = 0.003 * np.diff(points.x).min()
    return sb.Dataset(points.x + step * rng.uniform(-1, 1, points.size), points.y + 0.01 * rng.normal(size=points.size))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("potential", POTENTIALS)
def bench_neighbours(benchmark, law, potential):
    first, task = (sb.Problem(of, LAWS[law], potential=sb.Scaled(POTENTIALS[potential])) for of in (data(5), moved(data(5))))
    known = sb.predict(first)
    assert benchmark(sb.predict, task, warm=known).outcome.ok


def tabulate(*, full):
    """Medians and worst of the five potentials with ReLU and Abs, in seconds of the processor."""
    rows, x = [], np.linspace(-1.3, 1.3, 53)
    for size, (name, law) in itertools.product(SIZES, LAWS.items()):
        seconds, apart, off = [], 0.0, 0.0
        cases = list(itertools.product((sb.ReLU(), sb.Abs()), POTENTIALS.values()))
        for activation, potential in cases if full else cases[1:3]:
            first, task = (sb.Problem(of, law, activation, sb.Scaled(potential)) for of in (data(size), moved(data(size))))
            known = sb.predict(first)
            calls = (
                lambda task=task, known=known: sb.predict(task, warm=known),
                lambda task=task: sb.predict(task, tolerance=LOOSE),
                lambda task=task: sb.predict(task),
            )
            seconds.append(paired(7, *calls, clock=time.process_time))
            warm, loose, cold = (of()(x) for of in calls)
            scale = np.abs(task.data.y).max()
            apart, off = max(apart, np.abs(warm - cold).max() / scale), max(off, np.abs(loose - cold).max() / scale)
        middle = np.median(seconds, axis=1)
        cells = [duration(float(of)) for of in (*np.median(middle, axis=0), *middle.max(axis=0)[:2])]
        faster = np.median([[ratio(of, 2, 0), ratio(of, 2, 1)] for of in seconds], axis=0)
        rows.append([f"{name}, {size} points", *cells, times(faster[0]), times(faster[1]), f"{apart:.0e}", f"{off:.0e}"])
    header = ["law", "from a neighbour", "to 1e-6", "from nothing", "worst, neighbour", "worst, to 1e-6"]
    return table([*header, "times faster", "to 1e-6", "apart", "apart, to 1e-6"], rows)
