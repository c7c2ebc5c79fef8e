r"""Integrals of the dual over cells of constant density, by parts: exact where the potential is a polynomial.

On a cell the dual value z runs linearly from :math:`z_0` to :math:`z_1`, and :math:`u = (\phi')^{-1}(z)` from :math:`u_0`
to :math:`u_1`. With :math:`\theta = (z - z_0)/(z_1 - z_0)` for the place in the cell, and averages over u,

.. math:: T_k = \frac{1}{u_1 - u_0} \int_{u_0}^{u_1} \theta^k\, du, \qquad D = \frac{z_1 - z_0}{u_1 - u_0},

integration by parts gives all that a Newton step asks for, without cancellation:

.. math:: \int_0^1 u\, \theta\, d\theta &= (u_1 (1 - T_2) + u_0 T_2)/2, \quad
          \int_0^1 u\, d\theta = u_1 (1 - T_1) + u_0 T_1, \\
          \int_0^1 \theta^k / \phi''(u)\, d\theta &= T_k/D, \quad
          \int_0^1 \phi^*(z)\, d\theta = \tfrac12 \left(\phi^*(z_0) + \phi^*(z_1)
              + (z_1 - z_0) \int_0^1 u\, (1 - 2\theta)\, d\theta\right) .

With the chord :math:`D(u, u_0) = (\phi'(u) - \phi'(u_0))/(u - u_0)`, a polynomial in u, a Gauss rule of as many nodes as
:math:`\phi'` has coefficients makes :math:`T_1` and :math:`T_2` exact, for cells on which u hardly changes, too. Where
:math:`\phi` is no polynomial across a zero of z (odd powers), the two parts of a cell have a rule each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.equations import DualEquations
from splinebias.limit.dual.integrals import Integrals
from splinebias.limit.dual.panels import Frame
from splinebias.numerics.legendre import gauss_legendre
from splinebias.potential import Potential

_BLOCK = 1 << 14  # cells treated at once


class _Ends(NamedTuple):
    r"""Cells by what is at their two ends, each of shape (N,): u, z and :math:`\phi^*`."""

    u: Array
    last_u: Array
    z: Array
    last_z: Array
    conjugate: Array
    last_conjugate: Array

    @classmethod
    def of(cls, potential: Potential, u: Array, z: Array, some: Any) -> _Ends:
        """The cells number `some`, from u and z at all edges."""
        if isinstance(some, slice):
            u, z = u[some.start : some.stop + 1], z[some.start : some.stop + 1]
            conjugate = u * z - potential.cost(u)
            return cls(*(part for column in (u, z, conjugate) for part in (column[:-1], column[1:])))
        u, last_u, z, last_z = u[some], u[some + 1], z[some], z[some + 1]
        return cls(u, last_u, z, last_z, u * z - potential.cost(u), last_u * last_z - potential.cost(last_u))

    def take(self, at: NDArray[np.intp]) -> _Ends:
        """Some of them."""
        return _Ends(*(column[at] for column in self))


@dataclass(frozen=True, eq=False)
class CellsByParts:
    r"""The cells of a grid with a density of units that is constant on each, all with \|w\| = 1.

    Attributes
    ----------
    frame : Frame
        The cells, in order.
    equations : DualEquations
        Of the problem.
    potential : Potential
        One with a `Potential.chord`.
    order : int
        Nodes of the rule for the averages, one more than the degree of :math:`\phi'`.
    mass : dict of Array, shape (N,)
        Per side, how many units.
    """

    frame: Frame
    equations: DualEquations
    potential: Potential
    order: int
    mass: dict[int, Array]

    def add(self, integrals: Integrals, dual: DualFunction, side: int, cells: NDArray[np.intp] | None) -> None:
        """Add what `cells` contribute for one side of a dual function; None: all of them."""
        z, u = self._at_edges(dual, side)
        count = self.frame.number.size if cells is None else cells.size
        for first in range(0, count, _BLOCK):
            some: Any = slice(first, min(first + _BLOCK, count)) if cells is None else cells[first : first + _BLOCK]
            ends = _Ends.of(self.potential, u, z, some)
            rows = self._in_own_hats(ends)
            rows *= self.mass[side][some]
            if not self._whole:
                cut = self._cut[some]
                (at,) = cut.nonzero()
                rows[:, at] = _in_hats(rows[:, at], self._hats[side][:, :, cut[at] - 1])
            integrals.add_rows(rows, self.frame.piece[some])

    def _at_edges(self, dual: DualFunction, side: int) -> tuple[Array, Array]:
        r"""g_side and :math:`(\phi')^{-1}` of it at the edges of the cells, each of shape (N + 1,)."""
        g, u = dual.nodal[side], dual.curvature(self.potential, side)
        if self._whole:
            return g, u
        edges, around = self._other_edges
        others = around.values(dual, side)[edges - around.number, np.arange(edges.size)]
        found = np.empty((2, self.frame.number.size + 1))
        found[:, self._data] = g, u
        found[:, edges] = others, self.potential.grad_inverse(others)
        return found[0], found[1]

    @cached_property
    def _is_point(self) -> NDArray[np.bool_]:
        """Which edges are data, shape (N + 1,)."""
        piece = self.frame.piece
        return np.concatenate([piece[:1] > 0, piece[1:] > piece[:-1], piece[-1:] < self.frame.points])

    @cached_property
    def _whole(self) -> bool:
        """Whether all are, and the cells the data intervals."""
        return self._is_point.size == self.frame.points

    @cached_property
    def _data(self) -> slice | NDArray[np.intp]:
        """The numbers of these."""
        (at,) = self._is_point.nonzero()
        return slice(at[0], at[-1] + 1) if at[-1] - at[0] == at.size - 1 else at

    @cached_property
    def _other_edges(self) -> tuple[NDArray[np.intp], Frame]:
        """The numbers of all others; and the cells on the right of each, on the left of the last one."""
        (edges,) = (~self._is_point).nonzero()
        return edges, self.frame.take(np.minimum(edges, self.frame.number.size - 1))

    @cached_property
    def _cut(self) -> NDArray[np.intp]:
        """Which cells are no whole data intervals, shape (N,): 0 for those that are, the others are numbered from 1."""
        cut = ~(self._is_point[:-1] & self._is_point[1:])
        return np.where(cut, np.cumsum(cut), 0)

    @cached_property
    def _hats(self) -> dict[int, Array]:
        """Per side, what `Integrals` calls hats at the ends of cut cells, shape (2 hats, 2 ends, C)."""
        frame = self.frame.take(self._cut.nonzero()[0])
        outer, ends = (frame.piece == 0) | (frame.piece == frame.points), np.array([frame.left, frame.right])
        lines, inside = np.array([self.equations.tau(ends), np.ones_like(ends)]), np.array([1 - frame.along, frame.along])
        found = {}
        for side in self.mass:
            found[side] = np.where(outer, np.where(frame.piece == 0, *self.equations.factors(side)) * lines, inside)
        return found

    def _in_own_hats(self, ends: _Ends) -> Array:
        r"""Per unit, with the hats :math:`1 - \theta` and :math:`\theta` of the cells: as `Integrals.table`."""
        end, change = ends.last_u, ends.last_u - ends.u
        whole, first, second = self._averages(ends)
        rows = np.empty((8, change.size))
        left, right, early, mixed, late, conjugate = rows[:6]
        np.multiply(change, second, out=right)
        np.subtract(end, right, out=right)
        right *= 0.5
        np.multiply(change, first, out=left)
        np.subtract(end, left, out=left)
        left -= right
        np.divide(1, whole, out=early)
        first *= early
        np.multiply(second, early, out=late)
        np.subtract(first, late, out=mixed)
        early -= first
        early -= mixed
        np.subtract(left, right, out=conjugate)
        conjugate *= ends.last_z - ends.z
        conjugate += ends.conjugate
        conjugate += ends.last_conjugate
        conjugate *= 0.5
        np.maximum(np.abs(ends.u), np.abs(end), out=rows[6])  # at most, where z changes sign
        rows[6] *= 0.5
        rows[7] = rows[6]
        return rows

    def _averages(self, ends: _Ends) -> tuple[Array, Array, Array]:
        """D, T_1 and T_2."""
        begin, end = ends.u, ends.last_u
        if not self.potential.smooth:
            begin, end = np.abs(begin), np.abs(end)
        place, by_place, by_square = _rule(self.order)
        nodes = (end - begin) * place
        nodes += begin
        chord, whole = self.potential.chord(nodes, begin), self.potential.chord(end, begin)
        first = by_place @ chord
        chord *= chord
        second = by_square @ chord
        first /= whole
        second /= whole
        second /= whole
        if not self.potential.smooth:
            (at,) = (ends.z * ends.last_z < 0).nonzero()
            if at.size:
                whole[at], first[at], second[at] = self._across_zero(ends.take(at))
        return whole, first, second

    def _across_zero(self, ends: _Ends) -> tuple[Array, Array, Array]:
        """The same, integrated from both ends to the zero between them."""
        place, weight = (part[:, None] for part in gauss_legendre(self.order))
        both, change, rise = np.array([ends.u, ends.last_u]), ends.last_u - ends.u, ends.last_z - ends.z
        height = (self.potential.grad(both[:, None] * place) - ends.z) / rise
        share = np.abs(both / change)
        first, second = ((share * (weight * part).sum(axis=1)).sum(axis=0) for part in (height, height * height))
        return rise / change, first, second


@lru_cache(maxsize=16)
def _rule(order: int) -> tuple[Array, Array, Array]:
    """Gauss nodes as a column, and weights for functions that are to be multiplied by them, and by their squares."""
    place, weight = gauss_legendre(order)
    return place[:, None], weight * place, weight * place**2


def _in_hats(rows: Array, hats: Array) -> Array:
    """From hats of the cells' own to others with these values at the ends, shape (2 hats, 2 ends, C)."""
    left, right, early, mixed, late, conjugate, *sizes = rows
    ((a, b), (c, d)), ((e, f), (g, h)) = hats, np.abs(hats)
    return np.array(
        [
            a * left + b * right,
            c * left + d * right,
            a * a * early + 2 * a * b * mixed + b * b * late,
            a * c * early + (a * d + b * c) * mixed + b * d * late,
            c * c * early + 2 * c * d * mixed + d * d * late,
            conjugate,
            e * sizes[0] + f * sizes[1],
            g * sizes[0] + h * sizes[1],
        ]
    )
