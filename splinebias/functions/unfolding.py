r"""Unfolding: the coordinate of dual values in which curvature is smooth, defined here for every potential.

A dual value z makes the curvature :math:`u = (\phi')^{-1}(z)`, and neither that map nor its derivative need be smooth at
z = 0. Where z is linear in the breakpoint, curvature is therefore integrated, and kept, in a coordinate s of its own: odd
and increasing in z, with z(s) and u(z(s)) both smooth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from splinebias.potential import Hypentropy, Potential, Power, raised

_ROUNDED = 1e-9  # distance from a whole number that is rounding of the power
_HIGHEST = 30  # degree of a polynomial that quadratures are made for


@dataclass(frozen=True)
class Unfolding:
    r"""The coordinate s = u: good enough for any potential of which nothing else is known.

    Attributes
    ----------
    potential : Potential
        The :math:`\phi` above.
    """

    potential: Potential

    @staticmethod
    def of(potential: Potential, *, spread: bool = False) -> Unfolding:
        """The coordinate for a potential, by what is known of its kind; `spread`: for averages over a density of sizes."""
        if isinstance(potential, Power):
            return PowerUnfolding(potential, 2.0 if spread and potential.quadratic else 1.0)
        steep = potential.moment_order == math.inf and 0 < potential.hess_at_zero < math.inf
        return SteepUnfolding(potential) if steep or isinstance(potential, Hypentropy) else Unfolding(potential)

    def unfold(self, s: Any) -> tuple[Any, Any]:
        """The dual value z(s) and z'(s)."""
        return self.potential.grad(s), self.potential.hess(s)

    def fold(self, z: Any) -> Any:
        """The coordinate s of a dual value: inverse of `unfold`."""
        return self.potential.grad_inverse(z)

    def curvature(self, s: Any) -> Any:
        r"""The curvature :math:`u = (\phi')^{-1}(z(s))` at coordinates s."""
        return s * 1.0

    @property
    def degrees(self) -> tuple[int, int] | None:
        r"""Degrees in s > 0 of z(s) and of u(z(s)), or None if these are no polynomials."""
        return None

    @property
    def analytic(self) -> bool:
        """Whether u(z(s)), averages over sizes of weights included, is known to be analytic at s = 0 from either side."""
        return True

    @property
    def smooth(self) -> bool:
        """Whether z(s) and u(z(s)) are known to be smooth at s = 0 too: integrals need not be cut there."""
        return False


@dataclass(frozen=True)
class SteepUnfolding(Unfolding):
    """The coordinate s = z, for a curvature that grows exponentially from a positive slope."""

    def unfold(self, s: Any) -> tuple[Any, Any]:
        return s * 1.0, np.ones_like(s)

    def fold(self, z: Any) -> Any:
        return z * 1.0

    def curvature(self, s: Any) -> Any:
        return self.potential.grad_inverse(s)

    @property
    def smooth(self) -> bool:
        return isinstance(self.potential, Hypentropy)


@dataclass(frozen=True)
class PowerUnfolding(Unfolding):
    r"""The coordinate with :math:`u = s^m` for :math:`|u|^p + \varepsilon u^2`.

    m is such that :math:`z \sim s^{m(p-1)}` is smooth, or flat, at s = 0, too.

    Attributes
    ----------
    potential : Power
        The :math:`\phi` above.
    stretch : float
        A factor of m. Where sizes of weights have a density, averages over them are smooth at z = 0 from either side, but
        not analytic (the strip in log z is what is left). With twice the m and :math:`|u|^3 + u^2` they need 15 to 30
        Legendre coefficients from 0 to :math:`z = 10^{-1} \dots 10^3`, with a normal law, instead of 11 to over 70.
    """

    potential: Power
    stretch: float = 1.0

    @cached_property
    def exponents(self) -> tuple[float, float]:
        """m and m(p - 1)."""
        q = self.potential.p - 1
        if q < 1:  # then u is the flatter one: take s^1 for phi'
            m = 1 / q if q < 0.25 or _whole(1 / q) else 4 / q
        else:
            m = next((m for m in (1.0, 2.0, 3.0, 4.0) if _whole(m * q)), 4.0 if q < 2 else 3.0 if q < 5 else 1.0)
        m *= self.stretch
        return m, m * q

    def unfold(self, s: Any) -> tuple[Any, Any]:
        size, (m, q) = abs(s), self.exponents
        steep = self.potential.p * raised(size, q - 1)
        if not self.potential.quadratic:
            return s * steep, q * steep
        flat = 2 * self.potential.quadratic * (raised(size, m - 1) if m != 1 else 1.0)
        return s * (steep + flat), q * steep + m * flat

    def fold(self, z: Any) -> Any:
        u, m = self.potential.grad_inverse(z), self.exponents[0]
        return u if m == 1 else np.sign(u) * abs(u) ** (1 / m)

    def curvature(self, s: Any) -> Any:
        m = self.exponents[0]
        return s * 1.0 if m == 1 else np.sign(s) * raised(abs(s), m)

    @property
    def analytic(self) -> bool:
        return self.stretch == 1

    @cached_property
    def degrees(self) -> tuple[int, int] | None:
        m, q = self.exponents
        if not (_whole(m) and _whole(q)) or max(m, q) > _HIGHEST:
            return None
        return round(max(m, q) if self.potential.quadratic else q), round(m)

    @cached_property
    def smooth(self) -> bool:
        return all(_whole((odd - 1) / 2) for odd in self.exponents)


def _whole(number: float) -> bool:
    """Whether a number is whole, up to rounding of the power that it was computed from."""
    return abs(number - round(number)) < _ROUNDED
