"""One step of mirror descent, as a pure function of states; everything broadcasts over a batch of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from splinebias.activation import Activation
from splinebias.networks.linearization import Linearization, linearize
from splinebias.training.losses import SquaredLoss
from splinebias.training.mirror_map import BatchMirrorMap


class DescentState(NamedTuple):
    """A point of the trajectory with what the next step needs."""

    dual: Tensor
    """z, shape (..., P)"""
    theta: Tensor
    """Parameters, shape (..., P)"""
    linear: Linearization
    """The networks to first order at the data"""
    residual: Tensor
    """r, shape (..., M)"""
    loss: Tensor
    """L, shape (...)"""


@dataclass(frozen=True, eq=False)
class DescentStep:
    """The step of `descent` as a pure function of states, for one activation, loss and mirror map."""

    activation: Activation
    loss: SquaredLoss
    mirror: BatchMirrorMap

    def at(self, dual: Tensor) -> DescentState:
        """The state with dual coordinates `dual`, shape (..., P)."""
        theta = self.mirror.to_primal(dual)
        linear = linearize(theta, self.loss.points, self.activation)
        residual = self.loss.residual(linear.value)
        return DescentState(dual, theta, linear, residual, self.loss.value(residual))

    def __call__(self, state: DescentState, learning_rate: float | Tensor, emphasis: Tensor | None = None) -> DescentState:
        """One step, of sizes of shape (..., 1); `emphasis`, shape (..., M), multiplies residuals (a random mini-batch)."""
        cotangent = self.loss.weights * state.residual
        if emphasis is not None:
            cotangent = cotangent * emphasis
        return self.at(state.dual - learning_rate * state.linear.vjp(cotangent))

    def kernel(self, state: DescentState) -> Tensor:
        r"""Tangent kernel :math:`J D J^T` at the data, :math:`D = 1/\Phi''`, shape (..., M, M)."""
        return state.linear.gram(self.mirror.inverse_hessian(state.theta))
