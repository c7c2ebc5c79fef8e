r"""Collocation at Radau points: one step of an implicit method of order 2s - 1 that is also an interpolant (Radau IIA).

A function with u(0) = 0 is represented on (0, 1) by its values at the s Radau points :math:`0 < c_1 < \dots < c_s = 1`;
its derivative there is `derivative` @ values. Source: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

from splinebias._check import Array


@dataclass(frozen=True, eq=False)
class Collocation:
    """Radau points on (0, 1) and what polynomials through them do.

    Attributes
    ----------
    points : Array, shape (s,)
        The points, increasing; the last is 1.
    derivative : Array, shape (s, s)
        Derivatives at the points of the polynomial that is 0 at 0 and has given values at them: the inverse of the
        Runge-Kutta matrix.
    """

    points: Array
    derivative: Array

    @classmethod
    @lru_cache(maxsize=4)
    def of(cls, stages: int) -> Collocation:
        """The rule with this many points."""
        ends = np.zeros(stages + 1)
        ends[-2:] = -1.0, 1.0  # P_s - P_{s-1}
        x = np.sort(legendre.legroots(ends).real)
        x[:-1] -= legendre.legval(x[:-1], ends) / legendre.legval(x[:-1], legendre.legder(ends))
        x[-1] = 1.0
        integrals = legendre.legval(x, legendre.legint(np.eye(stages), lbnd=-1, axis=0)).T / 2
        derivative = legendre.legvander(x, stages - 1) @ np.linalg.inv(integrals)
        return cls((x + 1) / 2, derivative)

    def last_coefficient(self, values: Array) -> Array:
        """The highest Legendre coefficient of what has `values`, shape (s + 1, k), at 0 and at the points; shape (k,).

        Where coefficients decay, this bounds the error of the interpolant.
        """
        return np.asarray(self._series(values)[-1])

    def interpolated(self, values: Array, place: Array) -> Array:
        """The same polynomial at `place`, shape (n,): shape (n, k)."""
        return np.asarray(legendre.legvander(2 * place - 1, self.points.size) @ self._series(values))

    def risen(self, values: Array, place: float) -> Array:
        """At `place`, what is 0 at 0 and has `values`, shape (s, k), at the points: with small relative errors near 0."""
        x = 2 * self.points - 1
        row = np.linalg.solve(
            legendre.legvander(x, x.size - 1).T, legendre.legvander(np.array([2 * place - 1]), x.size - 1)[0]
        )
        return np.asarray(place * (row @ (values / self.points[:, None])))

    def _series(self, values: Array) -> Array:
        """Legendre coefficients, shape (s + 1, k)."""
        x = np.r_[-1.0, 2 * self.points - 1]
        return np.asarray(np.linalg.solve(legendre.legvander(x, self.points.size), values))
