"""Cells beside the data: where they lie among them, the dual values at their ends, their parts between zeros of these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._arguments import Array
from splinebias.limit.dual.dual_function import DualFunction, line_factors
from splinebias.limit.dual.newton_system import data_before
from splinebias.numerics.cells import Cells


@dataclass(frozen=True, eq=False)
class Frame:
    """Cells that hold the data, whatever the dual function is.

    Attributes
    ----------
    number : Array of int, shape (N,)
        Of the cell.
    left, right : Array, shape (N,)
        Ends.
    piece : Array of int, shape (N,)
        Number of data points to the left.
    local, wide : Array, shape (N,)
        The left end relative to the data point before it (or the first one), and the width.
    gap : Array, shape (N,)
        The distance of the two data points around them (or of the nearest two).
    along : Array, shape (2, N)
        Where the ends lie between these, from 0 to 1.
    interval : Array of int, shape (N,)
        Which two.
    points : int
        Number of data points.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    piece: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    along: Array
    interval: NDArray[np.intp]
    points: int

    @classmethod
    def of(cls, cells: Cells, x: Array) -> Frame:
        """The cells beside data x."""
        left, right = cells.panels
        piece = data_before(cells.edges, x)
        interval = np.clip(piece - 1, 0, x.size - 2)
        before, gap = x[np.maximum(piece - 1, 0)], np.diff(x)[interval]
        local, upper = left - before, right - before
        along = np.stack([local, upper]) / gap
        return cls(np.arange(piece.size), left, right, piece, local, upper - local, gap, along, interval, x.size)

    def take(self, at: Any) -> Frame:
        """Some of them."""
        columns = (self.number, self.left, self.right, self.piece, self.local, self.wide, self.gap)
        number, left, right, piece, local, wide, gap = (column[at] for column in columns)
        along, interval = self.along[:, at], self.interval[at]
        return Frame(number, left, right, piece, local, wide, gap, along, interval, self.points)

    @cached_property
    def beyond(self) -> list[tuple[int, NDArray[np.intp]]]:
        """Which cells are on the left (0) and on the right (1) of all data, where there are any."""
        sides = enumerate(np.flatnonzero(self.piece == number) for number in (0, self.points))
        return [(end, at) for end, at in sides if at.size]

    @cached_property
    def outer(self) -> NDArray[np.intp]:
        """All of those."""
        return np.flatnonzero((self.piece == 0) | (self.piece == self.points))

    @cached_property
    def _back(self) -> Array:
        """The other share, shape (2, N)."""
        return 1 - self.along

    def values(self, dual: DualFunction, side: int) -> Array:
        """g_side at the ends of the cells, shape (2, N)."""
        nodal = dual.nodal[side]
        values = nodal[self.interval] * self._back
        values += nodal[self.interval + 1] * self.along
        for end, at in self.beyond:
            near, far = (self.right, self.left) if end == 0 else (self.left, self.right)
            point, value = (dual.x[0], nodal[0]) if end == 0 else (dual.x[-1], nodal[-1])
            factor = line_factors(dual.activation, side)[end]
            values[1 - end, at] = np.where(near[at] == point, value, factor * dual.line(near[at]))
            values[end, at] = factor * dual.line(far[at])
        return np.asarray(values)


class LocalCells(NamedTuple):
    """Cells between data, law knots and, where that matters, zeros of one side of g.

    Attributes
    ----------
    number, left, right, piece, local, wide, gap
        As in `Frame`; `local` and `wide` are precise also where data are so close that doubles place a zero poorly.
    start, stop : Array, shape (N,)
        g at the ends.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    piece: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    start: Array
    stop: Array

    @classmethod
    def of(cls, frame: Frame, dual: DualFunction, side: int, *, split: bool) -> LocalCells:
        """The cells of a frame, in two parts each where g changes sign if they are to be `split`."""
        start, stop = frame.values(dual, side)
        cells = cls(frame.number, frame.left, frame.right, frame.piece, frame.local, frame.wide, frame.gap, start, stop)
        if split:
            (at,) = (start * stop < 0).nonzero()
        else:  # beyond the data they are all the same: there few cells are large, and may reach far
            at = frame.outer[start[frame.outer] * stop[frame.outer] < 0]
        if not at.size:
            return cells
        left, right, wide, start, stop = (column[at] for column in (frame.left, frame.right, frame.wide, start, stop))
        low, high = wide * (start / (start - stop)), wide * (stop / (stop - start))
        zero = left + low
        torn = (zero <= left) | (zero >= right)  # an end up to rounding: the nearer end is the zero
        nearer = np.abs(start) < np.abs(stop)
        (new,) = (~torn).nonzero()
        cells = cells.take(np.concatenate([np.arange(frame.number.size), at[new]]))
        cells.start[at[torn & nearer]] = 0.0
        cells.stop[at[torn & ~nearer]] = 0.0
        first, second = at[new], slice(frame.number.size, None)
        cells.right[first], cells.wide[first], cells.stop[first] = zero[new], low[new], 0.0
        cells.left[second], cells.wide[second], cells.start[second] = zero[new], high[new], 0.0
        cells.local[second] += low[new]
        return cells

    def take(self, at: Any) -> LocalCells:
        """Some of them."""
        return LocalCells(*(column[at] for column in self))
