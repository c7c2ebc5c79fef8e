"""The grid of breakpoints: a quadrature whose cells hold the data and resolve the law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.zeta_cells import integration_cells
from splinebias.numerics.cells import Cells, panel_nodes
from splinebias.numerics.legendre import gauss_legendre
from splinebias.numerics.repeated_integrals import places

if TYPE_CHECKING:
    from splinebias.initialization.breakpoints import BreakpointLaw

CHECK = 1.5  # nodes of the rule that checks the residual, relative to the rule that finds the solution


class Nodes:
    """A quadrature rule on the breakpoint axis, row by row, no row crossing a data point.

    Attributes
    ----------
    nodes, weights : Array, shape (N, q)
        The rule.
    interval : Array of int, shape (N,)
        Data interval of each row, by the number of data points to its left: 0 left of the data, M right of them.
    """

    def __init__(self, nodes: Array, weights: Array, interval: NDArray[np.intp]) -> None:
        self.nodes, self.weights, self.interval = nodes, weights, interval

    def rule_of(self, at: NDArray[np.intp]) -> tuple[Array, Array]:
        """Nodes and weights of some rows."""
        return self.nodes[at], self.weights[at]

    def share(self, x: Array) -> Array:
        """Where the nodes lie between the two data points around them, from 0 to 1; not used beyond the data."""
        left = np.clip(self.interval - 1, 0, x.size - 2)
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
    zeta : Array, shape (2, N, q)
        The curvature densities of plus and minus at the nodes; (2, N, 1) if they are constant on every cell.
    interval : Array of int, shape (N,)
        Data interval of each cell, by the number of data points to its left.
    """

    cells: Cells
    zeta: Array
    interval: NDArray[np.intp]

    @cached_property
    def nodes(self) -> Array:  # type: ignore[override]  # made when asked for: closed forms do without
        """Nodes of the rule, shape (N, q)."""
        return self.cells.nodes

    @cached_property
    def weights(self) -> Array:  # type: ignore[override]
        """Weights of the rule, shape (N, q)."""
        return self.cells.weights

    def rule_of(self, at: NDArray[np.intp]) -> tuple[Array, Array]:
        left, right = self.cells.panels
        return panel_nodes(left[at], right[at], self.cells.order)

    def share(self, x: Array) -> Array:
        """As of any nodes, from where they lie in their cells: to all digits also where nodes as numbers have few left."""
        at = np.clip(self.interval - 1, 0, x.size - 2)
        place = gauss_legendre(self.cells.order)[0][:, None]
        near = 1 / np.diff(x)[at]
        share = ((self.cells.edges[:-1] - x[at]) * near + (self.cells.widths * near) * place).T
        return np.asarray(share)

    @classmethod
    def of(cls, law: BreakpointLaw, x: Array, order: int, accuracy: float = 0.0) -> Discretization:
        """Cells that hold the data `x` and resolve a law, with `order` nodes each; `accuracy` as of `integration_cells`."""
        return cls.on(integration_cells(law, x, order, accuracy=accuracy), law, x)

    @classmethod
    def on(cls, cells: Cells, law: BreakpointLaw, x: Array) -> Discretization:
        """These cells, which hold the data `x`, with the curvature densities of a law."""
        zeta = _steps(law, cells.edges) if law.degree == 0 else law.zetas(cells.nodes)
        return cls(cells, zeta, data_intervals(cells.edges, x))


def _steps(law: BreakpointLaw, edges: Array) -> Array:
    """Densities that are constant between the knots of a law, which are edges up to rounding, on all cells, (2, N, 1)."""
    marks = np.clip([*law.knots, *law.support], edges[0], edges[-1])
    after = np.clip(edges.searchsorted(marks), 1, edges.size - 1)
    ends = np.unique(np.concatenate([[0, edges.size - 1], after - (marks - edges[after - 1] < edges[after] - marks)]))
    middles = (edges[ends[:-1]] + edges[ends[1:]]) / 2
    zeta = law.zetas(middles)
    many = np.broadcast_to(zeta, (2, ends[-1])) if ends.size == 2 else np.repeat(zeta, np.diff(ends), axis=1)
    return many[..., None]


def data_intervals(edges: Array, x: Array) -> NDArray[np.intp]:
    """How many data points x, all of them edges, are at the left end of each cell or before it, shape (N,)."""
    is_point = np.zeros(edges.size, dtype=np.intp)
    is_point[places(edges, x)] = 1
    return np.cumsum(is_point)[:-1]
