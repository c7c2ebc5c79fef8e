r"""The O(M) linear algebra of the dual problem (theory section 5).

Unknowns :math:`u = (\beta, v_1, \dots, v_{M-1})`; see `dual_function` for their meaning. In them the linear form
:math:`\lambda^T y` has coefficients :math:`(y_1/(x_M - x_1),\ \text{first chord slope},\ \text{slope jumps of the linear
interpolant})`, and the Hessian :math:`\sum_s \int D_s(c)\, \nabla g_s \nabla g_s^T dc` is tridiagonal in
:math:`v_2, \dots, v_{M-1}` with a border of two: :math:`\beta` and :math:`v_1`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.activation import TwoSlope
from splinebias.solve.bordered import BorderedTridiagonal
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
        self.nodes, self.weights, self.piece = grid.nodes, grid.weights, grid.piece
        self.right = grid.share(x)
        self.left = 1 - self.right
        self.outside = np.flatnonzero((self.piece == 0) | (self.piece == x.size))
        self.left[self.outside] = self.right[self.outside] = 0.0

    @cached_property
    def tau(self) -> Array:
        """Derivative of the line with respect to beta, at the nodes."""
        return np.asarray((self.nodes - self.x[0]) / -self.span)

    @cached_property
    def line_factor(self) -> dict[int, Array]:
        """Per side, derivative of g with respect to the line, shape (N, 1); left of the data, G is the line itself."""
        p, q = self.activation.right, self.activation.left
        on_left = self.piece == 0
        return {1: np.where(on_left, p, q)[:, None], -1: np.where(on_left, -q, -p)[:, None]}

    @cached_property
    def _beyond(self) -> _Beyond:
        """Left and right of the data."""
        return _Beyond(
            self.weights[self.outside],
            (self.nodes[self.outside] - self.x[0]) / -self.span,
            {side: factor[self.outside] for side, factor in self.line_factor.items()},
        )

    @cached_property
    def _at_data(self) -> Array:
        """tau at the data, shape (M,)."""
        return np.asarray((self.x - self.x[0]) / -self.span)

    def _factor(self, side: int) -> float:
        """That of the line in g_side among the data."""
        return self.activation.left if side > 0 else -self.activation.right

    @property
    def sides_agree(self) -> bool:
        """Whether g_+ = g_- for all unknowns: densities may then be given as their sum, for side +1."""
        return self.free or self.activation.left == -self.activation.right

    def target(self, y: Array) -> Array:
        """Coefficients of lambda^T y in the unknowns."""
        slopes = np.diff(y) / self.steps
        bends = np.diff(slopes)
        return bends if self.free else np.concatenate([[y[0] / self.span, slopes[0]], bends])

    def values(self, u: Array) -> tuple[Array, float]:
        """Nodal values v (M,) and beta from the unknowns."""
        return (np.concatenate([[0.0], u, [0.0]]), 0.0) if self.free else (np.append(u[1:], 0.0), float(u[0]))

    def function(self, u: Array) -> DualFunction:
        """The unknowns as a function."""
        return DualFunction.of(self.x, u, self.activation, free=self.free)

    def evaluate(self, u: Array) -> dict[int, Array]:
        """g_+ and g_- at the nodes, each of the shape of the nodes."""
        v, beta = self.values(u)
        at, kinks = np.clip(self.piece - 1, 0, self.x.size - 2), self.activation.kink * v
        if self.free:
            hat = self._between(kinks, at)
            return {1: hat, -1: hat}
        line, found = v[0] + beta * self._at_data, {}
        for side, factor in self._beyond.factor.items():
            found[side] = self._between(kinks + self._factor(side) * line, at)
            found[side][self.outside] = factor * (v[0] + beta * self._beyond.tau)
        return found

    def _between(self, nodal: Array, at: NDArray[np.intp]) -> Array:
        """Linear interpolation of values at the data, shape (M,), at the nodes in intervals `at`."""
        values = nodal[at][:, None] * self.left
        values += nodal[at + 1][:, None] * self.right
        return np.asarray(values)

    def gather(self, density: dict[int, Array]) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc` for densities a at the nodes: the model's equations.

        This, `load` and `hessian` sum over the sides that are given.
        """
        return self._gathered(density, self._at_data, {1: self._factor(1), -1: self._factor(-1)}, self._beyond)

    def load(self, density: dict[int, Array]) -> Array:
        """Sizes of the terms that `gather` adds up, same shape."""
        sizes = {side: np.abs(a) for side, a in density.items()}
        factors = {side: abs(self._factor(side)) for side in (1, -1)}
        return self._gathered(sizes, np.abs(self._at_data), factors, self._beyond.sizes)

    def _gathered(self, density: dict[int, Array], tau: Array, factors: dict[int, float], beyond: _Beyond) -> Array:
        """Sums for `gather` and `load`: among data the line counts `factors` times, and is linear between `tau` there."""
        hats, line = np.zeros(self.x.size), np.zeros(2)
        for side, a in density.items():
            weighted = self.weights * a
            left, right = self._intervals(weighted * self.left), self._intervals(weighted * self.right)
            hats[:-1] += left
            hats[1:] += right
            if not self.free:
                line += factors[side] * np.array([tau[:-1] @ left + tau[1:] @ right, left.sum() + right.sum()])
                line += beyond.sums(side, a[self.outside])
        hats *= self.activation.kink
        if self.free:
            return np.asarray(hats[1:-1])
        hats[0] += line[1]
        return np.concatenate([line[:1], hats[:-1]])

    def hessian(self, density: dict[int, Array]) -> BorderedTridiagonal:
        r""":math:`\sum_s \int D_s \nabla_u g_s \nabla_u g_s^T dc` for densities D at the nodes."""
        kink, tau = self.activation.kink, self._at_data
        parts = {side: self._masses(d) for side, d in density.items()}
        left, across, right = (kink**2 * _sum(part[i] for part in parts.values()) for i in range(3))
        diagonal = np.append(left, 0.0) + np.append(0.0, right)
        if self.free:
            return BorderedTridiagonal(diagonal[1:-1], across[1:-1], np.zeros((0, diagonal.size - 2)), np.zeros((0, 0)))
        border, square = np.zeros((2, self.x.size)), np.zeros(3)
        for side, (left, mixed, right) in parts.items():
            factor, at_left, at_right = self._factor(side), left + mixed, mixed + right
            turned = tau[:-1] * left + tau[1:] * mixed, tau[:-1] * mixed + tau[1:] * right
            border[:, :-1] += kink * factor * np.stack([turned[0], at_left])
            border[:, 1:] += kink * factor * np.stack([turned[1], at_right])
            second = tau[:-1] @ turned[0] + tau[1:] @ turned[1]
            square += factor**2 * np.array([second, turned[0].sum() + turned[1].sum(), at_left.sum() + at_right.sum()])
            square += self._beyond.squares(side, density[side][self.outside])
        corner = np.array([[square[0], square[1] + border[0, 0]], [0.0, square[2] + 2 * border[1, 0] + diagonal[0]]])
        corner[1, 0] = corner[0, 1]
        border = border[:, 1:-1]
        if border.size:
            border[1, 0] += across[0]
        return BorderedTridiagonal(diagonal[1:-1], across[1:-1], border, corner)

    def _masses(self, density: Array) -> tuple[Array, Array, Array]:
        """Integrals of a density times products of the two hats on every interval, each of shape (M - 1,)."""
        weighted = self.weights * density
        on_left, on_right = weighted * self.left, weighted * self.right
        across = self._intervals(on_left * self.right)
        on_left *= self.left
        on_right *= self.right
        return self._intervals(on_left), across, self._intervals(on_right)

    def misfit(self, residual: Array, load: Array | float, y: Array) -> float:
        """Relative optimality residual: how far the equations are from holding, 0 to rounding.

        A bend is measured as the shift of one ordinate against its neighbours, relative to max |y|, slope and offset as
        shifts of the same size; or relative to the terms that balance in the equation (see `load`), if these are larger. A
        load of 0 gives an upper bound.
        """
        size = float(np.abs(y).max()) or 1.0
        scale = size * (1 / self.steps[:-1] + 1 / self.steps[1:])
        if not self.free:
            scale = np.concatenate([[size / self.span, size / self.steps[0]], scale])
        return float((np.abs(residual) / np.maximum(scale, load)).max(initial=0.0))

    def _intervals(self, per_node: Array) -> Array:
        """Sums over the data intervals, shape (M - 1,)."""
        rows = per_node @ np.ones(per_node.shape[1])
        sums: Array = np.bincount(self.piece, weights=rows, minlength=self.x.size + 1)  # type: ignore[assignment]
        return sums[1:-1]


class _Beyond(NamedTuple):
    """The rows beyond the data, where g is a multiple of the line.

    Attributes
    ----------
    weights, tau : Array, shape (n, q)
        Quadrature weights and the derivative of the line.
    factor : dict of Array, shape (n, 1)
        Per side, the multiple.
    """

    weights: Array
    tau: Array
    factor: dict[int, Array]

    @property
    def sizes(self) -> _Beyond:
        """With absolute values."""
        return _Beyond(self.weights, np.abs(self.tau), {side: np.abs(factor) for side, factor in self.factor.items()})

    def sums(self, side: int, density: Array) -> Array:
        """Integrals of the density times the derivatives of g by beta and v_1."""
        mass = self.weights * density * self.factor[side]
        return np.array([(mass * self.tau).sum(), mass.sum()])

    def squares(self, side: int, density: Array) -> Array:
        """The same with products of two of them: beta twice, both, v_1 twice."""
        mass = self.weights * density * self.factor[side] ** 2
        return np.array([(mass * self.tau**2).sum(), (mass * self.tau).sum(), mass.sum()])


class QuadraticSolution(NamedTuple):
    r"""Unknowns, the curvature densities they give per side, :math:`E[\alpha^2]`, and the relative optimality residual."""

    u: Array
    density: dict[int, Array]
    cost: float
    misfit: float


def solve_quadratic(system: DualSystem, zeta: dict[int, Array], y: Array) -> QuadraticSolution:
    """The quadratic problem with densities `zeta` at the nodes, with a step of iterative refinement."""
    target = system.target(y)
    hessian = system.hessian(zeta)
    best = QuadraticSolution(np.zeros_like(target), {side: np.zeros_like(system.left) for side in zeta}, 0.0, np.inf)
    residual = target
    for _ in range(2):
        u = best.u + hessian.solve(residual)
        g = system.evaluate(u)
        density = {side: zeta[side] * g[side] for side in zeta}
        made = system.gather(density)
        residual = target - made
        misfit = system.misfit(residual, 0.0, y)
        if misfit > _GOOD:
            misfit = system.misfit(residual, system.load(density), y)
        if not misfit < best.misfit:
            break
        best = QuadraticSolution(u, density, float(u @ made), misfit)
        if misfit < 1e-15:
            break
    return best


def _sum(terms: Iterable[Array]) -> Array:
    """The sum of one array or two."""
    first, *others = terms
    return np.asarray(first + others[0]) if others else first
