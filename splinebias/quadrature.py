"""Cells on the breakpoint axis: Gauss-Legendre nodes on a partition that resolves the curvature densities.

Data points, the law's own knots and (for the nonquadratic potentials) zeros of the dual function are always cell
ends, because a kink inside a cell costs three digits; everything else is found by bisection until the
Legendre series of the density has decayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw
from splinebias.legendre import gauss_legendre, legendre_coefficients, legendre_to_monomial

__all__ = [
    "Cells",
    "above_noise",
    "bisect_until",
    "coarse",
    "gauss_legendre",
    "integration_cells",
    "legendre_coefficients",
    "legendre_to_monomial",
    "noise",
    "panel_nodes",
    "rounding_noise",
    "unresolved",
]

_RESOLVED = 1e-14  # size of the last two Legendre coefficients relative to the largest
_MAX_DEPTH = 60
_MAX_CELLS = 20_000  # beyond those asked for: a density that needs more is noise, or narrower than doubles resolve
_NOISE_PLACES = (0.1, 0.35, 0.6, 0.85)  # where in a panel noise is measured
_NOISE_STEPS = 1e-5 * np.sqrt([2.0, 3.0, 5.0, 7.0])  # and how finely: no multiples of the spacing of floats
_ABOVE_NOISE = 10
_MERGES, _SAME_MASS = 3, 1e-13
_NEAR_BOOST = 1e40  # down to zeta = 1e-40 of its total; below, densities exp(-large) are known to few digits
_FAR = 1e-3  # beyond the data zeta is resolved to 1e-13 of its total, which a Gauss rule integrates to rounding
_MAX_TAIL_CELLS = 400
_DENSE = 5000  # data, from which on most of them are closer together than a law changes
_WITHIN = 1e-3  # of a cell: there six nodes resolve the law


@dataclass(frozen=True, eq=False)
class Cells:
    """A partition of the breakpoint axis with a Gauss-Legendre rule of one order on every cell.

    Attributes
    ----------
    edges : Array, shape (N + 1,)
        Cell ends, strictly increasing.
    order : int
        Nodes per cell, q.
    resolved : bool
        False if bisection was given up before the functions were resolved: answers are then INACCURATE.
    """

    edges: Array
    order: int
    resolved: bool = True

    @property
    def panels(self) -> tuple[Array, Array]:
        """Left and right ends of the cells, each of shape (N,)."""
        return self.edges[:-1], self.edges[1:]

    @property
    def widths(self) -> Array:
        """Shape (N,)."""
        return np.diff(self.edges)

    @property
    def nodes(self) -> Array:
        """Shape (N, q); in memory, one node of all cells after the other, because N is large and q is small."""
        return (self.edges[:-1] + self.widths * gauss_legendre(self.order)[0][:, None]).T

    @property
    def weights(self) -> Array:
        """Shape (N, q), in memory like the nodes."""
        return (self.widths * gauss_legendre(self.order)[1][:, None]).T

    def split(self, points: Array) -> Cells:
        """The same cells, cut at further points (those within rounding of an edge are ignored)."""
        inside = points[(points > self.edges[0]) & (points < self.edges[-1])]
        return Cells(with_points(self.edges, inside), self.order)


def with_points(edges: Array, points: Array) -> Array:
    """Increasing `edges` and further points, few or many, in one row; points within rounding of an edge are left out."""
    points = np.unique(points)
    at = np.searchsorted(edges, points)
    low, high = edges[np.maximum(at - 1, 0)], edges[np.minimum(at, edges.size - 1)]
    gap = np.minimum(np.abs(points - low), np.abs(high - points))
    fresh = gap > 4e-16 * np.maximum(np.abs(points), np.minimum(high - low, edges[-1] - edges[0]))
    return np.insert(edges, at[fresh], points[fresh])


def panel_nodes(left: Array, right: Array, order: int) -> tuple[Array, Array]:
    """Gauss nodes and weights, each (N, order), on panels [left, right] that need not touch."""
    nodes, weights = gauss_legendre(order)
    width = right - left
    return (left + width * nodes[:, None]).T, (width * weights[:, None]).T


def unresolved(values: Array, mass: Array, total: float, tolerance: float) -> NDArray[np.bool_]:
    """Panels (bool, shape (N,)) on which a function is not yet a polynomial, and where that matters.

    The first neglected Legendre coefficient is extrapolated from the last two, r = tail/largest, as r^(q/(q-2)).

    Parameters
    ----------
    values : Array, shape (N, q)
        The function at the Gauss nodes.
    mass : Array, shape (N,)
        What the panel contributes to `total`; an unresolved part below 1e-16 `total` is left alone, or else rounding
        in a function that vanishes at a panel's end would be bisected for ever.
    tolerance : float
        For the neglected coefficient, relative to the largest on the panel.
    """
    series = np.abs(legendre_coefficients(values))
    order = values.shape[-1]
    largest = series.max(axis=1)
    tail = np.divide(series[:, -2:].max(axis=1), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.asarray((tail > tolerance ** ((order - 2) / order)) & (tail * mass > 1e-16 * total))


def noise(function: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Rounding noise of functions (S, ...) on panels, absolute, shape (S, N): their fifth differences at tiny distances."""
    places = left[:, None] + (right - left)[:, None] * np.array(_NOISE_PLACES)
    steps = (right - left)[:, None] * _NOISE_STEPS
    values = function(places[..., None] + steps[..., None] * np.arange(6))
    differences = values @ np.array([-1.0, 5.0, -10.0, 10.0, -5.0, 1.0])
    return np.asarray(np.abs(differences).max(axis=-1) / np.sqrt(252))


def rounding_noise(law: BreakpointLaw, left: Array, right: Array) -> Array:
    """Relative rounding noise of a law's zeta on panels, shape (N,): the larger one of the two sides."""
    size = _zetas(law, (left + right) / 2)
    noises = noise(lambda c: _zetas(law, c), left, right)
    return np.asarray(np.divide(noises, size, out=np.zeros_like(size), where=size > 0).max(axis=0))


def _zetas(law: BreakpointLaw, c: Array, degree: int = 1) -> Array:
    """zeta of both sides, shape (2, ...)."""
    return np.stack([law.zeta(c, side, degree) for side in (1, -1)])


def above_noise(values: Array, noise: Array) -> NDArray[np.bool_]:
    """Whether the last two Legendre coefficients on panels, values of shape (N, q), are more than `noise`, shape (N,)."""
    return np.asarray(np.abs(legendre_coefficients(values))[:, -2:].max(axis=1) > _ABOVE_NOISE * noise)


def coarse(
    function: Callable[[Array], Array],
    values: Array,
    mass: Array,
    total: float,
    panels: tuple[Array, Array],
    tolerance: float,
) -> NDArray[np.bool_]:
    """Panels (shape (N,)) on which several functions are `unresolved`, one at least, by more than their rounding noise.

    Parameters
    ----------
    function : callable
        Breakpoints of any shape to the S functions there, shape (S, ...).
    values : Array, shape (S, N, q)
        The functions at the Gauss nodes.
    mass : Array, shape (S, N)
        What a panel contributes to `total`, per function.
    panels : pair of Array, shape (N,)
        Left and right ends.
    tolerance : float
        As in `unresolved`; above the first one, noise is measured: most panels that fail at first are no noise.
    """
    bad = np.stack([unresolved(*pair, total, tolerance) for pair in zip(values, mass, strict=True)])
    if tolerance > _RESOLVED:
        at = np.flatnonzero(bad.any(axis=0))
        noises = noise(function, panels[0][at], panels[1][at])
        bad[:, at] &= np.stack([above_noise(v[at], n) for v, n in zip(values, noises, strict=True)])
    return np.asarray(bad.any(axis=0))


def bisect_until(
    cells: Cells,
    failing: Callable[[Array, Array, float], NDArray[np.bool_]],
    *,
    max_cells: int = _MAX_CELLS,
    only: NDArray[np.intp] | None = None,
) -> Cells:
    """Bisect the panels that `failing(left, right, tolerance)` marks, and then their halves, until none is.

    The tolerance doubles with depth: a kink or an end-point singularity is cut out geometrically, while noise in a
    density (some laws are good to 1e-11 only) cannot make cells multiply without end. `only` numbers the cells to
    look at; None: all.
    """
    left, right = cells.panels if only is None else (cells.edges[only], cells.edges[only + 1])
    cuts, room, resolved = [np.zeros(0)], max_cells + 3 * cells.edges.size, True
    for depth in range(_MAX_DEPTH):
        middle = (left + right) / 2
        bad = failing(left, right, _RESOLVED * 2.0**depth) & (right - left > 1e-13 * np.abs(middle))
        if not bad.any():
            break
        room -= int(bad.sum())
        if room < 0:
            resolved = False
            break
        cuts.append(middle[bad])
        left, right = np.r_[left[bad], middle[bad]], np.r_[middle[bad], right[bad]]
    fresh = np.unique(np.concatenate(cuts))
    edges = np.insert(cells.edges, np.searchsorted(cells.edges, fresh), fresh)
    return Cells(edges, cells.order, resolved)


def integration_cells(law: BreakpointLaw, x: Array, order: int = 16, degree: int = 1) -> Cells:
    r"""Cells that hold the data and the law's support and resolve :math:`\zeta^{(k)}`, k = `degree`, on both sides.

    Beyond the last finite cut an infinite support is covered by cells that double in width until moment number
    2k of :math:`\zeta^{(k)}` in the next one is below rounding, so heavy tails (:math:`c^{-2k-2}`) are not truncated.
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
    resolution = _Resolution(law, x, order, degree)
    if not (np.isfinite(lo) and np.isfinite(hi)):
        far = float(resolution.far_moment(cuts[:-1], cuts[1:]).sum())
        if not np.isfinite(lo):
            cuts = np.r_[_tail(cuts[0], -max(span, x[0] - cuts[0]), resolution.far_moment, far)[::-1], cuts]
        if not np.isfinite(hi):
            cuts = np.r_[cuts, _tail(cuts[-1], max(span, cuts[-1] - x[-1]), resolution.far_moment, far)]
    if law.degree is not None:
        return Cells(cuts, order)
    fine = bisect_until(Cells(cuts, order), resolution.test(cuts), max_cells=law.max_cells)
    return resolution.merge(fine, np.r_[x, law.knots, ends]) if fine.resolved else fine


def _dense_cells(law: BreakpointLaw, x: Array, order: int, degree: int) -> Cells:
    """The same for many data: cells that resolve the law for the two end points, and most of the others far within one.

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
    test = _Resolution(law, ends, order, degree).test(edges)
    found = bisect_until(cells, test, max_cells=law.max_cells, only=np.unique(np.concatenate([outer, opened])))
    return replace(found, resolved=found.resolved and law_cells.resolved)


@dataclass(frozen=True, eq=False)
class _Resolution:
    r"""The question whether cells resolve :math:`\zeta^{(k)}`, k = `degree`, of a law for data at `x`."""

    law: BreakpointLaw
    x: Array
    order: int
    degree: int

    def zeta(self, nodes: Array) -> Array:
        """Both sides, shape (2, ...)."""
        return _zetas(self.law, nodes, self.degree)

    def far_moment(self, left: Array, right: Array) -> Array:
        """Moment 2k about the data's centre per panel, shape (N,)."""
        nodes, weights = panel_nodes(left, right, self.order)
        return np.asarray((weights * self.zeta(nodes).sum(axis=0) * self._square(nodes) ** self.degree).sum(axis=1))

    def _square(self, nodes: Array) -> Array:
        return np.asarray((nodes - (self.x[0] + self.x[-1]) / 2) ** 2)

    def _values(self, left: Array, right: Array) -> tuple[Array, Array]:
        """zeta at the nodes, shape (2, N, q), and what panels contribute per side, shape (2, N).

        That counts distances below a span as a span: near the data zeta matters as it is.
        """
        nodes, weights = panel_nodes(left, right, self.order)
        zeta = self.zeta(nodes)
        lever = (self._square(nodes) + (self.x[-1] - self.x[0]) ** 2) ** self.degree
        return zeta, np.asarray((weights * lever * zeta).sum(axis=2))

    def test(self, cuts: Array) -> Callable[[Array, Array, float], NDArray[np.bool_]]:
        """The test for `bisect_until` on cells that `cuts` are the edges of."""
        total = float(self._values(cuts[:-1], cuts[1:])[1].sum())

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            zeta, mass = self._values(left, right)
            near = (right > self.x[0]) & (left < self.x[-1])  # among the data a small zeta matters as much as a large one
            mass = np.where(near, np.minimum(mass * _NEAR_BOOST, total), mass * _FAR)
            return coarse(self.zeta, zeta, mass, total, (left, right), tolerance)

        return failing

    def merge(self, cells: Cells, fixed: Array) -> Cells:
        """The same without edges that are not needed, `fixed` ones apart: far cells, whose mass is small, may be large."""
        edges, failing = cells.edges, self.test(cells.edges)
        masses = self._values(*cells.panels)[1]
        total = float(masses.sum())
        for start in (1, 2) * _MERGES:
            at = np.arange(start, edges.size - 1, 2)
            at = at[~np.isin(edges[at], fixed)]
            if not at.size:
                continue
            left, right, apart = edges[at - 1], edges[at + 1], masses[:, at - 1] + masses[:, at]
            together = self._values(left, right)[1]
            same = (np.abs(together - apart) <= _SAME_MASS * apart + 1e-18 * total).all(axis=0)  # nothing narrow is missed
            gone = at[same & ~failing(left, right, _RESOLVED)]
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


def _tail(start: float, width: float, moment: Callable[[Array, Array], Array], total: float) -> Array:
    """Cuts start + width (2^k - 1), k >= 1, up to where the next cell's moment is below rounding."""
    cuts = [start]
    for k in range(1, _MAX_TAIL_CELLS):
        cuts.append(start + width * (2.0**k - 1))
        ends = np.sort(cuts[-2:])
        contribution = float(moment(ends[:1], ends[1:])[0])
        total += contribution
        if contribution <= 1e-16 * total:
            break
    return np.array(cuts[1:])
