"""A problem on its quadrature nodes, computed once for the check of the data and for the solve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.potential import Quadratic
from splinebias.problem import Problem
from splinebias.quadrature import Cells, integration_cells


@dataclass(frozen=True, eq=False)
class Discretization:
    """Cells with their nodes and the curvature densities there.

    Attributes
    ----------
    cells : Cells
        N cells with q nodes each.
    nodes, weights : Array, shape (N, q)
        The rule.
    zeta : dict of Array
        Per side (+1, -1), the curvature density at the nodes.
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
        is_point = np.zeros(edges.size, dtype=np.intp)
        is_point[np.searchsorted(edges, problem.data.x)] = 1
        piece = np.cumsum(is_point)[:-1]
        return cls(cells, nodes, cells.weights, {side: law.zeta(nodes, side) for side in (1, -1)}, piece)


@lru_cache(maxsize=2)
def discretize(problem: Problem) -> Discretization:
    """Cells that hold the data of `problem` and resolve its law."""
    law = problem.initialization.breakpoint_law
    return Discretization.on(problem, integration_cells(law, problem.data.x, _order(problem)))


def _order(problem: Problem) -> int:
    """Nodes per cell: 2 where zeta is constant between knots, fewer where the data are dense, else 16."""
    law = problem.initialization.breakpoint_law
    if law.degree is not None and isinstance(problem.limit_potential, Quadratic):
        return law.degree + 2
    return 16 if problem.data.size < 300 else 8 if problem.data.size < 5000 else 4
