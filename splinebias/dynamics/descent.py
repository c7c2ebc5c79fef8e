r"""Mirror descent, full-batch and stochastic: small steps in dual coordinates.

.. math:: z^+ = z - \eta\, J(\theta)^T (\omega r), \qquad \theta^+ = (\nabla\Phi)^{-1}(z^+), \qquad
          r = f(x) - y, \quad \omega_i = m_i / \textstyle\sum_j m_j,

a true dual step (theory section 1), not a primal step divided by :math:`\Phi''`; with `Quadratic` it is gradient descent.
All parameters (w, b, a, d) are trained. With a free affine part the skip parameters are solved exactly at every step, the
limit of an infinitely fast skip connection (see `SquaredLoss`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from splinebias._check import real_number, whole_number
from splinebias.dynamics._descent_step import DescentStep
from splinebias.dynamics.base import BatchedMethod, Recorder, Run, parts
from splinebias.dynamics.control import LearningRate, StoppingRule
from splinebias.dynamics.mirror import BatchMirrorMap
from splinebias.dynamics.objective import SquaredLoss
from splinebias.errors import Outcome
from splinebias.network import Network
from splinebias.problem import Problem

_BLOCK = 256  # mini-batches drawn at once: a call of the generator costs more than a row


@dataclass(frozen=True)
class _Descent(BatchedMethod):
    """The loop around `DescentStep`; subclasses choose the mini-batches and what rate is safe for them."""

    learning_rate: float | None = None
    max_steps: int = field(default=1_000_000, kw_only=True)

    def __post_init__(self) -> None:
        if self.learning_rate is not None:
            fix = "leave it None to take it from the spectrum of the tangent kernel"
            real_number(self.learning_rate, "learning_rate", above=0, fix=fix)
        whole_number(self.max_steps, "max_steps", at_least=1)

    def _sharpness(self, loss: SquaredLoss, kernel: Tensor) -> float:
        """Number whose inverse is a safe learning rate, from the tangent kernel at the data, shape (M, M)."""
        return loss.decay_range(kernel)[1]

    def _batches(self, loss: SquaredLoss, rng: np.random.Generator) -> Iterator[Tensor] | None:
        """What multiplies the residuals at each step, shape (M,); None: ones, so that small steps lower the loss."""
        return None

    def _steps_per_epoch(self, size: int) -> int:
        """Steps that see `size` points once."""
        return 1

    @torch.no_grad()
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
        runs: list[Run] = []
        for part, centred, some in parts(start, mirror):
            size = part.theta.shape[0]
            silent = [Recorder() for _ in range(size)]
            draws = rngs[some] or [np.random.default_rng(j) for j in range(size)]
            runs += _Batch(self, part, loss, centred, loss_tol, draws, records[some] or silent).finish()
        return runs

    def _explain(self, outcome: Outcome, stats: dict[str, float], *, sharpness: float, excess: float) -> tuple[Outcome, str]:
        """The outcome and its advice with numbers, from the sharpness at the start and the final loss over its tolerance."""
        stable = 2 / sharpness if sharpness > 0 else math.inf
        unstable = self.learning_rate is not None and self.learning_rate > stable
        if outcome is Outcome.DIVERGED or (outcome is Outcome.STALLED and unstable):
            advice = f"the loss did not settle at learning_rate = {stats['learning_rate']:.3g}: use one below {stable:.3g}"
            return Outcome.DIVERGED, advice
        speed = 2 * stats["learning_rate"] * stats["lambda_min"]
        if outcome is Outcome.MAX_STEPS and speed > 0:
            return outcome, f"{outcome.value} (at this rate about {math.log(excess) / speed:.1e} more steps are needed)"
        return outcome, outcome.value


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


class _Batch:
    """Networks of one width on their way, each with its own rate; one that is done leaves the batch."""

    def __init__(
        self,
        method: _Descent,
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


@dataclass(frozen=True)
class MirrorDescent(_Descent):
    r"""Full-batch mirror descent with the step at the top of this module; gradient descent if the potential is `Quadratic`.

    Parameters
    ----------
    learning_rate : float, optional
        The :math:`\eta` above, constant. None: :math:`1/\lambda_{\max}` of the tangent kernel
        :math:`W^{1/2} J D J^T W^{1/2}`, :math:`W = \mathrm{diag}(\omega)`, :math:`D = 1/\Phi''(\theta)`: half of what linear
        stability allows. As D changes along the run, that is measured again after 1, 2, 4, ... up to 1024 steps, sooner
        if it changes or the loss rises; a step that would raise it by over 10 % is taken back (see `control.LearningRate`).
    max_steps : int
        Most steps to take.

    Notes
    -----
    Ends with CONVERGED (loss at most `loss_tol`), MAX_STEPS (the advice estimates how many more), DIVERGED (the loss grew
    1e4-fold, or stalled at a fixed rate above :math:`2/\lambda_{\max}`, which the advice states; the network is the last one
    below that) or STALLED (the smallest loss fell by less than a relative 1e-12 in 1000 steps).
    Hypotheses of the infinite-width limit, not checked: a large width, and :math:`\eta = O(1/n)` (true of None).

    References
    ----------
    Liang & Montúfar, ICLR 2025 (mirror descent); Jin & Montúfar, JMLR 24(137), 2023 (gradient descent).
    """


@dataclass(frozen=True)
class StochasticMirrorDescent(_Descent):
    r"""Mini-batch mirror descent: the gradient of each step comes from B of the M points, drawn without replacement.

    Its mean is the full gradient: residuals in the batch count M/B times. B = M is `MirrorDescent` at the same rate.
    The noise vanishes together with the loss, and the limit function is that of full batches.

    Parameters
    ----------
    learning_rate : float, optional
        The :math:`\eta` of the step, constant. None: the inverse of
        :math:`\min(\lambda_{\max} M/B,\; M \max_i \omega_i K_{ii})`, which bounds the curvature of every batch; measured
        again as in `MirrorDescent`, without taking steps back.
    batch_size : int
        The B above, between 1 and M.
    max_steps : int
        Most steps to take.

    Notes
    -----
    The loss is evaluated on all points at every step: data on the line are few, and it makes the end exact. With a free
    affine part the skip parameters are solved from all points too. STALLED is judged every 1000 M/B steps.

    References
    ----------
    Jin & Montúfar, JMLR 24(137), 2023 (same limit as gradient descent).
    """

    batch_size: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number(self.batch_size, "batch_size", at_least=1)

    def supports(self, problem: Problem) -> str | None:
        if self.batch_size <= problem.data.size:
            return None
        return f"`batch_size` must be at most the number of points, got {self.batch_size} for {problem.data.size} points"

    def _sharpness(self, loss: SquaredLoss, kernel: Tensor) -> float:
        size = loss.y.shape[-1]
        single = size * float((loss.weights * kernel.diagonal()).max())
        return min(loss.decay_range(kernel)[1] * size / self.batch_size, single)

    def _batches(self, loss: SquaredLoss, rng: np.random.Generator) -> Iterator[Tensor]:
        size = loss.y.shape[-1]
        one = np.where(np.arange(size) < self.batch_size, size / self.batch_size, 0.0)
        block = np.tile(one, (_BLOCK, 1))
        while True:
            yield from torch.as_tensor(rng.permuted(block, axis=1)).to(loss.y).unbind()

    def _steps_per_epoch(self, size: int) -> int:
        return math.ceil(size / self.batch_size)
