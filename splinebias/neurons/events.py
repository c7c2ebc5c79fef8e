r"""The first line that a free neuron reaches: located inside a step, in closed form.

A neuron in sector s is between the lines s - 1 and s. Its h moves along the straight line h + (v(z) - v) u, there and
perhaps back (v turns where a changes sign), so it reaches a line where v has changed by minus its distance from it,
measured along u.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.motion import first_angle, moved
from splinebias.neurons.sectors import Flags, Sectors, Whole


class Line(NamedTuple):
    """A line for each of some neurons.

    Attributes
    ----------
    number : Array of int
        The s of the line between sectors s and s + 1.
    x : Array
        Its sample.
    side : Array
        Sign of :math:`h \\cdot \\tilde x` in sector s; the line's ray is side * (1, -x).
    """

    number: Whole
    x: Array
    side: Array


def line_after(sectors: Sectors, sector: Whole) -> Line:
    """The line between `sector` and the next one."""
    size = sectors.x.size
    return Line(sector, sectors.x[sector % size], np.where(sector < size, 1.0, -1.0))


def line_before(sectors: Sectors, sector: Whole) -> Line:
    """The line between `sector` and the one before."""
    return line_after(sectors, (sector - 1) % sectors.count)


def beyond(after: Line, before: Line, h: Array) -> Flags:
    """Which neurons with hidden parameters h, shape (2, K), are out of the sector between two lines."""
    out: Flags = ((h[0] * after.x + h[1]) * after.side < 0) | ((h[0] * before.x + h[1]) * before.side > 0)
    return out


class Arrival(NamedTuple):
    """When neurons reach a line, as an angle z (infinity: never), and which."""

    angle: Array
    line: Whole


def first_arrival(sectors: Sectors, sector: Whole, a: Array, h: Array, u: Array, limit: Array) -> Arrival:
    """The first line that free neurons reach, with h and u of shape (2, K).

    No line is missed for rounding: a neuron out of its sector at the angle `limit` that has reached no line on the way is
    said to reach the one it is beyond just there.
    """
    v = h[0] * u[0] + h[1] * u[1]
    goal = h + moved(a, v, limit)[1] * u
    angles, lines = [], []
    for line, inward in ((line_after(sectors, sector), 1.0), (line_before(sectors, sector), -1.0)):
        side = inward * line.side  # sign of the pre-activation in the sector of the neuron
        slope = u[0] * line.x + u[1]
        gap = h[0] * line.x + h[1]
        gap = np.where(gap * side < 0, 0.0, gap)  # rounding put it there
        heading = np.where(a == 0, -v, a) * slope * side  # > 0: towards the line
        with np.errstate(all="ignore"):
            angle = np.where(slope == 0, np.inf, first_angle(a, v, gap / slope))
        angle = np.where((gap == 0) & (heading > 0), 0.0, angle)
        lost = (angle > limit) & ((goal[0] * line.x + goal[1]) * side < 0)
        angles.append(np.where(lost, limit, angle))
        lines.append(line.number)
    first = angles[0] <= angles[1]
    return Arrival(np.where(first, *angles), np.where(first, *lines))
