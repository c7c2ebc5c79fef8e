r"""Collocation at Radau points: one step of an implicit method of order 2s - 1 that is also an interpolant (Radau IIA).

A function with u(0) = 0 is represented on (0, 1) by its values at the s Radau points :math:`0 < c_1 < \dots < c_s = 1`;
its derivative there is `derivative` @ values. Source: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.5.

For what is smooth in s = t^(1/m) only, as after a start where a derivative is infinite, points and polynomials are those of
s, and u is :math:`s^m` times a polynomial. Derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import legendre
from scipy.special import roots_jacobi

from splinebias._array import Array


@dataclass(frozen=True, eq=False)
class Collocation:
    """Radau points on (0, 1) and what polynomials through them do.

    Attributes
    ----------
    points : Array, shape (s,)
        The points, increasing, as values of t^(1/m); the last is 1.
    integral : Array, shape (s, s)
        The Runge-Kutta matrix: integrals from 0 to the points of the polynomial that has given values at them.
    derivative : Array, shape (s, s)
        Its inverse: derivatives at the points of the polynomial that is 0 at 0 and has given values at them.
    root : float
        The m above, 1 for functions that are smooth in t.
    """

    points: Array
    integral: Array
    derivative: Array
    root: float = 1.0

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, stages: int, root: float = 1.0) -> Collocation:
        """The rule with this many points."""
        ends = np.zeros(stages + 1)
        ends[-2:] = -1.0, 1.0  # P_s - P_{s-1}
        x = np.sort(legendre.legroots(ends).real)
        x[:-1] -= legendre.legval(x[:-1], ends) / legendre.legval(x[:-1], legendre.legder(ends))
        x[-1] = 1.0
        integrals = legendre.legval(x, legendre.legint(np.eye(stages), lbnd=-1, axis=0)).T / 2
        powers = legendre.legvander(x, stages - 1)
        if root != 1:
            points, (nodes, weights) = (x + 1) / 2, _jacobi(stages + 1, root)
            values = legendre.legvander(2 * np.outer(points, nodes) - 1, stages - 1)
            integral = points[:, None] ** root * (np.einsum("k,ikj->ij", weights, values) @ np.linalg.inv(powers))
            return cls(points, integral, np.linalg.inv(integral), root)
        return cls((x + 1) / 2, integrals @ np.linalg.inv(powers), powers @ np.linalg.inv(integrals))

    def last_coefficient(self, values: Array) -> Array:
        """The highest Legendre coefficient of what has `values`, shape (s + 1, k), at 0 and at the points; shape (k,).

        Where coefficients decay, this bounds the error of the interpolant.
        """
        return np.asarray(self._series(values)[-1])

    def interpolated(self, values: Array, place: Array) -> Array:
        """The polynomial that has `values`, shape (s + 1, k), at 0 and at the points, evaluated at `place`, shape (n,)."""
        return np.asarray(legendre.legvander(2 * self._stretched(place) - 1, self.points.size) @ self._series(values))

    def mean_square(self, values: Array, place: float) -> float:
        """The mean over (0, place) of the squared length of the polynomial that has `values` at 0 and at the points."""
        nodes, weights = _jacobi(self.points.size + 1, self.root)
        return float(weights @ (self.interpolated(values, place * nodes**self.root) ** 2).sum(axis=1))

    def risen(self, values: Array, place: float) -> Array:
        """At `place`, what is 0 at 0 and has `values`, shape (s, k), at the points: with small relative errors near 0."""
        x, at = 2 * self.points - 1, 2 * self._stretched(place) - 1
        row = np.linalg.solve(legendre.legvander(x, x.size - 1).T, legendre.legvander(np.array([at]), x.size - 1)[0])
        return np.asarray(place * (row @ (values / self.points[:, None] ** self.root)))

    def _stretched(self, place: Any) -> Any:
        return place if self.root == 1 else place ** (1 / self.root)

    def _series(self, values: Array) -> Array:
        """Legendre coefficients, shape (s + 1, k), of the polynomial that has `values` at 0 and at the points."""
        x = np.r_[-1.0, 2 * self.points - 1]
        return np.asarray(np.linalg.solve(legendre.legvander(x, self.points.size), values))


def _jacobi(count: int, root: float) -> tuple[Array, Array]:
    r"""Nodes and weights on (0, 1) of the mean with density :math:`m s^{m-1}`: a Gauss rule."""
    x, weights = roots_jacobi(count, 0.0, root - 1)
    return (x + 1) / 2, weights / weights.sum()


def propagated(operators: Array, steps: Array) -> Array:
    r"""Linear equations :math:`\xi' = -(K_t\, \xi + g_t)`, :math:`\xi(0) = 0`, for many g at once.

    Where K and g have come to rest, :math:`\xi \to -K^{-1} g` for steps of any length: Radau IIA forgets fast modes.

    Parameters
    ----------
    operators : Array, shape (P, s, M, M)
        K at the stages of each of P steps, symmetric.
    steps : Array, shape (P,)
        Lengths of the steps.

    Returns
    -------
    Array, shape (P, s, M, M)
        The :math:`Z_{pi}` with :math:`\xi = -\sum_{pi} Z_{pi}\, g_{pi}` at the end of the last step.
    """
    stages, size = operators.shape[1], operators.shape[-1]
    a = Collocation.of(stages).integral
    found, carry = np.zeros_like(operators), np.eye(size)  # carry: the end in terms of the end of this step
    for step in range(steps.size - 1, -1, -1):
        scaled = steps[step] * a
        matrix = np.eye(stages * size) + np.einsum("ij,jkl->ikjl", scaled, operators[step]).reshape((stages * size,) * 2)
        last = np.zeros((size, stages, size))
        last[:, -1] = carry
        through = np.linalg.solve(matrix.T, last.reshape(size, -1).T).T.reshape(size, stages, size)
        found[step] = np.einsum("kil,ij->jkl", through, scaled)
        carry = through.sum(axis=1)
    return found
