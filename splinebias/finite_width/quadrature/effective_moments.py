r"""Second moments of single neurons where laws are scale families: functions of one variable.

As `limit.dual.responses.effective_potential` has it for the dual: with \|w\| = :math:`\tau(c) u` and
:math:`A = (\phi')^{-1}`, sums over the neurons at a breakpoint are R times a power of :math:`\tau` times a
function of :math:`z = \tau |g|`,

.. math:: \text{square } E[u^2 A(uz)^2], \quad \text{pull } E[u^3 A(uz) A'(uz)], \quad \text{bend } E[u^3 A''(uz)] = \Psi'''.

For hypentropy, :math:`\beta \sinh`, the first two are :math:`\tfrac\beta2 (\Psi''(2z) - \Psi''(0))` and
:math:`\tfrac\beta2 \Psi'''(2z)`; for powers on boxes they are polynomials, for other powers with a quadratic part tables
whose variable is log z, one for each power and law of u. Derived here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.quadrature.moment_tables import moment_table, turn
from splinebias.initialization.zeta import Profile
from splinebias.limit.dual.responses import effective_potential as potentials
from splinebias.limit.dual.responses.effective_potential import effective_potential
from splinebias.limit.dual.responses.effective_response import EffectiveModel
from splinebias.potential import Potential, Power, raised


class EffectiveMoments(ABC):
    """Averages over the law of u, at z >= 0 of any shape.

    Attributes
    ----------
    has_bend : bool
        Whether `bend` is known.
    """

    has_bend: bool = True

    @abstractmethod
    def square(self, z: Array) -> Array:
        """The average of u^2 A(uz)^2."""

    @abstractmethod
    def pull(self, z: Array) -> Array:
        """The average of u^3 A(uz) A'(uz)."""

    @abstractmethod
    def bend(self, z: Array) -> Array:
        """The average of u^3 A''(uz)."""


class MomentsPart(NamedTuple):
    r"""The neurons of one scale family at fixed breakpoints.

    Attributes
    ----------
    moments : EffectiveMoments
        The averages over u.
    scale, mass : Array
        The :math:`\tau` and R of the family, of the shape of the breakpoints.
    """

    moments: EffectiveMoments
    scale: Array
    mass: Array


def moments_of(model: EffectiveModel) -> list[MomentsPart] | None:
    """The second moments of the parts of a model; None where those of one are not known."""
    found: list[MomentsPart] = []
    for part in model.parts:
        if (moments := effective_moments(model.potential, part.profile)) is None:
            return None
        found.append(MomentsPart(moments, part.scale, part.mass))
    return found


def effective_moments(potential: Potential, profile: Profile) -> EffectiveMoments | None:
    """The averages, by what `effective_potential` knows of the pair; None where none are known that are good to 1e-12."""
    known = effective_potential(potential, profile)
    found = None if known is None else _MADE_OF[type(known)](known)
    return None if isinstance(found, TabledPower) and not found.fits else found


@dataclass(frozen=True)
class OfOneSize(EffectiveMoments):
    """The inverse of the gradient itself, where u = 1."""

    potential: Potential

    def _steep(self, alpha: Array) -> Array:
        hess = np.asarray(self.potential.hess(alpha))
        return np.asarray(np.divide(1.0, hess, out=np.zeros_like(alpha), where=hess > 0))

    def square(self, z: Array) -> Array:
        return np.asarray(self.potential.grad_inverse(z)) ** 2

    def pull(self, z: Array) -> Array:
        alpha = np.asarray(self.potential.grad_inverse(z))
        return alpha * self._steep(alpha)

    def bend(self, z: Array) -> Array:
        alpha = np.asarray(self.potential.grad_inverse(z))
        return turn(self.potential, alpha, self._steep(alpha), z)


@dataclass(frozen=True)
class _OfHypentropy(EffectiveMoments):
    """Hypentropy, from two derivatives of its effective potential."""

    beta: float

    @abstractmethod
    def risen(self, z: Array) -> Array:
        r""":math:`(\Psi''(z) - \Psi''(0))/\beta`, without cancellation."""

    @abstractmethod
    def third(self, z: Array) -> Array:
        r"""The third derivative of the effective potential, :math:`\Psi'''(z)/\beta`."""

    def square(self, z: Array) -> Array:
        return np.asarray(self.beta**2 / 2 * self.risen(2 * z))

    def pull(self, z: Array) -> Array:
        return self.beta**2 / 2 * self.third(2 * z)

    def bend(self, z: Array) -> Array:
        return self.beta * self.third(z)


class HypentropyOnNormal(_OfHypentropy):
    r"""Normal laws, y and D as in `effective_potential`: :math:`2 \Psi'' = \beta(2 + y^2 + (3y + y^3) D)`, D' = 1 + yD."""

    @staticmethod
    def _parts(z: Array) -> tuple[Array, Array, Array]:
        from scipy.special import erf

        y = z / math.sqrt(2)
        square = y * y
        return y, square, math.sqrt(math.pi / 2) * np.exp(square / 2) * erf(z / 2)

    def risen(self, z: Array) -> Array:
        y, square, d = self._parts(z)
        return np.asarray((square + (3 + square) * y * d) / 2)

    def third(self, z: Array) -> Array:
        y, square, d = self._parts(z)
        return np.asarray(((5 + square) * y + (3 + (6 + square) * square) * d) / (2 * math.sqrt(2)))


@dataclass(frozen=True)
class HypentropyOnGamma(_OfHypentropy):
    r"""u with a gamma law: :math:`\Psi'' = \beta m(m + 1) e^{ka} \cosh kb`, k = m + 2; infinite from z = 1 on."""

    power: float

    @staticmethod
    def _parts(z: Array) -> tuple[Array, Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return -np.log1p(-z * z) / 2, np.arctanh(z)

    def risen(self, z: Array) -> Array:
        m, (log, way) = self.power, self._parts(z)
        k = m + 2
        with np.errstate(over="ignore", invalid="ignore"):
            found = m * (m + 1) * (np.expm1(k * log) * np.cosh(k * way) + 2 * np.sinh(k * way / 2) ** 2)
        return np.where(z < 1, found, np.inf)

    def third(self, z: Array) -> Array:
        m, (log, way) = self.power, self._parts(z)
        with np.errstate(over="ignore", invalid="ignore"):
            found = m * (m + 1) * (m + 2) * np.exp((m + 3) * log) * np.sinh((m + 3) * way)
        return np.where(z < 1, found, np.inf)


class HypentropyOnBox(_OfHypentropy):
    r""":math:`\Psi'' = \beta \sum_k z^{2k}/((k + 2)\,(2k)!)`, in closed form where that does not cancel."""

    def risen(self, z: Array) -> Array:
        return self._by_parts(z, 0)

    def third(self, z: Array) -> Array:
        return self._by_parts(z, 1)

    @staticmethod
    def _by_parts(z: Array, derivative: int) -> Array:
        small = z < 1.0
        y = np.where(small, 1.0, z)
        with np.errstate(over="ignore", invalid="ignore"):
            flat, sinh = 2 * np.sinh(y / 2) ** 2, np.sinh(y)
            first = 2 * (flat - (2 * sinh / y - 2 * flat / y**2 - 1)) / y
            second = (2 * sinh - 3 * first) / y
            found = second - 0.5 if derivative == 0 else (2 * (1 + flat) - 4 * second) / y
        if small.any():
            t = z[small] ** 2
            series = np.polynomial.polynomial.polyval(t, _BOX_SERIES[derivative])
            found[small] = t * series if derivative == 0 else z[small] * series
        return np.asarray(found)


_BOX_SERIES = tuple(  # of sum_k z^(2k)/((k + 2) (2k)!), k from 1, over z^2, and of its derivative over z
    np.array([factor(2 * k) / ((k + 2) * math.factorial(2 * k)) for k in range(1, 10)]) for factor in (lambda n: 1.0, float)
)


@dataclass(frozen=True)
class PowerOnBox(EffectiveMoments):
    r"""Powers on boxes, by :math:`r = p a^{p-1}/z`, :math:`e = 2\varepsilon a/z`, r + e = 1, where a = A(z).

    :math:`E[u^2 A^2] = 2 z^{-4} \int_0^z y^3 A(y)^2\,dy = a^2 Q(r, e)` with a homogeneous polynomial Q, and
    :math:`E[u^3 A A'] = (a^2/z)(1 - 2Q)`, :math:`E[u^3 A''] = (2A' - 4\Psi'')/z`.
    """

    potential: Power

    def _ratios(self, z: Array) -> tuple[Array, Array, Array]:
        """The a, r and e of the class."""
        p, a = self.potential.p, np.asarray(self.potential.grad_inverse(z))
        there = z > 0
        e = np.minimum(np.divide(2 * self.potential.quadratic * a, z, out=np.full_like(a, p > 2), where=there), 1.0)
        r = np.divide(p * raised(a, p - 1), z, out=np.full_like(a, p < 2), where=there)
        return a, r, e

    @cached_property
    def _quartic(self) -> Array:
        """Coefficients of r^k e^(4 - k) in Q, shape (5,)."""
        return 2 * self._integrated(np.array([1.0, 3.0, 3.0, 1.0]), 2)

    @cached_property
    def _second(self) -> Array:
        r"""Coefficients of r^k e^(3 - k) in :math:`\Psi'' z/a`, shape (4,), see `effective_potential`."""
        conjugate = np.array([0.5, (self.potential.p - 1) / self.potential.p])
        both = np.convolve([1.0, 1.0], conjugate)
        first = 2 * (np.convolve([1.0, 1.0], both) - 2 * self._integrated(both, 1))
        return np.asarray(2 * np.array([1.0, 3.0, 3.0, 1.0]) - 3 * first)

    def _integrated(self, polynomial: Array, order: int) -> Array:
        """Coefficients of the integral over y of `polynomial` in r and e, times a^(order) over z per degree."""
        p, product = self.potential.p, np.convolve(polynomial, [1.0, self.potential.p - 1])  # dy = z/a ((p - 1) r + e) da
        k, n = np.arange(product.size), product.size - 1
        return np.asarray(product / (k * (p - 1) + n - k + order))

    def square(self, z: Array) -> Array:
        a, r, e = self._ratios(z)
        return np.asarray(a * a * _homogeneous(self._quartic, r, e))

    def pull(self, z: Array) -> Array:
        a, r, e = self._ratios(z)
        rest = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) - 2 * self._quartic
        return np.divide(a * a * _homogeneous(rest, r, e), z, out=np.zeros_like(a), where=z > 0)

    def bend(self, z: Array) -> Array:
        a, r, e = self._ratios(z)
        p, second = self.potential.p, self._second
        rest = np.array([1.0, 4.0, 6.0, 4.0, 1.0])
        rest[:4] -= 2 * second
        rest[1:] -= 2 * (p - 1) * second
        bent = 2 * a * r * _homogeneous(rest[1:], r, e)  # the first is 0
        return np.divide(bent, z * z * ((p - 1) * r + e), out=np.zeros_like(a), where=z > 0)


def _homogeneous(coefficients: Array, r: Array, e: Array) -> Array:
    """The sum of `coefficients` times r^k e^(n - k)."""
    found, power = np.full_like(r, coefficients[-1]), np.ones_like(e)
    for coefficient in coefficients[-2::-1]:
        power = power * e
        found = found * r + coefficient * power
    return np.asarray(found)


@dataclass(frozen=True)
class TabledPower(EffectiveMoments):
    r""":math:`|u|^p + \varepsilon u^2`: :math:`A_\varepsilon(y) = U A_1(y/Z)`, :math:`Z = \varepsilon U = U^{p - 1}`.

    Attributes
    ----------
    p, quadratic : float
        The potential.
    profile : Profile
        The law of u.
    """

    p: float
    quadratic: float
    profile: Profile

    @property
    def fits(self) -> bool:
        """Whether there is a table of `square` and `pull`, which ask for the same moments."""
        return moment_table(self.p, self.profile, "square").fits

    @property
    def has_bend(self) -> bool:  # type: ignore[override]
        return moment_table(self.p, self.profile, "bend").fits

    def _of(self, z: Array, kind: str) -> Array:
        table = moment_table(self.p, self.profile, kind)
        with np.errstate(divide="ignore"):
            x = np.log(z.ravel()) - math.log(self.quadratic) * ((self.p - 1) / (self.p - 2))
        return table(x).reshape(z.shape)

    def square(self, z: Array) -> Array:
        return self._of(z, "square") * (z / self.quadratic) ** 2

    def pull(self, z: Array) -> Array:
        return self._of(z, "pull") * (z / self.quadratic**2)

    def bend(self, z: Array) -> Array:
        return np.divide(self._of(z, "bend") / self.quadratic, z, out=np.zeros_like(z), where=z > 0)


_MADE_OF: dict[type, Callable[[Any], EffectiveMoments]] = {  # effective potentials
    potentials.OfOneSize: lambda of: OfOneSize(of.potential),
    potentials.HypentropyOnNormal: lambda of: HypentropyOnNormal(of.beta),
    potentials.HypentropyOnGamma: lambda of: HypentropyOnGamma(of.beta, of.power),
    potentials.HypentropyOnBox: lambda of: HypentropyOnBox(of.beta),
    potentials.PowerOnBox: lambda of: PowerOnBox(of.potential),
    potentials.TabledPower: lambda of: TabledPower(of.table.p, of.quadratic, of.table.profile),
}
