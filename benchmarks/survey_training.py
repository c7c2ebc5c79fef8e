"""Random problems at random widths by the default method: how runs end, in how many passes and seconds, and why.

    python -m benchmarks.survey_training                       # 150 runs, into the table of benchmarks/README.md
    python -m benchmarks.survey_training --count 20            # fewer, printed only

Problems are those of `tests.fuzz` that training takes, seeds 0, 1, ... in turn; the width of a seed is random, log-uniform
from 10 to 3000 and even. A run is given up after `CAP` seconds of the processor, which are what is counted.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

import splinebias as sb
from benchmarks._timing import duration, table
from tests.fuzz import fuzz_problem, kind_of

COUNT = 150
CAP = 60.0  # seconds of the processor for a run
HEADER = ["outcome", "runs", "passes, median", "most", "over 200", "time, median", "longest", "longest at width <= 300"]


class Trial(NamedTuple):
    """What became of a run: the name of its `outcome`, REFUSED, or SLOW if it was given up."""

    seed: int
    kind: str
    points: int
    width: int
    outcome: str
    words: str
    seconds: float
    steps: int = 0
    passes: float = 0.0
    loss: float = float("nan")


class _Late(BaseException):
    """The time of a run is up; no error of the library."""


def _give_up(*_: Any) -> None:
    raise _Late


def width_of(seed: int) -> int:
    """The width that goes with a seed."""
    return 2 * round(10 ** np.random.default_rng([seed, 27]).uniform(1, np.log10(3000)) / 2)


def tried(seed: int, cap: float = CAP) -> Trial:
    """Train the problem of a seed at its width."""
    width, kind, where = width_of(seed), kind_of(seed), [0.0, 0.0]

    def note(steps: int, loss: float, t: float) -> None:
        where[:] = steps, loss

    began, points = time.process_time(), 0
    signal.signal(signal.SIGPROF, _give_up)
    signal.setitimer(signal.ITIMER_PROF, cap)
    try:
        problem = fuzz_problem(seed)[1]
        points = problem.data.size
        run = sb.train(problem, width, progress=note)
    except sb.SplinebiasError as refusal:
        return Trial(seed, kind, points, width, "REFUSED", str(refusal), time.process_time() - began)
    except _Late:
        words = f"loss {where[1]:.3g} after {where[0]:.0f} steps"
        return Trial(seed, kind, points, width, "SLOW", words, time.process_time() - began, int(where[0]), loss=where[1])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    spent, passes = time.process_time() - began, run.stats.get("passes", 0.0)
    return Trial(
        seed, kind, points, width, run.outcome.name, run.advice, spent, run.steps, passes, run.loss
    )  # fmt: skip


def trials(count: int, jobs: int = 1, first: int = 0) -> Iterator[Trial]:
    """Runs of the first `count` problems that training takes, in order, and the refusals in between."""
    taken, ahead = 0, 4 * jobs
    while taken < count:
        parallel = Parallel(n_jobs=jobs)
        for trial in parallel(delayed(tried)(seed) for seed in range(first, first + ahead)):
            taken += trial.outcome != "REFUSED"
            yield trial
            if taken == count:
                return
        first += ahead


def report(found: Sequence[Trial]) -> str:
    """A row for each outcome, as Markdown."""
    rows = []
    for outcome in sorted({trial.outcome for trial in found} - {"REFUSED"}):
        mine = [trial for trial in found if trial.outcome == outcome]
        passes, seconds = np.array([t.passes for t in mine]), np.array([t.seconds for t in mine])
        narrow = [t.seconds for t in mine if t.width <= 300]
        rows.append(
            [
                outcome,
                str(len(mine)),
                f"{np.median(passes):.0f}",
                f"{passes.max():.0f}",
                f"{(passes > 200).sum()}",
                duration(float(np.median(seconds))),
                duration(float(seconds.max())),
                duration(max(narrow)) if narrow else "-",
            ]
        )
    return table(HEADER, rows)


def tabulate(*, full: bool) -> str:
    """The table of benchmarks/README.md."""
    return report(list(trials(COUNT if full else 10)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every run as it ends, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--store", type=Path, help="a file of JSON lines, one a run, to write as well")
    options, found = parser.parse_args(arguments), []
    for trial in trials(options.count, options.jobs, options.first):
        found.append(trial)
        print(
            f"{trial.seed} {trial.kind}, {trial.points} points, width {trial.width}: {trial.outcome}, {trial.steps} steps, "
            f"{trial.passes:.0f} passes, {duration(trial.seconds)}; {trial.words}",
            flush=True,
        )
        if options.store:
            with options.store.open("a", encoding="utf-8") as file:
                file.write(json.dumps(trial._asdict()) + "\n")
    print(report(found))


if __name__ == "__main__":
    main()
