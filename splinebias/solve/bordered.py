"""Symmetric tridiagonal matrices with a border, solved in linear time: the Hessians of the dual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dptsv

from splinebias._check import Array


@dataclass(frozen=True, eq=False)
class BorderedTridiagonal:
    """Symmetric positive definite [[corner, border], [border^T, T]] with tridiagonal T, solved in O(size).

    Attributes
    ----------
    diagonal, off : Array, shape (m,), (m - 1,)
        T.
    border : Array, shape (k, m)
        Rows of the border.
    corner : Array, shape (k, k)
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
        """The product with one vector of length k + m."""
        k = self.corner.shape[0]
        head, rest = u[:k], u[k:]
        inner = self.diagonal * rest + self.border.T @ head
        inner[:-1] += self.off * rest[1:]
        inner[1:] += self.off * rest[:-1]
        return np.concatenate([self.corner @ head + self.border @ rest, inner])

    def solve(self, rhs: Array) -> Array:
        """Solution for one right-hand side of length k + m; directions without any curvature get 0."""
        k = self.corner.shape[0]
        if self.diagonal.size == 0:
            return _solve_small(self.corner, rhs)
        inner = self._solve_tridiagonal(np.concatenate([self.border, rhs[None, k:]]))
        if k == 0:
            return np.asarray(inner[0])
        schur = self.corner - self.border @ inner[:k].T
        head = _solve_small((schur + schur.T) / 2, rhs[:k] - self.border @ inner[k])
        return np.concatenate([head, inner[k] - head @ inner[:k]])

    def _solve_tridiagonal(self, rhs: Array) -> Array:
        """T^-1 times each of the rows `rhs`, which are overwritten, shape (r, m)."""
        if self.diagonal.size == 1:
            return np.asarray(rhs / self.diagonal[0] if self.diagonal[0] > 0 else 0.0 * rhs)
        diagonal, off, dead = self.diagonal, self.off.copy(), self.diagonal <= 0
        if dead.any():
            diagonal = np.where(dead, 1.0, diagonal)
            off[dead[:-1] | dead[1:]] = rhs[:, dead] = 0.0
        scale = 1 / np.sqrt(diagonal)
        off *= scale[:-1]
        off *= scale[1:]
        rhs *= scale
        for ridge in (0.0, 1e-15, 1e-12, 1e-9):  # rounding can make T singular where D spans more than 16 digits
            *_, solved, failed = dptsv(np.full(diagonal.size, 1.0 + ridge), off, rhs.T, overwrite_d=True)
            if not failed:
                return np.asarray(solved.T * scale)
        return np.asarray(rhs * scale)  # Jacobi step: still an ascent direction


def _solve_small(matrix: Array, rhs: Array) -> Array:
    """Least-norm solution after diagonal scaling, so that a dead direction gets 0 and units do not matter."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    scaled = matrix * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    alive = np.abs(values) > 1e-14 * np.abs(values).max(initial=0.0)
    parts = np.divide(vectors.T @ (scale * rhs), values, out=np.zeros_like(values), where=alive)
    return np.asarray(scale * (vectors @ parts))
