r"""Rows of a quadrature on which a curvature is smooth in a coordinate of its own, and the polynomials in it.

`functions.curved` puts them together to functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.functions.unfolding import Unfolding
from splinebias.numerics.legendre import gauss_legendre, legendre_coefficients, legendre_integral, legendre_values

Degrees = tuple[int, int] | None
_BLOCK = 1 << 12  # rows treated at once: what fits into the cache of a core


class Rows(NamedTuple):
    r"""Gauss rules on N panels of the breakpoint axis, each in a coordinate of its own.

    On a curved row (rate not 0) a breakpoint is :math:`c = \mathrm{anchor} + (z(s) - z_0)/\mathrm{rate}`, with z(s) of
    `Unfolding.unfold`; on a plain one, anchor + s.

    Attributes
    ----------
    offset, weights : Array, shape (N, q)
        Nodes relative to their anchors, and their weights.
    g : Array, shape (N, q)
        The dual function there, with its relative precision next to zeros.
    low, high : Array, shape (N,)
        Ends of the panels.
    top : Array, shape (N,)
        The upper ends relative to the anchors.
    anchor, z, rate : Array, shape (N,)
        The anchor, z_0 and rate above; z and rate are g and its slope at the anchor.
    start, stop : Array, shape (N,)
        The s at the ends; Gauss nodes run from the first to the second.
    """

    offset: Array
    weights: Array
    g: Array
    low: Array
    high: Array
    top: Array
    anchor: Array
    z: Array
    rate: Array
    start: Array
    stop: Array

    @property
    def nodes(self) -> Array:
        """Breakpoints, shape (N, q)."""
        return self.anchor[:, None] + self.offset

    def middle(self, unfolding: Unfolding) -> Array:
        """Breakpoints in the middle between `start` and `stop`, shape (N,)."""
        bent = self.rate != 0
        s = (self.start + self.stop) / 2
        along = np.divide(unfolding.unfold(s)[0] - self.z, self.rate, out=s.copy(), where=bent)
        return np.asarray(self.anchor + along)

    def take(self, at: Any) -> Rows:
        """Some of the rows."""
        return Rows(*(column[at] for column in self))

    @property
    def down(self) -> NDArray[np.bool_]:
        """Which rows start at their upper end."""
        return np.asarray(self.offset[:, 0] > self.offset[:, -1])

    def turn(self, at: NDArray[np.intp]) -> None:
        """Count the nodes of the rows `at` from their other end."""
        for column in (self.offset, self.weights, self.g):
            column[at] = column[at, ::-1]
        self.start[at], self.stop[at] = self.stop[at], self.start[at]


@dataclass(frozen=True, eq=False)
class CurvedRows:
    r"""The curved rows of a function: polynomials in s.

    Attributes
    ----------
    unfolding : Unfolding
        Gives s.
    anchor, z, rate, start, stop : Array, shape (C,)
        As in `Rows`.
    base : Array, shape (4, C)
        The end of a row at `start`; f there; slopes of the tangents of f and of f'. The first of them makes f at the other
        end what it is to rounding.
    series : three Arrays, shape (degree + 1, C)
        Legendre coefficients in 2t - 1, where s = start + t (stop - start), of f and f' less their tangents at the base, and
        of f''.
    """

    unfolding: Unfolding
    anchor: Array
    z: Array
    rate: Array
    start: Array
    stop: Array
    base: Array
    series: tuple[Array, ...]

    _COLUMNS: ClassVar[tuple[str, ...]] = ("anchor", "z", "rate", "start", "stop")

    @classmethod
    def of(cls, rows: Rows, curvature: Array, ends: Array, unfolding: Unfolding, degrees: Degrees = None) -> CurvedRows:
        """From f'' at the nodes of curved `rows`, and `ends`, shape (5, C): start, f and f' there, stop, f there.

        `degrees` : those in s of c and of f'', if both are polynomials.
        """
        series = _integrated(rows, curvature, unfolding, degrees)
        begin, f, slope, end, goal = ends
        tangent = np.divide(goal - f - series[0].sum(axis=0), end - begin, out=slope.copy(), where=end != begin)
        base = np.array([begin, f, tangent, slope])
        return cls(unfolding, rows.anchor, rows.z, rows.rate, rows.start, rows.stop, base, series)

    @classmethod
    def joined(cls, parts: list[CurvedRows]) -> CurvedRows:
        """The rows of some functions after those of others, of one unfolding."""
        first, *others = parts
        if not others:
            return first
        columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._COLUMNS}
        ends = np.cumsum([part.z.size for part in parts])
        series = []
        for of in zip(*(part.series for part in parts), strict=True):
            series.append(np.zeros((max(map(len, of)), ends[-1])))
            for one, end in zip(of, ends, strict=True):
                series[-1][: len(one), end - one.shape[1] : end] = one
        return replace(first, **columns, base=np.concatenate([part.base for part in parts], axis=1), series=tuple(series))

    @cached_property
    def _known(self) -> Array:
        """What is known of a row, one after the other."""
        return np.stack([*(getattr(self, name) for name in self._COLUMNS), *self.base])

    def __call__(self, x: Array, row: NDArray[np.intp], nu: int) -> Array:
        """Derivative `nu` <= 2 at points x in the rows number `row`, shape (K,)."""
        anchor, z, rate, start, stop, end, f, tangent, slope = self._known.take(row, axis=1)
        s = self.unfolding.fold(z + rate * (x - anchor))
        long = stop - start  # 0 where powers of g underflow
        t = np.divide(s - start, long, out=np.zeros_like(s), where=long != 0)
        t = np.minimum(np.maximum(t, 0.0), 1.0)
        value = _clenshaw(2 * t - 1, self.series[nu].take(row, axis=1))
        if nu == 2:
            return value
        return np.asarray(value + (f + tangent * (x - end) if nu == 0 else slope))


def _clenshaw(t: Array, series: Array) -> Array:
    """Values of Legendre series, shape (n, K), at t, shape (K,): the steps of numpy's `legval`, without its copies."""
    if len(series) < 3:
        return np.asarray(series[0] + series[1] * t if len(series) == 2 else series[0] * 1.0)
    low, high, spare = series[-2].copy(), series[-1].copy(), np.empty_like(t)
    for k in range(len(series) - 2, 0, -1):
        np.multiply(high, k / (k + 1), out=spare)
        np.subtract(series[k - 1], spare, out=spare)
        high *= t
        high *= (2 * k + 1) / (k + 1)
        high += low
        low, spare = spare, low
    return np.asarray(low + high * t)


def _integrated(rows: Rows, curvature: Array, unfolding: Unfolding, degrees: Degrees) -> tuple[Array, ...]:
    """The `CurvedRows.series` from f'' at the nodes."""
    known = degrees is not None and sum(degrees) <= curvature.shape[1]  # no more than the nodes can tell
    some = [slice(first, first + _BLOCK) for first in range(0, len(curvature), _BLOCK)] or [slice(0)]
    blocks = [_series(rows.take(of), curvature[of], unfolding, degrees if known else None) for of in some]
    series = [np.concatenate([part.T for part in of]).T for of in zip(*blocks, strict=True)]
    return tuple(series if known else (_trimmed(part) for part in series))


def _series(rows: Rows, curvature: Array, unfolding: Unfolding, degrees: Degrees) -> tuple[Array, ...]:
    """What `_integrated` returns, without trimming."""
    order, long = rows.weights.shape[1], rows.stop - rows.start
    of_c, of_second = (order, order - 1) if degrees is None else degrees
    per_long, size = long / rows.rate, min(of_second + 2 * of_c, 2 * order)  # nodes for a product of two such polynomials
    pace = np.copysign(rows.weights / gauss_legendre(order)[1], per_long[:, None])  # dc/dt
    second = legendre_coefficients(curvature).T[: of_second + 1]
    slope = legendre_coefficients(curvature * pace).T
    first = legendre_integral(slope[: of_second + of_c])
    if degrees is not None:
        pace = legendre_values(legendre_coefficients(pace).T[:of_c], size)
    else:
        pace = (unfolding.unfold(rows.start + long * gauss_legendre(size)[0][:, None])[1] * per_long).T
    return legendre_integral(legendre_coefficients(legendre_values(first, size) * pace).T), first, second


def _trimmed(series: Array) -> Array:
    """Without the highest coefficients that are rounding on every row."""
    size = np.abs(series).max(axis=0, initial=0.0)
    used = np.flatnonzero((np.abs(series) > 1e-17 * size).any(axis=1))
    return np.ascontiguousarray(series[: used[-1] + 1 if used.size else 1])
