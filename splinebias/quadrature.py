"""Cells on the breakpoint axis: Gauss-Legendre nodes on a partition that resolves the curvature densities.

Data points, the law's own knots and (for the nonquadratic potentials) zeros of the dual function are always cell
ends, because a kink inside a cell costs three digits; everything else is found by bisection until the
Legendre series of the density has decayed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw

_RESOLVED = 1e-14  # size of the last two Legendre coefficients relative to the largest
_MAX_DEPTH = 60
_MAX_CELLS = 20_000  # beyond those asked for: a density that needs more is noise, or narrower than doubles resolve
_NEAR_BOOST = 1e40  # down to zeta = 1e-40 of its total; below, densities exp(-large) are known to few digits
_MAX_TAIL_CELLS = 400


@lru_cache(maxsize=32)
def gauss_legendre(order: int) -> tuple[Array, Array]:
    """Nodes and weights on (0, 1)."""
    nodes, weights = legendre.leggauss(order)
    return (nodes + 1) / 2, weights / 2


@lru_cache(maxsize=32)
def _to_legendre(order: int) -> Array:
    """Matrix from values at the Gauss nodes to Legendre coefficients (the discrete transform, exact for degree < order)."""
    nodes, weights = legendre.leggauss(order)
    return (np.arange(order)[:, None] + 0.5) * legendre.legvander(nodes, order - 1).T * weights


@lru_cache(maxsize=32)
def _shifted_legendre(order: int) -> Array:
    """Column k: monomial coefficients (lowest first) of the shifted Legendre polynomial P_k(2t - 1); exact integers."""
    table = np.zeros((order, order))
    table[0, 0] = 1.0
    if order > 1:
        table[:2, 1] = -1.0, 2.0
    for k in range(1, order - 1):
        shifted = 2 * np.r_[0.0, table[:-1, k]] - table[:, k]
        table[:, k + 1] = ((2 * k + 1) * shifted - k * table[:, k - 1]) / (k + 1)
    return table


def legendre_coefficients(values: Array) -> Array:
    """Legendre coefficients on each cell of a function given at its Gauss nodes; shape (N, q) to (N, q)."""
    return np.asarray(values @ _to_legendre(values.shape[-1]).T)


def legendre_to_monomial(values: Array, widths: Array) -> Array:
    """Monomial coefficients in (c - left end), highest power first, shape (q, N), from values at Gauss nodes (N, q).

    The way through Legendre coefficients with rounding noise removed keeps the ill-conditioned monomial basis harmless.
    """
    series = legendre_coefficients(values)
    q = series.shape[1]
    scale = np.abs(series).max(axis=1, keepdims=True)
    series = np.where(np.abs(series) > 4e-16 * scale, series, 0.0)
    local = series @ _shifted_legendre(q).T  # powers of t = (c - left)/width, lowest first
    scaled = np.empty((q, widths.size))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for k in range(q):
            scaled[q - 1 - k] = local[:, k]
            local[:, k + 1 :] /= widths[:, None]
    return np.where(np.isfinite(scaled), scaled, 0.0)


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
        """Shape (N, q)."""
        return self.edges[:-1, None] + self.widths[:, None] * gauss_legendre(self.order)[0]

    @property
    def weights(self) -> Array:
        """Shape (N, q)."""
        return self.widths[:, None] * gauss_legendre(self.order)[1]

    def split(self, points: Array) -> Cells:
        """The same cells, cut at further points (those within rounding of an edge are ignored)."""
        inside = points[(points > self.edges[0]) & (points < self.edges[-1])]
        at = np.searchsorted(self.edges, inside)
        gap = np.minimum(inside - self.edges[at - 1], self.edges[at] - inside)
        fresh = inside[gap > 4e-16 * np.maximum(np.abs(inside), self.widths[at - 1])]
        return Cells(np.unique(np.r_[self.edges, fresh]), self.order)


def panel_nodes(left: Array, right: Array, order: int) -> tuple[Array, Array]:
    """Gauss nodes and weights, each (N, order), on panels [left, right] that need not touch."""
    nodes, weights = gauss_legendre(order)
    width = (right - left)[:, None]
    return left[:, None] + width * nodes, width * weights


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


def bisect_until(
    cells: Cells, failing: Callable[[Array, Array, float], NDArray[np.bool_]], *, max_cells: int = _MAX_CELLS
) -> Cells:
    """Bisect the panels that `failing(left, right, tolerance)` marks, and then their halves, until none is.

    The tolerance doubles with depth: a kink or an end-point singularity is cut out geometrically, while noise in a
    density (some laws are good to 1e-11 only) cannot make cells multiply without end.
    """
    edges = [cells.edges]
    left, right = cells.edges[:-1], cells.edges[1:]
    for depth in range(_MAX_DEPTH):
        middle = (left + right) / 2
        bad = failing(left, right, _RESOLVED * 2.0**depth) & (right - left > 1e-13 * np.abs(middle))
        if not bad.any():
            break
        if sum(cut.size for cut in edges) + bad.sum() > max_cells + 4 * cells.edges.size:
            return Cells(np.unique(np.concatenate(edges)), cells.order, resolved=False)
        edges.append(middle[bad])
        left, right = np.r_[left[bad], middle[bad]], np.r_[middle[bad], right[bad]]
    return Cells(np.unique(np.concatenate(edges)), cells.order)


def integration_cells(law: BreakpointLaw, x: Array, order: int = 16, degree: int = 1) -> Cells:
    r"""Cells that hold the data and the law's support and resolve :math:`\zeta^{(k)}`, k = `degree`, on both sides.

    Beyond the last finite cut an infinite support is covered by cells that double in width until moment number
    2k of :math:`\zeta^{(k)}` in the next one is below rounding, so heavy tails (:math:`c^{-2k-2}`) are not truncated.
    """
    lo, hi = law.support
    span = x[-1] - x[0]
    marks = np.r_[law.knots, law.landmarks]
    marks = marks[np.isfinite(marks)]
    ends = np.array([end for end in (lo, hi) if np.isfinite(end)])
    cuts = np.unique(np.concatenate([x, marks[(marks > lo) & (marks < hi)], ends]))
    if law.degree is None:
        cuts = np.union1d(cuts, _doubling(x, cuts[0], cuts[-1]))
    cuts = cuts[np.r_[True, np.diff(cuts) > 4e-16 * np.maximum(np.abs(cuts[1:]), span)] | np.isin(cuts, x)]

    def moments(left: Array, right: Array) -> tuple[Array, Array]:
        """zeta on both sides at the nodes of panels, shape (2, N, q), and the panels' moments 2k, shape (2, N).

        The second of the two counts distances below a span as a span: near the data zeta matters as it is.
        """
        nodes, weights = panel_nodes(left, right, order)
        zeta = np.stack([law.zeta(nodes, 1, degree), law.zeta(nodes, -1, degree)])
        square = (nodes - (x[0] + x[-1]) / 2) ** 2
        lever = np.stack([square, square + span**2]) ** degree
        return zeta, np.asarray((weights * zeta.sum(axis=0) * lever).sum(axis=2))

    far, total = moments(cuts[:-1], cuts[1:])[1].sum(axis=1)
    if not np.isfinite(lo):
        cuts = np.r_[_tail(cuts[0], -max(span, x[0] - cuts[0]), moments, far)[::-1], cuts]
    if not np.isfinite(hi):
        cuts = np.r_[cuts, _tail(cuts[-1], max(span, cuts[-1] - x[-1]), moments, far)]
    if law.degree is not None:
        return Cells(cuts, order)

    def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
        zeta, (_, mass) = moments(left, right)
        near = (right > x[0]) & (left < x[-1])  # among the data a small zeta matters as much as a large one
        mass = np.where(near, np.minimum(mass * _NEAR_BOOST, total), mass)
        return np.logical_or(*(unresolved(values, mass, total, tolerance) for values in zeta))

    return bisect_until(Cells(cuts, order), failing, max_cells=law.max_cells)


def _doubling(x: Array, lowest: float, highest: float) -> Array:
    """Cuts at span (2^k - 1) beyond either end of the data, k >= 1, inside [lowest, highest].

    Without them a smooth density could hide at one end of a cell that a far quantile made huge.
    """
    span = x[-1] - x[0]
    steps = span * (2.0 ** np.arange(1, _MAX_TAIL_CELLS) - 1)
    cuts = np.r_[x[0] - steps, x[-1] + steps]
    return np.asarray(cuts[(cuts > lowest) & (cuts < highest)])


def _tail(start: float, width: float, moments: Callable[[Array, Array], tuple[Array, Array]], total: float) -> Array:
    """Cuts start + width (2^k - 1), k >= 1, up to where the next cell's moment is below rounding."""
    cuts = [start]
    for k in range(1, _MAX_TAIL_CELLS):
        cuts.append(start + width * (2.0**k - 1))
        ends = np.sort(cuts[-2:])
        contribution = float(moments(ends[:1], ends[1:])[1][0, 0])
        total += contribution
        if contribution <= 1e-18 * total:
            break
    return np.array(cuts[1:])
