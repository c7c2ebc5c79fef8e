r"""How the infinitely wide network answers to a disturbance of its residuals, by derivatives of its neurons and their jumps.

The answer :math:`R(x, t; j, s)` of `response`, without differences of populations: neurons are nodes on curves, along which
their directions turn at the start, with mass :math:`m(\varphi)\,d\varphi`. On a curve the flow map is smooth but for edges
:math:`\varphi^*`, neurons that are on a line at the moment when it begins to repel neurons to both sides: those before and
after it go two ways A and B. A disturbance that moves neurons by :math:`\delta\theta` moves the edge by
:math:`\delta\varphi^* = -\delta\nu / \nu'`, :math:`\nu = h \cdot \tilde x_j` the distance from the line and
:math:`\nu' = d\nu/d\varphi`. So

.. math:: R = \int \nabla G \cdot \delta\theta\; m\, d\varphi
              - \sum_{\varphi^*} \Bigl[m\, \frac{\delta\nu}{\nu'}\Bigr]_{\varphi^*} \bigl(G_A(x, t) - G_B(x, t)\bigr).

The bracket is the same on both sides of the line, since :math:`\delta\nu` and :math:`\nu'` change alike where neurons cross.
Derived here; `response` is its twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field.observables import Answers, Asked, Observable, Values, impulses
from splinebias.limit.mean_field.particles import Particles
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import Population
from splinebias.neurons.population import Neurons
from splinebias.neurons.sectors import Whole
from splinebias.neurons.stick_and_release import OnLine
from splinebias.neurons.tangents import differentiate


_WINDOWS, _LEAST, _MOST = 64, 4, 40  # neurons on either side of an edge: a share of the curve, within bounds


def differentiated(path: MeanFieldPath, particles: Particles, asked: Sequence[Asked], turn: float) -> Answers:
    """Answers by derivatives; where an observable has none, by differences that `turn` neurons by an angle."""
    population, sizes = path.population, impulses(path, turn)
    size, count = population.y.size, population.mass.size
    at_data = Values(population.sectors.x)
    a, w, b = (part[0] for part in (path.nodes[0].a, path.nodes[0].w, path.nodes[0].b))
    along = np.stack([np.zeros(count), -b, w])  # d/d phi of all neurons at the start
    curves = _Curves(particles)
    moved, edges = np.empty((3, 0, count)), _Edges.none(curves.width)
    data = list[Array]()
    found = [np.empty((one.observable.size, 0)) for one in asked]
    for m in range(max(one.node for one in asked)):
        step, neurons = path.steps[m], path.nodes[m]
        force = population.richness * population.weights * step.mean
        tangents = differentiate(neurons, population.sectors, force, step.size)
        along = np.einsum("pqk,qk->pk", tangents.start, along)
        own = tangents.force * (population.richness * population.weights / step.size)[:, None]
        moved = np.concatenate([_applied(tangents.start, moved), own], axis=1)
        edges = edges.joined(_new_edges(path, curves, m + 1, moved, along))
        after = path.nodes[m + 1]
        data.append(edges.answer(at_data, population, after, at_data.change(population, after, moved, np.tile(sizes, m + 1))))
        for i, one in enumerate(asked):
            if one.node == m + 1:
                smooth = one.observable.change(population, after, moved, np.tile(sizes, m + 1))
                found[i] = edges.answer(one.observable, population, after, smooth)
    assert all(answer.shape[1] == one.node * size for one, answer in zip(asked, found, strict=True))
    return Answers(data, found)


def _applied(matrices: Array, vectors: Array) -> Array:
    """Matrices (3, 3, N) times vectors (3, C, N)."""
    applied = np.empty_like(vectors)
    for row in range(3):
        np.multiply(matrices[row, 0], vectors[0], out=applied[row])
        for column in (1, 2):
            applied[row] += matrices[row, column] * vectors[column]
    return applied


class _Edges(NamedTuple):
    """E edges of the flow map so far.

    Attributes
    ----------
    window : Array of int, shape (E, W)
        Neurons around each, in the order of their angles.
    weight : Array, shape (E, W)
        What each of them counts in the telescoping sum.
    shift : Array, shape (E, C)
        How far impulses up to now shift the edge along its curve.
    """

    window: Whole
    weight: Array
    shift: Array

    @classmethod
    def none(cls, width: int) -> _Edges:
        """No edge at all."""
        return cls(np.empty((0, width), int), np.empty((0, width)), np.empty((0, 0)))

    def joined(self, new: _Edges) -> _Edges:
        """These and new ones, to whose time more impulses have been."""
        if not new.shift.shape[0]:
            return self
        padded = np.pad(self.shift, ((0, 0), (0, new.shift.shape[1] - self.shift.shape[1])))
        parts = ((self.window, new.window), (self.weight, new.weight), (padded, new.shift))
        return _Edges(*(np.concatenate(pair) for pair in parts))

    def answer(self, observable: Observable, population: Population, neurons: Neurons, smooth: Array) -> Array:
        """The whole answer, from that of the smooth parts, (K, C)."""
        if self.shift.shape[0]:
            each = observable.each(population, neurons)[:, self.window]
            smooth[:, : self.shift.shape[1]] += np.einsum("kew,ew->ke", each, self.weight) @ self.shift
        return smooth


def _new_edges(path: MeanFieldPath, curves: _Curves, m: int, moved: Array, along: Array) -> _Edges:
    """The edges that arise at node number `m`: neighbours on the two sides of a line that repels from now on.

    What they take is taken from `moved`.
    """
    population, neurons = path.population, path.nodes[m]
    sectors, count = population.sectors, population.sectors.count
    before, after = curves.before, curves.after
    s, s2 = neurons.sector[0, before], neurons.sector[0, after]
    free = ~(neurons.on_line[0, before] | neurons.on_line[0, after])
    up = free & ((s + 1) % count == s2)
    pair = up | (free & ((s2 + 1) % count == s))
    line = np.where(up, s, s2)
    then = path.steps[m].mean if m < len(path.steps) else population.residual(neurons)
    drives = sectors.drives(population.richness * population.weights * np.stack([path.steps[m - 1].mean, then]))
    x = sectors.x[line % sectors.x.size]
    a, w, b = neurons.a[0], neurons.w[0], neurons.b[0]
    gap = np.stack([np.abs(w[k] * x + b[k]) for k in (before, after)])
    near = gap[1] / np.maximum(gap.sum(axis=0), np.finfo(float).tiny)  # share of the one before
    outer = near * a[before] + (1 - near) * a[after]
    repels = [
        (OnLine.of(sectors, line, outer, one[line].T, one[(line + 1) % count].T).toward < 0).all(axis=0) for one in drives
    ]
    found = _Edges.none(curves.width)
    for pair_number in np.flatnonzero(pair & repels[1] & ~repels[0] & (outer != 0)):
        place, share = x[pair_number], near[pair_number]
        k = np.array([before[pair_number], after[pair_number]])
        across = moved[1][:, k] * place + moved[2][:, k]
        speed = along[1][k] * place + along[2][k]
        if not speed.all():
            continue
        shift = (across / speed) @ np.array([share, 1 - share])
        window, taper, weight = curves.around(int(pair_number))
        moved[:, :, window] -= along[:, None, window] * taper * shift[:, None]
        found = found.joined(_Edges(window[None], weight[None], shift[None]))
    return found


class _Curves:
    """Neurons as nodes on closed curves.

    Attributes
    ----------
    before, after : Array of int
        Neighbours, in the order of their angles.
    width : int
        Neurons of a window.
    """

    def __init__(self, particles: Particles) -> None:
        curve, turn = particles.curve, particles.turn
        assert curve is not None
        assert turn is not None
        number = np.arange(curve.size)
        first = np.flatnonzero(np.r_[True, np.diff(curve) != 0])
        after = number + 1
        after[np.r_[first[1:], curve.size] - 1] = first
        angle = np.arctan2(particles.b, particles.w)
        turned = (angle[after] - angle) % (2 * np.pi)
        self._close = turned < 2 * (turn + turn[after])  # no gap without neurons
        self._mass = particles.mass / turn / (2 if particles.paired else 1)
        half = int(np.clip(curve.size / first.size // _WINDOWS, _LEAST, _MOST))
        self.width = 2 * half
        if particles.paired:
            after = np.r_[after, after + curve.size]
            self._close, self._mass = np.r_[self._close, self._close], np.r_[self._mass, self._mass]
        self.before, self.after = np.arange(after.size), after
        self._previous = np.empty_like(after)
        self._previous[after] = self.before
        self._half = half

    def around(self, pair: int) -> tuple[Whole, Array, Array]:
        """The window of a pair of neighbours, a taper that is 1 at these, and the weights of its telescoping sum."""
        left, right = [int(self.before[pair])], [int(self.after[pair])]
        for _ in range(self._half - 1):
            left.append(int(self._previous[left[-1]]))
            right.append(int(self.after[right[-1]]))
        window = np.array(left[::-1] + right)
        rise = np.sin(np.pi / 2 * (np.arange(self._half) + 0.5) / self._half) ** 2
        taper = np.r_[rise, rise[::-1]] / rise[-1]
        mass = self._mass[window] * taper
        between = np.r_[0.0, (mass[1:] + mass[:-1]) / 2, 0.0]
        return window, taper, between[:-1] - between[1:]
