"""Networks that learn features, by exact steps of neurons, beside the lazy problem, the lazy integrator and an explicit one.

The explicit one is what one would otherwise run: descent with the largest rate that still follows the flow, a hundredth
of the time of the fastest decay; its steps are timed and counted by the training time that the flow needs.
"""

from __future__ import annotations

import numpy as np
import scipy.stats as st

import splinebias as sb
from benchmarks._timing import duration, paired, ratio, table, times
from tests.problems import SET_A, UNIFORM

LAZY = sb.Problem(SET_A, UNIFORM)
TOLERANCE = 1e-6


def rich(richness, scale=1.0):
    """Set A, mean-field networks with normal parameters in antisymmetric pairs."""
    law = st.norm(0, scale)
    return sb.Problem(SET_A, sb.Initialization(law, law, output=law), parameterization=sb.MeanField(richness))


def trained(problem, width, method):
    """One network to the tolerance, or to where it rests."""
    return sb.train(problem, width, method=method, loss_tol=TOLERANCE, progress=False)


def descent_seconds(problem, width, run, sample):
    """Steps of descent for the training time of `run`, and seconds per step, measured on `sample` of them."""
    rate = 0.01 / run.stats["lambda_max"]
    steps = run.time / problem.parameterization.clock(width) / rate
    few = sb.train(problem, width, method=sb.MirrorDescent(rate, max_steps=sample), loss_tol=1e-12, progress=False)
    return steps, few.seconds / sample


def tabulate(*, full):
    """Steps and times to loss 1e-6, with the ratio to `MirrorFlow` on the lazy problem of the same width."""
    width, rounds, rows = 1000, 5 if full else 2, []
    lazy = lambda: trained(LAZY, width, sb.MirrorFlow())  # noqa: E731
    for name, problem in {
        "γ = 0.1": rich(0.1),
        "γ = 1": rich(1.0),
        "γ = 1, output weights 0": sb.Problem(SET_A, sb.Initialization.gaussian(), parameterization=sb.MeanField(1.0)),
        "γ = 10": rich(10.0),
        "γ = 1, start 1e-4": rich(1.0, 1e-4),
        "γ = 1, start 1e-8": rich(1.0, 1e-8),
        "lazy": LAZY,
    }.items():
        rich_call, mirror_call = (
            lambda problem=problem, method=method: trained(problem, width, method)
            for method in (sb.NeuronFlow(), sb.MirrorFlow())
        )
        run, seconds = rich_call(), paired(rounds, rich_call, lazy, mirror_call)
        steps, each = descent_seconds(problem, width, run, 200)
        mine, _, mirror = np.median(seconds, axis=0)
        cells = [f"{run.steps}", f"{run.loss:.0e}", duration(mine), times(1 / ratio(seconds, 1)), duration(mirror)]
        rows.append([name, *cells, f"{steps:,.0f}", duration(steps * each)])
    times_of = ["time", "over lazy `MirrorFlow`", "`MirrorFlow`", "steps of descent", "descent"]
    return table(["set A, width 1000", "steps", "loss", *times_of], rows)


def bench_rich_networks(benchmark):
    run = benchmark.pedantic(trained, (rich(1.0), 1000, sb.NeuronFlow()), rounds=5, warmup_rounds=1)
    benchmark.extra_info.update({"steps": run.steps, "loss": run.loss})
    assert run.outcome is sb.Outcome.CONVERGED
