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
from splinebias.neurons.sectors import Sectors, Whole, at


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
    wall = at(sectors.walls, sector)
    gap = np.maximum(h[0] * wall[0] + h[1] * wall[1], 0.0)  # below 0: rounding put it there
    slope = u[0] * wall[0] + u[1] * wall[1]
    heading = np.where(a == 0, -v, a) * slope  # > 0: towards the line
    with np.errstate(all="ignore"):
        angle = np.where(slope == 0, np.inf, first_angle(a, v, gap / slope))
    angle[(gap == 0) & (heading > 0)] = 0.0
    lost = (angle > limit) & (goal[0] * wall[0] + goal[1] * wall[1] < 0)
    after, before = np.where(lost, limit, angle)
    return Arrival(np.minimum(after, before), np.where(after <= before, sector, sectors.before[sector]))
