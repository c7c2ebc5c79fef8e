"""What moves networks, and a place where they are: everything else is derived from their dual coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from splinebias.activation import Activation
from splinebias.loss import SQUARED, Loss
from splinebias.networks.linearization import linearize
from splinebias.networks.network import Network
from splinebias.parameterization import PARAMETERS
from splinebias.problem import Problem
from splinebias.training.losses import SquaredLoss, loss_of
from splinebias.training.mirror_map import MirrorMap


@dataclass(frozen=True, eq=False)
class Field:
    """The activation, the loss and the mirror map of B networks of one width.

    `trainable`, shape (P,), is 1 for parameters that move and 0 for those that are frozen; None: all move.
    """

    activation: Activation
    loss: SquaredLoss
    mirror: MirrorMap
    trainable: Tensor | None = None

    @classmethod
    def of(
        cls,
        problems: Sequence[Problem],
        start: Network,
        kind: Loss = SQUARED,
        trainable: Sequence[str] = PARAMETERS,
    ) -> Self:
        """The field of equally many networks for each of `problems`, which may differ in their potentials, from `start`."""
        mirror = MirrorMap.of(problems, start.width, start.theta)
        moves = None
        if set(trainable) != set(PARAMETERS):
            sizes = {"w": start.width * start.inputs, "b": start.width, "a": start.width, "d": 1}
            moves = torch.cat([start.theta.new_full((size,), name in trainable) for name, size in sizes.items()])
        return cls(start.activation, loss_of(problems[0], start.theta, kind), mirror, moves)

    def moving(self, dual: Tensor) -> Tensor:
        """The entries of a dual vector, shape (..., P), that belong to parameters that move; zeros elsewhere."""
        return dual if self.trainable is None else dual * self.trainable

    def at(self, dual: Tensor) -> State:
        """The state with dual coordinates `dual`, shape (..., P)."""
        return State(dual, self)

    def of_networks(self, kept: Tensor | slice) -> Self:
        """The field of the networks number `kept` of a batch."""
        return replace(self, mirror=self.mirror.of_networks(kept))


class State:
    """Where networks are.

    Attributes
    ----------
    dual, theta : Tensor, shape (..., P)
        Dual coordinates z and parameters, P = 3n + 1.
    linear : Linearization
        The networks to first order at the data.
    residual : Tensor, shape (..., M)
        r = f(x) - y, after the best skip part if the affine part is free.
    """

    def __init__(self, dual: Tensor, field: Field) -> None:
        self.dual, self.field = dual, field
        self.theta = field.mirror.to_primal(dual)
        self.linear = linearize(self.theta, field.loss.points, field.activation)
        self.residual = field.loss.residual(self.linear.value)

    @cached_property
    def loss(self) -> Tensor:
        """The loss L of every network, shape (...)."""
        return self.field.loss.total(self.linear.value, self.residual)

    @cached_property
    def metric(self) -> Tensor:
        r"""Diagonal of :math:`D = 1/\Phi''(\theta)`, 0 for frozen parameters, shape (..., P)."""
        return self.field.moving(self.field.mirror.inverse_hessian(self.theta))

    @cached_property
    def kernel(self) -> Tensor:
        r"""Tangent kernel :math:`J D J^T` at the data, shape (..., M, M)."""
        return self.linear.gram(self.metric)

    @property
    def values(self) -> Tensor:
        """Values at the data without the skip part, shape (..., M)."""
        return self.linear.value

    @cached_property
    def curved_kernel(self) -> Tensor:
        """The tangent kernel with the curvature of the loss: that itself for the squared one, shape (..., M, M)."""
        return self.field.loss.curved(self.kernel, self.linear.value)

    @property
    def drive(self) -> Tensor:
        r"""What the Hessian of other losses than the squared one has besides `curved_kernel`, bounded, shape (...).

        Units with two slopes couple a to (w, b) by :math:`\sum_i \omega_i \ell_i' \sigma'_i (x_i, 1)`: 0 if one is frozen.
        """
        two, n = self.field.activation.two_slopes, (self.dual.shape[-1] - 1) // (self.field.loss.points.shape[0] + 1)
        steepest = 1.0 if two is None else max(abs(two.left), abs(two.right))
        hidden, outer = self.metric[..., : -1 - n], self.metric[..., -1 - n : -1]
        return steepest * (hidden.amax(-1) * outer.amax(-1)).sqrt() * self.field.loss.drive(self.residual)

    def network(self, row: int) -> Network:
        """Network number `row` of a batch, with its skip part, as a copy."""
        skip = self.field.loss.skip(self.linear.value[row])
        return Network(self.theta[row].clone(), self.field.activation, skip)

    def of_networks(self, kept: Sequence[int]) -> State:
        """The state of the networks number `kept`, increasing."""
        index = torch.tensor(kept, device=self.dual.device)
        return self.field.of_networks(index).at(self.dual[index])

    def moved(self, taken: Sequence[bool], new: State) -> State:
        """The state `new` for the networks `taken`, and this one for the others."""
        return self.field.at(torch.where(torch.tensor(taken, device=self.dual.device)[:, None], new.dual, self.dual))
