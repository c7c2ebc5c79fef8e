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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import real_number, whole_number
from splinebias.errors import Outcome
from splinebias.problem import Problem
from splinebias.training.method import BatchedMethod, Recorder, Run, parts

if TYPE_CHECKING:
    from torch import Tensor

    from splinebias.networks.network import Network
    from splinebias.training.losses import SquaredLoss
    from splinebias.training.mirror_map import BatchMirrorMap

_BLOCK = 256  # mini-batches drawn at once: a call of the generator costs more than a row


@dataclass(frozen=True)
class _Descent(BatchedMethod):
    """What `DescentBatch` runs; subclasses choose the mini-batches and what rate is safe for them."""

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
        import torch

        from splinebias.training.descent.batch import DescentBatch

        runs: list[Run] = []
        with torch.no_grad():
            for part, centred, some in parts(start, mirror):
                size = part.theta.shape[0]
                silent = [Recorder() for _ in range(size)]
                draws = rngs[some] or [np.random.default_rng(j) for j in range(size)]
                runs += DescentBatch(self, part, loss, centred, loss_tol, draws, records[some] or silent).finish()
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
        import torch

        size = loss.y.shape[-1]
        one = np.where(np.arange(size) < self.batch_size, size / self.batch_size, 0.0)
        block = np.tile(one, (_BLOCK, 1))
        while True:
            yield from torch.as_tensor(rng.permuted(block, axis=1)).to(loss.y).unbind()

    def _steps_per_epoch(self, size: int) -> int:
        return math.ceil(size / self.batch_size)
