"""A problem on its quadrature nodes, computed once for the check of the data and for the solve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.numerics.cells import Cells
from splinebias.numerics.repeated_integrals import places
from splinebias.problem import Problem

CHECK = 1.5  # nodes of the rule that checks the residual, relative to the rule that finds the solution


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


@lru_cache(maxsize=2)
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
