"""train_ensemble(problem, width, seeds): many networks of one width in one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from splinebias._check import real_number
from splinebias.dynamics.base import Recorder, TrainingMethod
from splinebias.dynamics.mirror import MirrorMap
from splinebias.dynamics.objective import SquaredLoss
from splinebias.errors import DataError
from splinebias.network import Network
from splinebias.problem import Problem
from splinebias.train import Training, checked_method, one_thread


def train_ensemble(
    problem: Problem,
    width: int,
    seeds: Sequence[int],
    *,
    method: TrainingMethod | None = None,
    loss_tol: float = 1e-12,
    dtype: Any = "float64",
    device: Any = "cpu",
) -> tuple[Training, ...]:
    r"""Train one network per seed, all at once: what `train` gives for each of them, many times faster.

    Small networks spend their time in the overhead of single operations, which a batch shares. Every network still takes
    steps of its own. Memory does not grow with the number of seeds, results aside: 100,000 units are under way at once.

    Parameters
    ----------
    problem : Problem
        What to fit, from which random starts, with which mirror potential.
    width : int
        The number n of units, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        One network each; distinct, >= 0.
    method, loss_tol, dtype, device
        As in `train`. Methods of your own are run one network after the other unless they define `run_batch`.

    Returns
    -------
    tuple of Training
        In the order of `seeds`; up to rounding those of ``train(problem, width, seed)``, which moves the times at which
        breakpoints are seen to reach a sample, and with them the function by about the tolerance of the method. `seconds`
        is the wall time of the whole call divided by the number of networks, ``stats["passes"]`` those of the batch while
        the network was part of it.

    Raises
    ------
    DataError, CapabilityError
        As `train`; for seeds that repeat.

    Notes
    -----
    Hypotheses of the infinite-width theorems, and threads: as in `train`.

    Examples
    --------
    >>> import scipy.stats as st, splinebias as sb
    >>> data = sb.Dataset([-1, 0, 1], [0, 1, 0])
    >>> problem = sb.Problem(data, sb.Initialization.rademacher(st.uniform(-2, 4)))
    >>> runs = sb.train_ensemble(problem, width=200, seeds=range(10), loss_tol=1e-8)
    >>> len(runs), {run.outcome.name for run in runs}
    (10, {'CONVERGED'})
    """
    method = checked_method(problem, method)
    loss_tol = real_number(loss_tol, "loss_tol", above=0, fix="rounding keeps the loss above 0; take e.g. 1e-12")
    numbers = _distinct(seeds)
    start = Network.sample(problem, width, numbers, dtype=dtype, device=device)
    began, records = time.perf_counter(), [Recorder() for _ in numbers]
    with one_thread():
        runs = method.run_batch(
            start,
            SquaredLoss.of(problem, start.theta),
            MirrorMap.of(problem, start.width, start.theta),
            loss_tol=loss_tol,
            rngs=[np.random.default_rng([seed, 1]) for seed in numbers],  # as in `train`
            records=records,
        )
    each = (time.perf_counter() - began) / len(numbers)
    return tuple(
        Training.of(problem, seed, run, record.finish(run), each)
        for seed, run, record in zip(numbers, runs, records, strict=True)
    )


def _distinct(seeds: Sequence[int]) -> list[int]:
    """`seeds` as a list of distinct values, or a DataError; that they are whole numbers is up to `Network.sample`."""
    if isinstance(seeds, str | bytes) or not hasattr(seeds, "__iter__"):
        raise DataError(f"`seeds` must be a sequence of whole numbers, got {seeds!r}; use e.g. range(100)")
    numbers = list(seeds)
    if not numbers:
        raise DataError("`seeds` must hold at least one seed, got none; use e.g. range(100)")
    if len(set(map(str, numbers))) < len(numbers):
        raise DataError("`seeds` must be distinct: equal seeds are equal networks; use e.g. range(100)")
    return numbers
