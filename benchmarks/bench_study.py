"""A whole study by one process and by two: wall time beside CPU time, and what the coordinator spends on a run.

Wall times are worth something on an idle machine with two cores only. CPU times say what the ratio can be at most: work on
two cores takes at least half of the CPU time of all processes.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.stats as st

import splinebias as sb
from benchmarks._timing import duration, table

UNIFORM = sb.Initialization.rademacher(st.uniform(-1, 2))
A = sb.Problem(sb.Dataset([-1, -0.2, 0, 0.2, 1], np.array([0, 0, 0.3, 0, 0]) - 0.15), UNIFORM)
B = sb.Problem(
    sb.Dataset([-1, 0.35, 0.65, 1], np.array([0.3, 0.3, 0, 0.3]) - 0.15),
    UNIFORM,
    sb.Abs(),
    sb.Scaled(sb.Power(4, quadratic=1)),
)
WIDTHS = [20, 60, 180, 540, 1620, 4860]


def specification(seeds):
    """Data sets A and B of Liang & Montúfar, 12 networks for each seed."""
    return sb.StudySpec({"A": A, "B": B}, WIDTHS, range(seeds))


def run(spec, jobs):
    """Seconds of the clock, CPU seconds of this process, CPU seconds of its workers, of a study with a store."""
    own, ended, began = time.process_time(), _children(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        sb.study_grid(spec, jobs=jobs, store=Path(folder) / "study.sqlite", progress=False)
    return time.perf_counter() - began, time.process_time() - own, _children() - ended


def _children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tabulate(*, full):
    """One process beside two, in turns; medians over rounds, ratios of each round."""
    spec = specification(167 if full else 8)
    rounds = np.array([[run(spec, jobs) for jobs in (1, 2)] for _ in range(3 if full else 1)])
    one, two = np.median(rounds, axis=0)
    times_faster = np.median(rounds[:, 0, 0] / rounds[:, 1, 0])
    possible = np.median(2 * rounds[:, 0, 1] / rounds[:, 1, 1:].sum(axis=-1))
    header = ["processes", "wall", "CPU, coordinator", "a run", "CPU, workers", "times faster", "by CPU time at most"]
    row = [duration(two[0]), duration(two[1]), duration(two[1] / len(spec)), duration(two[2])]
    return table(
        header,
        [
            [f"1, {len(spec):,} runs", duration(one[0]), duration(one[1]), "-", "-", "1", "1"],
            [f"2, {len(spec):,} runs", *row, f"{times_faster:.2f}", f"{possible:.2f}"],
        ],
    )


def bench_two_processes(benchmark):
    spec = specification(32)
    benchmark.pedantic(run, (spec, 2), rounds=2)
