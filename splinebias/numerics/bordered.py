"""The tridiagonal system with its border, solved in linear time: the Hessians of the dual have this form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dptsv

from splinebias._array import Array


@dataclass(frozen=True, eq=False)
class BorderedTridiagonal:
    """Symmetric positive definite [[corner, border], [border^T, T]] with tridiagonal T, solved in O(size).

    Several matrices at once (axes in front) have products, and no solutions.

    Attributes
    ----------
    diagonal, off : Array, shape (..., m), (..., m - 1)
        T.
    border : Array, shape (..., k, m)
        Rows of the border, none or two.
    corner : Array, shape (..., k, k)
        The corner block.
    """

    diagonal: Array
    off: Array
    border: Array
    corner: Array

    def __add__(self, other: BorderedTridiagonal) -> BorderedTridiagonal:
        return BorderedTridiagonal(
            self.diagonal + other.diagonal, self.off + other.off, self.border + other.border, self.corner + other.corner
        )

    def __matmul__(self, u: Array) -> Array:
        """The product with one vector of length k + m each, shape (..., k + m)."""
        k = self.corner.shape[-1]
        head, rest = u[..., :k, None], u[..., k:]
        inner = self.diagonal * rest + (self.border.swapaxes(-1, -2) @ head)[..., 0]
        inner[..., :-1] += self.off * rest[..., 1:]
        inner[..., 1:] += self.off * rest[..., :-1]
        return np.concatenate([(self.corner @ head + self.border @ rest[..., None])[..., 0], inner], axis=-1)

    def dense(self) -> Array:
        """The matrix with all its zeros, shape (k + m, k + m)."""
        inner = np.diag(self.diagonal) + np.diag(self.off, 1) + np.diag(self.off, -1)
        return np.block([[self.corner, self.border], [self.border.T, inner]])

    def solve(self, rhs: Array) -> Array:
        """Solution for one right-hand side of length k + m; directions without any curvature get 0."""
        k = self.corner.shape[0]
        if self.diagonal.size == 0:
            return _solve_two(self.corner, rhs) if k else rhs
        inner = self._solve_tridiagonal(np.concatenate([self.border, rhs[None, k:]]))
        if k == 0:
            return np.asarray(inner[0])
        schur = self.corner - self.border @ inner[:k].T
        head = _solve_two(schur, rhs[:k] - self.border @ inner[k])
        solution = np.empty(rhs.size)
        solution[:k] = head
        np.matmul(head, inner[:k], out=solution[k:])
        np.subtract(inner[k], solution[k:], out=solution[k:])
        return solution

    def solve_rows(self, rhs: Array) -> Array:
        """Solutions for right-hand sides in rows, shape (N, k + m)."""
        k = self.corner.shape[0]
        if self.diagonal.size == 0:
            return np.array([self.solve(row) for row in rhs]).reshape(rhs.shape)
        inner = self._solve_tridiagonal(np.concatenate([self.border, rhs[:, k:]]))
        border, inner = inner[:k], inner[k:]
        if k == 0:
            return inner
        schur = self.corner - self.border @ border.T
        inverse = np.array([_solve_two(schur, unit) for unit in np.eye(2)])
        head = (rhs[:, :k] - inner @ self.border.T) @ inverse
        return np.concatenate([head, inner - head @ border], axis=1)

    def _solve_tridiagonal(self, rhs: Array) -> Array:
        """T^-1 times each of the rows `rhs`, which are overwritten, shape (r, m)."""
        if self.diagonal.size == 1:
            return np.asarray(rhs / self.diagonal[0] if self.diagonal[0] > 0 else 0.0 * rhs)
        *_, solved, failed = dptsv(self.diagonal, self.off, rhs.T, overwrite_b=True)
        return np.asarray(solved.T) if not failed else self._solve_singular(rhs)

    def _solve_singular(self, rhs: Array) -> Array:
        """T^-1 times rows where directions have no curvature, or T is singular to rounding: it spans more than 16 digits."""
        diagonal, off, dead = self.diagonal, self.off.copy(), self.diagonal <= 0
        if dead.any():
            diagonal = np.where(dead, 1.0, diagonal)
            off[dead[:-1] | dead[1:]] = rhs[:, dead] = 0.0
        scale = 1 / np.sqrt(diagonal)
        off *= scale[:-1]
        off *= scale[1:]
        rhs *= scale
        for ridge in (0.0, 1e-15, 1e-12, 1e-9):
            *_, solved, failed = dptsv(np.full(diagonal.size, 1.0 + ridge), off, rhs.T, overwrite_d=True)
            if not failed:
                return np.asarray(solved.T * scale)
        return np.asarray(rhs * scale)  # Jacobi step: still an ascent direction


def _solve_two(matrix: Array, rhs: Array) -> Array:
    """Least-norm solution of two equations after scaling to a diagonal of ones, where units do not matter.

    A direction whose curvature is below 1e-14 of the largest gets 0. Off the diagonal the mean of the two entries counts.
    """
    (a, upper), (lower, b) = matrix.tolist()
    first, second = (1 / math.sqrt(entry) if entry > 0 else 0.0 for entry in (a, b))
    (u, v), r = rhs.tolist(), (upper + lower) / 2 * first * second
    u, v = first * u, second * v
    if first and second:  # the eigenvectors of [[1, r], [r, 1]] are (1, 1) and (1, -1)
        least = 1e-14 * (1 + abs(r))
        total, difference = ((part / of if abs(of) > least else 0.0) for part, of in ((u + v, 1 + r), (u - v, 1 - r)))
        u, v = (total + difference) / 2, (total - difference) / 2
    return np.array([first * u, second * v])
