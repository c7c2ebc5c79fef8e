r"""The product of two units averaged over their bias: closed forms from upper partial moments of its law.

With :math:`z = u + b`, :math:`z' = u' + b`, slopes p (right) and q (left) of :math:`\sigma`, :math:`T_k(t) = E[B^k; B
> t]` and :math:`S(t) = E[z z'; B > t] = u u' T_0 + (u + u') T_1 + T_2`,

.. math:: E_b[\sigma(z) \sigma(z')] = (p^2 - pq)\, S(t_+) + (pq - q^2)\, S(t_-) + q^2 S(-\infty),
          \qquad t_\pm = -u, -u' \text{, the larger and the smaller}.

Its derivative by u is the same with :math:`E[z'; B > t]` in place of S: the terms from the ends vanish or cancel.
Derived here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.densities.scipy_parameters import law_name, shape_loc_scale
from splinebias.initialization.laws import Discrete, as_law


class BiasMoments(ABC):
    """The upper partial moments T of a law of biases."""

    @abstractmethod
    def above(self, t: Array) -> tuple[Array, Array, Array]:
        """T_0, T_1 and T_2 at `t`, each of its shape."""

    @property
    @abstractmethod
    def whole(self) -> tuple[float, float, float]:
        """The moments at minus infinity: 1, E[B], E[B^2]."""

    def products(self, activation: TwoSlope, u: Array, u2: Array) -> Array:
        """The average above for arrays that go together."""
        return self._combined(activation, u, u2, lambda t: u * u2 * t[0] + (u + u2) * t[1] + t[2])

    def slopes(self, activation: TwoSlope, u: Array, u2: Array) -> Array:
        """Its derivative by u."""
        return self._combined(activation, u, u2, lambda t: u2 * t[0] + t[1])

    def _combined(self, activation: TwoSlope, u: Array, u2: Array, made: Any) -> Array:
        p, q = activation.right, activation.left
        total = (p * p - p * q) * made(self.above(-np.minimum(u, u2)))
        if q:
            total = total + (p * q - q * q) * made(self.above(-np.maximum(u, u2))) + q * q * made(self.whole)
        return np.asarray(total)


@dataclass(frozen=True)
class UniformBias(BiasMoments):
    """B uniform on [lo, hi]."""

    lo: float
    hi: float

    def above(self, t: Array) -> tuple[Array, Array, Array]:
        t, length = np.clip(t, self.lo, self.hi), self.hi - self.lo
        return (self.hi - t) / length, (self.hi**2 - t**2) / (2 * length), (self.hi**3 - t**3) / (3 * length)

    def products(self, activation: TwoSlope, u: Array, u2: Array) -> Array:
        if activation.left or activation.right != 1:
            return super().products(activation, u, u2)
        hi = self.hi  # one half of the passes over memory: S(t) with its factor hi - t taken out
        t = np.minimum(u, u2)
        np.negative(t, out=t)
        np.clip(t, self.lo, hi, out=t)
        total = t + hi
        total *= (u + u2) / 2
        total += u * u2
        total += (t * (t + hi) + hi * hi) / 3
        np.subtract(hi, t, out=t)
        total *= t
        total /= hi - self.lo
        return total

    @property
    def whole(self) -> tuple[float, float, float]:
        lo, hi = self.lo, self.hi
        return 1.0, (lo + hi) / 2, (lo * lo + lo * hi + hi * hi) / 3

    def density(self, t: Array) -> Array:
        """The density of B at `t`."""
        return np.asarray(((self.lo < t) & (t < self.hi)) / (self.hi - self.lo))

    @property
    def half_width(self) -> float | None:
        """The B of a law U(-B, B), None for others."""
        return self.hi if abs(self.lo + self.hi) <= 4e-16 * self.hi else None


@dataclass(frozen=True)
class NormalBias(BiasMoments):
    """B ~ N(mean, deviation^2)."""

    mean: float
    deviation: float

    def above(self, t: Array) -> tuple[Array, Array, Array]:
        m, s = self.mean, self.deviation
        tau = (t - m) / s
        mass, density = ndtr(-tau), np.exp(-(tau**2) / 2) / math.sqrt(2 * math.pi)
        return mass, m * mass + s * density, m * m * mass + 2 * m * s * density + s * s * (mass + tau * density)

    def density(self, t: Array) -> Array:
        """The density of B at `t`."""
        tau = (t - self.mean) / self.deviation
        return np.asarray(np.exp(-(tau**2) / 2) / (self.deviation * math.sqrt(2 * math.pi)))

    @property
    def whole(self) -> tuple[float, float, float]:
        return 1.0, self.mean, self.mean**2 + self.deviation**2


@dataclass(frozen=True)
class DiscreteBias(BiasMoments):
    """B takes finitely many values."""

    law: Discrete

    def above(self, t: Array) -> tuple[Array, Array, Array]:
        sums = [np.zeros(np.shape(t)) for _ in range(3)]
        for value, mass in zip(self.law.values, self.law.probabilities, strict=True):
            there = value > t
            for k in range(3):
                sums[k] += mass * value**k * there
        return sums[0], sums[1], sums[2]

    @property
    def whole(self) -> tuple[float, float, float]:
        pairs = list(zip(self.law.values, self.law.probabilities, strict=True))
        return 1.0, math.fsum(v * p for v, p in pairs), math.fsum(v * v * p for v, p in pairs)


def bias_moments(given: Any) -> BiasMoments | None:
    """The partial moments of a law as the user wrote it, None where they have no closed form here."""
    law = as_law(given, "bias")
    if isinstance(law, Discrete):
        return DiscreteBias(law) if len(law.values) <= 16 else None
    if law_name(given) == "uniform":
        _, loc, scale = shape_loc_scale(given)
        return UniformBias(float(loc), float(loc + scale))
    if law_name(given) == "norm":
        _, loc, scale = shape_loc_scale(given)
        return NormalBias(float(loc), float(scale))
    return None
