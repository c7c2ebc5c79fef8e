r"""Weighted splines whose curvature is no polynomial: exact in the coordinate in which it is smooth.

For a nonquadratic potential :math:`f'' = (p - q) \sum_\pm \zeta_\pm (\phi')^{-1}(g_\pm)` behaves like a root of c at the
zeros of the piecewise linear g, and no polynomial in c follows it. In the coordinate s of `Unfolding.unfold` it is smooth,
c(s) is z(s) up to a linear map, and f, f', f'' are polynomials in s to rounding: those are kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._arguments import Array, real_array, whole_number
from splinebias.errors import CapabilityError
from splinebias.functions.piecewise import WeightedSpline
from splinebias.functions.unfolding import Unfolding
from splinebias.numerics.cells import Cells, bisect_until, panel_nodes, unresolved
from splinebias.numerics.legendre import (
    gauss_legendre,
    legendre_coefficients,
    legendre_integral,
    legendre_to_monomial,
    legendre_values,
)
from splinebias.numerics.repeated_integrals import integrate_through, jets_through, pieces, within_reach
from splinebias.potential import Hypentropy, Potential, Power, Quadratic

_BLOCK = 1 << 16  # nodes treated at once
_CHUNK = 1 << 13  # points evaluated at once: what fits into the cache of a core
_ORDER = 16  # of the polynomial pieces that stand in for the function
_KNOWN: dict[str, type[Potential]] = {kind.__name__: kind for kind in (Quadratic, Power, Hypentropy)}
Degrees = tuple[int, int] | None
_CURVED = ("anchor", "z", "rate", "start", "stop", "base")


class Rows(NamedTuple):
    r"""Gauss rules on N intervals of the breakpoint axis, each in a coordinate of its own.

    On a curved row (rate not 0) a breakpoint is :math:`c = \mathrm{anchor} + (z(s) - z_0)/\mathrm{rate}`, with z(s) of
    `Unfolding.unfold`; on a plain one, anchor + s.

    Attributes
    ----------
    offset, weights : Array, shape (N, q)
        Nodes relative to their anchors, and their weights.
    g : Array, shape (N, q)
        The dual function there, with its relative precision next to zeros.
    low, high : Array, shape (N,)
        The interval.
    top : Array, shape (N,)
        Its upper end relative to the anchor.
    anchor, z, rate : Array, shape (N,)
        As above; z and rate are g and its slope at the anchor.
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

    def take(self, at: Any) -> Rows:
        """Some of the rows."""
        return Rows(*((column.T[:, at].T if column.ndim > 1 else column[at]) for column in self))

    @property
    def down(self) -> NDArray[np.bool_]:
        """Which rows start at their upper end."""
        return np.asarray(self.offset[:, 0] > self.offset[:, -1])

    def turned(self, at: NDArray[np.intp]) -> Rows:
        """With the rows number `at` from their other end."""
        columns = [column.copy() for column in (self.offset, self.weights, self.g, self.start, self.stop)]
        offset, weights, g, start, stop = columns
        for column in (offset, weights, g):
            column[at] = column[at, ::-1]
        start[at], stop[at] = self.stop[at], self.start[at]
        return self._replace(offset=offset, weights=weights, g=g, start=start, stop=stop)


@dataclass(frozen=True, eq=False)
class Curved:
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
    series : tuple of Array, shape (degree + 1, C)
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
    series: tuple[Array, Array, Array]

    @classmethod
    def of(cls, rows: Rows, curvature: Array, ends: Array, unfolding: Unfolding, degrees: Degrees = None) -> Curved:
        """From f'' at the nodes of curved `rows`, and `ends`, shape (5, C): start, f and f' there, stop, f there.

        `degrees` : those in s of c and of f'', if both are polynomials.
        """
        step = _BLOCK // rows.offset.shape[1]
        blocks = [slice(first, first + step) for first in range(0, max(rows.low.size, 1), step)]
        if degrees is not None and sum(degrees) > rows.offset.shape[1]:
            degrees = None  # more than the nodes can tell
        parts = (_integrated(rows.take(block), curvature[block], unfolding, degrees) for block in blocks)
        series: list[Array] = []
        for block, part in zip(blocks, parts, strict=True):
            series = series or [np.empty((of.shape[0], rows.low.size)) for of in part]
            for whole, of in zip(series, part, strict=True):
                whole[:, block] = of
        if degrees is None:
            series = [_trimmed(part) for part in series]
        begin, f, slope, end, goal = ends
        tangent = np.divide(goal - f - series[0].sum(axis=0), end - begin, out=slope.copy(), where=end != begin)
        base = np.array([begin, f, tangent, slope])
        return cls(unfolding, rows.anchor, rows.z, rows.rate, rows.start, rows.stop, base, (series[0], series[1], series[2]))

    def __call__(self, x: Array, row: NDArray[np.intp], nu: int) -> Array:
        """Derivative `nu` <= 2 at points x in the rows number `row`, shape (K,)."""
        s = self.unfolding.fold(self.z[row] + self.rate[row] * (x - self.anchor[row]))
        start = self.start[row]
        long = self.stop[row] - start  # 0 where powers of g underflow
        t = np.divide(s - start, long, out=np.zeros_like(s), where=long != 0)
        value = legendre.legval(2 * np.clip(t, 0, 1) - 1, np.take(self.series[nu], row, axis=1), tensor=False)
        if nu == 2:
            return np.asarray(value)
        end, f, tangent, slope = (part[row] for part in self.base)
        return np.asarray(value + (f + tangent * (x - end) if nu == 0 else slope))


@dataclass(frozen=True, eq=False)
class Branch:
    """A function whose second derivative is known on rows.

    Attributes
    ----------
    straight : PPoly
        In c; with curved rows replaced by lines.
    edges : Array, shape (N + 1,)
        Ends of the rows.
    row : Array of int, shape (N,)
        Number of a row among the curved ones, or -1.
    curved : Curved
        Those.
    """

    straight: PPoly
    edges: Array
    row: NDArray[np.intp]
    curved: Curved

    @classmethod
    def through(
        cls, rows: Rows, curvature: Array, unfolding: Unfolding, x: Array, y: Array, degrees: Degrees = None
    ) -> Branch:
        """The function with f'' = `curvature` at the nodes of touching `rows`, 0 outside, through (x, y).

        `degrees` : as in `Curved.of`.
        """
        if (rows.low[1:] < rows.low[:-1]).any():
            order = np.argsort(rows.low, kind="stable")
            rows, curvature = rows.take(order), curvature[order]
        edges = np.concatenate([rows.low, rows.high[-1:]])
        keep = within_reach(edges, x, curvature.shape[1] + 2)
        if keep != slice(0, edges.size):
            edges, inside = edges[keep], slice(keep.start, keep.stop - 1)
            rows, curvature = rows.take(inside), curvature[inside]
        mass = rows.weights * curvature
        lever, total = rows.top[:, None] - rows.offset, mass.sum(axis=1)
        jets = jets_through(edges, np.array([(mass * lever).sum(axis=1), total]), x, y)
        bent = rows.rate != 0
        inner = np.zeros((curvature.shape[1], bent.size))
        (plain,) = (~bent).nonzero()
        if plain.size:
            powers = np.arange(inner.shape[0], 0, -1)[:, None]
            inner[:, plain] = legendre_to_monomial(curvature.T[:, plain].T, np.diff(edges)[plain]) / (powers * (powers + 1))
        row, at = np.where(bent, np.cumsum(bent) - 1, -1), np.flatnonzero(bent)
        part, curvature = (rows, curvature) if not plain.size else (rows.take(at), curvature.T[:, at].T)
        far = np.flatnonzero(np.where(part.down, part.low >= x[-1], part.high <= x[0]))
        if far.size:  # beyond the data they may be long: f is small where they begin, next to the data
            part, curvature = part.turned(far), curvature.copy()
            curvature[far] = curvature[far, ::-1]
        down = part.down
        slope = jets[1, at] + np.where(down, total[at], 0.0)  # two branches have kinks at data, their sum has not
        begin, end = at + down, at + ~down
        ends = np.array([edges[begin], jets[0, begin], slope, edges[end], jets[0, end]])
        curved = Curved.of(part, curvature, ends, unfolding, degrees)
        return cls(pieces(edges, inner, jets), edges, row, curved)

    def state(self) -> dict[str, Any]:
        """Everything but the potential, as lists."""
        curved = [np.asarray(getattr(self.curved, name)).tolist() for name in _CURVED]
        series = [part.tolist() for part in self.curved.series]
        straight = [self.straight.c.tolist(), self.straight.x.tolist()]
        return {
            "straight": straight,
            "edges": self.edges.tolist(),
            "row": self.row.tolist(),
            "curved": curved,
            "series": series,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], potential: Potential) -> Branch:
        """Inverse of `state`."""
        first, second, third = (np.array(part, dtype=float) for part in state["series"])
        anchor, z, rate, start, stop, base = (np.array(part, dtype=float) for part in state["curved"])
        curved = Curved(Unfolding.of(potential), anchor, z, rate, start, stop, base, (first, second, third))
        straight = PPoly(*(np.array(part) for part in state["straight"]), extrapolate=True)
        return cls(straight, np.array(state["edges"]), np.array(state["row"], dtype=np.intp), curved)

    def __call__(self, x: Array, nu: int) -> Array:
        """Derivative `nu` <= 2 at points x, shape (K,)."""
        row = self._rows_by_edge[_edges_below(self.edges, x)]
        values, lines = np.empty(x.size), np.flatnonzero(row < 0)
        values[lines] = self._along_lines(x[lines], nu)
        for begin in range(0, x.size, _CHUNK):
            bent = begin + np.flatnonzero(row[begin : begin + _CHUNK] >= 0)
            values[bent] = self.curved(x[bent], row[bent], nu)
        return values

    @cached_property
    def _rows_by_edge(self) -> NDArray[np.intp]:
        """By the number of edges at a point or below it."""
        return np.concatenate([[-1], self.row, [-1]])

    def _along_lines(self, x: Array, nu: int) -> Array:
        """The same where no row is curved."""
        low, high = self.edges[[0, -1]]
        values = np.asarray(self.straight(np.clip(x, low, high), nu=nu))
        for outside, end in ((x < low, low), (x > high, high)):  # there f is its tangent, however far out
            if outside.any():
                slope = float(self.straight(end, nu=1))
                values[outside] = (values[outside] + slope * (x[outside] - end), slope, 0.0)[nu]
        return values


class UnfoldedSpline(WeightedSpline):
    """The solution of a weighted spline problem with a nonquadratic potential.

    f, f' and f'' are evaluated to rounding everywhere. What else a `WeightedSpline` can do is done by polynomial pieces that
    represent f to rounding, and are made when they are first asked for.

    Parameters
    ----------
    branches : list of Branch
        Their sum is f.
    x, y : Array, shape (M,)
        Points on the graph.
    knots : Array
        Points where f'' is not smooth.
    """

    def __init__(self, branches: list[Branch], x: Array, y: Array, knots: Array) -> None:
        self._branches, self._points, self.exact = branches, (x, y), False
        self._knots = np.array(knots, dtype=float)
        self._knots.setflags(write=False)

    def __call__(self, x: Any, nu: int = 0) -> Array:
        nu, x = whole_number(nu, "nu"), real_array(x, "x")
        if nu > 2 or not np.isfinite(x).all():
            return super().__call__(x, nu)
        first, *others = (branch(x.ravel(), nu) for branch in self._branches)
        values = np.asarray(first + others[0] if others else first).reshape(x.shape)
        if nu == 0:  # exact, however steep f is between points that are close together
            points, ordinates = self._points
            at = np.maximum(_edges_below(points, x.ravel()) - 1, 0)
            hit = np.flatnonzero(points[at] == x.ravel())
            values.flat[hit] = ordinates[at[hit]]
        return values

    def _state(self) -> dict[str, Any]:
        potential = self._branches[0].curved.unfolding.potential
        if type(potential).__name__ not in _KNOWN:
            raise CapabilityError(
                f"JSON text can hold the potentials {', '.join(_KNOWN)} and not {potential!r}; pickle the function, or "
                "write to_ppoly(resolved=True)"
            )
        return {
            "points": [part.tolist() for part in self._points],
            "knots": self._knots.tolist(),
            "potential": {"name": type(potential).__name__, **asdict(potential)},  # type: ignore[call-overload]
            "branches": [branch.state() for branch in self._branches],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        fields = dict(state["potential"])
        potential = _KNOWN[fields.pop("name")](**fields)
        branches = [Branch.from_state(part, potential) for part in state["branches"]]
        x, y = (np.array(part) for part in state["points"])
        UnfoldedSpline.__init__(self, branches, x, y, state["knots"])

    @cached_property
    def _ppoly(self) -> PPoly:
        """Pieces that are polynomials in c, cut at the zeros of g and towards them until nothing is left to see."""
        x, y = self._points
        size, gaps = float(np.abs(y).max()) or 1.0, np.r_[0.0, np.diff(x), 0.0]
        edges = np.unique(np.concatenate([branch.edges for branch in self._branches]))

        def curvature(left: Array, right: Array) -> tuple[Array, Array, Array]:
            nodes, weights = panel_nodes(left, right, _ORDER)
            values = self(nodes, 2)
            mass = weights * np.abs(values)
            lever = (x[-1] - x[0]) + np.abs(nodes - x[0])
            return values, (mass * lever).sum(axis=1), mass.sum(axis=1) * gaps[np.searchsorted(x, left, side="right")]

        total = float(curvature(edges[:-1], edges[1:])[1].sum()) or 1.0

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            values, moment, shift = curvature(left, right)
            return unresolved(values, np.maximum(moment / total, shift / size), 1.0, tolerance)

        cells = bisect_until(Cells(edges, _ORDER), failing, max_cells=200 * edges.size)
        return integrate_through(cells.edges, self(cells.nodes, 2), 2, x, y)


def _edges_below(edges: Array, x: Array) -> NDArray[np.intp]:
    """How many `edges` are at most x, for every x; three times faster where many x are sorted."""
    if x.size < edges.size or (x[1:] < x[:-1]).any():
        return np.searchsorted(edges, x, side="right")
    return np.repeat(np.arange(edges.size + 1), np.diff(np.searchsorted(x, edges), prepend=0, append=x.size))


def _integrated(rows: Rows, curvature: Array, unfolding: Unfolding, degrees: Degrees) -> tuple[Array, Array, Array]:
    """The `Curved.series` from f'' at the nodes."""
    order, long = rows.offset.shape[1], rows.stop - rows.start
    of_c, of_second = degrees or (order, order - 1)
    per_long = long / rows.rate

    def pace(place: Array) -> Array:
        """dc/dt, shape (N, len(place))."""
        return np.asarray((unfolding.unfold(rows.start + long * place[:, None])[1] * per_long).T)

    second = legendre_coefficients(curvature).T[: of_second + 1]
    slope = legendre_coefficients(curvature * pace(gauss_legendre(order)[0])).T
    first = legendre_integral(slope[: of_second + of_c])
    place = gauss_legendre(min(of_second + 2 * of_c, 2 * order))[0]  # a product of two such polynomials
    rise = legendre_values(first, place.size) * pace(place)
    return legendre_integral(legendre_coefficients(rise).T), first, second


def _trimmed(series: Array) -> Array:
    """Without the highest coefficients that are rounding on every row."""
    size = np.abs(series).max(axis=0, initial=0.0)
    used = np.flatnonzero((np.abs(series) > 1e-17 * size).any(axis=1))
    return np.ascontiguousarray(series[: used[-1] + 1 if used.size else 1])
