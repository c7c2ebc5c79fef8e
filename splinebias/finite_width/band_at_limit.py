r"""What one neuron more or less does to the function of a wide network: its influence (theory section 7).

With :math:`S(x) = \sigma(wx + b)`, :math:`H = E[S_X S_X^T/\phi''(\alpha)]` and :math:`C(x) = E[S(x) S_X/\phi''(\alpha)]`,

.. math:: f_n(x) - f(x) = \frac1n \sum_k (u(x; w_k, b_k) - E u(x)) + O(1/n), \qquad
          u(x; w, b) = (S(x) - C(x)^T H^{-1} S_X)\, \alpha(w, b).

For two slopes a neuron with breakpoint c and sign s has :math:`S(x) = |w|\, \sigma(s(x - c))`; as a function of c that is
the value interpolated linearly between two neighbouring data points plus a tent :math:`T_x` which does not depend on s.
Interpolation survives :math:`S - C^T H^{-1} S_X` untouched, so

.. math:: u = |w|\, \alpha\, \psi_s(x; c), \qquad \psi_s(x; \cdot) = T_x - (\text{projection of } T_x),

onto the dual functions, orthogonal for the weight :math:`E[w^2/\phi''(\alpha) \mid c, s]`. Nothing is subtracted that is
large, and u = 0 at the data, because there the tent is 0. The projection is a bordered tridiagonal system (section 5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from splinebias._arguments import Array
from splinebias.finite_width.influence_reach import grid_of_squares
from splinebias.functions.unfolding import Unfolding
from splinebias.initialization import breakpoints
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations, DualSystem
from splinebias.limit.dual.objective import IntegratedDual
from splinebias.limit.dual.panel_refinement import PanelGrid
from splinebias.limit.posed_problem import PosedProblem
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.cells import Cells
from splinebias.potential import Potential, Quadratic
from splinebias.problem import Problem

NO_SHIFT = "the mean shift is known for infinite time, two slopes and Standard() networks only"
_ORDER = 16  # nodes per cell, where zeta is no polynomial
_STEP = 1e-6  # relative, of the difference quotient for A''


class Influence(NamedTuple):
    r"""Influences at points x on a quadrature of the neurons.

    Attributes
    ----------
    rows : Array, shape (N, Q)
        u at the nodes times the square root of their mass: :math:`E[u(x) u(x')]` is a product of two rows.
    mean : Array, shape (N,)
        E[u].
    """

    rows: Array
    mean: Array

    def covariance(self) -> Array:
        r""":math:`\mathrm{Cov}(u(x), u(x'))`, shape (N, N)."""
        return np.asarray(self.rows @ self.rows.T - np.outer(self.mean, self.mean))

    def variance(self) -> Array:
        """Its diagonal, shape (N,)."""
        return np.asarray(np.maximum((self.rows**2).sum(axis=1) - self.mean**2, 0.0))


class Side(NamedTuple):
    r"""One side (or both at once, where they agree) on nodes, with :math:`A = (\phi')^{-1}` and sums over its values of v.

    Attributes
    ----------
    nodes, weights : Array, shape (n,)
        The quadrature.
    basis : sparse array, shape (U, n)
        Dual functions of the unknowns.
    value, slope, square : Array, shape (n,)
        :math:`\sum \rho v \alpha`, :math:`\sum \rho v^2 A'`, :math:`\sum \rho v^2 \alpha^2`.
    pull, bend : Array, shape (n,)
        :math:`\sum \rho v^3 A' \alpha`, :math:`\sum \rho v^3 A''`.
    """

    nodes: Array
    weights: Array
    basis: sparse.csr_array
    value: Array
    slope: Array
    square: Array
    pull: Array
    bend: Array


@dataclass(frozen=True, eq=False)
class BendInfluence:
    r"""Influences of two-slope problems at infinite training time.

    Attributes
    ----------
    problem : Problem
        What was fitted.
    dual : DualFunction
        :math:`g_\pm` of the limit, in units in which :math:`\phi` is the potential of `grid`.
    size : float
        Influences are those of `dual` and that potential times this.
    grid : PanelGrid
        Resolves law and curvature; its potential is quadratic for problems whose limit is.
    """

    problem: Problem
    dual: DualFunction
    size: float
    grid: PanelGrid

    @classmethod
    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # 1/phi'' at a node that lands on a zero of g
    def of(cls, problem: Problem, multipliers: Array, stiffness: float | None) -> BendInfluence:
        r"""From the multipliers of the limit; `stiffness` is :math:`\phi''` where that is constant, else None."""
        law, x, free = problem.initialization.breakpoint_law, problem.data.x, problem.free
        order = _ORDER if law.degree is None else law.degree + 4  # u^2 is zeta times a polynomial of degree 4
        edges = integration_cells(law, x, order, 2).edges
        u = unknowns_of(x, multipliers, free=free)
        if stiffness is None:
            start, *_ = IntegratedDual.of(PosedProblem(problem))
            if not isinstance(start.potential, Quadratic):
                return cls._following(start, u, edges)
            stiffness = problem.phi.hess_at_zero  # data so small that nothing else counts
        edges = np.union1d(edges, integration_cells(law, x, order).edges)
        dual = DualFunction.of(x, u / stiffness, problem.two_slopes, free=free)
        return cls(problem, dual, 1.0, PanelGrid(x, Cells(edges, order), Unfolding.of(Quadratic()), split=True))

    @classmethod
    def _following(cls, start: IntegratedDual, u: Array, edges: Array) -> BendInfluence:
        """On a grid that follows the dual function with unknowns `u`, beside the cells with `edges`."""
        problem, dual = start.problem, start.equations.function(u * (start.size / start.factor))
        state = start.on(replace(start.grid, split=True)).at(dual)  # 1/phi'' and its derivative turn sharply at zeros
        for _ in range(60):
            finer = state.dual.refined(state, np.inf).finer
            if finer is None:
                break
            state = finer.at(dual)
        grid = state.dual.grid
        grid = replace(grid, cells=Cells(np.union1d(edges, grid.cells.edges), _ORDER))
        sides = start.equations.sides_of(problem.breakpoint_law(2))
        return cls(problem, dual, start.size, grid_of_squares(problem, dual, grid, sides))

    @property
    def _free(self) -> bool:
        return self.problem.free

    @property
    def potential(self) -> Potential:
        """The potential in the units of `dual`."""
        return self.grid.unfolding.potential

    @cached_property
    def equations(self) -> DualEquations:
        """The unknowns of the dual."""
        return DualEquations(self.problem.data.x, self.problem.two_slopes, free=self._free)

    @cached_property
    def units(self) -> tuple[breakpoints.Side, ...]:
        """The sides of the law whose dual functions differ."""
        return self.equations.sides_of(self.problem.breakpoint_law(2))

    def sides(self, points: Array) -> tuple[list[Side], BorderedTridiagonal]:
        """The sides on nodes that do not straddle `points`, and the Hessian of the dual."""
        grid = replace(self.grid, cells=self.grid.cells.split(points))
        sides, masses = [], []
        for row, (units, g) in enumerate(zip(self.units, self.dual.sides, strict=True)):
            nodes = grid.at(g)
            system = DualSystem(self.problem.data.x, nodes, self.problem.two_slopes, free=self._free)
            densities = self._densities(units, nodes.nodes, nodes.rows.g)
            masses.append(system.masses(row, densities[1]))
            flat = (nodes.nodes.ravel(), nodes.weights.ravel(), basis_of(system, row))
            sides.append(Side(*flat, *(density.ravel() for density in densities)))
        return sides, self.equations.hessian(masses)

    @np.errstate(over="ignore", divide="ignore", invalid="ignore")  # where the law has underflowed: masked below
    def _densities(self, units: breakpoints.Side, c: Array, g: Array) -> list[Array]:
        """`value` to `bend` of a `Side` at breakpoints `c` with dual values g."""
        phi = self.potential
        if isinstance(phi, Quadratic):
            first, second = units.zeta(c), units.zeta(c, 2)
            return [first * g, first, second * g**2, second * g, np.zeros_like(g)]
        v, rho = units.slices(c)
        z = v * np.abs(g)[..., None]
        alpha = phi.grad_inverse(z)  # of |g|: phi is even
        slope, near = 1 / phi.hess(alpha), 1 / phi.hess(phi.grad_inverse(z * (1 + _STEP)))
        slope = np.where(np.isinf(slope), 0.0, slope)  # neurons at rest, which are active at no data point
        bend = np.divide(near - slope, _STEP * z, out=np.zeros_like(z), where=z > 0)
        of_v = (v * alpha, v**2 * slope, (v * alpha) ** 2, v**3 * slope * alpha, v**3 * bend)
        total = np.array([np.where(rho > 0, rho * values, 0.0).sum(axis=-1) for values in of_v])
        total[[0, 3, 4]] *= np.sign(g)
        return list(total)

    def at(self, points: Array) -> Influence:
        """Influences at `points`, shape (N,), increasing."""
        sides, form = self.sides(points)
        tents, projections = self._projected(points, sides, form)
        rows, mean = [], np.zeros(points.size)
        for side, tent in zip(sides, tents, strict=True):
            psi = tent - projections @ side.basis
            rows.append(psi * np.sqrt(side.weights * side.square))
            mean += psi @ (side.weights * side.value)
        return Influence(self.size * np.concatenate(rows, axis=1), self.size * mean)

    def loads(self, points: Array, sides: list[Side]) -> tuple[list[Array], Array]:
        r"""Tents at the nodes of all sides, and :math:`E[T_x b\, v^2 A']` for the dual functions b, shape (N, U)."""
        tents = [self.problem.two_slopes.kink * tent(points, self.problem.data.x, side.nodes) for side in sides]
        loads = sum(side.basis @ (side.weights * side.slope * t).T for side, t in zip(sides, tents, strict=True))
        return tents, np.asarray(loads).T

    def _projected(self, points: Array, sides: list[Side], form: BorderedTridiagonal) -> tuple[list[Array], Array]:
        """Tents at the nodes of all sides, and the unknowns of their projections, shape (N, U)."""
        tents, loads = self.loads(points, sides)
        return tents, np.array([form.solve(load) for load in loads]).reshape(points.size, -1)

    def mean_shift(self, points: Array, copies: int = 1) -> Array:
        r"""The O(1/n) part of the mean, times n: :math:`\lim n\, E[f_n(x) - f(x)]`, shape (N,), at increasing `points`.

        The second order of the delta method, and the output bias, one more unit with the constant feature 1: with
        :math:`A = (\phi')^{-1}`, :math:`\tilde S = S(x) - C(x)^T H^{-1} S_X` and
        :math:`V = H^{-1} \mathrm{Cov}(S_X \alpha) H^{-1}`

        .. math:: -E[\tilde S A'\, S_X^T H^{-1} S_X\, \alpha] + \tfrac12 E[\tilde S A''\, S_X^T V S_X]
                  + (1 - C(x)^T H^{-1} 1)\, A(\textstyle\sum_i \lambda_i).

        Quadratic problems have A' = 1, A'' = 0. If `copies` units share one draw of (w, b), there are fewer draws: that many
        times the first two terms.
        """
        sides, form = self.sides(points)
        tents, projections = self._projected(points, sides, form)
        inverse, y = np.linalg.pinv(form.dense(), hermitian=True), self.problem.data.y / self.size
        spread = sum((side.basis * (side.weights * side.square)) @ side.basis.T for side in sides).toarray()
        target = self.equations.target(y)
        variance = inverse @ (spread - np.outer(target, target)) @ inverse
        total = np.zeros(points.size)
        for side, t in zip(sides, tents, strict=True):
            basis = side.basis.toarray()
            leverage, scatter = ((basis * (form @ basis)).sum(axis=0) for form in (inverse, variance))
            total += (t - projections @ basis) @ (side.weights * (side.bend * scatter / 2 - side.pull * leverage))
        bias = self.potential.grad_inverse(np.asarray(self.dual.multipliers().sum()))
        return np.asarray(self.size * (copies * total - (projections @ self.equations.target(np.ones(y.size))) * bias))


def unknowns_of(x: Array, multipliers: Array, *, free: bool) -> Array:
    r"""The unknowns :math:`(\beta, v_1, \dots)` of `DualSystem` from :math:`\lambda`: both by sums from the right."""
    rest = np.cumsum(multipliers[::-1])[::-1]  # sum of the multipliers from i on
    values = np.r_[np.cumsum((np.diff(x) * rest[1:])[::-1])[::-1], 0.0]
    return np.asarray(values[1:-1] if free else np.r_[rest[0] * (x[-1] - x[0]), values[:-1]])


def tent(points: Array, x: Array, c: Array) -> Array:
    r""":math:`T_x(c)`: :math:`[x - c]_+` less its linear interpolation between two neighbouring data points, shape (N, n).

    The two are those around x, or the nearest two if x is beyond the data. The tent has its top at the middle one of the
    three points and is 0 beyond the outer two; it is negative for x between data.
    """
    j = np.clip(np.searchsorted(x, points, side="right") - 1, 0, x.size - 2)
    three = np.sort(np.stack([x[j], x[j + 1], points]), axis=0)
    low, middle, high = three
    outside = (points < x[0]) | (points > x[-1])
    top = np.where(outside, np.where(points < x[0], x[0] - points, points - x[-1]), 0.0)
    inside = ~outside
    top[inside] = -((points - x[j]) * (x[j + 1] - points) / (x[j + 1] - x[j]))[inside]
    rise, fall = (np.where(top != 0, length, 1.0)[:, None] for length in (middle - low, high - middle))
    up, down = (c - low[:, None]) / rise, (high[:, None] - c) / fall
    return np.asarray(top[:, None] * np.clip(np.minimum(up, down), 0.0, None))


def interpolation(points: Array, x: Array) -> Array:
    """Weights of the data in linear interpolation, or in extrapolation from the nearest two, shape (N, M)."""
    j = np.clip(np.searchsorted(x, points, side="right") - 1, 0, x.size - 2)
    share, row = (points - x[j]) / (x[j + 1] - x[j]), np.arange(points.size)
    weights = np.zeros((points.size, x.size))
    weights[row, j], weights[row, j + 1] = 1 - share, share
    return weights


def basis_of(system: DualSystem, row: int) -> sparse.csr_array:
    """Dual functions of the unknowns of `system` at its nodes, for side number `row`, (U, n): two hats, and the line."""
    size, (count, q) = system.x.size, system.left.shape
    at = np.clip(system.interval - 1, 0, size - 2)
    node = np.arange(count * q)
    first: NDArray[np.intp] = np.repeat(at, q)
    values = system.activation.kink * np.concatenate([system.left.ravel(), system.right.ravel()])
    hats = sparse.csr_array((values, (np.concatenate([first, first + 1]), np.tile(node, 2))), shape=(size, count * q))
    if system.free:
        return hats[1:-1]
    factor = np.broadcast_to(system.factor_at[row], (count, q))
    line = sparse.csr_array(np.stack([(factor * system.tau(system.nodes)).ravel(), factor.ravel()]))
    return sparse.csr_array(sparse.vstack([line[[0]], hats[[0]] + line[[1]], hats[1:-1]]))
