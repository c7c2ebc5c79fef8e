r"""Parameterizations: how a network of n units is scaled, hence which of its parameters matter as n grows.

Hidden weights and biases are O(1) throughout. With output weights of size :math:`s_n a_k`, a_k = O(1) trained, a learning
rate moves the function by :math:`\eta\, \kappa_n` times an O(1) kernel; training time is :math:`t = \kappa_n \sum \eta`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Parameterization(ABC):
    """How the output weights of a network of n units are scaled."""

    @abstractmethod
    def output_scale(self, width: int) -> float:
        r"""The :math:`s_n` above: the network is :math:`s_n (\sum_k a_k \sigma(w_k x + b_k) + d)` with a, d trained."""

    def start_scale(self, width: int) -> float:
        r"""What a draw of the law of output weights (or bias) is multiplied by in the network at the start."""
        return self.output_scale(width)

    @abstractmethod
    def clock(self, width: int) -> float:
        r"""The :math:`\kappa_n` above: training time per sum of learning rates."""


@dataclass(frozen=True)
class Standard(Parameterization):
    r""":math:`f = \sum_k a_k \sigma(w_k x + b_k) + d` with output weights that start at 0 or O(n^{-1/2}).

    Only the output weights matter as :math:`n \to \infty`, because the features of w and b are O(a) (theory section 1).
    Training time is :math:`t = n \sum \eta`. `Initialization.output` and `output_bias` are the laws of
    :math:`\sqrt n\, a` and :math:`\sqrt n\, d` at the start.
    """

    def output_scale(self, width: int) -> float:
        return 1.0

    def start_scale(self, width: int) -> float:
        return 1 / math.sqrt(width)

    def clock(self, width: int) -> float:
        return float(width)


@dataclass(frozen=True)
class NTK(Parameterization):
    r""":math:`f = n^{-1/2} (\sum_k a_k \sigma(w_k x + b_k) + d)` with a, w, b all O(1): both layers are trained.

    The start is :math:`f_0 = 0` by antisymmetric pairs, whose law of output weights is `Initialization.output`. Training
    time is :math:`t = \sum \eta`. The limit is governed by the tangent kernel

    .. math:: K(x, x') = E[\sigma(z)\sigma(z')] + E[a^2]\, E[\sigma'(z)\sigma'(z')]\, (x x' + 1), \qquad z = wx + b.

    Notes
    -----
    d is one more output weight, of a unit that is constantly 1: it adds 1/n to K, nothing in the limit, as in `Standard`.
    References: Jacot, Gabriel & Hongler, NeurIPS 2018; Jin & Montufar (2023) for the first term alone.
    """

    def output_scale(self, width: int) -> float:
        return 1 / math.sqrt(width)

    def clock(self, width: int) -> float:
        return 1.0
