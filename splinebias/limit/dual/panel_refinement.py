r"""Quadrature that follows the dual function: nodes placed in the coordinate in which the curvature is smooth.

The curvature :math:`a(c, g(c))` of a side is smooth in c except where the piecewise linear g has a kink (at data) or a
zero (there :math:`(\phi')^{-1}` may be singular). Cells therefore end at both, and on a cell on which g changes much
the Gauss rule is laid out in the coordinate s of `Potential.unfold`, c(s) being z(s) up to a linear map. For
:math:`\phi = |u|^p + \varepsilon u^2` with a whole p all integrands are then polynomials in s where zeta is one in c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.functions.curved_rows import Rows
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.zeta_cells import rounding_noise
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.newton_system import Nodes
from splinebias.limit.dual.panels import Frame, LocalCells
from splinebias.numerics.cells import Cells, above_noise, gauss_legendre, unresolved
from splinebias.potential import Potential

STEADY = 0.02  # relative change of g on a cell below which the curvature is smooth enough in c itself
_NEAR_ZERO = 0.5  # above it the cell touches a zero, or nearly so
_MAX_PANELS = 400  # on one cell
_MANY = 0.1  # of the rows at zeros
_TAIL, _FARTHEST = 1e-15, 1e100  # share of a last cell that matters, and where no more cells are added


class GradedNodes(Nodes):
    """A Gauss rule for one side of one dual function, on some cells or on all, in no particular order.

    Attributes
    ----------
    rows : Rows
        The rule with its coordinates.
    left, right : Array, shape (N,)
        The cell, between zeros of g, in which a row of nodes lies.
    number : Array of int, shape (N,)
        That of the cell of `GradedGrid.cells` which holds it.
    panel : Array of int, shape (N,)
        In cells at a zero of g, the panel of `GradedGrid.breaks`; -1 elsewhere.
    """

    def __init__(self, x: Array, rows: Rows, cells: LocalCells, panel: NDArray[np.intp]) -> None:
        super().__init__(rows.nodes, rows.weights, cells.piece)
        self.x, self.rows, self.left, self.right = x, rows, cells.left, cells.right
        self.number, self.panel = cells.number, panel
        # of the anchors, relative to the data point on the left
        self._local = np.where(rows.anchor == cells.left, cells.local, cells.local + cells.wide)
        self._gap = cells.gap

    def share(self, x: Array) -> Array:
        share = self.rows.offset + self._local[:, None]
        share *= (1 / self._gap)[:, None]
        return np.asarray(share)

    def alpha(self, potential: Potential) -> Array:
        r""":math:`|(\phi')^{-1}(g)|`, shape (N, q): where most rows are curved, read off their coordinate."""
        rows, (plain,) = self.rows, (self.rows.rate == 0).nonzero()
        if 2 * plain.size > rows.rate.size:
            return np.asarray(potential.grad_inverse(np.abs(rows.g)))
        place = gauss_legendre(rows.g.shape[1])[0]
        found = np.abs(potential.primal(rows.start + (rows.stop - rows.start) * place[:, None])).T
        if plain.size:
            found[plain] = potential.grad_inverse(np.abs(rows.g[plain]))
        return np.asarray(found)

    def moments(self, values: Array) -> tuple[Array, Array]:
        """By how much integrands in the coordinates of the rows move slope and offset, and one ordinate, each (N,)."""
        mass, weight = np.abs(values), gauss_legendre(self.nodes.shape[1])[1]
        lever = (self.x[-1] - self.x[0]) + np.abs(self.nodes - self.x[0])
        gaps = np.where((self.piece == 0) | (self.piece == self.x.size), 0.0, self._gap)
        return (mass * lever) @ weight, (mass @ weight) * gaps


@dataclass(frozen=True, eq=False)
class GradedGrid:
    """A rule for every dual function.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    cells : Cells
        Resolve the law and hold the data.
    breaks : Array
        How cells at a zero of g are cut in s, from 0 (there) to 1.
    split : bool
        Whether all cells end at zeros of g. Among the data they need not where the integrands are smooth in s there, and
        not too sharply bent.
    """

    x: Array
    cells: Cells
    breaks: Array
    split: bool

    @cached_property
    def frame(self) -> Frame:
        """The cells beside the data."""
        return Frame.of(self.cells, self.x)

    @np.errstate(over="ignore")  # such cells get plain rows
    def at(
        self,
        dual: DualFunction,
        side: int,
        potential: Potential,
        some: Any = None,
        order: int | None = None,
        steady: float = STEADY,
    ) -> GradedNodes:
        """The nodes for side `side` of g = `dual`.

        `some` : an index for arrays of cells, for nodes on some of them only.
        `order` : nodes a row, if not that of `cells`.
        `steady` : relative change of g on a cell up to which nodes are laid out in c itself.
        """
        cells = LocalCells.of(self.frame if some is None else self.frame.take(some), dual, side, split=self.split)
        order = order or self.cells.order
        change, size = _change(cells.start, cells.stop)
        if not np.isfinite(potential.fold(size.max(initial=0.0))):  # s overflows
            change[~np.isfinite(potential.fold(size))] = 0.0
        at_zero, panels, part = change > _NEAR_ZERO, self.breaks.size - 1, None
        if panels == 1:
            panel = np.where(at_zero, 0, -1)
        else:
            copies = np.where(at_zero, panels, 1)
            cell = np.repeat(np.arange(copies.size), copies)
            number = np.arange(cell.size) - (np.cumsum(copies) - copies)[cell]
            cells, change, at_zero = cells.take(cell), change[cell], at_zero[cell]
            part = np.where(at_zero, [self.breaks[number], self.breaks[number + 1]], [[0.0], [1.0]])
            panel = np.where(at_zero, number, -1)
        return GradedNodes(dual.x, _rows(cells, change > steady, potential, order, part), cells, panel)

    def changes(self, dual: DualFunction, side: int) -> Array:
        """How much g changes on cells, relative to the larger of its sizes at their ends, shape (N,)."""
        return _change(*self.frame.values(dual, side))[0]

    def halved(self) -> GradedGrid | None:
        """With all panels of cells at zeros cut into two; None if they are too many then."""
        if 2 * self.breaks.size > _MAX_PANELS:
            return None
        return replace(self, breaks=np.sort(np.r_[self.breaks, (self.breaks[1:] + self.breaks[:-1]) / 2]))

    def refined(
        self,
        samples: list[tuple[GradedNodes, Array]],
        law: BreakpointLaw,
        size: float,
        tolerance: float,
        negligible: float,
    ) -> GradedGrid | None:
        """A grid that resolves curvature densities, given at nodes, where this one does not; None if it does everywhere.

        It also reaches `farther`. `size` is that of the data, `tolerance` for Legendre coefficients of the densities; those
        below the rounding noise of the law, or a `negligible` share of all moments, are left alone.
        """
        failures, (values, matters) = [], _shares(samples, size)
        beyond = self._beyond(samples, matters, law)
        for (nodes, _), value, matter in zip(samples, values, matters, strict=True):
            failing = unresolved(value, matter, 1.0, tolerance, negligible)
            failing &= nodes.right - nodes.left > 1e-13 * np.abs(nodes.left)
            at_zero = nodes.panel >= 0
            at = np.flatnonzero(failing & ~at_zero)
            if at.size:
                largest = np.abs(value[at]).max(axis=1, keepdims=True)
                failing[at] = above_noise(value[at] / largest, rounding_noise(law, nodes.left[at], nodes.right[at]))
            failures.append(failing)
        # many unresolved zeros: not smooth in s; a few: it is the law that changes too much on the cell
        zeros = [nodes.panel >= 0 for nodes, _ in samples]
        unresolved_zeros = sum(int((bad & at).sum()) for bad, at in zip(failures, zeros, strict=True))
        many = unresolved_zeros > _MANY * sum(int(at.sum()) for at in zeros)
        cuts, split = [], []
        for (nodes, _), failing, at_zero in zip(samples, failures, zeros, strict=True):
            shared = failing & at_zero if many else np.zeros_like(failing)
            split.append(nodes.panel[shared])
            cut = failing & ~shared
            cuts.append((nodes.left[cut] + nodes.right[cut]) / 2)
        middles, panels = np.unique(np.concatenate(cuts)), np.unique(np.concatenate(split))
        first_cut = panels.size > 0 and not self.split  # at the zeros themselves: that may be enough
        halved = panels[:0] if first_cut else panels
        breaks = np.sort(np.r_[self.breaks, (self.breaks[halved] + self.breaks[halved + 1]) / 2])
        if middles.size + panels.size + len(beyond) == 0 or breaks.size > _MAX_PANELS:
            return None
        cells = self.cells.split(middles)
        cells = Cells(np.union1d(cells.edges, beyond), cells.order)
        return replace(self, cells=cells, breaks=breaks, split=self.split or first_cut)

    def farther(self, samples: list[tuple[GradedNodes, Array]], law: BreakpointLaw, size: float) -> GradedGrid | None:
        """A grid that reaches farther where a law without end still matters at the last cell, None if it does nowhere.

        The conjugate of the potential may grow faster than the square for which the cells were made.
        """
        beyond = self._beyond(samples, _shares(samples, size)[1], law)
        return replace(self, cells=Cells(np.union1d(self.cells.edges, beyond), self.cells.order)) if beyond else None

    def _beyond(self, samples: list[tuple[GradedNodes, Array]], matters: list[Array], law: BreakpointLaw) -> list[float]:
        """New last edges."""
        edges, x = self.cells.edges, self.x
        found = set()
        for (nodes, _), matter in zip(samples, matters, strict=True):
            for end, last, ends, point in (
                (law.support[0], edges[0], nodes.left, x[0]),
                (law.support[1], edges[-1], nodes.right, x[-1]),
            ):
                if math.isinf(end) and matter[ends == last].sum() > _TAIL and abs(last) < _FARTHEST:
                    found.add(float(2 * last - point))
        return sorted(found)


def _shares(samples: list[tuple[GradedNodes, Array]], size: float) -> tuple[list[Array], list[Array]]:
    """Per sample, the density as an integrand of the rows, shape (N, q), and what rows contribute to moments, shape (N,).

    That is relative to all of them, or to the `size` of the data if that is more.
    """
    values = [nodes.weights * density / gauss_legendre(density.shape[1])[1] for nodes, density in samples]
    moments = [nodes.moments(value) for (nodes, _), value in zip(samples, values, strict=True)]
    total = sum(float(moment.sum()) for moment, _ in moments) or 1.0
    return values, [np.maximum(moment / total, shift / size) for moment, shift in moments]


def _change(left: Array, right: Array) -> tuple[Array, Array]:
    """Relative change of g over cells, between 0 and 1, and its size."""
    size = np.maximum(np.abs(left), np.abs(right))
    return np.divide(np.abs(right - left), size, out=np.zeros_like(size), where=size > 0), size


def _rows(cells: LocalCells, bent: NDArray[np.bool_], potential: Potential, order: int, part: Array | None) -> Rows:
    """Gauss rules on `cells`: in s where they are `bent`, on a `part` (see `_curved_rows`), else in c."""
    if bent.all():
        return _curved_rows(cells, potential, order, part)
    if not bent.any():
        return _plain_rows(cells, order)

    def plain(at: Any) -> Rows:
        return _plain_rows(cells.take(at), order)

    def curved(at: Any) -> Rows:
        return _curved_rows(cells.take(at), potential, order, None if part is None else part[:, at])

    mostly = 2 * np.count_nonzero(bent) >= bent.size
    few = np.flatnonzero(bent != mostly)
    most, others = (curved, plain) if mostly else (plain, curved)
    rows = most(slice(None))
    for column, values in zip(rows, others(few), strict=True):
        column[few] = values
    return rows


def _plain_rows(cells: LocalCells, order: int) -> Rows:
    """A Gauss rule in c on `cells`."""
    place, weight = gauss_legendre(order)
    wide = cells.wide
    anchor, z, rate, start = cells.left.copy(), np.zeros(wide.size), np.zeros(wide.size), np.zeros(wide.size)
    g = cells.start + (cells.stop - cells.start) * place[:, None]  # in memory node after node, as in `Cells`
    offset, weights = wide * place[:, None], wide * weight[:, None]
    left, right = cells.left.copy(), cells.right.copy()
    return Rows(offset.T, weights.T, g.T, left, right, wide.copy(), anchor, z, rate, start, wide.copy())


@np.errstate(invalid="ignore", divide="ignore")  # where g is constant: those rows are replaced by plain ones
def _curved_rows(cells: LocalCells, potential: Potential, order: int, part: Array | None) -> Rows:
    """The same in s, starting from the end of a cell where g is smaller in size.

    `part`, shape (2, N), says between which parts of the way in s from that end to the other; None: all of it.
    """
    place, weight = gauss_legendre(order)
    from_left = np.abs(cells.start) <= np.abs(cells.stop)
    values = np.array([cells.start, cells.stop])
    values = np.where(from_left, values, values[::-1])
    low, high = values
    anchor, wide = np.where(from_left, cells.left, cells.right), np.where(from_left, cells.wide, -cells.wide)
    rate = (high - low) / wide
    begin, end = potential.fold(values)
    left, right, top = cells.left.copy(), cells.right.copy(), np.maximum(wide, 0.0)
    if part is not None:
        from_, to = begin + (end - begin) * part
        cut = [(potential.unfold(s)[0] - low) / rate for s in (from_, to)]
        near, far = np.where(part[0] == 0, 0.0, cut[0]), np.where(part[1] == 1, wide, cut[1])
        begin, end, top = np.where(part[0] == 0, begin, from_), np.where(part[1] == 1, end, to), np.maximum(near, far)
        last = np.where(part[1] == 1, np.where(from_left, cells.right, cells.left), anchor + far)
        left, right = np.minimum(anchor + near, last), np.maximum(anchor + near, last)
    g, slope = potential.unfold(begin + (end - begin) * place[:, None])
    offset = (g - low) / rate
    weights = np.abs(slope * ((end - begin) / rate)) * weight[:, None]
    return Rows(offset.T, weights.T, g.T, left, right, top, anchor, low, rate, begin, end)
