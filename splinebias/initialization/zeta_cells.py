"""Cells that resolve the curvature densities of a law.

Data points, the law's own knots and (for the nonquadratic potentials) zeros of the dual function are always cell
ends, because a kink inside a cell costs three digits; everything else is found by bisection until the
Legendre series of the density has decayed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.numerics.cells import RESOLVED, Cells, bisect_until, coarse, noise, panel_nodes, with_points

if TYPE_CHECKING:
    from splinebias.initialization.breakpoints import BreakpointLaw

_MAX_TAIL_CELLS = 400
_AT_ONCE = (0, 4, 12, 28, 60, 124, 252, _MAX_TAIL_CELLS - 1)  # doublings are tried in blocks between these numbers
_CLOSE = 1e-3  # of the distance
_LEVER = 60  # spans of the data
_DENSE = 5000  # data, from which on most are closer together than a law changes (2 to 4 times faster predictions)
_WITHIN = 1e-3  # of a cell: there six nodes resolve the law


@np.errstate(over="ignore", invalid="ignore")  # moments that a free line does without may be infinite
def integration_cells(law: BreakpointLaw, x: Array, order: int = 16, degree: int = 1, *, accuracy: float = 0.0) -> Cells:
    r"""Cells that hold the data and the law's support and resolve :math:`\zeta^{(k)}`, k = `degree`, on both sides.

    Beyond the last finite cut an infinite support is covered by cells that double in width until moment number
    2k of :math:`\zeta^{(k)}` in the next one is below rounding, so heavy tails (:math:`c^{-2k-2}`) are not truncated.
    `accuracy` : relative error of the density, and ten times the share of these moments, that may be neglected.
    """
    if law.degree is None and x.size > _DENSE:
        return _dense_cells(law, x, order, degree)
    lo, hi = law.support
    span = x[-1] - x[0]
    marks = np.r_[law.knots, law.landmarks] if law.degree is None else law.knots
    marks = marks[np.isfinite(marks)]
    ends = np.array([end for end in (lo, hi) if np.isfinite(end)])
    marks = np.concatenate([marks[(marks > lo) & (marks < hi)], ends])
    if law.degree is None:
        marks = np.concatenate([marks, _doubling(x, marks.min(initial=x[0]), marks.max(initial=x[-1]))])
    cuts = with_points(x, marks)
    near = _Resolution(law, x, order, degree, (x[0] + x[-1]) / 2, span, accuracy)
    finite, cuts = cuts, near.with_tails(cuts)
    if law.degree is not None:
        return Cells(cuts, order)
    resolution = near.seen_from(cuts)
    kept = [x, law.knots, ends]
    if resolution is not near:
        cuts = resolution.with_tails(finite)
        kept.append(_far(cuts, x))
    fine = bisect_until(Cells(cuts, order), resolution.test(cuts), max_cells=law.max_cells)
    return resolution.merge(fine, np.concatenate(kept)) if fine.resolved else fine


def _dense_cells(law: BreakpointLaw, x: Array, order: int, degree: int) -> Cells:
    """Cells for many data: they resolve the law for the two end points, and most of the others are far within one.

    On `_WITHIN` of a cell that a polynomial of degree 15 resolves, Legendre coefficient number k is below `_WITHIN`^k.
    """
    ends = x[[0, -1]]
    law_cells = integration_cells(law, ends, degree=degree)
    edges, wide = law_cells.edges, law_cells.widths
    first, last = np.searchsorted(edges, ends)
    limit = np.repeat(_WITHIN * wide[first:last], np.diff(np.searchsorted(x, edges[first : last + 1])))
    loose = np.flatnonzero(np.diff(x) > limit)
    inner = edges[first + 1 : last]
    at = np.searchsorted(x, inner)
    needed = (x[at] - x[at - 1] > _WITHIN * np.minimum(wide[first : last - 1], wide[first + 1 : last])) | np.isin(
        inner, law.knots
    )
    cells = Cells(np.concatenate([edges[:first], x, edges[last + 1 :]]), order).split(inner[needed])
    outer = np.r_[0:first, cells.edges.size - edges.size + last : cells.edges.size - 1]
    opened = np.searchsorted(cells.edges, np.concatenate([x[loose], x[at[needed] - 1], inner[needed]]), side="right") - 1
    span = ends[1] - ends[0]
    test = _Resolution(law, ends, order, degree, ends.mean(), span).seen_from(edges).test(edges)
    found = bisect_until(cells, test, max_cells=law.max_cells, only=np.unique(np.concatenate([outer, opened])))
    return replace(found, resolved=found.resolved and law_cells.resolved)


@dataclass(frozen=True, eq=False)
class _Resolution:
    r"""The question whether cells resolve :math:`\zeta^{(k)}`, k = `degree`, of a law for data at `x`.

    Moments count relative to those about `centre`, in units of `size`: middle and span of the data, or, for data so far from
    the breakpoints that these hardly differ from there, mean and deviation of the breakpoints. `accuracy` as of
    `integration_cells`. `kept` : zeta on panels that were looked at, shape (2, q), of laws that are costly.
    """

    law: BreakpointLaw
    x: Array
    order: int
    degree: int
    centre: float
    size: float
    accuracy: float = 0.0
    kept: dict[tuple[float, float], Array] = field(default_factory=dict)

    def with_tails(self, cuts: Array) -> Array:
        """`cuts` and those of cells that cover infinite ends of the support."""
        (lo, hi), x = self.law.support, self.x
        if np.isfinite(lo) and np.isfinite(hi):
            return cuts
        span = x[-1] - x[0]
        left, right = self.seen(cuts, self.far_moment(cuts[:-1], cuts[1:]))
        wide, least = (-max(span, x[0] - cuts[0]), max(span, cuts[-1] - x[-1])), max(1e-16, 0.1 * self.accuracy)
        before = _tail(cuts[0], wide[0], self.far_moment, left, least)[::-1] if not np.isfinite(lo) else x[:0]
        after = _tail(cuts[-1], wide[1], self.far_moment, right, least) if not np.isfinite(hi) else x[:0]
        return np.concatenate([before, cuts, after])

    def seen_from(self, cuts: Array) -> _Resolution:
        """The same question with the centre and the size for data at `x`, from cells that `cuts` are the edges of."""
        marks = np.r_[self.law.knots, self.law.landmarks]
        if marks.size and self.x[0] <= marks.max() and self.x[-1] >= marks.min():
            return self
        nodes, weights = panel_nodes(cuts[:-1], cuts[1:], self.order)
        mass = weights * self.zeta(nodes).sum(axis=0)
        total = float(mass.sum())
        if not total > 0:
            return self
        centre = float((mass * nodes).sum()) / total
        deviation = float(np.sqrt((mass * (nodes - centre) ** 2).sum() / total))
        away = max(self.x[0] - centre, centre - self.x[-1])
        return replace(self, centre=centre, size=deviation) if 0 < deviation < _CLOSE * away else self

    def zeta(self, nodes: Array) -> Array:
        """Both sides, shape (2, ...)."""
        return self.law.zetas(nodes, self.degree)

    def far_moment(self, left: Array, right: Array) -> Array:
        """Moment 2k about the centre per side and panel, shape (2, N)."""
        nodes, weights = panel_nodes(left, right, self.order)
        return np.asarray((weights * self._on(nodes, left, right) * self._square(nodes) ** self.degree).sum(axis=2))

    def seen(self, edges: Array, mass: Array) -> Array:
        """What of `mass`, shape (2, N), the data see beside what is left of them, and beside what is right: shape (2, 2).

        First index: left, right; second: plus, minus. With ReLU, units of plus that are right of the data do nothing there,
        those of minus that are left of them neither. Mass beyond the data counts beside what can be seen of its side, not
        beside the whole law, most of which may be on the side that is not.
        """
        before_last, after_first = edges[:-1] < self.x[-1], edges[1:] > self.x[0]
        plus, minus = mass
        return np.array([[plus[before_last].sum(), minus.sum()], [plus.sum(), minus[after_first].sum()]])

    def _square(self, nodes: Array) -> Array:
        return np.asarray((nodes - self.centre) ** 2)

    def _values(self, left: Array, right: Array) -> tuple[Array, Array]:
        """zeta at the nodes, shape (2, N, q), and what panels contribute per side, shape (2, N).

        That counts distances below the size as the size: near the data zeta matters as it is.
        """
        nodes, weights = panel_nodes(left, right, self.order)
        zeta = self._on(nodes, left, right)
        lever = (self._square(nodes) + self.size**2) ** self.degree
        return zeta, np.asarray((weights * lever * zeta).sum(axis=2))

    def _on(self, nodes: Array, left: Array, right: Array) -> Array:
        """zeta at the nodes of panels, shape (2, N, q), integrated where it was not asked for before."""
        if not self.law.costly:
            return self.zeta(nodes)
        panels = list(zip(left.tolist(), right.tolist(), strict=True))
        if fresh := [k for k, panel in enumerate(panels) if panel not in self.kept]:
            values = self.zeta(nodes[fresh])
            self.kept.update((panels[k], values[:, row]) for row, k in enumerate(fresh))
        return np.stack([self.kept[panel] for panel in panels], axis=1) if panels else np.zeros((2, *nodes.shape))

    def test(self, cuts: Array) -> Callable[[Array, Array, float], NDArray[np.bool_]]:
        """The test for `bisect_until` on cells that `cuts` are the edges of."""
        masses = self._values(cuts[:-1], cuts[1:])[1]
        seen = self.seen(cuts, masses)

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            return self._coarse(left, right, self._values(left, right), float(masses.sum()), seen, tolerance)

        return failing

    def _coarse(
        self, left: Array, right: Array, values: tuple[Array, Array], total: float, seen: Array, tolerance: float
    ) -> NDArray[np.bool_]:
        """Which panels do not resolve zeta, given their `_values`, and the mass that there is and what of it is `seen`.

        Among the data a small zeta matters as much as a large one, down to 1e-40 of its total: below, densities exp(-large)
        are known to few digits. Beyond them zeta is resolved to 1e-13 of what the data see, which a Gauss rule integrates to
        rounding.
        """
        zeta, mass = values
        near = (right > self.x[0]) & (left < self.x[-1])
        mass = np.where(near, np.minimum(mass * 1e40, total), mass * 1e-3 * (total / self._beside(seen, left)))
        return coarse(self.zeta, zeta, mass, total, (left, right), max(tolerance, self.accuracy))

    def _beside(self, seen: Array, left: Array) -> Array:
        """Per side, what masses of panels that begin at `left` are to be compared with, shape (2, N); no zeros."""
        found = np.where(left < self.x[0], seen[0][:, None], seen[1][:, None])
        return np.asarray(np.where(found > 0, found, 1.0))

    def merge(self, cells: Cells, fixed: Array) -> Cells:
        """Cells without the edges that are not needed, `fixed` ones apart: far cells, whose mass is small, may be large."""
        edges = cells.edges
        masses = self._values(*cells.panels)[1]
        seen, total = self.seen(edges, masses), float(masses.sum())
        rounds = 0  # in a row, that found nothing
        for start in (1, 2) * 3:
            at = np.arange(start, edges.size - 1, 2)
            at = at[~np.isin(edges[at], fixed)]
            left, right, apart = edges[at - 1], edges[at + 1], masses[:, at - 1] + masses[:, at]
            zeta, together = self._values(left, right)
            little = 1e-18 * self._beside(seen, left)
            same = (np.abs(together - apart) <= 1e-13 * apart + little).all(axis=0)  # nothing narrow is missed
            at, left, right = at[same], left[same], right[same]
            gone = at[~self._coarse(left, right, (zeta[:, same], together[:, same]), total, seen, RESOLVED)]
            rounds = 0 if gone.size else rounds + 1
            if rounds == 2:
                break
            masses[:, gone - 1] = masses[:, gone - 1] + masses[:, gone]
            edges, masses = np.delete(edges, gone), np.delete(masses, gone, axis=1)
        return Cells(edges, cells.order)


def _doubling(x: Array, lowest: float, highest: float) -> Array:
    """Cuts at span (2^k - 1) beyond either end of the data, k >= 1, inside [lowest, highest].

    Without them a smooth density could hide at one end of a cell that a far quantile made huge.
    """
    span = x[-1] - x[0]
    steps = span * (2.0 ** np.arange(1, _MAX_TAIL_CELLS) - 1)
    cuts = np.r_[x[0] - steps, x[-1] + steps]
    return np.asarray(cuts[(cuts > lowest) & (cuts < highest)])


def _far(cuts: Array, x: Array) -> Array:
    """Those of `cuts`, doubling beyond data x, from which on one cell to the data would have too long a lever.

    A function is expanded about the left ends of cells, where it may be as large as they are far away, and its curvature is
    resolved relative to the largest one on a cell, which grows towards the bulk of a law.
    """
    lever = _LEVER * (x[-1] - x[0])
    return np.asarray(cuts[(cuts < x[0] - lever) | (cuts > x[-1] + lever)])


def _tail(start: float, width: float, moment: Callable[[Array, Array], Array], seen: Array, least: float) -> Array:
    """Cuts start + width (2^k - 1), k >= 1, up to where the next cell's moments are below `least` of those `seen`, (2,)."""
    cuts, total = [np.array([start])], seen[:, None]
    for first, last in itertools.pairwise(_AT_ONCE):
        found = start + width * (2.0 ** np.arange(first + 1, last + 1) - 1)
        ends = np.concatenate([cuts[-1][-1:], found])
        ends = np.array([ends[:-1], ends[1:]])
        contribution = moment(ends.min(axis=0), ends.max(axis=0))
        totals = total[:, -1:] + np.cumsum(contribution, axis=1)
        over = np.flatnonzero((contribution <= least * totals).all(axis=0))
        if over.size:
            cuts.append(found[: over[0] + 1])
            break
        cuts.append(found)
        total = totals
    return np.concatenate(cuts[1:])


def rounding_noise(law: BreakpointLaw, left: Array, right: Array) -> Array:
    """Relative rounding noise of a law's zeta on panels, shape (N,): the larger one of the two sides."""
    return np.asarray(noise(law.zetas, left, right, relative=True).max(axis=0))
