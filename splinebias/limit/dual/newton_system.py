"""The dual problem on a fixed quadrature, and its solution where the potential is quadratic (theory section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.activation import TwoSlope
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.limit.dual.equations import DualEquations, Masses, Moments, misfit
from splinebias.numerics.bordered import BorderedTridiagonal
from splinebias.numerics.cells import Cells
from splinebias.numerics.repeated_integrals import places
from splinebias.problem import Problem

CHECK = 1.5  # nodes of the rule that checks the residual, relative to the rule that finds the solution
_GOOD = 1e-13  # misfit that needs no second look


class Nodes:
    """A quadrature rule on the breakpoint axis, row by row, no row crossing a data point.

    Attributes
    ----------
    nodes, weights : Array, shape (N, q)
        The rule.
    piece : Array of int, shape (N,)
        Number of data points to the left of each row: 0 left of the data, M right of them.
    """

    def __init__(self, nodes: Array, weights: Array, piece: NDArray[np.intp]) -> None:
        self.nodes, self.weights, self.piece = nodes, weights, piece

    def share(self, x: Array) -> Array:
        """Where the nodes lie between the two data points around them, from 0 to 1; not used beyond the data."""
        left = np.clip(self.piece - 1, 0, x.size - 2)
        share = self.nodes - x[left][:, None]
        share *= (1 / np.diff(x))[left][:, None]
        return np.asarray(share)


@dataclass(frozen=True, eq=False)
class Discretization(Nodes):
    """Cells with their nodes and the curvature densities there.

    Attributes
    ----------
    cells : Cells
        N cells with q nodes each.
    nodes, weights : Array, shape (N, q)
        The rule.
    zeta : dict of Array
        Per side (+1, -1), the curvature density at the nodes; shape (N, 1) if it is constant on every cell.
    piece : Array of int, shape (N,)
        Number of data points to the left of each cell: 0 left of the data, M right of them.
    """

    cells: Cells
    nodes: Array
    weights: Array
    zeta: dict[int, Array]
    piece: NDArray[np.intp]

    @classmethod
    def on(cls, problem: Problem, cells: Cells) -> Discretization:
        """The law and data of `problem` on given cells, of which every data point is an edge."""
        nodes, law, edges = cells.nodes, problem.initialization.breakpoint_law, cells.edges
        piece = data_before(edges, problem.data.x)
        sampled = nodes[:, :1] if law.degree == 0 else nodes
        return cls(cells, nodes, cells.weights, {side: law.zeta(sampled, side) for side in (1, -1)}, piece)


def data_before(edges: Array, x: Array) -> NDArray[np.intp]:
    """How many data points x, all of them edges, are at the left end of each cell or before it, shape (N,)."""
    is_point = np.zeros(edges.size, dtype=np.intp)
    is_point[places(edges, x)] = 1
    return np.cumsum(is_point)[:-1]


def discretize(problem: Problem) -> Discretization:
    """Cells that hold the data of `problem` and resolve its law."""
    law = problem.initialization.breakpoint_law
    return Discretization.on(problem, integration_cells(law, problem.data.x, _order(problem)))


def _order(problem: Problem) -> int:
    """Nodes per cell: 2 where zeta is constant between knots, fewer where the data are dense, else 16.

    With a scaled potential, enough for the moments of the curvature if zeta is constant and the potential unfolds to powers.
    """
    law, potential = problem.initialization.breakpoint_law, problem.limit_potential
    if potential.stiffness is not None:
        if law.degree is not None:
            return law.degree + 2
        return 16 if problem.data.size < 300 else 8 if problem.data.size < 200_000 else 6
    if problem.data.size < 300:
        return 16
    if law.degree is None or potential.unfolded_degrees is None:
        return 8
    of_c, of_curvature = potential.unfolded_degrees
    degree = of_curvature + (law.degree + 1) * of_c - 1  # of the curvature times dc/ds, whose last coefficients tell
    fits = (order for order in (4, 8) if degree <= round(CHECK * order) - 3 and degree + of_c < 2 * order)
    return next((order for order in fits if order == 8 or problem.data.size >= 5000), 16)


class DualSystem(DualEquations):
    """`DualEquations` with a quadrature: basis functions of the unknowns at all nodes, and products in O(nodes + M).

    Parameters
    ----------
    x : Array, shape (M,)
        Data abscissae; every one is a cell edge.
    grid : Nodes
        The quadrature.
    activation : TwoSlope
        Two-slope activation.
    free : bool
        Whether the affine part is free.
    """

    def __init__(self, x: Array, grid: Nodes, activation: TwoSlope, *, free: bool) -> None:
        super().__init__(x, activation, free=free)
        self.nodes, self.weights, self.piece = grid.nodes, grid.weights, grid.piece
        self.right = grid.share(x)
        self.left = 1 - self.right
        (self.outside,) = ((self.piece == 0) | (self.piece == x.size)).nonzero()
        self.left[self.outside] = self.right[self.outside] = 0.0

    def line_factor(self, side: int) -> Array:
        """Derivative of g_side with respect to the line at every row, shape (N, 1)."""
        return np.where(self.piece == 0, *self.factors(side))[:, None]

    @cached_property
    def _one_each(self) -> slice | None:
        """The rows among the data if there is one in every interval, in order."""
        first, intervals = int(np.count_nonzero(self.piece == 0)), self.x.size - 1
        if self.piece.size - self.outside.size != intervals:
            return None
        inside = slice(first, first + intervals)
        return inside if np.array_equal(self.piece[inside], np.arange(1, self.x.size)) else None

    @cached_property
    def _tau_outside(self) -> Array:
        """`tau` at the nodes beyond the data."""
        return self.tau(self.nodes[self.outside])

    @cached_property
    def _factor_outside(self) -> dict[int, Array]:
        """`line_factor` of the rows beyond the data."""
        return {side: self.line_factor(side)[self.outside] for side in (1, -1)}

    def evaluate(self, u: Array, sides: tuple[int, ...] = (1, -1)) -> dict[int, Array]:
        """g_+ and g_-, or one of them, at the nodes, each of the shape of the nodes."""
        v, beta = self.values(u)
        at, kinks = np.clip(self.piece - 1, 0, self.x.size - 2), self.activation.kink * v
        if self.free:
            hat = self._between(kinks, at)
            return dict.fromkeys(sides, hat)
        line, found = v[0] + beta * self._at_data, {}
        for side in sides:
            found[side] = self._between(kinks + self.factors(side)[1] * line, at)
            if self.outside.size:
                found[side][self.outside] = self._factor_outside[side] * (v[0] + beta * self._tau_outside)
        return found

    def _between(self, nodal: Array, at: NDArray[np.intp]) -> Array:
        """Linear interpolation of values at the data, shape (M,), at the nodes in intervals `at`."""
        values = nodal[at][:, None] * self.left
        values += nodal[at + 1][:, None] * self.right
        return np.asarray(values)

    def gather(self, density: dict[int, Array]) -> Array:
        r""":math:`\sum_s \int a_s(c)\, \nabla_u g_s(c)\, dc` for densities a at the nodes: the model's equations.

        This, `load` and `curvature` sum over the sides that are given.
        """
        return self.gathered({side: self._moments(side, a) for side, a in density.items()})

    def load(self, density: dict[int, Array]) -> Array:
        """Sizes of the terms that `gather` adds up, same shape."""
        return self.gathered({side: self._moments(side, np.abs(a), sizes=True) for side, a in density.items()}, sizes=True)

    def curvature(self, density: dict[int, Array]) -> BorderedTridiagonal:
        """The Hessian for densities D at the nodes."""
        return self.hessian({side: self._masses(side, d) for side, d in density.items()})

    def _moments(self, side: int, density: Array, *, sizes: bool = False) -> Moments:
        """Integrals of a density; with `sizes`, of a density >= 0 times the sizes of the basis functions."""
        weighted, line = self.weights * density, np.zeros(2)
        if not self.free and self.outside.size:
            mass, tau = weighted[self.outside] * self._factor_outside[side], self._tau_outside
            mass, tau = (np.abs(mass), np.abs(tau)) if sizes else (mass, tau)
            line = np.array([(mass * tau).sum(), mass.sum()])
        return Moments(self._intervals(weighted * self.left), self._intervals(weighted * self.right), line)

    def _masses(self, side: int, density: Array) -> Masses:
        """Integrals of a density times products."""
        weighted, line = self.weights * density, np.zeros(3)
        if not self.free and self.outside.size:
            mass, tau = weighted[self.outside] * self._factor_outside[side] ** 2, self._tau_outside
            line = np.array([(mass * tau**2).sum(), (mass * tau).sum(), mass.sum()])
        on_left, on_right = weighted * self.left, weighted * self.right
        mixed = self._intervals(on_left * self.right)
        on_left *= self.left
        on_right *= self.right
        return Masses(self._intervals(on_left), mixed, self._intervals(on_right), line)

    def _intervals(self, per_node: Array) -> Array:
        """Sums over the data intervals, shape (M - 1,)."""
        rows = per_node @ np.ones(per_node.shape[1])
        if self._one_each is not None:
            return np.asarray(rows[self._one_each])
        sums: Array = np.bincount(self.piece, weights=rows, minlength=self.x.size + 1)  # type: ignore[assignment]
        return sums[1:-1]


class QuadraticSolution(NamedTuple):
    r"""Unknowns, the curvature densities they give per side, :math:`E[\alpha^2]`, and the relative optimality residual."""

    u: Array
    density: dict[int, Array]
    cost: float
    misfit: float


def solve_quadratic(system: DualSystem, zeta: dict[int, Array], y: Array) -> QuadraticSolution:
    """The quadratic problem with densities `zeta` at the nodes, with a step of iterative refinement."""
    target, scale = system.target(y), system.scale(y)
    hessian = system.curvature(zeta)
    best = QuadraticSolution(np.zeros_like(target), {side: np.zeros_like(system.left) for side in zeta}, 0.0, np.inf)
    residual = target
    for _ in range(2):
        u = best.u + hessian.solve(residual)
        g = system.evaluate(u, tuple(zeta))
        density = {side: zeta[side] * g[side] for side in zeta}
        made = system.gather(density)
        residual = target - made
        error = misfit(residual, scale, 0.0)
        if error > _GOOD:
            error = misfit(residual, scale, system.load(density))
        if not error < best.misfit:
            break
        best = QuadraticSolution(u, density, float(u @ made), error)
        if error < 1e-15:
            break
    return best
