"""train_ensemble(problem, width, seeds): many networks of one width in one run, also with several potentials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from splinebias._arguments import entry
from splinebias._array import Array
from splinebias._result import Drawn, frame_of
from splinebias.errors import DataError
from splinebias.loss import SQUARED, Loss
from splinebias.networks.network import Network
from splinebias.potential import Potential, Scaled
from splinebias.problem import Problem
from splinebias.training.default import default_method
from splinebias.training.method import TrainingMethod, checked_method, checked_trainable, checked_width
from splinebias.training.train import Training, checked_loss_tol, trained


class Ensemble(tuple[Training, ...], Drawn):
    r"""Networks of one width that were trained at once: a tuple of `Training` that draws itself and is a table, too."""

    def __call__(self, x: Any, nu: int = 0) -> Array:
        r"""Derivative number `nu` of every network at `x`, shape (number of networks, \*x.shape)."""
        return np.stack([run(x, nu) for run in self])

    def to_frame(self) -> Any:
        """A row per network, as a pandas DataFrame: potential, width, seed, how the run ended, and what it cost.

        Raises
        ------
        CapabilityError
            If pandas is not installed.
        """
        columns: dict[str, list[Any]] = {"potential": [str(run.problem.potential) for run in self]}
        for name in ("width", "seed", "loss", "steps", "time", "seconds"):
            columns[name] = [getattr(run, name) for run in self]
        return frame_of(columns | {"outcome": [run.outcome.name for run in self], "advice": [run.advice for run in self]})

    def __repr__(self) -> str:
        if not self:
            return "Ensemble(no networks)"
        ended = ", ".join(f"{count} {name}" for name, count in Counter(run.outcome.name for run in self).items())
        losses = [run.loss for run in self]
        return (
            f"Ensemble({len(self)} networks of width {self[0].width}; {self[0].problem.describe()}: loss "
            f"{min(losses):.2e} to {max(losses):.2e}, {ended})"
        )


def train_ensemble(
    problem: Problem,
    width: int,
    seeds: Sequence[int],
    *,
    potentials: Sequence[Potential | Scaled] | None = None,
    method: TrainingMethod | None = None,
    loss: Loss = SQUARED,
    trainable: str | Iterable[str] = "all",
    loss_tol: float | None = None,
    dtype: Any = "float64",
    device: Any = "cpu",
) -> Ensemble:
    r"""Train one network per seed, or per potential and seed, all at once: what `train` gives for each, many times faster.

    Small networks spend their time in the overhead of single operations, which a batch shares. Every network still takes
    steps of its own. Memory does not grow with their number, results aside: 100,000 units are under way at once.

    Parameters
    ----------
    problem : Problem
        What to fit, from which random starts, with which mirror potential.
    width : int
        The number n of units, >= 1 (even for antisymmetric pairs).
    seeds : sequence of int
        One network each; distinct, >= 0.
    potentials : sequence of Potential or Scaled, optional
        Mirror potentials, distinct, scaled or not; they take the place of ``problem.potential``. Networks with the same
        seed start from the same parameters. None: that of the problem.
    method, loss, trainable, loss_tol, dtype, device
        As in `train`.

    Returns
    -------
    Ensemble
        A tuple of `Training`, in the order of `seeds`, for the first potential, then for the second, ...: number
        ``i * len(seeds) + j`` has ``seeds[j]`` and ``potentials[i]``, which is that of its `problem`. Up to rounding
        those of ``train(problem, width, seed)``, which moves the times at which breakpoints are seen to reach a sample,
        and with them the function by about the tolerance of the method. `seconds` is the wall time of the whole call
        divided by the number of networks, ``stats["passes"]`` those of the batch while the network was part of it.

    Raises
    ------
    DataError, CapabilityError
        As `train`, for every potential; for seeds or potentials that repeat.

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
    >>> scaled = [sb.Scaled(sb.Quadratic()), sb.Scaled(sb.Hypentropy(0.1))]
    >>> runs = sb.train_ensemble(problem, width=200, seeds=range(3), potentials=scaled, loss_tol=1e-8)
    >>> [(run.problem.phi, run.seed) for run in runs[2:4]]
    [(Quadratic(), 2), (Hypentropy(beta=0.1), 0)]
    """
    problems = [problem] if potentials is None else _with_potentials(problem, potentials)
    moves = checked_trainable(trainable)
    method = default_method(*problems, loss=loss, trainable=moves) if method is None else method
    for each in problems:
        checked_method(each, method, loss, moves)
        width = checked_width(each, method, width)
    loss_tol = checked_loss_tol(loss_tol, problems[0], loss)
    numbers = _distinct(seeds)
    start = Network.sample(problem, width, numbers, dtype=dtype, device=device)
    return Ensemble(trained(problems, numbers, start, method, loss_tol, None, loss, moves))


def _with_potentials(problem: Problem, potentials: Sequence[Potential | Scaled]) -> list[Problem]:
    """`problem` with each of `potentials` in turn, or a DataError."""
    if not isinstance(problem, Problem):
        return [problem]  # refused by `checked_method`
    fix = "use e.g. [sb.Quadratic(), sb.Scaled(sb.Hypentropy(0.1))]"
    if isinstance(potentials, str | bytes) or not isinstance(potentials, Iterable):
        raise DataError(f"`potentials` must be a sequence of potentials, got {potentials!r}; {fix}")
    problems: list[Problem] = []
    for potential in potentials:
        if any(potential == other.potential for other in problems):
            raise DataError(f"`potentials` must be distinct, got {potential!r} twice; equal potentials are equal networks")
        problems.append(replace(problem, potential=potential))
    if not problems:
        raise DataError(f"`potentials` must hold at least one potential, got none; {fix}")
    return problems


def _distinct(seeds: Sequence[int]) -> list[int]:
    """`seeds` as a list of distinct values, or a DataError; that they are whole numbers is up to `Network.sample`."""
    if isinstance(seeds, str | bytes) or not hasattr(seeds, "__iter__"):
        raise DataError(f"`seeds` must be a sequence of whole numbers, got {seeds!r}; use e.g. range(100)")
    numbers: list[int] = [int(seed) if isinstance(seed, float) and seed.is_integer() else seed for seed in map(entry, seeds)]
    if not numbers:
        raise DataError("`seeds` must hold at least one seed, got none; use e.g. range(100)")
    if len(set(map(str, numbers))) < len(numbers):
        raise DataError("`seeds` must be distinct: equal seeds are equal networks; use e.g. range(100)")
    return numbers
