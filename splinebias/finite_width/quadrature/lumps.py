"""Sums over neurons in a few nodes between points, where what they are integrated against is linear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splinebias._array import Array
from splinebias.finite_width.quadrature.neurons import NeuronsOfSide, basis_of
from splinebias.limit.discretization import Nodes
from splinebias.limit.dual.dual_system import DualSystem


class Lumps(NamedTuple):
    """A density on a few nodes in each of K intervals, which have its integrals against products of linear functions.

    Attributes
    ----------
    weights, share : Array, shape (a, K)
        Masses of the nodes, and where they are, from 0 to 1 on an interval; farther beyond the data.
    """

    weights: Array
    share: Array

    def interpolated(self, values: Array) -> Array:
        """At the nodes, functions with `values` at the ends of intervals, shape (N, K + 1), and linear on them; (N, a K)."""
        left, step = values[:, :-1], np.diff(values)
        return np.concatenate([left + share * step for share in self.share], axis=1)

    def moments(self, values: Array) -> Array:
        """Integrals of the density times such functions times the hat functions of the ends of intervals, (N, K + 1)."""
        found, left, step = np.zeros_like(values), values[:, :-1], np.diff(values)
        for weights, share in zip(self.weights, self.share, strict=True):
            mass = weights * (left + share * step)
            found[:, 1:] += share * mass
            found[:, :-1] += (1 - share) * mass
        return found


class LumpedNeurons(NamedTuple):
    r"""Sums over the neurons of one side, see `NeuronsOfSide`, as `Lumps` between K + 1 edges.

    Attributes
    ----------
    square, slope : Lumps
        The sums of :math:`v^2 \alpha^2` and :math:`v^2 A'`.
    values : tuple of Lumps
        The sum of :math:`v \alpha`, its positive part and the size of the negative one: for functions that are linear.
    basis : Array, shape (U, K + 1)
        Dual functions of the unknowns of `DualSystem` at the edges.
    """

    square: Lumps
    slope: Lumps
    values: tuple[Lumps, Lumps]
    basis: Array

    @classmethod
    @np.errstate(invalid="ignore", over="ignore")  # beyond doubles where there is hardly any mass
    def of(cls, side: NeuronsOfSide, edges: Array) -> LumpedNeurons:
        """One side, lumped between `edges`, none of which a row of its nodes crosses."""
        (at, place), value, count = places(side.nodes, edges), side.weights * side.value, edges.size - 1
        two, one = np.array([[-1.0], [1.0]]), np.zeros((1, 1))

        def lumped(mass: Array, signs: Array) -> Lumps:
            """Nodes at the mean, or one deviation beside it."""
            total = np.bincount(at, mass, count)
            some = np.where(total > 0, total, 1.0)
            mean = np.bincount(at, mass * place, count) / some
            deviation = np.sqrt(np.bincount(at, mass * (place - mean[at]) ** 2, count) / some)
            return Lumps(np.tile(total / signs.size, (signs.size, 1)), mean + signs * deviation)

        interval: NDArray[np.intp] = np.searchsorted(side.system.x, edges, side="right")
        here = Nodes(edges[:, None], np.ones((edges.size, 1)), interval)
        system = DualSystem(side.system.x, here, side.system.activation, free=side.system.free)
        square, slope = lumped(side.weights * side.square, two), lumped(side.weights * side.slope, two)
        values = (lumped(np.maximum(value, 0.0), one), lumped(np.maximum(-value, 0.0), one))
        return cls(square, slope, values, basis_of(system, side.row).toarray())


def edges_of(points: Array, x: Array) -> Array:
    """Data x and `points` in order, and one edge on either side of all, beyond which everything goes on as a line."""
    inner = np.union1d(points, x)
    return np.asarray(np.r_[2 * inner[0] - inner[-1], inner, 2 * inner[-1] - inner[0]])


def places(nodes: Array, edges: Array) -> tuple[NDArray[np.intp], Array]:
    """The interval between `edges` in which nodes are, the outer ones without end, and where on it, from 0 to 1 inside."""
    at: NDArray[np.intp] = np.searchsorted(edges[1:-1], nodes)
    return at, np.asarray((nodes - edges[at]) / np.diff(edges)[at])


def hat_moments(mass: Array, at: NDArray[np.intp], place: Array, size: int) -> Array:
    """Sums of masses at `places` times what is linear between edges and 1 at one of these, shape (size,)."""
    after = np.bincount(at, mass * place, size - 1)
    return np.asarray(np.r_[np.bincount(at, mass, size - 1) - after, 0.0] + np.r_[0.0, after])


def quadratic_form(form: Array, basis: Array, at: NDArray[np.intp], place: Array) -> Array:
    """b^T form b at `places`, shape (n,), for functions b, linear between edges, that are `basis` there, (U, K + 1)."""
    other = form @ basis
    ends, mixed = (basis * other).sum(axis=0), (basis[:, :-1] * other[:, 1:]).sum(axis=0)
    rest = 1 - place
    return np.asarray(rest**2 * ends[at] + 2 * rest * place * mixed[at] + place**2 * ends[at + 1])
