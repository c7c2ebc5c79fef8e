r"""Activations: which slope terms appear, and which order of spline a wide network induces.

Homogeneous ones, :math:`\sigma(|w| z) = |w|^k \sigma(z)`, make of a neuron :math:`\sigma(wx + b)` the function
:math:`|w|^k \sigma(\pm(x - c))` with breakpoint :math:`c = -b/w`. All others count as smooth; a small start knows them by
their first power at zero.
The bodies run on numpy arrays and torch tensors alike.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from splinebias._arguments import keep_plain, namespace, real_number, whole_number
from splinebias.errors import DataError

_STEEPEST = 1e15
_LARGEST_POWER = 20


class Activation(ABC):
    r"""A function :math:`\sigma` that neurons apply to :math:`wx + b`: its value and its derivative, and nothing else.

    That is enough to train networks. Where it is not `Homogeneous` it has to be smooth: there are no kinks to look out for.
    """

    @property
    def two_slopes(self) -> TwoSlope | None:
        """This activation as one of two slopes, None if it has not two slopes."""
        return None

    @abstractmethod
    def value(self, z: Any) -> Any:
        r""":math:`\sigma(z)`, same shape and kind as `z`."""

    @abstractmethod
    def derivative(self, z: Any) -> Any:
        r""":math:`\sigma'(z)`, same shape and kind as `z`; at a kink the limit from the left."""


class Homogeneous(Activation):
    r"""A function :math:`\sigma` that is one homogeneous polynomial of degree k on each side of zero.

    Only these have a breakpoint, hence a limit that is a spline.

    Attributes
    ----------
    degree : int
        The k above: a wide network is governed by derivative number ``degree + 1``.
    kink : float
        Jump of :math:`\sigma^{(k)}` at zero, so that one unit has :math:`h^{(k+1)} = \text{kink}\,|w|^k\,\delta_c` if w > 0.
    two_slopes : TwoSlope or None
        The same function as a two-slope activation, None if it is not one.
    """

    @property
    @abstractmethod
    def degree(self) -> int:
        """Degree k of homogeneity."""

    @property
    @abstractmethod
    def kink(self) -> float:
        """Jump of derivative number `degree` at zero."""

    @property
    @abstractmethod
    def two_slopes(self) -> TwoSlope | None:
        """This activation as one of two slopes, None if it has not two slopes."""


class Smooth(Activation):
    r"""A smooth function with :math:`\sigma(z) = \sigma(0) + \kappa z^p + O(z^{p+1})`, :math:`\kappa \ne 0`.

    It has no breakpoints, so that there is no curvature density and no spline: networks are trained, and the limit of
    quadratic problems is a kernel's (`SmoothSolver`); what needs an axis of breakpoints refuses it.

    Attributes
    ----------
    multiplicity : int
        The p >= 1 above: at a small start, networks feel this power only.
    leading : float
        The :math:`\kappa` above, :math:`\sigma^{(p)}(0)/p!`.
    at_zero : float
        :math:`\sigma(0)`.
    """

    @property
    @abstractmethod
    def multiplicity(self) -> int:
        """Order p of the first derivative that does not vanish at zero."""

    @property
    @abstractmethod
    def leading(self) -> float:
        """Coefficient of the power p at zero."""

    @property
    def at_zero(self) -> float:
        """The value at zero."""
        return float(self.value(0.0))


@dataclass(frozen=True)
class TwoSlope(Homogeneous):
    r"""A two-slope activation :math:`\sigma(z) = p z` for :math:`z > 0`, :math:`q z` for :math:`z < 0`.

    Attributes
    ----------
    right, left : float
        The slopes p and q above; the curvature of one unit is :math:`(p - q)\,|w|\,\delta_c`.
    """

    @cached_property
    def right(self) -> float:
        """Slope p for positive arguments."""
        return 1.0

    @cached_property
    def left(self) -> float:
        """Slope q for negative arguments."""
        return 0.0

    @property
    def degree(self) -> int:
        return 1

    @cached_property
    def kink(self) -> float:
        """Jump p - q of the slope at the breakpoint."""
        return self.right - self.left

    @property
    def two_slopes(self) -> TwoSlope:
        return self

    def value(self, z: Any) -> Any:
        return self.left * z + self.kink * z * (z > 0)

    def derivative(self, z: Any) -> Any:
        xp = namespace(z)
        return self.left + self.kink * xp.heaviside(z, xp.zeros_like(z))  # keeps the precision of z


@dataclass(frozen=True)
class ReLU(TwoSlope):
    r"""The rectified linear unit, :math:`\sigma(z) = \max(z, 0)`."""

    def value(self, z: Any) -> Any:
        return z * (z > 0)


@dataclass(frozen=True)
class Abs(TwoSlope):
    r"""The absolute value, :math:`\sigma(z) = |z|`."""

    @cached_property
    def left(self) -> float:
        return -1.0

    def value(self, z: Any) -> Any:
        return abs(z)


@dataclass(frozen=True)
class LeakyReLU(TwoSlope):
    r""":math:`\sigma(z) = \max(z, 0) + s \min(z, 0)` with ``slope`` :math:`s \ne 1` (0: ReLU, -1: Abs).

    Raises
    ------
    DataError
        If `slope` is not a finite number or equals 1 (a linear network has no curvature at all).
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        keep_plain(self)
        if abs(real_number(self.slope, "slope")) > _STEEPEST:
            raise DataError(
                f"`slope` must be at most {_STEEPEST:g} in size, got {self.slope:g}: beside it the slope 1 of the other "
                "side is below rounding; scale the data instead"
            )
        if self.slope == 1:
            raise DataError("`slope` must differ from 1, got 1: such a network is linear; choose a slope such as 0.01")

    @cached_property
    def left(self) -> float:
        return float(self.slope)


@dataclass(frozen=True)
class ReLUPower(Homogeneous):
    r""":math:`\sigma(z) = \max(z, 0)^k` with ``power`` :math:`1 \le k \le 20` (1: ReLU).

    A wide network is then governed by :math:`h^{(k+1)}/k!` in the place of h'', and by
    :math:`\zeta^{(k)}_\pm(c) = \int_{\pm w > 0} |w|^{2k+1} p_{W,B}(w, -wc)\, dw` in the place of :math:`\zeta_\pm`
    (Jin & Montufar 2023, other activations). It needs finite E|W|^{2k} and E|B|^{2k}; `predict` and `train` check that.

    Raises
    ------
    DataError
        If `power` is no whole number from 1 to 20.
    """

    power: int

    def __post_init__(self) -> None:
        power = whole_number(self.power, "power", at_least=1)
        keep_plain(self, "power")
        if power > _LARGEST_POWER:
            raise DataError(
                f"`power` must be a whole number >= 1 and <= {_LARGEST_POWER}, got {power}: beyond that, pieces of degree "
                "2k + 1 have no digits left in double precision; take 2 or 3"
            )

    @property
    def degree(self) -> int:
        return self.power

    @cached_property
    def kink(self) -> float:
        return float(math.factorial(self.power))

    @property
    def two_slopes(self) -> TwoSlope | None:
        return ReLU() if self.power == 1 else None

    def value(self, z: Any) -> Any:
        return (z * (z > 0)) ** self.power

    def derivative(self, z: Any) -> Any:
        if self.power == 1:
            return ReLU().derivative(z)
        return self.power * (z * (z > 0)) ** (self.power - 1)
