"""Activations and potentials written out once more, for the referee: nothing here calls the library's own bodies."""

from __future__ import annotations

from typing import Any

import numpy as np

import splinebias as sb

_EPS = 2.3e-16


def sigma(problem: sb.Problem, z: Any) -> Any:
    """The activation, written out once more."""
    act = problem.activation
    if isinstance(act, sb.ReLUPower):
        return (z * (z > 0)) ** act.power
    return z * np.where(z > 0, 1.0, {sb.ReLU: 0.0, sb.Abs: -1.0}.get(type(act), getattr(act, "slope", 0.0)))


def slope(problem: sb.Problem, z: Any) -> Any:
    """Its derivative."""
    act = problem.activation
    if isinstance(act, sb.ReLUPower):
        return act.power * (z * (z > 0)) ** (act.power - 1)
    return np.where(z > 0, np.ones_like(z), {sb.ReLU: 0.0, sb.Abs: -1.0}.get(type(act), getattr(act, "slope", 0.0)))


class Inverse:
    """The inverse of phi', its derivative, and D_phi(alpha, 0), written out once more; unscaled potentials act as u^2/2.

    It takes dual functions in a unit.
    """

    def __init__(self, problem: sb.Problem, unit: float) -> None:
        phi = problem.potential.base if isinstance(problem.potential, sb.Scaled) else sb.Quadratic()
        self.unit = unit
        self.phi, self.scaled = phi, isinstance(problem.potential, sb.Scaled)
        self.stiffness = 2 + 2 * phi.quadratic if isinstance(phi, sb.Power) and phi.p == 2 else 1.0
        self.linear = isinstance(phi, sb.Quadratic) or (isinstance(phi, sb.Power) and phi.p == 2)

    @np.errstate(all="ignore")
    def __call__(self, z: Any) -> tuple[Any, Any]:
        phi, unit = self.phi, self.unit
        if self.linear:
            return z * (unit / self.stiffness), np.full_like(z, unit / self.stiffness)
        if isinstance(phi, sb.Hypentropy):
            return phi.beta * np.sinh(unit * z), phi.beta * unit * np.cosh(unit * z)
        if phi.quadratic == 0:
            u = (unit / phi.p) ** (1 / (phi.p - 1)) * np.abs(z) ** (1 / (phi.p - 1))
            return np.sign(z) * u, np.where(z != 0, u / np.abs(z) / (phi.p - 1), 0.0)
        u = self._power(unit * np.abs(z), phi.p, phi.quadratic)
        stiff = phi.p * (phi.p - 1) * u ** (phi.p - 2) + 2 * phi.quadratic
        return np.sign(z) * u, np.where((u > 0) & (stiff > 0), unit / stiff, 0.0)

    @staticmethod
    def _power(z: Any, p: float, eps: float) -> Any:
        """The root u of p u^(p-1) + 2 eps u = z: Newton's method, which is monotone from the right bound on u."""
        half = 1 if p > 2 else 2
        u = np.minimum((z / (half * p)) ** (1 / (p - 1)), z / (half * 2 * eps))
        for _ in range(100):
            step = (p * u ** (p - 1) + 2 * eps * u - z) / (p * (p - 1) * u ** (p - 2) + 2 * eps)
            step = np.where(np.isfinite(step), step, 0.0)
            u = u - step
            if (np.abs(step) <= 4 * _EPS * u).all():
                break
        return u

    @np.errstate(all="ignore")
    def cost(self, u: Any) -> Any:
        """The Bregman divergence from 0; for unscaled potentials alpha squared."""
        if self.linear:
            return u * u * (self.stiffness / 2 if self.scaled else 1.0)
        if isinstance(self.phi, sb.Hypentropy):
            ratio = u / self.phi.beta
            return self.phi.beta * (ratio * np.arcsinh(ratio) - ratio * (ratio / (np.hypot(ratio, 1) + 1)))
        return np.abs(u) ** self.phi.p + self.phi.quadratic * u * u
