r"""Momentum: what a descent adds to a gradient of the gradients before, by the convention of ``torch.optim.SGD``.

.. math:: v_1 = g_1, \qquad v_s = \beta v_{s-1} + (1 - \delta) g_s, \qquad
          z_{s+1} = z_s - \eta_s v_s, \quad \text{or } z_s - \eta_s (g_s + \beta v_s) \text{ (Nesterov)}.

A gradient moves z by :math:`\eta(1 - \delta)(1 + \beta + \beta^2 + \dots)` in the end, with Nesterov's variant by as much.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from splinebias.learning_rates import momentum_scale


@dataclass(frozen=True)
class Momentum:
    r"""The :math:`\beta` (`decay`), the :math:`\delta` (`dampening`) and the variant above."""

    decay: float
    dampening: float
    nesterov: bool

    @property
    def scale(self) -> float:
        r"""Training time per sum of learning rates, :math:`(1 - \delta)/(1 - \beta)`."""
        return momentum_scale(self.decay, self.dampening)

    def stable(self, sharpness: float) -> float:
        r"""The rate above which a mode of this decay rate :math:`\lambda` grows.

        :math:`2(1 + \beta)/((1 - \delta)\lambda)`, with Nesterov's variant :math:`2(1 + \beta)/((1 + 2\beta)\lambda)`: where
        an eigenvalue of the linear recursion of (z, v) is -1.
        """
        share = 1 + 2 * self.decay if self.nesterov else 1 - self.dampening
        return 2 * (1 + self.decay) / (share * sharpness)

    def step(self, gradient: Tensor, velocity: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the rate is multiplied with, and the new velocity v; `velocity` is None before the first step."""
        if not self.decay:
            return gradient, None
        velocity = gradient if velocity is None else self.decay * velocity + (1 - self.dampening) * gradient
        return (gradient + self.decay * velocity if self.nesterov else velocity), velocity
