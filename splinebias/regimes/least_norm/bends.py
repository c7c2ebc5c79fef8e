r"""Where data bend: slopes between neighbours, their changes, and runs of changes of equal sign.

With :math:`s_i` the slope between :math:`x_i` and :math:`x_{i+1}`, the change at an inner point is
:math:`d_i = s_i - s_{i-1}`. Curvature of a spline is told by masses and by where they sit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.functions.piecewise import PiecewiseLinear

_EPS = np.finfo(float).eps


@dataclass(frozen=True, eq=False)
class Bends:
    """Points with the slopes between them and the changes of slope at them.

    Attributes
    ----------
    x, y : Array, shape (M,)
        Increasing abscissae, and ordinates.
    slopes : Array, shape (M - 1,)
        The s_i above.
    changes : Array, shape (M,)
        The d_i above; at the first and the last point what a function may bend there, 0 where its ends are free.
    """

    x: Array
    y: Array
    slopes: Array
    changes: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> Bends:
        """The bends of data; changes that rounding the data could have made count as none.

        Unless so many of them add up that a function without them would miss the data.
        """
        width = np.diff(x)
        slopes = np.diff(y) / width
        changes = np.zeros(x.size)
        changes[1:-1] = np.diff(slopes)
        rounding = _EPS * (np.abs(y[1:]) + np.abs(y[:-1]) + np.abs(slopes) * (np.abs(x[1:]) + np.abs(x[:-1]))) / width
        small = np.zeros(x.size, dtype=bool)
        small[1:-1] = np.abs(changes[1:-1]) <= rounding[1:] + rounding[:-1]
        cleaned = cls(x, y, slopes, np.where(small, 0.0, changes))
        if small.any():
            missed = np.abs(connected(cleaned)(x) - y)
            if (missed > 8 * _EPS * (np.abs(y) + np.abs(y).max() + np.abs(slopes).max() * np.abs(x))).any():
                return cls(x, y, slopes, changes)
        return cleaned

    def with_ends(self, first: float, last: float) -> Bends:
        """These bends, and `first` at the first point and `last` at the last one, where a function may bend as well."""
        changes = self.changes.copy()
        changes[[0, -1]] = first, last
        return replace(self, changes=changes)

    @property
    def total(self) -> float:
        r"""The total change :math:`\sum |d_i|`: the least total curvature of an interpolant."""
        return float(np.abs(self.changes).sum())

    @property
    def before(self) -> float:
        """The slope before the first point, once all changes are made."""
        return float(self.slopes[0] - self.changes[0])

    @property
    def after(self) -> float:
        """The slope after the last point."""
        return float(self.slopes[-1] + self.changes[-1])

    def runs(self) -> list[tuple[int, int]]:
        """Maximal stretches of points with changes of one sign, as (first, last + 1); points without change part them."""
        sign = np.sign(self.changes)
        cuts = np.flatnonzero(np.diff(sign)) + 1
        starts, stops = np.r_[0, cuts], np.r_[cuts, sign.size]
        kept = sign[starts] != 0
        return list(zip(starts[kept].tolist(), stops[kept].tolist(), strict=True))


class Masses(NamedTuple):
    """Curvature of a linear spline: where its knots are, how much the slope jumps there, and its values there."""

    knots: Array
    jumps: Array
    values: Array

    def function(self, bends: Bends, before: float, after: float) -> PiecewiseLinear:
        """The spline with these knots; a line through the points if there are none."""
        if self.knots.size == 0:
            x, y = bends.x, bends.y
            slope = float((y[-1] - y[0]) / (x[-1] - x[0]))
            return PiecewiseLinear(x[:1], y[:1], slope, slope)
        return PiecewiseLinear(self.knots, self.values, before, after)


def connected(bends: Bends) -> PiecewiseLinear:
    """The function that connects the dots, with knots where the data bend."""
    return at_points(bends).function(bends, bends.before, bends.after)


def at_points(bends: Bends) -> Masses:
    """The masses of the function that connects the dots."""
    bent = bends.changes != 0
    return Masses(bends.x[bent], bends.changes[bent], bends.y[bent])


def crossings(bends: Bends) -> tuple[NDArray[np.bool_], Array, Array]:
    """Whether a function may bend between neighbouring points, and where the lines of the segments beside them meet.

    Returns
    -------
    allowed : Array of bool, shape (M - 1,)
        Whether the changes at both ends have one sign.
    where, values : Array, shape (M - 1,)
        The points where the lines meet; without meaning where that is not allowed.
    """
    left, right = bends.changes[:-1], bends.changes[1:]
    allowed = np.sign(left) * np.sign(right) > 0
    share = np.divide(right, left + right, out=np.zeros_like(left), where=allowed)
    steps = share * np.diff(bends.x)
    return allowed, bends.x[:-1] + steps, bends.y[:-1] + (bends.slopes - left) * steps


def envelopes(bends: Bends) -> tuple[PiecewiseLinear, PiecewiseLinear]:
    """The least and the largest value, point by point, of interpolants whose curvature is that of `bends`."""
    allowed, where, values = crossings(bends)
    convex = bends.changes[:-1] > 0
    bent = bends.changes != 0
    found = []
    for below in (True, False):
        chosen = allowed & (convex == below)
        knots = np.r_[bends.x[bent], where[chosen]]
        order = np.argsort(knots, kind="stable")
        knots, at = knots[order], np.r_[bends.y[bent], values[chosen]][order]
        distinct = np.r_[True, np.diff(knots) > 0] if knots.size else np.zeros(0, dtype=bool)
        ends = bends
        if bends.changes[0] and (bends.changes[0] > 0) == below:  # the function may also stay straight there
            ends = ends.with_ends(0.0, float(ends.changes[-1]))
        if bends.changes[-1] and (bends.changes[-1] > 0) == below:
            ends = ends.with_ends(float(ends.changes[0]), 0.0)
        kept = Masses(knots[distinct], knots[distinct], at[distinct])
        found.append(kept.function(bends, ends.before, ends.after))
    return found[0], found[1]


def paired(bends: Bends) -> Masses:
    """The masses of the interpolant with fewest knots: in every run, two neighbouring changes share one knot.

    A run of r changes needs ceil(r/2) knots. The lines of the first segment, of every second one and of the last are kept;
    knots are where they meet. If r is odd other choices need as few.
    """
    allowed, where, values = crossings(bends)
    sign = np.sign(bends.changes)
    starts = np.r_[True, sign[1:] != sign[:-1]]
    place = np.arange(sign.size) - np.flatnonzero(starts)[np.cumsum(starts) - 1]
    first = np.r_[(place[:-1] % 2 == 0) & allowed, False]
    alone = (sign != 0) & (place % 2 == 0) & ~first
    pairs = np.flatnonzero(first)
    knots = np.r_[where[pairs], bends.x[alone]]
    order = np.argsort(knots, kind="stable")
    jumps = np.r_[bends.changes[pairs] + bends.changes[pairs + 1], bends.changes[alone]]
    return Masses(knots[order], jumps[order], np.r_[values[pairs], bends.y[alone]][order])
