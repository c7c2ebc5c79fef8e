"""A batch of descents under way: the loop of `MirrorDescent` and `StochasticMirrorDescent` around `DescentStep`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from splinebias.errors import Outcome
from splinebias.networks.network import Network
from splinebias.training.descent.learning_rate import LearningRate, StoppingRule
from splinebias.training.descent.step import DescentStep
from splinebias.training.losses import SquaredLoss
from splinebias.training.method import Recorder, Run
from splinebias.training.mirror_map import BatchMirrorMap


class DescentMethod(Protocol):
    """What a descent is told by its method."""

    @property
    def learning_rate(self) -> float | None:
        """The constant rate; None: automatic."""

    @property
    def max_steps(self) -> int:
        """Most steps to take."""

    def _sharpness(self, loss: SquaredLoss, kernel: Tensor) -> float:
        """Number whose inverse is a safe learning rate, from the tangent kernel at the data, shape (M, M)."""

    def _batches(self, loss: SquaredLoss, rng: np.random.Generator) -> Iterator[Tensor] | None:
        """What multiplies the residuals at each step, shape (M,); None: ones, so that small steps lower the loss."""

    def _steps_per_epoch(self, size: int) -> int:
        """Steps that see `size` points once."""

    def _explain(self, outcome: Outcome, stats: dict[str, float], *, sharpness: float, excess: float) -> tuple[Outcome, str]:
        """The outcome and its advice with numbers, from the sharpness at the start and the final loss over its tolerance."""


class _Progress(NamedTuple):
    """One network of a batch on its way."""

    number: int
    """Its number in the whole batch"""
    rule: StoppingRule
    rate: LearningRate
    record: Recorder
    batches: Iterator[Tensor] | None
    sharpness: float
    """At the start"""


class DescentBatch:
    """Networks of one width on their way, each with its own rate; one that is done leaves the batch."""

    def __init__(
        self,
        method: DescentMethod,
        start: Network,
        loss: SquaredLoss,
        mirror: BatchMirrorMap,
        loss_tol: float,
        rngs: Sequence[np.random.Generator],
        records: Sequence[Recorder],
    ) -> None:
        self._method, self._loss_tol = method, loss_tol
        self._step = DescentStep(start.activation, loss, mirror)
        self._state = self._step.at(mirror.to_dual(start.theta))
        patience = method._steps_per_epoch(loss.y.shape[-1])
        kernels = self._step.kernel(self._state)
        self._rows: list[_Progress] = []
        for number, (value, kernel) in enumerate(zip(self._state.loss.tolist(), kernels, strict=True)):
            rule = StoppingRule(loss_tol=loss_tol, max_steps=method.max_steps, patience=patience, start=value)
            batches = method._batches(loss, rngs[number])
            rate = LearningRate(method.learning_rate, noisy=batches is not None)
            sharpness = method._sharpness(loss, kernel)
            self._rows.append(_Progress(number, rule, rate, records[number], batches, sharpness))
            records[number](0, value, 0.0)

    def finish(self) -> list[Run]:
        """Take steps until every network is done."""
        runs: dict[int, Run] = {}
        outcomes = [row.rule.outcome() for row in self._rows]
        while True:
            if any(outcomes):
                runs |= self._retire(outcomes)
            if not self._rows:
                return [runs[number] for number in sorted(runs)]
            outcomes = self._advance()

    def _advance(self) -> list[Outcome | None]:
        """One step of every network, or none where it would raise the loss; how each has ended, or None."""
        rows, step, old = self._rows, self._step, self._state
        if any(row.rate.due for row in rows):
            kernels = step.kernel(old)
            for row, kernel in zip(rows, kernels, strict=True):
                if row.rate.due:
                    row.rate.update(self._method._sharpness(step.loss, kernel))
        etas = [row.rate.value for row in rows]
        draws = [next(row.batches) for row in rows if row.batches is not None]
        new = step(
            old,
            torch.tensor(etas, dtype=old.dual.dtype, device=old.dual.device)[:, None],
            torch.stack(draws) if draws else None,
        )
        outcomes, taken = [], []
        for row, eta, loss in zip(rows, etas, new.loss.tolist(), strict=True):
            good = row.rate.judge(row.rule.loss, loss)
            exploded = good and row.rule.exploded(loss)
            if not good:
                row.rule.reject()
            elif not exploded:
                row.rule.accept(loss, step.mirror.clock * eta)
                row.record(row.rule.steps, row.rule.loss, row.rule.time)
            taken.append(good and not exploded)
            outcomes.append(Outcome.DIVERGED if exploded else row.rule.outcome())
        if all(taken):
            self._state = new
        elif any(taken):
            self._state = step.at(torch.where(torch.tensor(taken, device=old.dual.device)[:, None], new.dual, old.dual))
        return outcomes

    def _retire(self, outcomes: list[Outcome | None]) -> dict[int, Run]:
        """The runs of the networks that are done, which leave the batch."""
        kernels, skips = self._step.kernel(self._state), self._step.loss.skip(self._state.linear.value)
        runs = {}
        for j, (row, outcome) in enumerate(zip(self._rows, outcomes, strict=True)):
            if outcome is not None:
                network = Network(self._state.theta[j].clone(), self._step.activation, skips[j].clone())
                runs[row.number] = self._run(row, outcome, network, kernels[j])
        kept = [outcome is None for outcome in outcomes]
        self._rows = [row for row, stays in zip(self._rows, kept, strict=True) if stays]
        if self._rows:
            mask = torch.tensor(kept, device=self._state.dual.device)
            self._step = replace(self._step, mirror=self._step.mirror.of_networks(mask))
            self._state = self._step.at(self._state.dual[mask])
        return runs

    def _run(self, row: _Progress, outcome: Outcome, network: Network, kernel: Tensor) -> Run:
        rule, (slowest, fastest) = row.rule, self._step.loss.decay_range(kernel)
        stats = {"passes": rule.passes, "learning_rate": row.rate.value, "lambda_max": fastest, "lambda_min": slowest}
        excess = rule.loss / self._loss_tol
        outcome, advice = self._method._explain(outcome, stats, sharpness=row.sharpness, excess=excess)
        return Run(network, rule.loss, rule.steps, rule.time, outcome, advice, stats)
