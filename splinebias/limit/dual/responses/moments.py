r"""Moments :math:`\int \rho(c, v)\, v^q\, dv` of \|w\| at breakpoints: what :math:`|u|^p` asks of a law, q = p/(p - 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial.legendre import legval
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import Side
from splinebias.numerics.cells import Cells, unresolved
from splinebias.numerics.legendre import legendre_coefficients

_BLOCK = 1 << 16  # nodes (c, v) at a time
_ORDER = 32  # nodes of a table in a cell: cells in tails, of which data see little, are resolved for those, and no better
_TRIED, _GOOD = (0.03, 0.56), 1e-12  # places in a cell where a table is tried, and errors it may have there


@np.errstate(over="ignore", invalid="ignore")
def moment(side: Side, c: Array, q: float) -> Array:
    """The moment of order `q` at breakpoints `c`, any shape."""
    families = side.families
    if families and all(q < family.profile.tail for family in families):
        return np.asarray(sum(family.zeta(c, q) for family in families))
    flat = c.ravel()
    found, step = np.empty(flat.size), max(16, _BLOCK // max(1, side.slices(flat[:1])[1].shape[-1]))
    for first in range(0, flat.size, step):
        v, rho = side.slices(flat[first : first + step])
        found[first : first + step] = np.where(rho > 0, rho * v**q, 0.0).sum(axis=-1)
    return found.reshape(c.shape)


@dataclass(frozen=True, eq=False)
class MomentTable:
    """The same by Legendre series on the cells of a grid, which resolve the law: an integral costs a hundred times as much.

    Attributes
    ----------
    side : Side
        Gives the law.
    q : float
        The order.
    cells : Cells
        The cells; beyond them the moment is integrated.
    """

    side: Side
    q: float
    cells: Cells

    @cached_property
    def _values(self) -> Array:
        """The moment at Gauss nodes of the cells, shape (N, n)."""
        return moment(self.side, Cells(self.cells.edges, _ORDER).nodes, self.q)

    @cached_property
    def _series(self) -> Array:
        """Legendre coefficients, shape (n, N)."""
        return np.ascontiguousarray(legendre_coefficients(self._values).T)

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """In which cells the series end, and are right at two places more, shape (N,)."""
        left, size = self.cells.edges[:-1], np.abs(self._series[0]) + 1e-300
        found = ~unresolved(self._values, np.ones(left.size), 1.0, _GOOD)
        for share in _TRIED:
            exact = moment(self.side, left + share * self.cells.widths, self.q)
            found &= np.abs(legval(2 * share - 1, self._series) - exact) <= _GOOD * size
        return np.asarray(found)

    def __call__(self, c: Array) -> Array:
        """The moment at breakpoints `c`, any shape."""
        edges = self.cells.edges
        at = np.clip(np.searchsorted(edges, c, side="right") - 1, 0, edges.size - 2)
        t = (c - edges[at]) / (edges[at + 1] - edges[at])
        found = np.asarray(legval(2 * t - 1, self._series[:, at], tensor=False))
        apart = (t < 0) | (t > 1) | ~self._known[at]
        if apart.any():
            found[apart] = moment(self.side, c[apart], self.q)
        return np.asarray(found, dtype=float)
