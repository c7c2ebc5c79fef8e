r"""Means :math:`E|w \cdot z|^3` and :math:`E|w \cdot z|` of laws of w in d inputs: on the sphere, and in the cube.

In the cube :math:`w_i \sim U(-a, a)`; with :math:`a_i = a |z_i|` in falling order, :math:`c = \sum_{i \ge 2} a_i w_i
/ a`, averaging over :math:`w_1` leaves a polynomial and a remainder where |c| > a_1,

.. math:: E|w \cdot z|^3 = \frac{a_1^4 + 6 a_1^2 E c^2 + E c^4}{4 a_1} - \frac{1}{2 a_1} E[c - a_1]_+^4,

which nothing cancels in: for d = 2 the remainder is 0. In the same way

.. math:: E|w \cdot z| = \frac{a_1^2 + E c^2}{2 a_1} - \frac{1}{a_1} E[c - a_1]_+^2 .

Derived here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from splinebias._array import Array
from splinebias.numerics.legendre import gauss_legendre

_SMALL = 0.01  # of the largest a_i: smaller ones are averaged by a Gauss rule, larger ones in closed form


class CubicMean(ABC):
    r"""The mean above for one law of w.

    Attributes
    ----------
    second_moment : float
        That of one weight.
    """

    second_moment: float

    @abstractmethod
    def matrix(self, x: Array, x2: Array) -> Array:
        """The mean at all differences of points, (P, d) and (Q, d): a fresh array of shape (P, Q)."""

    @abstractmethod
    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        r"""The gradient of :math:`\sum_i \lambda_i E|w \cdot (x - x_i)|^3`, shape (P, d)."""

    @abstractmethod
    def absolute(self, x: Array, x2: Array) -> Array:
        r""":math:`E|w \cdot (x - x')|` at all pairs of points, shape (P, Q)."""

    @abstractmethod
    def absolute_slope(self, x: Array, centres: Array, coefficients: Array) -> Array:
        r"""The gradients :math:`\sum_i c_{pi} \nabla E|w \cdot (x_p - x_i)|`, for coefficients (P, M): shape (P, d)."""

    @abstractmethod
    def reach(self, x: Array) -> Array:
        r"""The largest :math:`|w \cdot x|` at points (P, d), shape (P,)."""


@dataclass(frozen=True)
class SphereCubic(CubicMean):
    r"""w uniform on the unit sphere: :math:`c_d |z|^3`, :math:`c_d = \Gamma(d/2)/(\sqrt\pi\, \Gamma((d+3)/2))`."""

    inputs: int

    @property
    def second_moment(self) -> float:  # type: ignore[override]
        """The second moment of one weight, 1/d."""
        return 1 / self.inputs

    @property
    def constant(self) -> float:
        r"""The number :math:`c_d = \Gamma(d/2)/(\sqrt\pi\, \Gamma((d + 3)/2))`: E|w . z|^3 is this times |z|^3."""
        return math.exp(gammaln(self.inputs / 2) - gammaln((self.inputs + 3) / 2)) / math.sqrt(math.pi)

    def matrix(self, x: Array, x2: Array) -> Array:
        cube = cdist(x, x2)
        cube *= self.constant * np.square(cube)
        return np.asarray(cube)

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        distance = cdist(x, centres)
        pulled = (distance @ weights)[:, None] * x - distance @ (weights[:, None] * centres)
        return np.asarray(3 * self.constant * pulled)

    def absolute(self, x: Array, x2: Array) -> Array:
        return self._absolute_constant * np.asarray(cdist(x, x2))

    def absolute_slope(self, x: Array, centres: Array, coefficients: Array) -> Array:
        distance = cdist(x, centres)
        shares = np.divide(coefficients, distance, out=np.zeros_like(distance), where=distance > 0)
        return np.asarray(self._absolute_constant * (shares.sum(axis=1)[:, None] * x - shares @ centres))

    @property
    def _absolute_constant(self) -> float:
        r""":math:`E|w_1| = \Gamma(d/2)/(\sqrt\pi\, \Gamma((d+1)/2))`."""
        return math.exp(gammaln(self.inputs / 2) - gammaln((self.inputs + 1) / 2)) / math.sqrt(math.pi)

    def reach(self, x: Array) -> Array:
        return np.asarray(np.linalg.norm(x, axis=1))


@dataclass(frozen=True)
class CubeCubic(CubicMean):
    r"""Independent :math:`w_i \sim U(-a, a)`, a = `half_width`."""

    inputs: int
    half_width: float

    @property
    def second_moment(self) -> float:  # type: ignore[override]
        """The second moment of one weight, a^2/3."""
        return self.half_width**2 / 3

    def matrix(self, x: Array, x2: Array) -> Array:
        return self._mean(np.abs(x[:, None] - x2))

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        z = x[:, None] - centres
        return np.asarray(
            np.einsum("pq,pqi->pi", np.broadcast_to(weights, z.shape[:2]), np.sign(z) * self._partial(np.abs(z)))
        )

    def absolute(self, x: Array, x2: Array) -> Array:
        a = -np.sort(-self.half_width * np.abs(x[:, None] - x2), axis=-1)
        return self._absolute_mean(a[..., 0], a[..., 1:])

    def absolute_slope(self, x: Array, centres: Array, coefficients: Array) -> Array:
        z = x[:, None] - centres
        order = np.argsort(-np.abs(z), axis=-1)
        a = np.take_along_axis(self.half_width * np.abs(z), order, axis=-1)
        first, rest = a[..., 0], a[..., 1:]
        found = np.empty_like(a)
        found[..., 0] = first - self._absolute_mean(first, rest)
        found[..., 1:] = rest / 3
        if self.inputs > 2:
            found[..., 0] += 2 * _excess(rest, first, 1)
            for i in range(rest.shape[-1]):
                found[..., i + 1] -= 2 * _turned(rest, i, first, 1)
        found = np.divide(found, first[..., None], out=np.zeros_like(found), where=first[..., None] > 0)
        back = np.empty_like(found)
        np.put_along_axis(back, order, self.half_width * found, axis=-1)
        return np.asarray(np.einsum("pq,pqi->pi", coefficients, np.sign(z) * back))

    def _absolute_mean(self, first: Array, rest: Array) -> Array:
        """E|w z| for the largest a|z_i| and the others, in falling order."""
        total = first**2 + _moments(rest)[0]
        if self.inputs > 2:
            total = total - 2 * _excess(rest, first, 2)
        return np.divide(total, 2 * first, out=np.zeros_like(first), where=first > 0)

    def reach(self, x: Array) -> Array:
        return np.asarray(self.half_width * np.abs(x).sum(axis=1))

    def _mean(self, size: Array) -> Array:
        """The mean for |z|, shape (..., d)."""
        a = -np.sort(-self.half_width * size, axis=-1)
        first, rest = a[..., 0], a[..., 1:]
        second, fourth = _moments(rest)
        whole = first**4 + 6 * first**2 * second + fourth
        if self.inputs > 2:
            whole = whole - 2 * _excess(rest, first, 4)
        return np.divide(whole, 4 * first, out=np.zeros_like(first), where=first > 0)

    def _partial(self, size: Array) -> Array:
        """Derivatives of the mean by every |z_i|, of the shape of `size`, (..., d)."""
        order = np.argsort(-size, axis=-1)
        a = np.take_along_axis(self.half_width * size, order, axis=-1)
        first, rest = a[..., 0], a[..., 1:]
        second, fourth = _moments(rest)
        found = np.empty_like(a)
        found[..., 0] = 3 * first**4 + 6 * first**2 * second - fourth
        found[..., 1:] = (
            first[..., None] * rest * (4 * first[..., None] ** 2 + 4 * second[..., None] - 4 * rest**2 * (2 / 15))
        )
        if self.inputs > 2:
            found[..., 0] += 2 * _excess(rest, first, 4) + 8 * first * _excess(rest, first, 3)
            for i in range(rest.shape[-1]):
                found[..., i + 1] -= 8 * first * _turned(rest, i, first)
        scale = 4 * first[..., None] ** 2
        found = self.half_width * np.divide(found, scale, out=np.zeros_like(found), where=scale > 0)
        back = np.empty_like(found)
        np.put_along_axis(back, order, found, axis=-1)
        return back


def _moments(a: Array) -> tuple[Array, Array]:
    r"""E c^2 and E c^4 of :math:`c = \sum_i a_i w_i`, w_i ~ U(-1, 1)."""
    square = (a**2).sum(axis=-1)
    return square / 3, square**2 / 3 - (2 / 15) * (a**4).sum(axis=-1)


def _excess(a: Array, s: Array, power: int) -> Array:
    r""":math:`E[\sum_i a_i w_i - s]_+^{power}`, a (..., k) in falling order and s (...) at least a_1."""
    if a.shape[-1] == 0:
        return np.maximum(-s, 0.0) ** power
    last, others = a[..., -1], a[..., :-1]
    small = last <= _SMALL * np.maximum(np.abs(s), a[..., 0])
    total = np.zeros(s.shape)
    if small.any():
        nodes, weights = gauss_legendre(8)
        for xi, weight in zip(2 * nodes - 1, weights, strict=True):
            total[small] += weight * _excess(others[small], s[small] - xi * last[small], power)
    if not small.all():
        big = ~small
        one, two = (_excess(others[big], s[big] + sign * last[big], power + 1) for sign in (-1, 1))
        total[big] = (one - two) / (2 * last[big] * (power + 1))
    return total


def _turned(a: Array, i: int, s: Array, power: int = 3) -> Array:
    r""":math:`E[w_i\, [\sum_j a_j w_j - s]_+^{power}]`, by a Gauss rule or by parts in :math:`w_i`."""
    mine, others = a[..., i], np.delete(a, i, axis=-1)
    total = np.zeros(s.shape)
    small = mine <= _SMALL * np.abs(s)
    if small.any():
        nodes, weights = gauss_legendre(8)
        for xi, weight in zip(2 * nodes - 1, weights, strict=True):
            total[small] += weight * xi * _excess(others[small], s[small] - xi * mine[small], power)
    if not small.all():
        big = ~small
        a, s, mine, others = a[big], s[big], mine[big], others[big]
        ends = (_excess(others, s - mine, power + 1) + _excess(others, s + mine, power + 1)) / 2
        total[big] = (ends - _excess(a, s, power + 1)) / ((power + 1) * mine)
    return total
