r"""Cells beside the data: where they lie among them, and the panels that they are cut into at zeros of a dual function.

Far from a law's bulk its density is smooth in the inverse of the distance from there, and so is all that a dual makes of it:
with :math:`c = o + W/u`, a dual function that is linear in c is :math:`\hat g(u)/u` with :math:`\hat g` linear in u, and
:math:`|w| g = (|w|/u) \hat g`, where :math:`|w|/u` has a law that hardly changes with u. The dozens of cells, each twice as
wide as the one before, that hold such a tail in c are therefore one in u, from infinity at 0 to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.initialization.breakpoints import BreakpointLaw
from splinebias.limit.discretization import Discretization, data_intervals
from splinebias.limit.dual.dual_function import SideFunction
from splinebias.numerics.cells import Cells
from splinebias.numerics.legendre import gauss_legendre, legendre_coefficients


@dataclass(frozen=True, eq=False)
class PlacedCells:
    """Cells that hold the data, whatever the dual function is.

    Attributes
    ----------
    number : Array of int, shape (N,)
        Of the cell.
    left, right : Array, shape (N,)
        Ends.
    interval : Array of int, shape (N,)
        Data interval, by the number of data points to the left.
    local, wide : Array, shape (N,)
        The left end relative to the data point before it (or the first one), and the width.
    gap : Array, shape (N,)
        The distance of the two data points around them (or of the nearest two).
    along : Array, shape (2, N)
        Where the ends lie between these, from 0 to 1.
    around : Array of int, shape (N,)
        The first of these two.
    points : int
        Number of data points.
    centre, reach : Array, shape (N,)
        The o and W above, of cells in u; W is 0 for those in c.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    interval: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    along: Array
    around: NDArray[np.intp]
    points: int
    centre: Array
    reach: Array

    @classmethod
    def of(cls, cells: Cells, x: Array) -> PlacedCells:
        """The cells beside data x."""
        left, right = cells.panels
        interval = data_intervals(cells.edges, x)
        around = np.clip(interval - 1, 0, x.size - 2)
        before, gap = x[np.maximum(interval - 1, 0)], np.diff(x)[around]
        local, upper = left - before, right - before
        along = np.stack([local, upper]) / gap
        number, nothing = np.arange(interval.size), np.zeros(interval.size)
        return cls(number, left, right, interval, local, right - left, gap, along, around, x.size, nothing, nothing)

    def take(self, at: Any) -> PlacedCells:
        """Some of the cells."""
        return replace(self, **{name: getattr(self, name)[..., at] for name in _COLUMNS})

    def folded(self, folds: Folds) -> PlacedCells:
        """The cells, with one in u in place of all beyond each fold; `number` is -1 there."""
        before, after = folds
        first = 0 if before is None else int(np.searchsorted(self.left, before.edge))
        last = self.number.size if after is None else int(np.searchsorted(self.left, after.edge))
        table: list[list[Any]] = [[getattr(self, name)[..., first:last]] for name in _COLUMNS]
        for fold, interval in ((before, 0), (after, self.points)):
            if fold is None:
                continue
            values = (-1, 0.0, 1.0, interval, 0.0, 1.0, 1.0, 0.0, 0, fold.centre, fold.edge - fold.centre)
            for parts, value in zip(table, values, strict=True):
                cell = np.full((*parts[0].shape[:-1], 1), value, dtype=parts[0].dtype)
                parts.insert(len(parts) if interval else 0, cell)
        columns = dict(zip(_COLUMNS, (np.concatenate(parts, axis=-1) for parts in table), strict=True))
        return replace(self, **columns)  # type: ignore[arg-type]  # `points` is no column

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        """Which cells are whole data intervals, shape (N,)."""
        inside = (self.interval > 0) & (self.interval < self.points)
        return np.asarray(inside & (self.along[0] == 0) & (self.along[1] == 1))

    def acting(self, g: SideFunction) -> PlacedCells:
        """The cells on which the factor of a dual function is not 0 for all multipliers."""
        before, after = self._sides
        left, right = (0.0, 0.0) if g.dual.free else g.factors
        some = slice(0 if left else before, self.number.size if right else after)
        if some == slice(0, self.number.size):
            return self
        if (some.start, some.stop) not in self._parts:
            self._parts[some.start, some.stop] = self.take(some)
        return self._parts[some.start, some.stop]

    @cached_property
    def _parts(self) -> dict[tuple[int, int], PlacedCells]:
        """What `acting` has found so far, by first and last cell."""
        return {}

    @cached_property
    def _sides(self) -> tuple[int, int]:
        """How many cells are left of all data, and how many are not right of them."""
        first, last = np.searchsorted(self.interval, [1, self.points])
        return int(first), int(last)

    @cached_property
    def _beyond(self) -> _Beyond:
        """The cells beyond the data, K of them."""
        (cells,) = ((self.interval == 0) | (self.interval == self.points)).nonzero()
        reach, (far,) = self.reach[cells], self.reach[cells].nonzero()
        ends = np.array([self.left[cells], self.right[cells]])
        ends[:, far] = self.centre[cells][far] + reach[far]
        return _Beyond(cells, self.interval[cells] == 0, ends, (self.along[:, cells] == 0) & (reach == 0), far, reach[far])

    @cached_property
    def _back(self) -> Array:
        """The other share, shape (2, N)."""
        return 1 - self.along

    def values(self, g: SideFunction) -> Array:
        r"""The dual function at the ends of the cells, (2, N), or (2, K, N) of several; of those in u, :math:`\hat g`."""
        nodal, after = g.nodal[..., self.around], g.nodal[..., self.around + 1]
        values = np.array([nodal * back + after * along for back, along in zip(self._back, self.along, strict=True)])
        cells, before, ends, touching, far, reach = self._beyond
        if cells.size:
            factor = np.where(before, *g.factors)
            at_end = np.where(before, g.nodal[..., :1], g.nodal[..., -1:])
            for found, end, is_end in zip(values, ends, touching, strict=True):
                found[..., cells] = np.where(is_end, at_end, factor * g.dual.line(end))
            if far.size:
                values[0][..., cells[far]] = factor[far] * g.dual.turn * reach
        return np.asarray(values)


class _Beyond(NamedTuple):
    r"""Cells beyond the data.

    Attributes
    ----------
    cells : Array of int, shape (K,)
        Which.
    before : Array of bool, shape (K,)
        Whether they are left of the data.
    ends : Array, shape (2, K)
        Their ends; of those in u, twice where u = 1.
    touching : Array of bool, shape (2, K)
        Which ends are data points.
    far, reach : Array, shape (F,)
        Which of the K are in u, and their W.
    """

    cells: NDArray[np.intp]
    before: NDArray[np.bool_]
    ends: Array
    touching: NDArray[np.bool_]
    far: NDArray[np.intp]
    reach: Array


_COLUMNS = ("number", "left", "right", "interval", "local", "wide", "gap", "along", "around", "centre", "reach")


class Fold(NamedTuple):
    """Where cells in u begin: at the breakpoint `edge`, with the o above as `centre`."""

    edge: float
    centre: float


Folds = tuple[Fold | None, Fold | None]  # left and right of the data
_LEAST = 6  # cells that a fold is to replace
_SMOOTH = 1e-9  # last Legendre coefficients of a density in u: its integral is known to the square of that
_SAME = 1e-14  # difference of moments


def folds_of(grid: Discretization, law: BreakpointLaw, x: Array) -> Folds:
    r"""Where one cell in u is as good as all those of a grid beyond: in moments 0, 1 and 2 of :math:`\zeta_\pm`, too."""
    if law.degree is not None:
        return None, None
    marks = np.concatenate([law.knots, law.landmarks])
    centre = float(np.median(marks)) if marks.size else float(x[0] + x[-1]) / 2
    low, high = law.knots.min(initial=x[0]), law.knots.max(initial=x[-1])
    return _fold(grid, law, -1, float(x[0]), low, centre), _fold(grid, law, 1, float(x[-1]), high, centre)


def _fold(grid: Discretization, law: BreakpointLaw, sign: int, end: float, mark: float, centre: float) -> Fold | None:
    """The fold nearest to the data at their `end` on the side of `sign`, beyond the knots at `mark`, or None."""
    edges, (first, last) = grid.cells.edges, law.support
    away = sign * (edges - end)
    cells = np.flatnonzero(np.minimum(away[:-1], away[1:]) >= 0)[::sign]  # from the data on
    inner = edges[cells + (sign < 0)]
    (tried,) = ((sign * (inner - mark) > 0) & (sign * (inner - centre) > 0)).nonzero()
    tried = tried[: max(0, tried.size - _LEAST)][:6]
    if not tried.size or math.isfinite(last if sign > 0 else first):
        return None
    place, weight = gauss_legendre(grid.cells.order)
    reach = (inner[tried] - centre)[:, None]
    far = centre + reach / place
    zeta = law.zetas(far)
    lever = np.array([np.ones_like(far), far - end, (far - end) ** 2])
    series = np.abs(legendre_coefficients(zeta * (reach / place) ** 4 / np.abs(reach) ** 3))
    smooth = (series[..., -2:].max(axis=-1) <= _SMOOTH * series.max(axis=-1)).all(axis=0)
    found = np.einsum("sjq,kjq,jq->ksj", zeta, lever, np.abs(reach) / place**2 * weight)
    nodes = grid.nodes[cells]
    mass = grid.weights[cells] * grid.zeta[:, cells]
    parts = np.array([(mass * power).sum(axis=-1) for power in (np.ones_like(nodes), nodes - end, (nodes - end) ** 2)])
    sums = np.cumsum(parts[..., ::-1], axis=-1)[..., ::-1]  # over the cells from each on
    same = (np.abs(found - sums[..., tried]) <= _SAME * np.abs(sums[..., :1])).all(axis=(0, 1))
    good = tried[smooth & same]
    return Fold(float(inner[good[0]]), centre) if good.size else None


class Panels(NamedTuple):
    r"""Parts of cells, cut where one dual function has a zero and where that matters.

    Attributes
    ----------
    number, left, right, interval, local, wide, gap, centre, reach
        As in `PlacedCells`; `local` and `wide` are precise also where data are so close that doubles place a zero poorly.
    start, stop : Array, shape (N,)
        The dual function at the ends; of panels in u, its :math:`\hat g`.
    function : Array of int, shape (N,)
        Its number, where there are several.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    interval: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    centre: Array
    reach: Array
    start: Array
    stop: Array
    function: NDArray[np.intp]

    @classmethod
    def of(cls, cells: PlacedCells, g: SideFunction, *, split: bool) -> Panels:
        """The cells, in two parts each where g changes sign if they are to be `split`."""
        start, stop = cells.values(g)
        count = cells.number.size
        of = np.arange(start.size) % count  # every function has the same cells
        whole = cells if start.size == count else cells.take(of)
        panels = cls(
            whole.number,
            whole.left,
            whole.right,
            whole.interval,
            whole.local,
            whole.wide,
            whole.gap,
            whole.centre,
            whole.reach,
            start.ravel(),
            stop.ravel(),
            np.arange(start.size) // count,
        )
        (at,) = (panels.start * panels.stop < 0).nonzero()
        if not split:  # beyond the data they are all the same: there few cells are large, and may reach far
            at = at[(panels.interval[at] == 0) | (panels.interval[at] == cells.points)]
        if not at.size:
            return panels
        left, right, wide, start, stop = (
            column[at] for column in (panels.left, panels.right, panels.wide, panels.start, panels.stop)
        )
        low, high = wide * (start / (start - stop)), wide * (stop / (stop - start))
        zero = left + low
        torn = (zero <= left) | (zero >= right)  # an end up to rounding: the nearer end is the zero
        nearer = np.abs(start) < np.abs(stop)
        (new,) = (~torn).nonzero()
        panels = panels.take(np.concatenate([np.arange(of.size), at[new]]))
        panels.start[at[torn & nearer]] = 0.0
        panels.stop[at[torn & ~nearer]] = 0.0
        first, second = at[new], slice(of.size, None)
        panels.right[first], panels.wide[first], panels.stop[first] = zero[new], low[new], 0.0
        panels.left[second], panels.wide[second], panels.start[second] = zero[new], high[new], 0.0
        panels.local[second] += low[new]
        return panels

    def take(self, at: Any) -> Panels:
        """Some of the panels."""
        return Panels(*(column[at] for column in self))
