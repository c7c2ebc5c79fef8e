"""A whole study by one process and by two: wall time beside CPU time, and what the coordinator spends on a run.

Every study is a fresh interpreter, as a user's is (`python -m benchmarks.bench_study SEEDS JOBS` is one): whoever trains
imports torch. Wall times are worth something on an idle machine with two cores only. CPU times say what the ratio can be at
most: work on two cores takes at least half of the CPU time of all processes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

import splinebias as sb
from benchmarks._timing import duration, table
from tests.problems import PUBLISHED

WIDTHS = [20, 60, 180, 540, 1620, 4860]


def specification(seeds):
    """Data sets A and B of Liang & Montúfar, 12 networks for each seed."""
    return sb.StudySpec({"A": PUBLISHED["A"][0], "B": PUBLISHED["B-u4"][0]}, WIDTHS, range(seeds))


class Cost(NamedTuple):
    """What a study took, in seconds: of the clock, from the start of the interpreter to its end, and of CPU."""

    wall: float
    coordinator: float
    """CPU of the process that runs the study, from its start on"""
    call: float
    """The part of it that `study_grid` takes"""
    workers: float
    """CPU of all other processes"""


def run(seeds, jobs):
    """The `Cost` of a study with a store in an interpreter of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_study", str(seeds), str(jobs)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True)
    return Cost(time.perf_counter() - began, **json.loads(done.stdout))


def study(seeds, jobs):
    """CPU seconds of a study in this interpreter, by the names of `Cost`."""
    spec, study_grid = specification(seeds), sb.study_grid
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        study_grid(spec, jobs=jobs, store=Path(folder) / "study.sqlite", progress=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = time.process_time()
    return {"coordinator": spent, "call": spent - began, "workers": used.ru_utime + used.ru_stime}


def tabulate(*, full):
    """One process beside two, in turns; medians over rounds, ratios of each round."""
    seeds, rounds = (167, 3) if full else (8, 1)
    costs = np.array([[run(seeds, jobs) for jobs in (1, 2)] for _ in range(rounds)])
    one, two = (Cost(*cost) for cost in np.median(costs, axis=0))
    first, second = (Cost(*cost) for cost in costs.transpose(1, 2, 0))  # one number for each round
    times_faster = np.median(first.wall / second.wall)
    possible = np.median(2 * first.coordinator / (second.coordinator + second.workers))
    runs = len(specification(seeds))
    header = ["processes", "wall", "CPU, coordinator", "a run", "CPU, workers", "times faster", "by CPU time at most"]
    row = [duration(two.wall), duration(two.coordinator), duration(two.call / runs), duration(two.workers)]
    return table(
        header,
        [
            [f"1, {runs:,} runs", duration(one.wall), duration(one.coordinator), "-", "-", "1", "1"],
            [f"2, {runs:,} runs", *row, f"{times_faster:.2f}", f"{possible:.2f}"],
        ],
    )


def bench_two_processes(benchmark):
    benchmark.pedantic(run, (32, 2), rounds=2)


if __name__ == "__main__":
    print(json.dumps(study(*map(int, sys.argv[1:]))))
