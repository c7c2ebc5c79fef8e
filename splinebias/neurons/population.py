r"""Neurons of several networks, moved through a time during which residuals are constant: every event on the way located."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.neurons.events import beyond, first_arrival, line_after, line_before
from splinebias.neurons.motion import angle_of_sign_change, moved
from splinebias.neurons.sectors import Flags, Sectors, Whole
from splinebias.neurons.stick_and_release import OnLine, leave_origin


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
    """

    end: Neurons
    events: Whole
    undetermined: Whole
    complete: Flags


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
    """Neurons under way, in flat arrays of shape (N,) that are written to; `left` is the time that remains."""

    def __init__(self, neurons: Neurons, sectors: Sectors, drives: Array, span: Array) -> None:
        self._shape, self._sectors = neurons.a.shape, sectors
        self._drives = np.ascontiguousarray(np.moveaxis(drives, -1, 0).reshape(2, -1))
        self._kappa = np.hypot(self._drives[0], self._drives[1])
        self._u = self._drives / np.where(self._kappa > 0, self._kappa, 1.0)
        count, width = self._shape
        self._network = np.repeat(np.arange(count), width)
        self._base = self._network * sectors.count
        self._a, self._h = neurons.a.ravel().copy(), np.stack([neurons.w.ravel(), neurons.b.ravel()])
        self._sector, self._on = neurons.sector.ravel().copy(), neurons.on_line.ravel().copy()
        self._left: Array = span[self._network]
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
        return Journey(end, self._events, self._undetermined, complete)

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
        a, sector, left, h = self._a[k], self._sector[k], self._left[k], self._h[:, k]
        place = self._base[k] + sector
        kappa, u = self._kappa[place], self._u[:, place]
        v, z = h[0] * u[0] + h[1] * u[1], kappa * left
        end, change = moved(a, v, z)
        goal = h + change * u
        left[:] = 0.0
        out = beyond(line_after(self._sectors, sector), line_before(self._sectors, sector), goal)
        hit = np.flatnonzero((out | (end * a < 0)) & (z > 0))  # where a changes sign, it has turned and may have been out
        line = sector[:0]
        if hit.size:
            found = first_arrival(self._sectors, sector[hit], a[hit], h[:, hit], u[:, hit], z[hit])
            stops = found.angle <= z[hit]
            hit, line, angle = hit[stops], found.line[stops], found.angle[stops]
            left[hit] = self._left[k[hit]] * (1 - angle / z[hit])
            end[hit], part = moved(a[hit], v[hit], angle)
            goal[:, hit] = h[:, hit] + part * u[:, hit]
            z[hit] = angle
        self.flown(k, place, z, left)
        if hit.size:
            self.arrived(k[hit], line, place[hit])
            self._arrive(k[hit], line)
            goal[:, hit] = onto(self._sectors, line, goal[:, hit])
        self._a[k], self._h[:, k], self._left[k] = end, goal, left

    def _arrive(self, k: Whole, line: Whole) -> None:
        """Note that neurons are on lines."""
        self._sector[k], self._on[k] = line, True
        np.add.at(self._events, self._network[k], 1)

    def _slide(self, k: Whole) -> None:
        """Let go of neurons that leave their lines, and move the others along them."""
        a, sector, base = self._a[k], self._sector[k], self._base[k]
        after = (sector + 1) % self._sectors.count
        on = OnLine.of(self._sectors, sector, a, self._drives[:, base + sector], self._drives[:, base + after])
        off = ~on.held
        goal = np.where(on.goes_on, after, sector)[off]
        self.departs(k[off], sector[off], base[off] + goal)
        self._sector[k[off]] = goal
        self._on[k[off]] = False
        np.add.at(self._undetermined, self._network[k[on.undetermined]], 1)
        if off.all():
            return
        k, a, along, ray = k[~off], a[~off], on.along[~off], on.ray[:, ~off]
        sign = np.where(along < 0, -1.0, 1.0)
        v = sign * (self._h[:, k] * ray).sum(0)
        kappa, left = np.abs(along), self._left[k]
        z = kappa * left
        turns, origin = angle_of_sign_change(a, v), angle_of_sign_change(v, a)
        angle = np.minimum(z, np.minimum(turns, origin))
        end, change = moved(a, v, angle)
        ends = angle < z
        turned, there = ends & (turns <= origin), ends & (origin < turns)
        self.slid(k, sign * ray, angle, np.where(ends, left * angle / np.where(z > 0, z, 1.0), left))
        self._a[k] = np.where(turned, 0.0, end)
        self._h[:, k] = np.where(there, 0.0, sign * (v + change)) * ray
        self._left[k] = np.where(ends, left * (1 - angle / np.where(z > 0, z, 1.0)), 0.0)
        self.wake(k[there])

    def wake(self, k: Whole | None = None) -> None:
        """Let neurons at h = 0 out, or keep them there if there is no way out."""
        k = np.flatnonzero((self._h[0] == 0) & (self._h[1] == 0)) if k is None else k
        if not k.size:
            return
        table = np.arange(self._sectors.count) + self._base[k][:, None]
        way = leave_origin(self._sectors, self._a[k], np.moveaxis(self._drives[:, table], 0, -1))
        self._sector[k], self._on[k] = way.sector, way.on_line
        self._left[k[~way.moves]] = 0.0
        np.add.at(self._undetermined, self._network[k[way.moves]], 1)


def onto(sectors: Sectors, line: Whole, h: Array) -> Array:
    """h, shape (2, K), moved onto lines by the shortest way: what rounding has left of its distance."""
    j = line % sectors.x.size
    x, length = sectors.x[j], sectors.lengths[j]
    gap = (h[0] * x + h[1]) / length
    nearest: Array = h - gap * np.stack([x, np.ones_like(x)]) / length
    return nearest
