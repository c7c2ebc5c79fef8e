"""Cells on the breakpoint axis, with Gauss-Legendre nodes, and when a function is resolved on one: Legendre series decay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.numerics.legendre import gauss_legendre, legendre_coefficients

RESOLVED = 1e-14  # size of the last two Legendre coefficients relative to the largest


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
        """Widths of the cells, shape (N,)."""
        return np.diff(self.edges)

    @property
    def nodes(self) -> Array:
        """Gauss nodes, shape (N, q); in memory, one node of all cells after the other, because N is large and q is small."""
        return (self.edges[:-1] + self.widths * gauss_legendre(self.order)[0][:, None]).T

    @property
    def weights(self) -> Array:
        """Gauss weights, shape (N, q), in memory like the nodes."""
        return (self.widths * gauss_legendre(self.order)[1][:, None]).T

    def split(self, points: Array) -> Cells:
        """These cells, cut at further points (those within rounding of an edge are ignored)."""
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


def unresolved(values: Array, mass: Array, total: float, tolerance: float, negligible: float = 1e-16) -> NDArray[np.bool_]:
    """Panels (bool, shape (..., N)) on which functions are not yet polynomials, and where that matters.

    The first neglected Legendre coefficient is extrapolated from the last two, r = tail/largest, as r^(q/(q-2)).

    Parameters
    ----------
    values : Array, shape (..., N, q)
        The functions at the Gauss nodes.
    mass : Array, shape (..., N)
        What the panel contributes to `total`; an unresolved part below `negligible` times that is left alone, or else
        rounding in a function that vanishes at a panel's end would be bisected for ever.
    tolerance : float
        For the neglected coefficient, relative to the largest on the panel.
    """
    series = np.abs(legendre_coefficients(values))
    order = values.shape[-1]
    largest = series.max(axis=-1)
    tail = np.divide(series[..., -2:].max(axis=-1), largest, out=np.zeros_like(largest), where=largest > 0)
    return np.asarray((tail > tolerance ** ((order - 2) / order)) & (tail * mass > negligible * total))


def noise(function: Callable[[Array], Array], left: Array, right: Array, *, relative: bool = False) -> Array:
    """Rounding noise of functions (S, ...) on panels, shape (S, N): their fifth differences at tiny distances.

    `relative` : whether to the function at the same place; it may span many decades on a panel.
    """
    width = (right - left)[:, None]
    places = left[:, None] + width * np.array([0.1, 0.35, 0.6, 0.85])
    steps = width * 1e-5 * np.sqrt([2.0, 3.0, 5.0, 7.0])  # no multiples of the spacing of floats
    values = function(places[..., None] + steps[..., None] * np.arange(6))
    differences = np.abs(values @ np.array([-1.0, 5.0, -10.0, 10.0, -5.0, 1.0]))
    if relative:
        size = np.abs(values).max(axis=-1)
        differences = np.divide(differences, size, out=np.zeros_like(size), where=size > 0)
    return np.asarray(differences.max(axis=-1) / np.sqrt(252))


def above_noise(values: Array, noise: Array) -> NDArray[np.bool_]:
    """Whether the last two Legendre coefficients on panels, values of shape (..., N, q), are more than `noise`, (..., N)."""
    return np.asarray(np.abs(legendre_coefficients(values))[..., -2:].max(axis=-1) > 10 * noise)


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
    bad = unresolved(values, mass, total, tolerance)
    if tolerance > RESOLVED:
        at = np.flatnonzero(bad.any(axis=0))
        bad[:, at] &= above_noise(values[:, at], noise(function, panels[0][at], panels[1][at]))
    return np.asarray(bad.any(axis=0))


def bisect_until(
    cells: Cells,
    failing: Callable[[Array, Array, float], NDArray[np.bool_]],
    *,
    max_cells: int = 20_000,
    only: NDArray[np.intp] | None = None,
) -> Cells:
    """Bisect the panels that `failing(left, right, tolerance)` marks, and then their halves, until none is.

    The tolerance doubles with depth: a kink or an end-point singularity is cut out geometrically, while noise in a
    density (some laws are good to 1e-11 only) cannot make cells multiply without end. With more than `max_cells` beyond
    those asked for, bisection is given up: such a density is noise, or narrower than doubles resolve. `only` numbers the
    cells to look at; None: all.
    """
    left, right = cells.panels if only is None else (cells.edges[only], cells.edges[only + 1])
    cuts, room, resolved = [np.zeros(0)], max_cells + 3 * cells.edges.size, True
    for depth in range(60):
        middle = (left + right) / 2
        bad = failing(left, right, RESOLVED * 2.0**depth) & (right - left > 1e-13 * np.abs(middle))
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
