"""Cells beside the data: where they lie among them, the dual values at their ends, their parts between zeros of these."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._check import Array
from splinebias.quadrature import Cells
from splinebias.solve.discretize import data_before
from splinebias.solve.dual_function import DualFunction, line_factors


class Frame(NamedTuple):
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
    begin, end : Array, shape (N,)
        Where the ends lie between these, from 0 to 1.
    interval : Array of int, shape (N,)
        Which two.
    """

    number: NDArray[np.intp]
    left: Array
    right: Array
    piece: NDArray[np.intp]
    local: Array
    wide: Array
    gap: Array
    begin: Array
    end: Array
    interval: NDArray[np.intp]

    @classmethod
    def of(cls, cells: Cells, x: Array) -> Frame:
        """The cells beside data x."""
        left, right = cells.panels
        piece = data_before(cells.edges, x)
        interval = np.clip(piece - 1, 0, x.size - 2)
        before, gap = x[np.maximum(piece - 1, 0)], np.diff(x)[interval]
        local, upper = left - before, right - before
        number = np.arange(piece.size)
        return cls(number, left, right, piece, local, upper - local, gap, local / gap, upper / gap, interval)

    def take(self, at: Any) -> Frame:
        """Some of them."""
        return Frame(*(column[at] for column in self))

    def values(self, dual: DualFunction, side: int) -> tuple[Array, Array]:
        """g_side at the ends of the cells."""
        nodal, x = dual.nodal[side], dual.x
        low, high = nodal[:-1][self.interval], nodal[1:][self.interval]
        start, stop = low * (1 - self.begin) + high * self.begin, low * (1 - self.end) + high * self.end
        for number, inner, outer, factor in zip(
            (0, x.size), (stop, start), (start, stop), line_factors(dual.activation, side), strict=True
        ):
            beyond = np.flatnonzero(self.piece == number)
            if beyond.size:
                ends = (self.left[beyond], self.right[beyond])
                near, far = ends[::-1] if number == 0 else ends
                end, value = (x[0], nodal[0]) if number == 0 else (x[-1], nodal[-1])
                inner[beyond] = np.where(near == end, value, factor * dual.line(near))
                outer[beyond] = factor * dual.line(far)
        return start, stop


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
        cells = cls(*frame[:7], start, stop)
        beyond = (frame.piece == 0) | (frame.piece == dual.x.size)  # there few cells are large, and may reach far
        at = np.flatnonzero((start * stop < 0) & (split or beyond))
        if not at.size:
            return cells
        number, left, right, piece, local, wide, gap, start, stop = cells.take(at)
        low, high = wide * (start / (start - stop)), wide * (stop / (stop - start))
        zero = left + low
        torn = (zero <= left) | (zero >= right)  # an end up to rounding: the nearer end is the zero
        nearer = np.abs(start) < np.abs(stop)
        new = np.flatnonzero(~torn)
        cells = cls(*(column.copy() for column in cells))  # type: ignore[arg-type]
        cells.start[at[torn & nearer]] = 0.0
        cells.stop[at[torn & ~nearer]] = 0.0
        cells.right[at[new]], cells.wide[at[new]], cells.stop[at[new]] = zero[new], low[new], 0.0
        others = cls(number, zero, right, piece, local + low, high, gap, np.zeros(at.size), stop).take(new)
        return cls(*(np.concatenate(pair) for pair in zip(cells, others, strict=True)))

    def take(self, at: Any) -> LocalCells:
        """Some of them."""
        return LocalCells(*(column[at] for column in self))
