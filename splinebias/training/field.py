"""What moves networks, and a place where they are: everything else is derived from their dual coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from splinebias.activation import Activation
from splinebias.networks.linearization import linearize
from splinebias.networks.network import Network
from splinebias.problem import Problem
from splinebias.training.losses import SquaredLoss
from splinebias.training.mirror_map import MirrorMap


@dataclass(frozen=True, eq=False)
class Field:
    """The activation, the loss and the mirror map of B networks of one width."""

    activation: Activation
    loss: SquaredLoss
    mirror: MirrorMap

    @classmethod
    def of(cls, problems: Sequence[Problem], start: Network) -> Self:
        """The field of equally many networks for each of `problems`, which may differ in their potentials, from `start`."""
        mirror = MirrorMap.of(problems, start.width, start.theta)
        return cls(start.activation, SquaredLoss.of(problems[0], start.theta), mirror)

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
        return self.field.loss.value(self.residual)

    @cached_property
    def metric(self) -> Tensor:
        r"""Diagonal of :math:`D = 1/\Phi''(\theta)`, shape (..., P)."""
        return self.field.mirror.inverse_hessian(self.theta)

    @cached_property
    def kernel(self) -> Tensor:
        r"""Tangent kernel :math:`J D J^T` at the data, shape (..., M, M)."""
        return self.linear.gram(self.metric)

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
