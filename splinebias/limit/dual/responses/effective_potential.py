r"""Effective potentials: integrals over |w| of scale families, as functions of one variable.

Where \|w\| at every breakpoint is :math:`\tau(c)\, u` with one law of u (`initialization.zeta.ScaleFamily`), all that the
dual asks of a potential is a function of :math:`z = \tau |g|`: with :math:`A = (\phi')^{-1}`,

.. math:: \Psi(z) = E[\phi^*(uz) - \phi^*(0)], \qquad \Psi'(z) = E[u A(uz)], \qquad \Psi''(z) = E[u^2 A'(uz)],

as if there were one size :math:`\tau` with the potential :math:`\Psi^*`. For hypentropy it has closed forms with most
laws, for boxes with every power; for other powers with a quadratic part it is one function of :math:`\log z` for each power
and law of u, whatever :math:`\varepsilon` is:

.. math:: \Psi_\varepsilon(z) = \frac{z^2}{\varepsilon} F(\log z - \log Z), \qquad
          Z = \varepsilon^{(p - 1)/(p - 2)},

analytic in a strip of half-width :math:`d = \min(\pi, \pi/(p - 2))`, or :math:`\min(\pi, \pi(p - 1)/(2 - p))` for p < 2.
Derived here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.initialization.zeta import OneRadius, Profile, RadiusOfBox, RadiusOfExponential
from splinebias.limit.dual.responses.log_table import LARGEST, LogTable, trapezoidal
from splinebias.potential import NEXT_TO_NOTHING, Hypentropy, Potential, Power, raised

_STEEPEST = 64  # power of the conjugate whose moments are in the range of doubles, with room
_DIGITS = 40.0  # logarithm of what is nothing


class EffectiveDual(NamedTuple):
    r"""The :math:`\Psi`, :math:`\Psi'` and :math:`\Psi''` of the module at dual values, each of their shape."""

    value: Array
    first: Array
    second: Array


class EffectivePotential(ABC):
    """A potential and a law of u, as a function of one variable."""

    @abstractmethod
    def __call__(self, z: Array) -> EffectiveDual:
        r""":math:`\Psi` and its derivatives at `z` >= 0."""


def conjugate_power(potential: Potential) -> float | None:
    r"""The q of potentials whose conjugate is a multiple of :math:`|z|^q`, in the range of moments; None for others."""
    if potential.stiffness is not None:
        return 2.0
    if not isinstance(potential, Power) or potential.quadratic:
        return None
    q = potential.p / (potential.p - 1)
    return q if q <= _STEEPEST else None


def effective_potential(potential: Potential, profile: Profile) -> EffectivePotential | None:
    """The effective potential, or None where none is known that is good to 1e-13."""
    if isinstance(profile, OneRadius):
        return OfOneSize(potential)
    if isinstance(potential, Hypentropy):
        return _of_hypentropy(potential.beta, profile)
    if not isinstance(potential, Power) or not potential.quadratic > NEXT_TO_NOTHING or potential.p == 2:
        return None
    if isinstance(profile, RadiusOfBox):
        return PowerOnBox(potential)
    table = _table(potential.p, profile)
    return TabledPower(potential.quadratic, table) if table.fits else None


@lru_cache(maxsize=64)
def _table(p: float, profile: Profile) -> PowerTable:
    return PowerTable(p, profile)


def _of_hypentropy(beta: float, profile: Profile) -> EffectivePotential | None:
    if isinstance(profile, RadiusOfBox):
        return HypentropyOnBox(beta)
    if not isinstance(profile, RadiusOfExponential):
        return None
    if profile.shape == 1:
        return HypentropyOnGamma(beta, profile.power)
    return HypentropyOnNormal(beta) if profile == RadiusOfExponential(2.0, 2.0) else None


@dataclass(frozen=True)
class OfOneSize(EffectivePotential):
    """The potential itself, where u = 1."""

    potential: Potential

    def __call__(self, z: Array) -> EffectiveDual:
        u = np.asarray(self.potential.grad_inverse(z))
        steep = self.potential.hess(u)
        second = np.divide(1.0, steep, out=np.zeros_like(u), where=steep > 0)
        return EffectiveDual(u * z - np.asarray(self.potential.cost(u)), u, second)


@dataclass(frozen=True)
class HypentropyOnNormal(EffectivePotential):
    r"""Normal laws, :math:`y = z/\sqrt2`, :math:`D = \sqrt{\pi/2}\, e^{y^2/2}\, \mathrm{erf}(y/\sqrt2)`: finite for all z.

    .. math:: \Psi = \beta y D, \qquad \sqrt2\, \Psi' = \beta (y + (1 + y^2) D), \qquad
              2 \Psi'' = \beta (2 + y^2 + (3y + y^3) D)
    """

    beta: float

    def __call__(self, z: Array) -> EffectiveDual:
        from scipy.special import erf

        y = z / math.sqrt(2)
        square = y * y
        d = math.sqrt(math.pi / 2) * np.exp(square / 2) * erf(z / 2)
        first, second = y + (1 + square) * d, 2 + square + (3 + square) * y * d
        return EffectiveDual(self.beta * y * d, self.beta / math.sqrt(2) * first, self.beta / 2 * second)


@dataclass(frozen=True)
class HypentropyOnGamma(EffectivePotential):
    r"""u with the density of a gamma law: :math:`\Psi = \tfrac\beta2 ((1 - z)^{-m} + (1 + z)^{-m}) - \beta` for z < 1.

    Sums of powers are written as :math:`e^a \cosh b` and :math:`e^a \sinh b`, which do not cancel.
    """

    beta: float
    power: float

    def __call__(self, z: Array) -> EffectiveDual:
        m = self.power
        with np.errstate(divide="ignore", invalid="ignore"):
            log, turn = -np.log1p(-z * z) / 2, np.arctanh(z)
        value = np.expm1(m * log) * np.cosh(m * turn) + 2 * np.sinh(m * turn / 2) ** 2
        first = m * np.exp((m + 1) * log) * np.sinh((m + 1) * turn)
        second = m * (m + 1) * np.exp((m + 2) * log) * np.cosh((m + 2) * turn)
        return EffectiveDual(*(np.where(z < 1, self.beta * of, np.inf) for of in (value, first, second)))


@dataclass(frozen=True)
class HypentropyOnBox(EffectivePotential):
    r""":math:`\Psi = \beta (2 \sinh z/z - 2 (\cosh z - 1)/z^2 - 1)`, by its series where that cancels."""

    beta: float

    def __call__(self, z: Array) -> EffectiveDual:
        small = z < 0.7
        y = np.where(small, 1.0, z)
        flat = 2 * np.sinh(y / 2) ** 2  # cosh y - 1
        value = 2 * np.sinh(y) / y - 2 * flat / y**2 - 1
        first = 2 * (flat - value) / y
        second = (2 * np.sinh(y) - 3 * first) / y
        if small.any():
            t = z[small] ** 2
            sums = [np.polynomial.polynomial.polyval(t, of) for of in _BOX_SERIES]
            value[small], first[small], second[small] = t * sums[0], z[small] * sums[1], sums[2]
        return EffectiveDual(self.beta * value, self.beta * first, self.beta * second)


_BOX_SERIES = tuple(  # of sum_k z^(2k)/((k + 1) (2k)!) and its derivatives, k from 1
    np.array([factor(2 * k) / ((k + 1) * math.factorial(2 * k)) for k in range(1, 9)])
    for factor in (lambda n: 1, lambda n: n, lambda n: n * (n - 1))
)


@dataclass(frozen=True)
class PowerOnBox(EffectivePotential):
    r""":math:`\Psi = u z P_0(r, e)`, :math:`\Psi' = u P_1(r, e)`, :math:`\Psi'' = (u/z) P_2(r, e)`, u = A(z), on boxes.

    With :math:`r = p u^{p-1}/z` and :math:`e = 1 - r = 2\varepsilon u/z` these are homogeneous cubic polynomials:
    :math:`\Psi = 2 z^{-2} \int_0^z y \phi^*(y)\, dy`, :math:`\Psi' = 2(\phi^* - \Psi)/z`, :math:`\Psi'' = (2A - 3\Psi')/z`.
    """

    potential: Power

    @cached_property
    def _cubics(self) -> Array:
        """Coefficients of r^3, r^2 e, r e^2, e^3, shape (3, 4)."""
        p = self.potential.p
        a = p * (p - 1)
        value = 2 * np.array(
            [
                (p - 1) * a / (p**2 * (3 * p - 2)),
                ((p - 1) * (p + a) + p * a / 2) / (2 * p**3),
                ((p - 1) + (p + a) / 2) / (p * (p + 2)),
                1 / 8,
            ]
        )
        power, flat = (p - 1) / p, 0.5  # of the conjugate, times (r + e)^2
        conjugate = np.array([power, 2 * power + flat, power + 2 * flat, flat])
        first = 2 * (conjugate - value)
        return np.array([value, first, 2 * np.array([1.0, 3.0, 3.0, 1.0]) - 3 * first])

    def __call__(self, z: Array) -> EffectiveDual:
        u = np.asarray(self.potential.grad_inverse(z))
        there = z > 0
        per = np.divide(u, z, out=np.zeros_like(u), where=there)
        e = np.minimum(2 * self.potential.quadratic * per, 1.0)
        r = np.divide(self.potential.p * raised(u, self.potential.p - 1), z, out=np.zeros_like(u), where=there)
        if self.potential.p > 2:
            e[~there] = 1.0
            per[~there] = 0.5 / self.potential.quadratic
        value, first, second = (((a * r + b * e) * r + c * e * e) * r + d * e**3 for a, b, c, d in self._cubics)
        return EffectiveDual(u * z * value, u * first, per * second)


def step_of(p: float, profile: Profile) -> float:
    r"""A tenth of the half-width of the strip in which averages with :math:`|u|^p + u^2` are analytic in log z."""
    own = math.pi / max(1.0, p - 2) if p > 2 else math.pi * min(1.0, (p - 1) / (2 - p))
    return 0.1 * min(own, profile.strip)


@dataclass(frozen=True)
class PowerTable(LogTable):
    r"""The F of the module and its like, for :math:`|u|^p + u^2`: :math:`\Psi/z^2`, :math:`\Psi'/z` and :math:`\Psi''`.

    Attributes
    ----------
    p : float
        The power.
    profile : Profile
        The law of u.
    """

    terms: ClassVar[int] = 11
    reach: ClassVar[float] = LARGEST

    p: float
    profile: Profile

    @cached_property
    def step(self) -> float:
        return step_of(self.p, self.profile)

    @cached_property
    def fits(self) -> bool:
        """Whether the law of u is analytic, with moments in range, and the table does not get too long."""
        known = self.step > 0 and self.p >= 1 + 1 / _STEEPEST and all(map(math.isfinite, (*self.moments, *self.ends)))
        return known and self._is_moment()

    def _is_moment(self) -> bool:
        """Whether the rule finds E[u^2], up to rounding: not if the law is less smooth than its strip says."""
        total = float(self.rule[1].sum())
        return abs(total - self.moments[0]) <= 1e-13 * self.moments[0]

    @cached_property
    def conjugate_power(self) -> float:
        """q = p/(p - 1)."""
        return self.p / (self.p - 1)

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Moments E[u^2] and E[u^q] of the sizes over their scale, q the conjugate power."""
        return self.profile.moment(2.0), self.profile.moment(self.conjugate_power)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """Logarithms of z below and above which one power is all there is; infinity: out of the range of doubles."""
        p, tail, q = self.p, self.profile.tail, self.conjugate_power
        if p > 2:
            below, above = min(p - 2, tail - 2), (p - 2) / (p - 1)
        else:
            below, above = min((2 - p) / (p - 1), tail - q), 2 - p
        low, high = (-_DIGITS / below, _DIGITS / above) if below > 0 else (-math.inf, math.inf)
        if min(-low, high) > LARGEST or max(-low, high) > 4 * LARGEST:
            return -math.inf, math.inf
        return max(low, -LARGEST), min(high, LARGEST)

    @cached_property
    def rule(self) -> tuple[int, Array]:
        q = self.conjugate_power
        return trapezoidal(self.profile, self.step, 2, tail=2, highest=q, lowest=-1.0)

    def lattices(self, y: Array) -> Array:
        phi = Power(self.p, 1.0)
        u = np.asarray(phi.grad_inverse(y))
        share = np.minimum(2 * (u / y), 1.0)  # of the quadratic part in y
        found = np.array([(1 - share) * ((self.p - 1) / self.p) + share / 2, np.ones_like(share), np.zeros_like(share)])
        found *= u / y
        found[2] = 1 / phi.hess(u)
        return found


@dataclass(frozen=True)
class TabledPower(EffectivePotential):
    r""":math:`|u|^p + \varepsilon u^2`, :math:`\varepsilon` = `quadratic`, by the `table` of its power."""

    quadratic: float
    table: PowerTable

    def __call__(self, z: Array) -> EffectiveDual:
        table, log_eps = self.table, math.log(self.quadratic)
        p, q, (square, power) = table.p, table.conjugate_power, table.moments
        found = np.zeros((3, z.size))
        flat = np.maximum(z.ravel(), 0.0)
        with np.errstate(divide="ignore"):
            log = np.log(flat)
        x = log - log_eps * ((p - 1) / (p - 2))
        low, high = table.ends
        inside = (x > low) & (x < high)
        (at,) = inside.nonzero()
        if at.size:
            found[:, at] = table(x[at]) / self.quadratic
        (out,) = (~inside).nonzero()
        if out.size:
            flat_power = (x[out] <= low) == (p > 2)  # where the quadratic part rules
            with np.errstate(under="ignore", over="ignore", invalid="ignore"):
                steep = power * np.exp((q - 2) * np.where(np.isfinite(log[out]), log[out], -LARGEST) - (q - 1) * math.log(p))
            one, two = np.array([[0.25], [0.5], [0.5]]) * (square / self.quadratic), np.array([[1 / q], [1.0], [q - 1]])
            found[:, out] = np.where(flat_power, one, two * steep)
        value, first, second = found
        with np.errstate(over="ignore"):
            value *= flat * flat
            first *= flat
        return EffectiveDual(*(of.reshape(z.shape) for of in (value, first, second)))
