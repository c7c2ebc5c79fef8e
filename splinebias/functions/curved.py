r"""Weighted splines whose curvature is no polynomial: exact in the coordinate in which it is smooth.

For a nonquadratic potential :math:`f'' = (p - q) \sum_\pm \zeta_\pm (\phi')^{-1}(g_\pm)` behaves like a root of c at the
zeros of the piecewise linear g, and no polynomial in c follows it. In the coordinate s of `Unfolding.unfold` it is smooth,
c(s) is z(s) up to a linear map, and f, f', f'' are polynomials in s to rounding: those are kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._array import Array
from splinebias.errors import CapabilityError, DataError
from splinebias.functions.curved_rows import CurvedRows, Degrees, Rows
from splinebias.functions.json_state import checked_list, checked_object, increasing, made, numbers, row_numbers
from splinebias.functions.piecewise import WeightedSpline
from splinebias.functions.unfolding import PowerUnfolding, Unfolding
from splinebias.numerics.cells import Cells, bisect_until, panel_nodes, unresolved
from splinebias.numerics.legendre import legendre_to_monomial
from splinebias.numerics.repeated_integrals import Room, integrate_through, within_reach
from splinebias.potential import Hypentropy, Potential, Power, Quadratic

_MANY = 500  # points that are looked up one by one sooner than asked whether they are sorted
_KNOWN: dict[str, type[Potential]] = {kind.__name__: kind for kind in (Quadratic, Power, Hypentropy)}


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
    curved : CurvedRows
        Those.
    """

    straight: PPoly
    edges: Array
    row: NDArray[np.intp]
    curved: CurvedRows

    @classmethod
    def through(
        cls, rows: Rows, curvature: Array, unfolding: Unfolding, x: Array, y: Array, degrees: Degrees = None
    ) -> Branch:
        """The function with f'' = `curvature` at the nodes of touching `rows`, 0 outside, through (x, y).

        `degrees` : as in `CurvedRows.of`.
        """
        if (rows.low[1:] < rows.low[:-1]).any():
            order = np.argsort(rows.low, kind="stable")
            rows, curvature = rows.take(order), curvature[order]
        edges = np.concatenate([rows.low, rows.high[-1:]])
        keep = within_reach(edges, x, curvature.shape[1] + 2)
        if keep != slice(0, edges.size):
            edges, inside = edges[keep], slice(keep.start, keep.stop - 1)
            rows, curvature = rows.take(inside), curvature[inside]
        mass, room = rows.weights * curvature, Room.of(edges, curvature.shape[1], 2)
        lever, total = rows.top[:, None] - rows.offset, mass.sum(axis=1)
        room.steps[:] = (mass * lever).sum(axis=1), total
        room.jets_through(x, y)
        bent, jets = rows.rate != 0, room.jets
        room.inner[:] = 0.0
        (plain,) = (~bent).nonzero()
        if plain.size:
            powers = np.arange(curvature.shape[1], 0, -1)[:, None]
            room.inner[:, plain] = legendre_to_monomial(curvature[plain], np.diff(edges)[plain]) / (powers * (powers + 1))
        row, at = np.where(bent, np.cumsum(bent) - 1, -1), np.flatnonzero(bent)
        part, curvature = rows.take(at), curvature[at]
        down = part.down
        far = np.flatnonzero(np.where(down, part.low >= x[-1], part.high <= x[0]))
        part.turn(far)  # beyond the data they may be long: f is small where they begin, next to the data
        curvature[far] = curvature[far, ::-1]
        down[far] ^= True
        slope = jets[1, at] + np.where(down, total[at], 0.0)  # two branches have kinks at data, their sum has not
        begin, end = at + down, at + ~down
        ends = np.array([edges[begin], jets[0, begin], slope, edges[end], jets[0, end]])
        curved = CurvedRows.of(part, curvature, ends, unfolding, degrees)
        return cls(room.pieces(), edges, row, curved)

    def state(self) -> dict[str, Any]:
        """Everything but the unfolding, as lists."""
        curved = self.curved
        parts = (curved.anchor, curved.z, curved.rate, curved.start, curved.stop, curved.base, *curved.series)
        return {
            "straight": [self.straight.c.tolist(), self.straight.x.tolist()],
            "edges": self.edges.tolist(),
            "row": self.row.tolist(),
            "curved": [part.tolist() for part in parts],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], unfolding: Unfolding) -> Branch:
        """The branch whose `state` this is."""
        state = checked_object(state, "a branch", ("straight", "edges", "row", "curved"))
        edges = increasing(state["edges"], "edges", least=2)
        coefficients, ends = checked_list(state["straight"], "`straight`", 2)
        ends = increasing(ends, "straight", least=2)
        straight = PPoly(numbers(coefficients, "straight", (None, ends.size - 1)), ends, extrapolate=True)
        *columns, base, f, slope, second = checked_list(state["curved"], "`curved`", 9)
        count = numbers(columns[0], "curved", (None,)).size
        anchor, z, rate, start, stop = (numbers(column, "curved", (count,)) for column in columns)
        series = tuple(numbers(part, "curved", (None, count)) for part in (f, slope, second))
        curved = CurvedRows(unfolding, anchor, z, rate, start, stop, numbers(base, "curved", (4, count)), series)
        return cls(straight, edges, row_numbers(state["row"], "row", edges.size - 1, count), curved)

    def rows_at(self, x: Array) -> NDArray[np.intp]:
        """By points x, shape (K,), the number of the curved row there, or -1."""
        return self._rows_by_edge[_edges_below(self.edges, x)]

    @cached_property
    def _rows_by_edge(self) -> NDArray[np.intp]:
        """By the number of edges at a point or below it."""
        return np.concatenate([[-1], self.row, [-1]])

    @cached_property
    def _slopes(self) -> list[float]:
        """The slopes of the function beyond its first and its last edge."""
        return [float(slope) for slope in self.straight(self.edges[[0, -1]], nu=1)]

    def along_lines(self, x: Array, nu: int) -> Array:
        """Derivative `nu` <= 2 at points x where no row is curved, shape (K,)."""
        low, high = self.edges[0], self.edges[-1]
        values = np.asarray(self.straight(np.minimum(np.maximum(x, low), high), nu=nu))
        for outside, end, slope in ((x < low, low, self._slopes[0]), (x > high, high, self._slopes[1])):
            if outside.any():  # there f is its tangent, however far out
                values[outside] = (values[outside] + slope * (x[outside] - end), slope, 0.0)[nu]
        return values


class CurvedSpline(WeightedSpline):
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

    def _derivative_at(self, x: Array, nu: int) -> Array:
        if nu > 2:
            return super()._derivative_at(x, nu)
        chunk = 1 << 13  # what fits into the cache of a core: 1.35 times faster than all points at once
        flat, values = x.ravel(), np.empty(x.shape)
        for begin in range(0, flat.size, chunk):
            values.flat[begin : begin + chunk] = self._sum(flat[begin : begin + chunk], nu)
        if nu == 0:  # exact, however steep f is between points that are close together
            points, ordinates = self._points
            at = np.maximum(_edges_below(points, x.ravel()) - 1, 0)
            hit = np.flatnonzero(points[at] == x.ravel())
            values.flat[hit] = ordinates[at[hit]]
        return values

    def _sum(self, x: Array, nu: int) -> Array:
        """Derivative `nu` <= 2 at points x, shape (K,): curved rows of all branches at once."""
        rows = [branch.rows_at(x) for branch in self._branches]
        bent = [(row >= 0).nonzero()[0] for row in rows]
        curved, firsts = self._curved
        number = np.concatenate([row[at] + first for row, at, first in zip(rows, bent, firsts, strict=True)])
        found = curved(x[np.concatenate(bent)], number, nu) if number.size else np.zeros(0)
        total, done = np.zeros(x.size), 0
        for branch, row, at in zip(self._branches, rows, bent, strict=True):
            if at.size < x.size:
                lines = (row < 0).nonzero()[0]
                total[lines] += branch.along_lines(x[lines], nu)
            total[at] += found[done : done + at.size]
            done += at.size
        return total

    @cached_property
    def _curved(self) -> tuple[CurvedRows, list[int]]:
        """The curved rows of all branches, and the number of the first of each."""
        parts = [branch.curved for branch in self._branches]
        return CurvedRows.joined(parts), np.cumsum([0, *(part.z.size for part in parts[:-1])]).tolist()

    def _state(self) -> dict[str, Any]:
        """All there is to know about the function, in lists, numbers and words."""
        unfolding = self._branches[0].curved.unfolding
        potential = unfolding.potential
        if type(potential).__name__ not in _KNOWN:
            raise CapabilityError(
                f"JSON text can hold the potentials {', '.join(_KNOWN)} and not {potential!r}; pickle the function, or "
                "write to_ppoly(resolved=True)"
            )
        spread = {"spread": True} if isinstance(unfolding, PowerUnfolding) and unfolding.stretch != 1 else {}
        return {
            "points": [part.tolist() for part in self._points],
            "knots": self._knots.tolist(),
            "potential": {"name": type(potential).__name__, **asdict(potential), **spread},  # type: ignore[call-overload]
            "branches": [branch.state() for branch in self._branches],
        }

    @classmethod
    def _arguments(cls, state: dict[str, Any]) -> dict[str, Any]:
        """Arguments that make the function with a `_state`; DataError if it is none."""
        state = checked_object(state, f"a {cls.__name__}", ("points", "knots", "potential", "branches"))
        potential = dict(checked_object(state["potential"], "`potential`"))
        spread = potential.pop("spread", False)  # absent from what earlier versions wrote
        if not isinstance(spread, bool):
            raise DataError(f"`potential.spread` must be true or false, got {spread!r}; use what to_json() wrote")
        unfolding = Unfolding.of(made(_KNOWN, potential, "`potential`"), spread=spread)
        x, y = checked_list(state["points"], "`points`", 2)
        x = increasing(x, "points", least=2)
        branches = state["branches"]
        if not isinstance(branches, list) or len(branches) not in (1, 2):
            raise DataError(f"`branches` must be a list of one or two, got {branches!r}; use what to_json() wrote")
        parts = [Branch.from_state(part, unfolding) for part in branches]
        return {
            "branches": parts,
            "x": x,
            "y": numbers(y, "points", (x.size,)),
            "knots": increasing(state["knots"], "knots"),
        }

    @cached_property
    def _ppoly(self) -> PPoly:
        """Pieces that are polynomials in c, cut at the zeros of g and towards them until nothing is left to see."""
        (x, y), order = self._points, 16
        size, gaps = float(np.abs(y).max()) or 1.0, np.r_[0.0, np.diff(x), 0.0]
        edges = np.unique(np.concatenate([branch.edges for branch in self._branches]))

        def curvature(left: Array, right: Array) -> tuple[Array, Array, Array]:
            nodes, weights = panel_nodes(left, right, order)
            values = self(nodes, 2)
            mass = weights * np.abs(values)
            lever = (x[-1] - x[0]) + np.abs(nodes - x[0])
            return values, (mass * lever).sum(axis=1), mass.sum(axis=1) * gaps[np.searchsorted(x, left, side="right")]

        total = float(curvature(edges[:-1], edges[1:])[1].sum()) or 1.0

        def failing(left: Array, right: Array, tolerance: float) -> NDArray[np.bool_]:
            values, moment, shift = curvature(left, right)
            return unresolved(values, np.maximum(moment / total, shift / size), 1.0, tolerance)

        cells = bisect_until(Cells(edges, order), failing, max_cells=200 * edges.size)
        return integrate_through(cells.edges, self(cells.nodes, 2), 2, x, y)


def _edges_below(edges: Array, x: Array) -> NDArray[np.intp]:
    """How many `edges` are at most x, for every x; where many x are sorted, values of f are 1.3 times faster for it."""
    if x.size < max(edges.size, _MANY) or (x[1:] < x[:-1]).any():
        return np.searchsorted(edges, x, side="right")
    return np.repeat(np.arange(edges.size + 1), np.diff(np.searchsorted(x, edges), prepend=0, append=x.size))
