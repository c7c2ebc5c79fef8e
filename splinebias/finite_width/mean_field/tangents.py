r"""How the infinitely wide network answers to a disturbance of its residuals, by derivatives of its neurons and their jumps.

The answer :math:`R(x, t; j, s)` of `response`, without differences of populations, where neurons are nodes on a circle of
angles :math:`\varphi` at the start, with mass :math:`m(\varphi)\,d\varphi`. The flow map is smooth but for
edges :math:`\varphi^*`: neurons that are on a line when it begins to repel neurons to both sides. Those before and after an
edge go two ways. A disturbance that moves neurons by :math:`\delta\theta` shifts it by :math:`-q`, :math:`q = \delta\nu /
\nu'`, :math:`\nu = h \cdot \tilde x_j` the distance from the line and :math:`\nu' = d\nu/d\varphi`; q is the same on both
sides, since :math:`\delta\nu` and :math:`\nu'` change alike where neurons cross. Neurons that cross shortly before the edge
have derivatives like :math:`|\varphi - \varphi^*|^{-1/2}`, which no rule of nodes likes. Both are cured by integration by
parts: with a taper :math:`\chi` that is 1 at the edge and 0 some neurons away,

.. math:: R = \int \nabla G \cdot (\delta\theta - q \chi\, \theta')\, m\, d\varphi + q \int \chi\, m\, dG,

where the last integral is a sum of differences of neighbours, the jump included, at all later times.
Derived here; `response` is its twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from splinebias._array import Array
from splinebias.finite_width.mean_field.observables import Answers, End, Observable, Values, impulses
from splinebias.limit.mean_field.particles import Particles
from splinebias.limit.mean_field.path import MeanFieldPath
from splinebias.limit.mean_field.population import Population
from splinebias.neurons.population import Neurons
from splinebias.neurons.sectors import Sectors, Whole
from splinebias.neurons.stick_and_release import OnLine, Pushes
from splinebias.neurons.tangents import differentiate

_HARDLY = 0.01  # of the answer
_WINDOWS, _LEAST, _MOST = 64, 4, 40  # neurons on either side of an edge: a share of the circle, within bounds


def differentiated(path: MeanFieldPath, particles: Particles, nodes: Sequence[int], turn: float) -> Answers:
    """Answers by derivatives, up to the last of `nodes`; where an observable has none, by displacements of angle `turn`."""
    population, sizes, circle = path.population, impulses(path, turn), _Circle(particles)
    at_data = Values(population.sectors.x)
    a, w, b = (part[0] for part in (path.nodes[0].a, path.nodes[0].w, path.nodes[0].b))
    along = np.stack([np.zeros(a.size), -b, w])  # d/d phi of all neurons at the start
    moved, edges = np.empty((3, 0, a.size)), _Edges.none(circle.width)
    data, ends = list[Array](), dict[int, End]()
    for m, step in enumerate(path.steps[: max(nodes)]):
        force = population.richness * population.weights * step.mean
        tangents = differentiate(path.nodes[m], population.sectors, force, step.size)
        along = np.einsum("pqk,qk->pk", tangents.start, along)
        own = tangents.force * (population.richness * population.weights / step.size)[:, None]
        moved = np.concatenate([_applied(tangents.start, moved), own], axis=1)
        edges = edges.joined(_new_edges(path, circle, m + 1, moved, along))
        end = _Displaced(population, path.nodes[m + 1], moved, edges, np.tile(sizes, m + 1))
        data.append(end.answer(at_data))
        if m + 1 in nodes:
            ends[m + 1] = end
    return Answers(data, ends)


@dataclass(frozen=True, eq=False)
class _Displaced(End):
    """A population at a node, and how impulses of some sizes displace it: `moved`, (3, C, N), per impulse, and edges."""

    population: Population
    neurons: Neurons
    moved: Array
    edges: _Edges
    sizes: Array

    @property
    def regular(self) -> bool:  # type: ignore[override]
        """Whether edges, which are where they are by jumps, hardly count."""
        at_data = Values(self.population.sectors.x)
        smooth = at_data.change(self.population, self.neurons, self.moved, self.sizes)
        whole = self.edges.answer(at_data, self.population, self.neurons, smooth.copy())
        return bool(np.abs(whole - smooth).max() <= _HARDLY * np.abs(whole).max())

    def answer(self, observable: Observable) -> Array:
        smooth = observable.change(self.population, self.neurons, self.moved, self.sizes)
        return self.edges.answer(observable, self.population, self.neurons, smooth)


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
        The q of impulses up to now.
    """

    window: Whole
    weight: Array
    shift: Array

    @classmethod
    def none(cls, width: int) -> _Edges:
        """No edge at all, in windows of `width` neurons."""
        return cls(np.empty((0, width), int), np.empty((0, width)), np.empty((0, 0)))

    def joined(self, new: _Edges) -> _Edges:
        """These edges and new ones, to whose time more impulses have been."""
        if not new.shift.shape[0]:
            return self
        padded = np.pad(self.shift, ((0, 0), (0, new.shift.shape[1] - self.shift.shape[1])))
        window, weight = np.concatenate([self.window, new.window]), np.concatenate([self.weight, new.weight])
        return _Edges(window, weight, np.concatenate([padded, new.shift]))

    def answer(self, observable: Observable, population: Population, neurons: Neurons, smooth: Array) -> Array:
        """The whole answer, from that of the smooth parts, (K, C)."""
        if self.shift.shape[0]:
            each = observable.each(population, neurons)[:, self.window]
            smooth[:, : self.shift.shape[1]] += np.einsum("kew,ew->ke", each, self.weight) @ self.shift
        return smooth


def _new_edges(path: MeanFieldPath, circle: _Circle, m: int, moved: Array, along: Array) -> _Edges:
    """The edges that arise at node number `m`: neighbours on the two sides of a line that repels from now on.

    What they take is taken from `moved`.
    """
    population, neurons, found = path.population, path.nodes[m], _Edges.none(circle.width)
    sectors = population.sectors
    then = path.steps[m].mean if m < len(path.steps) else population.residual(neurons)
    drives = sectors.drives(population.richness * population.weights * np.stack([path.steps[m - 1].mean, then]))
    a, w, b, on_line = neurons.a[0], neurons.w[0], neurons.b[0], neurons.on_line[0]
    for one, line in _lines_between(neurons, sectors.count):
        x, k = sectors.x[line % sectors.x.size], np.array([one, (one + 1) % a.size])
        gap = np.abs(w[k] * x + b[k])
        share = gap[::-1] / gap.sum() if gap.any() else np.array([0.5, 0.5])
        outer = float(share @ a[k])
        if outer == 0 or not _begins_to_repel(sectors, line, outer, drives):
            continue
        speed = along[1][k] * x + along[2][k]
        share = np.where(on_line[k] | (speed == 0), 0.0, share)  # what sits on another line does not tell
        if not share.any():
            continue
        across = moved[1][:, k] * x + moved[2][:, k]
        shift = (across / np.where(speed == 0, 1.0, speed)) @ share / share.sum()
        window, taper, weight = circle.around(one)
        moved[:, :, window] -= along[:, None, window] * taper * shift[:, None]
        found = found.joined(_Edges(window[None], weight[None], shift[None]))
    return found


def _lines_between(neurons: Neurons, count: int) -> list[tuple[int, int]]:
    """Pairs (k, line): neighbours k, k + 1 on the circle are on two sides of a line."""
    place = 2 * neurons.sector[0] + neurons.on_line[0]  # lines are at 2s + 1
    way = (np.roll(place, -1) - place + count) % (2 * count) - count
    found = []
    for k in np.flatnonzero((way != 0) & (np.abs(way) < count)):
        low = int(min(place[k], place[k] + way[k]))
        found += [(int(k), (at - 1) // 2 % count) for at in range(low + 1, low + abs(int(way[k]))) if at % 2]
    return found


def _begins_to_repel(sectors: Sectors, line: int, outer: float, drives: Array) -> bool:
    """Whether a line repels neurons with output weights `outer` to both sides under the last of two sets of drives only."""
    repels = []
    for drive in drives:
        pushes = Pushes(*(part[[line]] for part in Pushes.of(sectors, drive.T)))
        on = OnLine.of(sectors, np.array([line]), np.array([outer]), pushes)
        repels.append(bool(((on.here < 0) & (on.there < 0)).all()))
    return repels[1] and not repels[0]


class _Circle:
    """Neurons as nodes on the circle, and the windows around pairs of neighbours.

    Attributes
    ----------
    width : int
        Neurons of a window.
    """

    def __init__(self, particles: Particles) -> None:
        assert particles.turn is not None
        angle, turn = np.arctan2(particles.b, particles.w), particles.turn
        turned = (np.roll(angle, -1) - angle) % (2 * np.pi)
        self._close = turned < 2 * (turn + np.roll(turn, -1))  # else there are none between
        self._density = particles.mass / turn
        self._half = int(np.clip(turn.size // _WINDOWS, _LEAST, _MOST))
        self.width = 2 * self._half

    def around(self, first: int) -> tuple[Whole, Array, Array]:
        """The window of the neighbours `first` and the next one, a taper that is 1 at these, and weights of the sum."""
        window = (first + 1 + np.arange(-self._half, self._half)) % self._density.size
        rise = np.sin(np.pi / 2 * (np.arange(self._half) + 0.5) / self._half) ** 2
        taper = np.r_[rise, rise[::-1]] / rise[-1]
        mass = self._density[window] * taper
        between = np.r_[0.0, (mass[1:] + mass[:-1]) / 2 * self._close[window[:-1]], 0.0]
        return window, taper, between[:-1] - between[1:]
