"""A batch of descents under way, and the step that it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from splinebias.learning_rates import Rates
from splinebias.networks.network import Network
from splinebias.training.batch import Batch
from splinebias.training.descent.learning_rate import LearningRate, sharpness
from splinebias.training.descent.momentum import Momentum
from splinebias.training.field import Field, State
from splinebias.training.losses import SquaredLoss
from splinebias.training.method import Recorder
from splinebias.training.stopping import Limits, steps_to_go


def descend(state: State, learning_rate: float | Tensor, emphasis: Tensor | None = None) -> State:
    """One step of `descent` as a pure function of states; everything broadcasts over a batch of networks.

    Parameters
    ----------
    state : State
        Where it starts.
    learning_rate : float or Tensor, shape (..., 1)
        Its size.
    emphasis : Tensor, shape (..., M), optional
        What multiplies the residuals: a random mini-batch. None: ones.
    """
    return state.field.at(state.dual - learning_rate * gradient(state, emphasis))


def gradient(state: State, emphasis: Tensor | None = None) -> Tensor:
    """The gradient of the loss, shape (..., P), with residuals times `emphasis` if there is one; 0 if frozen."""
    cotangent = state.field.loss.weights * state.residual
    return state.field.moving(state.linear.vjp(cotangent if emphasis is None else cotangent * emphasis))


def mini_batches(loss: SquaredLoss, batch_size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """What multiplies the residuals at each step, shape (M,), with mean 1: M/B at B points drawn without replacement."""
    size = loss.y.shape[-1]
    one = np.where(np.arange(size) < batch_size, size / batch_size, 0.0)
    block = np.tile(one, (256, 1))  # drawn at once: a call of the generator costs more than a row
    while True:
        yield from torch.as_tensor(rng.permuted(block, axis=1)).to(loss.y).unbind()


class DescentBatch(Batch):
    """Descents of one width under way, each with its own rate.

    Parameters
    ----------
    start : Network
        The B networks.
    field : Field
        What moves them.
    learning_rate : float, tuple of float, callable or None
        The constant rate, or that of every step; None: automatic.
    momentum : Momentum
        What is added of gradients before.
    batch_size : int or None
        Points of a mini-batch; None: all, so that small steps lower the loss.
    limits : Limits
        When to stop.
    rngs : sequence of numpy.random.Generator
        One per network, which draw the mini-batches.
    records : sequence of Recorder
        One per network.
    """

    def __init__(
        self,
        start: Network,
        field: Field,
        learning_rate: Rates | None,
        momentum: Momentum,
        batch_size: int | None,
        limits: Limits,
        rngs: Sequence[np.random.Generator],
        records: Sequence[Recorder],
    ) -> None:
        state = field.at(field.mirror.to_dual(start.theta))
        super().__init__(state, limits, records)
        self._batch_size, noisy = batch_size, batch_size is not None or momentum.decay > 0
        self._momentum = momentum
        self._velocity: Tensor | None = None  # before the first step
        self._draws = [mini_batches(field.loss, batch_size, rng) for rng in rngs] if batch_size is not None else None
        self._rates = [LearningRate(learning_rate, noisy=noisy) for _ in rngs]
        self._share = (
            1.0 if batch_size is None else field.loss.y.shape[-1] / batch_size
        )  # a residual counts at most so often
        self._fixed, self._stable = learning_rate, [math.inf] * len(rngs)

    def _watch(self, at: Sequence[int]) -> None:
        """Note whether the fixed rate is stable for networks number `at` of those under way."""
        found = sharpness(self._state.field.loss, self._state.curved_kernel[at], self._batch_size).tolist()
        for row, sharp in zip((self._rows[j] for j in at), found, strict=True):
            self._stable[row.number] = self._momentum.stable(sharp) if sharp > 0 else math.inf
            row.unstable = self._fixed is not None and self._rates[row.number].value > self._stable[row.number]

    def _advance(self) -> None:
        # a fixed rate after 0, 1, 2, 4, 8, ... steps: features move, and the kernel with them; an automatic one at the start
        powers = [not row.steps & (row.steps - 1) and (self._fixed is not None or not row.steps) for row in self._rows]
        scheduled = self._fixed is not None and not isinstance(self._fixed, float)  # a rate that is too large may fall
        if watched := [j for j, row in enumerate(self._rows) if powers[j] and (scheduled or not row.unstable)]:
            self._watch(watched)
        state, rates = self._state, [self._rates[row.number] for row in self._rows]
        if due := [j for j, rate in enumerate(rates) if rate.due]:
            found = sharpness(state.field.loss, state.curved_kernel[due], self._batch_size) + self._share * state.drive[due]
            for j, value in zip(due, found.tolist(), strict=True):
                rates[j].update(value)
        h = [rate.value for rate in rates]
        draws = torch.stack([next(self._draws[row.number]) for row in self._rows]) if self._draws is not None else None
        push, self._velocity = self._momentum.step(gradient(state, draws), self._velocity)
        new = state.field.at(state.dual - torch.tensor(h, dtype=push.dtype, device=push.device)[:, None] * push)
        steps = zip(rates, self._rows, new.loss.tolist(), strict=True)
        times = [self._momentum.scale * rate for rate in h]
        self._move([rate.judge(row.loss, loss) for rate, row, loss in steps], times, new)

    def _keep(self, kept: Sequence[int]) -> None:
        super()._keep(kept)
        if self._velocity is not None:
            self._velocity = self._velocity[list(kept)]

    def _stats(self, ended: Sequence[int]) -> list[dict[str, float]]:
        slowest, fastest = self._state.field.loss.decay_range(self._state.curved_kernel)
        return [
            {
                "passes": float(self._rows[j].steps + self._rows[j].rejected),
                "learning_rate": self._rates[self._rows[j].number].latest,
                "lambda_max": float(fastest[j]),
                "lambda_min": float(slowest[j]),
            }
            for j in ended
        ]

    def _numbers(self, j: int, stats: Mapping[str, float]) -> Mapping[str, object]:
        row, speed = self._rows[j], 2 * self._momentum.scale * stats["learning_rate"] * stats["lambda_min"]
        more = "" if self._limits.labels else steps_to_go(row.loss, self._limits.loss_tol, speed)
        return {"stable": self._stable[row.number], "max_steps": self._limits.max_steps, "more": more}
