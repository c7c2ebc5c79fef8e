r"""Curvature on a grid: piecewise constant output weights of the units with w > 0 and of those with w < 0.

A sheet is a side, or both where they share one alpha. In units of alpha, a cell of the grid bends h by a known
density, costs a known mass times :math:`\phi(\alpha)`, and moves every h(x_i) by a known amount: integrals of the law, done
here once with Gauss-Legendre cells that resolve it, so that only alpha is discretized.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.numerics.cells import Cells
from splinebias.potential import Quadratic
from splinebias.problem import Problem


@dataclass(frozen=True, eq=False)
class Sheets:
    r"""The curvature of all sheets as a linear function of the values :math:`\alpha_j`, one per sheet and grid cell.

    Attributes
    ----------
    cells : Cells
        N quadrature cells that refine the grid.
    owner : Array, shape (N,)
        Grid cell of each.
    bend : Array, shape (sheets, N, q)
        Density of h'' at the nodes for alpha = 1.
    mass : Array, shape (n,)
        Cost of alpha_j over phi(alpha_j), n = sheets x grid cells.
    matrix : Array, shape (M, n)
        h(x_i) for alpha_j = 1, up to an affine function when the affine part is free.
    lever, centre : Array, shape (n,)
        The sum of :math:`|w|\,\rho` over the cell, and its centre: the cell acts as one unit there.
    """

    cells: Cells
    owner: NDArray[np.intp]
    bend: Array
    mass: Array
    matrix: Array
    lever: Array
    centre: Array

    @classmethod
    def on_grid(cls, problem: Problem, points: int, cuts: Array) -> Sheets:
        """About `points` cell edges, with all `cuts` among them."""
        x, act = problem.data.x, problem.two_slopes
        sides = share_alpha(problem)
        assert sides is not None
        law = problem.initialization.breakpoint_law
        coarse = integration_cells(law, x, 16 if law.degree is None else law.degree + 2)
        edges = np.union1d(_grid_edges(problem, coarse, points), cuts)
        cells = Cells(coarse.split(edges).edges, min(coarse.order, 8))  # narrower than those that 16 nodes resolve to 1e-14
        middle = (cells.edges[:-1] + cells.edges[1:]) / 2
        owner = np.searchsorted(edges, middle) - 1
        count = edges.size - 1

        def sums(density: Array) -> Array:
            """Integral over each grid cell of a density at the nodes."""
            return np.asarray(np.bincount(owner, (cells.weights * density).sum(axis=1), count), dtype=float)

        density, cost = (
            np.stack(of) for of in zip(*(_densities(problem, cells.nodes, side) for side in sides), strict=True)
        )
        lever = np.stack([sums(of) for of in density])
        centre = np.stack([sums(of * cells.nodes) for of in density]) / np.where(lever > 0, lever, 1.0)
        # a unit is linear in c on a cell with no data inside, so the cell acts as one unit at its centre; where both sides
        # share alpha, their units differ by an affine function that is free, or not at all
        signs = np.array([side.sign for side in sides])[:, None]
        matrix = lever * act.value(signs * (x[:, None, None] - centre))
        mass = np.stack([sums(of) for of in cost])
        return cls(cells, owner, act.kink * density, mass.ravel(), matrix.reshape(x.size, -1), lever.ravel(), centre.ravel())

    def curvature(self, alpha: Array) -> Array:
        """h'' at the nodes, shape (N, q)."""
        per_sheet = alpha.reshape(self.bend.shape[0], -1)
        return np.asarray((per_sheet[:, self.owner, None] * self.bend).sum(axis=0))

    def zeros(self, slope: Array) -> Array:
        r"""Where the dual function g changes sign, from `slope` = :math:`\phi'(\alpha_j)`: g is linear between data."""
        sheets = self.bend.shape[0]
        dual = (slope * self.mass / np.where(self.lever > 0, self.lever, np.inf)).reshape(sheets, -1)
        centre = self.centre.reshape(sheets, -1)
        cross = dual[:, :-1] * dual[:, 1:] < 0
        before, after = dual[:, :-1][cross], dual[:, 1:][cross]
        start = centre[:, :-1][cross]
        return np.asarray(start + (centre[:, 1:][cross] - start) * before / (before - after))


def share_alpha(problem: Problem) -> tuple[Side, ...] | None:
    """Sides with one alpha(c) each, or None if alpha depends on |w| as well.

    Both sides share it when only their sum matters: for Abs, and when the affine part is free. Quadratic problems have
    :math:`\\alpha = |w| g(c)`: there the g takes the place of alpha, for any law.
    """
    act, law = problem.two_slopes, problem.initialization.breakpoint_law
    choices: list[tuple[Side, ...]] = [law.sides]
    if act.right + act.left == 0 or problem.free:
        choices.insert(0, (law.both,))
    if isinstance(problem.limit_potential, Quadratic):
        return choices[0]
    marks = np.unique(np.r_[problem.data.x, law.knots, law.landmarks])
    probes = np.r_[marks[0] - 1, (marks[:-1] + marks[1:]) / 2, marks[-1] + 1]
    return next((sides for sides in choices if all(_single_magnitude(*side.slices(probes)) for side in sides)), None)


def _single_magnitude(v: Array, rho: Array) -> bool:
    """Whether each breakpoint (row) has one v among the nodes that carry mass."""
    high = np.where(rho > 0, v, -np.inf).max(axis=-1, initial=-np.inf)
    low = np.where(rho > 0, v, np.inf).min(axis=-1, initial=np.inf)
    return bool((high <= low * (1 + 1e-12)).all())


def _densities(problem: Problem, c: Array, side: Side) -> tuple[Array, Array]:
    r"""For alpha = 1, the density of h'' over (p - q), and of the cost over phi(1)."""
    if isinstance(problem.limit_potential, Quadratic):
        zeta = side.zeta(c)
        return zeta, zeta
    v, rho = side.slices(c)
    return np.asarray((rho * v).sum(axis=-1)), np.asarray(rho.sum(axis=-1))


def _grid_edges(problem: Problem, cells: Cells, points: int) -> Array:
    """Edges that hold the data, the law's knots and its support; the others divide `level` evenly in between."""
    x, law = problem.data.x, problem.initialization.breakpoint_law
    zeta = law.both.zeta(cells.nodes)
    mass = np.r_[0.0, np.cumsum((cells.weights * np.cbrt(zeta)).sum(axis=1))]
    level = mass / mass[-1] + np.interp(cells.edges, x, np.linspace(0.0, 1.0, x.size))
    fixed = np.unique(np.r_[x, law.knots, law.support, cells.edges[[0, -1]]])
    fixed = fixed[np.isin(fixed, cells.edges)]
    at = np.interp(fixed, cells.edges, level)
    edges = [fixed]
    for lo, hi in itertools.pairwise(at):
        if hi > lo:
            count = max(4, round((points - 1) * (hi - lo) / level[-1]))
            edges.append(np.interp(np.linspace(lo, hi, count + 1)[1:-1], level, cells.edges))
    return np.unique(np.concatenate(edges))
