r"""Neurons of several networks, moved through a time during which residuals are constant: every event on the way located."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.events import first_arrival
from splinebias.neurons.motion import moved, sign_change
from splinebias.neurons.sectors import Flags, Sectors, Whole, at
from splinebias.neurons.stick_and_release import OnLine, Pushes, leave_origin


@dataclass(frozen=True, eq=False)
class Neurons:
    """The neurons of B networks of width n, each array of shape (B, n).

    Attributes
    ----------
    a, w, b : Array
        Output weights, hidden weights, biases.
    sector : Array of int
        The sector of (w, b).
    on_line : Array of bool
        Whether it is on the line after that sector.
    """

    a: Array
    w: Array
    b: Array
    sector: Whole
    on_line: Flags

    @classmethod
    def at(cls, sectors: Sectors, a: Array, w: Array, b: Array) -> Neurons:
        """Neurons with these parameters; those within rounding of a line are put on it."""
        sector, on_line = sectors.locate(w, b)
        h = np.stack([w, b])
        w, b = np.where(on_line, onto(sectors, sector, h), h)
        return cls(a, w, b, sector, on_line)

    def of_networks(self, kept: Whole) -> Neurons:
        """Those of the networks number `kept`."""
        return Neurons(*(values[kept] for values in vars(self).values()))

    def where(self, taken: Flags, new: Neurons) -> Neurons:
        """`new` for the networks `taken`, shape (B,), and these for the others."""
        pairs = zip(vars(new).values(), vars(self).values(), strict=True)
        return Neurons(*(np.where(taken[:, None], one, other) for one, other in pairs))

    def scaled(self, factor: Array) -> Neurons:
        """All parameters times `factor` > 0, shape (B,): no neuron leaves its sector."""
        f = factor[:, None]
        return replace(self, a=f * self.a, w=f * self.w, b=f * self.b)


class Journey(NamedTuple):
    """Where neurons are after a time, and what happened to those of each network on the way, counts of shape (B,).

    Attributes
    ----------
    end : Neurons
        The neurons.
    events : Array of int
        Arrivals at lines.
    undetermined : Array of int
        Neurons that left a line, or h = 0, though more than one motion solved the flow there.
    complete : Array of bool
        False: some neuron had more events than were located; its network is not to be used.
    late : Array, shape (B, n)
        The share of the time after the last event of each neuron; 1/2 where there was none.
    """

    end: Neurons
    events: Whole
    undetermined: Whole
    complete: Flags
    late: Array


def advance(neurons: Neurons, sectors: Sectors, force: Array, span: Array) -> Journey:
    r"""Move neurons by :math:`a' = -D \cdot h`, :math:`h' = -a D` under constant forces at the samples, exactly.

    Parameters
    ----------
    neurons : Neurons
        Where they start.
    sectors : Sectors
        The samples.
    force : Array, shape (B, M)
        The F that makes the drives :math:`D = \sum_j \sigma'_j F_j \tilde x_j` of each network.
    span : Array, shape (B,)
        For how long, >= 0.

    Notes
    -----
    Cost: O(n + M) and as much again for the neurons that have events, once for each event of one neuron.
    """
    return Walk(neurons, sectors, sectors.drives(force), span).through()


class Walk:
    """Neurons under way, in flat arrays of shape (N,) that are written to; `left` is the time that remains.

    It calls `flown`, `arrived`, `departs` and `slid` on the way, for whoever derives from it.
    """

    def __init__(self, neurons: Neurons, sectors: Sectors, drives: Array, span: Array) -> None:
        self._shape, self._sectors = neurons.a.shape, sectors
        drives = drives.transpose(2, 0, 1)  # (2, B, 2M)
        pushes = Pushes.of(sectors, drives)
        kappa = np.hypot(*drives)
        u = drives / np.where(kappa > 0, kappa, 1.0)
        self._drives = drives.reshape(2, -1)
        self._pushes = np.stack(pushes).reshape(3, -1)
        self._motion = np.concatenate([kappa[None], u]).reshape(3, -1)
        self._u = self._motion[1:]
        count, width = self._shape
        self._network = np.repeat(np.arange(count), width)
        self._base = self._network * sectors.count
        self._a, self._h = neurons.a.ravel().copy(), np.stack([neurons.w.ravel(), neurons.b.ravel()])
        self._sector, self._on = neurons.sector.ravel().copy(), neurons.on_line.ravel().copy()
        self._left: Array = span[self._network]
        self._span, self._late = np.where(span > 0, span, 1.0), np.full(self._left.size, 0.5)
        self._events, self._undetermined = np.zeros((2, count), dtype=np.int64)

    def through(self) -> Journey:
        """Move all neurons to the end."""
        most = 64 + 8 * self._sectors.count  # a neuron turns round the origin once or twice
        pending = np.arange(self._a.size)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is judged by the caller
            self.wake()
            for _ in range(most):
                pending = self.go(pending)
                if not pending.size:
                    break
        return self.result(pending)

    def flown(self, k: Whole, place: Whole, angle: Array, left: Array) -> None:
        """Called before neurons `k` move freely under the drives at `place`, by an angle, until a time is `left`."""

    def arrived(self, k: Whole, line: Whole, place: Whole) -> None:
        """Called after neurons `k` have moved, to lines, under the drives at `place`, and before they are on them."""

    def departs(self, k: Whole, line: Whole, place: Whole) -> None:
        """Called before neurons `k` leave lines for sectors with the drives at `place`."""

    def slid(self, k: Whole, ray: Array, angle: Array, span: Array) -> None:
        """Called before neurons `k` slide along rays, (2, K), by an angle, for a time `span`."""

    def result(self, pending: Whole) -> Journey:
        """What is there now, with the neurons `pending` not through."""
        complete = np.ones(self._shape[0], dtype=bool)
        complete[self._network[pending]] = False
        shape, (w, b) = self._shape, self._h
        sector, on_line = self._sector.reshape(shape), self._on.reshape(shape)
        end = Neurons(self._a.reshape(shape), w.reshape(shape), b.reshape(shape), sector, on_line)
        return Journey(end, self._events, self._undetermined, complete, self._late.reshape(shape))

    def go(self, pending: Whole) -> Whole:
        """Move the neurons `pending` to their next event or to the end; which are not there yet."""
        on = self._on[pending]
        if on.any():
            self._slide(pending[on])
        free = pending[~self._on[pending] & (self._left[pending] > 0)]  # with those that left their lines
        if free.size:
            self._fly(free)
        return pending[self._left[pending] > 0]

    def _fly(self, k: Whole) -> None:
        """Move free neurons to the next line or to the end."""
        a, sector, left, h = self._a[k], self._sector[k], self._left[k], at(self._h, k)
        place = self._base[k] + sector
        motion = at(self._motion, place)
        kappa, u = motion[0], motion[1:]
        v, z = h[0] * u[0] + h[1] * u[1], kappa * left
        end, change = moved(a, v, z)
        goal, wall = h + change * u, at(self._sectors.walls, sector)
        rest = np.zeros_like(left)
        out = (goal[0] * wall[0] + goal[1] * wall[1] < 0).any(0)
        hit = np.flatnonzero((out | (end * a < 0)) & (z > 0))  # where a changes sign, it has turned and may have been out
        if hit.size:
            found = first_arrival(self._sectors, sector[hit], a[hit], at(h, hit), at(u, hit), z[hit])
            stops = np.flatnonzero(found.angle <= z[hit])
            hit, line, angle = hit[stops], found.line[stops], found.angle[stops]
            rest[hit] = left[hit] * (1 - angle / z[hit])
            end[hit], part = moved(a[hit], v[hit], angle)
            z[hit] = angle
        self.flown(k, place, z, rest)
        if hit.size:
            self.arrived(k[hit], line, place[hit])
            self._arrive(k[hit], line, rest[hit])
            put(goal, hit, onto(self._sectors, line, at(h, hit) + part * at(u, hit)))
        self._a[k], self._left[k] = end, rest
        put(self._h, k, goal)

    def _count(self, k: Whole) -> Whole:
        """How many of the neurons `k` each network has."""
        return np.bincount(self._network[k], minlength=self._shape[0])

    def _note(self, k: Whole, left: Array) -> None:
        """Note that something happens to neurons when there is so much time `left`."""
        self._late[k] = left / self._span[self._network[k]]

    def _arrive(self, k: Whole, line: Whole, left: Array) -> None:
        """Note that neurons are on lines."""
        self._note(k, left)
        self._sector[k], self._on[k] = line, True
        self._events += self._count(k)

    def _slide(self, k: Whole) -> None:
        """Let go of neurons that leave their lines, and move the others along them."""
        a, sector = self._a[k], self._sector[k]
        on = OnLine.of(self._sectors, sector, a, Pushes(*at(self._pushes, self._base[k] + sector)))
        held, along = on.held, on.along
        if not held.all():
            off = np.flatnonzero(~held)
            goal = np.where(on.goes_on, (sector + 1) % self._sectors.count, sector)[off]
            self.departs(k[off], sector[off], self._base[k[off]] + goal)
            self._sector[k[off]], self._on[k[off]] = goal, False
            self._note(k[off], self._left[k[off]])
            self._undetermined += self._count(k[on.undetermined])
            k, a, sector, along = k[held], a[held], sector[held], along[held]
            if not k.size:
                return
        ray, left, h = at(self._sectors.rays, sector), self._left[k], at(self._h, k)
        sign = np.where(along < 0, -1.0, 1.0)
        v = sign * (h[0] * ray[0] + h[1] * ray[1])
        z = sign * along * left
        change, turns = sign_change(a, v)
        angle = np.minimum(change, z)
        end, growth = moved(a, v, angle)
        place, rest = sign * (v + growth), np.zeros_like(left)
        ends = np.flatnonzero(change < z)
        if ends.size:
            turns = turns[ends]
            end[ends[turns]], place[ends[~turns]] = 0.0, 0.0
            rest[ends] = left[ends] * (1 - angle[ends] / z[ends])
            self._note(k[ends], rest[ends])
        self.slid(k, sign * ray, angle, left - rest)
        self._a[k], self._left[k] = end, rest
        put(self._h, k, place * ray)
        if ends.size:
            self.wake(k[ends[~turns]])

    def wake(self, k: Whole | None = None) -> None:
        """Let neurons at h = 0 out, or keep them there if there is no way out."""
        k = np.flatnonzero((self._h[0] == 0) & (self._h[1] == 0)) if k is None else k
        if not k.size:
            return
        drives = self._drives.reshape(2, -1, self._sectors.count)[:, self._network[k]]
        way = leave_origin(self._sectors, self._a[k], np.moveaxis(drives, 0, -1))
        self._sector[k], self._on[k] = way.sector, way.on_line
        self._note(k, self._left[k])
        self._left[k[~way.moves]] = 0.0
        self._undetermined += self._count(k[way.moves])


def onto(sectors: Sectors, line: Whole, h: Array) -> Array:
    """h, shape (2, K), moved onto lines by the shortest way: what rounding has left of its distance."""
    ray = at(sectors.rays, line)
    return np.asarray((h[0] * ray[0] + h[1] * ray[1]) * ray)


def put(values: Array, index: Whole, new: Array) -> None:
    """``values[:, index] = new``, row by row: many times as fast."""
    for row, one in zip(values, new, strict=True):
        row[index] = one
