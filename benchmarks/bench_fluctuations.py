"""Fluctuations of networks that learn features, beside the ensemble that would measure their variance as well.

A variance of S networks has a relative error of sqrt(2 / (S - 1)): 801 for 5 %. A smaller ensemble is timed and scaled.
"""

from __future__ import annotations

import numpy as np

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from tests.problems import SET_A

TIME, WIDTH, SEEDS, NEEDED = 100.0, 400, 100, 801
POINTS = np.linspace(-1.4, 1.4, 11)


def rich(richness):
    """Set A, mean-field networks with normal hidden parameters and output weights 0."""
    return sb.Problem(SET_A, sb.Initialization.gaussian(), parameterization=sb.MeanField(richness))


def ensemble(problem):
    """Finite networks at the same time."""
    return sb.train_ensemble(problem, WIDTH, seeds=range(SEEDS), method=sb.NeuronFlow(time=TIME), loss_tol=1e-14)


def tabulate(*, full):
    """Times, the error that is stated, and how many times longer the ensemble would take."""
    rounds, rows = 3 if full else 1, []
    for richness in (0.1, 1.0, 2.0):
        problem = rich(richness)
        found = sb.fluctuations(problem, [TIME], x=POINTS)
        seconds = paired(rounds, lambda p=problem: sb.fluctuations(p, [TIME], x=POINTS), lambda p=problem: ensemble(p))
        mine, other = np.median(seconds, axis=0)
        many = NEEDED / SEEDS
        cells = [f"{found.stats['steps']}", f"{found.residual:.1%}", duration(mine), duration(many * other)]
        rows.append([f"γ = {richness:g}", *cells, times(many * ratio(seconds, 1))])
    return table(["set A, a = 0, t = 100", "steps", "error", "time", f"{NEEDED} networks of width {WIDTH}", "ratio"], rows)


def bench_fluctuations(benchmark):
    found = benchmark.pedantic(sb.fluctuations, (rich(1.0), [TIME]), {"x": POINTS}, rounds=3, warmup_rounds=1)
    benchmark.extra_info.update({"steps": found.stats["steps"], "error": found.residual})
    assert found.outcome is sb.Outcome.CONVERGED
