r"""study: networks of many widths and seeds beside their infinite-width limit; study_grid: the same for a whole grid.

A study predicts once per case, trains batches of networks wherever it is told to, and keeps every run as it comes. What the
rows say about :math:`n \to \infty` is worked out in `results`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

from splinebias._arguments import known_keywords, true_or_false, whole_number
from splinebias.errors import DataError
from splinebias.limit.prediction import Prediction
from splinebias.problem import Problem, require_problem
from splinebias.studies.limit import limit_of
from splinebias.studies.results import Row, Study, StudyGrid
from splinebias.studies.row import LOST, Done, failed_row
from splinebias.studies.spec import StudySpec, run_seed
from splinebias.studies.store.packing import NetworkFunction, unpack
from splinebias.studies.store.reading import read_cases
from splinebias.studies.store.store import Store
from splinebias.studies.work.batch import Batch, batches, environment, run_batch
from splinebias.studies.work.interrupts import interruptible
from splinebias.studies.work.loop import RETRIES, Loop
from splinebias.studies.work.pools import Dask, Given, InProcess, LocalProcesses, Pool, check_picklable
from splinebias.studies.work.progress import Progress, check_progress, reported
from splinebias.training.method import TrainingMethod, checked_method

__all__ = ["Row", "Study", "StudyGrid", "StudySpec", "run_seed", "study", "study_grid"]


@known_keywords
def study(
    problem: Problem,
    widths: Sequence[int] | int,
    seeds: Sequence[int],
    *,
    method: TrainingMethod | None = None,
    interval: Any = None,
    loss_tol: float = 1e-12,
    jobs: int = 1,
    scheduler: str | None = None,
    executor: Executor | None = None,
    store: str | Path | None = None,
    extend: bool = False,
    progress: bool | Callable[[int, int], None] | None = None,
) -> Study:
    r"""Train networks of all `widths` and `seeds` and measure :math:`\sup|f_n - f|` against the infinite-width limit.

    Parameters
    ----------
    problem : Problem
        What to fit. Several potentials are several studies, or one `study_grid`; they start from the same networks.
    widths : sequence of int, or int
        The n above, distinct, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        Distinct, >= 0, below 2^63; one network for each width and seed, with random stream `run_seed`.
    method : TrainingMethod, optional
        As in `train`.
    interval : (float, float), optional
        Where to compare. None: the span of the data and a quarter of it more on either side. Of several inputs a box, one
        such pair for each, on which the largest error that a search finds is taken: see `compare_on_box`.
    loss_tol : float
        Loss to train to, absolute, in the units of y squared. Choose it so that what is
        left is small beside the distance to measure.
    jobs, scheduler, executor, store, extend, progress
        As in `study_grid`.

    Returns
    -------
    Study
        Runs that failed are in its table with their `outcome`; fits leave them out and count them.

    Raises
    ------
    DataError
        For arguments outside the ranges above, and whatever `predict`, `train` and `study_grid` refuse.
    CapabilityError
        If `method` cannot take this problem.
    StudyStopped
        As `study_grid`.

    Notes
    -----
    Networks of `MeanField` problems, which learn features, are compared with the limit of `predict` at the time at which
    `method` has them stop; if that is infinity, with the limit once its loss has all but vanished: take a small `loss_tol`.

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
    require_problem(problem)
    methods = {} if method is None else {"": checked_method(problem, method)}
    several = cast("Sequence[int]", widths)  # or one number, which it makes a list of
    spec = StudySpec(problem, several, seeds, methods=methods, interval=interval, loss_tol=loss_tol)
    found = study_grid(
        spec, jobs=jobs, scheduler=scheduler, executor=executor, store=store, extend=extend, progress=progress
    )
    return found.parts[0]


@known_keywords
def study_grid(
    spec: StudySpec,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    executor: Executor | None = None,
    store: str | Path | None = None,
    extend: bool = False,
    progress: bool | Callable[[int, int], None] | None = None,
) -> StudyGrid:
    """Run what is not yet done of a study, and return all of it.

    Parameters
    ----------
    spec : StudySpec
        What to run.
    jobs : int
        Local processes of one thread each; 1 stays in this one. They end with this process, even if that is killed.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://host:8786``, whose workers compute instead.
    executor : concurrent.futures.Executor, optional
        Anything with that interface whose workers compute instead; it stays open.
    store : str or Path, optional
        A file that keeps every run as it finishes, or a folder to make one in: after an interruption the same call continues
        from there. None: memory only.
    extend : bool
        Whether `spec` may add to the grid of the store.
    progress : bool or callable, optional
        A callable is called as ``progress(done, total)`` for every run. True: a progress bar on stderr. None: a bar if
        stderr is a terminal and the study takes over a second. Unless False: a line on stderr if a scheduler has had no
        workers for some seconds. False: silence.

    Returns
    -------
    StudyGrid
        One `Study` per case.

    Raises
    ------
    DataError
        For arguments outside these ranges, a store that is damaged, of a newer format, of another specification or in use, a
        scheduler that does not answer, a problem that cannot be sent to workers; and what `predict` and `train` refuse.
    CapabilityError
        If a method cannot take a problem, or a store cannot hold the specification.
    StudyStopped
        If the disk is full, the store is deleted or replaced, or a scheduler or executor is lost: what is finished is kept.

    Notes
    -----
    The result has the same bits whatever computes it, on one kind of machine with one set of versions: networks are trained
    in batches that follow from `spec` alone, in which every process uses one thread. The column `seconds` differs.

    A run that raises becomes a row with outcome "FAILED" and a reason. A batch whose worker dies is tried twice more, then
    its rows get outcome "LOST", and the next call tries them again.
    """
    if not isinstance(spec, StudySpec):
        raise DataError(f"`spec` must be an sb.StudySpec, got {spec!r}; sb.study takes a problem, widths and seeds")
    for case in spec.cases:
        checked_method(case.problem, case.method)
    progress = check_progress(progress)
    extend = true_or_false(extend, "extend")
    jobs = whole_number(jobs, "jobs", at_least=1)
    if (jobs > 1) + (scheduler is not None) + (executor is not None) > 1:
        raise DataError(
            "`jobs` > 1, `scheduler` and `executor` exclude each other, got more than one; choose where to compute"
        )
    with ExitStack() as stack:
        keep = _Memory(spec) if store is None else stack.enter_context(Store.open(store, spec, extend=extend))
        limits = [limit_of(case.problem, case.method) for case in spec.cases]
        todo = list(batches(spec, limits, keep.finished()))
        if todo:
            pool = _pool(jobs, scheduler, executor, todo)
            stack.callback(pool.close)
            check_interrupts = stack.enter_context(interruptible())
            try:
                _run(todo, pool, keep, progress, len(spec), check_interrupts)
            except KeyboardInterrupt as interrupt:
                interrupt.add_note(_kept(keep, len(spec)))
                raise
        keep.check_in_place()
    if isinstance(keep, _Memory):
        return StudyGrid(keep.parts(limits))
    return StudyGrid(tuple(map(Study.of, read_cases(keep.path), limits)))


def _kept(keep: Store | _Memory, total: int) -> str:
    """What is left after an interrupt, for whoever reads its traceback."""
    done = sum(map(len, keep.finished()))
    if isinstance(keep, _Memory):
        return f"the study was stopped: {done} of {total} runs were done and are lost; with store=... they are kept"
    return f"the study was stopped: {done} of {total} runs are kept in {keep.path}; the same call goes on from there"


def _pool(jobs: int, scheduler: str | None, executor: Executor | None, todo: Sequence[Batch]) -> Pool:
    """The pool of workers that the arguments ask for."""
    if jobs == 1 and scheduler is None and executor is None:
        return InProcess()
    for sample in {batch.case: batch for batch in todo}.values():
        check_picklable(sample)
    if scheduler is not None:
        return Dask(scheduler)
    return LocalProcesses(jobs) if executor is None else Given(executor)


def _run(
    todo: list[Batch],
    pool: Pool,
    keep: Store | _Memory,
    progress: Progress,
    total: int,
    check_interrupts: Callable[[], None],
) -> None:
    """Compute what is missing, keep it as it comes, and return all of it."""
    missing = sum(len(batch.seeds) for batch in todo)
    with reported(progress, done=total - missing, total=total) as note:

        def deliver(batch: Batch, done: list[Done]) -> None:
            keep.add(batch.case, done)
            note(len(done), sum(not run.row.ok for run in done))
            check_interrupts()

        def give_up(batch: Batch) -> None:
            reason = f"its worker died {RETRIES + 1} times; out of memory?"
            rows = [failed_row(batch.width, seed, batch.prediction.penalty, LOST, reason) for seed in batch.seeds]
            deliver(batch, [Done(row, None, environment()) for row in rows])

        Loop(iter(todo), run_batch, pool, deliver, give_up, note.say).run()


class _Memory:
    """What `Store` does, without a file, which not every specification can be written to."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._done: list[dict[tuple[int, int], Done]] = [{} for _ in spec.cases]

    def finished(self) -> list[set[tuple[int, int]]]:
        return [set(done) for done in self._done]

    def add(self, case: int, done: Sequence[Done]) -> None:
        self._done[case].update({(run.row.width, run.row.seed): run for run in done})

    def check_in_place(self) -> None:
        pass

    def parts(self, limits: Sequence[Prediction]) -> tuple[Study, ...]:
        """The studies of all cases, whose limits are given."""
        made = []
        for case, limit, done in zip(self._spec.cases, limits, self._done, strict=True):
            rows = tuple(done[pair].row for pair in sorted(done))
            functions = partial(_network, done)
            method = repr(case.method)
            made.append(Study(limit, case.interval, self._spec.loss_tol, rows, case.names, method, functions))
        return tuple(made)


def _network(done: dict[tuple[int, int], Done], width: int, seed: int) -> NetworkFunction | None:
    """The network of one run; None if there is no such run, or it failed."""
    run = done.get((width, seed))
    return None if run is None or run.function is None else unpack(run.function)
