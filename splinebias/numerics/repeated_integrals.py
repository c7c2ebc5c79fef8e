r"""Repeated integrals of a function that is known on cells, fixed by values at points.

With f of order p on cells (:math:`f^{(p)}` a polynomial on each) and points :math:`x_j` among the cell ends, every
data interval :math:`[x_j, x_{j+1}]` is integrated from zero at :math:`x_j`; the Taylor polynomial that is missing there
comes from p neighbouring values. Nothing is accumulated over more than p data intervals, whose errors would grow like
:math:`(x_M - x_1)^p` over the p-th power of a gap.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PPoly

from splinebias._array import Array
from splinebias.numerics.divided_differences import Pair, newton_coefficients
from splinebias.numerics.legendre import gauss_legendre, legendre_to_monomial

Indices = NDArray[np.intp]


def integrate_through(edges: Array, highest: Array, order: int, x: Array, values: Array, *, linear: bool = False) -> PPoly:
    r"""The function with a given derivative number p = `order` on cells that passes through given values.

    Parameters
    ----------
    edges : Array, shape (N + 1,)
        Cell ends, containing every `x`.
    highest : Array, shape (N, q)
        :math:`f^{(p)}` at the q Gauss-Legendre nodes of each cell; zero outside the cells.
    order : int
        The p above, >= 1.
    x, values : Array, shape (M,)
        Increasing points, M >= max(p, 2), and f there.
    linear : bool
        Whether `highest` is linear on every cell and given at both ends of it instead, shape (N, 2).

    Returns
    -------
    PPoly
        On `edges` (without those absurdly far away) and one piece more at each end, where f is a polynomial of degree p - 1.
    """
    keep = within_reach(edges, x, highest.shape[1] + order)
    edges, highest = edges[keep], highest[keep.start : keep.stop - 1]
    widths, room = np.diff(edges), Room.of(edges, highest.shape[1], order)
    if linear:
        (rise, near), (left, right) = room.inner, highest.T
        np.subtract(right, left, out=rise)
        rise /= widths
        near[:] = left
        rules = [np.array([k, 1]) / math.factorial(k + 1) for k in range(order, 0, -1)]
    else:
        place, weight = gauss_legendre(highest.shape[1])
        room.inner[:] = legendre_to_monomial(highest, widths)
        rules = [weight * (1 - place) ** k / math.factorial(k) for k in range(order - 1, -1, -1)]
    for row, rule in enumerate(rules):
        np.matmul(highest, rule, out=room.steps[row])
        room.steps[: row + 1] *= widths  # row k times widths^(p - k) in the end
    for k in range(room.inner.shape[0]):
        room.inner[-1 - k] *= 1 / math.perm(k + order, order)
    room.jets_through(x, values)
    return room.pieces()


def within_reach(edges: Array, x: Array, degree: int) -> slice:
    """Which of the `edges` are not absurdly far from the points `x`: there powers up to `degree` would overflow."""
    span = x[-1] - x[0]
    reach = min(1e15 * span, max(min(1e16, 1e290 ** (1 / degree)), 1e3 * span))
    first, last = np.searchsorted(edges, x[0] - reach), np.searchsorted(edges, x[-1] + reach, side="right")
    return slice(int(first), int(last))


class Room(NamedTuple):
    """Where the coefficients of a piecewise polynomial are made: there is no second copy of anything.

    Attributes
    ----------
    edges : Array, shape (N + 1,)
        Cell ends.
    all : Array, shape (q + p, N + 2)
        Coefficients on cells and on one piece more at each end, highest first.
    inner : Array, shape (q, N)
        The part of it of powers p and higher on the cells.
    jets : Array, shape (p, N + 1)
        The part of it for f and its derivatives below number p at the edges.
    """

    edges: Array
    all: Array
    inner: Array
    jets: Array

    @classmethod
    def of(cls, edges: Array, size: int, order: int) -> Room:
        """Empty room for `size` powers from `order` on."""
        coefficients = np.empty((size + order, edges.size + 1))
        return cls(edges, coefficients, coefficients[:size, 1:-1], coefficients[: -order - 1 : -1, 1:])

    @property
    def steps(self) -> Array:
        """Room for what a cell adds to f, ..., :math:`f^{(p-1)}` if these vanish at its left end, shape (p, N)."""
        return self.jets[:, :-1]

    def jets_through(self, x: Array, values: Array) -> None:
        """Make the jets of an f through (x, values) out of the steps."""
        edges, steps, jets = self.edges, self.steps, self.jets
        at, widths = places(edges, x), np.diff(edges)
        left = slice(at.start, at.stop - 1) if isinstance(at, slice) else at[:-1]
        runs = _Runs.of(at, widths.size)
        local, ends = _from_zero(steps[:, runs.cells], widths[runs.cells], runs)
        rest = steps[:, left]  # at the right end of every data interval, for those of one cell
        rest[:, runs.interval] = ends
        last = (rest if edges[-1] == x[-1] else local)[:, -1].copy()
        start, of = _taylor(x, values, rest), runs.interval[runs.owner]
        jets[:, left] = start
        jets[:, -1] = _advance(start[:, -1:], edges[-1:] - x[-2])[:, 0] + last
        jets[:, runs.cells] = _advance(start[:, of], edges[runs.cells] - x[of]) + local[:, :-1]
        jets[0, at] = values

    def pieces(self) -> PPoly:
        """Cells with what is there, and one piece more at each end, where f is a polynomial of degree p - 1."""
        edges, inner, jets = self.edges, self.inner, self.jets
        used = np.flatnonzero(inner.any(axis=1))
        pads = np.diff(edges)[[0, -1]]  # where it begins is far from no datum that is near its end
        before = _advance(jets[:, :1], -pads[:1])[:, 0]
        self.all[: inner.shape[0], [0, -1]] = 0.0
        self.all[: -jets.shape[0] - 1 : -1, 0] = before
        for j in range(2, jets.shape[0]):
            self.all[-1 - j] /= math.factorial(j)
        ends = np.concatenate([edges[:1] - pads[0], edges, edges[-1:] + pads[1]])
        return PPoly(self.all[used[0] if used.size else inner.shape[0] :], ends, extrapolate=True)


def places(edges: Array, x: Array) -> slice | Indices:
    """Which of the `edges` the points x, all of them edges, are."""
    first, last = np.searchsorted(edges, x[[0, -1]])
    if last - first == x.size - 1:  # nothing lies between them: predictions for 100,000 points take 23 ms instead of 35
        return slice(int(first), int(last) + 1)
    return np.searchsorted(edges, x)


class _Runs(NamedTuple):
    """Cells to be summed up: those of data intervals that have several, and those before the first one and after the last.

    Attributes
    ----------
    cells : Array of int, shape (N,)
        Their numbers.
    owner : Array of int, shape (N,)
        Which run they belong to.
    interval : Array of int, shape (K,)
        Which data interval a run holds.
    begin, end : Array of int, shape (K,)
        Where it begins and ends, counted in ends of `cells`.
    lengths : Array of int, shape (K,)
        How many cells there are from there to the next run.
    inner : Array of int, shape (K - 2,)
        All but the first and the last run, the longest first.
    """

    cells: Indices
    owner: Indices
    interval: Indices
    begin: Indices
    end: Indices
    lengths: Indices
    inner: Indices

    @classmethod
    def of(cls, at: slice | Indices, cells: int) -> _Runs:
        """The runs for data intervals between the edges `at`, of `cells` cells."""
        if isinstance(at, slice):  # only the first and the last can have several
            interval = np.unique([0, at.stop - at.start - 2])
            begin = at.start + interval
            end = begin + 1
        else:
            interval, begin, end = np.arange(at.size - 1), at[:-1], at[1:]
        low, high = begin.copy(), end.copy()
        low[0], high[-1] = 0, cells
        length = high - low
        several = length > 1
        interval, begin, end, low, length = (of[several] for of in (interval, begin, end, low, length))
        before = np.cumsum(length) - length
        numbers = np.arange(length.sum()) + np.repeat(low - before, length)
        owner = np.repeat(np.arange(interval.size), length)
        begin, end = before + begin - low, before + end - low
        lengths = np.diff(np.append(begin, numbers.size))
        inner = np.argsort(-lengths[1:-1], kind="stable") + 1
        return cls(numbers, owner, interval, begin, end, lengths, inner)


def pieces_from_jet(edges: Array, highest: Array, anchor: int, jet: Array) -> PPoly:
    """The function with a piecewise constant derivative number p and known lower derivatives at one edge.

    Parameters
    ----------
    edges : Array, shape (N,)
        Points, increasing.
    highest : Array, shape (N + 1,)
        Derivative number p before the first edge, between neighbouring ones, and after the last.
    anchor : int
        Number of an edge.
    jet : Array, shape (p,)
        f and its derivatives below number p at that edge.
    """
    order, widths = jet.size, np.diff(edges)
    jets = np.empty((order + 1, edges.size))
    jets[order] = highest[1:]
    for j in range(order - 1, -1, -1):
        jets[j] = jet[j] + _cumulate(_taylor_sum(np.zeros(widths.size), jets[:, :-1], widths, j), anchor)
    pad = max(1.0, np.spacing(np.abs(edges).max()))
    before = jets[:, :1].copy()
    before[order] = highest[0]
    factorials = np.array([math.factorial(j) for j in range(order + 1)])[:, None]
    coefficients = np.concatenate([_advance(before, np.array([-pad])), jets], axis=1) / factorials
    return PPoly(coefficients[::-1], np.r_[edges[0] - pad, edges, edges[-1] + pad], extrapolate=True)


def _cumulate(change: Array, anchor: int) -> Array:
    """Sums of `change` from edge number `anchor` to every edge, outwards: far cells add their large values there only."""
    before = -np.cumsum(change[:anchor][::-1])[::-1]
    return np.concatenate([before, [0.0], np.cumsum(change[anchor:])])


def _from_zero(steps: Array, widths: Array, runs: _Runs) -> tuple[Array, Array]:
    """f and its derivatives on cells, started from zero where the data interval of each run begins.

    Returns them at the left ends of all cells and at the right end of the last, shape (p, N + 1), and where the data
    intervals end, shape (p, K).
    """
    order = steps.shape[0]
    local, rest = np.zeros((order, widths.size + 1)), np.zeros((order, runs.interval.size))
    if not widths.size:
        return local, rest
    for j in range(order - 1, -1, -1):
        local[j], rest[j] = _sums_within(_taylor_sum(steps[j], local[:, :-1], widths, j), runs)
    return local, rest


def _sums_within(change: Array, runs: _Runs) -> tuple[Array, Array]:
    """Sums of `change` from where the data interval of each run begins to the left ends of its cells, and to its end.

    Run by run: what a difference of sums over all of them would lose of a short run is more than it has.
    """
    total, at_end = np.zeros(change.size + 1), np.zeros(runs.begin.size)
    total[: runs.begin[0]] = -np.cumsum(change[: runs.begin[0]][::-1])[::-1]
    lengths, inner = runs.lengths, runs.inner
    outer = np.unique([0, lengths.size - 1])  # these may be long
    for run in outer:
        begin, sums = runs.begin[run], np.cumsum(change[runs.begin[run] : runs.begin[run] + lengths[run]])
        total[begin + 1 : begin + sums.size + (run == outer[-1])] = sums[: sums.size - (run != outer[-1])]
        at_end[run] = sums[runs.end[run] - begin - 1]
    begin, lengths, sums = runs.begin[inner], lengths[inner], np.zeros(inner.size)
    longer = inner.size
    for k in range(int(lengths.max(initial=0))):
        sums[:longer] += change[begin[:longer] + k]
        longer = int(np.count_nonzero(lengths[:longer] > k + 1))
        total[begin[:longer] + k + 1] = sums[:longer]
    at_end[inner] = sums
    return total, at_end


def _taylor(x: Array, values: Array, rest: Array) -> Array:
    """f and its derivatives at the left end of every data interval, shape (p, M - 1), from p neighbouring values.

    `rest`, shape (p, M - 1), is what the intervals add, and may be overwritten. f is that plus a polynomial of degree p - 1,
    found by divided differences.
    """
    order, intervals = rest.shape
    if order == 1:
        return values[None, :-1].astype(float)
    if order == 2:  # a chord: the same, ten times faster
        slope = np.subtract(values[1:], values[:-1], out=rest[1])
        slope -= rest[0]
        slope /= np.diff(x)
        rest[0] = values[:-1]
        return rest
    of = np.arange(intervals)
    first = _first_points(x, order)
    nearest = np.argsort(np.abs(x[first + np.arange(order)[:, None]] - x[of]), axis=0, kind="stable")
    chosen = first + nearest
    made = _from_left_ends(x, rest)
    here = chosen - of + order - 1, of
    left = Pair.of(values[chosen]).plus(-Pair(made.high[here], made.low[here]))
    points, polynomial = x[chosen], np.zeros((order, intervals))
    table = newton_coefficients(points, left)
    for i in range(order - 1, -1, -1):  # Taylor coefficients at that end: Horner on the Newton form
        shift = x[of] - points[i]
        polynomial[1:] = polynomial[1:] * shift + polynomial[:-1]
        polynomial[0] = polynomial[0] * shift + table[i]
    return np.asarray(polynomial * np.array([math.factorial(j) for j in range(order)])[:, None])


def _first_points(x: Array, order: int) -> Indices:
    """Where the `order` points of every data interval begin: around it, or if others that hold it are much closer, these."""
    last, intervals = x.size - order, np.arange(x.size - 1)
    central = np.clip(intervals - (order - 1) // 2, 0, last)
    choices = np.clip(intervals - np.arange(order - 1)[:, None], 0, last)
    spans = x[choices + order - 1] - x[choices]
    tight = spans.argmin(axis=0)
    much = spans[tight, intervals] < (x[central + order - 1] - x[central]) / 4
    return np.where(much, choices[tight, intervals], central)


@np.errstate(over="ignore", invalid="ignore")
def _from_left_ends(x: Array, rest: Array) -> Pair:
    """What was integrated from zero at the left end of every data interval: at p - 1 points before it, it, and p - 1 after.

    Shape (2p - 1, M - 1); of no meaning where there are no such points. In pairs of doubles: of points that are close,
    differences are nothing beside the values.
    """
    order, intervals = rest.shape
    more = rest / np.array([math.factorial(j) for j in range(order)])[:, None]
    nothing = Pair.of(np.zeros(intervals))
    values = {0: nothing}
    for side in (1, -1):
        jet = [nothing] * order  # Taylor coefficients
        for away in range(1, order):
            run = np.clip(np.arange(intervals) + (away - 1 if side > 0 else -away), 0, intervals - 1)
            start, end, part = x[run], x[run + 1], Pair.of(side * more[:, run])
            if side > 0:
                jet = _shifted(jet, Pair.gap(end, start))
            jet = [of.plus(Pair(*both)) for of, *both in zip(jet, part.high, part.low, strict=True)]
            if side < 0:
                jet = _shifted(jet, Pair.gap(start, end))
            values[side * away] = jet[0]
    return Pair(*(np.array(part) for part in zip(*(values[k] for k in sorted(values)), strict=True)))


def _shifted(jet: list[Pair], gap: Pair) -> list[Pair]:
    """Taylor coefficients as far away, by Horner's rule."""
    jet = list(jet)
    for low in range(len(jet) - 1):
        for j in range(len(jet) - 2, low - 1, -1):
            jet[j] = jet[j].plus(gap.times(jet[j + 1]))
    return jet


def _advance(jets: Array, distance: Array) -> Array:
    """Taylor shift of f and its derivatives, shape (p, K), by `distance`, shape (K,)."""
    return np.array([_taylor_sum(row, jets, distance, j) for j, row in enumerate(jets)])


def _taylor_sum(start: Array, jets: Array, distance: Array, j: int) -> Array:
    r"""`start` + :math:`\sum_{i > j} f^{(i)} d^{i - j}/(i - j)!`, shape (K,): derivative number j over a distance d."""
    for above in range(j + 1, jets.shape[0]):
        start = start + jets[above] * distance ** (above - j) / math.factorial(above - j)
    return start
