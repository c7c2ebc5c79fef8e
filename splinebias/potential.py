r"""Mirror potentials: how the magnitude of curvature is penalized.

A potential :math:`\phi` is even, strictly convex and smooth away from zero. Descent with it is
:math:`\nabla\Phi(\theta^+) = \nabla\Phi(\theta) - \eta \nabla L(\theta)`, where

- *unscaled*, :math:`\Phi(\theta) = \sum_k \phi(\theta_k)`: the infinite-width limit minimizes
  :math:`E[\alpha^2]` whatever :math:`\phi` is (Jin & Montufar 2023; Liang & Montufar 2025);
- *scaled*, :math:`\Phi(\theta) = n^{-2} \sum_k \phi(n(\theta_k - \theta_k(0)))`: the limit
  minimizes :math:`E[D_\phi(\alpha, 0)]` (Liang & Montufar 2025, absolute-value networks).

Every body runs on numpy arrays and torch tensors alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from splinebias._arguments import keep_plain, known_keywords, namespace, real_number
from splinebias.errors import DataError

_NOTHING_ELSE = 1e60  # coefficient of u^2 beside which that of |u|^p is nothing
_LEAST_POWER = 1.001  # (phi')^-1 is a power of 1000 then
_LEAST_BETA = 1e-150  # below, squares of u/beta overflow
NEXT_TO_NOTHING = 1e-140  # the same the other way round: squares of less underflow


class Potential(ABC):
    r"""An even strictly convex :math:`\phi`, given by four maps; what else it has follows from them.

    A potential of one's own defines `value`, `grad`, `hess` and `grad_inverse`; the others may be overridden where they can
    be had more precisely, `moment_order` if :math:`\phi^*` grows faster than a square.

    Attributes
    ----------
    name : str
        What it is called in TOML files; empty: it cannot be written to them.
    """

    name: ClassVar[str] = ""

    @abstractmethod
    def value(self, u: Any) -> Any:
        r"""The potential :math:`\phi(u)` itself."""

    @abstractmethod
    def grad(self, u: Any) -> Any:
        r""":math:`\phi'(u)`, the mirror map."""

    @abstractmethod
    def hess(self, u: Any) -> Any:
        r""":math:`\phi''(u)`; may be 0 or infinite at u = 0."""

    @abstractmethod
    def grad_inverse(self, z: Any) -> Any:
        r""":math:`(\phi')^{-1}(z)`, the inverse mirror map."""

    def conjugate(self, z: Any) -> Any:
        r""":math:`\phi^*(z) = \sup_u uz - \phi(u)`, by Fenchel-Young equality at :math:`u = (\phi')^{-1}(z)`."""
        u = self.grad_inverse(z)
        return u * z - self.value(u)

    def bregman(self, u: Any, v: Any) -> Any:
        r"""Bregman divergence :math:`D_\phi(u, v) = \phi(u) - \phi(v) - \phi'(v)(u - v) \ge 0`."""
        return self.value(u) - self.value(v) - self.grad(v) * (u - v)

    def rescaled(self, size: float) -> tuple[Potential, float]:
        r"""Potential :math:`\hat\phi` and factor :math:`\kappa` with :math:`\phi(s u) = \kappa \hat\phi(u)`, s = `size`."""
        return _Rescaled(self, size), 1.0

    @property
    def moment_order(self) -> float:
        r"""Growth order of :math:`\phi^*`: the dual is finite if |W| and |B| have moments of this order.

        Infinity stands for an exponential moment.
        """
        return 2.0

    def cost(self, u: Any) -> Any:
        r""":math:`D_\phi(u, 0) = \phi(u) - \phi(0)`; override it where that cancels for small u."""
        return self.value(u) - float(self.value(np.float64(0.0)))

    @property
    def hess_at_zero(self) -> float:
        r""":math:`\phi''(0)`, possibly 0 or infinity."""
        return float(self.hess(np.float64(0.0)))

    @property
    def stiffness(self) -> float | None:
        r"""The :math:`\kappa` of :math:`\phi(u) = \phi(0) + \kappa u^2/2`, or None if :math:`\phi` is not of that form."""
        return None


@known_keywords
@dataclass(frozen=True)
class Quadratic(Potential):
    r""":math:`\phi(u) = u^2/2`: mirror descent with it is gradient descent."""

    name: ClassVar[str] = "quadratic"

    def value(self, u: Any) -> Any:
        return u * u / 2

    def grad(self, u: Any) -> Any:
        return u * 1.0

    def hess(self, u: Any) -> Any:
        return namespace(u).ones_like(u)

    def grad_inverse(self, z: Any) -> Any:
        return z * 1.0

    @property
    def stiffness(self) -> float | None:
        return 1.0


@known_keywords
@dataclass(frozen=True)
class Power(Potential):
    r""":math:`\phi(u) = |u|^p + \varepsilon u^2`.

    Parameters
    ----------
    p : float
        The exponent above, p > 1.
    quadratic : float
        The :math:`\varepsilon` above, >= 0. Mirror flow from a zero start needs
        :math:`0 < \phi''(0) < \infty`, hence :math:`\varepsilon > 0` when p > 2.

    Raises
    ------
    DataError
        If p <= 1 (not strictly convex), p < 1.001 (:math:`(\phi')^{-1}` leaves the range of doubles) or
        :math:`\varepsilon < 0`.
    """

    p: float
    quadratic: float = 0.0
    name: ClassVar[str] = "power"

    def __post_init__(self) -> None:
        keep_plain(self)
        fix = "|u|^p is strictly convex for p > 1 only; take e.g. p = 1.1"
        if real_number(self.p, "p", above=1, fix=fix) < _LEAST_POWER:
            raise DataError(
                f"`p` must be at least {_LEAST_POWER}, got {self.p!r}: |phi'|^(1/(p - 1)) leaves the range of doubles; "
                f"take p = {_LEAST_POWER}, with which curvature is as sparse as these can tell"
            )
        real_number(self.quadratic, "quadratic", at_least=0, fix="a negative quadratic part is not convex; take 0 or more")

    def value(self, u: Any) -> Any:
        return raised(abs(u), self.p) + self.quadratic * u * u

    def cost(self, u: Any) -> Any:
        return self.value(u)

    def grad(self, u: Any) -> Any:
        xp = namespace(u)
        return self.p * xp.sign(u) * raised(abs(u), self.p - 1) + 2 * self.quadratic * u

    def hess(self, u: Any) -> Any:
        if self.p == 2:
            return namespace(u).full_like(u, 2 + 2 * self.quadratic)
        with np.errstate(divide="ignore"):  # infinite at u = 0 when p < 2
            return self.p * (self.p - 1) * raised(abs(u), self.p - 2) + 2 * self.quadratic

    def rescaled(self, size: float) -> tuple[Potential, float]:
        with np.errstate(over="ignore", under="ignore"):
            quadratic = self.quadratic and float(self.quadratic * np.float64(size) ** (2 - self.p))  # 0 times infinity is 0
            if quadratic > _NOTHING_ELSE:
                return Quadratic(), float(2 * self.quadratic * np.float64(size) ** 2)
            return Power(self.p, quadratic), float(np.float64(size) ** self.p)

    @property
    def stiffness(self) -> float | None:
        return 2.0 + 2.0 * self.quadratic if self.p == 2 else None

    def grad_inverse(self, z: Any) -> Any:
        xp, p, eps = namespace(z), self.p, self.quadratic
        if p == 2:
            return z / (2 + 2 * eps)
        if p == 4 and eps > NEXT_TO_NOTHING:  # 4u^3 + 2 eps u = z with u = 2k sinh(theta), k^2 = eps/6
            k = (eps / 6) ** 0.5
            return 2 * k * xp.sinh(xp.asinh(z / (8 * k**3)) / 3)
        size = abs(z)
        if eps == 0:
            return xp.sign(z) * (size / p) ** (1 / (p - 1))
        if p == 3:  # 3u^2 + 2 eps u = z, root without cancellation
            return z / (eps + xp.sqrt(eps * eps + 3 * size))
        return xp.sign(z) * self._invert(size)

    @property
    def moment_order(self) -> float:
        return self.p / (self.p - 1) if self.p < 2 and self.quadratic == 0 else 2.0

    def _invert(self, size: Any) -> Any:
        r"""Solve :math:`p u^{p-1} + 2\varepsilon u = z` for z >= 0.

        In s = log u the logarithm of the left side is convex with slope between p - 1 and 1. Halley's method, from the
        larger of the two terms alone, where it is off by less than log 2; the step after one below 1e-6 would be rounding.
        """
        xp, p, eps = namespace(size), self.p, self.quadratic
        if 0 in size.shape:
            return size
        positive = size > 0
        log_z = xp.log(xp.where(positive, size, xp.ones_like(size)))
        rounding = 32 * xp.finfo(size.dtype).eps * (1 + abs(log_z))
        log_p, log_e = np.log(p), np.log(2 * eps)
        s = xp.minimum((log_z - log_p) / (p - 1), log_z - log_e)
        for _ in range(60):
            power, linear = log_p + (p - 1) * s, log_e + s
            less = xp.exp(-abs(power - linear))  # the smaller term over the larger one
            share = xp.where(power > linear, xp.ones_like(less), less) / (1 + less)  # of the power
            off = log_z - xp.maximum(power, linear) - xp.log1p(less)
            slope = 1 + (p - 2) * share
            step = off / (slope + off * ((p - 2) ** 2 * share * (1 - share)) / (2 * slope))
            s = s + step
            left = abs(step) - rounding / slope
            if float(left.max() if left.ndim else left) < 1e-6 / (1 + abs(p - 2)):
                break
        return xp.where(positive, xp.exp(s), xp.zeros_like(size))


@known_keywords
@dataclass(frozen=True)
class Hypentropy(Potential):
    r""":math:`\phi(u) = u\,\mathrm{asinh}(u/\beta) - \sqrt{u^2 + \beta^2}`, so :math:`(\phi')^{-1}(z) = \beta \sinh z`.

    Parameters
    ----------
    beta : float
        The :math:`\beta` above, at least 1e-150. Large: like :math:`u^2/(2\beta)`; small: curvature becomes sparse.
    """

    beta: float
    name: ClassVar[str] = "hypentropy"

    def __post_init__(self) -> None:
        keep_plain(self)
        fix = "beta is the scale at which phi turns from quadratic to u log u"
        if real_number(self.beta, "beta", above=0, fix=fix) < _LEAST_BETA:
            raise DataError(
                f"`beta` must be at least {_LEAST_BETA:g}, got {self.beta!r}: u/beta leaves the range of doubles; take e.g. "
                "beta = 1e-20, with which curvature is sparse, too"
            )

    def value(self, u: Any) -> Any:
        xp = namespace(u)
        return u * xp.asinh(u / self.beta) - self._root(u)

    def grad(self, u: Any) -> Any:
        return namespace(u).asinh(u / self.beta)

    def hess(self, u: Any) -> Any:
        return 1 / self._root(u)

    def _root(self, u: Any) -> Any:
        r""":math:`\sqrt{u^2 + \beta^2}`, without overflow."""
        xp = namespace(u)
        return xp.hypot(u, xp.full_like(u, self.beta))

    def grad_inverse(self, z: Any) -> Any:
        return self.beta * namespace(z).sinh(z)

    def rescaled(self, size: float) -> tuple[Potential, float]:
        return Hypentropy(self.beta / size), size

    def conjugate(self, z: Any) -> Any:
        return self.beta * namespace(z).cosh(z)

    @property
    def moment_order(self) -> float:
        return float("inf")

    def cost(self, u: Any) -> Any:
        xp = namespace(u)
        return u * xp.asinh(u / self.beta) - u * (u / (self._root(u) + self.beta))


@dataclass(frozen=True)
class _Rescaled(Potential):
    r""":math:`\hat\phi(u) = \phi(s u)`."""

    base: Potential
    size: float

    def value(self, u: Any) -> Any:
        return self.base.value(self.size * u)

    def grad(self, u: Any) -> Any:
        return self.size * self.base.grad(self.size * u)

    def hess(self, u: Any) -> Any:
        return self.size**2 * self.base.hess(self.size * u)

    def grad_inverse(self, z: Any) -> Any:
        return self.base.grad_inverse(z / self.size) / self.size

    def cost(self, u: Any) -> Any:
        return self.base.cost(self.size * u)

    @property
    def moment_order(self) -> float:
        return self.base.moment_order


@known_keywords
@dataclass(frozen=True)
class Scaled:
    r"""The scaled potential :math:`\Phi(\theta) = n^{-2} \sum_k \phi(n (\theta_k - \theta_k(0)))` of a width-n network.

    Parameters
    ----------
    base : Potential
        The :math:`\phi` above.

    Raises
    ------
    DataError
        If `base` is no potential, or not even.
    """

    base: Potential

    def __post_init__(self) -> None:
        if not isinstance(self.base, Potential):
            raise DataError(f"`base` must be a potential such as sb.Power(4, quadratic=1), got {self.base!r}")
        u = np.array([0.01, 0.3, 1.0, 3.0])
        with np.errstate(all="ignore"):
            values, mirrored = np.asarray(self.base.value(u)), np.asarray(self.base.value(-u))
        if (np.abs(values - mirrored) > 1e-6 * np.abs(values)).any():
            raise DataError(
                f"`base` must be even, got {self.base!r} with phi(1) = {values[2]:g} and phi(-1) = {mirrored[2]:g}; "
                "symmetrize it, e.g. phi(u) + phi(-u)"
            )


def raised(size: Any, exponent: float) -> Any:
    """size^exponent for size >= 0; whole exponents up to 16 by multiplication, which is ten times faster."""
    if not (1 <= exponent <= 16 and exponent == int(exponent)):
        return size**exponent
    if exponent == 1:
        return size * 1.0
    half = size if exponent < 4 else raised(size, exponent // 2)
    return half * half * size if exponent % 2 else half * half
