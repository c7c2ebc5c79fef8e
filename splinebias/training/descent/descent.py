r"""Mirror descent, full-batch and stochastic: small steps in dual coordinates.

.. math:: z^+ = z - \eta\, J(\theta)^T (\omega r), \qquad \theta^+ = (\nabla\Phi)^{-1}(z^+), \qquad
          r = f(x) - y, \quad \omega_i = m_i / \textstyle\sum_j m_j,

a true dual step (theory section 1), not a primal step divided by :math:`\Phi''`; with `Quadratic` it is gradient descent.
All parameters (w, b, a, d) are trained. With a free affine part the skip parameters are solved exactly at every step, the
limit of an infinitely fast skip connection (see `SquaredLoss`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import real_number, whole_number
from splinebias.problem import Problem
from splinebias.training.method import Recorder, Run, TrainingMethod

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field


@dataclass(frozen=True)
class _Descent(TrainingMethod):
    """What descents with full batches and with mini-batches share."""

    learning_rate: float | None = None
    max_steps: int = field(default=1_000_000, kw_only=True)

    def __post_init__(self) -> None:
        if self.learning_rate is not None:
            fix = "leave it None to take it from the spectrum of the tangent kernel"
            real_number(self.learning_rate, "learning_rate", above=0, fix=fix)
        whole_number(self.max_steps, "max_steps", at_least=1)

    @property
    def _batch_size(self) -> int | None:
        """Points that a step sees; None: all, so that small steps lower the loss."""
        return None

    def run(
        self,
        start: Network,
        field: Field,
        *,
        loss_tol: float,
        rngs: Sequence[np.random.Generator],
        records: Sequence[Recorder],
    ) -> list[Run]:
        import torch

        from splinebias.training.descent.batch import DescentBatch
        from splinebias.training.stopping import DESCENT_STEPS, Limits

        size = self._batch_size
        epoch = 1 if size is None else math.ceil(field.loss.y.shape[-1] / size)  # steps that see all points
        limits = Limits(loss_tol, self.max_steps, 1000 * epoch, DESCENT_STEPS)
        with torch.no_grad():
            return DescentBatch(start, field, self.learning_rate, size, limits, rngs, records).finish()


@dataclass(frozen=True)
class MirrorDescent(_Descent):
    r"""Full-batch mirror descent with the step at the top of this module; gradient descent if the potential is `Quadratic`.

    Parameters
    ----------
    learning_rate : float, optional
        The :math:`\eta` above, constant. None: :math:`1/\lambda_{\max}` of the tangent kernel
        :math:`W^{1/2} J D J^T W^{1/2}`, :math:`W = \mathrm{diag}(\omega)`, :math:`D = 1/\Phi''(\theta)`: half of what linear
        stability allows. As D changes along the run, that is measured again after 1, 2, 4, ... up to 1024 steps, sooner
        if it changes or the loss rises; a step that would raise it by over 10 % is taken back (see `LearningRate`).
    max_steps : int
        Most steps to take.

    Notes
    -----
    Ends with CONVERGED (loss at most `loss_tol`), MAX_STEPS (the advice estimates how many more), DIVERGED (numbers
    overflowed, or the loss grew 1e4-fold or stalled at a fixed rate above :math:`2/\lambda_{\max}`, which the advice states;
    the network is the last one below that) or STALLED (the smallest loss fell by less than a relative 1e-12 in 1000 steps).
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

    @property
    def _batch_size(self) -> int:
        return self.batch_size
