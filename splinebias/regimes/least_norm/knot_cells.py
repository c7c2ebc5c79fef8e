r"""Least squares over cells between C candidate knots: what data weigh there, so that knots come and go in O(C).

Between neighbours of C candidates a linear spline is told by its values at both, and the loss by five sums over the data
there. These are made once, O(M); the fit for any part of the candidates follows from sums of them, all of positive terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import dptsv

from splinebias._array import Array

_BOLD, _HALVINGS = 100, 8  # steps that drop all knots of wrong sign, and shares of a step that are tried


@dataclass(frozen=True, eq=False)
class KnotCells:
    r"""Cells with the sums over the data in them; h is a datum's share of the way from the left to the right end.

    Attributes
    ----------
    nodes : Array, shape (C + 2,)
        The candidates, and both ends of the data.
    left, both, right : Array, shape (C + 1,)
        The sums :math:`\sum m (1 - h)^2`, :math:`\sum m h (1 - h)`, :math:`\sum m h^2`.
    pulls : Array, shape (2, C + 1)
        The sums :math:`\sum m (1 - h) y` and :math:`\sum m h y`.
    total : float
        The sum S of all m.
    """

    nodes: Array
    left: Array
    both: Array
    right: Array
    pulls: Array
    total: float

    def kept(self, which: NDArray[np.intp]) -> KnotCells:
        """The cells between some of the candidates, told by their increasing numbers 1, ..., C."""
        starts = np.concatenate([[0], which])
        nodes = self.nodes[np.concatenate([starts, [-1]])]
        if nodes.size == self.nodes.size:
            return self
        counts = np.diff(starts, append=self.left.size)
        begin, width = np.repeat(nodes[:-1], counts), np.repeat(np.diff(nodes), counts)
        low, high = (self.nodes[:-1] - begin) / width, (self.nodes[1:] - begin) / width  # shares of both ends of old cells
        down, up = 1 - low, 1 - high
        p, q = self.pulls
        sums = np.stack(
            [
                self.left * down**2 + 2 * self.both * down * up + self.right * up**2,
                self.left * down * low + self.both * (down * high + low * up) + self.right * up * high,
                self.left * low**2 + 2 * self.both * low * high + self.right * high**2,
                p * down + q * up,
                p * low + q * high,
            ]
        )
        found = np.add.reduceat(sums, starts, axis=1)
        return KnotCells(nodes, found[0], found[1], found[2], found[3:], self.total)

    def values(self, signs: Array) -> Array:
        """Values at the nodes of the best spline with a knot at every candidate, as a function of s, shape (C + 2, 2).

        The first column is that at s = 0, the second what one unit of s adds if jumps have these signs.
        """
        size, nodes = self.nodes.size, self.nodes
        diagonal = np.zeros(size)
        diagonal[:-1] = self.left
        diagonal[1:] += self.right
        pulls = np.zeros((2, size))
        pulls[0, :-1] = self.pulls[0]
        pulls[0, 1:] += self.pulls[1]
        rise = np.zeros(size + 1)  # of s * sum sign * jump, by parts
        rise[1:-2] = self.total * signs
        rise[2:-1] -= self.total * signs
        rise[1:-1] /= nodes[1:] - nodes[:-1]
        pulls[1] = rise[:-1] - rise[1:]
        _, _, values, info = dptsv(diagonal, self.both, pulls.T)
        if info:
            raise LinAlgError("values at knots are not determined by the data")
        return np.asarray(values)

    def jumps(self, values: Array) -> Array:
        """Jumps at the candidates of the spline with these values at the nodes."""
        slopes = (values[1:] - values[:-1]) / (self.nodes[1:] - self.nodes[:-1])
        return np.asarray(slopes[1:] - slopes[:-1])

    def objective(self, values: Array, jumps: Array, s: float) -> float:
        """S times what is minimized, up to a constant."""
        low, high = values[:-1], values[1:]
        square = self.left * low**2 + 2 * self.both * low * high + self.right * high**2
        return float(0.5 * square.sum() - self.pulls[0] @ low - self.pulls[1] @ high + self.total * s * np.abs(jumps).sum())

    def dual(self, values: Array) -> Array:
        """G at the candidates, for the spline with these values at the nodes."""
        low, high = values[:-1], values[1:]
        force = np.zeros(self.nodes.size)
        force[:-1] = self.pulls[0] - self.left * low - self.both * high
        force[1:] += self.pulls[1] - self.both * low - self.right * high
        behind = np.cumsum(force[:0:-1])[::-1]  # of nodes 1, 2, ...
        return np.asarray(np.cumsum((behind * np.diff(self.nodes))[::-1])[::-1][1:] / self.total)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The candidates that a fit has knots at.

    Attributes
    ----------
    numbers : Array of int, shape (K,)
        Numbers of these candidates, from 0 to C - 1.
    signs : Array, shape (K,)
        Of the jumps there.
    values : Array, shape (K + 2,)
        At the first datum, these candidates, and the last datum.
    count : int
        Systems solved.
    """

    numbers: NDArray[np.intp]
    signs: Array
    values: Array
    count: int


def choose(cells: KnotCells, signs: Array, jumps: Array, line: tuple[float, float], s: float, noise: float) -> Chosen:
    """The minimizer with knots at candidates, from the spline with these `jumps` (zero where a candidate is new), and first
    value and slope.

    First all knots whose jump would have the wrong sign are dropped together. Where that raises the objective, knots are
    dropped on the way down, and the worst of those that were dropped is taken back while any is needed.
    """
    value = cells.objective(spline(cells.nodes, line, jumps), jumps, s)
    bold = dropped(cells, signs, s)
    if bold is not None:
        sub = cells.kept(bold.numbers + 1)
        if sub.objective(bold.values, sub.jumps(bold.values), s) < value - 1e-13 * abs(value):  # beyond rounding
            return bold
    alive, count = np.ones(signs.size, dtype=bool), 0
    for _ in range(40):  # in which a candidate is taken back
        found, jumps, line = _descended(cells, np.flatnonzero(alive), signs, jumps, line, s)
        count += found.count
        dual = cells.dual(spline(cells.nodes, line, jumps))
        alive[:] = False
        alive[found.numbers] = True
        excess = np.where(alive, 0.0, np.abs(dual) - s * (1 + 1e-13) - noise)
        worst = int(np.argmax(excess))
        if excess[worst] <= 0:
            break
        alive[worst], signs = True, signs.copy()
        signs[worst] = np.sign(dual[worst])
    return Chosen(found.numbers, found.signs, found.values, count)


def spline(nodes: Array, line: tuple[float, float], jumps: Array) -> Array:
    """Values at the nodes, from the first value, the first slope, and the jumps between."""
    slopes = line[1] + np.concatenate([[0.0], np.cumsum(jumps)])
    return line[0] + np.concatenate([[0.0], np.cumsum(slopes * np.diff(nodes))])


def dropped(cells: KnotCells, signs: Array, s: float) -> Chosen | None:
    """The fit after all knots whose jump has the wrong sign have been dropped, again and again."""
    numbers = np.arange(signs.size)
    for count in range(1, _BOLD):
        sub = cells.kept(numbers + 1)
        values = sub.values(signs[numbers]) @ (1.0, s)
        right = sub.jumps(values) * signs[numbers] > 0
        if right.all():
            return Chosen(numbers, signs[numbers], values, count)
        numbers = numbers[right]
    return None


def _descended(
    cells: KnotCells, numbers: NDArray[np.intp], signs: Array, jumps: Array, line: tuple[float, float], s: float
) -> tuple[Chosen, Array, tuple[float, float]]:
    """From a spline towards the minimizer with these knots and signs, dropping knots whose jump comes to zero on the way.

    A step goes as far as the objective falls with all knots that it drops; at least to the first that is dropped, where it
    must fall, since the objective is convex.
    """
    count = 0
    while True:
        sub = cells.kept(numbers + 1)
        values = sub.values(signs[numbers]) @ (1.0, s)
        count += 1
        aim = np.zeros(signs.size)
        aim[numbers] = sub.jumps(values)
        first = float(values[1] - values[0]) / float(sub.nodes[1] - sub.nodes[0])
        wrong = aim * signs < 0
        end = (float(values[0]), first)
        if not wrong.any():
            return Chosen(numbers, signs[numbers], values, count), aim, end
        ratio = np.full(signs.size, np.inf)
        ratio[wrong] = jumps[wrong] / (jumps[wrong] - aim[wrong])
        least, now = float(ratio.min()), cells.objective(spline(cells.nodes, line, jumps), jumps, s)
        for share in [*np.maximum(0.5 ** np.arange(_HALVINGS), least).tolist(), least]:
            gone = ratio <= share
            tried = np.where(gone, 0.0, jumps + share * (aim - jumps))
            moved = line[0] + share * (end[0] - line[0]), line[1] + share * (end[1] - line[1])
            if share == least or cells.objective(spline(cells.nodes, moved, tried), tried, s) < now:
                break
        jumps, line = tried, moved
        numbers = numbers[~gone[numbers]]
