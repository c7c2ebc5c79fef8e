r"""Quadrature that follows the dual function: nodes placed in the coordinate in which the curvature is smooth.

The curvature :math:`a(c, g(c))` of a side is smooth in c except where the piecewise linear g has a kink (at data) or a
zero (there :math:`(\phi')^{-1}` may be singular). Cells therefore end at both, and on a cell on which g changes much
the Gauss rule is laid out in the coordinate s of `Potential.unfold`, c(s) being z(s) up to a linear map. For
:math:`\phi = |u|^p + \varepsilon u^2` with a whole p all integrands are then polynomials in s where zeta is one in c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.potential import Potential
from splinebias.quadrature import Cells, above_noise, gauss_legendre, rounding_noise, unresolved
from splinebias.solve.discretize import Nodes, data_before
from splinebias.solve.dual_function import DualFunction
from splinebias.unfolded import Rows

_STEADY = 0.02  # relative change of g on a cell below which the curvature is smooth enough in c itself
_NEAR_ZERO = 0.5  # above it the cell touches a zero, or nearly so
_MAX_PANELS = 400  # on one cell
_MANY = 0.1  # of the rows at zeros
_TAIL, _FARTHEST = 1e-15, 1e100  # share of a last cell that matters, and where no more cells are added


class GradedNodes(Nodes):
    """A Gauss rule for one side of one dual function.

    Attributes
    ----------
    rows : Rows
        The rule with its coordinates.
    left, right : Array, shape (N,)
        The cell, between zeros of g, in which a row of nodes lies.
    panel : Array of int, shape (N,)
        In cells at a zero of g, the panel of `GradedGrid.breaks`; -1 elsewhere.
    """

    def __init__(self, x: Array, rows: Rows, cells: _LocalCells, panel: NDArray[np.intp]) -> None:
        super().__init__(rows.nodes, rows.weights, cells.piece)
        self.x, self.rows, self.left, self.right, self.panel = x, rows, cells.left, cells.right, panel
        # of the anchors, relative to the data point on the left
        self._local = np.where(rows.anchor == cells.left, cells.local, cells.local + cells.wide)

    def share(self, x: Array) -> Array:
        gap = np.diff(x)[np.clip(self.piece - 1, 0, x.size - 2)]
        return np.asarray((self._local[:, None] + self.rows.offset) / gap[:, None])

    def matter(self, values: Array, size: float) -> Array:
        """What the rows contribute, shape (N,), in units of what is known to rounding.

        `values` are integrands in the coordinates of the rows, `size` that of the data. Among the data, curvature moves an
        ordinate against its neighbours; everywhere, it adds to the slope and offset of the whole.
        """
        mass = np.abs(values)
        lever = (self.x[-1] - self.x[0]) + np.abs(self.nodes - self.x[0])
        weight = gauss_legendre(self.nodes.shape[1])[1]
        moment = (mass * lever) @ weight
        gaps = np.r_[0.0, np.diff(self.x), 0.0][self.piece]
        return np.asarray(np.maximum(moment / (moment.sum() or 1.0), (mass @ weight) * gaps / size))


@dataclass(frozen=True, eq=False)
class GradedGrid:
    """A rule for every dual function.

    Attributes
    ----------
    cells : Cells
        Resolve the law and hold the data.
    breaks : Array
        How cells at a zero of g are cut in s, from 0 (there) to 1.
    """

    cells: Cells
    breaks: Array

    def at(self, dual: DualFunction, side: int, potential: Potential) -> GradedNodes:
        """The nodes for side `side` of g = `dual`."""
        cells = _LocalCells.of(self.cells, dual, side)
        change = _change(cells.start, cells.stop)
        order, panels = self.cells.order, self.breaks.size - 1
        at_zero = change > _NEAR_ZERO
        several = at_zero & (panels > 1)
        steady, bent, cut = map(np.flatnonzero, (change <= _STEADY, (change > _STEADY) & ~several, several))
        rules = []
        if steady.size:
            rules.append(_plain_rows(cells.take(steady), order))
        if bent.size:
            rules.append(_curved_rows(cells.take(bent), potential, np.array([0.0, 1.0]), order))
        if cut.size:
            rules.append(_curved_rows(cells.take(cut), potential, self.breaks, order))
        rows = rules[0] if len(rules) == 1 else Rows(*(np.concatenate(parts) for parts in zip(*rules, strict=True)))
        cell = np.concatenate([steady, bent, np.repeat(cut, panels)])
        panel = np.concatenate([np.zeros(steady.size + bent.size, np.intp), np.tile(np.arange(panels), cut.size)])
        return GradedNodes(dual.x, rows, cells.take(cell), np.where(at_zero[cell], panel, -1))

    def halved(self) -> GradedGrid:
        """With all panels of cells at zeros cut into two."""
        return replace(self, breaks=np.sort(np.r_[self.breaks, (self.breaks[1:] + self.breaks[:-1]) / 2]))

    def refined(
        self, samples: list[tuple[GradedNodes, Array]], law: BreakpointLaw, size: float, tolerance: float
    ) -> GradedGrid | None:
        """A grid that resolves curvature densities, given at nodes, where this one does not; None if it does everywhere.

        It also reaches farther where a law without end still matters at the last cell: the conjugate of the potential may
        grow faster than the square for which the cells were made. `size` is that of the data, `tolerance` for Legendre
        coefficients of the densities; those below the rounding noise of the law are left alone.
        """
        cuts, split, beyond = [], [], set()
        edges, x = self.cells.edges, samples[0][0].x
        for nodes, density in samples:
            values = nodes.weights * density / gauss_legendre(density.shape[1])[1]
            matter = nodes.matter(values, size)
            for end, last, ends, point in (
                (law.support[0], edges[0], nodes.left, x[0]),
                (law.support[1], edges[-1], nodes.right, x[-1]),
            ):
                if math.isinf(end) and matter[ends == last].sum() > _TAIL and abs(last) < _FARTHEST:
                    beyond.add(2 * last - point)
            failing = unresolved(values, matter, 1.0, tolerance)
            failing &= nodes.right - nodes.left > 1e-13 * np.abs(nodes.left)
            at_zero = nodes.panel >= 0
            at = np.flatnonzero(failing & ~at_zero)
            largest = np.abs(values[at]).max(axis=1, keepdims=True)
            failing[at] = above_noise(values[at] / largest, rounding_noise(law, nodes.left[at], nodes.right[at]))
            # many unresolved zeros: not smooth in s; a few: it is the law that changes too much on the cell
            shared = at_zero if (failing & at_zero).sum() > _MANY * at_zero.sum() else np.zeros_like(at_zero)
            split.append(nodes.panel[failing & shared])
            cut = failing & ~shared
            cuts.append((nodes.left[cut] + nodes.right[cut]) / 2)
        middles, panels = np.unique(np.concatenate(cuts)), np.unique(np.concatenate(split))
        breaks = np.sort(np.r_[self.breaks, (self.breaks[panels] + self.breaks[panels + 1]) / 2])
        if middles.size + panels.size + len(beyond) == 0 or breaks.size > _MAX_PANELS:
            return None
        cells = self.cells.split(middles)
        return replace(self, cells=Cells(np.union1d(cells.edges, list(beyond)), cells.order), breaks=breaks)


class _LocalCells(NamedTuple):
    """Cells between data, law knots and zeros of one side of g.

    Attributes
    ----------
    left, right : Array, shape (N,)
        Ends.
    piece : Array of int, shape (N,)
        Number of data points to the left.
    local, wide : Array, shape (N,)
        The left end relative to the data point before it, and the width, also where data are so close that doubles
        place a zero between them poorly.
    start, stop : Array, shape (N,)
        g at the ends.
    """

    left: Array
    right: Array
    piece: NDArray[np.intp]
    local: Array
    wide: Array
    start: Array
    stop: Array

    @classmethod
    def of(cls, cells: Cells, dual: DualFunction, side: int) -> _LocalCells:
        x, zeros = dual.x, dual.zeros_of(side)
        edges = cells.split(zeros.place).edges
        piece = data_before(edges, x)
        before = x[np.maximum(piece - 1, 0)]
        local = np.stack([edges[:-1] - before, edges[1:] - before])
        g = np.asarray(dual(edges, side))
        at = np.searchsorted(edges, zeros.place)
        kept = (edges[np.minimum(at, edges.size - 1)] == zeros.place) & ~np.isin(zeros.place, x)
        at, offset = at[kept], zeros.offset[kept]
        g[at] = 0.0
        local[0, at[at < edges.size - 1]] = offset[at < edges.size - 1]
        local[1, at[at > 0] - 1] = offset[at > 0]
        start, stop = g[:-1], g[1:]
        torn = start * stop < 0  # a zero that is an edge up to rounding: the nearer end is the zero
        nearer = np.abs(start) < np.abs(stop)
        start, stop = np.where(torn & nearer, 0.0, start), np.where(torn & ~nearer, 0.0, stop)
        return cls(edges[:-1], edges[1:], piece, local[0], local[1] - local[0], start, stop)

    def take(self, at: NDArray[np.intp]) -> _LocalCells:
        """Some of them."""
        return _LocalCells(*(column[at] for column in self))  # type: ignore[arg-type]


def _change(left: Array, right: Array) -> Array:
    """Relative change of g over cells, between 0 and 1."""
    size = np.maximum(np.abs(left), np.abs(right))
    return np.divide(np.abs(right - left), size, out=np.zeros_like(size), where=size > 0)


def _plain_rows(cells: _LocalCells, order: int) -> Rows:
    """A Gauss rule in c on `cells`."""
    place, weight = gauss_legendre(order)
    wide, none = cells.wide, np.zeros(cells.wide.size)
    g = cells.start + (cells.stop - cells.start) * place[:, None]  # in memory node after node, as in `Cells`
    offset, weights = wide * place[:, None], wide * weight[:, None]
    return Rows(offset.T, weights.T, g.T, cells.left, cells.right, wide, cells.left, none, none, none, wide)


def _curved_rows(cells: _LocalCells, potential: Potential, breaks: Array, order: int) -> Rows:
    """The same in s, on each of the panels between `breaks`, starting from the end of a cell where g is smaller in size."""
    place, weight = gauss_legendre(order)
    panels = breaks.size - 1
    from_left = np.abs(cells.start) <= np.abs(cells.stop)
    low, high = np.where(from_left, cells.start, cells.stop), np.where(from_left, cells.stop, cells.start)
    anchor, wide = np.where(from_left, cells.left, cells.right), np.where(from_left, cells.wide, -cells.wide)
    rate = (high - low) / wide
    s0, s1 = potential.fold(low), potential.fold(high)
    s = s0[:, None] + (s1 - s0)[:, None] * breaks
    cuts = (potential.unfold(s)[0] - low[:, None]) / rate[:, None]
    cuts[:, 0], cuts[:, -1] = 0.0, wide
    begin, end = s[:, :-1].ravel(), s[:, 1:].ravel()
    ends = anchor[:, None] + cuts
    ends[:, -1] = np.where(from_left, cells.right, cells.left)
    ends = np.sort(np.stack([ends[:, :-1].ravel(), ends[:, 1:].ravel()]), axis=0)
    top = np.maximum(cuts[:, :-1], cuts[:, 1:]).ravel()
    low, rate, anchor = (np.repeat(value, panels) for value in (low, rate, anchor))
    g, slope = potential.unfold((begin + (end - begin) * place[:, None]).T)
    offset = (g - low[:, None]) / rate[:, None]
    weights = np.abs(slope * ((end - begin) / rate)[:, None]) * weight
    return Rows(offset, weights, g, ends[0], ends[1], top, anchor, low, rate, begin, end)
