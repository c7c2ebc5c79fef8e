r"""Quadrature that follows the dual function: nodes placed in the coordinate in which the curvature is smooth.

The curvature :math:`a(c, g(c))` of a side is smooth in c except where the piecewise linear g has a kink (at data) or a
zero (there :math:`(\phi')^{-1}` may be singular). Panels therefore end at both, and on a panel on which g changes much
the Gauss rule is laid out in the coordinate s of `Unfolding`, c(s) being z(s) up to a linear map. For
:math:`\phi = |u|^p + \varepsilon u^2` with a whole p all integrands are then polynomials in s where zeta is one in c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.functions.curved_rows import Rows
from splinebias.functions.unfolding import Unfolding
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.initialization.zeta_cells import rounding_noise
from splinebias.limit.discretization import Nodes
from splinebias.limit.dual.dual_function import SideFunction
from splinebias.limit.dual.panels import Folds, Panels, PlacedCells
from splinebias.numerics.cells import Cells, above_noise, unresolved
from splinebias.numerics.legendre import gauss_legendre

_MAX_PANELS = 400  # on one cell
_TO_POLES = np.array([2.0**-9, 2.0**-6, 2.0**-3, 1 - 2.0**-3, 1 - 2.0**-6, 1 - 2.0**-9])  # at ends, where g has its kinks
_NEAR_ZERO = 0.75  # change of g, relative: on cells that double in width beyond the data it is a half or a little more

Sampled = Sequence[tuple["PanelNodes", Array]]  # densities at nodes


class PanelNodes(Nodes):
    """A Gauss rule for one dual function, on some cells or on all, in no particular order.

    Attributes
    ----------
    rows : Rows
        The rule with its coordinates.
    left, right : Array, shape (N,)
        The panel in which a row of nodes lies.
    number : Array of int, shape (N,)
        That of the cell of `PanelGrid.cells` which holds it.
    at_zero : Array of int, shape (N,)
        In cells at a zero of g, the number of the panel between `PanelGrid.breaks`; -1 elsewhere.
    function : Array of int, shape (N,)
        Of which dual function they are, where there are several.
    """

    def __init__(self, x: Array, rows: Rows, panels: Panels, at_zero: NDArray[np.intp]) -> None:
        super().__init__(rows.nodes, rows.weights, panels.interval)
        self.x, self.rows, self.left, self.right = x, rows, panels.left, panels.right
        self.number, self.function, self.at_zero = panels.number, panels.function, at_zero
        # of the anchors, relative to the data point on the left
        self._local = np.where(rows.anchor == panels.left, panels.local, panels.local + panels.wide)
        self._gap = panels.gap

    def share(self, x: Array) -> Array:
        share = self.rows.offset + self._local[:, None]
        share *= (1 / self._gap)[:, None]
        return np.asarray(share)

    def curvature(self, unfolding: Unfolding) -> Array:
        r""":math:`|(\phi')^{-1}(g)|`, shape (N, q): where most rows are curved, read off their coordinate.

        That takes a quarter of the time of an inverse by iteration (p = 1.3 with a quadratic part), and 1.0 of a formula's.
        """
        rows, (plain,), inverse = self.rows, (self.rows.rate == 0).nonzero(), unfolding.potential.grad_inverse
        if 2 * plain.size > rows.rate.size:
            return np.asarray(inverse(np.abs(rows.g)))
        place = gauss_legendre(rows.g.shape[1])[0]
        found = np.abs(unfolding.curvature(rows.start + (rows.stop - rows.start) * place[:, None])).T
        if plain.size:
            found[plain] = inverse(np.abs(rows.g[plain]))
        return np.asarray(found)

    def moments(self, values: Array) -> tuple[Array, Array]:
        """By how much integrands in the coordinates of the rows move slope and offset, and one ordinate, each (N,)."""
        mass, weight = np.abs(values), gauss_legendre(self.nodes.shape[1])[1]
        lever = (self.x[-1] - self.x[0]) + np.abs(self.nodes - self.x[0])
        gaps = np.where((self.interval == 0) | (self.interval == self.x.size), 0.0, self._gap)
        return (mass * lever) @ weight, (mass @ weight) * gaps


@dataclass(frozen=True, eq=False)
class PanelGrid:
    """A rule for every dual function.

    Attributes
    ----------
    x : Array, shape (M,)
        Data abscissae.
    cells : Cells
        Resolve the law and hold the data.
    unfolding : Unfolding
        The coordinate of panels on which g changes much.
    split : bool
        Whether all cells are cut at zeros of g. Among the data they need not where the integrands are smooth in s there, and
        not too sharply bent.
    breaks : Array
        How panels at a zero of g are cut in s, from 0 (there) to 1.
    folds : Folds
        From where on a `brief` rule has cells in u.
    """

    x: Array
    cells: Cells
    unfolding: Unfolding
    split: bool
    breaks: Array = field(default_factory=lambda: np.array([0.0, 1.0]))
    folds: Folds = (None, None)

    @cached_property
    def placed(self) -> PlacedCells:
        """The cells beside the data."""
        return PlacedCells.of(self.cells, self.x)

    @cached_property
    def brief(self) -> PlacedCells:
        """The cells, with those in u that are as good as they, beyond the `folds`."""
        return self.placed if self.folds == (None, None) else self.placed.folded(self.folds)

    def at(self, g: SideFunction, order: int | None = None) -> PanelNodes:
        """The nodes for one dual function, `order` a row, if not as many as in `cells`."""
        return self.on(self.placed, g, order or self.cells.order)

    def on(self, placed: PlacedCells, g: SideFunction, order: int) -> PanelNodes:
        """The nodes for one dual function on some cells, of these or of `brief` ones, `order` a row."""
        return self._laid_out(Panels.of(placed, g, split=self.split), order)[0]

    def of_both(self, sides: tuple[SideFunction, ...]) -> tuple[PanelNodes, int]:
        """The nodes for two dual functions on brief cells, at once; and how many rows are those of the first."""
        first, second = (Panels.of(self.brief.acting(g), g, split=self.split) for g in sides)
        joined = Panels(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
        nodes, panel = self._laid_out(joined, self.cells.order)
        return nodes, int(np.searchsorted(panel, first.number.size))

    @np.errstate(over="ignore")  # such panels get plain rows
    def _laid_out(self, panels: Panels, order: int) -> tuple[PanelNodes, NDArray[np.intp]]:
        """The nodes on panels, `order` a row; and of which panel a row is a part."""
        start, stop = np.abs(panels.start), np.abs(panels.stop)
        size, change = np.maximum(start, stop), np.abs(panels.stop - panels.start)
        change = np.divide(change, size, out=np.zeros_like(size), where=size > 0)
        s = self.unfolding.fold(np.array([panels.start, panels.stop]))
        change[~np.isfinite(s).all(axis=0)] = 0.0  # s overflows
        near_zero, count, part = change > _NEAR_ZERO, self.breaks.size - 1, None
        at_zero, whole = np.where(near_zero, 0, -1), np.arange(size.size)
        if count > 1:
            copies = np.where(near_zero, count, 1)
            whole = np.repeat(whole, copies)
            number = np.arange(whole.size) - (np.cumsum(copies) - copies)[whole]
            panels, s, change, near_zero = panels.take(whole), s[:, whole], change[whole], near_zero[whole]
            part = np.where(near_zero, [self.breaks[number], self.breaks[number + 1]], [[0.0], [1.0]])
            at_zero = np.where(near_zero, number, -1)
        bent = change > 0.02  # else the curvature is smooth enough in c itself
        mostly = 2 * np.count_nonzero(bent) > bent.size
        rows = _curved_rows(panels, s, self.unfolding, order, part) if mostly else _plain_rows(panels, order)
        (at,) = (bent != mostly).nonzero()
        if at.size:
            others, of = panels.take(at), None if part is None else part[:, at]
            fewer = _plain_rows(others, order) if mostly else _curved_rows(others, s[:, at], self.unfolding, order, of)
            for column, values in zip(rows, fewer, strict=True):
                column[at] = values
        (far,) = panels.reach.nonzero()
        if far.size:
            _unfold(rows, far, panels.centre[far], panels.reach[far])
        return PanelNodes(self.x, rows, panels, at_zero), whole

    def halved(self) -> PanelGrid | None:
        """With all panels at zeros cut into two; None if they are too many then."""
        if 2 * self.breaks.size > _MAX_PANELS:
            return None
        return replace(self, breaks=np.sort(np.r_[self.breaks, (self.breaks[1:] + self.breaks[:-1]) / 2]))

    def refined(
        self,
        samples: Sampled,
        law: BreakpointLaw,
        size: float,
        tolerance: float,
        negligible: float,
        noises: Sequence[Array] | None = None,
    ) -> PanelGrid | None:
        """A grid that resolves curvature densities, given at nodes, where this one does not; None if it does everywhere.

        It also reaches `farther`. `size` is that of the data, `tolerance` for Legendre coefficients of the densities; those
        below the rounding noise of the law, or `noises` of the densities, relative and row by row, or a `negligible`
        share of all moments, are left alone.
        """
        values, matters = _shares(samples, size)
        nodes, failures, infinities = [of for of, _ in samples], [], []
        beyond = self._beyond(nodes, matters, law, 1e-3 * tolerance)
        rounding_of_g = noises or [np.zeros(of.number.size) for of in nodes]
        for (of, density), rounding, value, matter in zip(samples, rounding_of_g, values, matters, strict=True):
            infinite = np.asarray(
                ~np.isfinite(density).all(axis=1)
            )  # the dual function passes its domain between other nodes
            failing = unresolved(value, matter, 1.0, tolerance, negligible) | infinite
            failing &= of.right - of.left > 1e-13 * np.abs(of.left)
            at = np.flatnonzero(failing & (of.at_zero < 0))
            if at.size:
                largest = np.abs(value[at]).max(axis=1, keepdims=True)
                noise = np.maximum(rounding_noise(law, of.left[at], of.right[at]), rounding[at])
                failing[at] = infinite[at] | above_noise(value[at] / np.where(largest > 0, largest, 1.0), noise)
            failures.append(failing)
            infinities.append(infinite)
        left, right, at_zero = (np.concatenate([getattr(of, name) for of in nodes]) for name in ("left", "right", "at_zero"))
        failing, poles = np.concatenate(failures), np.concatenate(infinities)
        zero = at_zero >= 0
        # many unresolved zeros: not smooth in s; a few: it is the law that changes too much on the cell
        shared = failing & zero & ~poles & (np.count_nonzero(failing & zero) > 0.1 * np.count_nonzero(zero))
        cut = failing & ~shared
        middle = (left + right) / 2
        if not self.unfolding.analytic:  # a zero is what is hard to resolve: equal steps of s, not of c, lead there
            folded = np.concatenate([of.rows.middle(self.unfolding) for of in nodes])
            middle = np.where((folded > left) & (folded < right), folded, middle)
        towards = left[cut & poles] + np.outer(_TO_POLES, (right - left)[cut & poles])
        middles, panels = np.unique(np.r_[middle[cut], towards.ravel()]), np.unique(at_zero[shared])
        first_cut = panels.size > 0 and not self.split  # at the zeros themselves: that may be enough
        halved = panels[:0] if first_cut else panels
        breaks = np.sort(np.r_[self.breaks, (self.breaks[halved] + self.breaks[halved + 1]) / 2])
        if middles.size + panels.size + len(beyond) == 0 or breaks.size > _MAX_PANELS:
            return None
        cells = Cells(np.union1d(self.cells.split(middles).edges, beyond), self.cells.order)
        return replace(self, cells=cells, breaks=breaks, split=self.split or first_cut)

    def farther(self, samples: Sampled, law: BreakpointLaw, size: float) -> PanelGrid | None:
        """A grid that reaches farther where a law without end still matters at the last cell, None if it does nowhere.

        The conjugate of the potential may grow faster than the square for which the cells were made.
        """
        beyond = self._beyond([nodes for nodes, _ in samples], _shares(samples, size)[1], law)
        return replace(self, cells=Cells(np.union1d(self.cells.edges, beyond), self.cells.order)) if beyond else None

    def _beyond(
        self, nodes: list[PanelNodes], matters: list[Array], law: BreakpointLaw, least: float = 1e-15
    ) -> list[float]:
        """New last edges, where the share of a last cell is at `least` so much; none farther than 1e100."""
        (first, *_, last), x, found = self.cells.edges, self.x, []
        for infinite, edge, name, point in (
            (math.isinf(law.support[0]), first, "left", x[0]),
            (math.isinf(law.support[1]), last, "right", x[-1]),
        ):
            pairs = zip(nodes, matters, strict=True)
            if infinite and abs(edge) < 1e100 and any(m[getattr(of, name) == edge].sum() > least for of, m in pairs):
                found.append(float(2 * edge - point))
        return found


def _shares(samples: Sampled, size: float) -> tuple[list[Array], list[Array]]:
    """Per sample, the density as an integrand of the rows, shape (N, q), and what rows contribute to moments, shape (N,).

    That is relative to all of them, or to the `size` of the data if that is more. Infinite densities count as 0.
    """
    finite = [(nodes, np.where(np.isfinite(density), density, 0.0)) for nodes, density in samples]
    values = [nodes.weights * density / gauss_legendre(density.shape[1])[1] for nodes, density in finite]
    moments = [nodes.moments(value) for (nodes, _), value in zip(finite, values, strict=True)]
    total = sum(float(moment.sum()) for moment, _ in moments) or 1.0
    return values, [np.maximum(moment / total, shift / size) for moment, shift in moments]


def _unfold(rows: Rows, far: NDArray[np.intp], centre: Array, reach: Array) -> None:
    """Breakpoints in place of u, in the rows `far`."""
    u = rows.anchor[far, None] + rows.offset[far]
    away = reach[:, None] / u
    rows.anchor[far], rows.offset[far] = centre, away
    rows.weights[far] *= np.abs(away) / u
    rows.g[far] /= u


def _plain_rows(panels: Panels, order: int) -> Rows:
    """A Gauss rule in c on `panels`."""
    place, weight = gauss_legendre(order)
    wide, zeros = panels.wide, np.zeros((3, panels.wide.size))
    g = panels.start + (panels.stop - panels.start) * place[:, None]  # in memory node after node, as in `Cells`
    offset, weights = wide * place[:, None], wide * weight[:, None]
    left, right = panels.left.copy(), panels.right.copy()
    z, rate, start = zeros
    return Rows(offset.T, weights.T, g.T, left, right, wide.copy(), left.copy(), z, rate, start, wide.copy())


@np.errstate(invalid="ignore", divide="ignore")  # powers of g may underflow
def _curved_rows(panels: Panels, s: Array, unfolding: Unfolding, order: int, part: Array | None) -> Rows:
    """A Gauss rule in s on `panels`, starting from the end of each where g is smaller in size.

    `s`, shape (2, N), is that of their ends; `part`, shape (2, N), says between which parts of the way in s from that end
    to the other; None: all of it.
    """
    place, weight = gauss_legendre(order)
    from_left = np.abs(panels.start) <= np.abs(panels.stop)
    low, high = np.where(from_left, panels.start, panels.stop), np.where(from_left, panels.stop, panels.start)
    begin, end = np.where(from_left, s, s[::-1])
    anchor, wide = np.where(from_left, panels.left, panels.right), np.where(from_left, panels.wide, -panels.wide)
    rate = (high - low) / wide
    left, right, top = panels.left, panels.right, np.maximum(wide, 0.0)
    if part is None:
        g, slope = unfolding.unfold(begin + (end - begin) * place[:, None])
    else:
        from_, to = begin + (end - begin) * part
        begin, end = np.where(part[0] == 0, begin, from_), np.where(part[1] == 1, end, to)
        g, slope = unfolding.unfold(np.concatenate([[from_, to], begin + (end - begin) * place[:, None]]))
        cut, g, slope = (g[:2] - low) / rate, g[2:], slope[2:]
        near, far = np.where(part[0] == 0, 0.0, cut[0]), np.where(part[1] == 1, wide, cut[1])
        top = np.maximum(near, far)
        last = np.where(part[1] == 1, np.where(from_left, panels.right, panels.left), anchor + far)
        left, right = np.minimum(anchor + near, last), np.maximum(anchor + near, last)
    offset = (g - low) / rate
    weights = np.abs(slope * ((end - begin) / rate)) * weight[:, None]
    return Rows(offset.T, weights.T, g.T, left, right, top, anchor, low, rate, begin, end)
