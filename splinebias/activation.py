r"""Activations: which slope terms appear, and which order of spline a wide network induces.

All of them are positively homogeneous, :math:`\sigma(|w| z) = |w|^k \sigma(z)`, so a neuron
:math:`\sigma(wx + b)` is :math:`|w|^k \sigma(\pm(x - c))` with breakpoint :math:`c = -b/w`.
The bodies run on numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splinebias._check import namespace, real_number
from splinebias.errors import DataError


@dataclass(frozen=True)
class Activation:
    r"""A two-slope activation :math:`\sigma(z) = p z` for :math:`z > 0`, :math:`q z` for :math:`z < 0`.

    Attributes
    ----------
    right, left : float
        The slopes p and q above; the curvature of one unit is :math:`(p - q)\,|w|\,\delta_c`.
    degree : int
        The k above (1 here): a wide network is governed by derivative number ``degree + 1``.
    """

    @property
    def right(self) -> float:
        """Slope p for positive arguments."""
        return 1.0

    @property
    def left(self) -> float:
        """Slope q for negative arguments."""
        return 0.0

    @property
    def degree(self) -> int:
        """Degree k of homogeneity."""
        return 1

    @property
    def kink(self) -> float:
        """Jump p - q of the slope at the breakpoint."""
        return self.right - self.left

    def value(self, z: Any) -> Any:
        r""":math:`\sigma(z)`, same shape and kind as `z`."""
        return self.left * z + self.kink * z * (z > 0)

    def derivative(self, z: Any) -> Any:
        r""":math:`\sigma'(z)`, with :math:`\sigma'(0) = q`, same shape as `z`."""
        xp = namespace(z)
        return self.left + self.kink * xp.heaviside(z, xp.zeros_like(z))  # keeps the precision of z


@dataclass(frozen=True)
class ReLU(Activation):
    r""":math:`\sigma(z) = \max(z, 0)`."""

    def value(self, z: Any) -> Any:
        return z * (z > 0)


@dataclass(frozen=True)
class Abs(Activation):
    r""":math:`\sigma(z) = |z|`."""

    @property
    def left(self) -> float:
        return -1.0

    def value(self, z: Any) -> Any:
        return abs(z)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    r""":math:`\sigma(z) = \max(z, 0) + s \min(z, 0)` with ``slope`` :math:`s \ne 1` (0: ReLU, -1: Abs).

    Raises
    ------
    DataError
        If `slope` is not a finite number or equals 1 (a linear network has no curvature at all).
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        real_number(self.slope, "slope")
        if self.slope == 1:
            raise DataError("`slope` must differ from 1, got 1: such a network is linear; choose a slope such as 0.01")

    @property
    def left(self) -> float:
        return float(self.slope)
