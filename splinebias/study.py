r"""study: networks of many widths and seeds beside their infinite-width limit.

One run is a pure function of its `Task`: a study predicts once, maps `run_one` over the tasks, and keeps every row. What
the rows say about :math:`n \to \infty` is worked out in `convergence`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from splinebias._check import interval as check_interval
from splinebias._check import whole_number
from splinebias.compare import compare
from splinebias.convergence import Row, Study, default_interval
from splinebias.dynamics.base import TrainingMethod
from splinebias.errors import DataError
from splinebias.predict import predict
from splinebias.problem import Problem
from splinebias.solve.prediction import Prediction
from splinebias.train import train

__all__ = ["Row", "Study", "Task", "one_thread", "run_one", "run_seed", "study"]

_LARGEST = 2**63 - 1
_LONG = 1.0  # seconds after which a study is worth a progress bar


@dataclass(frozen=True, eq=False)
class Task:
    """Everything one run depends on; it can be sent to another process.

    Parameters
    ----------
    prediction : Prediction
        The limit to compare with; it knows the problem.
    width, seed : int
        Which network; its random stream is `run_seed` of the two.
    method : TrainingMethod or None
        As in `train`.
    interval : tuple of float
        Where to compare.
    loss_tol : float
        As in `train`.
    """

    prediction: Prediction
    width: int
    seed: int
    method: TrainingMethod | None
    interval: tuple[float, float]
    loss_tol: float


def run_seed(seed: int, width: int) -> int:
    """The seed that `train` is given for one run of a study: 53 bits of ``SeedSequence([seed, width])``.

    It depends on nothing else, so adding widths or seeds to a study changes no earlier run, networks of different widths
    are independent, and all potentials start from the same networks.

    Examples
    --------
    >>> from splinebias.study import run_seed
    >>> run_seed(0, 20) == run_seed(0, 20) != run_seed(0, 60)
    True
    """
    (bits,) = np.random.SeedSequence([seed, width]).generate_state(1, np.uint64)
    return int(bits) >> 11  # 53 bits survive a trip through JSON


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread: its sums depend on the number of threads, and at these sizes more of them are no faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_one(task: Task) -> Row:
    """Train the network of `task` and compare it with the limit: the same bits in every process, `seconds` aside."""
    limit = task.prediction
    with one_thread():
        run = train(
            limit.problem,
            task.width,
            run_seed(task.seed, task.width),
            method=task.method,
            loss_tol=task.loss_tol,
            progress=False,
        )
        distance = compare(run.function, limit.function, interval=task.interval)
    return Row(
        width=task.width,
        seed=task.seed,
        sup=distance.sup,
        l2=distance.l2,
        argmax=distance.argmax,
        penalty=limit.penalty,
        loss=run.loss,
        steps=run.steps,
        time=run.time,
        seconds=run.seconds,
        outcome=run.outcome.name,
    )


def study(
    problem: Problem,
    widths: Sequence[int],
    seeds: Sequence[int],
    *,
    method: TrainingMethod | None = None,
    interval: tuple[float, float] | None = None,
    loss_tol: float = 1e-12,
    jobs: int = 1,
    progress: bool | Callable[[int, int], None] | None = None,
) -> Study:
    r"""Train networks of all `widths` and `seeds` and measure :math:`\sup|f_n - f|` against the infinite-width limit.

    Parameters
    ----------
    problem : Problem
        What to fit. Several potentials are several studies; they start from the same networks.
    widths : sequence of int
        The n above, distinct, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        Distinct, >= 0, below 2^63; one network for each width and seed, with random stream `run_seed`.
    method : TrainingMethod, optional
        As in `train`.
    interval : (float, float), optional
        Where to compare. None: the span of the data and a quarter of it more on either side.
    loss_tol : float
        Loss to train to, absolute, in the units of y squared. Choose it so that what is
        left is small beside the distance to measure.
    jobs : int
        Processes to use, started by joblib; 1 stays in this one. The result has the same bits whatever the number.
    progress : bool or callable, optional
        A callable is called as ``progress(done, total)`` after every run. True: a progress bar on stderr. None: a bar if
        stderr is a terminal and the study takes over a second. False: silence.

    Returns
    -------
    Study
        Runs that failed are in its table with their `outcome`; fits leave them out and count them.

    Raises
    ------
    DataError
        For arguments outside the ranges above, and whatever `predict` and `train` refuse.
    CapabilityError
        If `method` cannot take this problem.

    Notes
    -----
    Hypotheses of the infinite-width theorems: as in `predict` and `train`. Whether the widths are large enough is what a
    study shows: the exponent is near -1/2 when they are. Source: theory section 7; Liang & Montúfar (ICLR 2025), figures
    1 and 2.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> found = sb.study(problem, widths=[50, 200], seeds=range(3), loss_tol=1e-6)
    >>> len(found.table), bool(found.rate.low < -0.5 < found.rate.high)
    (6, True)
    """
    if not isinstance(problem, Problem):
        raise DataError(f"`problem` must be an sb.Problem, got {problem!r}; build one with sb.Problem(data, initialization)")
    widths, seeds = _distinct(widths, "widths", at_least=1), _distinct(seeds, "seeds", at_least=0)
    odd = [width for width in widths if width % 2]
    if problem.initialization.output is not None and odd:
        raise DataError(f"`widths` must be even for antisymmetric pairs, got {odd[0]}; use {odd[0] + 1}")
    jobs = whole_number(jobs, "jobs", at_least=1)
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise DataError(f"`progress` must be None, True, False or a callable(done, total), got {progress!r}")
    where = default_interval(problem) if interval is None else check_interval(interval)
    limit = predict(problem)
    tasks = [Task(limit, width, seed, method, where, loss_tol) for width in reversed(widths) for seed in seeds]
    rows = tuple(sorted(_watched(_results(tasks, jobs), len(tasks), progress)))
    return Study(limit, where, loss_tol, rows)


def _distinct(values: Sequence[int], name: str, *, at_least: int) -> list[int]:
    """`values` as increasing distinct whole numbers, or a DataError."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise DataError(f"`{name}` must be a sequence of whole numbers, got {values!r}; use e.g. [{values!r}] or range(5)")
    numbers = [whole_number(value, name, at_least=at_least) for value in values]
    if not numbers:
        raise DataError(f"`{name}` must hold at least one number, got none; use e.g. {name}=range(20, 100, 20)")
    if max(numbers) > _LARGEST:
        raise DataError(f"`{name}` must be below 2^63, got {max(numbers)}; tables hold 64-bit integers")
    repeated = [value for value, count in Counter(numbers).items() if count > 1]
    if repeated:
        raise DataError(f"`{name}` must be distinct, got {repeated[0]} more than once; the runs would be the same")
    return sorted(numbers)


def _results(tasks: Sequence[Task], jobs: int) -> Iterator[Row]:
    """The rows of all tasks, in the order in which they are done."""
    jobs = min(jobs, len(tasks))
    if jobs == 1:
        return map(run_one, tasks)
    from joblib import Parallel, delayed

    rows: Iterator[Row] = Parallel(n_jobs=jobs, return_as="generator_unordered")(delayed(run_one)(task) for task in tasks)
    return rows


def _watched(rows: Iterator[Row], total: int, progress: bool | Callable[[int, int], None] | None) -> Iterator[Row]:
    """The same rows, reported as they pass."""
    if callable(progress):
        for done, row in enumerate(rows, start=1):
            progress(done, total)
            yield row
        return
    terminal = sys.stderr is not None and sys.stderr.isatty()
    from tqdm.auto import tqdm

    shown = terminal if progress is None else progress
    yield from tqdm(
        rows, total=total, desc="study", unit="run", disable=not shown, delay=0 if progress else _LONG, leave=False
    )
