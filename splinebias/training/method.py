"""What a training method is, what it returns, and how its progress is recorded.

A method is its settings, known without torch, which is imported when networks are moved: whoever hands the training to other
processes does without it.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import Array
from splinebias.errors import Outcome
from splinebias.functions.piecewise import PiecewisePolynomial
from splinebias.problem import Problem

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.losses import SquaredLoss
    from splinebias.training.mirror_map import BatchMirrorMap, MirrorMap

Report = Callable[[int, float, float], None]
"""A progress callback ``report(steps, loss, time)``."""

UNITS_AT_ONCE = 100_000
_SPACING = 1.05  # ratio of successive recorded step numbers: 47 records a decade
_REPORT_EVERY = 0.1  # seconds


@dataclass(frozen=True, eq=False)
class History:
    """The loss along a run, at step numbers spaced logarithmically (0, 1, 2, ..., then 5 % apart, and the last).

    Attributes
    ----------
    steps : Array of int, shape (R,)
        Step numbers.
    loss : Array, shape (R,)
        Loss after that many steps.
    time : Array, shape (R,)
        Training time t = n * (sum of learning rates) by then.
    """

    steps: np.ndarray[tuple[int], np.dtype[np.int64]]
    loss: Array
    time: Array


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A network on its way, kept because a method was asked to.

    Attributes
    ----------
    time : float
        Training time t = n * (sum of learning rates).
    loss : float
        L at that time.
    network : Network
        The network at that time, skip part included.
    """

    time: float
    loss: float
    network: Network

    @cached_property
    def function(self) -> PiecewisePolynomial:
        """The network as the function it is, piecewise linear for two slopes; worked out when first asked for."""
        return self.network.function()


@dataclass(frozen=True, eq=False)
class Run:
    """What a method hands back to `train`.

    Attributes
    ----------
    network : Network
        The final network (of a diverged run: the last one before the loss exploded), skip part included.
    loss : float
        L at that network.
    steps : int
        Steps taken (without those that were taken back).
    time : float
        Training time t = n * (sum of learning rates).
    outcome : Outcome
        How the run ended.
    advice : str
        What to do about it, with numbers where there are some.
    stats : dict
        Named numbers of the method: passes (evaluations of loss and gradient), learning_rate, lambda_max, ...
    snapshots : tuple of Snapshot
        Networks on the way, at the times the method was asked to keep them.
    """

    network: Network
    loss: float
    steps: int
    time: float
    outcome: Outcome
    advice: str
    stats: dict[str, float]
    snapshots: tuple[Snapshot, ...] = ()


class Recorder:
    """Collects a `History` and calls `report`, at most ten times a second, as a method tells it where it is."""

    def __init__(self, report: Report | None = None) -> None:
        self._report = report
        self._rows: list[tuple[int, float, float]] = []
        self._next_step = 0
        self._next_report = -math.inf

    def __call__(self, steps: int, loss: float, t: float) -> None:
        """Note the state after `steps` steps: call it after every step, it is cheap."""
        if steps >= self._next_step:
            self._rows.append((steps, loss, t))
            self._next_step = max(steps + 1, math.ceil(steps * _SPACING))
        if self._report is not None and time.perf_counter() >= self._next_report:
            self._report(steps, loss, t)
            self._next_report = time.perf_counter() + _REPORT_EVERY

    def finish(self, run: Run) -> History:
        """Note the end of the run and return what was collected."""
        last = (run.steps, run.loss, run.time)
        if self._rows and self._rows[-1][0] >= run.steps:
            self._rows.pop()
        self._rows.append(last)
        if self._report is not None:
            self._report(*last)
        steps, loss, t = zip(*self._rows, strict=True)
        return History(np.array(steps, dtype=np.int64), np.array(loss), np.array(t))


class TrainingMethod(ABC):
    """How the parameters of a network are moved to lower its loss.

    A method is a frozen dataclass of its settings; `run` is free of side effects other than calls to `record` and
    draws from `rng`.
    """

    def supports(self, problem: Problem) -> str | None:
        """None if the problem can be taken, else what is missing or wrong, in words; asked before any work."""
        return None

    @abstractmethod
    def run(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: MirrorMap,
        *,
        loss_tol: float,
        rng: np.random.Generator,
        record: Recorder,
    ) -> Run:
        """Train `start`, a single network, until its loss is at most `loss_tol` (absolute, in the units of y squared).

        `record` is called after every step, with step 0 for the start.
        """

    def run_batch(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: BatchMirrorMap,
        *,
        loss_tol: float,
        rngs: Sequence[np.random.Generator] = (),
        records: Sequence[Recorder] = (),
    ) -> list[Run]:
        """Train many networks of one width: here one after the other, in methods that can at once.

        Parameters
        ----------
        start : Network
            B networks, theta of shape (B, 3n + 1), as from ``Network.sample(problem, width, seeds)``.
        loss : SquaredLoss
            Their common loss.
        mirror : MirrorMap or MirrorMaps
            Their mirror map; with a scaled potential its centre has shape (B, 3n + 1).
        loss_tol : float
            Loss to reach.
        rngs : sequence of numpy.random.Generator
            One per network, or none at all for methods that draw nothing.
        records : sequence of Recorder
            One per network, or none at all.

        Returns
        -------
        list of Run
            As `run` would give for each network alone, up to rounding.
        """
        return [
            self.run(
                start[j],
                loss,
                mirror.of_network(j),
                loss_tol=loss_tol,
                rng=rngs[j] if rngs else np.random.default_rng(j),
                record=records[j] if records else Recorder(),
            )
            for j in range(start.theta.shape[0])
        ]


class BatchedMethod(TrainingMethod):
    """A method that trains many networks at once; one alone is a batch of one."""

    def run(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: MirrorMap,
        *,
        loss_tol: float,
        rng: np.random.Generator,
        record: Recorder,
    ) -> Run:
        from splinebias.networks.network import Network

        batch = Network(start.theta[None], start.activation, start.skip[None])
        return self.run_batch(batch, loss, mirror.as_batch(), loss_tol=loss_tol, rngs=[rng], records=[record])[0]

    @abstractmethod
    def run_batch(
        self,
        start: Network,
        loss: SquaredLoss,
        mirror: BatchMirrorMap,
        *,
        loss_tol: float,
        rngs: Sequence[np.random.Generator] = (),
        records: Sequence[Recorder] = (),
    ) -> list[Run]: ...


def parts(start: Network, mirror: BatchMirrorMap) -> Iterator[tuple[Network, BatchMirrorMap, slice]]:
    """A batch in pieces of about 100,000 units, each with its mirror map and its place in the batch.

    Larger pieces were not faster when measured, and take more memory.
    """
    from splinebias.networks.network import Network

    size = max(1, UNITS_AT_ONCE // start.width)
    for first in range(0, start.theta.shape[0], size):
        some = slice(first, first + size)
        yield Network(start.theta[some], start.activation, start.skip[some]), mirror.of_networks(some), some
