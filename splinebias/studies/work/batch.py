"""The unit of work: some seeds of one case and one width, trained together, compared with the limit, and packed.

Which seeds share a batch is a function of the specification and of nothing else, because the last bits of a network depend
on the batch that it was trained in.
"""

from __future__ import annotations

import math
import platform
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import groupby
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from splinebias import __version__
from splinebias.curvature_penalty.value import penalty
from splinebias.errors import SplinebiasError
from splinebias.functions.compare import compare
from splinebias.functions.compare_on_box import Place
from splinebias.limit.predict import predict
from splinebias.limit.prediction import Prediction
from splinebias.parameterization import MeanField
from splinebias.studies.row import FAILED, Done, Row, failed_row
from splinebias.studies.spec import StudySpec, run_seed
from splinebias.studies.store.packing import NetworkFunction, pack
from splinebias.training.method import TrainingMethod

if TYPE_CHECKING:
    from splinebias.training.train import Training

_COMPUTING = threading.Lock()  # a pool of threads would change thread settings under a running batch


@dataclass(frozen=True, eq=False)
class Batch:
    """Everything some runs depend on; it can be sent to another process.

    Parameters
    ----------
    case : int
        Number of the case in its specification.
    prediction : Prediction
        The limit to compare with; it knows the problem.
    method : TrainingMethod
        How to train.
    width : int
        Number of units.
    seeds : tuple of int
        Replicates.
    spec_seed : int
        The `seed` of the specification.
    interval : tuple of float
        Where to compare; of several inputs a box.
    loss_tol : float
        As in `train`.
    """

    case: int
    prediction: Prediction
    method: TrainingMethod
    width: int
    seeds: tuple[int, ...]
    spec_seed: int
    interval: Place
    loss_tol: float


def together(seeds: Sequence[int], width: int) -> list[tuple[int, ...]]:
    """`seeds`, increasing, in the groups that share a batch: those of equal ``seed // size``, where `width` fixes the size.

    Examples
    --------
    >>> from splinebias.studies.work.batch import together
    >>> together([0, 1, 7, 8, 9], 5000)  # 8 seeds to a batch
    [(0, 1, 7), (8, 9)]
    """
    most_seeds = 32  # more share the overhead of small networks no better
    most_units = 40_000  # some seconds of work, which is what a crash can cost
    size = max(1, min(most_seeds, most_units // width))
    return [tuple(group) for _, group in groupby(seeds, key=lambda seed: seed // size)]


def batches(spec: StudySpec, limits: Sequence[Prediction], done: Sequence[Collection[tuple[int, int]]]) -> Iterator[Batch]:
    """The batches of `spec` that are not done: a batch of every width and case first, then all of them at one pace.

    So an interrupted study has runs of every width, of which it can fit a rate. Where a case has all its widths, the widest
    comes first; what is left for the end are batches of bounded size.

    `limits` and `done`, the pairs (width, seed) to leave out, have one entry per case.
    """
    groups = {width: together(spec.seeds, width) for width in spec.widths}
    order = sorted(
        (rank / len(found), number, -width, rank)
        for width, found in groups.items()
        for number in range(len(spec.cases))
        for rank in range(len(found))
    )
    for _, number, minus, rank in order:
        case, width = spec.cases[number], -minus
        seeds = tuple(seed for seed in groups[width][rank] if (width, seed) not in done[number])
        if seeds:
            yield Batch(number, limits[number], case.method, width, seeds, spec.seed, case.interval, spec.loss_tol)


def run_batch(batch: Batch) -> list[Done]:
    """Train and compare: the same bits in every process of one kind of machine, `seconds` aside.

    A run that raises becomes a row with outcome ``"FAILED"``; if a batch raises, its seeds are run one at a time.
    """
    from splinebias.training.ensemble import (
        train_ensemble,  # and torch, which a process that has others compute does without
    )

    with _COMPUTING, threadpool_limits(limits=1):  # sums of BLAS depend on the number of threads
        return _run(batch, train_ensemble)


def _run(batch: Batch, train: Callable[..., Sequence[Training]]) -> list[Done]:
    try:
        runs = train(
            batch.prediction.problem,
            batch.width,
            [run_seed(seed, batch.width, batch.spec_seed) for seed in batch.seeds],
            method=batch.method,
            loss_tol=batch.loss_tol,
        )
        return [_measured(batch, seed, run) for seed, run in zip(batch.seeds, runs, strict=True)]
    except Exception as error:  # whatever it is, the other runs of the study must go on
        if len(batch.seeds) > 1:
            return [done for seed in batch.seeds for done in _run(replace(batch, seeds=(seed,)), train)]
        reason = f"{type(error).__name__}: {error}"
        row = failed_row(batch.width, batch.seeds[0], batch.prediction.penalty, FAILED, reason)
        return [Done(row, None, environment())]


def _measured(batch: Batch, seed: int, run: Training) -> Done:
    """The row of one network; one that did not start at zero is compared with the limit from its own start.

    Starts of `MeanField` networks vanish with the width: they count among the errors.
    """
    limit = batch.prediction
    if not (run.problem.initialization.starts_at_zero or isinstance(run.problem.parameterization, MeanField)):
        limit = predict(run.problem, start=run.start)
    distance = compare(run.function, limit.function, interval=batch.interval)
    row = Row(
        width=batch.width,
        seed=seed,
        sup=distance.sup,
        l2=distance.l2,
        argmax=distance.argmax if isinstance(distance.argmax, float) else math.nan,  # of several inputs no number
        penalty=limit.penalty,
        loss=run.loss,
        steps=run.steps,
        time=run.time,
        seconds=run.seconds,
        outcome=run.outcome.name,
        network_penalty=_penalty(run),
        passes=int(run.stats.get("passes", 0)),
        reason="" if run.outcome.ok else run.advice,
    )
    assert isinstance(run.function, NetworkFunction)
    return Done(row, pack(run.function), environment())


def _penalty(run: Training) -> float:
    """The penalty of the network; nan where the functional is not defined or cannot be minimized."""
    try:
        return penalty(run.function if run.problem.initialization.starts_at_zero else run.change, run.problem)
    except SplinebiasError:
        return math.nan


@cache
def environment() -> str:
    """What this process computes with."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch"))
    return f"splinebias {__version__}, {versions}, Python {platform.python_version()}, {platform.machine()}"
