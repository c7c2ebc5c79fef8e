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
from scipy.linalg import solveh_banded

from splinebias._array import Array
from splinebias.regimes.least_norm.bends import Bends

Indices = NDArray[np.intp]
_EPS = np.finfo(float).eps
_LARGE, _GROUP = 30_000, 16  # more data start from the fit of means of so many neighbours
_FAST, _MOST = 60, 20_000  # sweeps that may drop many knots at once, and steps in all


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
    """

    x: Array
    y: Array
    m: Array
    tilt: float = 0.0
    line: Array = field(init=False)
    rest: Array = field(init=False)

    def __post_init__(self) -> None:
        x, y, m = self.x, self.y, self.m
        at = x - np.average(x, weights=m)
        mean = np.average(y, weights=m)
        slope = np.sum(m * at * (y - mean)) / np.sum(m * at * at)
        object.__setattr__(self, "line", mean + slope * at)
        rest = (y - mean) - slope * at
        if self.tilt:
            first, last = x[1] - x[0], x[-1] - x[-2]
            shift = np.zeros_like(y)
            shift[[0, 1]] += -1 / first, 1 / first
            shift[[-2, -1]] += -1 / last, 1 / last
            rest = rest - self.tilt * m.sum() / m * shift
        object.__setattr__(self, "rest", rest)

    def tilted(self, tilt: float) -> Fit:
        """The same data with another t."""
        return replace(self, tilt=tilt)

    def loss(self, values: Array) -> float:
        r"""The loss :math:`(2S)^{-1} \sum m (y - f)^2` of values at the data."""
        return float(np.sum(self.m * (self.y - values) ** 2) / (2 * self.m.sum()))

    def dual(self, fitted: Array) -> Array:
        """G at the data; it vanishes at both ends."""
        pull = self.m * (self.rest - fitted) / self.m.sum()
        behind = np.cumsum(pull[::-1])[::-1]  # sums over i >= j
        return np.asarray(np.r_[np.cumsum((behind[1:] * np.diff(self.x))[::-1])[::-1], 0.0])

    def _values(self, knots: Indices, signs: Array) -> tuple[Array, Indices, Array]:
        """Values at the ends and the knots as a function of s, shape (K + 2, 2): at s = 0, and what one unit of s adds.

        With them, for every datum, the node to the left of it and its share of the way to the next one.
        """
        x, m = self.x, self.m
        nodes = np.r_[0, knots, x.size - 1]
        width = np.diff(x[nodes])
        cell = np.repeat(np.arange(nodes.size - 1), np.diff(np.r_[nodes[:-1], x.size]))
        share = (x - x[nodes[cell]]) / width[cell]
        right = m * share
        left = m - right
        moments = [np.add.reduceat(v, nodes[:-1]) for v in (left * (1 - share), right * (1 - share), right * share)]
        diagonal = np.r_[moments[0], 0.0] + np.r_[0.0, moments[2]]
        pulls = np.zeros((nodes.size, 2))
        pulls[:-1, 0] = np.add.reduceat(left * self.rest, nodes[:-1])
        pulls[1:, 0] += np.add.reduceat(right * self.rest, nodes[:-1])
        rise = m.sum() * np.diff(np.r_[0.0, signs, 0.0]) / width  # of s * sum sign * jump, by parts
        pulls[:-1, 1] -= rise
        pulls[1:, 1] += rise
        values = solveh_banded(np.stack([np.r_[0.0, moments[1]], diagonal]), pulls, check_finite=False)
        return np.asarray(values), cell, share

    def _jumps(self, knots: Indices, values: Array) -> Array:
        """Jumps at knots of the spline with these values at the ends and the knots."""
        return np.diff(np.diff(values) / np.diff(self.x[np.r_[0, knots, self.x.size - 1]]))

    def given(self, knots: Indices, signs: Array) -> tuple[Kinked, Kinked]:
        """The fit with these knots and signs as a function of s: its value at s = 0, and what one unit of s adds."""
        values, cell, share = self._values(knots, signs)
        zero, one = (
            Kinked(knots, signs, self._jumps(knots, v), v[cell] * (1 - share) + v[cell + 1] * share, share) for v in values.T
        )
        return replace(zero, dual=self.dual(zero.fitted)), replace(one, dual=self.dual(one.fitted + self.rest))

    def at(self, knots: Indices, signs: Array, s: float) -> Kinked:
        """The fit with these knots and signs at strength s."""
        values, cell, share = self._values(knots, signs)
        v = values[:, 0] + s * values[:, 1]
        fitted = v[cell] * (1 - share) + v[cell + 1] * share
        return Kinked(knots, signs, self._jumps(knots, v), fitted, self.dual(fitted))

    def _jumps_at(self, knots: Indices, signs: Array, s: float) -> Array:
        """The jumps of `at` alone."""
        values = self._values(knots, signs)[0]
        return self._jumps(knots, values[:, 0] + s * values[:, 1])

    def objective(self, fit: Kinked, s: float) -> float:
        """What is minimized, up to a constant."""
        return float(np.sum(self.m * (self.rest - fit.fitted) ** 2) / (2 * self.m.sum()) + s * np.abs(fit.jumps).sum())

    @property
    def noise(self) -> float:
        """Rounding in G: what a certificate cannot be asked to see."""
        reach = self.x[-1] - self.x[0]
        return float(8 * _EPS * np.average(np.abs(self.rest) + _EPS * np.abs(self.y), weights=self.m) * reach)

    def solve(self, s: float, start: Kinked | None = None) -> tuple[Kinked, int]:
        """The minimizer at strength s > 0, and the number of tridiagonal systems; `start` is a fit of a like strength."""
        none = np.zeros(0, dtype=np.intp)
        best = self.at(none, np.zeros(0), s)
        if start is not None and start.knots.size:
            best, _ = self._clean(start.knots, start.signs, s, best)
        elif self.x.size > _LARGE:
            coarse = self._grouped()
            found, _ = coarse.solve(s)
            best, _ = self._clean(found.knots * _GROUP + _GROUP // 2, found.signs, s, best)
        count, value = 0, self.objective(best, s)
        for sweep in range(_MOST):
            new = self._violations(best, s, one=sweep > _FAST)
            if not new.size:
                break
            knots, signs = _joined(best, new, np.sign(best.dual[new]))
            if sweep <= _FAST:
                found, steps = self._clean(knots, signs, s, best)
            else:
                found, steps = self._descend(knots, signs, s, best)
            count += steps
            lower = self.objective(found, s)
            if sweep <= _FAST and not self._better(
                found, lower, best, value
            ):  # too bold: one knot at a time, and no step beyond a sign
                new = self._violations(best, s, one=True)
                knots, signs = _joined(best, new, np.sign(best.dual[new]))
                found, steps = self._descend(knots, signs, s, best)
                count, lower = count + steps, self.objective(found, s)
            if not self._better(found, lower, best, value):
                break  # rounding
            best, value = found, lower
        return best, count

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

    def _violations(self, fit: Kinked, s: float, *, one: bool) -> Indices:
        """Data where \\|G\\| exceeds s the most: one between any two neighbouring knots, or the worst alone."""
        excess = np.abs(fit.dual) - s * (1 + 1e-13) - self.noise
        excess[fit.knots] = -1.0
        excess[[0, -1]] = -1.0
        if one:
            worst = int(np.argmax(excess))
            return np.array([worst] if excess[worst] > 0 else [], dtype=np.intp)
        starts = np.r_[0, fit.knots]
        top = np.repeat(np.maximum.reduceat(excess, starts), np.diff(np.r_[starts, excess.size]))
        found = np.flatnonzero((excess == top) & (excess > 0))
        gap = np.searchsorted(fit.knots, found)
        return found[np.r_[True, np.diff(gap) > 0]] if found.size else found

    def _clean(self, knots: Indices, signs: Array, s: float, fallback: Kinked) -> tuple[Kinked, int]:
        """The fit after all knots whose jump has the wrong sign have been dropped, again and again."""
        for count in range(1, 200):
            kept = self._jumps_at(knots, signs, s) * signs > 0
            if kept.all():
                return self.at(knots, signs, s), count
            knots, signs = knots[kept], signs[kept]
        return fallback, count

    def _descend(self, knots: Indices, signs: Array, s: float, fit: Kinked) -> tuple[Kinked, int]:
        """From `fit`, towards the minimizer with these knots and signs, dropping a knot whenever its jump comes to zero."""
        jumps = np.zeros(knots.size)
        jumps[np.searchsorted(knots, fit.knots)] = fit.jumps
        for count in range(1, knots.size + 2):
            aim = self._jumps_at(knots, signs, s)
            wrong = aim * signs < 0
            if not wrong.any():
                return self.at(knots, signs, s), count
            ratio = np.where(wrong, jumps / np.where(wrong, jumps - aim, 1.0), np.inf)
            step = ratio.min()
            jumps = jumps + step * (aim - jumps)
            kept = ratio > step
            knots, signs, jumps = knots[kept], signs[kept], jumps[kept]
        return fit, count

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
