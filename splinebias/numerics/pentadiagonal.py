r"""Pentadiagonal symmetric systems :math:`T + \lambda P` for many numbers :math:`\lambda` at once, in linear time.

The loop runs over rows and every step of it over all :math:`\lambda`. Without pivoting this is stable where T and P are
positive semidefinite and :math:`\lambda` is no negative number: for complex :math:`\lambda` a multiple
:math:`e^{i\theta}` of the matrix has a definite real part, which bounds the growth of its factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array

Numbers = NDArray[Any]  # real or complex, as the lambda are


class Bands(NamedTuple):
    """A symmetric matrix of n rows by its diagonal and the two beside that, each of shape (n,), with zeros at the end."""

    diagonal: Array
    first: Array
    second: Array

    @classmethod
    def of(cls, diagonal: Array, first: Array, second: Array) -> Bands:
        """From diagonals of their own lengths."""
        size = diagonal.size
        return cls(diagonal, *(np.concatenate([off, np.zeros(size - off.size)]) for off in (first, second)))

    def __matmul__(self, u: Numbers) -> Numbers:
        """The product with columns `u`, shape (n, ...)."""
        along = (slice(None), *(None,) * (u.ndim - 1))
        product = self.diagonal[along] * u
        for shift, off in ((1, self.first), (2, self.second)):
            part = off[: off.size - shift][along] if off.size > shift else np.zeros((0, *u.shape[1:]))
            product[: part.shape[0]] += part * u[shift:]
            product[shift:] += part * u[: part.shape[0]]
        return product


@dataclass(frozen=True, eq=False)
class PentadiagonalFactors:
    r"""The factors :math:`L D L^T` of :math:`T + \lambda P` for K numbers :math:`\lambda`.

    Attributes
    ----------
    pivots, first, second : array, shape (n, K)
        D, and the two diagonals below that of L.
    """

    pivots: Numbers
    first: Numbers
    second: Numbers

    @classmethod
    def of(cls, t: Bands, p: Bands, numbers: Numbers) -> PentadiagonalFactors:
        r"""The factors for :math:`\lambda` = `numbers`, shape (K,)."""
        size = t.diagonal.size
        pivots, first, second = np.empty((3, size + 2, numbers.size), numbers.dtype)
        pivots[:2], first[:2], second[:2] = 1.0, 0.0, 0.0  # two rows of nothing before the first
        for i in range(size):
            below, under = first[i + 1], second[i]  # of the row before, and of that before it
            carried = pivots[i + 1] * below
            pivot = t.diagonal[i] + p.diagonal[i] * numbers - below * carried - under * under * pivots[i]
            pivots[i + 2] = pivot
            first[i + 2] = (t.first[i] + p.first[i] * numbers - second[i + 1] * carried) / pivot
            second[i + 2] = (t.second[i] + p.second[i] * numbers) / pivot
        return cls(pivots[2:], first[2:], second[2:])

    def solve(self, columns: Array) -> Numbers:
        """Solutions for the right-hand sides `columns`, shape (n, R) or (n, R, K): shape (n, R, K)."""
        size, count = self.pivots.shape
        u = np.zeros((size + 4, columns.shape[1], count), self.pivots.dtype)
        u[2:-2] = columns if columns.ndim == 3 else columns[:, :, None]
        for i in range(size):
            row = u[i + 2]
            if i > 0:
                row -= self.first[i - 1] * u[i + 1]
            if i > 1:
                row -= self.second[i - 2] * u[i]
        u[2:-2] /= self.pivots[:, None]
        for i in reversed(range(size)):
            row = u[i + 2]
            row -= self.first[i] * u[i + 3]
            row -= self.second[i] * u[i + 4]
        return u[2:-2]

    def traces(self, *matrices: Bands) -> Numbers:
        r"""The traces of :math:`(T + \lambda P)^{-1} X` for matrices X, shape (len(matrices), K).

        The five central diagonals of the inverse follow from the last row up: Hutchinson & de Hoog, Numer. Math. 47, 1985.
        """
        size, count = self.pivots.shape
        sums = np.zeros((len(matrices), count), self.pivots.dtype)
        below = beside = under = np.zeros(count, self.pivots.dtype)  # entries (i+1, i+1), (i+1, i+2) and (i+2, i+2)
        for i in reversed(range(size)):
            far = -self.first[i] * beside - self.second[i] * under
            near = -self.first[i] * below - self.second[i] * beside
            own = 1 / self.pivots[i] - self.first[i] * near - self.second[i] * far
            for row, x in enumerate(matrices):
                sums[row] += x.diagonal[i] * own
                sums[row] += 2 * x.first[i] * near
                sums[row] += 2 * x.second[i] * far
            below, beside, under = own, near, below
        return sums
