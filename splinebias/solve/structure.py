r"""The O(M) linear algebra of the dual problem (theory section 5).

Unknowns :math:`u = (\beta, v_1, \dots, v_{M-1})`; see `dual_function` for their meaning. In them the linear form
:math:`\lambda^T y` has coefficients :math:`(y_1/(x_M - x_1),\ \text{first chord slope},\ \text{slope jumps of the linear
interpolant})`, and the Hessian :math:`\sum_s \int D_s(c)\, \nabla g_s \nabla g_s^T dc` is tridiagonal in
:math:`v_2, \dots, v_{M-1}` with a border of two: :math:`\beta` and :math:`v_1`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from splinebias._check import Array
from splinebias.activation import TwoSlope
from splinebias.solve.discretize import Nodes
from splinebias.solve.dual_function import DualFunction

_GOOD = 1e-13  # misfit that needs no second look


class DualSystem:
    """Basis functions of the unknowns at all quadrature nodes, with products in O(nodes + M).

    Parameters
    ----------
    x : Array, shape (M,)
        Data abscissae; every one is a cell edge.
    grid : Nodes
        The quadrature.
    activation : Activation
        Two-slope activation.
    free : bool
        Whether the affine part is free; then the unknowns are v_2, ..., v_{M-1} only.
    """

    def __init__(self, x: Array, grid: Nodes, activation: TwoSlope, *, free: bool) -> None:
        self.x, self.activation, self.free = x, activation, free
        self.steps = np.diff(x)
        self.span = float(x[-1] - x[0])
        self.weights, self.piece = grid.weights, grid.piece
        inside = ((self.piece > 0) & (self.piece < x.size))[:, None]
        share = grid.share(x)
        self.right = np.where(inside, share, 0.0)
        self.left = np.where(inside, 1 - share, 0.0)
        self.tau = -(grid.nodes - x[0]) / self.span  # derivative of the line with respect to beta
        p, q = activation.right, activation.left
        on_left = self.piece == 0  # there G is the line itself
        self.line_factor = {1: np.where(on_left, p, q)[:, None], -1: np.where(on_left, -q, -p)[:, None]}

    def target(self, y: Array) -> Array:
        """Coefficients of lambda^T y in the unknowns."""
        slopes = np.diff(y) / self.steps
        bends = np.diff(slopes)
        return bends if self.free else np.r_[y[0] / self.span, slopes[0], bends]

    def values(self, u: Array) -> tuple[Array, float]:
        """Nodal values v (M,) and beta from the unknowns."""
        return (np.r_[0.0, u, 0.0], 0.0) if self.free else (np.r_[u[1:], 0.0], float(u[0]))

    def function(self, u: Array) -> DualFunction:
        """The unknowns as a function."""
        return DualFunction.of(self.x, u, self.activation, free=self.free)

    def evaluate(self, u: Array) -> dict[int, Array]:
        """g_+ and g_- at the nodes, each of the shape of the nodes."""
        v, beta = self.values(u)
        at = np.clip(self.piece - 1, 0, self.x.size - 2)
        hat = self.activation.kink * (v[at, None] * self.left + v[at + 1, None] * self.right)
        if self.free:
            return {1: hat, -1: hat}
        line = v[0] + beta * self.tau
        return {side: hat + self.line_factor[side] * line for side in (1, -1)}

    def rounding(self, u: Array) -> float:
        """How well g is known among the data."""
        v, beta = self.values(u)
        return 2e-16 * (self.activation.kink * float(np.abs(v).max()) + abs(beta))

    def gather(self, density: dict[int, Array]) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc` for densities a at the nodes: the model's equations.

        This, `load` and `hessian` sum over the sides that are given.
        """
        weighted = {side: self.weights * a for side, a in density.items()}
        both = self.activation.kink * _sum(weighted.values())
        hats = self._hats(both * self.left, both * self.right)
        if self.free:
            return np.asarray(hats[1:-1])
        along = _sum(self.line_factor[side] * weighted[side] for side in weighted)
        hats[0] += along.sum()
        return np.concatenate([[(along * self.tau).sum()], hats[:-1]])

    def load(self, density: dict[int, Array]) -> Array:
        """Sizes of the terms that `gather` adds up, same shape."""
        weighted = {side: self.weights * np.abs(a) for side, a in density.items()}
        both = self.activation.kink * _sum(weighted.values())
        hats = self._hats(both * self.left, both * self.right)
        if self.free:
            return np.asarray(hats[1:-1])
        along = _sum(np.abs(self.line_factor[side]) * weighted[side] for side in weighted)
        hats[0] += along.sum()
        return np.concatenate([[(along * np.abs(self.tau)).sum()], hats[:-1]])

    def hessian(self, density: dict[int, Array]) -> BorderedTridiagonal:
        r""":math:`\sum_s \int D_s \nabla_u g_s \nabla_u g_s^T dc` for densities D at the nodes."""
        weighted = {side: self.weights * d for side, d in density.items()}
        kink = self.activation.kink
        both = kink**2 * _sum(weighted.values())
        diagonal = self._hats(both * self.left**2, both * self.right**2)
        off = self._intervals(both * self.left * self.right)
        if self.free:
            return BorderedTridiagonal(diagonal[1:-1], off[1:-1], np.zeros((0, diagonal.size - 2)), np.zeros((0, 0)))
        f = self.line_factor
        mixed = kink * _sum(f[side] * weighted[side] for side in weighted)
        square = _sum(f[side] ** 2 * weighted[side] for side in weighted)
        with_one = self._hats(mixed * self.left, mixed * self.right)
        with_tau = self._hats(mixed * self.left * self.tau, mixed * self.right * self.tau)
        border = np.stack([with_tau[1:-1], with_one[1:-1]])
        if border.size:
            border[1, 0] += off[0]
        corner = np.empty((2, 2))
        corner[0, 0] = (square * self.tau**2).sum()
        corner[0, 1] = corner[1, 0] = (square * self.tau).sum() + with_tau[0]
        corner[1, 1] = square.sum() + 2 * with_one[0] + diagonal[0]
        return BorderedTridiagonal(diagonal[1:-1], off[1:-1], border, corner)

    def misfit(self, residual: Array, load: Array | float, y: Array) -> float:
        """Relative optimality residual: how far the equations are from holding, 0 to rounding.

        A bend is measured as the shift of one ordinate against its neighbours, relative to max |y|, slope and offset as
        shifts of the same size; or relative to the terms that balance in the equation (see `load`), if these are larger. A
        load of 0 gives an upper bound.
        """
        size = float(np.abs(y).max()) or 1.0
        scale = size * (1 / self.steps[:-1] + 1 / self.steps[1:])
        if not self.free:
            scale = np.r_[size / self.span, size / self.steps[0], scale]
        return float((np.abs(residual) / np.maximum(scale, load)).max(initial=0.0))

    def _intervals(self, per_node: Array) -> Array:
        """Sums over the data intervals, shape (M - 1,)."""
        sums: Array = np.bincount(
            self.piece, weights=per_node @ np.ones(per_node.shape[1]), minlength=self.x.size + 1
        ).astype(float)
        return sums[1:-1]

    def _hats(self, left: Array, right: Array) -> Array:
        """Sums over the hat functions of all M data points from those of their two halves."""
        total = np.zeros(self.x.size)
        total[:-1] += self._intervals(left)
        total[1:] += self._intervals(right)
        return total


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
        inner = self._solve_tridiagonal(np.c_[self.border.T, rhs[k:]])
        if k == 0:
            return np.asarray(inner[:, 0])
        schur = self.corner - self.border @ inner[:, :k]
        head = _solve_small((schur + schur.T) / 2, rhs[:k] - self.border @ inner[:, k])
        return np.concatenate([head, inner[:, k] - inner[:, :k] @ head])

    def _solve_tridiagonal(self, rhs: Array) -> Array:
        if self.diagonal.size == 1:
            return np.asarray(rhs / self.diagonal[0] if self.diagonal[0] > 0 else 0.0 * rhs)
        dead = self.diagonal <= 0
        diagonal, off = np.where(dead, 1.0, self.diagonal), self.off.copy()
        off[dead[:-1] | dead[1:]] = 0.0
        scale = 1 / np.sqrt(diagonal)
        banded = np.zeros((2, diagonal.size))
        banded[0, 1:] = off * scale[:-1] * scale[1:]
        rhs = np.where(dead[:, None], 0.0, rhs) * scale[:, None]
        for ridge in (0.0, 1e-15, 1e-12, 1e-9):  # rounding can make T singular where D spans more than 16 digits
            banded[1] = 1.0 + ridge
            try:
                return np.asarray(solveh_banded(banded, rhs, check_finite=False) * scale[:, None])
            except LinAlgError:
                continue
        return np.asarray(rhs * scale[:, None])  # Jacobi step: still an ascent direction


def _solve_small(matrix: Array, rhs: Array) -> Array:
    """Least-norm solution after diagonal scaling, so that a dead direction gets 0 and units do not matter."""
    size = np.sqrt(np.abs(np.diag(matrix)))
    scale = np.where(size > 0, 1 / np.where(size > 0, size, 1.0), 0.0)
    scaled = matrix * np.outer(scale, scale)
    return np.asarray(scale * (np.linalg.pinv(scaled, rcond=1e-14, hermitian=True) @ (scale * rhs)))


class QuadraticSolution(NamedTuple):
    """Unknowns, the curvature densities they give per side, and their relative optimality residual."""

    u: Array
    density: dict[int, Array]
    misfit: float


def solve_quadratic(system: DualSystem, zeta: dict[int, Array], y: Array) -> QuadraticSolution:
    """The quadratic problem with densities `zeta` at the nodes, with a step of iterative refinement."""
    target = system.target(y)
    hessian = system.hessian(zeta)
    best = QuadraticSolution(np.zeros_like(target), {side: np.zeros_like(z) for side, z in zeta.items()}, np.inf)
    residual = target
    for _ in range(2):
        u = best.u + hessian.solve(residual)
        g = system.evaluate(u)
        density = {side: zeta[side] * g[side] for side in zeta}
        residual = target - system.gather(density)
        misfit = system.misfit(residual, 0.0, y)
        if misfit > _GOOD:
            misfit = system.misfit(residual, system.load(density), y)
        if not misfit < best.misfit:
            break
        best = QuadraticSolution(u, density, misfit)
        if misfit < 1e-15:
            break
    return best


def _sum(terms: Iterable[Array]) -> Array:
    """The sum of one array or two."""
    first, *others = terms
    return np.asarray(first + others[0]) if others else first
