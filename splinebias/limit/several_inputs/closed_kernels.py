r"""Kernels of several inputs in closed form, and the sums of kernel functions that limits are.

:math:`K(x, x') = E[\sigma(w \cdot x + b)\, \sigma(w \cdot x' + b)]` with :math:`\sigma(z) = m z + h |z|`, m and h
half the sum and half the difference of its slopes. For laws that do not change under :math:`(w, b) \to (-w, -b)`

.. math:: K = m^2\, E[z z'] + h^2\, E|z z'| .
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from splinebias._array import Array
from splinebias.activation import TwoSlope
from splinebias.limit.several_inputs.cubic_means import CubicMean

_AT_ONCE = 2_000_000  # pairs of points whose kernel is held together while sums are made


class InputKernel(ABC):
    """A kernel of points of d inputs.

    Attributes
    ----------
    cost : int
        Numbers held for a pair of points while a matrix is made, besides the matrix.
    """

    cost: int = 2

    @abstractmethod
    def matrix(self, x: Array, x2: Array) -> Array:
        """K at all pairs of points, (P, d) and (Q, d): shape (P, Q)."""

    @abstractmethod
    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        r"""The gradient of :math:`\sum_i \lambda_i K(\cdot, x_i)` at points (P, d), for centres (M, d): shape (P, d)."""

    def combination(self, x: Array, centres: Array, weights: Array) -> Array:
        r""":math:`\sum_i \lambda_i K(\cdot, x_i)` at points (P, d), shape (P,)."""
        return in_blocks(x, len(centres), lambda part: self.matrix(part, centres) @ weights)

    def gradient(self, x: Array, centres: Array, weights: Array) -> Array:
        """`slope`, a block of points at a time."""
        return in_blocks(x, len(centres), lambda part: self.slope(part, centres, weights))

    @property
    def modulo_affine(self) -> InputKernel:
        r"""One with the same sums up to affine functions if :math:`\sum \lambda_i = 0`, :math:`\sum \lambda_i x_i = 0`."""
        return self


def in_blocks(x: Array, others: int, made: object) -> Array:
    """`made` of blocks of points (P, d), put together along the first axis."""
    size = max(1, _AT_ONCE // max(others, 1))
    assert callable(made)
    return np.concatenate([made(x[first : first + size]) for first in range(0, max(len(x), 1), size)])


def sloped(
    moment: float, x: Array, centres: Array, weights: Array, gates: Array, pull: Callable[[Array, Array, Array], Array]
) -> Array:
    r"""The gradient of :math:`\sum_i \lambda_i E[a^2] (x \cdot x_i + 1) G(x, x_i)`, shape (P, d).

    `pull` gives :math:`\sum_i c_i \nabla G(\cdot, x_i)` for coefficients c of shape (P, M).
    """
    return moment * (gates @ (weights[:, None] * centres) + pull(x, centres, weights * (x @ centres.T + 1)))


@dataclass(frozen=True)
class ArcCosine(InputKernel):
    r"""w ~ N(0, s_w^2) in every input, b ~ N(0, s_b^2): with :math:`\tilde x = (s_w x, s_b)`, at angle :math:`\theta`,

    .. math:: E|z z'| = \tfrac{2}{\pi} \left(|\tilde x||\tilde x'| \sin\theta
              + (\tfrac{\pi}{2} - \theta)\, \tilde x \cdot \tilde x'\right), \qquad E[z z'] = \tilde x \cdot \tilde x'.

    Notes
    -----
    Cho & Saul, NeurIPS 2009 (arc-cosine kernel of degree 1).
    """

    activation: TwoSlope
    s_w: float
    s_b: float

    def matrix(self, x: Array, x2: Array) -> Array:
        dot, cross = self._parts(x, x2)
        theta = np.arctan2(cross, dot)
        theta -= math.pi / 2
        theta *= dot
        cross -= theta
        cross *= 2 / math.pi * self._half**2
        if self._mean:
            cross += self._mean**2 * dot
        return cross

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        dot, cross = self._parts(x, centres)
        toward = self._mean**2 + 2 / math.pi * self._half**2 * (math.pi / 2 - np.arctan2(cross, dot))
        along = 2 / math.pi * self._half**2 * (cross @ weights) / (self.s_w**2 * (x**2).sum(axis=1) + self.s_b**2)
        return np.asarray(self.s_w**2 * (toward @ (weights[:, None] * centres) + along[:, None] * x))

    def _parts(self, x: Array, x2: Array) -> tuple[Array, Array]:
        r"""The scalar product of :math:`\tilde x` and :math:`\tilde x'` and the area they span: no small angle cancels."""
        square, inner = (x**2).sum(axis=1)[:, None], x @ x2.T
        distance = cdist(x, x2, "sqeuclidean")
        area = square * distance
        area -= (inner - square) ** 2
        np.maximum(area, 0.0, out=area)
        area *= self.s_w**2
        area += self.s_b**2 * distance
        np.sqrt(area, out=area)
        area *= self.s_w
        inner *= self.s_w**2
        inner += self.s_b**2
        return inner, area

    @property
    def _mean(self) -> float:
        return (self.activation.right + self.activation.left) / 2

    @property
    def _half(self) -> float:
        return self.activation.kink / 2


@dataclass(frozen=True)
class UniformBiasKernel(InputKernel):
    r"""b ~ U(-B, B) and any symmetric law of w, at points with :math:`|w \cdot x| \le B` for all w:

    .. math:: E|z z'| = E[z z'] + \frac{E|w \cdot (x - x')|^3}{6B}, \qquad E[z z'] = s\, x \cdot x' + \frac{B^2}{3},

    s the second moment of a weight. Modulo affine functions that is the second term alone. Derived here.

    Attributes
    ----------
    activation : TwoSlope
        The activation.
    cubic : CubicMean
        The mean of :math:`|w \cdot z|^3`, the second moment and the reach of the law of w.
    half_width : float
        The B above.
    affine : bool
        Whether E[z z'] is part of it; False for `modulo_affine`.
    """

    activation: TwoSlope
    cubic: CubicMean
    half_width: float
    affine: bool = True

    def matrix(self, x: Array, x2: Array) -> Array:
        total = self.cubic.matrix(x, x2)
        total *= self.cubic_factor
        if self.affine:
            total += self.bilinear(x, x2)
        return total

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        total = self.cubic_factor * self.cubic.slope(x, centres, weights)
        return total + self._square * self.cubic.second_moment * (weights @ centres) if self.affine else total

    def bilinear(self, x: Array, x2: Array) -> Array:
        """The part of E[z z']: affine in either point, shape (P, Q)."""
        return np.asarray(self._square * (self.cubic.second_moment * (x @ x2.T) + self.half_width**2 / 3))

    def reached(self, x: Array) -> NDArray[np.bool_]:
        """Whether the formula holds at points (P, d)."""
        return np.asarray(self.cubic.reach(x) <= self.half_width * (1 + 4e-16))

    @property
    def modulo_affine(self) -> UniformBiasKernel:
        return UniformBiasKernel(self.activation, self.cubic, self.half_width, affine=False)

    @property
    def _square(self) -> float:
        return (self.activation.right**2 + self.activation.left**2) / 2  # m^2 + h^2

    @property
    def cubic_factor(self) -> float:
        """What the mean cube counts in the kernel."""
        return (self.activation.kink / 2) ** 2 / (6 * self.half_width)


@dataclass(frozen=True)
class PiecewiseKernel(InputKernel):
    """A closed form where it holds, a slower kernel for all other pairs."""

    closed: UniformBiasKernel
    other: InputKernel

    @property
    def cost(self) -> int:  # type: ignore[override]
        """The cost of the slower kernel."""
        return self.other.cost

    def matrix(self, x: Array, x2: Array) -> Array:
        return self.matrix_with(self.other.matrix, x, x2)

    def matrix_with(self, other: object, x: Array, x2: Array) -> Array:
        """K with `other` as the slower kernel's matrix."""
        near, near2 = self.closed.reached(x), self.closed.reached(x2)
        if near.all() and near2.all():
            return self.closed.matrix(x, x2)
        assert callable(other)
        total = np.empty((len(x), len(x2)))
        total[np.ix_(near, near2)] = self.closed.matrix(x[near], x2[near2])
        same = x is x2
        for rows, columns in ((near, ~near2), (~near, ~near2)) if same else ((near, ~near2), (~near, np.ones_like(near2))):
            if rows.any() and columns.any():
                one = x[rows]
                two = one if same and rows is not near else x2[columns]
                found = other(one, two)
                total[np.ix_(rows, columns)] = found if self.closed.affine else found - self.closed.bilinear(one, two)
        if same and near.any():
            total[np.ix_(~near, near)] = total[np.ix_(near, ~near)].T
        return total

    def slope(self, x: Array, centres: Array, weights: Array) -> Array:
        near, near2 = self.closed.reached(x), self.closed.reached(centres)
        total = np.zeros(x.shape)
        total[near] = self.closed.slope(x[near], centres[near2], weights[near2])
        for rows, columns in ((near, ~near2), (~near, np.ones_like(near2))):
            if rows.any() and columns.any():
                total[rows] += self.other.slope(x[rows], centres[columns], weights[columns])
                if not self.closed.affine:
                    pull = weights[columns] @ centres[columns]
                    total[rows] -= self.closed._square * self.closed.cubic.second_moment * pull
        return total

    @property
    def modulo_affine(self) -> PiecewiseKernel:
        return PiecewiseKernel(self.closed.modulo_affine, self.other)
