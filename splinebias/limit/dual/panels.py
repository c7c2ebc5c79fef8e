"""Cells beside the data: where they lie among them, and the panels that they are cut into at zeros of a dual function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.limit.discretization import data_intervals
from splinebias.limit.dual.dual_function import SideFunction
from splinebias.numerics.cells import Cells


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

    @classmethod
    def of(cls, cells: Cells, x: Array) -> PlacedCells:
        """The cells beside data x."""
        left, right = cells.panels
        interval = data_intervals(cells.edges, x)
        around = np.clip(interval - 1, 0, x.size - 2)
        before, gap = x[np.maximum(interval - 1, 0)], np.diff(x)[around]
        local, upper = left - before, right - before
        along = np.stack([local, upper]) / gap
        number = np.arange(interval.size)
        return cls(number, left, right, interval, local, right - left, gap, along, around, x.size)

    def take(self, at: Any) -> PlacedCells:
        """Some of the cells."""
        names = ("number", "left", "right", "interval", "local", "wide", "gap", "along", "around")
        return replace(self, **{name: getattr(self, name)[..., at] for name in names})

    @cached_property
    def beyond(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which cells are on the left and on the right of all data."""
        return np.flatnonzero(self.interval == 0), np.flatnonzero(self.interval == self.points)

    @cached_property
    def _back(self) -> Array:
        """The other share, shape (2, N)."""
        return 1 - self.along

    def values(self, g: SideFunction) -> Array:
        """The dual function at the ends of the cells, shape (2, N)."""
        values = g.nodal[self.around] * self._back
        values += g.nodal[self.around + 1] * self.along
        before, after = self.beyond
        x, line, (factor, other) = g.dual.x, g.dual.line, g.factors
        if before.size:
            near, far = self.right[before], self.left[before]
            values[:, before] = factor * line(far), np.where(near == x[0], g.nodal[0], factor * line(near))
        if after.size:
            near, far = self.left[after], self.right[after]
            values[:, after] = np.where(near == x[-1], g.nodal[-1], other * line(near)), other * line(far)
        return np.asarray(values)


class Panels(NamedTuple):
    """Parts of cells, cut where one dual function has a zero and where that matters.

    Attributes
    ----------
    number, left, right, interval, local, wide, gap
        As in `PlacedCells`; `local` and `wide` are precise also where data are so close that doubles place a zero poorly.
    start, stop : Array, shape (N,)
        The dual function at the ends.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    interval: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    start: Array
    stop: Array

    @classmethod
    def of(cls, cells: PlacedCells, g: SideFunction, *, split: bool) -> Panels:
        """The cells, in two parts each where g changes sign if they are to be `split`."""
        start, stop = cells.values(g)
        whole = (cells.number, cells.left, cells.right, cells.interval, cells.local, cells.wide, cells.gap)
        panels = cls(*whole, start, stop)
        (at,) = (start * stop < 0).nonzero()
        if not split:  # beyond the data they are all the same: there few cells are large, and may reach far
            at = at[(cells.interval[at] == 0) | (cells.interval[at] == cells.points)]
        if not at.size:
            return panels
        left, right, wide, start, stop = (column[at] for column in (cells.left, cells.right, cells.wide, start, stop))
        low, high = wide * (start / (start - stop)), wide * (stop / (stop - start))
        zero = left + low
        torn = (zero <= left) | (zero >= right)  # an end up to rounding: the nearer end is the zero
        nearer = np.abs(start) < np.abs(stop)
        (new,) = (~torn).nonzero()
        panels = panels.take(np.concatenate([np.arange(cells.number.size), at[new]]))
        panels.start[at[torn & nearer]] = 0.0
        panels.stop[at[torn & ~nearer]] = 0.0
        first, second = at[new], slice(cells.number.size, None)
        panels.right[first], panels.wide[first], panels.stop[first] = zero[new], low[new], 0.0
        panels.left[second], panels.wide[second], panels.start[second] = zero[new], high[new], 0.0
        panels.local[second] += low[new]
        return panels

    def take(self, at: Any) -> Panels:
        """Some of the panels."""
        return Panels(*(column[at] for column in self))
