r"""A quadrature that follows the zeros of the dual function, so that expectations stay smooth along a trajectory.

:math:`E[\sigma_i (\phi')^{-1}(v g)]` with a piecewise linear g is as smooth in g as theory has it only if the nodes move
along with the zeros of g, where :math:`(\phi')^{-1}` may be singular, and crowd there and at the data, where g has kinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.quadrature import Cells, gauss_legendre, panel_nodes, unresolved
from splinebias.solve.discretize import Discretization

_ORDER = 16
_ROWS = 3  # times _ORDER: nodes of a crowded cell
_RESOLVED = 1e-6  # of the law beyond the data; a Gauss rule integrates to the square of that
_TAIL = 1e-13  # part of the second moment of zeta beyond the data that is left out


@dataclass(frozen=True, eq=False)
class MovingNodes:
    """Gauss rules on cells between data, law knots and zeros of g.

    A cell within its own width of a datum or a zero gets three times as many nodes, crowded at both ends.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    base : Cells
        Cells that do not depend on the zeros.
    """

    x: Array
    base: Cells

    @classmethod
    def of(cls, law: BreakpointLaw, x: Array, cells: Cells) -> MovingNodes:
        """From `cells` that resolve the law and hold the data, with as few cells beyond the data as suffice."""
        edges = cells.edges
        removable = ((edges < x[0]) | (edges > x[-1])) & ~np.isin(edges, law.knots)
        while True:
            second = np.zeros(edges.size, dtype=bool)
            second[1:-1:2] = removable[1:-1:2]
            at = np.flatnonzero(second)
            coarse = _resolved(law, edges[at - 1], edges[at + 1])
            if not coarse.any():
                break
            keep = np.ones(edges.size, dtype=bool)
            keep[at[coarse]] = False
            edges, removable = edges[keep], removable[keep]
        return cls(x, Cells(_without_tails(law, x, edges), _ORDER))

    def at(self, zeros: Array) -> Discretization:
        """Nodes and weights, in rows, for a g with these zeros, sorted; without the densities."""
        cells = self.base.split(zeros)
        left, right, width = *cells.panels, cells.widths
        singular = np.unique(np.r_[self.x, zeros])
        crowded = np.searchsorted(singular, left - width) < np.searchsorted(singular, right + width, side="right")
        rows = [(left[~crowded], width[~crowded], gauss_legendre(_ORDER)), (left[crowded], width[crowded], _crowded_rule())]
        nodes = [(start[:, None] + wide[:, None] * rule[0]).reshape(-1, _ORDER) for start, wide, rule in rows]
        weights = [(wide[:, None] * rule[1]).reshape(-1, _ORDER) for _, wide, rule in rows]
        piece = np.searchsorted(self.x, left, side="right")  # exact, because data are edges
        pieces = [piece[~crowded], np.repeat(piece[crowded], _ROWS)]
        return Discretization(cells, np.concatenate(nodes), np.concatenate(weights), {}, np.concatenate(pieces))


def _resolved(law: BreakpointLaw, left: Array, right: Array) -> Array:
    """Whether one rule resolves zeta of both sides on panels."""
    nodes, _ = panel_nodes(left, right, _ORDER)
    ones = np.ones(left.size)
    return ~np.logical_or(*(unresolved(law.zeta(nodes, side), ones, 1.0, _RESOLVED) for side in (1, -1)))


def _without_tails(law: BreakpointLaw, x: Array, edges: Array) -> Array:
    """`edges` without the outermost cells whose second moment of zeta does not matter."""
    nodes, weights = panel_nodes(edges[:-1], edges[1:], _ORDER)
    lever = (nodes - (x[0] + x[-1]) / 2) ** 2 + (x[-1] - x[0]) ** 2
    moment = (weights * lever * (law.zeta(nodes, 1) + law.zeta(nodes, -1))).sum(axis=1)
    enough = _TAIL * moment.sum()
    first = min(int((np.cumsum(moment) <= enough).sum()), int(np.searchsorted(edges, x[0])))
    last = min(int((np.cumsum(moment[::-1]) <= enough).sum()), int((edges > x[-1]).sum()))
    return edges[first : edges.size - last]


@lru_cache(maxsize=1)
def _crowded_rule() -> tuple[Array, Array]:
    r"""Gauss nodes and weights on (0, 1) under a map that is flat to order 4 at both ends.

    An end-point singularity :math:`c^q`, q > 0, becomes :math:`s^{4q + 3}`, which 48 nodes integrate to rounding; the same
    singularity rounded off at a distance of 1e-6 cells, where :math:`\phi''(0)` is small but not zero, to 1e-9.
    """
    s, weights = gauss_legendre(_ROWS * _ORDER)
    return s**4 * (35 + s * (-84 + s * (70 - 20 * s))), 140 * (s * (1 - s)) ** 3 * weights
