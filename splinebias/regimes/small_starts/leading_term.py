r"""The leading term of a network that starts at almost zero, as a function on the circle of directions of its neurons.

With :math:`u = (\cos\theta, \sin\theta)`, data weights m and :math:`\sigma(z) = \kappa_\pm z^p` to leading order for
:math:`\pm z > 0`,

.. math:: Q(\theta) = \sum_i m_i y_i\, \kappa_\pm (u \cdot (x_i, 1))^p.

On a sector of directions between two data, :math:`u \cdot (x_i, 1) = 0`, Q is a trigonometric polynomial of degree p.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from splinebias._array import Array
from splinebias.activation import Activation, Homogeneous, Smooth
from splinebias.data import Dataset
from splinebias.errors import CapabilityError, DataError

_TURN = 2 * math.pi


@dataclass(frozen=True, eq=False)
class LeadingTerm:
    r"""The Q above.

    Attributes
    ----------
    x, pull : Array, shape (M,)
        Abscissae, and :math:`m_i y_i`.
    power : int
        The p above: multiplicity of a smooth activation, degree of a homogeneous one.
    right, left : float
        The :math:`\kappa_+` and :math:`\kappa_-` above.
    """

    x: Array
    pull: Array
    power: int
    right: float
    left: float

    @classmethod
    def of(cls, data: Dataset, activation: Activation) -> LeadingTerm:
        """The leading term of networks on `data`; refused where no power of the activation is known to lead."""
        pull = data.weights * data.y
        if isinstance(activation, Smooth):
            power, right = activation.multiplicity, activation.leading
            left = right
        elif isinstance(activation, Homogeneous):
            power = activation.degree
            right, left = float(activation.value(1.0)), float(activation.value(-1.0)) * (-1) ** power
        else:
            raise CapabilityError(
                f"condensation needs an activation of known multiplicity, got {activation!r}; take sb.Tanh(), sb.ReLU(), or "
                "subclass splinebias.activation.Smooth with `multiplicity` and `leading`"
            )
        term = cls(data.x, pull, power, right, left)
        if np.abs(term.value(np.linspace(0, _TURN, 8 * (power + data.size)))).max() <= term.rounding:
            raise DataError(
                f"condensation needs y with sum m y (u.(x, 1))^{power} != 0 for some direction u, got none: this power of "
                f"{activation} does not see the data; change y or take an activation of another multiplicity"
            )
        return term

    @property
    def smooth(self) -> bool:
        """Whether both sides are the same polynomial, so that there is one sector only."""
        return self.right == self.left

    @property
    def rounding(self) -> float:
        """How large values of Q may be that are zero: a few thousand roundings of its terms."""
        sizes = np.abs(self.pull) * np.hypot(self.x, 1) ** self.power
        return float(1e-12 * sizes.sum() * max(abs(self.right), abs(self.left)))

    @property
    def boundaries(self) -> Array:
        """Directions in [0, 2 pi) at which a datum changes sides, increasing; none for smooth terms."""
        if self.smooth:
            return np.zeros(0)
        return np.unique(np.r_[-np.arctan(self.x), math.pi - np.arctan(self.x)] % _TURN)

    def value(self, theta: Array) -> Array:
        """Q, shape of `theta` (radians)."""
        z, sides, _ = self._terms(theta)
        return np.asarray((sides * _whole_power(z, self.power)) @ self.pull)

    def slope(self, theta: Array) -> Array:
        """The derivative of Q in the angle, shape of `theta`; at a boundary one of the two one-sided ones."""
        z, sides, across = self._terms(theta)
        return np.asarray(self.power * ((sides * _whole_power(z, self.power - 1) * across) @ self.pull))

    def _terms(self, theta: Array) -> tuple[Array, Array, Array]:
        """u.(x, 1), the coefficient of its side, and its derivative in the angle, shape (..., M) each."""
        cos, sin = np.cos(theta)[..., None], np.sin(theta)[..., None]
        z = cos * self.x + sin
        return z, np.where(z > 0, self.right, self.left), cos - sin * self.x

    def critical_directions(self) -> Array:
        """Directions in [0, 2 pi) where the slope is zero or changes sides, increasing."""
        edges = self.boundaries
        if not edges.size:
            return self._roots(0.0, _TURN, math.pi)
        upper = np.r_[edges[1:], edges[0] + _TURN]
        inner = [self._roots(lo, hi, (lo + hi) / 2) for lo, hi in zip(edges, upper, strict=True)]
        roots = np.concatenate(inner) % _TURN
        apart = np.abs((roots[:, None] - edges + math.pi) % _TURN - math.pi).min(axis=1) > 1e-9  # else it is the edge itself
        return np.sort(np.r_[edges, roots[apart]])

    def _roots(self, lo: float, hi: float, inside: float) -> Array:
        r"""Zeros in [lo, hi) of the slope that the sector of the direction `inside` has, continued beyond it.

        That slope is :math:`\sum_{|k| \le p} c_k e^{ik\theta}`: its zeros are those roots of a polynomial of degree 2p in
        :math:`e^{i\theta}` that lie on the unit circle.
        """
        p = self.power
        _, sides, _ = self._terms(np.asarray(inside))
        sector = LeadingTerm(self.x, self.pull * sides, p, 1.0, 1.0)
        coefficients = np.fft.fft(sector.slope(np.arange(2 * p + 1) * _TURN / (2 * p + 1)))
        series = np.r_[coefficients[p + 1 :], coefficients[: p + 1]]  # c_{-p} to c_p
        size = np.abs(series).max()
        if size <= 1e-13 * (np.abs(sector.pull) * np.hypot(self.x, 1) ** p).sum():
            return np.zeros(0)  # constant there
        series[np.abs(series) < 1e-14 * size] = 0
        roots = np.roots(series[::-1])
        angles = np.angle(roots[np.abs(np.abs(roots) - 1) < 1e-6])
        angles = (angles - lo) % _TURN
        angles = np.unique(np.where(angles < _TURN, angles, 0.0) + lo)  # -1e-17 modulo a turn is a turn
        return sector._completed(angles[angles < hi], lo, hi)

    def _completed(self, roots: Array, lo: float, hi: float) -> Array:
        """The zeros of a smooth slope with those sign changes that a polynomial solver missed.

        Where all data lie in nearly one direction, p - 1 roots coincide across from it and leave the unit circle by the
        (p - 1)-th root of rounding; the sign still changes there.
        """
        grid = np.linspace(lo, hi, 64 * self.power + 1)
        slope = self.slope(grid)
        jumps = np.flatnonzero(slope[:-1] * slope[1:] < 0)
        near = np.searchsorted(roots, grid)
        missed = jumps[near[jumps] == near[jumps + 1]]
        left, right, sign = grid[missed], grid[missed + 1], np.sign(slope[missed])
        for _ in range(50):
            middle = (left + right) / 2
            same = np.sign(self.slope(middle)) == sign
            left, right = np.where(same, middle, left), np.where(same, right, middle)
        return np.unique(np.r_[roots, (left + right) / 2])


def _whole_power(z: Array, power: int) -> Array:
    """z^power by products: a tenth of the time that numpy takes for z**3."""
    found = np.ones_like(z)
    for _ in range(power):
        found = found * z
    return found
