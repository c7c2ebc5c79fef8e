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

from splinebias._check import Array
from splinebias.breakpoints import BreakpointLaw

_RESOLVED = 1e-14  # size of the last two Legendre coefficients relative to the largest
_MAX_DEPTH = 60
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
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = local / widths[:, None] ** np.arange(q)
    return np.ascontiguousarray(np.where(np.isfinite(scaled), scaled, 0.0).T[::-1])


@dataclass(frozen=True, eq=False)
class Cells:
    """A partition of the breakpoint axis with a Gauss-Legendre rule of one order on every cell.

    Attributes
    ----------
    edges : Array, shape (N + 1,)
        Cell ends, strictly increasing.
    order : int
        Nodes per cell, q.
    """

    edges: Array
    order: int

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


def unresolved(values: Array, mass: Array, total: float, tolerance: float = _RESOLVED) -> Array:
    """Cells (bool, shape (N,)) whose function is not yet a polynomial to `tolerance` and matters in `total`.

    Parameters
    ----------
    values : Array, shape (N, q)
        The function at the Gauss nodes.
    mass : Array, shape (N,)
        What the cell contributes; below 1e-18 `total` it is left alone.
    """
    series = np.abs(legendre_coefficients(values))
    tail = series[:, -2:].max(axis=1)
    return np.asarray((tail > tolerance * series.max(axis=1)) & (mass > 1e-18 * total))


def bisect_until(
    cells: Cells, failing: Callable[[Cells, float], Array], *, max_depth: int = _MAX_DEPTH, max_cells: int = 200_000
) -> Cells:
    """Bisect the cells that `failing(cells, tolerance)` marks until none is, children only.

    The tolerance doubles with depth: a kink or an end-point singularity is cut out geometrically,
    while noise in a density (some laws are good to 1e-11 only) cannot make cells multiply without end.
    """
    done: list[Array] = []
    left, right = cells.edges[:-1], cells.edges[1:]
    count = left.size
    for depth in range(max_depth):
        if left.size == 0:
            break
        bad = np.zeros(left.size, dtype=bool)
        gaps = np.flatnonzero(right[:-1] < left[1:])
        for block in np.split(np.arange(left.size), gaps + 1):
            piece = Cells(np.r_[left[block], right[block[-1]]], cells.order)
            bad[block] = failing(piece, _RESOLVED * 2.0**depth)
        middle = (left + right) / 2
        bad &= (left < middle) & (middle < right) & ((right - left) > 1e-13 * np.abs(middle))
        count += int(bad.sum())
        if count > max_cells:
            break
        done.append(left[~bad])
        left, right = np.sort(np.r_[left[bad], middle[bad]]), np.sort(np.r_[middle[bad], right[bad]])
    return Cells(np.unique(np.r_[(*done, left, cells.edges)]), cells.order)


def integration_cells(law: BreakpointLaw, x: Array, order: int = 16) -> Cells:
    """Cells that hold the data and the law's support and resolve zeta on both sides.

    Beyond the last finite cut an infinite support is covered by cells that double in width until
    the second moment of zeta in the next one is below rounding, so heavy tails (zeta ~ c^-4) are not truncated.
    """
    lo, hi = law.support
    span = x[-1] - x[0]
    marks = np.r_[law.knots, law.landmarks]
    marks = marks[np.isfinite(marks)]
    cuts = np.unique(np.r_[x, marks[(marks > lo) & (marks < hi)], [end for end in (lo, hi) if np.isfinite(end)]])
    cuts = cuts[np.r_[True, np.diff(cuts) > 4e-16 * np.maximum(np.abs(cuts[1:]), span)] | np.isin(cuts, x)]
    reach = max(span, cuts[-1] - cuts[0])

    def moment(cells: Cells) -> Array:
        zeta = law.zeta(cells.nodes, 1) + law.zeta(cells.nodes, -1)
        offset = cells.nodes - (x[0] + x[-1]) / 2
        return np.asarray((cells.weights * zeta * (offset**2 + reach**2)).sum(axis=1))

    total = float(moment(Cells(cuts, order)).sum())
    if not np.isfinite(lo):
        cuts = np.r_[_tail(cuts[0], -reach, moment, total, order)[::-1], cuts]
    if not np.isfinite(hi):
        cuts = np.r_[cuts, _tail(cuts[-1], reach, moment, total, order)]
    if law.degree is not None:
        return Cells(cuts, order)

    def failing(cells: Cells, tolerance: float) -> Array:
        mass = moment(cells)
        bad = np.zeros(mass.size, dtype=bool)
        for side in (1, -1):
            bad |= unresolved(law.zeta(cells.nodes, side), mass, total, tolerance)
        return bad

    return bisect_until(Cells(cuts, order), failing)


def _tail(start: float, width: float, moment: Callable[[Cells], Array], total: float, order: int) -> Array:
    """Cuts start + width (2^k - 1), k >= 1, up to where the next cell's second moment is below rounding."""
    cuts: list[float] = []
    for k in range(1, _MAX_TAIL_CELLS):
        cuts.append(start + width * (2.0**k - 1))
        ends = np.sort([start + width * (2.0 ** (k - 1) - 1), cuts[-1]])
        contribution = float(moment(Cells(ends, order))[0])
        total += contribution
        if contribution <= 1e-18 * total:
            break
    return np.array(cuts)
