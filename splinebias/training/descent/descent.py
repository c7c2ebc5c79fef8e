r"""Mirror descent, full-batch and stochastic: small steps in dual coordinates.

.. math:: z^+ = z - \eta\, J(\theta)^T (\omega r), \qquad \theta^+ = (\nabla\Phi)^{-1}(z^+), \qquad
          r = f(x) - y, \quad \omega_i = m_i / \textstyle\sum_j m_j,

a true dual step (theory section 1), not a primal step divided by :math:`\Phi''`; with `Quadratic` it is gradient descent.
All parameters (w, b, a, d) are trained. With a free affine part the skip parameters are solved exactly at every step, the
limit of an infinitely fast skip connection (see `SquaredLoss`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from splinebias._arguments import keep_plain, known_keywords, true_or_false, whole_number
from splinebias.errors import DataError
from splinebias.learning_rates import checked_rates, momentum_scale
from splinebias.loss import Loss
from splinebias.problem import Problem
from splinebias.training.method import Recorder, Run, TrainingMethod

if TYPE_CHECKING:
    from splinebias.networks.network import Network
    from splinebias.training.field import Field


@dataclass(frozen=True)
class _Descent(TrainingMethod):
    """What descents with full batches and with mini-batches share."""

    learning_rate: float | Sequence[float] | Callable[[int], float] | None = None
    max_steps: int = field(default=1_000_000, kw_only=True)
    momentum: float = field(default=0.0, kw_only=True)
    dampening: float = field(default=0.0, kw_only=True)
    nesterov: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.learning_rate is not None:
            fix = "leave it None to take it from the spectrum of the tangent kernel"
            object.__setattr__(self, "learning_rate", checked_rates(self.learning_rate, fix=fix))
        whole_number(self.max_steps, "max_steps", at_least=1)
        keep_plain(self, "max_steps")
        momentum_scale(self.momentum, self.dampening)
        true_or_false(self.nesterov, "nesterov")
        if self.dampening and not self.momentum:
            raise DataError(
                f"`dampening` is of gradients that join a momentum, got {self.dampening!r} without; leave it out"
            )
        if self.nesterov and (self.dampening or not self.momentum):
            raise DataError(
                f"`nesterov` needs a momentum > 0 and no dampening, got {self.momentum!r} and {self.dampening!r}; "
                "leave it out"
            )

    @property
    def _batch_size(self) -> int | None:
        """Points that a step sees; None: all, so that small steps lower the loss."""
        return None

    def trains(self, problem: Problem, loss: Loss, trainable: Sequence[str]) -> str | None:
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
        from splinebias.training.descent.momentum import Momentum
        from splinebias.training.losses import LabelLoss
        from splinebias.training.stopping import DESCENT_STEPS, LABEL_STEPS, LAST_RATE, Limits

        size, rates = self._batch_size, self.learning_rate
        assert rates is None or isinstance(rates, float | tuple) or callable(rates)  # as `__post_init__` leaves it
        epoch = 1 if size is None else math.ceil(field.loss.y.shape[-1] / size)  # steps that see all points
        labels = isinstance(field.loss, LabelLoss)
        limits = Limits(loss_tol, self.max_steps, 1000 * epoch, LABEL_STEPS if labels else DESCENT_STEPS, labels=labels)
        if isinstance(rates, tuple) and len(rates) <= self.max_steps:
            limits = replace(limits, max_steps=len(rates), out_of_steps=LAST_RATE)
        momentum = Momentum(self.momentum, self.dampening, self.nesterov)
        with torch.no_grad():
            return DescentBatch(start, field, rates, momentum, size, limits, rngs, records).finish()


@known_keywords
@dataclass(frozen=True)
class MirrorDescent(_Descent):
    r"""Full-batch mirror descent with the step at the top of this module; gradient descent if the potential is `Quadratic`.

    Parameters
    ----------
    learning_rate : float, optional
        The :math:`\eta` above, constant. None: :math:`1/\lambda_{\max}` of the tangent kernel
        :math:`W^{1/2} J D J^T W^{1/2}`, :math:`W = \mathrm{diag}(\omega)`, :math:`D = 1/\Phi''(\theta)`: half of what linear
        stability allows. As D changes along the run, that is measured again after 1, 2, 4, ... up to 1024 steps, sooner
        if it changes or the loss rises; a step that would raise it by over 10 % is taken back (see `LearningRate`). A
        sequence: that of every step, >= 0, after which the run ends with REACHED_TIME. A function of s = 0, 1, ...: that of
        step s.
    max_steps : int
        Most steps to take.
    momentum, dampening : float
        The :math:`\beta` and :math:`\delta`, in [0, 1), of the velocity :math:`v = \beta v + (1 - \delta) g` (g in the first
        step) that takes the place of the gradient g: the convention of ``torch.optim.SGD``, in dual coordinates.
    nesterov : bool
        Whether :math:`g + \beta v` takes that place, for :math:`\beta > 0`, :math:`\delta = 0`.

    Notes
    -----
    Ends with CONVERGED (loss at most `loss_tol`), MAX_STEPS (the advice estimates how many more), DIVERGED (numbers
    overflowed, or the loss grew 1e4-fold or stalled at a fixed rate above :math:`2/\lambda_{\max}`, which the advice states;
    the network is the last one below that) or STALLED (the smallest loss fell by less than a relative 1e-12 in 1000 steps).
    With momentum the limit is the same and training time is :math:`t = n (1 - \delta)/(1 - \beta) \sum \eta`: at that time
    the function is that of plain flow up to :math:`O(\eta)` (derived here: in the end a gradient counts
    :math:`(1 - \delta)(1 + \beta + \beta^2 + \dots)` times). Linear stability then allows
    :math:`\eta < 2(1 + \beta)/((1 - \delta)\lambda_{\max})`, with `nesterov`
    :math:`2(1 + \beta)/((1 + 2\beta)\lambda_{\max})`; no step is taken back.
    Adam and its like are not here: they scale every parameter by its own history, and no theorem says where they end. A
    network trained with them can be measured all the same: `compare` takes ``sb.from_torch(module).function()``.
    Hypotheses of the infinite-width limit, not checked: a large width, and :math:`\eta = O(1/n)` (true of None).

    References
    ----------
    Liang & Montúfar, ICLR 2025 (mirror descent); Jin & Montúfar, JMLR 24(137), 2023 (gradient descent).
    """


@known_keywords
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
        again as in `MirrorDescent`, without taking steps back. A sequence or a function: as there.
    momentum, dampening, nesterov
        As in `MirrorDescent`.
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
        keep_plain(self, "batch_size")

    def supports(self, problem: Problem) -> str | None:
        if self.batch_size <= problem.data.size:
            return None
        return f"`batch_size` must be at most the number of points, got {self.batch_size} for {problem.data.size} points"

    @property
    def _batch_size(self) -> int:
        return self.batch_size
