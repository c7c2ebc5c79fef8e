r"""Parameterizations: how a network of n units is scaled, hence which of its parameters matter as n grows.

Hidden weights and biases are O(1) throughout. With output weights of size :math:`s_n a_k`, a_k = O(1) trained, a learning
rate moves the function by :math:`\eta\, \kappa_n` times an O(1) kernel; training time is :math:`t = \kappa_n \sum \eta`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from splinebias._arguments import real_number
from splinebias.errors import DataError

PARAMETERS = ("w", "b", "a", "d")
"""The parameters of a network by name: hidden weights and biases, output weights, output bias."""


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


@dataclass(frozen=True)
class MeanField(Parameterization):
    r""":math:`f = \frac{1}{\gamma n} (\sum_k a_k \sigma(w_k x + b_k) + d)` with a, w, b all O(1): features are learned.

    Training time is :math:`t = \sum \eta / (\gamma^2 n)`, so that in t the function moves at a speed that depends neither
    on n nor on :math:`\gamma`, and the parameters of a neuron by

    .. math:: \frac{d\theta}{dt} = -\gamma \sum_j \omega_j r_j \nabla_\theta (a \sigma(w x_j + b)),
              \qquad r = f - y, \quad \omega_j = m_j / \textstyle\sum_i m_i.

    Parameters
    ----------
    richness : float
        The :math:`\gamma` above, > 0, a pure number if x, y and the parameters are of order 1: as :math:`\gamma \to 0`
        features stay and the flow is that of the tangent kernel (lazy), at :math:`\gamma` of order 1 and above they are
        learned.

    Raises
    ------
    DataError
        If `richness` is no finite number > 0, or not from 1e-100 to 1e100.

    Notes
    -----
    The start is :math:`f_0 = 0`: output weights 0, or antisymmetric pairs whose law of output weights is
    `Initialization.output`; independent ones (``antisymmetric=False``) start at functions of size :math:`n^{-1/2}`. d is one
    more output weight, of a unit that is constantly 1: it adds 1/n to the kernel, nothing in the limit, as in `Standard`. At
    fixed n, d aside, this is `NTK` with a, w, b multiplied by :math:`(\gamma \sqrt n)^{-1/2}`.
    References: Bordelon & Pehlevan, NeurIPS 2023, for the limit of large n at fixed :math:`\gamma`.
    """

    richness: float

    def __post_init__(self) -> None:
        fix = "take e.g. 1.0, and small ones for networks that learn no features"
        richness = real_number(self.richness, "richness", above=0, fix=fix)
        if not 1e-100 <= richness <= 1e100:  # its square has to be a number
            raise DataError(f"`richness` must be from 1e-100 to 1e100, got {richness:g}; {fix}")
        object.__setattr__(self, "richness", richness)

    def output_scale(self, width: int) -> float:
        return 1 / (self.richness * width)

    def clock(self, width: int) -> float:
        return 1 / (self.richness**2 * width)
