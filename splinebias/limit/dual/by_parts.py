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

from splinebias._array import Array
from splinebias.limit.dual.dual_function import DualFunction
from splinebias.limit.dual.integrals import Sample, UnitQuadrature
from splinebias.limit.dual.panels import PlacedCells
from splinebias.numerics.legendre import gauss_legendre
from splinebias.potential import NEXT_TO_NOTHING, Potential, Power

_BLOCK = 1 << 14  # cells treated at once


def has_closed_form(potential: Potential) -> bool:
    r"""Whether :math:`\phi'` is a polynomial on either side of 0 whose slope is never 0."""
    return (
        isinstance(potential, Power)
        and 2 < potential.p == int(potential.p) <= 31  # for higher degrees a quadrature is as good
        and potential.quadratic > NEXT_TO_NOTHING
    )


class _Cut(NamedTuple):
    """Cells that are no whole data intervals.

    Attributes
    ----------
    cells : PlacedCells
        The C cells.
    mass : Array, shape (S, C)
        The units in them.
    hats : Array, shape (2 hats, 2 ends, S, C)
        What `Quadrature.integrals` calls hats at their ends.
    """

    cells: PlacedCells
    mass: Array
    hats: Array


@dataclass(frozen=True, eq=False)
class ByParts(UnitQuadrature):
    """Exact integrals of a law that is constant on every cell, all with |w| = 1, for a potential that `has_closed_form`."""

    def integrals(self, function: DualFunction) -> Array:
        last, cells = self.equations.x.size - 1, self._cut.cells
        found = np.empty((8, *function.nodal.shape[:-1], last + 2))
        found[..., [0, -1]] = 0.0
        values = self._at(function.nodal)
        several = (slice(None), *(None,) * (function.nodal.ndim - 2))  # sides, and an axis for each function of several
        for first in range(0, last, _BLOCK):
            some = slice(first, min(first + _BLOCK, last))
            after = slice(some.start + 1, some.stop + 1)
            part = self._in_own_hats([(of[..., some], of[..., after]) for of in values], found[..., after])
            part *= self._whole[:, some][several]
        if count := cells.number.size:
            ends = self._at(function(np.concatenate([cells.left, cells.right])))
            part = self._in_own_hats(
                [(of[..., :count], of[..., count:]) for of in ends], np.empty((*found.shape[:-1], count))
            )
            into: Any = (..., cells.interval)
            np.add.at(
                found, into, _in_hats(part, self._cut.hats[(slice(None), slice(None), *several)]) * self._cut.mass[several]
            )
        return found

    def samples(self, function: DualFunction) -> tuple[Sample, ...]:
        """As many nodes as the curvature of a function needs to be known exactly."""
        visited = self._visited(function, max(6, self._order))
        return tuple(Sample.of(row, nodes, self._response(row, nodes), sloped=False) for row, nodes in visited)

    def _at(self, z: Array) -> tuple[Array, Array, Array]:
        r"""z, :math:`(\phi')^{-1}(z)` and :math:`\phi^*(z)`."""
        phi, p = self._phi, self._order
        u = phi.grad_inverse(z)
        return z, u, u * ((1 - 1 / p) * z - (1 - 2 / p) * phi.quadratic * u)  # (p - 1) |u|^p + eps u^2

    @cached_property
    def _whole(self) -> Array:
        """The units in data intervals that are one cell, 0 in the others, shape (S, M - 1)."""
        placed, (cells,) = self.grid.placed, self.grid.placed.whole.nonzero()
        mass = np.zeros((len(self.sides), self.equations.x.size - 1))
        mass[:, placed.interval[cells] - 1] = np.array(self.units)[:, cells] * placed.wide[cells]
        return mass

    @cached_property
    def _cut(self) -> _Cut:
        """The cells that are no whole data intervals: parts of them, and what lies beyond the data."""
        (at,), equations = (~self.grid.placed.whole).nonzero(), self.equations
        cells = self.grid.placed.take(at)
        outer, ends = (cells.interval == 0) | (cells.interval == equations.x.size), np.array([cells.left, cells.right])
        lines, inside = np.array([equations.tau(ends), np.ones_like(ends)]), np.array([1 - cells.along, cells.along])
        hats = [np.where(outer, np.where(cells.interval == 0, *pair) * lines, inside) for pair in equations.factors]
        return _Cut(cells, np.array(self.units)[:, at] * cells.wide, np.stack(hats, axis=2))

    def _in_own_hats(self, values: list[tuple[Array, Array]], found: Array) -> Array:
        r"""Per unit, with the hats :math:`1 - \theta` and :math:`\theta` of the cells: rows of `integrals`, (8, S, N).

        z, u and :math:`\phi^*` (`values`) are given at both ends of cells, of shape (S, N), or (S, K, N) for K functions;
        `found` is where they go.
        """
        z, u, ends = values
        change = u[1] - u[0]
        whole, first, second = self._averages(z, u)
        left, right, size, other, early, mixed, late, conjugate = found
        # in place throughout, which takes 6 ns a cell instead of 50: right = (u_1 - (u_1 - u_0) T_2)/2
        np.multiply(change, second, out=right)
        np.subtract(u[1], right, out=right)
        right *= 0.5
        np.multiply(change, first, out=left)  # left = u_1 - (u_1 - u_0) T_1 - right
        np.subtract(u[1], left, out=left)
        left -= right
        np.divide(1, whole, out=early)  # late = T_2/D, mixed = T_1/D - late, early = 1/D - T_1/D - mixed
        first *= early
        np.multiply(second, early, out=late)
        np.subtract(first, late, out=mixed)
        early -= first
        early -= mixed
        np.subtract(left, right, out=conjugate)  # ((z_1 - z_0)(left - right) + phi*(z_0) + phi*(z_1))/2
        conjugate *= z[1] - z[0]
        conjugate += ends[0]
        conjugate += ends[1]
        conjugate *= 0.5
        np.maximum(np.abs(u[0]), np.abs(u[1]), out=size)  # at most, where z changes sign
        size *= 0.5
        other[:] = size
        return found

    def _averages(self, z: tuple[Array, Array], u: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        """D, T_1 and T_2 of cells by z and u at their ends, each of shape (..., N)."""
        smooth = self.grid.unfolding.smooth
        begin, end = u if smooth else np.abs(u)
        place, by_place, by_square = _rule(self._order)
        nodes = np.multiply.outer(place, end - begin)
        nodes += begin
        chord, whole = self._chord(nodes, begin), self._chord(end, begin)
        flat = chord.reshape(place.size, -1)
        first = (by_place @ flat).reshape(whole.shape)
        chord *= chord
        second = (by_square @ flat).reshape(whole.shape)
        first /= whole
        second /= whole
        second /= whole
        whole *= self._phi.p
        if not smooth and (at := (z[0] * z[1] < 0)).any():
            whole[at], first[at], second[at] = self._across_zero(*(np.array([of[at] for of in pair]) for pair in (z, u)))
        return whole, first, second

    def _across_zero(self, z: Array, u: Array) -> tuple[Array, Array, Array]:
        """D, T_1 and T_2, integrated from both ends to the zero between them."""
        place, weight = (part[:, None] for part in gauss_legendre(self._order))
        change, rise = u[1] - u[0], z[1] - z[0]
        height = (self.potential.grad(u[:, None] * place) - z[0]) / rise
        share = np.abs(u / change)
        first, second = ((share * (weight * part).sum(axis=1)).sum(axis=0) for part in (height, height * height))
        return rise / change, first, second

    @property
    def _phi(self) -> Power:
        assert isinstance(self.potential, Power)
        return self.potential

    @property
    def _order(self) -> int:
        r"""Nodes of the rule for averages, as many as :math:`\phi'` has coefficients."""
        return int(self._phi.p)

    def _chord(self, u: Array, v: Array) -> Array:
        r"""The slope :math:`(\phi'(u) - \phi'(v))/p(u - v)` without cancellation, u and v of one sign if p is odd."""
        power, total = v, u + v  # u^(k-1) + u^(k-2) v + ... + v^(k-1) for k = 2, then by Horner's rule
        for _ in range(self._order - 3):
            power = power * v
            total *= u
            total += power
        total += 2 * self._phi.quadratic / self._phi.p
        return np.asarray(total)


@lru_cache(maxsize=16)
def _rule(order: int) -> tuple[Array, Array, Array]:
    """Gauss nodes, and weights for functions that are to be multiplied by them, and by their squares."""
    place, weight = gauss_legendre(order)
    return place, weight * place, weight * place**2


def _in_hats(own: Array, hats: Array) -> Array:
    """From hats of the cells' own to others with these values at the ends, shape (2 hats, 2 ends, S, C)."""
    left, right, size, other, early, mixed, late, conjugate = own
    ((a, b), (c, d)), ((e, f), (g, h)) = hats, np.abs(hats)
    return np.array(
        [
            a * left + b * right,
            c * left + d * right,
            e * size + f * other,
            g * size + h * other,
            a * a * early + 2 * a * b * mixed + b * b * late,
            a * c * early + (a * d + b * c) * mixed + b * d * late,
            c * c * early + 2 * c * d * mixed + d * d * late,
            conjugate,
        ]
    )
