r"""The interpolant of least :math:`\int \sqrt{1 + c^2}\,|f''|(dc)` with a free affine part, as shortest paths, in O(M).

The line :math:`mx + b` is the point (m, b); lines through a datum make a straight line :math:`D_j` of slope
:math:`-x_j`, and a knot at c with jump J moves the tangent by :math:`J(1, -c)`, at the cost of the length of that step.
So the tangents of a minimizer walk along a shortest path that touches :math:`D_1, D_2, ..., D_M` in order. Where the
slope changes at two neighbouring points differ in sign it passes through the line of the segment between them; so does
it at points without change. In between, in a run of changes of one sign, it touches the edges of a convex chain.
Reflecting the rest of the plane in every edge makes a shortest path that *crosses* edges: the chain becomes a strip of
triangles, and a funnel finds the path.

The first run may start anywhere on :math:`D_1` if it begins at the second point, and the last may end anywhere on
:math:`D_M`: paths then leave :math:`D_1` at a right angle, at :math:`c = -1/x_1` if that lies in the first interval.

Source: derived here. That minimizers are unique is Boursier & Flammarion's (from memory; constants unchecked).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from splinebias._array import Array
from splinebias.regimes.least_norm.bends import Bends, Masses


@dataclass(frozen=True, eq=False)
class Touch:
    r"""How a path touches the lines of the data.

    Attributes
    ----------
    masses : Masses
        The knots of the minimizer.
    first, last : float
        Its bends beyond the slopes of the outer segments: it begins with the first slope minus `first`, and ends with the
        last one plus `last`.
    angles : Array, shape (M,)
        The certificate is :math:`G(x_j) = \kappa(x_j) \cos(\text{angle}_j)`; :math:`\pi/2` at the ends.
    """

    masses: Masses
    first: float
    last: float
    angles: Array


@dataclass(frozen=True, eq=False)
class _Run:
    """The part of a minimizer that a run of r positive changes makes.

    Attributes
    ----------
    before, behind : Array, shape (r + 1,)
        Of the mass in each of the intervals before, between and behind the points: what counts at the point on its left, and
        at the point on its right.
    at : Array, shape (r,)
        Masses at the points themselves.
    angles : Array, shape (r,)
        As in `Touch`.
    """

    before: Array
    behind: Array
    at: Array
    angles: Array

    def mirrored(self) -> _Run:
        """This part of a minimizer, seen from behind."""
        return _Run(self.behind[::-1], self.before[::-1], self.at[::-1], self.angles[::-1])


def shortest_path(bends: Bends) -> Touch:
    """The minimizer through the points of `bends`, whose changes at both ends are 0."""
    x, size = bends.x, bends.x.size
    before, behind, at = np.zeros(size + 1), np.zeros(size + 1), np.zeros(size)  # intervals: one more on either side
    angles = np.full(size, math.pi / 2)
    for first, stop in bends.runs():
        sign = math.copysign(1.0, bends.changes[first])
        begins_free = first == 1 and _leaves(-x[0], -x[1])
        ends_free = stop == size - 1 and _leaves(x[-1], x[-2])
        if stop - first == 1 and not (begins_free or ends_free):
            at[first], angles[first] = bends.changes[first], 0.0 if sign > 0 else math.pi
            continue
        near, changes = x[first - 1 : stop + 1], np.abs(bends.changes[first:stop])
        if begins_free:
            run = _run(-near[::-1], changes[::-1], end_is_free=True).mirrored()
        else:
            run = _run(near, changes, end_is_free=ends_free)
        before[first : stop + 1] += sign * run.before
        behind[first : stop + 1] += sign * run.behind
        at[first:stop] = sign * run.at
        angles[first:stop] = run.angles if sign > 0 else math.pi - run.angles
    _rest(x, bends.changes, angles)
    before, behind = before[1:-1], behind[1:-1]
    return Touch(_masses(bends, before, behind, at), float(before[0]), float(behind[-1]), angles)


def _leaves(last: float, previous: float) -> bool:
    """Whether a path can meet the line of the last point at a right angle: with a knot between it and the previous one.

    Of both ends of three points or more one can at most.
    """
    return bool(last > 0 and -1 / last > previous)


def _masses(bends: Bends, before: Array, behind: Array, at: Array) -> Masses:
    """Knots in order, at points and in the M - 1 intervals."""
    inside, there = np.flatnonzero(before + behind), np.flatnonzero(at)
    left, right = before[inside], behind[inside]
    steps = right / (left + right) * np.diff(bends.x)[inside]
    knots = np.r_[bends.x[inside] + steps, bends.x[there]]
    jumps = np.r_[left + right, at[there]]
    values = np.r_[bends.y[inside] + (bends.slopes[inside] - left) * steps, bends.y[there]]
    order = np.argsort(knots, kind="stable")
    knots, jumps, values = knots[order], jumps[order], values[order]
    starts = np.flatnonzero(np.r_[True, np.diff(knots) > 0]) if knots.size else np.zeros(0, dtype=int)
    if starts.size < knots.size:  # so close to a point that they round to it
        jumps = np.add.reduceat(jumps, starts)
    return Masses(knots[starts], jumps, values[starts])


def _run(near: Array, changes: Array, *, end_is_free: bool) -> _Run:
    """The path over one run of r positive `changes`, at the inner points of `near`, shape (r + 2,).

    The strip: vertex 0 is the line of the segment before the run, vertex j that behind its j-th point, edge j goes from
    vertex j - 1 to vertex j. Unfolded, it has the angle ``phase[j - 1] +- turn[j]``.
    """
    size = changes.size
    centre = 0.5 * (near[1] + near[-2])
    turn = -np.arctan2(near - centre, 1 + near * centre)  # angles of the lines D, in a plane turned by that of the centre
    lengths = changes * np.hypot(1.0, near[1:-1])
    signs = np.where(np.arange(size + 1) % 2 == 0, 1.0, -1.0)
    phase = np.r_[0.0, np.cumsum(2 * signs[:-1] * turn[1:-1])]
    edges = phase[:-1] + signs[:-1] * turn[1:-1]
    across = np.r_[0.0, np.cumsum(lengths * np.cos(edges))]
    up = np.r_[0.0, np.cumsum(lengths * np.sin(edges))]
    ray = (
        float(phase[-1] + signs[-1] * turn[-1]) if end_is_free else None
    )  # the line of the last point, behind the last vertex
    away = None if ray is None else ray + signs[-1] * math.pi / 2
    path = _funnel(across.tolist(), up.tolist(), ray, away)
    enter, leave, heading = _crossings(across, up, path, away)
    visited = np.zeros(size + 2, dtype=bool)
    visited[path] = True
    # An edge is met by the step in the interval before it, unless that is no step: then by the one behind it.
    local = signs * (heading - phase)
    met = np.where(visited[:-2], local[1:], local[:-1]) - turn[1:-1]
    angles = np.abs(np.arctan2(np.sin(met), np.cos(met)))
    angles[visited[:-2] & visited[1:-1]] = 0.0  # along the edge: a knot at the point itself
    before, behind = np.r_[0.0, (1 - leave) * changes], np.r_[enter * changes, 0.0]
    if visited[-1]:  # the last knot is at -1/x: what bends before it decides what bends behind
        behind[-1] = before[-1] * (-1 / near[-1] - near[-2]) / (near[-1] + 1 / near[-1])
    return _Run(before, behind, (leave - enter) * changes, angles)


def _crossings(across: Array, up: Array, path: list[int], away: float | None) -> tuple[Array, Array, Array]:
    """Where on its edges a path enters and leaves, as shares of the edges, and the heading of its steps as unfolded angles.

    The step from vertex k to vertex f crosses the edges k + 2, ..., f - 1, entering at vertex k that edge k + 1 begins with.
    """
    size = across.size - 1
    enter, leave, heading = np.zeros(size + 2), np.zeros(size + 2), np.zeros(size + 1)  # of edge j at index j
    for k, f in pairwise(path):
        if f > size:
            assert away is not None
            angle = away
        else:
            angle = math.atan2(up[f] - up[k], across[f] - across[k])
        heading[k + 1 : f] = angle
        aside = (across[k + 1 : f] - across[k]) * math.sin(angle) - (up[k + 1 : f] - up[k]) * math.cos(angle)
        if aside.size > 1:
            apart = aside[:-1] - aside[1:]
            share = np.divide(aside[:-1], apart, out=np.full(apart.shape, 0.5), where=apart != 0)
            enter[k + 2 : f] = leave[k + 2 : f] = np.clip(share, 0.0, 1.0)
        enter[f] = 0.0 if f == k + 1 else 1.0
        leave[f] = 1.0
    return enter[1:-1], leave[1:-1], heading


def _funnel(across: list[float], up: list[float], ray: float | None, away: float | None) -> list[int]:
    """Vertices of the shortest path from vertex 0 to the last one, or through the `ray` from the last one, `away` at a right
    angle to it; both as angles. The number of vertices stands for that far end.

    Even vertices are on the left of the path, odd ones on its right. Every vertex joins a chain once and leaves it once:
    the time is linear.
    """
    last = len(across) - 1
    parent = [0] * (last + 3)
    chains: list[list[int]] = [[], []]  # vertices on the left and on the right, from the apex on
    heads = [0, 0]  # where their living parts begin
    apex = 0
    far = {} if ray is None or away is None else {last + 1: ray, last + 2: away}
    ahead = {v: (math.cos(angle), math.sin(angle)) for v, angle in far.items()}  # ways to points at infinity

    def turn(o: int, a: int, b: int) -> float:
        """> 0 if b lies to the left of the way from o over a."""
        dx, dy = ahead[a] if a > last else (across[a] - across[o], up[a] - up[o])
        ex, ey = ahead[b] if b > last else (across[b] - across[o], up[b] - up[o])
        return dx * ey - dy * ex

    for v in range(1, last + 1 + len(far)):
        side = v % 2
        sense = 1.0 if side == 0 else -1.0  # a left chain turns to the left
        own, other = chains[side], chains[1 - side]
        while len(own) > heads[side] and sense * turn(own[-2] if len(own) > heads[side] + 1 else apex, own[-1], v) <= 0:
            own.pop()
        if len(own) > heads[side]:
            parent[v] = own[-1]
        else:
            opposite = 1 - side
            while len(other) > heads[opposite] and sense * turn(apex, other[heads[opposite]], v) < 0:
                apex = other[heads[opposite]]
                heads[opposite] += 1
            parent[v] = apex
        own.append(v)
    v = last + len(far)
    path = [min(v, last + 1)]
    while v != 0:
        v = parent[v]
        path.append(v)
    return path[::-1]


def _rest(x: Array, changes: Array, angles: Array) -> None:
    """Angles of the certificate at points without change, in place: right ones, unless G would then fall too slowly.

    Behind a run G has to fall as fast as the line along which it touches the bound in its last knot; that matters only
    where the data reach around more than a quarter of the circle of directions.
    """
    turned = np.arctan2(np.diff(x), 1 + x[1:] * x[:-1])
    sign = np.sign(changes)
    for j in np.flatnonzero(sign[1:-1] == 0) + 1:
        low, high = 0.0, math.pi
        for k, step in ((j - 1, turned[j - 1]), (j + 1, turned[j])):
            if sign[k] > 0:
                low = max(low, angles[k] + step)
            elif sign[k] < 0:
                high = min(high, angles[k] - step)
        angles[j] = min(max(math.pi / 2, low), max(high, low))
