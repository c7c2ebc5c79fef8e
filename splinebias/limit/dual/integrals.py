"""What the nodes of a quadrature add to the dual, kept per data interval, where a Newton step may leave most as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.limit.dual.equations import DualEquations, Masses, Moments
from splinebias.limit.dual.panel_refinement import GradedNodes
from splinebias.limit.dual.response import Response

_MOMENTS = np.array([[0, 1], [6, 7]])  # rows of the table
_NARROW = 64  # columns that are all added to


class Brink(NamedTuple):
    """Where terms are left out because doubles end: masses underflow where the curvature overflows.

    With an exponential conjugate and a law with exponential tails, both far out, their product can still matter: near the
    end of the domain of the dual it decays as slowly as one likes. Nothing on the nodes shows that; the last product
    before does.

    Attributes
    ----------
    at : Array, shape (K,)
        Breakpoints.
    out : Array of bool, shape (K,)
        Whether terms are left out there.
    term : Array, shape (K,)
        The faintest term that is not, 0 if it is not faint.
    """

    at: Array
    out: NDArray[np.bool_]
    term: Array

    @classmethod
    def of(cls, response: Response, side: int, nodes: Array) -> Brink | None:
        """That of a response at `nodes`; None if no term is left out and none is the neighbour of those."""
        found = response.brink(side)
        return None if found is None else cls(nodes.ravel(), found[0].ravel(), found[1].ravel())


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
        Column j: where j points are on the left. The curvature density times the two hats; its derivative times both left,
        mixed and both right; :math:`E[\phi^*] - \phi^*(0)`; the sizes of the terms that were added up in the first two.
        Beyond the data the derivatives of g by :math:`\beta` and :math:`v_1` take the place of the hats.
    """

    table: Array

    def add(self, side: int, nodes: GradedNodes, response: Response, equations: DualEquations) -> None:
        """Add what `nodes` contribute, given the response there."""
        (value,), (slope,), (conjugate,) = (part.values() for part in (response.value, response.slope, response.dual))
        hats, terms = _like(nodes.weights, 2), _like(nodes.weights, 6)
        hats[1] = nodes.share(equations.x)
        np.subtract(1, hats[1], out=hats[0])
        (outside,) = ((nodes.piece == 0) | (nodes.piece == equations.x.size)).nonzero()
        if outside.size:
            factor = np.where(nodes.piece[outside] == 0, *equations.factors(side))[:, None]
            hats[0, outside], hats[1, outside] = factor * equations.tau(nodes.nodes[outside]), factor
        np.multiply(nodes.weights * value, hats, out=terms[:2])
        steep = np.multiply(nodes.weights * slope, hats, out=terms[3:5])
        np.multiply(steep[0], hats[0], out=terms[2])
        steep *= hats[1]
        np.multiply(nodes.weights, conjugate, out=terms[5])
        rows = np.empty((8, nodes.piece.size))
        terms.sum(axis=2, out=rows[:6])
        np.abs(rows[:2], out=rows[6:])
        self.add_rows(rows, nodes.piece)

    def add_rows(self, rows: Array, piece: NDArray[np.intp]) -> None:
        """Add rows, shape (8, N), to the columns number `piece`."""
        first, columns = 0, self.table.shape[1]
        if columns > _NARROW:
            first, last = int(piece.min()), int(piece.max())
            columns = last - first + 1
            if columns == piece.size and (piece[1:] > piece[:-1]).all():  # one row for each
                self.table[:, first : last + 1] += rows
                return
        place = piece - first + columns * np.arange(len(rows))[:, None]
        total = np.bincount(place.ravel(), rows.ravel(), len(rows) * columns)
        self.table[:, first : first + columns] += total.reshape(-1, columns)

    @property
    def moments(self) -> Moments:
        """Of the curvature density, and the sizes of their terms: shape (2, ...)."""
        return Moments(self.table[::6, 1:-1], self.table[1::6, 1:-1], (self.table[:, 0] + self.table[:, -1])[_MOMENTS])

    @property
    def masses(self) -> Masses:
        """Of the derivative of the curvature density."""
        rows = self.table[2:5]
        return Masses(rows[0, 1:-1], rows[1, 1:-1], rows[2, 1:-1], rows[:, 0] + rows[:, -1])

    @property
    def conjugate(self) -> float:
        """The row of the conjugate, added up."""
        return float(self.table[5].sum())


def _like(nodes: Array, copies: int) -> Array:
    """Room for so many arrays that lie in memory like the nodes, one node of all cells after the other."""
    return np.empty((copies, *nodes.T.shape)).transpose(0, 2, 1)


def neglected(brinks: list[Brink], x: Array, largest: float) -> float:
    """The moment that one side leaves out if its curvature goes on to decay as it did from `largest`, near the data `x`."""
    at, out, term = (np.concatenate(column) for column in zip(*brinks, strict=True))
    order = np.argsort(at)
    at, out, term = at[order], out[order], term[order]
    beside = out.copy()
    beside[1:] |= out[:-1]
    beside[:-1] |= out[1:]
    span = x[-1] - x[0]
    wide = span + np.maximum(np.maximum(x[0] - at, at - x[-1]), 0.0)
    term, wide = term[beside], wide[beside]
    decay = wide / np.maximum(1.0, -np.log(np.maximum(term / largest, 1e-300)))
    return float((term * decay * (wide + span)).max(initial=0.0))
