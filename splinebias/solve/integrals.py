"""What the nodes of a quadrature add to the dual, kept per data interval, where a Newton step may leave most as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splinebias._check import Array
from splinebias.response import Response
from splinebias.solve.equations import DualEquations, Masses, Moments
from splinebias.solve.graded import GradedNodes
from splinebias.solve.truncation import Brink


class Sample(NamedTuple):
    r"""Nodes on some cells, for one side or for both at once where they agree.

    Attributes
    ----------
    side : int
        The side.
    nodes : GradedNodes
        The nodes.
    value : Array, shape (N, q)
        The curvature density there.
    cost : float
        Their share in :math:`E[D_\phi(\alpha, 0)]`.
    brink : Brink or None
        Where doubles end.
    """

    side: int
    nodes: GradedNodes
    value: Array
    cost: float
    brink: Brink | None


@dataclass(frozen=True, eq=False)
class Integrals:
    r"""What one side adds to the dual, per data interval and beyond the data.

    Attributes
    ----------
    table : Array, shape (8, M + 1)
        Column j: where j points are on the left. The curvature density times the two hats; the sizes of the terms that were
        added up there; its derivative times both left, mixed and both right; :math:`E[\phi^*] - \phi^*(0)`. Beyond the data
        the derivatives of g by :math:`\beta` and :math:`v_1` take the place of the hats.
    """

    table: Array

    def add(self, side: int, nodes: GradedNodes, response: Response, equations: DualEquations) -> None:
        """Add what `nodes` contribute, given the response there."""
        (value,), (slope,), (conjugate,) = (part.values() for part in (response.value, response.slope, response.dual))
        right = nodes.share(equations.x)
        left = 1 - right
        outside = np.flatnonzero((nodes.piece == 0) | (nodes.piece == equations.x.size))
        if outside.size:
            factor = np.where(nodes.piece[outside] == 0, *equations.factors(side))[:, None]
            left[outside], right[outside] = factor * equations.tau(nodes.nodes[outside]), factor
        rows = np.empty((8, nodes.piece.size))
        weighted = nodes.weights * value
        rows[0], rows[1] = (weighted * left).sum(axis=1), (weighted * right).sum(axis=1)
        np.abs(rows[:2], out=rows[2:4])
        weighted = nodes.weights * slope
        on_right = weighted * right
        weighted *= left
        rows[4], rows[5] = (weighted * left).sum(axis=1), (weighted * right).sum(axis=1)
        rows[6] = (on_right * right).sum(axis=1)
        rows[7] = (nodes.weights * conjugate).sum(axis=1)
        first, last = int(nodes.piece.min()), int(nodes.piece.max())
        if last - first + 1 == nodes.piece.size and (nodes.piece[1:] > nodes.piece[:-1]).all():  # one row for each
            self.table[:, first : last + 1] += rows
            return
        columns = last - first + 1
        place = nodes.piece - first + columns * np.arange(len(rows))[:, None]
        self.table[:, first : last + 1] += np.bincount(place.ravel(), rows.ravel(), len(rows) * columns).reshape(-1, columns)

    @property
    def moments(self) -> Moments:
        """Of the curvature density."""
        return self._moments(0)

    @property
    def sizes(self) -> Moments:
        """The sizes of their terms."""
        return self._moments(2)

    def _moments(self, row: int) -> Moments:
        rows = self.table[row : row + 2]
        return Moments(rows[0, 1:-1], rows[1, 1:-1], rows[:, 0] + rows[:, -1])

    @property
    def masses(self) -> Masses:
        """Of the derivative of the curvature density."""
        rows = self.table[4:7]
        return Masses(rows[0, 1:-1], rows[1, 1:-1], rows[2, 1:-1], rows[:, 0] + rows[:, -1])

    @property
    def conjugate(self) -> float:
        """The last row, added up."""
        return float(self.table[7].sum())
