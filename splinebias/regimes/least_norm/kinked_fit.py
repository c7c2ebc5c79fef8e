r"""Least squares plus total curvature: linear splines with knots at data, by active sets, O(M) a step.

.. math:: \min_f \frac{1}{2S} \sum_i m_i (f(x_i) - y_i)^2 + s \sum_j |J_j| + t\,(f'(-\infty) + f'(\infty)), \qquad S =
\sum m,

over linear splines with jumps :math:`J_j` of the slope at inner data. With r = y - f the conditions read
:math:`G(c) = S^{-1} \sum_i m_i r_i [x_i - c]_+`, :math:`|G(x_j)| \le s`, and :math:`G(x_j) = s\,\mathrm{sign}\,J_j` at knots
(for t = 0; else y is shifted such that they do). Given knots and signs, the values at the knots solve a tridiagonal system.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.regimes.least_norm.bends import Bends
from splinebias.regimes.least_norm.knot_cells import Chosen, KnotCells, choose, dropped

Indices = NDArray[np.intp]
_ROUNDING = 1e-14  # of the largest ordinate, in the residuals of a line
_EPS = np.finfo(float).eps
_LARGE, _GROUP = 30_000, 16  # more data start from the fit of means of so many neighbours


@dataclass(frozen=True, eq=False)
class Kinked:
    """A linear spline with knots at some inner data.

    Attributes
    ----------
    knots : Array of int, shape (K,)
        Numbers of the data with knots, increasing.
    signs : Array, shape (K,)
        Of the jumps there.
    jumps : Array, shape (K,)
        The jumps; zero or of that sign.
    fitted : Array, shape (M,)
        Values at the data, less the least-squares line.
    dual : Array, shape (M,)
        G at the data.
    """

    knots: Indices
    signs: Array
    jumps: Array
    fitted: Array
    dual: Array


@dataclass(frozen=True, eq=False)
class Fit:
    """The problem: data, weights, and the t of the formula above.

    Attributes
    ----------
    x, y, m : Array, shape (M,)
        Data and weights.
    tilt : float
        The t above.
    line : Array, shape (M,)
        Values of the least-squares line.
    rest : Array, shape (M,)
        What the fit sees: y less the line, shifted for the tilt.
    gaps : Array, shape (M - 1,)
        Distances between neighbours.
    total : float
        The sum S of all weights.
    noise : float
        The most that rounding can do in G: no certificate can be asked to see less.
    """

    x: Array
    y: Array
    m: Array
    tilt: float = 0.0
    line: Array = field(init=False)
    rest: Array = field(init=False)
    gaps: Array = field(init=False)
    total: float = field(init=False)
    noise: float = field(init=False)

    def __post_init__(self) -> None:
        x, y, m = self.x, self.y, self.m
        at = x - np.average(x, weights=m)
        mean = np.average(y, weights=m)
        slope = np.sum(m * at * (y - mean)) / np.sum(m * at * at)
        object.__setattr__(self, "line", mean + slope * at)
        rest = (y - mean) - slope * at
        if (np.abs(rest) <= _ROUNDING * np.abs(y).max()).all():  # the data are a line
            rest = np.zeros_like(rest)
        if self.tilt:
            first, last = x[1] - x[0], x[-1] - x[-2]
            shift = np.zeros_like(y)
            shift[[0, 1]] += -1 / first, 1 / first
            shift[[-2, -1]] += -1 / last, 1 / last
            rest = rest - self.tilt * m.sum() / m * shift
        size = float(np.average(np.abs(rest) + _EPS * np.abs(y), weights=m))
        object.__setattr__(self, "rest", rest)
        object.__setattr__(self, "gaps", np.diff(x))
        object.__setattr__(self, "total", float(m.sum()))
        object.__setattr__(self, "noise", float(8 * _EPS * size * (x[-1] - x[0])))

    def tilted(self, tilt: float) -> Fit:
        """The problem with these data and another t."""
        return replace(self, tilt=tilt)

    def loss(self, values: Array) -> float:
        r"""The loss :math:`(2S)^{-1} \sum m (y - f)^2` of values at the data."""
        return float(np.sum(self.m * (self.y - values) ** 2) / (2 * self.m.sum()))

    def dual(self, fitted: Array, *, exactly: bool = False) -> Array:
        """G at the data; it vanishes at both ends. `exactly`: sums in long doubles, where the machine has them."""
        return self._dual(self.rest - fitted, exactly=exactly)

    def _dual(self, residual: Array, *, exactly: bool = False) -> Array:
        """G at the data, from residuals."""
        pull = self.m * residual / self.total
        behind = pull[:0:-1].cumsum(dtype=np.longdouble if exactly else None)  # sums over i >= j > 0, the last one first
        behind *= self.gaps[::-1]
        dual = np.zeros(self.x.size)
        dual[:-1] = behind.cumsum()[::-1]
        return dual

    def cells(self, knots: Indices, rest: Array | None = None) -> KnotCells:
        """What the data weigh between knots, O(M), with other ordinates `rest`."""
        return self._cells(*self._shares(knots)[:2], self.rest if rest is None else rest)

    def _cells(self, starts: Indices, share: Array, rest: Array) -> KnotCells:
        """What the data weigh between knots, from their `_shares`."""
        right = self.m * share
        left = self.m - right
        far = 1 - share
        sums = [left * far, right * far, right * share, left * rest, right * rest]
        found = np.array([np.add.reduceat(each, starts) for each in sums])
        return KnotCells(self.x[np.append(starts, -1)], found[0], found[1], found[2], found[3:], self.total)

    def _shares(self, knots: Indices) -> tuple[Indices, Array, Indices]:
        """Where cells between knots and ends start, how far through its cell every datum is (0 to 1), and their sizes."""
        x, starts = self.x, np.zeros(knots.size + 1, dtype=np.intp)
        starts[1:] = knots
        nodes = x[np.append(starts, -1)]
        stops = np.append(starts, x.size)
        counts = stops[1:] - stops[:-1]
        share = (x - nodes[:-1].repeat(counts)) / (nodes[1:] - nodes[:-1]).repeat(counts)
        return starts, share, counts

    def _fitted(self, knots: Indices, values: Array) -> Array:
        """Values at the data of the spline with these values at the ends and the knots."""
        _, share, counts = self._shares(knots)
        return np.asarray(values[:-1].repeat(counts) + share * (values[1:] - values[:-1]).repeat(counts))

    def given(self, knots: Indices, signs: Array) -> tuple[Kinked, Kinked]:
        """The fit with these knots and signs as a function of s: its value at s = 0, and what one unit of s adds."""
        starts, share, counts = self._shares(knots)
        cells = self._cells(starts, share, self.rest)
        found = []
        for values, rest in zip(cells.values(signs).T, (self.rest, 0.0), strict=True):
            fitted = values[:-1].repeat(counts) + share * (values[1:] - values[:-1]).repeat(counts)
            found.append(Kinked(knots, signs, cells.jumps(values), fitted, self._dual(rest - fitted)))
        return found[0], found[1]

    def at(self, knots: Indices, signs: Array, s: float) -> Kinked:
        """The fit with these knots and signs at strength s."""
        cells = self.cells(knots)
        return self._made(knots, signs, cells, cells.values(signs) @ (1.0, s))

    def _made(self, knots: Indices, signs: Array, cells: KnotCells, values: Array) -> Kinked:
        """The spline with these values at the ends and the knots, which are the nodes of `cells`."""
        fitted = self._fitted(knots, values)
        return Kinked(knots, signs, cells.jumps(values), fitted, self.dual(fitted))

    def objective(self, fit: Kinked, s: float) -> float:
        """What is minimized, up to a constant."""
        return float(np.sum(self.m * (self.rest - fit.fitted) ** 2) / (2 * self.total) + s * np.abs(fit.jumps).sum())

    def solve(self, s: float, start: Kinked | None = None) -> tuple[Kinked, int]:
        """The minimizer at strength s > 0, and the number of tridiagonal systems; `start` is a fit of a like strength."""
        none = np.zeros(0, dtype=np.intp)
        best = self.at(none, np.zeros(0), s)
        if start is not None and start.knots.size:
            best = self._cleaned(start.knots, start.signs, s, best)
        elif self.x.size > _LARGE:
            found, _ = self._grouped().solve(s)
            best = self._cleaned(found.knots * _GROUP + _GROUP // 2, found.signs, s, best)
        count, value, exactly = 0, self.objective(best, s), False
        for _ in range(500):  # sweeps over all data
            new = self._violations(best, s)
            found, steps = self._exchanged(best, new, s) if new.size else (best, 0)
            if exactly:
                found = self._refined(found, s)
            count, lower = count + steps, self.objective(found, s)
            if new.size and self._better(found, lower, best, value):
                best, value = found, lower
            elif not exactly:
                best, exactly = self._refined(best, s), True
            else:
                break
        return best, count

    def _refined(self, fit: Kinked, s: float) -> Kinked:
        """The fit after a step against its own rounding, with G from long sums."""
        cells = self.cells(fit.knots, self.rest - fit.fitted)
        more = cells.values(fit.signs) @ (1.0, s)
        fitted = fit.fitted + self._fitted(fit.knots, more)
        return replace(fit, jumps=fit.jumps + cells.jumps(more), fitted=fitted, dual=self.dual(fitted, exactly=True))

    def _exchanged(self, fit: Kinked, new: Indices, s: float) -> tuple[Kinked, int]:
        """The fit with some of the knots that it has and of new ones."""
        knots, signs = _joined(fit, new, np.sign(fit.dual[new]))
        jumps = np.zeros(knots.size)
        jumps[np.searchsorted(knots, fit.knots)] = fit.jumps
        cells = self.cells(knots)
        end = fit.knots[0] if fit.knots.size else -1
        first = float(fit.fitted[0]), float((fit.fitted[end] - fit.fitted[0]) / (self.x[end] - self.x[0]))
        found = choose(cells, signs, jumps, first, s, self._rounding(fit, s))
        return self._of(knots, cells, found), found.count

    def _grouped(self) -> Fit:
        """The fit of means of neighbours: some knots of this one are near the knots of that."""
        starts = np.arange(0, self.x.size - _GROUP // 2, _GROUP)
        m = np.add.reduceat(self.m, starts)
        x, y = (np.add.reduceat(self.m * v, starts) / m for v in (self.x, self.line + self.rest))
        return Fit(x, y, m)

    @staticmethod
    def _better(found: Kinked, lower: float, best: Kinked, value: float) -> bool:
        """Whether a fit has a lower objective, or one that rounding cannot tell apart and a better certificate."""
        same = abs(lower - value) <= 1e-13 * abs(value)
        return bool(np.abs(found.dual).max() < np.abs(best.dual).max()) if same else lower < value

    def _violations(self, fit: Kinked, s: float) -> Indices:
        """Data where \\|G\\| exceeds s the most, one between any two neighbouring knots."""
        excess = np.abs(fit.dual)
        excess -= s * (1 + 1e-13) + self._rounding(fit, s)
        excess[fit.knots] = excess[0] = excess[-1] = -1.0
        starts = np.concatenate([[0], fit.knots])
        tops = np.maximum.reduceat(excess, starts)
        found = np.flatnonzero((excess > 0) & (excess == np.repeat(tops, np.diff(starts, append=excess.size))))
        return found[np.diff(np.searchsorted(fit.knots, found), prepend=-1) > 0]

    def _rounding(self, fit: Kinked, s: float) -> float:
        """Rounding in G of this fit: what it has where G is known, at knots and at the first datum, a few times."""
        known = np.append(fit.dual[fit.knots] - s * fit.signs, fit.dual[0])
        return float(min(self.noise, 4 * np.abs(known).max()))

    def _cleaned(self, knots: Indices, signs: Array, s: float, fallback: Kinked) -> Kinked:
        """The fit after all knots whose jump has the wrong sign have been dropped, again and again."""
        cells = self.cells(knots)
        found = dropped(cells, signs, s)
        return fallback if found is None else self._of(knots, cells, found)

    def _of(self, knots: Indices, cells: KnotCells, found: Chosen) -> Kinked:
        """The fit with the knots that were chosen among some."""
        return self._made(knots[found.numbers], found.signs, cells.kept(found.numbers + 1), found.values)

    def bends(self, fit: Kinked) -> Bends:
        """The fitted values as points, with the jumps for changes of their slopes."""
        x = self.x
        changes = np.zeros(x.size)
        changes[fit.knots] = fit.jumps
        values = self.line + fit.fitted
        nodes = np.r_[0, fit.knots, x.size - 1]
        slopes = np.repeat(np.diff(values[nodes]) / np.diff(x[nodes]), np.diff(nodes))
        return Bends(x, values, slopes, changes)


def _joined(fit: Kinked, new: Indices, signs: Array) -> tuple[Indices, Array]:
    """Knots and signs of a fit with new ones among them."""
    knots = np.r_[fit.knots, new]
    order = np.argsort(knots, kind="stable")
    return np.asarray(knots[order], dtype=np.intp), np.r_[fit.signs, signs][order]
